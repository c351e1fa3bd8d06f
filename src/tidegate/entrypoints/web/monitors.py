"""What monitors saw, and what people concluded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tidegate.application.follow import DOING
from tidegate.domain.events import EventType
from tidegate.domain.state import MonitorRow, ReviewRow
from tidegate.entrypoints.web.evidence import Found, found
from tidegate.entrypoints.web.record import Note, Record


@dataclass(frozen=True)
class Run:
    """One run of a monitor. ``report`` links to its report, empty where the file is not there.

    ``followed`` says what was done about the review's outcome; ``outstanding`` that it asks for something that was
    not done yet. ``open`` says that it is the latest of its model: earlier ones are folded, and what of them
    waits for a person stands among what waits.
    """

    model: str
    version: int
    period: str
    verdict: str
    tool: str
    binding: tuple[Found, ...]
    information: tuple[Found, ...]
    report: str
    report_digest: str
    ran: Note
    review: str
    outcome: str
    decided: Note | None
    followed: str
    outstanding: bool
    open: bool


def runs(record: Record, reports: Path, link: str) -> tuple[Run, ...]:
    """Return every monitor run, the latest first.

    ``reports`` is where report files lie, named by their digest; ``link`` leads there from the page.
    """
    decided = {event.payload["id"]: event for event in record.of(EventType.REVIEW_DECIDED)}
    rows = sorted(record.state.select(MonitorRow), key=lambda row: -row.sequence)
    made: list[Run] = []
    for row in rows:
        review = record.state.get(ReviewRow, row.review) if row.review else None
        decision = decided.get(row.review)
        asks = review is not None and review.outcome in DOING and not review.followed
        made.append(
            Run(
                model=row.model,
                version=row.version,
                period=row.period,
                verdict=row.verdict,
                tool=str(row.evidence.get("tool", "")),
                binding=tuple(map(found, row.evidence["binding"])),
                information=tuple(map(found, row.evidence["information"])),
                report=_link(row.report, reports, link),
                report_digest=row.report,
                ran=record.note(record.at(row.sequence)),
                review=row.review,
                outcome=review.outcome if review else "",
                decided=record.note(decision) if decision else None,
                followed=review.followed if review else "",
                outstanding=asks,
                open=row.model not in {run.model for run in made},
            )
        )
    return tuple(made)


def _link(digest: str, reports: Path, link: str) -> str:
    """Return where the report lies as seen from the page, if it is there; only a digest names a report."""
    name = re.fullmatch(r"sha256:([0-9a-f]{64})", digest)
    file = f"{name.group(1)}.html" if name else ""
    return f"{link}/{file}" if name and (reports / file).is_file() else ""
