"""The timeline: every event in a sentence, by month and day, in the order of the chain.

A year is hundreds of events, and most are the machinery's own. Months are folded but the last; of each month
what people decided, what was refused and what moved is counted in its heading; and within a day stretches of
routine are folded. Nothing is left out: what is folded is in the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tidegate.domain.events import Event, EventType
from tidegate.entrypoints.web.record import Note, Record

#: How many events a page holds; the log holds all.
LAST = 1000
#: A run of this many events of one kind of routine, or more, is folded into one line.
FOLDED = 4
#: What is routine, by what its fold is called: nobody decided it, and nothing stood elsewhere afterwards.
ROUTINE: Mapping[EventType, str] = {
    EventType.ACTOR_ADDED: "Accounts and tokens",
    EventType.ROLES_CHANGED: "Accounts and tokens",
    EventType.CREDENTIAL_ISSUED: "Accounts and tokens",
    EventType.CREDENTIAL_REVOKED: "Accounts and tokens",
    EventType.BATCH_ACCEPTED: "Data and runs",
    EventType.FEATURES_BUILT: "Data and runs",
    EventType.FEATURES_MATERIALIZED: "Data and runs",
    EventType.FEATURES_COMPARED: "Data and runs",
    EventType.FEATURES_READ: "Data and runs",
    EventType.FEATURES_MEASURED: "Data and runs",
    EventType.FEATURES_JUDGED: "Data and runs",
    EventType.DECISIONS_SCORED: "Data and runs",
    EventType.TRAINING_SET_BUILT: "Data and runs",
    EventType.RUN_FINISHED: "Data and runs",
}
#: What a month's heading counts, in this order: what somebody looks for.
COUNTED: Mapping[str, frozenset[EventType]] = {
    "refused": frozenset({EventType.ACTION_REFUSED, EventType.DROP_REFUSED, EventType.BATCH_REFUSED}),
    "promoted": frozenset({EventType.PROMOTION_APPLIED}),
    "rejected": frozenset({EventType.PROMOTION_REJECTED}),
    "taken down": frozenset(
        {
            EventType.MODEL_ROLLED_BACK,
            EventType.MODEL_STOPPED,
            EventType.VERSION_DEMOTED,
            EventType.VERSION_RETIRED,
        }
    ),
    "reviews opened": frozenset({EventType.REVIEW_OPENED}),
    "reviews decided": frozenset({EventType.REVIEW_DECIDED}),
    "versions": frozenset({EventType.VERSION_REGISTERED}),
}
#: A batch that restates a period is none of the routine, and is counted under this word.
RESTATED = "restated"


@dataclass(frozen=True)
class Stretch:
    """Events that follow each other on one day; ``folded`` names what they are where they are many and routine."""

    folded: str
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Day:
    """One day of the record."""

    date: str
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True)
class Month:
    """One month of the record, like 2013-05; ``counts`` says how often what people look for happened in it."""

    name: str
    days: tuple[Day, ...]
    counts: tuple[tuple[str, int], ...]
    open: bool

    @property
    def told(self) -> int:
        """Count its events."""
        return sum(len(stretch.notes) for day in self.days for stretch in day.stretches)


def months(record: Record) -> tuple[Month, ...]:
    """Return the last events by month and day, in the order of the chain; the last month is open."""
    events = record.events[-LAST:]
    last = events[-1].occurred_at[:7] if events else ""
    # A clock may jump back: then a month comes twice, each time with what happened then.
    by_month = groupby(events, key=lambda event: event.occurred_at[:7])
    return tuple(_month(record, name, list(each), open_=name == last) for name, each in by_month)


def _month(record: Record, name: str, events: Sequence[Event], *, open_: bool) -> Month:
    seen = Counter(event.type for event in events)
    counts = [(word, sum(seen[kind] for kind in kinds)) for word, kinds in COUNTED.items()]
    counts.append((RESTATED, sum(_restates(event) for event in events)))
    by_day = groupby(events, key=lambda event: event.occurred_at[:10])
    days = tuple(Day(date, _stretches(record, list(each))) for date, each in by_day)
    return Month(name, days, tuple((word, count) for word, count in counts if count), open_)


def _restates(event: Event) -> bool:
    return event.type is EventType.BATCH_ACCEPTED and bool(event.payload["supersedes"])


def _stretches(record: Record, events: Sequence[Event]) -> tuple[Stretch, ...]:
    def routine(event: Event) -> str:
        return "" if _restates(event) else ROUTINE.get(event.type, "")

    made: list[Stretch] = []
    for name, run in groupby(events, key=routine):
        told = tuple(record.note(event) for event in run)
        folded = name if len(told) >= FOLDED else ""
        if made and not folded and not made[-1].folded:
            made[-1] = Stretch("", (*made[-1].notes, *told))
        else:
            made.append(Stretch(folded, told))
    return tuple(made)
