"""What changes by the hour, asked at the moment a version would enter prod (`domain.lifecycle.Precondition`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from tidegate.application.freshness import fresh_views
from tidegate.application.ports import Ledger, StateReader
from tidegate.application.revisions import in_force, period_window
from tidegate.domain.canonical import utc_time
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput
from tidegate.domain.events import Event, EventType
from tidegate.domain.lifecycle import Precondition, WayBack, time_for
from tidegate.domain.policy import Policy, Stage
from tidegate.domain.state import BatchRow, VersionRow

_TAKEN_OUT = {EventType.MODEL_ROLLED_BACK, EventType.MODEL_STOPPED, EventType.APPROVAL_REVOKED}


def preconditions(
    state: StateReader,
    policy: Policy,
    version: VersionRow,
    datasets: Sequence[str],
    way_back: WayBack,
    taken_out: Sequence[datetime],
    now: datetime,
) -> tuple[Precondition, ...]:
    """Return what the policy asks of this moment, and whether it holds."""
    asked = [*_asked(state, policy, datasets, way_back, taken_out, now)]
    return (*asked, *([fresh_views(state, version, now)] if policy.preconditions.fresh_views else []))


def taken_out_at(ledger: Ledger, model: str) -> tuple[datetime, ...]:
    """Return when versions of a model were taken out of prod."""
    events = ledger.events(stream=f"model/{model}")
    return tuple(utc_time(event.occurred_at) for event in events if takes_out(event))


def takes_out(event: Event) -> bool:
    """Say whether an event took a version out of prod, other than by replacing it."""
    return event.type in _TAKEN_OUT and any(move["from"] == Stage.PROD for move in event.payload["moves"])


def _asked(
    state: StateReader,
    policy: Policy,
    datasets: Sequence[str],
    way_back: WayBack,
    taken_out: Sequence[datetime],
    now: datetime,
) -> Iterator[Precondition]:
    asked = policy.preconditions
    if (hours := asked.rehearsed_hours) is not None:
        age = now - utc_time(way_back.at) if way_back.at else None
        holds = None if age is None else age <= timedelta(hours=hours)
        got = "never" if age is None else f"{_hours(age)} ago"
        sentence = f"the way back was tried {got}, expected at most {hours} h ago"
        yield Precondition("rehearsed", "P8", holds, sentence, "ask again: it is tried at each request")
    if (days := asked.fresh_days) is not None:
        yield _fresh(state, datasets, days, now)
    if asked.failed_changes is not None:
        most, days = asked.failed_changes
        count = sum(1 for moment in taken_out if now - moment <= timedelta(days=days))
        sentence = f"got {many(count, 'version')} taken out of prod within {many(days, 'day')}, expected at most {most}"
        step = "find the cause; the budget renews itself with time"
        yield Precondition("failed_changes", "P8", count <= most, sentence, step)


def _fresh(state: StateReader, datasets: Sequence[str], days: int, now: datetime) -> Precondition:
    marks, ages = state.marks(), dict[str, timedelta]()
    for row in in_force(state):
        time = time_for(marks, row.sequence, now)
        age = time - _speaks_until(row, time)
        ages[row.dataset] = min(age, ages.get(row.dataset, age))
    missing = [name for name in datasets if name not in ages]
    oldest = max(((ages[name], name) for name in datasets if name in ages), default=None)
    step = "ingest what is late"
    if missing or oldest is None:
        sentence = f"no batch of {', '.join(missing) or 'any dataset'} was accepted, expected a fresh one"
        return Precondition("fresh", "P8", None, sentence, step)
    age, dataset = oldest
    sentence = f"the newest batch of {dataset} is {age.days} days old, expected at most {days}"
    return Precondition("fresh", "P8", age <= timedelta(days=days), sentence, step)


def _speaks_until(row: BatchRow, now: datetime) -> datetime:
    """Return the moment from which a batch grows old: its acceptance or, if that is later, the end of its period.

    A yearly list that came in January is no older in May: the period that it covers has not ended.
    """
    accepted = utc_time(row.occurred_at)
    try:
        start, end = period_window(row.period)
    except BadInput:  # a drop that names no period
        return accepted
    return max(accepted, min(end, now)) if start <= now else accepted


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} h"
