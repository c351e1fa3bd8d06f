"""Measured numbers as people read them: rounded alike, each interval drawn on its metric's own scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.domain.evidence import LOSSES

#: What a drawing is wide, in its own units; the style sheet says how wide that is on the page.
WIDTH = 100.0
_EDGE = 4.0
#: Below which magnitude a number is shown with how many decimals.
_DECIMALS = ((2.0, 4), (100.0, 2), (10_000.0, 1))


@dataclass(frozen=True)
class Drawing:
    """An interval on a scale from 0 to `WIDTH`. ``zero`` is where zero lies, if it is in sight."""

    low: float
    value: float
    high: float
    zero: float | None


@dataclass(frozen=True)
class Shown:
    """One measure: its number, its 95 % interval and n as text, and the interval drawn."""

    version: int
    value: str
    interval: str
    n: int
    method: str
    drawing: Drawing | None


@dataclass(frozen=True)
class Metric:
    """One metric of several versions, side by side.

    ``role`` says what it is to the model: ``loss`` for what its gates and canaries are judged by, ``skill`` for
    that loss against always saying the base rate; empty for all others.

    ``supposes`` says that it is another metric over again with outcomes supposed that were never observed
    (``brier_if_diverted_is_late``): how sensitive that one is, and not a finding of its own.
    """

    name: str
    rows: tuple[Shown, ...]
    supposes: bool
    role: str


def side_by_side(
    metrics: Mapping[int, Mapping[str, Any]], prediction: str = "probability"
) -> tuple[Metric, ...]:
    """Lay the metrics of several versions (by number) side by side, one scale per metric.

    What a model of this prediction is judged by comes first: its loss, then its skill.
    """
    every = sorted({name for measured in metrics.values() for name in measured})
    roles = {LOSSES.get(prediction, ""): "loss", "skill": "skill"}
    return tuple(
        _metric(
            name,
            {version: found[name] for version, found in metrics.items() if name in found},
            supposes="_if_" in name and name.partition("_if_")[0] in every,
            role=roles.get(name, ""),
        )
        for name in sorted(every, key=lambda name: (*(name != first for first in roles), name))
    )


def number(value: float | None, decimals: int = 4) -> str:
    """Return a number with its decimals and a true minus sign; a dash where it could not be measured."""
    if value is None:
        return "—"
    text = f"{value:,.{decimals}f}"
    return text.replace("-", "−") if any(char in "123456789" for char in text) else text.removeprefix("-")


def decimals(measures: Iterable[Mapping[str, Any]]) -> int:
    """Return how many decimals suit some measures together: four of shares, fewer of what is counted in units."""
    largest = max((abs(end) for each in measures for end in _ends(each)), default=0.0)
    return next((places for limit, places in _DECIMALS if largest < limit), 0)


def interval(measure: Mapping[str, Any], places: int = 4) -> str:
    """Return a 95 % interval as text, or nothing where the measure has none."""
    if measure.get("low") is None or measure.get("high") is None:
        return ""
    return f"{number(measure['low'], places)} to {number(measure['high'], places)}"


def drawing(measure: Mapping[str, Any]) -> Drawing | None:
    """Draw one interval together with zero, where the measure has one."""
    return _drawing(measure, [*_ends(measure), 0.0])


def _metric(name: str, measures: Mapping[int, Mapping[str, Any]], *, supposes: bool, role: str) -> Metric:
    ends = [end for each in measures.values() for end in _ends(each)]
    places = decimals(measures.values())
    rows = [
        Shown(
            version=version,
            value=number(each.get("value"), places),
            interval=interval(each, places),
            n=int(each.get("n", 0)),
            method=str(each.get("method", "")),
            drawing=_drawing(each, ends),
        )
        for version, each in measures.items()
    ]
    return Metric(name, tuple(rows), supposes, role)


def _ends(measure: Mapping[str, Any]) -> Iterable[float]:
    return [float(measure[end]) for end in ("low", "value", "high") if measure.get(end) is not None]


def _drawing(measure: Mapping[str, Any], ends: Sequence[float]) -> Drawing | None:
    own = list(_ends(measure))
    least, span = min(ends, default=0.0), max(ends, default=0.0) - min(ends, default=0.0)
    if len(own) != len(("low", "value", "high")) or span == 0.0:
        return None
    places = [_EDGE + (end - least) / span * (WIDTH - 2 * _EDGE) for end in (*own, 0.0)]
    low, value, high, zero = (round(place, 2) for place in places)
    return Drawing(low, value, high, zero if 0.0 <= zero <= WIDTH else None)
