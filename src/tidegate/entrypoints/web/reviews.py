"""Open reviews: what did not pass, who is asked, and by when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.domain.canonical import utc_time
from tidegate.domain.evidence import Verdict
from tidegate.domain.state import ReviewRow
from tidegate.entrypoints.web.evidence import Found
from tidegate.entrypoints.web.monitors import Run
from tidegate.entrypoints.web.record import Note, Record


@dataclass(frozen=True)
class OpenReview:
    """A review nobody has decided yet: ``cause`` as recorded, ``causes`` the evidence behind it."""

    id: str
    model: str
    version: int
    period: str
    causes: tuple[Found, ...]
    cause: str
    role: str
    holders: tuple[str, ...]
    due_at: str
    overdue: bool
    opened: Note
    report: str


def reviews(record: Record, runs: Sequence[Run], now: datetime | None) -> tuple[OpenReview, ...]:
    """Return every open review, the most urgent first. ``now`` tells which are overdue."""
    by_review = {run.review: run for run in runs if run.review}
    rows = sorted(record.state.select(ReviewRow, status="open"), key=lambda row: (row.due_at, row.sequence))
    return tuple(_review(record, by_review.get(row.id), row, now) for row in rows)


def _review(record: Record, run: Run | None, row: ReviewRow, now: datetime | None) -> OpenReview:
    return OpenReview(
        id=row.id,
        model=row.model,
        version=row.version,
        period=row.period,
        causes=tuple(each for each in run.binding if each.verdict != Verdict.PASSED) if run else (),
        cause=row.cause,
        role=row.role,
        holders=record.holders(row.role),
        due_at=row.due_at,
        overdue=now is not None and utc_time(row.due_at) < now,
        opened=record.note(record.at(row.sequence)),
        report=run.report if run else "",
    )
