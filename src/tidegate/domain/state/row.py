"""What every table of folded state is made of.

``KEY`` names a table's primary key. Fields in ``VOLATILE`` name things of one installation (a random token's digest,
another tool's run id): they are folded and verified like all others, but left out of the fingerprint, which two runs
of the same story share. ``WORDS`` has the words of those fields that are one of a few; any other word there was
written by nobody of ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Row:
    """A row of folded state."""

    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]]
    VOLATILE: ClassVar[tuple[str, ...]] = ()
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {}

    @property
    def key(self) -> tuple[str | int, ...]:
        """Return the primary key's values."""
        return tuple(getattr(self, name) for name in self.KEY)
