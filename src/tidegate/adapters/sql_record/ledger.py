"""The ledger port on a SQL database."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from tidegate.adapters.sql_record import tables, texts
from tidegate.adapters.sql_record.engine import (
    BUSY_SECONDS,
    connect,
    explained,
    forget_log,
    migrate,
    revision,
)
from tidegate.adapters.sql_record.state import PAGE, SqlState, copies, put, upsert
from tidegate.application.ports import Clock, Delivery, Entropy
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import DependencyFailed, Refused
from tidegate.domain.events import Draft, Event, Head, commitment, open_body, seal
from tidegate.domain.fold import changes
from tidegate.domain.state import ErasureRow, PolicyRow, TextRow

# What every event needs is said once: to say it anew each time costs more than to do it.
_INSERT = sa.insert(tables.events)
_MOVE = sa.update(tables.head)
_IN_FORCE = sa.select(tables.STATE[PolicyRow].c.digest).where(tables.STATE[PolicyRow].c.in_force)
_LATEST = sa.select(sa.func.max(tables.events.c.stream_sequence)).where(
    tables.events.c.stream == sa.bindparam("stream")
)


class SqlTransaction(SqlState):
    """One unit of work; it holds the write lock from its first statement."""

    def __init__(self, connection: sa.Connection, clock: Clock, entropy: Entropy) -> None:
        super().__init__(connection)
        self._connection = connection
        self._clock = clock
        self._entropy = entropy
        # FOR UPDATE is what serialises writers on PostgreSQL; SQLite has begun IMMEDIATE already.
        row = connection.execute(sa.select(tables.head).with_for_update()).mappings().one_or_none()
        if row is None:
            raise DependencyFailed(
                "ledger-headless",
                "got a ledger without the row that says where its chain ends, expected one",
                "run `tidegate audit verify`; restore the latest backup",
            )
        self._head = Head(row["sequence"], row["hash"])
        self._opened_with: str = row["clock"]
        self.whole = True
        self.shredded = False

    def append(self, draft: Draft) -> Event:
        """Seal ``draft`` onto the chain, fold it, keep its texts.

        Raises:
            Refused: the ledger was opened for another kind of clock.
        """
        if self._opened_with and self._opened_with != self._clock.kind:
            raise Refused(
                "clock-kind",
                f"got the {self._clock.kind} clock, expected the {self._opened_with} one it was opened with",
                "simulated and real time never share a ledger: use another TIDEGATE_HOME",
            )
        salted = {name: (self._entropy.salt(), text) for name, text in draft.texts.items()}
        commitments = {name: commitment(salt, text) for name, (salt, text) in salted.items()}
        event = seal(
            draft,
            self._head,
            self._next_of(draft.stream),
            commitments,
            self._connection.execute(_IN_FORCE).scalar(),
            self._clock.now(),
            self._clock.recorded(),
            self._clock.kind,
        )
        self.whole = False
        self._connection.execute(_INSERT, copies(event))
        erased = []
        for row in changes(self, event):
            put(self._connection, row)
            if isinstance(row, TextRow):
                texts.keep(self._connection, self._entropy, row, *salted[row.kind])
            elif isinstance(row, ErasureRow):
                erased.append(row.commitment)
        if erased:
            texts.shred(self._connection, self._entropy, erased)
            self.shredded = True
        self._head = Head(event.sequence, event.hash)
        self._opened_with = event.clock if event.sequence == 1 else self._opened_with
        head = {"sequence": event.sequence, "hash": event.hash, "clock": self._opened_with}
        self._connection.execute(_MOVE, head)
        self.whole = True
        return event

    def recorded(self, idempotency_key: str) -> Event | None:
        """Return the event already written under this key, or None."""
        query = sa.select(tables.events.c.body).where(tables.events.c.idempotency_key == idempotency_key)
        body = self._connection.execute(query).scalar()
        return open_body(body) if body else None

    def _next_of(self, stream: str) -> int:
        return int(self._connection.execute(_LATEST, {"stream": stream}).scalar() or 0) + 1


class SqlLedger:
    """The chain, its state and its texts in one database, SQLite or PostgreSQL."""

    def __init__(self, url: str, clock: Clock, entropy: Entropy, busy_seconds: float = BUSY_SECONDS) -> None:
        self.engine = connect(url, busy_seconds)
        weakref.finalize(self, self.engine.dispose)  # a driver complains of connections it has to find itself
        self._clock = clock
        self._entropy = entropy
        migrate(self.engine)

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """Take the one write lock; commit on leaving, undo on any exception.

        Raises:
            DependencyFailed: the database is locked, unreachable, or refuses what was written.
            RuntimeError: an append failed and its caller went on: half of it must not be committed.
        """
        with (
            explained("write to the ledger"),
            self.engine.connect().execution_options(tidegate_write=True) as connection,
        ):
            with connection.begin():
                transaction = SqlTransaction(connection, self._clock, self._entropy)
                yield transaction
                if not transaction.whole:
                    raise RuntimeError("an append failed and its error was swallowed; nothing is committed")
            if transaction.shredded:
                forget_log(connection)

    def state(self) -> SqlState:
        """Return a reader of committed state."""
        return SqlState(self.engine)

    def head(self) -> Head:
        """Return where the chain ends: what its last event says, not what lies beside it."""
        query = sa.select(tables.events.c.body).order_by(tables.events.c.sequence.desc()).limit(1)
        with explained("read the ledger"), self.engine.connect() as connection:
            body = connection.execute(query).scalar()
        last = open_body(body) if body is not None else Head()
        return Head(last.sequence, last.hash)

    def events(self, after: int = 0, stream: str | None = None) -> Iterator[Event]:
        """Yield committed events in sequence order, a page at a time."""
        while True:
            query = sa.select(tables.events.c.sequence, tables.events.c.body)
            query = query.where(tables.events.c.sequence > after).order_by(tables.events.c.sequence)
            if stream is not None:
                query = query.where(tables.events.c.stream == stream)
            with explained("read the ledger"), self.engine.connect() as connection:
                page = connection.execute(query.limit(PAGE)).all()
            for row in page:
                yield open_body(row.body)
            if len(page) < PAGE:
                return
            after = page[-1].sequence  # the column's: a tampered body must not turn pages back

    def text(self, commitment: str) -> str | None:
        """Return the personal text behind a commitment, or None where it was erased.

        Raises:
            DependencyFailed: it is there, and its key does not open it.
        """
        found = self.salted(commitment)
        return found[1] if found else None

    def salted(self, commitment: str) -> tuple[str, str] | None:
        """Return the salt and the text behind a commitment, or None where it was erased.

        Raises:
            DependencyFailed: it is there, and its key does not open it.
        """
        with explained("read a text"), self.engine.connect() as connection:
            return texts.read(connection, commitment)

    def cursor(self, sink: str) -> int:
        """Return the sequence up to which ``sink`` has had its effects."""
        return self.delivery(sink).sequence

    def advance(self, sink: str, sequence: int) -> None:
        """Note that ``sink`` has had its effects up to ``sequence``; never moves back."""
        with self._moving() as connection:
            forward = upsert(tables.cursors, forward=True)
            connection.execute(forward, {"sink": sink, **asdict(Delivery(sequence))})

    def delivery(self, sink: str) -> Delivery:
        """Return how ``sink`` stands."""
        with explained("read a cursor"), self.engine.connect() as connection:
            return _delivery(connection, sink)

    def failed(self, sink: str, error: str, retry_at: str) -> None:
        """Note that ``sink`` could not be told, why, and until when it is left alone."""
        with self._moving() as connection:
            before = _delivery(connection, sink)
            now = Delivery(before.sequence, before.failures + 1, error, retry_at)
            note = upsert(tables.cursors)
            connection.execute(note, {"sink": sink, **asdict(now)})

    def rewind(self, sink: str, sequence: int) -> None:
        """Have ``sink`` told again what came after ``sequence``."""
        back = sa.and_(tables.cursors.c.sink == sink, tables.cursors.c.sequence > sequence)
        with self._moving() as connection:
            connection.execute(sa.update(tables.cursors).where(back).values(**asdict(Delivery(sequence))))

    @contextmanager
    def _moving(self) -> Iterator[sa.Connection]:
        with (
            explained("move a cursor"),
            self.engine.connect().execution_options(tidegate_write=True) as connection,
            connection.begin(),
        ):
            yield connection

    def verify(self) -> tuple[str, ...]:
        """Return one sentence per fault found; empty means sound."""
        from tidegate.adapters.sql_record.verify import faults

        with explained("verify the ledger"):
            return tuple(faults(self.engine))


def resumable(url: str) -> datetime | None:
    """Return where a ledger's simulated clock stands: at its last event.

    None if it has no such clock, or its tables are not those that say so: whoever opens it next is told.
    """
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return None
    engine = connect(url)
    try:
        with explained("read the ledger"):
            if revision(engine) is None:
                return None
            with engine.connect() as connection:
                query = sa.select(tables.head.c.clock, tables.events.c.occurred_at)
                row = connection.execute(
                    query.where(tables.events.c.sequence == tables.head.c.sequence)
                ).first()
        return utc_time(row[1]) if row is not None and row[0] == "simulated" else None
    except DependencyFailed as failed:
        if failed.code != "ledger-unusable":
            raise
        return None
    finally:
        engine.dispose()


def _delivery(connection: sa.Connection, sink: str) -> Delivery:
    names = [field.name for field in fields(Delivery)]
    query = sa.select(*(tables.cursors.c[name] for name in names)).where(tables.cursors.c.sink == sink)
    row = connection.execute(query).mappings().one_or_none()
    return Delivery(**row) if row else Delivery()
