"""Schedules whose slots lie where a test puts them, and turns within one process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from tidegate.domain.schedule import Schedule


@dataclass
class FakeSchedules:
    """``when`` names the slots of each schedule, in any order."""

    schedules: tuple[Schedule, ...] = ()
    when: Mapping[str, Sequence[datetime]] = field(default_factory=dict)

    def all(self) -> tuple[Schedule, ...]:
        return self.schedules

    def slots(self, schedule: Schedule, after: datetime, until: datetime) -> tuple[datetime, ...]:
        return tuple(sorted({slot for slot in self.when.get(schedule.name, ()) if after < slot <= until}))

    def following(self, schedule: Schedule, after: datetime) -> datetime | None:
        return min((slot for slot in self.when.get(schedule.name, ()) if slot > after), default=None)


@dataclass
class FakeTurns:
    """Two that are to exclude each other share ``held``, a lock by name."""

    held: dict[str, Lock] = field(default_factory=dict)

    @contextmanager
    def take(self, name: str, wait: float = 0.0) -> Iterator[bool]:
        lock = self.held.setdefault(name, Lock())
        mine = lock.acquire(timeout=wait)
        try:
            yield mine
        finally:
            if mine:
                lock.release()
