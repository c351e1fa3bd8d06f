"""Quarantined rows as a file for whoever mends them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from tidegate.application.ports import EXPORTED
from tidegate.domain.cells import disarmed
from tidegate.domain.contract import Column
from tidegate.domain.errors import BadInput, DependencyFailed


def write_held(path: Path, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as they come, by the name's ending: CSV or JSON lines. Return how many.

    In a CSV no text is one that a spreadsheet would run: see `tidegate.domain.cells`.

    Raises:
        BadInput: the name ends otherwise, or something has it already.
        DependencyFailed: the file cannot be written; what was begun of it is removed.
    """
    write = {".csv": _csv, ".jsonl": _lines}.get(path.suffix)
    if write is None:
        raise BadInput(
            "unknown-format", f"got the file name {path.name}, expected one in .csv or .jsonl", "name it so"
        )
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            try:
                return write(file, columns, rows)
            except BaseException:  # a part of an export would look like all of it
                path.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        raise BadInput(
            "file-exists", f"got {path.name}, which is there already, expected a new file", "name another"
        ) from error
    except OSError as error:
        raise DependencyFailed(
            "unwritable",
            f"got {path.name} not written ({error.strerror}), expected a folder with room for it",
            "free some space or name another folder, and run the same again",
        ) from error


def _csv(file: TextIO, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows that read back as what they were: texts in quotes, so that an empty one is no null."""
    count = 0
    file.write(",".join((*EXPORTED, *(_quoted(column.name) for column in columns))) + "\n")
    for count, row in enumerate(rows, 1):  # noqa: B007  # the last one is the count
        marks = map(_cell, (row["period"], row["revision"], row["row"], " ".join(row["reasons"])))
        cells = (_cell(row["values"].get(column.name), column.type) for column in columns)
        file.write(",".join((*marks, *cells)) + "\n")
    return count


def _cell(value: object, kind: str = "string") -> str:
    if isinstance(value, str):
        # An integer beyond what JSON holds is a text there, and a number here, whatever its sign.
        number = kind == "integer" and value.removeprefix("-").isdecimal()
        return _quoted(value if number else disarmed(value))
    return "" if value is None else json.dumps(value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _lines(file: TextIO, _: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007  # the last one is the count
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return count
