"""Letting rows go: what every place that holds rows does of it.

It is done in two steps, and the event lies between. First each place writes what will be left of its files, under
new names: nothing is lost by that. When the event that names both is committed, the files before are removed; whoever
was killed in between, it is done again from the record alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tidegate.application.ports.models import ModelSpec
from tidegate.application.ports.rows import Table
from tidegate.domain.keeping import Without


@dataclass(frozen=True)
class Whose:
    """Whom rows are about: the column that names it, and how it is written there (now, and before it was masked).

    ``anywhere``: a cell of text that says just that, in whatever is made of the rows, is about them too.
    """

    column: str
    texts: tuple[str, ...]
    anywhere: bool


@dataclass(frozen=True)
class Thinned:
    """What is left of files without some rows, and the keys of the rows that went, in the columns of the key."""

    files: tuple[Without, ...]
    keys: Table


class Copies(Protocol):
    """Everything that is made of batches row by row: entity frames, training frames, sources, decisions."""

    def thinned(
        self,
        whose: Whose | None,
        keys: Table,
        model_of: Callable[[str], ModelSpec | None],
        *,
        write: bool = True,
    ) -> tuple[Without, ...]:
        """Write what is left of each file without the rows of a subject, or with one of these keys; name both.

        A file with all columns of the key is searched by it. ``model_of`` says whose a segment of decisions
        is, by its root. Nothing is removed; with ``write`` false, nothing is written either.

        Raises:
            DependencyFailed: a file cannot be read, or what is left of it not be written.
        """
        ...

    def beside(self, kind: str, place: str, digest: str) -> tuple[Without, ...]:
        """Return every other file of a kind that lies where this one does."""
        ...

    def left(self, files: Sequence[Without]) -> tuple[Without, ...]:
        """Return the files that are still there, or there again."""
        ...

    def discard(self, files: Sequence[Without]) -> None:
        """Remove files; those that are gone are left out."""
        ...
