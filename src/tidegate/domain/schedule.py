"""Scheduled runs: which slots of a schedule are due, which were missed, and what is run for them.

A slot is one moment at which a schedule asks for a run. What a slot asks for happens once, whoever started
it and however often (S1). A slot that nobody ran in time is missed and shown (S2); it is caught up, oldest
first, or, where only the latest state matters, by one run for the latest of them (S3). A schedule comes after
those whose work it needs: its slot waits while a slot of theirs, no later than it, was not run (S4). What was
run on a clock that was ahead of ours counts for nothing: such a slot is due when it comes (S5).

Pure: when a schedule's slots lie is told by an adapter that reads cron; here they are only compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

#: How long after its slot a run may start before the slot counts as missed.
GRACE = timedelta(hours=1)
#: Two clocks that agree may differ by this.
SKEW = timedelta(minutes=1)


class CatchUp(StrEnum):
    """What is done about several slots that were missed."""

    EACH = "each"  # every slot, oldest first
    LATEST = "latest"  # one run for the latest: it makes good for those before it


class Outcome(StrEnum):
    """What came of a slot that was run. A slot whose run failed has no outcome: it is still due."""

    DONE = "done"
    NOTHING = "nothing"  # there was nothing to do
    REFUSED = "refused"  # a rule said no to all of it


@dataclass(frozen=True)
class Schedule:
    """One deployment of a flow with a cron schedule, as the team declares it.

    ``after`` names the schedules that it comes after, directly or through others.
    """

    name: str
    flow: str
    cron: str
    timezone: str
    catch_up: CatchUp = CatchUp.EACH
    parameters: Mapping[str, object] = field(default_factory=dict)
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Due:
    """A slot to be run now; ``covers`` counts the earlier slots that this run makes good for."""

    slot: datetime
    covers: int = 0


def due(slots: Sequence[datetime], catch_up: CatchUp) -> tuple[Due, ...]:
    """Return what is to be run for slots that lie behind us and were not run, oldest first."""
    ordered = sorted(slots)
    if not ordered:
        return ()
    if catch_up is CatchUp.LATEST:
        return (Due(ordered[-1], len(ordered) - 1),)
    return tuple(Due(slot) for slot in ordered)


def in_order(asked: Sequence[tuple[Schedule, Sequence[datetime]]]) -> tuple[tuple[Schedule, Due], ...]:
    """Return what is to be run for the outstanding slots of several schedules, each run after those it waits for.

    Otherwise runs come in the order of their slots, at the same moment in the order the schedules are given
    in. One run that makes good for many is waited for since the earliest of them.
    """
    queues = [
        _Queue(schedule, sorted(slots), deque(due(slots, schedule.catch_up))) for schedule, slots in asked
    ]
    found: list[tuple[Schedule, Due]] = []
    while queues := [queue for queue in queues if queue.runs]:
        since = {queue.schedule.name: queue.since for queue in queues}
        ready = [
            queue
            for queue in queues
            if not any(name in since and since[name] <= queue.next for name in queue.schedule.after)
        ]
        queue = min(ready, key=lambda each: each.next)
        found.append((queue.schedule, queue.runs.popleft()))
    return tuple(found)


@dataclass(frozen=True)
class _Queue:
    schedule: Schedule
    slots: Sequence[datetime]
    runs: deque[Due]

    @property
    def next(self) -> datetime:
        return self.runs[0].slot

    @property
    def since(self) -> datetime:
        """Return the earliest slot that was not run."""
        return self.slots[0] if self.schedule.catch_up is CatchUp.LATEST else self.next


def missed(slots: Sequence[datetime], now: datetime, grace: timedelta = GRACE) -> tuple[datetime, ...]:
    """Return the slots that nobody ran within ``grace``, oldest first (S2)."""
    return tuple(slot for slot in sorted(slots) if now - slot > grace)


def period_before(moment: datetime) -> str:
    """Return the month that was last closed at a moment, like 2013-01: what a monthly run is about."""
    last = moment.astimezone(UTC).replace(day=1) - timedelta(days=1)
    return f"{last:%Y-%m}"


def periods_between(since: datetime, until: datetime) -> tuple[str, ...]:
    """Return the months that were not over at ``since`` and are at ``until``, like 2013-01, in their order."""
    found, last = [], period_before(since)
    while (period := period_before(until)) > last:
        found.append(period)
        until = until.astimezone(UTC).replace(day=1) - timedelta(days=1)
    return tuple(reversed(found))
