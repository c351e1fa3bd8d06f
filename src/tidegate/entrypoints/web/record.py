"""One reading of the ledger: the state as of one event, and every event told in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tidegate.application.people import names
from tidegate.application.ports import Ledger, StateReader
from tidegate.application.revisions import in_force
from tidegate.application.timeline import sentence
from tidegate.domain.canonical import NO_DIGEST
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView, take
from tidegate.domain.state import ActorRow, BatchRow, State

#: What is shown of a reason whose text was erased: that there was one stays on the record.
ERASED = "(this reason was erased; its commitment stays on the record)"


@dataclass(frozen=True)
class Note:
    """One event in words. ``reason`` is empty where nobody gave one."""

    sequence: int
    at: str
    actor: str
    who: str
    on_behalf_of: str
    sentence: str
    reason: str
    hash: str
    type: EventType

    @property
    def refused(self) -> bool:
        """Say whether this event is a refusal."""
        return self.type in {EventType.ACTION_REFUSED, EventType.BATCH_REFUSED, EventType.DROP_REFUSED}


class Record:
    """All events up to one moment, and the state folded from exactly these.

    Folding here, and not reading the tables, keeps a page whole while others write: everything on it is
    as of one event.
    """

    def __init__(
        self, events: Sequence[Event], called: Mapping[str, str], text: Callable[[str], str | None]
    ) -> None:
        self.events = tuple(events)
        self._called, self._text = called, text
        self._of_type: dict[EventType, list[Event]] = defaultdict(list)
        state = State()
        view = StateView(state)
        for event in self.events:
            self._of_type[event.type].append(event)
            take(state, view, event)
        self.state: StateReader = view
        self._places = {event.sequence: event for event in self.events}

    @classmethod
    def read(cls, ledger: Ledger) -> Record:
        """Read the whole ledger once."""
        return cls(tuple(ledger.events()), names(ledger), ledger.text)

    @cached_property
    def replaced(self) -> frozenset[str]:
        """Return the accepted batches that are in force no more."""
        current = {row.batch for row in in_force(self.state)}
        return frozenset(row.batch for row in self.state.select(BatchRow) if row.batch) - current

    @property
    def last(self) -> Event | None:
        """Return the last event, if there is one."""
        return self.events[-1] if self.events else None

    @property
    def head(self) -> str:
        """Return the hash that the chain ends with."""
        return self.last.hash if self.last else NO_DIGEST

    def of(self, *types: EventType) -> list[Event]:
        """Return the events of these types, in order."""
        found = [event for kind in types for event in self._of_type[kind]]
        return sorted(found, key=lambda event: event.sequence)

    def at(self, sequence: int) -> Event:
        """Return the event at one place of the chain."""
        return self._places[sequence]

    def name(self, actor: str) -> str:
        """Return what may be shown of an actor: the name, or the id where it was erased."""
        return self._called.get(actor, actor)

    def holders(self, role: str) -> tuple[str, ...]:
        """Return the names of everybody who holds a role."""
        return tuple(self.name(row.id) for row in self.state.select(ActorRow) if role in row.roles)

    def reason(self, event: Event) -> str:
        """Return the reason given with an event."""
        kept = event.payload.get("texts", {}).get("reason")
        return (self._text(kept) or ERASED) if kept else ""

    def note(self, event: Event) -> Note:
        """Tell one event."""
        return Note(
            sequence=event.sequence,
            at=event.occurred_at,
            actor=event.actor,
            who=self.name(event.actor),
            on_behalf_of=self.name(event.on_behalf_of) if event.on_behalf_of else "",
            sentence=sentence(event, self.name),
            reason=self.reason(event),
            hash=event.hash,
            type=event.type,
        )
