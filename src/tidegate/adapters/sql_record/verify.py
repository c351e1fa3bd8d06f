"""Verification: the structure compared, the chain rehashed, its copies held against it, the state refolded afresh.

It trusts nothing it reads: a value of the wrong type, or a table that is none any more, is a fault like any
other, and never ends the search.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa

from tidegate.adapters.sql_record import tables
from tidegate.adapters.sql_record.cipher import opened
from tidegate.adapters.sql_record.engine import connect
from tidegate.adapters.sql_record.state import PAGE, SqlState, copies, put
from tidegate.adapters.sql_record.structure import structure_faults
from tidegate.domain.canonical import NO_DIGEST, canonical, parse
from tidegate.domain.errors import TidegateError
from tidegate.domain.events import Event, commitment, open_body
from tidegate.domain.fold import changes
from tidegate.domain.state import ErasureRow, Row, TextRow

R = TypeVar("R")
Faults: TypeAlias = Generator[str, None, None]

#: What a body that no writer of ours wrote may raise while it is read or folded.
_UNFIT = (TidegateError, sa.exc.SQLAlchemyError, LookupError, ValueError, TypeError, AttributeError)


def faults(engine: sa.Engine) -> Iterator[str]:
    """Yield one sentence per fault."""
    fresh = connect("sqlite://")
    try:
        tables.metadata.create_all(fresh)
        with _snapshot(engine) as stored, fresh.connect() as folded:
            altered = tuple(structure_faults(stored))
            found = (*altered, *_faults(stored, folded, bool(altered)))
    finally:
        fresh.dispose()
    # Half a character can be told, and printed, as its code alone.
    yield from (fault.encode(errors="backslashreplace").decode() for fault in found)


@contextmanager
def _snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Read everything as of one moment: to a reader between two moments, writers look like tampering."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
            # Before the first reading: an erasure writes that table anew, and to an older snapshot it is empty.
            before = connection.begin_nested()
            try:
                connection.execute(sa.text("LOCK TABLE text_keys IN ACCESS SHARE MODE"))
            except sa.exc.ProgrammingError:
                before.rollback()  # there is no such table: the structure's fault, named as such
            else:
                before.commit()
            yield connection
            return
        # SQLite's readers have such a snapshot anyway; its texts may hold bytes that are none.
        raw: Any = connection.connection.dbapi_connection
        raw.text_factory = lambda stored: stored.decode(errors="surrogateescape")
        try:
            yield connection
        finally:
            raw.text_factory = str


def _faults(stored: sa.Connection, folded: sa.Connection, altered: bool) -> Iterator[str]:
    chain = yield from _despite(altered, stored, "events", _chain_faults(stored, folded))
    if chain is None:
        return  # nothing that lies beside a chain can be held against none
    last, whole = chain
    length = last.sequence if last else 0
    yield from _despite(altered, stored, "head", _head_faults(stored, last))
    yield from _despite(altered, stored, "cursors", _cursor_faults(stored, length))
    yield from _despite(altered, stored, "texts", _text_faults(stored, folded))
    for kind in tables.STATE if whole else ():
        yield from _despite(altered, stored, kind.TABLE, _state_faults(stored, folded, kind))


def _despite(
    altered: bool, stored: sa.Connection, what: str, search: Generator[str, None, R]
) -> Generator[str, None, R | None]:
    """Search, and go on where the structure was altered so that there is nothing to search.

    Of a structure that is whole a database that refuses to be read is locked, damaged or gone: no tampering.
    """
    before = stored.begin_nested()  # PostgreSQL answers nothing more in a transaction that met an error
    try:
        found = yield from search
    except sa.exc.DBAPIError as error:
        if not altered or error.connection_invalidated:
            raise
        before.rollback()
        yield f"{what}: it cannot be read ({_first_line(error)})"
        return None
    before.commit()
    return found


def _chain_faults(
    stored: sa.Connection, folded: sa.Connection
) -> Generator[str, None, tuple[Event | None, bool]]:
    """Return the last event that can be read, and whether all could be folded."""
    streams: dict[str, int] = {}
    last: Event | None = None
    whole = True
    query = _raw(tables.events).order_by(tables.events.c.sequence).execution_options(yield_per=PAGE)
    for row in stored.execute(query).mappings():
        try:
            event = open_body(row["body"])
            if canonical(parse(event.body)).decode() != event.body:
                yield f"event {row['sequence']}: its body is not in canonical form"
        except _UNFIT as error:
            yield f"event {row['sequence']}: its body cannot be read ({_first_line(error)})"
            whole = False
            continue
        yield from _event_faults(dict(row), event, last)
        if event.stream_sequence != streams.get(event.stream, 0) + 1:
            yield f"event {event.sequence}: it is not the next of its stream {event.stream!r}"
        streams[event.stream] = event.stream_sequence
        try:
            for change in changes(SqlState(folded), event):
                put(folded, change)
        except _UNFIT as error:
            yield f"event {event.sequence}: it cannot be folded ({_first_line(error)})"
            whole = False
        last = event
    return last, whole


def _event_faults(row: Mapping[str, Any], event: Event, last: Event | None) -> Iterator[str]:
    expected = (last.sequence if last else 0) + 1
    if event.sequence != expected:
        yield f"event {event.sequence}: expected sequence {expected}; events are missing or out of order"
    if event.previous != (last.hash if last else NO_DIGEST):
        yield f"event {event.sequence}: it does not follow the hash of event {expected - 1}"
    if event.hash != row["hash"]:
        yield f"event {event.sequence}: its bytes no longer have the hash they were recorded with"
    for name, value in copies(event).items():
        if name != "hash" and row[name] != value:
            yield f"event {event.sequence}: column {name} says {row[name]!r}, the hashed body says {value!r}"


def _head_faults(stored: sa.Connection, last: Event | None) -> Faults:
    length = last.sequence if last else 0
    first = {"hash": NO_DIGEST, "clock": ""}
    ends = {"hash": last.hash, "clock": last.clock} if last else first
    end: dict[str, object] = {"id": 1, "sequence": length, **ends}
    heads = stored.execute(_raw(tables.head)).mappings().all()
    if len(heads) != 1:
        yield f"head: there are {len(heads)} of them, expected one"
    for head in heads:
        for name, value in end.items():
            if head[name] != value:
                yield f"head: column {name} says {head[name]!r}, the chain says {value!r}"


def _cursor_faults(stored: sa.Connection, length: int) -> Faults:
    for cursor in stored.execute(_raw(tables.cursors)).mappings():
        if cursor["sequence"] not in range(length + 1):
            yield f"cursors {cursor['sink']}: column sequence says {cursor['sequence']!r}, off the chain"


def _text_faults(stored: sa.Connection, folded: sa.Connection) -> Faults:
    state = SqlState(folded)
    subjects = {row.commitment: row.subject for row in state.select(TextRow)}
    erased = {row.commitment for row in state.select(ErasureRow)}
    keys = {row["subject"]: row["key"] for row in stored.execute(_raw(tables.text_keys)).mappings()}
    kept = {row["commitment"]: row["sealed"] for row in stored.execute(_raw(tables.texts)).mappings()}
    used = {subjects[each] for each in kept if each in subjects}
    for each in sorted(kept.keys() & subjects.keys()):
        key = keys.get(subjects[each])
        try:
            holds = key is None or commitment(*opened(key, each, kept[each])) == each
        except _UNFIT:
            holds = False
        if not holds:
            yield f"texts {_short(each)}: it is not the text that was committed to, or not under this key"
    for left in sorted(erased & kept.keys()):
        yield f"texts {_short(left)}: an event erased it, but it is still there"
    for missing in sorted(subjects.keys() - kept.keys() - erased):
        yield f"texts {_short(missing)}: an event commits to it, but it is gone"
    for extra in sorted(kept.keys() - subjects.keys(), key=str):
        yield f"texts {_short(extra)}: no event commits to it"
    for lost in sorted(used - keys.keys()):
        yield f"text_keys {lost}: texts are kept under this key, but it is gone"
    for left in sorted(keys.keys() - used, key=str):
        yield f"text_keys {left}: no text is kept under this key, but it is still there"


def _state_faults(stored: sa.Connection, folded: sa.Connection, kind: type[Row]) -> Faults:
    table = tables.STATE[kind]
    right = {_key(kind, row): tuple(row) for row in folded.execute(_raw(table))}
    seen: set[tuple[Any, ...]] = set()
    found: list[tuple[str, str]] = []
    rows = 0
    for row in stored.execute(_raw(table).execution_options(yield_per=PAGE)):  # never all of them at once
        rows += 1
        key = _key(kind, row)
        seen.add(key)
        if right.get(key) == tuple(row):
            continue
        label = f"{kind.TABLE} {'/'.join(map(str, key))}"
        if key not in right:
            found.append((str(key), f"{label}: no event wrote this row"))
            continue
        for column, value, said in zip(table.columns, right[key], row, strict=True):
            if said != value:
                told = f"{label}: column {column.name} says {said!r}, the ledger says {value!r}"
                found.append((str(key), told))
    for key in right.keys() - seen:
        label = f"{kind.TABLE} {'/'.join(map(str, key))}"
        found.append((str(key), f"{label}: the events wrote this row, but it is gone"))
    if len(seen) != rows:
        yield f"{kind.TABLE}: {rows - len(seen)} rows repeat the key of another"
    yield from (told for _, told in sorted(found))


def _key(kind: type[Row], row: sa.Row[Any]) -> tuple[Any, ...]:
    return tuple(row._mapping[name] for name in kind.KEY)  # noqa: SLF001  # how SQLAlchemy has it read


def _raw(table: sa.Table) -> sa.Select[Any]:
    """Select what is stored, not what a column type makes of it: SQLite keeps a 2 where True is meant."""
    raw = sa.types.NullType()
    return sa.select(*[sa.type_coerce(column, raw).label(column.name) for column in table.columns])


def _short(digest: object) -> str:
    return f"{str(digest)[:19]}…"


def _first_line(error: Exception) -> str:
    error = getattr(error, "orig", None) or error  # what the database said, not the statement it was said to
    return (str(error).strip() or type(error).__name__).splitlines()[0]
