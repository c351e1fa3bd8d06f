"""Evidence as it is shown: what a gate demanded and found, and what a monitor measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.entrypoints.web.measures import decimals, interval, number


@dataclass(frozen=True)
class Demanded:
    """One demand of a gate and what was found. ``demanded`` is empty where the finding does not repeat it."""

    demand: str
    verdict: str
    demanded: str
    found: str


@dataclass(frozen=True)
class Found:
    """One piece of evidence, with its number, interval and n where it has one."""

    kind: str
    verdict: str
    sentence: str
    value: str
    interval: str
    n: int


def demanded(demand: str, verdict: str, told: str) -> Demanded:
    """Take a finding's sentence apart: what was demanded, and what was found."""
    found_, _, wish = told.rpartition("; demanded: ")
    return Demanded(demand, verdict, wish, found_) if found_ else Demanded(demand, verdict, "", told)


def found(evidence: Mapping[str, Any]) -> Found:
    """Return recorded evidence as it is shown; a kind like ``drift:hour`` keeps its column only."""
    measures = list(evidence["values"].values())
    first: Mapping[str, Any] = measures[0] if measures else {}
    places = decimals([first])
    return Found(
        kind=str(evidence["kind"]).removeprefix("drift:"),
        verdict=str(evidence["verdict"]),
        sentence=str(evidence["sentence"]),
        value=number(first.get("value"), places) if first else "",
        interval=interval(first, places),
        n=int(first.get("n", 0)),
    )
