"""Rows and cells of the fake batches: as they are read, masked, written as JSON, and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from tidegate.domain.canonical import utc_text
from tidegate.domain.contract import Column
from tidegate.domain.errors import BadInput
from tidegate.domain.masking import HASHED, TOKEN, Mask, generalised, keyed_hash
from tidegate.domain.suggestion import MOST_VALUES, Profile


@dataclass(frozen=True)
class RowTable:
    """Rows in memory, with the few things a table is asked for."""

    column_names: list[str]
    rows: tuple[Mapping[str, Any], ...]

    @property
    def num_rows(self) -> int:
        return len(self.rows)

    def to_pylist(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.rows]


def cell_of(column: Column, text: str) -> object:
    """Return the value that a text of a drop stands for in a column."""
    if text in {"", "NA"}:
        return None
    try:
        if column.type == "integer":
            return int(text)
        if column.type == "number" and isfinite(float(text)):
            return float(text)
        if column.type == "timestamp" and (moment := datetime.fromisoformat(text)).tzinfo is not None:
            return moment
    except ValueError:
        pass  # said below, with what was expected
    if column.type == "string":
        return text
    raise BadInput(
        "mistyped-column", f"got {text!r} in `{column.name}`, expected {column.type}", "deliver it again"
    )


def cell_pushed(column: Column, value: object) -> object:
    """Return the value that a pushed one of JSON stands for in a column."""
    kinds: Mapping[str, tuple[type, ...]] = {"integer": (int,), "number": (int, float)}
    if value is None or (isinstance(value, kinds.get(column.type, (str,))) and not isinstance(value, bool)):
        return None if value is None else value if column.type == "string" else cell_of(column, str(value))
    raise BadInput(
        "mistyped-column", f"got {value!r} in `{column.name}`, expected {column.type}", "push it again"
    )


def as_kept(row: Mapping[str, Any], delivered: Sequence[Column], kept: Sequence[str]) -> dict[str, object]:
    """Return a row's values as they are kept; nobody turns a token of this key back."""
    treatments = {column.name: column.treatment for column in delivered}
    treated: dict[str, object] = {}
    for name in kept:
        treatment, value = treatments[name], row[name]
        if treatment is None or value is None:
            treated[name] = value
        elif treatment.mask is Mask.GENERALISE:
            treated[name] = generalised(value, treatment.to)
        else:
            marked = keyed_hash(b"fake key", value)
            treated[name] = marked if treatment.mask is Mask.HASH else marked.replace(HASHED, TOKEN)
    return treated


def remasked(row: Mapping[str, Any], delivered: Sequence[Column]) -> dict[str, object]:
    """Return, treated, what somebody typed into treated columns: what is masked already is left out."""
    typed = [
        column
        for column in delivered
        if column.treatment and not str(row.get(column.name) or TOKEN).startswith((HASHED, TOKEN))
    ]
    values = {column.name: row[column.name] for column in typed}
    values |= {
        column.name: cell_of(column, values[column.name])
        for column in typed
        if isinstance(values[column.name], str)
    }
    return as_kept(values, typed, list(values))


def cell_again(column: Column, value: object) -> object:
    """Return a value as it was before it was written as JSON."""
    if not isinstance(value, str) or column.type not in {"integer", "timestamp"}:
        return value
    return int(value) if column.type == "integer" else datetime.fromisoformat(value)


def plain_row(row: Mapping[str, Any]) -> dict[str, object]:
    """Return a row as JSON has it: times as texts, and integers that it cannot hold."""
    plain: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, datetime):
            plain[name] = utc_text(value)
        else:
            plain[name] = str(value) if isinstance(value, int) and abs(value) > 2**53 else value
    return plain


def profile_of(name: str, cells: Sequence[Any]) -> Profile:
    """Return what a column holds; here a time is a text like any other."""
    given = [cell for cell in cells if cell is not None]
    numbers = [cell for cell in given if isinstance(cell, (int, float)) and not isinstance(cell, bool)]
    texts = sorted({cell for cell in given if isinstance(cell, str)})
    low, high = (min(numbers), max(numbers)) if numbers else (None, None)
    few = tuple(texts) if len(texts) <= MOST_VALUES else ()
    return Profile(name, len(cells), len(cells) - len(given), low, high, few)
