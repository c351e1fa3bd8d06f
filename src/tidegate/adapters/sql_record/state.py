"""The folded state and the events as rows of tables: how they are read, and how they are put there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import sqlalchemy as sa

from tidegate.adapters.sql_record import tables
from tidegate.adapters.sql_record.engine import explained
from tidegate.domain.events import Event
from tidegate.domain.state import Row

R = TypeVar("R", bound=Row)

#: How many events are read at a time.
PAGE = 1000

_NEWEST = sa.select(sa.func.max(tables.events.c.sequence))
_HIGHEST = (
    sa.select(tables.events.c.sequence, tables.events.c.occurred_at)
    .where(tables.events.c.sequence > sa.bindparam("after"))
    .order_by(tables.events.c.occurred_at.desc(), tables.events.c.sequence.desc())
    .limit(1)
)


class SqlState:
    """Folded state as one connection sees it, or, with an engine, as the last commit left it."""

    def __init__(self, bind: sa.Connection | sa.Engine) -> None:
        self._bind = bind

    def get(self, kind: type[R], /, *key: str | int) -> R | None:
        """Return the row with this primary key, or None."""
        found = self.select(kind, **dict(zip(kind.KEY, key, strict=True)))
        return found[0] if found else None

    def select(self, kind: type[R], /, **equal: object) -> tuple[R, ...]:
        """Return the rows whose fields equal the given values, in key order."""
        table = tables.STATE[kind]
        query = sa.select(table).where(
            *(table.c[name] == tables.stored(kind, name, value) for name, value in equal.items())
        )
        with explained("read the state"):
            if isinstance(self._bind, sa.Engine):
                with self._bind.connect() as connection:
                    found = connection.execute(query).mappings().all()
            else:
                found = self._bind.execute(query).mappings().all()
        rows = [tables.decode(kind, dict(row)) for row in found]
        return tuple(sorted(rows, key=lambda row: row.key))  # a database has its own collation

    def marks(self) -> tuple[tuple[int, str], ...]:
        """Return (sequence, occurred_at) of each event after which all occurred earlier, in order of sequence."""
        with explained("read the state"):
            if isinstance(self._bind, sa.Engine):
                with self._bind.connect() as connection:
                    return _marks(connection)
            return _marks(self._bind)


def _marks(connection: sa.Connection) -> tuple[tuple[int, str], ...]:
    newest, found = connection.execute(_NEWEST).scalar() or 0, list[tuple[int, str]]()
    # Asked of the newest event as well, the latest after it would be looked for through the whole index.
    while (after := found[-1][0] if found else 0) < newest:
        sequence, occurred_at = connection.execute(_HIGHEST, {"after": after}).one()
        found.append((sequence, occurred_at))
    return tuple(found)


def put(connection: sa.Connection, row: Row) -> None:
    """Insert or replace one row of state."""
    connection.execute(upsert(tables.STATE[type(row)]), tables.encode(row))


@cache
def upsert(table: sa.Table, *, forward: bool = False) -> sa.TextClause:
    """Return what inserts a row or replaces the one of its key; ``forward``: only by a higher sequence.

    Both databases spell it alike. As an expression SQLAlchemy would compile it anew for every row, which took
    most of the time of a verification.
    """
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key]
    new = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in keys)
    where = f" WHERE {table.name}.sequence < excluded.sequence" if forward else ""
    insert = f"INSERT INTO {table.name} ({_quoted(names)}) VALUES ({', '.join(f':{name}' for name in names)})"  # noqa: S608  # our own names
    return sa.text(f"{insert} ON CONFLICT ({_quoted(keys)}) DO UPDATE SET {new}{where}")


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def copies(event: Event) -> dict[str, object]:
    """Return the column values beside the body: copies, for queries and constraints."""
    values = {column.name: getattr(event, column.name) for column in tables.events.columns}
    return {**values, "type": str(event.type)}  # an enumeration is not what a driver expects
