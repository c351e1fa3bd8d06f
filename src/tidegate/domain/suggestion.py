"""Checks and promises that a chosen baseline would bear: what a person may say after reading them.

Pure. A range seen once is no promise, so a suggested check warns and keeps its rows: it blocks nothing until a person
makes it stricter. Volume and freshness have no milder form, so they are suggested with leeway, and only where the
contract says less. Values are taken from columns that are public or internal, of no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import ceil, floor
from typing import Any

from tidegate.domain.contract import Column, Contract

#: A column with more values than these is no list.
MOST_VALUES = 20
#: Of fewer rows nothing is learned.
LEAST_ROWS = 2
#: By which share of its rows a drop may differ from the baseline, and how many days later than it one may come.
LEEWAY = 0.25
GRACE_DAYS = 1
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


class Promised(StrEnum):
    """What a contract promises of a whole drop, in the words of the Open Data Contract Standard."""

    VOLUME = "rowCount"
    FRESHNESS = "freshness"


@dataclass(frozen=True)
class Promise:
    """A promise stricter than the contract's: the least and most rows of a drop, or how many days late one comes."""

    about: Promised
    value: tuple[int, ...]
    sentence: str


def promise(contract: Contract, read: int, late: timedelta | None, baseline: str) -> tuple[Promise, ...]:
    """Return what a baseline of ``read`` rows that came ``late`` after its period's end lets a contract promise.

    Nothing is suggested that is looser than what the contract says. ``late`` is None where no period is told.
    """
    found: list[Promise] = []
    least, most = floor(read * (1 - LEEWAY)), ceil(read * (1 + LEEWAY))
    bounds = max(least, contract.min_rows), min(most, contract.max_rows)
    if read >= LEAST_ROWS and bounds != (contract.min_rows, contract.max_rows) and bounds[0] <= bounds[1]:
        sentence = (
            f"{bounds[0]:,} to {bounds[1]:,} rows a drop: {baseline} had {read:,}, give or take a quarter"
        )
        found.append(Promise(Promised.VOLUME, bounds, sentence))
    if late is not None:
        days = max(ceil(late / timedelta(days=1)), 0) + GRACE_DAYS
        if contract.max_age is None or timedelta(days=days) < contract.max_age:
            sentence = f"within {days} days of its period's end: {baseline} came within {days - GRACE_DAYS}"
            found.append(Promise(Promised.FRESHNESS, (days,), sentence))
    return tuple(found)


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
