"""The timeline: every event in a sentence, by day, in the order of the chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tidegate.domain.events import EventType
from tidegate.entrypoints.web.record import Note, Record

#: How many events a page holds; the log holds all.
LAST = 1000
#: A run of this many account events or more is folded into one line.
FOLDED = 4
_ACCOUNTS = frozenset(
    {
        EventType.ACTOR_ADDED,
        EventType.ROLES_CHANGED,
        EventType.CREDENTIAL_ISSUED,
        EventType.CREDENTIAL_REVOKED,
    }
)


@dataclass(frozen=True)
class Stretch:
    """Events that follow each other on one day; ``folded`` where they are many and all about accounts."""

    folded: bool
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Day:
    """One day of the record."""

    date: str
    stretches: tuple[Stretch, ...]


def days(record: Record) -> tuple[Day, ...]:
    """Return the last events by day, in the order of the chain."""
    notes = [record.note(event) for event in record.events[-LAST:]]
    dated = groupby(notes, key=lambda note: note.at[:10])
    return tuple(Day(date, _stretches(list(each))) for date, each in dated)


def _stretches(notes: Sequence[Note]) -> tuple[Stretch, ...]:
    made: list[Stretch] = []
    for accounts, run in groupby(notes, key=lambda note: note.type in _ACCOUNTS):
        told = tuple(run)
        folded = accounts and len(told) >= FOLDED
        if made and not folded and not made[-1].folded:
            made[-1] = Stretch(folded=False, notes=(*made[-1].notes, *told))
        else:
            made.append(Stretch(folded, told))
    return tuple(made)
