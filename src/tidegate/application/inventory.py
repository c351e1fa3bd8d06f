"""The inventory: for each model who answers for it, what it is for, who acts on it, and when to look at it next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.application.ports import StateReader
from tidegate.application.resolve import carrying
from tidegate.domain.canonical import utc_time
from tidegate.domain.policy import Stage
from tidegate.domain.state import ModelRow, ReviewRow, VersionRow

#: What asks for the next review where no open review is due before it.
CERTIFICATE = "certificate"


@dataclass(frozen=True)
class Entry:
    """One model's line of the inventory. What nobody said, or what there is not, is empty; ``live`` is then 0.

    ``prediction`` and ``consumers`` are the live version's, else the newest one's: what it declared as it was
    trained. ``next_review`` is the earliest moment by which somebody must look: when the live version's
    certificate ends, or an open review of the model is due; ``review`` names that review, or ``certificate``.
    It may have passed: then ``overdue``.
    """

    model: str
    owner: str
    purpose: str
    tier: str
    prediction: str
    live: int
    by_break_glass: bool
    conditions: Mapping[str, Any]
    certified_until: str
    consumers: tuple[str, ...]
    next_review: str
    review: str
    overdue: bool


def inventory(state: StateReader, now: datetime | None) -> tuple[Entry, ...]:
    """Return every registered model's entry, by name. ``now`` tells what is overdue; without it nothing is."""
    rows = sorted(state.select(ModelRow), key=lambda row: row.name)
    return tuple(_entry(state, row, now) for row in rows)


def _entry(state: StateReader, model: ModelRow, now: datetime | None) -> Entry:
    versions = state.select(VersionRow, model=model.name)
    live = next((row for row in versions if row.stage == Stage.PROD), None)
    speaks = live or max(versions, key=lambda row: row.number, default=None)
    let_in = carrying(state, model.name, live.number) if live else None
    at, what = _next_review(state, model.name, live)
    return Entry(
        model=model.name,
        owner=model.owner,
        purpose=model.purpose,
        tier=model.tier,
        # Before there were two kinds it was not said, and was a probability.
        prediction=str(speaks.facts.get("prediction", "probability")) if speaks else "",
        live=live.number if live else 0,
        by_break_glass=let_in is not None and let_in.kind == "break_glass",
        conditions=live.conditions if live else {},
        certified_until=live.certified_until if live else "",
        consumers=tuple(speaks.facts.get("consumers", ())) if speaks else (),
        next_review=at,
        review=what,
        overdue=bool(at) and now is not None and utc_time(at) < now,
    )


def _next_review(state: StateReader, model: str, live: VersionRow | None) -> tuple[str, str]:
    """Return by when somebody must look next, and what asks for it; of two at one moment, the review."""
    waiting = [(row.due_at, row.id) for row in state.select(ReviewRow, model=model, status="open")]
    if live is not None:
        waiting.append((live.certified_until, CERTIFICATE))
    dated = [(at, what) for at, what in waiting if at]
    return min(dated, key=lambda each: (utc_time(each[0]), each[1] == CERTIFICATE, each[1]), default=("", ""))
