"""Checks that a chosen baseline would bear: what a person may promise after reading them.

Pure. A range seen once is no promise, so what is suggested warns and keeps its rows: it blocks nothing until a person
makes it stricter. Values are taken from columns that are public or internal, of no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.domain.contract import Column

#: A column with more values than these is no list.
MOST_VALUES = 20
#: Of fewer rows nothing is learned.
LEAST_ROWS = 2
_TELLING = {"public", "internal"}


@dataclass(frozen=True)
class Profile:
    """What one column of a batch holds: finite bounds of numbers, and the values of a text with few of them."""

    column: str
    rows: int
    nulls: int
    low: float | int | None = None
    high: float | int | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suggestion:
    """One expectation in the words of Great Expectations, and the sentence that says what it promises."""

    expectation: str
    kwargs: Mapping[str, Any]
    sentence: str


def suggest(columns: Sequence[Column], profiles: Sequence[Profile], baseline: str) -> tuple[Suggestion, ...]:
    """Return what these columns bear, in their order: a value in each row, bounds of numbers, lists of texts."""
    told = {column.name: column for column in columns}
    found: list[Suggestion] = []
    for each in profiles:
        column = told.get(each.column)
        if column is None or each.rows < LEAST_ROWS or each.nulls == each.rows:
            continue
        about = {"column": each.column}
        if not each.nulls:
            found.append(
                Suggestion(
                    "expect_column_values_to_not_be_null", about, f"{each.column} is given, as in {baseline}"
                )
            )
        if column.classification not in _TELLING:
            continue
        if each.low is not None and each.high is not None:
            bounds = {**about, "max_value": each.high, "min_value": each.low}
            sentence = f"{each.column} lies between {each.low:,} and {each.high:,}, as in {baseline}"
            found.append(Suggestion("expect_column_values_to_be_between", bounds, sentence))
        if each.values:
            listed = {**about, "value_set": list(each.values)}
            sentence = f"{each.column} is one of the {len(each.values)} values of {baseline}"
            found.append(Suggestion("expect_column_values_to_be_in_set", listed, sentence))
    return tuple(found)
