"""The record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from tidegate.domain.events import Draft, Event, Head
from tidegate.domain.state import Row

R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Delivery:
    """How a sink stands: up to which event it was told, and what went wrong since.

    ``failures`` counts how often in a row, ``error`` says what happened last, and until ``retry_at`` (empty: at
    once) nobody tries again by themselves.
    """

    sequence: int = 0
    failures: int = 0
    error: str = ""
    retry_at: str = ""


class StateReader(Protocol):
    """Folded state, read by type and key."""

    def get(self, kind: type[R], /, *key: str | int) -> R | None:
        """Return the row with this primary key, or None."""
        ...

    def select(self, kind: type[R], /, **equal: object) -> tuple[R, ...]:
        """Return the rows whose fields equal the given values, in key order."""
        ...

    def marks(self) -> tuple[tuple[int, str], ...]:
        """Return (sequence, occurred_at) of each event after which all occurred earlier, in order of sequence.

        These are the high-water marks of the record's time: the newest event's, and older ones only where a clock
        went back since. What had ended by then is not revived by that (see `lifecycle.time_for`).
        """
        ...


class Transaction(StateReader, Protocol):
    """One unit of work on the record: what is appended is folded at once, and commits whole or not at all."""

    def append(self, draft: Draft) -> Event:
        """Seal ``draft`` onto the chain and fold it into the state.

        A text that the event erases (`ErasureRow`) goes in the same unit of work, and with it the key that
        opens any copy of it: none goes without an event.

        Raises:
            Refused: the ledger was opened for another kind of clock.
        """
        ...

    def recorded(self, idempotency_key: str) -> Event | None:
        """Return the event already written under this key, or None."""
        ...


class Ledger(Protocol):
    """The append-only chain, its state, and the erasable texts beside it."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Take the chain's one write lock; commit on leaving, undo on any exception.

        Raises:
            DependencyFailed: the database is locked, unreachable, or newer than this code; or (`log-not-emptied`)
                it is committed, but what it erased could not be wiped from storage yet.
        """
        ...

    def state(self) -> StateReader:
        """Return a reader of committed state."""
        ...

    def head(self) -> Head:
        """Return where the chain ends: the last event's sequence and hash."""
        ...

    def events(self, after: int = 0, stream: str | None = None) -> Iterator[Event]:
        """Yield committed events in sequence order, of one stream or of all."""
        ...

    def text(self, commitment: str) -> str | None:
        """Return the personal text behind a commitment, or None where it was erased.

        Raises:
            DependencyFailed: it is there and cannot be read: it is not what was committed to.
        """
        ...

    def salted(self, commitment: str) -> tuple[str, str] | None:
        """Return the salt and the text behind a commitment, or None where it was erased.

        With both anybody can hold the text against the commitment; with the text alone nobody can.
        """
        ...

    def cursor(self, sink: str) -> int:
        """Return the sequence up to which ``sink`` has had its effects. The chain itself is the outbox."""
        ...

    def advance(self, sink: str, sequence: int) -> None:
        """Note that ``sink`` has had its effects up to ``sequence``; never moves back.

        Where it moves on, what had gone wrong is over.
        """
        ...

    def delivery(self, sink: str) -> Delivery:
        """Return how ``sink`` stands; one that was never told anything stands at 0."""
        ...

    def failed(self, sink: str, error: str, retry_at: str) -> None:
        """Note that ``sink`` could not be told, why, and until when it is left alone; its cursor stays."""
        ...

    def rewind(self, sink: str, sequence: int) -> None:
        """Have ``sink`` told again what came after ``sequence``: the one way back, and never a way forward."""
        ...

    def verify(self) -> tuple[str, ...]:
        """Return one sentence per fault found in structure, chain, copies, texts and state; empty means sound.

        The chain is rehashed from its first byte and the state refolded from zero in a fresh database.
        """
        ...


class Lockbox(Protocol):
    """Lines kept where nobody can remove them before a date, whoever they are."""

    def append(self, line: str, until: datetime) -> str:
        """Keep a line until a moment; return under which name.

        Raises:
            DependencyFailed: it cannot be written, or not locked.
        """
        ...

    def lines(self) -> Mapping[str, tuple[str, ...]]:
        """Return all that was kept, by name; none where nobody kept any.

        Raises:
            DependencyFailed: it cannot be read.
        """
        ...


class Notes(Protocol):
    """Lines noted beside the commits of a repository: where anchors may lie that its history then carries."""

    @property
    def place(self) -> Path:
        """Return the folder in which they are kept."""
        ...

    def append(self, line: str) -> str:
        """Add a line to the note of the newest commit, and return that commit.

        Raises:
            BadInput: there is no commit yet. DependencyFailed: it cannot be written.
        """
        ...

    def lines(self) -> Mapping[str, tuple[str, ...]]:
        """Return the lines noted, by commit; none where nobody noted any.

        Raises:
            DependencyFailed: they cannot be read.
        """
        ...
