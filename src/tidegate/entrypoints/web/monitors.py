"""What monitors saw, and what people concluded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.domain.events import EventType
from tidegate.domain.state import MonitorRow, ReviewRow
from tidegate.entrypoints.web.measures import interval, number
from tidegate.entrypoints.web.record import Note, Record


@dataclass(frozen=True)
class Found:
    """One piece of evidence: its kind and verdict, a sentence, and its number with interval and n where it has one."""

    kind: str
    verdict: str
    sentence: str
    value: str
    interval: str
    n: int


@dataclass(frozen=True)
class Run:
    """One run of a monitor. ``report`` links to its report, empty where the file is not there."""

    model: str
    version: int
    period: str
    verdict: str
    tool: str
    binding: tuple[Found, ...]
    information: tuple[Found, ...]
    report: str
    report_digest: str
    ran: Note | None
    review: str
    outcome: str
    decided: Note | None


def runs(record: Record, reports: Path, link: str) -> tuple[Run, ...]:
    """Return every monitor run, the latest first.

    ``reports`` is where report files lie, named by their digest; ``link`` leads there from the page.
    """
    decided = {event.payload["id"]: event for event in record.of(EventType.REVIEW_DECIDED)}
    rows = sorted(record.state.select(MonitorRow), key=lambda row: -row.sequence)
    made = []
    for row in rows:
        file = f"{row.report.removeprefix('sha256:')}.html"
        review = record.state.get(ReviewRow, row.review) if row.review else None
        ran, decision = record.at(row.sequence), decided.get(row.review)
        made.append(
            Run(
                model=row.model,
                version=row.version,
                period=row.period,
                verdict=row.verdict,
                tool=str(row.evidence.get("tool", "")),
                binding=tuple(map(found, row.evidence["binding"])),
                information=tuple(map(found, row.evidence["information"])),
                report=f"{link}/{file}" if (reports / file).is_file() else "",
                report_digest=row.report,
                ran=record.note(ran) if ran else None,
                review=row.review,
                outcome=review.outcome if review else "",
                decided=record.note(decision) if decision else None,
            )
        )
    return tuple(made)


def found(evidence: Mapping[str, Any]) -> Found:
    """Return recorded evidence as it is shown; a kind like ``drift:hour`` keeps its column only."""
    measures = list(evidence["values"].values())
    first: Mapping[str, Any] = measures[0] if measures else {}
    return Found(
        kind=str(evidence["kind"]).removeprefix("drift:"),
        verdict=str(evidence["verdict"]),
        sentence=str(evidence["sentence"]),
        value=number(first.get("value")) if first else "",
        interval=interval(first),
        n=int(first.get("n", 0)),
    )
