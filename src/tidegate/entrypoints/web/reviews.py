"""Open reviews: what did not pass, who is asked, and by when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.application.follow import DOING
from tidegate.application.standing import overdue
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.state import CanaryRow, ReviewRow
from tidegate.entrypoints.web.evidence import Found
from tidegate.entrypoints.web.monitors import Run
from tidegate.entrypoints.web.record import Note, Record


@dataclass(frozen=True)
class OpenReview:
    """A review nobody has decided yet: ``cause`` as recorded, ``causes`` the evidence behind it.

    ``canary`` says that a canary asked for it, and not a monitor.
    """

    id: str
    model: str
    version: int
    period: str
    kind: str
    causes: tuple[Found, ...]
    cause: str
    role: str
    holders: tuple[str, ...]
    due_at: str
    overdue: bool
    opened: Note
    report: str
    canary: bool


@dataclass(frozen=True)
class Decided:
    """A review that was decided, and what was done about it.

    ``outstanding`` says that its outcome asks for something that was not done yet.
    """

    id: str
    model: str
    version: int
    period: str
    cause: str
    outcome: str
    note: Note
    followed: str
    done: Note | None
    outstanding: bool


def decided(record: Record) -> tuple[Decided, ...]:
    """Return every decided review, the latest decision first."""
    done = {event.payload["id"]: event for event in record.of(EventType.REVIEW_FOLLOWED)}
    found = []
    for event in reversed(record.of(EventType.REVIEW_DECIDED)):
        row = record.state.get(ReviewRow, event.payload["id"])
        if row is not None:
            found.append(
                Decided(
                    id=row.id,
                    model=row.model,
                    version=row.version,
                    period=row.period,
                    cause=row.cause,
                    outcome=row.outcome,
                    note=record.note(event),
                    followed=row.followed,
                    done=record.note(done[row.id]) if row.id in done else None,
                    outstanding=row.outcome in DOING and not row.followed,
                )
            )
    return tuple(found)


def reviews(record: Record, runs: Sequence[Run], now: datetime | None) -> tuple[OpenReview, ...]:
    """Return every open review, the most urgent first. ``now`` tells which are overdue."""
    by_review = {run.review: run for run in runs if run.review}
    # A monitor that looked again while a review was open asks for no other: its latest run is what it saw.
    latest = {(run.model, run.version, run.period): run for run in runs}
    rows = sorted(record.state.select(ReviewRow, status="open"), key=lambda row: (row.due_at, row.sequence))
    return tuple(
        _review(record, by_review.get(row.id) or latest.get((row.model, row.version, row.period)), row, now)
        for row in rows
    )


def _review(record: Record, run: Run | None, row: ReviewRow, now: datetime | None) -> OpenReview:
    return OpenReview(
        id=row.id,
        model=row.model,
        version=row.version,
        period=row.period,
        kind=row.kind.replace("_", " "),
        causes=tuple(each for each in run.binding if each.verdict != Verdict.PASSED) if run else (),
        cause=row.cause,
        role=row.role,
        holders=record.holders(row.role),
        due_at=row.due_at,
        overdue=now is not None and row in overdue(record.state, now),
        opened=record.note(record.at(row.sequence)),
        report=run.report if run else "",
        canary=bool(record.state.select(CanaryRow, review=row.id)),
    )
