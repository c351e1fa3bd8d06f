"""Read a chain from its bytes: each event in its canonical form, linked to the one before, and what all fold to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.domain.canonical import NO_DIGEST, canonical, parse
from tidegate.domain.errors import UNFIT, TidegateError
from tidegate.domain.events import Event, open_body
from tidegate.domain.fold import StateView, take
from tidegate.domain.state import State


@dataclass
class Chain:
    """What could be read of a chain. ``faults`` are of its links, ``unfit`` says where it cannot be folded."""

    events: list[Event] = field(default_factory=list)
    state: State = field(default_factory=State)
    faults: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)

    @property
    def view(self) -> StateView:
        """Return what the events fold to."""
        return StateView(self.state)

    @property
    def end(self) -> int:
        """Return the sequence of the last event, 0 before the first."""
        return self.events[-1].sequence if self.events else 0

    @property
    def hashes(self) -> Mapping[int, str]:
        """Return the hash of each event by its sequence."""
        return {event.sequence: event.hash for event in self.events}


def read_chain(data: bytes) -> Chain:
    """Read event bodies, one a line. An event that cannot be read ends it: what follows has no ground."""
    chain, streams = Chain(), dict[str, int]()
    *bodies, rest = data.split(b"\n")
    if rest:
        chain.faults.append("its last line does not end: it was cut")
    for number, body in enumerate(bodies, 1):
        try:
            event = open_body(body.decode())
            if canonical(parse(event.body)) != body:
                chain.faults.append(f"event {event.sequence}: its body is not in canonical form")
        except UNFIT as error:
            chain.faults.append(f"line {number}: no event can be read there ({first_line(error)})")
            break
        chain.faults += _link_faults(chain.events[-1] if chain.events else None, event)
        if event.stream_sequence != streams.get(event.stream, 0) + 1:
            chain.faults.append(f"event {event.sequence}: it is not the next of its stream {event.stream!r}")
        streams[event.stream] = event.stream_sequence
        chain.events.append(event)
    _fold(chain)
    return chain


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    told = error.sentence if isinstance(error, TidegateError) else str(error).strip()
    return (told or type(error).__name__).splitlines()[0]


def _fold(chain: Chain) -> None:
    for event in chain.events:
        try:
            take(chain.state, chain.view, event)
        except UNFIT as error:
            chain.unfit.append(f"event {event.sequence}: it cannot be folded ({first_line(error)})")
            return


def _link_faults(last: Event | None, event: Event) -> list[str]:
    before = last.sequence if last else 0
    due = before + 1
    if event.sequence > due:
        gap = f"event {due} is" if event.sequence == due + 1 else f"events {due} to {event.sequence - 1} are"
        return [f"event {event.sequence}: {gap} missing in front of it: deleted"]
    if event.sequence < due:
        return [f"event {event.sequence}: it stands behind event {before}: inserted or moved"]
    if event.previous != (last.hash if last else NO_DIGEST):
        carried = f"event {due} does not carry the hash of event {before}"
        return [f"{carried}: one of them was changed or exchanged" if last else "event 1 is not the first"]
    return []
