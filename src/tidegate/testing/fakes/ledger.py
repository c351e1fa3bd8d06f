"""The ledger in memory: the same chain and the same fold, with a list for a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock

from tidegate.application.ports import Clock, Delivery, Entropy
from tidegate.domain.errors import DependencyFailed, Refused
from tidegate.domain.events import Draft, Event, Head, commitment, open_body, seal
from tidegate.domain.fold import StateView, replay, take
from tidegate.domain.policy import Stage
from tidegate.domain.state import ErasureRow, PolicyRow, PromotionRow, State, VersionRow


@dataclass
class Contents:
    """What a committed ledger holds. ``texts`` maps a commitment to its salt and text."""

    events: list[Event] = field(default_factory=list)
    state: State = field(default_factory=State)
    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    cursors: dict[str, Delivery] = field(default_factory=dict)

    def copy(self) -> Contents:
        """Return contents to work on: rows and events never change, so one level is enough."""
        tables = {name: dict(rows) for name, rows in self.state.tables.items()}
        state = State(tables, list(self.state.marks))
        return Contents(list(self.events), state, dict(self.texts), dict(self.cursors))


class Store:
    """What several ledgers may share, as several processes share a database: contents and one write lock."""

    def __init__(self) -> None:
        self.contents = Contents()
        self.lock = Lock()


class MemoryTransaction(StateView):
    """One unit of work on a copy of the contents."""

    def __init__(self, contents: Contents, clock: Clock, entropy: Entropy) -> None:
        super().__init__(contents.state)
        self._contents = contents
        self._clock = clock
        self._entropy = entropy
        self.whole = True

    def append(self, draft: Draft) -> Event:
        """Seal ``draft`` onto the chain, fold it, keep its texts.

        Raises:
            Refused: the ledger was opened for another kind of clock.
            DependencyFailed: the key was used before, or the state would break one of its invariants.
        """
        events, kind = self._contents.events, self._clock.kind
        if events and events[0].clock != kind:
            raise Refused(
                "clock-kind",
                f"got the {kind} clock, expected the {events[0].clock} one it was opened with",
                "simulated and real time never share a ledger",
            )
        salted = {name: (self._entropy.salt(), text) for name, text in draft.texts.items()}
        commitments = {name: commitment(salt, text) for name, (salt, text) in salted.items()}
        in_force = self.select(PolicyRow, in_force=True)
        event = seal(
            draft,
            Head(events[-1].sequence, events[-1].hash) if events else Head(),
            sum(before.stream == draft.stream for before in events) + 1,
            commitments,
            in_force[0].digest if in_force else None,
            self._clock.now(),
            self._clock.recorded(),
            kind,
        )
        self.whole = False
        if event.idempotency_key and self.recorded(event.idempotency_key):
            raise _unusable(f"the key {event.idempotency_key} was used before")
        events.append(event)
        self._contents.texts |= {commitments[name]: kept for name, kept in salted.items()}
        for row in take(self._contents.state, self, event):
            if isinstance(row, ErasureRow):
                self._contents.texts.pop(row.commitment, None)
        _hold(self)
        self.whole = True
        return event

    def recorded(self, idempotency_key: str) -> Event | None:
        """Return the event already written under this key, or None."""
        return next((each for each in self._contents.events if each.idempotency_key == idempotency_key), None)


class MemoryLedger:
    """A ledger that lives as long as its store. Give two ledgers one ``store`` and they are two processes."""

    def __init__(
        self, clock: Clock, entropy: Entropy, store: Store | None = None, busy_seconds: float = 30.0
    ) -> None:
        self.store = store or Store()
        self._clock = clock
        self._entropy = entropy
        self._busy_seconds = busy_seconds

    @contextmanager
    def transaction(self) -> Iterator[MemoryTransaction]:
        """Take the one write lock; commit on leaving, undo on any exception.

        Raises:
            DependencyFailed: somebody else holds the lock for too long.
            RuntimeError: an append failed and its caller went on: half of it must not be committed.
        """
        with self._writing():
            contents = self.store.contents.copy()
            transaction = MemoryTransaction(contents, self._clock, self._entropy)
            yield transaction
            if not transaction.whole:
                raise RuntimeError("an append failed and its error was swallowed; nothing is committed")
            self.store.contents = contents

    def state(self) -> StateView:
        """Return a reader of committed state."""
        return _Committed(self.store)

    def head(self) -> Head:
        """Return where the chain ends."""
        last = self.store.contents.events[-1] if self.store.contents.events else Head()
        return Head(last.sequence, last.hash)

    def events(self, after: int = 0, stream: str | None = None) -> Iterator[Event]:
        """Yield committed events in sequence order."""
        for event in self.store.contents.events:
            if event.sequence > after and stream in {None, event.stream}:
                yield event

    def text(self, commitment: str) -> str | None:
        """Return the personal text behind a commitment, or None where it was erased."""
        kept = self.store.contents.texts.get(commitment)
        return kept[1] if kept else None

    def salted(self, commitment: str) -> tuple[str, str] | None:
        """Return the salt and the text behind a commitment, or None where it was erased."""
        return self.store.contents.texts.get(commitment)

    def cursor(self, sink: str) -> int:
        """Return the sequence up to which ``sink`` has had its effects."""
        return self.delivery(sink).sequence

    def advance(self, sink: str, sequence: int) -> None:
        """Note that ``sink`` has had its effects up to ``sequence``; never moves back."""
        with self._writing():
            if sequence > self.cursor(sink):
                self._stand(sink, Delivery(sequence))

    def delivery(self, sink: str) -> Delivery:
        """Return how ``sink`` stands."""
        return self.store.contents.cursors.get(sink, Delivery())

    def failed(self, sink: str, error: str, retry_at: str) -> None:
        """Note that ``sink`` could not be told, why, and until when it is left alone."""
        with self._writing():
            before = self.delivery(sink)
            now = replace(before, failures=before.failures + 1, error=error, retry_at=retry_at)
            self._stand(sink, now)

    def rewind(self, sink: str, sequence: int) -> None:
        """Have ``sink`` told again what came after ``sequence``."""
        with self._writing():
            if sequence < self.cursor(sink):
                self._stand(sink, Delivery(sequence))

    def _stand(self, sink: str, delivery: Delivery) -> None:
        contents = self.store.contents.copy()
        contents.cursors[sink] = delivery
        self.store.contents = contents

    def verify(self) -> tuple[str, ...]:
        """Return one sentence per fault found; empty means sound."""
        return tuple(_faults(self.store.contents))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if not self.store.lock.acquire(timeout=self._busy_seconds):
            raise DependencyFailed(
                "ledger-locked",
                "could not write to the ledger: somebody else holds the ledger's write lock",
                "wait for them to finish",
            )
        try:
            yield
        finally:
            self.store.lock.release()


class _Committed(StateView):
    """Reads what the last commit left, whenever it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _state(self) -> State:  # type: ignore[override]  # each reading looks anew
        return self._store.contents.state


