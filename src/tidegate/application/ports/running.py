"""Runs on a clock: which schedules there are, when they ask for a run, and whose turn it is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from tidegate.domain.schedule import Schedule


class Schedules(Protocol):
    """The team's schedules, in the orchestrator's own form, and its reading of cron."""

    def all(self) -> tuple[Schedule, ...]:
        """Return every active schedule in the file's order; none where there is no file.

        Raises:
            BadInput: the file breaks the format (all faults at once, each with its line).
        """
        ...

    def slots(self, schedule: Schedule, after: datetime, until: datetime) -> tuple[datetime, ...]:
        """Return the slots in (after, until], in UTC and ascending, on the wall clock of its time zone.

        What the wall clock shows twice is one slot, at the first showing.
        """
        ...

    def following(self, schedule: Schedule, after: datetime) -> datetime | None:
        """Return the first slot after a moment, in UTC; None if there is none within years."""
        ...


class Turns(Protocol):
    """One holder at a time, over all processes that share a ledger."""

    def take(self, name: str, wait: float = 0.0) -> AbstractContextManager[bool]:
        """Hold the turn of this name while the context lasts; yield False where another holds it.

        By default that is said at once; else after ``wait`` seconds in which the other did not end. A turn ends
        with its holder, however that one ends.

        Raises:
            DependencyFailed: nobody can tell whose turn it is.
        """
        ...
