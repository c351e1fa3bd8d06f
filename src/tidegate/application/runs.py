"""Runs of schedules: what is due, what was missed, and that each slot counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader
from tidegate.application.recording import draft, permit
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.events import EventType
from tidegate.domain.schedule import Due, Outcome, Schedule, due, missed
from tidegate.domain.state import RunRow

#: How much of a summary is kept in the record.
MAX_SUMMARY = 500
#: Refusals that only say there is nothing to work on yet.
IDLE = frozenset({"no-data", "nothing-to-score", "nothing-to-score-with", "not-scored"})


@dataclass(frozen=True)
class Outstanding:
    """A schedule, its last run if it ever ran, and the slots behind us that were not run since."""

    schedule: Schedule
    last: RunRow | None
    slots: tuple[datetime, ...]


def outstanding(platform: Platform, now: datetime) -> tuple[Outstanding, ...]:
    """Return every schedule with its slots that lie behind ``now`` and were not run, in the file's order.

    A schedule that never ran has at most one: its latest slot since the ledger was opened. What a new
    schedule would have done before it was written is nobody's debt.

    Raises:
        BadInput: the schedules' file breaks the format.
    """
    return tuple(_outstanding(platform, schedule, now) for schedule in platform.schedules.all())


def agenda(platform: Platform, now: datetime) -> tuple[tuple[Schedule, Due], ...]:
    """Return all that is to be run now, by slot over all schedules; at the same moment, in the file's order.

    Raises:
        BadInput: the schedules' file breaks the format.
    """
    asked = [
        (item.schedule, each)
        for item in outstanding(platform, now)
        for each in due(item.slots, item.schedule.catch_up)
    ]
    return tuple(sorted(asked, key=lambda pair: pair[1].slot))


def due_by(platform: Platform, schedule: Schedule, slot: datetime) -> tuple[Due, ...]:
    """Return what a run that was started for ``slot`` has to do: slots before it that were missed, and itself.

    Nothing, where the slot was run or made good for. A slot that an orchestrator added by itself, beside
    those the team declares, is taken as it is.

    Raises:
        BadInput: the schedules' file breaks the format.
    """
    last = _last(platform.ledger.state(), schedule.name)
    if last is not None and utc_time(last.slot) >= slot:
        return ()
    declared = schedule in platform.schedules.all()
    before = _outstanding(platform, schedule, slot).slots if declared else ()
    return due(sorted({*before, slot}), schedule.catch_up)


def finish(
    platform: Platform,
    acting: Acting,
    schedule: str,
    slot: datetime,
    outcome: Outcome,
    summary: str,
    covers: int = 0,
) -> RunRow:
    """Record what came of a slot; a slot that is recorded stays as it is (S1).

    Raises:
        Refused: rule A1.
    """
    permit(platform, acting, Permission.RUN, f"schedule/{schedule}")
    name = utc_text(slot)
    payload = {
        "schedule": schedule,
        "slot": name,
        "outcome": str(outcome),
        "summary": summary if len(summary) <= MAX_SUMMARY else f"{summary[: MAX_SUMMARY - 1]}…",
        "covers": covers,
    }
    with platform.ledger.transaction() as tx:
        if tx.get(RunRow, schedule, name) is None:
            key = f"run/{schedule}/{name}"
            tx.append(draft(acting, EventType.RUN_FINISHED, f"schedule/{schedule}", payload, key=key))
        row = tx.get(RunRow, schedule, name)
    assert row is not None  # the fold of the event just appended
    return row


def story_of(schedule: str, slot: datetime) -> str:
    """Return the correlation of everything that is written for a slot, by whichever attempt."""
    return f"schedule/{schedule}/{utc_text(slot)}"


def what_came(
    platform: Platform, schedule: str, slot: datetime, refusals: Sequence[tuple[str, str]] = ()
) -> tuple[Outcome, str]:
    """Return what came of a slot, in a word and in a summary, read off the record.

    An attempt that was killed leaves events, and the next one has less to do: read off the record, both
    together come to what one uninterrupted run comes to. ``refusals`` are (code, sentence) of what was
    refused without an event.
    """
    last = _last(platform.ledger.state(), schedule)
    story = story_of(schedule, slot)
    written = [
        event.type
        for event in platform.ledger.events(after=last.sequence if last else 0)
        if event.correlation == story
    ]
    counts = Counter(written)
    told = [str(kind) if count == 1 else f"{count} {kind}" for kind, count in counts.items()]
    summary = "; ".join([*([", ".join(told)] if told else []), *(sentence for _, sentence in refusals)])
    if set(counts) - {EventType.ACTION_REFUSED}:
        return Outcome.DONE, summary
    if counts or any(code not in IDLE for code, _ in refusals):
        return Outcome.REFUSED, summary
    return Outcome.NOTHING, summary or "nothing new to do"


def schedule_status(platform: Platform, now: datetime) -> list[dict[str, Any]]:
    """Return each schedule with its last run, the slots nobody ran in time (S2), and the next one.

    Raises:
        BadInput: the schedules' file breaks the format.
    """
    found = []
    for item in outstanding(platform, now):
        following = platform.schedules.following(item.schedule, now)
        last = item.last
        found.append(
            {
                "name": item.schedule.name,
                "cron": item.schedule.cron,
                "timezone": item.schedule.timezone,
                "last": {"slot": last.slot, "outcome": last.outcome, "summary": last.summary}
                if last
                else None,
                "missed": [utc_text(slot) for slot in missed(item.slots, now)],
                "next": utc_text(following) if following else None,
            }
        )
    return found


def _outstanding(platform: Platform, schedule: Schedule, now: datetime) -> Outstanding:
    last = _last(platform.ledger.state(), schedule.name)
    if last is not None:
        return Outstanding(schedule, last, platform.schedules.slots(schedule, utc_time(last.slot), now))
    opening = next(iter(platform.ledger.events(stream="ledger")), None)
    slots = platform.schedules.slots(schedule, utc_time(opening.occurred_at), now) if opening else ()
    return Outstanding(schedule, None, slots[-1:])


def _last(state: StateReader, schedule: str) -> RunRow | None:
    return max(state.select(RunRow, schedule=schedule), key=lambda row: utc_time(row.slot), default=None)
