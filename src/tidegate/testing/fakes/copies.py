"""Copies in memory: rows are dictionaries, and what is left of them is found by a loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from tidegate.application.ports import ModelSpec, Table, Whose
from tidegate.domain.canonical import digest
from tidegate.domain.keeping import Without

Rows = Sequence[Mapping[str, Any]]


class FakeCopies:
    """Holds the rows that it was given, by kind, place and digest."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str, str], Rows] = {}

    def plant(self, kind: str, place: str, rows: Rows) -> str:
        """Keep rows; return what they are called."""
        prefix = "" if kind == "decisions" else "tg1:"
        name = digest([dict(row) for row in rows])
        name = name.replace("sha256:", prefix) if prefix else name
        self.files[kind, place, name] = rows
        return name

    def thinned(
        self,
        whose: Whose | None,
        keys: Table,
        model_of: Callable[[str], ModelSpec | None],
        *,
        write: bool = True,
    ) -> tuple[Without, ...]:
        gone = [tuple(row.items()) for row in cast(Any, keys).to_pylist()]
        names = set(keys.column_names)
        files = []
        for kind, place, name in sorted(self.files):
            rows = self.files[kind, place, name]
            left = [
                row
                for row in rows
                if not _says(row, whose) and not (names <= set(row) and _key(row, keys.column_names) in gone)
            ]
            if len(left) < len(rows):
                orphan = kind == "decisions" and model_of(name) is None
                successor = "" if orphan else self.plant(kind, place, left)
                if not write:
                    self.files.pop((kind, place, successor), None)
                files.append(Without(kind, place, name, successor, len(rows) - len(left)))
        return tuple(files)

    def beside(self, kind: str, place: str, digest: str) -> tuple[Without, ...]:
        return tuple(
            Without(kind, place, name, "", 0)
            for found, where, name in self.files
            if (found, where) == (kind, place) and name != digest
        )

    def left(self, files: Sequence[Without]) -> tuple[Without, ...]:
        return tuple(each for each in files if (each.kind, each.place, each.digest) in self.files)

    def discard(self, files: Sequence[Without]) -> None:
        for each in self.left(files):
            del self.files[each.kind, each.place, each.digest]


def _says(row: Mapping[str, Any], whose: Whose | None) -> bool:
    return whose is not None and any(
        str(value) in whose.texts and (name == whose.column or (whose.anywhere and isinstance(value, str)))
        for name, value in row.items()
    )


def _key(row: Mapping[str, Any], names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(row[name])) for name in names)
