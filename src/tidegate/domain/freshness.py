"""How fresh features are, beside the objective that their view states.

    age       how long before a moment a value happened; what is dated after the moment is no younger than nothing
    fresh     the age is within the objective, the bound included
    stale     it is older, or nothing is known: of nothing nobody can say how fresh it is

A view states an objective in up to two durations, ``36h`` or ``7d``:

    freshness   how old its value may be when a decision rests on it
    lag         how far its newest data may lie behind the clock when a version goes live; as freshness, if not stated
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

FRESHNESS, LAG = "freshness", "lag"
#: What a duration must look like, for error texts.
EXPECTED = "a whole number and a unit, m, h or d, up to 3650d, like 36h"
MOST = timedelta(days=3650)
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_DURATION = re.compile(r"([1-9][0-9]{0,6})([mhd])")

#: Durations in seconds by what they are called: how an objective is recorded.
Objective = Mapping[str, int]


@dataclass(frozen=True)
class Staleness:
    """How many decisions rested on a view's value that was not fresh; ``unknown`` of them on no value at all."""

    rows: int
    unknown: int


def duration(stated: object) -> timedelta | None:
    """Return the duration that is stated; None where it is not spelled as one (`EXPECTED`)."""
    found = _DURATION.fullmatch(stated) if isinstance(stated, str) else None
    length = int(found[1]) * _UNITS[found[2]] if found else None
    return length if length is not None and length <= MOST else None


def spelled(length: timedelta) -> str:
    """Return a duration for people, in its two largest units: ``36h`` is ``1d 12h``."""
    left, parts = max(length, timedelta()), []
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        parts += [f"{count}{unit}"] if count else []
    return " ".join(parts[:2]) or "0m"


def stated(objective: Objective) -> str:
    """Return an objective for people; empty where none is stated."""
    return ", ".join(f"{name} {spelled(timedelta(seconds=of))}" for name, of in sorted(objective.items()))


def of_values(objective: Objective) -> timedelta | None:
    """Return how old a value may be when a decision rests on it; None: nobody asks."""
    return _stated(objective, FRESHNESS)


def of_newest(objective: Objective) -> timedelta | None:
    """Return how far a view's newest data may lie behind the clock; None: nobody asks."""
    return _stated(objective, LAG) or _stated(objective, FRESHNESS)


def age(happened: datetime | None, moment: datetime) -> timedelta | None:
    """Return how old at a moment is what happened then; None where nothing did."""
    return None if happened is None else max(moment - happened, timedelta())


def stale(old: timedelta | None, objective: timedelta) -> bool:
    """Say whether an age is beyond an objective; where nothing is known it is."""
    return old is None or old > objective


def _stated(objective: Objective, name: str) -> timedelta | None:
    return timedelta(seconds=objective[name]) if name in objective else None
