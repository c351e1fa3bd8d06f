"""Rows that a gate held back, as files: one canonical JSON line a row, called by the Merkle root of the lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from datetime import date, datetime
from math import isfinite
from pathlib import Path
from typing import BinaryIO

from tidegate.adapters.arrow_batches.unrecorded import made_young, marked
from tidegate.adapters.shared.files import hex_of, partial, told
from tidegate.adapters.shared.pieces import pieces
from tidegate.application.ports import Table
from tidegate.domain.canonical import canonical, utc_text
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.merkle import merkle_root

_EXACT = 2**53  # above this a JSON number is no longer exact, so the integer becomes a text
_AT_ONCE = 4096  # rows that are Python objects at a time while they are written
_PREFIX = "sha256:"


class HeldBack:
    """The rows held back below one folder, by dataset."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, dataset: str, lines: Iterable[bytes], about: int) -> tuple[str, Path]:
        """Write lines as a file that is called by their root; ``about`` says how much room they take."""
        folder = self.folder / dataset
        with told(folder / "rows.jsonl", about), partial(folder / "rows.jsonl") as part:
            with part.open("wb") as file:
                root = merkle_root(_written(file, lines))
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o644)
            path = self.place(dataset, root)
            with nullcontext() if made_young(path) else marked(path):
                return root, part.replace(path)

    def rows(self, dataset: str, root: str) -> Iterator[Mapping[str, object]]:
        """Yield row by row what one gate run held back, after the whole file was read against its root.

        Raises:
            BadInput: ``root`` is no digest. DependencyFailed: the file is gone, or its lines have another root.
        """
        path = self.place(dataset, root)
        try:
            with path.open("rb") as file:
                found = merkle_root(line.removesuffix(b"\n") for line in file)
        except OSError as error:
            raise DependencyFailed(
                "quarantine-gone",
                f"got no readable file {path.name} ({error.strerror}), expected the rows of {dataset} held "
                f"back as {root}",
                "restore the file from a backup",
            ) from error
        if found != root:
            raise DependencyFailed(
                "quarantine-altered",
                f"got held-back rows of {dataset} with the root {found}, expected {root}",
                f"somebody wrote to {path.name}: restore it from a backup",
            )
        with path.open("rb") as file:
            yield from map(json.loads, file)

    def roots(self, dataset: str) -> list[str]:
        """Return the roots that files are there for."""
        return [_PREFIX + path.stem for path in sorted((self.folder / dataset).glob("[0-9a-f]*.*"))]

    def place(self, dataset: str, root: str) -> Path:
        """Return where the rows lie, if they do."""
        return self.folder / dataset / f"{hex_of(root, _PREFIX)}.jsonl"


def lines_of(table: Table, reasons: Mapping[int, tuple[str, ...]]) -> Iterator[bytes]:
    """Yield a line for each row that has reasons, in the order of the rows."""
    import numpy as np

    positions = np.fromiter(reasons, dtype=np.int64, count=len(reasons))
    positions.sort()
    first = 0
    for piece in pieces(table, table.column_names) if len(positions) else ():
        here = positions[slice(*np.searchsorted(positions, (first, first + len(piece))))]
        for start in range(0, len(here), _AT_ONCE):
            some = here[start : start + _AT_ONCE]
            for position, values in zip(some.tolist(), piece.take(some - first).to_pylist(), strict=True):
                plain = {name: as_json(value) for name, value in values.items()}
                yield canonical({"row": position, "reasons": list(reasons[position]), "values": plain})
        first += len(piece)


def _written(file: BinaryIO, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Write each line on its way."""
    for line in lines:
        file.write(line + b"\n")
        yield line


def as_json(value: object) -> object:
    """Return a value as canonical JSON can carry it."""
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int) and abs(value) > _EXACT:
        return str(value)
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