def _hold(view: StateView) -> None:
    """Refuse what the real databases' unique indexes refuse."""
    prod = [row.model for row in view.select(VersionRow, stage=Stage.PROD)]
    asked = [(row.model, row.version) for row in view.select(PromotionRow, status="open")]
    for what, rows in (
        ("one version in prod", prod),
        ("one open request of a version", asked),
        ("one policy in force", [0 for _ in view.select(PolicyRow, in_force=True)]),
    ):
        if any(count > 1 for count in Counter(rows).values()):
            raise _unusable(f"there is never more than {what}")


def _unusable(why: str) -> DependencyFailed:
    return DependencyFailed(
        "ledger-unusable", f"could not write to the ledger: {why}", "look at what you append"
    )


def _faults(contents: Contents) -> Iterator[str]:
    head, streams = Head(), Counter[str]()
    for event in contents.events:
        streams[event.stream] += 1
        if event != open_body(event.body):
            yield f"event {event.sequence}: it is not what its hashed body says"
        if (event.sequence, event.previous) != (head.sequence + 1, head.hash):
            yield f"event {event.sequence}: it does not follow event {head.sequence}"
        if event.stream_sequence != streams[event.stream]:
            yield f"event {event.sequence}: it is not the next of its stream {event.stream!r}"
        head = Head(event.sequence, event.hash)
    committed = {each for event in contents.events for each in event.payload.get("texts", {}).values()}
    kept = {name for name, (salt, text) in contents.texts.items() if commitment(salt, text) == name}
    erased = {str(key[0]) for key in replay(contents.events).tables[ErasureRow.TABLE]}
    for name in sorted((committed - erased) ^ kept | (set(contents.texts) - kept)):
        yield f"texts {name[:19]}…: what is kept is not what was committed to"
    for table, rows in replay(contents.events).tables.items():
        if rows != contents.state.tables[table]:
            yield f"{table}: the rows are not what the ledger folds to"
