"""Whether what is served online is what was known at its moment: the verdict over a sample, by type.

B5  an online value is the point-in-time value at the moment that was brought online, within its type's tolerance
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.domain.counting import many, times
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import Verdict

#: By how much values may differ, by what they are: fractions of the larger for numbers, seconds for times. A kind that
#: is not here is compared exactly.
TOLERANCES: Mapping[str, float] = {"integer": 0.0, "double": 1e-9, "float": 1e-6, "time": 0.0}


@dataclass(frozen=True)
class Pair:
    """One feature of one key, as it is served and as it was known. ``key`` is shown to people, never recorded."""

    key: str
    feature: str
    kind: str
    online: object
    known: object


@dataclass(frozen=True)
class Parity:
    """What a sample of one view says; ``skewed`` counts by feature, ``examples`` are some of those pairs."""

    verdict: Verdict
    sentence: str
    sampled: int = 0
    skewed: Mapping[str, int] | None = None
    examples: tuple[Pair, ...] = ()


def tolerances(given: Mapping[str, float]) -> Mapping[str, float]:
    """Return the tolerances with those that somebody gives.

    Raises:
        BadInput: a kind that has none, or no number from 0 on.
    """
    for kind, value in given.items():
        if kind not in TOLERANCES or not (isinstance(value, int | float) and 0 <= value < math.inf):
            raise BadInput(
                "bad-tolerance",
                f"got the tolerance {value!r} for {kind!r}, expected a number from 0 on for one of "
                f"{', '.join(TOLERANCES)}",
                "texts and flags are compared exactly",
            )
    return {**TOLERANCES, **given}


def same(pair: Pair, allowed: Mapping[str, float]) -> bool:
    """Say whether a value is the one that was known; unknown is equal to unknown alone."""
    one, other, tolerance = pair.online, pair.known, allowed.get(pair.kind, 0.0)
    if one is None or other is None or one == other:
        return one is other or one == other
    if isinstance(one, datetime) and isinstance(other, datetime):
        return abs((one - other).total_seconds()) <= tolerance
    if isinstance(one, int | float) and isinstance(other, int | float):
        if math.inf in {abs(one), abs(other)}:  # any share of it is infinite: it is the same as itself alone
            return False
        return abs(one - other) <= tolerance * max(abs(one), abs(other))
    return False


def judged(pairs: Sequence[Pair], allowed: Mapping[str, float], shown: int = 5) -> Parity:
    """Return the verdict over a view's sample: one value that differs is a skew."""
    keys = len({pair.key for pair in pairs})
    if not pairs:
        return Parity(Verdict.INCONCLUSIVE, "the view has no key to sample")
    skew = [pair for pair in pairs if not same(pair, allowed)]
    known = sum(pair.known is not None for pair in pairs)
    of = f"{many(len(pairs), 'value')} of {many(keys, 'key')}"
    rests = f" ({known} known, {len(pairs) - known} unknown)" if known < len(pairs) else ""
    if not skew:
        return Parity(Verdict.PASSED, f"served as it was known: {of}{rests}", keys, {})
    counted = dict(sorted(Counter(pair.feature for pair in skew).items()))
    named = ", ".join(f"{feature} {times(count)}" for feature, count in counted.items())
    told = f"served otherwise than it was known: {len(skew)} of {of}{rests}: {named}"
    return Parity(Verdict.FAILED, told, keys, counted, tuple(skew[:shown]))
