"""Runs of schedules: what is due, what was missed, what waits, and that each slot counts once.

A run that was recorded on a clock ahead of the present one (`ahead`) is no ground for anything here: the clock
was wrong then or is wrong now, and either way the slots between are somebody's to run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.application.moments import happened
from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import draft, permit
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.events import EventType
from tidegate.domain.schedule import SKEW, Due, Outcome, Schedule, due, in_order, missed
from tidegate.domain.state import RunRow

#: How much of a summary is kept in the record.
MAX_SUMMARY = 500
#: Refusals that only say there is nothing to work on yet.
IDLE = frozenset({"no-data", "nothing-to-score", "nothing-to-score-with", "not-scored"})


@dataclass(frozen=True)
class Outstanding:
    """A schedule, its last run if it ever ran, and the slots behind us that were not run since.

    ``ahead`` are the slots that were run on a clock ahead of this one: they do not count.
    """

    schedule: Schedule
    last: RunRow | None
    slots: tuple[datetime, ...]
    ahead: tuple[datetime, ...] = ()


def outstanding(platform: Platform, now: datetime) -> tuple[Outstanding, ...]:
    """Return every schedule with its slots that lie behind ``now`` and were not run, in the file's order.

    A schedule that never ran has at most one: its latest slot since the ledger was opened. What a new
    schedule would have done before it was written is nobody's debt.

    Raises:
        BadInput: the schedules' file breaks the format.
    """
    return tuple(_outstanding(platform, schedule, now) for schedule in platform.schedules.all())


def agenda(platform: Platform, now: datetime) -> tuple[tuple[Schedule, Due], ...]:
    """Return all that is to be run now, in the order in which nothing has to wait (`domain.schedule.in_order`).

    Raises:
        BadInput: the schedules' file breaks the format.
    """
    return in_order([(item.schedule, item.slots) for item in outstanding(platform, now)])


def due_by(platform: Platform, schedule: Schedule, slot: datetime) -> tuple[Due, ...]:
    """Return what a run that was started for ``slot`` has to do: slots before it that were missed, and itself.

    Nothing, where the slot was run or made good for. A slot that an orchestrator added by itself, beside
    those the team declares, is taken as it is.

    Raises:
        BadInput: the schedules' file breaks the format.
    """
    last, _ = _counted(platform, schedule.name)
    if last is not None and utc_time(last.slot) >= slot:
        return ()
    declared = schedule in platform.schedules.all()
    before = _outstanding(platform, schedule, slot).slots if declared else ()
    return due(sorted({*before, slot}), schedule.catch_up)


def waits_for(platform: Platform, schedule: Schedule, slot: datetime) -> tuple[str, datetime] | None:
    """Return the first slot that one of this schedule has to wait for (S4), with its schedule's name, or None.

    Raises:
        BadInput: the schedules' file breaks the format.
    """
    before = [each for each in platform.schedules.all() if each.name in schedule.after]
    found = [(each.name, slots[0]) for each in before if (slots := _outstanding(platform, each, slot).slots)]
    return min(found, key=lambda pair: pair[1], default=None)


def finish(
    platform: Platform,
    acting: Acting,
    schedule: str,
    slot: datetime,
    outcome: Outcome,
    summary: str,
    covers: int = 0,
) -> RunRow:
    """Record what came of a slot; a slot that is recorded stays as it is (S1), unless that was ahead of the clock.

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
        before, now = tx.get(RunRow, schedule, name), platform.clock.now()
        if before is None or utc_time(before.occurred_at) > now + SKEW:
            key = f"run/{schedule}/{name}" + (f"/{before.sequence}" if before else "")
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
    recorded = [row.sequence for row in platform.ledger.state().select(RunRow, schedule=schedule)]
    story = story_of(schedule, slot)
    written = [
        event.type
        for event in platform.ledger.events(after=max(recorded, default=0))
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

    ``ahead`` has the slots that were run on a clock ahead of this one, and do not count (S5).

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
                "ahead": [utc_text(slot) for slot in item.ahead],
                "next": utc_text(following) if following else None,
            }
        )
    return found


def ran_ahead(item: Mapping[str, Any]) -> str:
    """Return one sentence about the ``ahead`` slots of one of `schedule_status`'s schedules."""
    slots = item["ahead"]
    told = f"the slot {slots[0]}" if len(slots) == 1 else f"{len(slots)} slots up to {slots[-1]}"
    return f"{item['name']} has {told} recorded on a clock ahead of this one; that counts for nothing here"


def ahead(row: RunRow, now: datetime) -> bool:
    """Say whether a run, or its slot, lies ahead of ``now`` by more than clocks that agree may differ."""
    return max(utc_time(row.slot), utc_time(row.occurred_at)) > now + SKEW


def _outstanding(platform: Platform, schedule: Schedule, until: datetime) -> Outstanding:
    last, too_soon = _counted(platform, schedule.name)
    if last is not None:
        slots = platform.schedules.slots(schedule, utc_time(last.slot), until)
        return Outstanding(schedule, last, slots, too_soon)
    opening = next(iter(platform.ledger.events(stream="ledger")), None)
    if opening is None:
        return Outstanding(schedule, None, (), too_soon)
    slots = platform.schedules.slots(schedule, happened(platform, opening), until)
    return Outstanding(schedule, None, slots[-1:], too_soon)


def _counted(platform: Platform, schedule: str) -> tuple[RunRow | None, tuple[datetime, ...]]:
    """Return the last run that counts on the present clock, and the slots of those that do not."""
    now, rows = platform.clock.now(), platform.ledger.state().select(RunRow, schedule=schedule)
    too_soon = sorted(utc_time(row.slot) for row in rows if ahead(row, now))
    counted = [row for row in rows if not ahead(row, now)]
    # Read as times: as text, half a second sorts before the whole one.
    return max(counted, key=lambda row: utc_time(row.slot), default=None), tuple(too_soon)
