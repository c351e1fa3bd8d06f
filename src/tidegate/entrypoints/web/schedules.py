"""Schedules: when each ran last and what came of it, what was missed, and when it runs next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.domain.state import RunRow
from tidegate.entrypoints.web.record import Note, Record

#: Tells the schedules at a moment, as `application.runs.schedule_status`, and why they cannot be read, if so.
Agenda = Callable[[datetime], tuple[Sequence[Mapping[str, Any]], str]]
#: How many missed slots are named; more are counted.
NAMED = 3


@dataclass(frozen=True)
class Scheduled:
    """One schedule. ``last`` and ``ran`` are None before its first run, ``next`` empty where none follows."""

    name: str
    cron: str
    timezone: str
    last: RunRow | None
    ran: Note | None
    missed: tuple[str, ...]
    next: str
    runs: int

    @property
    def named(self) -> tuple[str, ...]:
        """Return the first missed slots."""
        return self.missed[:NAMED]


def scheduled(record: Record, agenda: Agenda, now: datetime | None) -> tuple[tuple[Scheduled, ...], str]:
    """Return every schedule in the file's order, then those that ran once and are declared no more."""
    told, fault = agenda(now) if now is not None else ([], "")
    asked = {str(each["name"]): each for each in told}
    gone = sorted({row.schedule for row in record.state.select(RunRow)} - set(asked))
    return tuple(_scheduled(record, name, asked.get(name, {})) for name in (*asked, *gone)), fault


def _scheduled(record: Record, name: str, asked: Mapping[str, Any]) -> Scheduled:
    rows = record.state.select(RunRow, schedule=name)
    last = max(rows, key=lambda row: row.sequence, default=None)
    return Scheduled(
        name=name,
        cron=str(asked.get("cron", "")),
        timezone=str(asked.get("timezone", "")),
        last=last,
        ran=record.note(record.at(last.sequence)) if last else None,
        missed=tuple(asked.get("missed", ())),
        next=str(asked.get("next") or ""),
        runs=len(rows),
    )
