"""Evidence as it is shown: what a gate demanded and found, what a packet says beside it, what a monitor measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.application.packet import SECTIONS
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


@dataclass(frozen=True)
class Sliced:
    """The gain over the champion in one slice."""

    name: str
    value: str
    interval: str
    n: int
    surely: str


@dataclass(frozen=True)
class Opened:
    """What a sealed packet says beside what a gate found in it.

    ``gaps`` are the sections that nobody supplied, ``untested`` the slices that too few rows speak for.
    """

    champion: int
    slices: tuple[Sliced, ...] = ()
    untested: tuple[tuple[str, int], ...] = ()
    more_untested: int = 0
    least_rows: int = 0
    declared: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    returns_to: str = ""


def opened(body: Mapping[str, Any]) -> Opened:
    """Open a sealed packet; one of an older format says less."""
    against, untested = body.get("slices_against_champion", {}), body.get("untested_slices", {})
    gains, few = against.get("gains", {}), untested.get("slices", {})
    places, risks = decimals(gains.values()), body.get("open_risks", {})
    current = body.get("schema") == "tg.packet/3"
    return Opened(
        champion=int(against.get("champion", 0)),
        slices=tuple(
            Sliced(name, number(gain["value"], places), interval(gain, places), int(gain["n"]), _surely(gain))
            for name, gain in gains.items()
        ),
        untested=tuple((name, int(rows)) for name, rows in few.items()),
        more_untested=int(untested.get("count", 0)) - len(few),
        least_rows=int(untested.get("least_rows", 0)),
        declared=tuple(risks.get("declared", ())),
        found=tuple(each["sentence"] for each in risks.get("found", ())),
        gaps=tuple(name.replace("_", " ") for name in SECTIONS if current and body.get(name) in _NOTHING),
        returns_to=str(body.get("rollback_plan", {}).get("to", "")),
    )


_NOTHING: tuple[object, ...] = (None, "", {}, [])


def _surely(gain: Mapping[str, Any]) -> str:
    """Say in a word what the whole interval says."""
    if gain["low"] is not None and gain["low"] > 0:
        return "better"
    return "worse" if gain["high"] is not None and gain["high"] < 0 else "cannot tell"


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
