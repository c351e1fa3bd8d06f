"""Tell the outside what happened. The chain is the outbox: a cursor per sink says how far it has come.

A sink is told every event, at least once, in the order of the chain: one after the other, and none before the one
before it was taken. The chain has one order over all models, so what is told of each model is told in its order
too, and a receiver that keeps several apart can do so by ``subject``. The price: an event that a sink does not
take holds those behind it, for that sink alone, until somebody mends it. Nothing is skipped.

No sink is in anybody's way. Each has a cursor of its own; one that failed is left alone for a while, longer each
time; and one call tells it a bounded number of events within a bounded time. One process at a time tells a sink:
two would mix the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Delivery, Sink
from tidegate.application.projection import SINK
from tidegate.application.recording import permit
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.cloudevent import cloud_event, source_of
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import Event

#: For how many seconds a sink is left alone after its first, second … failure in a row; then as the last.
BACKOFF = (10, 60, 300, 1800, 3600)
#: A sink that wants to be told nothing any more is asked again only by somebody who says so.
NEVER = "9999-12-31T23:59:59Z"


@dataclass(frozen=True)
class Bounds:
    """How much one call does for each sink: events, seconds in which it begins one, attempts and seconds for each."""

    events: int
    seconds: float
    attempts: int
    patience: float


#: Beside an act that is done already: whoever did it goes on soon.
BESIDE = Bounds(events=100, seconds=1.0, attempts=1, patience=2.0)
#: Where somebody asked for it.
ASKED = Bounds(events=100_000, seconds=300.0, attempts=3, patience=15.0)


@dataclass(frozen=True)
class Told:
    """What one call came to for a sink. ``error`` says why it stopped, ``left_alone`` why it did not begin."""

    sink: str
    events: int = 0
    error: str = ""
    left_alone: str = ""


@dataclass(frozen=True)
class Standing:
    """Where a sink stands: its cursor, how many events it still has to be told, what went wrong last."""

    sink: str
    sequence: int
    behind: int
    failures: int
    error: str
    retry_at: str


def tell(platform: Platform, bounds: Bounds = BESIDE, only: str | None = None) -> tuple[Told, ...]:
    """Tell each sink what it was not told yet; what cannot be told now is told later. It raises for no sink.

    ``only`` tells that one, also while it would be left alone.

    Raises:
        BadInput: there is no such sink.
    """
    sinks = platform.sinks if only is None else (_known(platform, only),)
    told = []
    for sink in sinks:
        try:
            told.append(_tell(platform, sink, bounds, asked=only is not None))
        except DependencyFailed as failed:  # the ledger itself; the act that was done before is done
            told.append(Told(sink.name, error=failed.sentence))
    return tuple(told)


def standings(platform: Platform) -> tuple[Standing, ...]:
    """Return where every sink stands, the registry's aliases first."""
    end = platform.ledger.head().sequence
    found = []
    for name in (SINK, *(sink.name for sink in platform.sinks)):
        at = platform.ledger.delivery(name)
        # An event that was written meanwhile is told already, and nobody is ahead of the chain.
        behind = max(end - at.sequence, 0)
        found.append(Standing(name, at.sequence, behind, at.failures, at.error, at.retry_at))
    return tuple(found)


def replay(platform: Platform, acting: Acting, sink: str, first: int) -> Delivery:
    """Have a sink told again from event ``first`` on. Nothing of that is on the chain: nothing happened.

    Raises:
        Refused: rule A1, or the sink is being told at this moment. BadInput: no such sink, or it was not told
            that event yet.
    """
    permit(platform, acting, Permission.REPLAY, "outbox")
    name = _known(platform, sink).name
    with platform.turns.take(_turn(name)) as mine:
        if not mine:
            raise Refused("under-way", f"got {name} being told at this moment, expected it idle", "try again")
        at = platform.ledger.cursor(name)
        if not 1 <= first <= at:
            raise BadInput(
                "not-told-yet",
                f"got --from {first}, expected an event that {name} was told already: "
                + (f"1 to {at}" if at else "it was told none"),
                "what it was not told yet it is told without being asked",
            )
        platform.ledger.rewind(name, first - 1)
    return platform.ledger.delivery(name)


def _known(platform: Platform, name: str) -> Sink:
    found = next((sink for sink in platform.sinks if sink.name == name), None)
    if found is not None:
        return found
    if name == SINK:
        raise BadInput(
            "not-a-sink",
            "got the registry, whose aliases follow the ledger and are told nothing, expected a sink",
            "`tidegate reconcile` brings aliases after the ledger",
        )
    known = ", ".join(sink.name for sink in platform.sinks) or "none in this profile"
    raise BadInput(
        "unknown-sink", f"got the sink `{name}`, expected one of: {known}", "see `tidegate outbox`"
    )


def _tell(platform: Platform, sink: Sink, bounds: Bounds, *, asked: bool) -> Told:
    at = platform.ledger.delivery(sink.name)
    begun = platform.clock.recorded()
    if not asked and at.retry_at and begun < utc_time(at.retry_at):
        return Told(sink.name, left_alone=f"left alone until {at.retry_at}")
    if platform.ledger.head().sequence <= at.sequence:
        return Told(sink.name)
    with platform.turns.take(_turn(sink.name)) as mine:
        if not mine:
            return Told(sink.name, left_alone="another process tells it")
        return _tell_on(platform, sink, bounds, begun)


def _tell_on(platform: Platform, sink: Sink, bounds: Bounds, begun: datetime) -> Told:
    """Tell a sink, in its turn, from its cursor on."""
    start = done = platform.ledger.cursor(sink.name)
    count, failed = 0, None
    source = source_of(next(platform.ledger.events(stream="ledger")))
    try:
        for event in islice(platform.ledger.events(after=start), bounds.events):
            if (platform.clock.recorded() - begun).total_seconds() > bounds.seconds:
                break
            failed = _deliver(sink, event, source, bounds)
            if failed is not None:
                break
            done, count = event.sequence, count + 1
    finally:  # also where somebody stops us: what was told is not told again
        if done > start:
            platform.ledger.advance(sink.name, done)
    if failed is None:
        return Told(sink.name, count)
    failures = platform.ledger.delivery(sink.name).failures
    error = f"event {done + 1}: {failed.sentence}"
    platform.ledger.failed(sink.name, error, _retry_at(platform.clock.recorded(), failures, failed))
    return Told(sink.name, count, error)


def _deliver(sink: Sink, event: Event, source: str, bounds: Bounds) -> DependencyFailed | None:
    """Hand one event over; return why it was not taken, if it was not."""
    failed = None
    for _ in range(bounds.attempts):
        try:
            sink.deliver(cloud_event(event, source), bounds.patience)
        except DependencyFailed as error:
            failed = error
            if error.code == "sink-gone":
                break
        else:
            return None
    return failed


def _retry_at(now: datetime, failures: int, failed: DependencyFailed) -> str:
    if failed.code == "sink-gone":
        return NEVER
    return utc_text(now + timedelta(seconds=BACKOFF[min(failures, len(BACKOFF) - 1)]))


def _turn(sink: str) -> str:
    return f"sink/{sink}"
