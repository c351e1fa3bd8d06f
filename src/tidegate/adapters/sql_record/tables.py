"""The tables: the chain and what lies beside it, and one table per row type of folded state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_origin, get_type_hints

import sqlalchemy as sa

from tidegate.domain.canonical import canonical, parse
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.state import ROWS, Row

R = TypeVar("R", bound=Row)

metadata = sa.MetaData()

#: ``body`` is TEXT, never JSONB: JSONB renormalises numbers, and these are the hashed bytes.
events = sa.Table(
    "events",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("stream_sequence", sa.BigInteger, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("idempotency_key", sa.Text, nullable=True, unique=True),
    sa.Column("occurred_at", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False, unique=True),  # two events with one parent would be a fork
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.UniqueConstraint("stream", "stream_sequence"),
)

#: The one row that writers lock, there from the first: without it the first writers would not wait for each
#: other. Its clock is the kind of clock the ledger was opened with, empty before the first event.
head = sa.Table(
    "head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("clock", sa.Text, nullable=False),
    sa.CheckConstraint("id = 1", name="one_head"),
)

#: Names, reasons and comments: erasable, held to the chain by salted commitments (layout: `cipher`).
texts = sa.Table(
    "texts",
    metadata,
    sa.Column("commitment", sa.Text, primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
)

#: The key that opens the texts about a person, there as long as there is one: erased, no copy of them reads.
text_keys = sa.Table(
    "text_keys",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
)

#: How far each sink's effects have come along the chain, and what went wrong since.
cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("sink", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("retry_at", sa.Text, nullable=False),
)

_TYPES: Mapping[Any, type[sa.types.TypeEngine[Any]]] = {str: sa.Text, int: sa.BigInteger, bool: sa.Boolean}


def _table(kind: type[Row]) -> sa.Table:
    hints = get_type_hints(kind)
    columns = [
        sa.Column(
            field.name,
            _TYPES.get(hints[field.name], sa.Text),  # tuples and mappings are canonical JSON text
            primary_key=field.name in kind.KEY,
            nullable=False,
            autoincrement=False,
        )
        for field in fields(kind)
    ]
    return sa.Table(kind.TABLE, metadata, *columns)


STATE: Mapping[type[Row], sa.Table] = {kind: _table(kind) for kind in ROWS}


def _only_one(table: str, column: str, where: str, name: str) -> None:
    condition = sa.text(where)
    target = metadata.tables[table]
    sa.Index(name, target.c[column], unique=True, sqlite_where=condition)


# Naming PostgreSQL's option here would import its dialect into every command (45 ms); its databases are made
# by the migrations alone, which name both.
# C4: never two production versions of a model. The database says so, whatever the code believes.
_only_one("versions", "model", "stage = 'prod'", "one_prod_version")
_only_one("policies", "in_force", "in_force", "one_policy_in_force")
sa.Index(
    "one_open_promotion",
    metadata.tables["promotions"].c.model,
    metadata.tables["promotions"].c.version,
    unique=True,
    sqlite_where=sa.text("status = 'open'"),
)
sa.Index("events_by_stream", events.c.stream, events.c.sequence)
sa.Index("events_by_time", events.c.occurred_at, events.c.sequence)


def _shape(kind: type[Row]) -> Mapping[str, type]:
    hints = get_type_hints(kind)
    containers = {tuple: tuple, Mapping: dict}
    return {
        field.name: containers.get(get_origin(hints[field.name]), hints[field.name]) for field in fields(kind)
    }


#: Per row type and field what it holds: tuple (of texts) and dict are written as JSON text, all else is plain.
_SHAPES: Mapping[type[Row], Mapping[str, type]] = {kind: _shape(kind) for kind in ROWS}
_SPOKEN: Mapping[type, str] = {
    tuple: "a JSON list of texts",
    dict: "a JSON object",
    str: "a text",
    int: "a whole number",
    bool: "true or false",
}
#: How much of an unreadable value is repeated.
_SHOWN = 60


def stored(kind: type[Row], name: str, value: object) -> Any:
    """Return how a field's value is kept: containers as canonical JSON text, an enumeration as plain text."""
    shape = _SHAPES[kind][name]
    if shape in {tuple, dict}:
        return canonical(list(value) if shape is tuple else value).decode()  # type: ignore[call-overload]
    return str(value) if isinstance(value, str) else value


def encode(row: Row) -> dict[str, Any]:
    """Return a row's column values."""
    return {name: stored(type(row), name, getattr(row, name)) for name in _SHAPES[type(row)]}


def decode(kind: type[R], stored: Mapping[str, Any]) -> R:
    """Return the row that ``stored`` column values spell.

    Raises:
        DependencyFailed: a value that its column cannot hold; nobody of ours wrote it.
    """
    values = {}
    for name, shape in _SHAPES[kind].items():
        try:
            values[name] = _value(stored[name], shape)
            if name in kind.WORDS and values[name] not in kind.WORDS[name]:
                raise ValueError
        except (ValueError, TypeError, RecursionError) as error:
            raise _unreadable(kind, name, stored) from error
    return kind(**values)


def _value(said: Any, shape: type) -> Any:
    value = parse(said) if shape in {tuple, dict} else said
    if shape is tuple and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    if type(value) is shape:
        return value
    raise TypeError


def _unreadable(kind: type[Row], name: str, stored: Mapping[str, Any]) -> DependencyFailed:
    got, key = repr(stored[name]), "/".join(str(stored[each]) for each in kind.KEY)
    words = [f"`{each}`" for each in kind.WORDS.get(name, ())]
    expected = f"one of {', '.join(words)}" if words else _SPOKEN[_SHAPES[kind][name]]
    return DependencyFailed(
        "state-unreadable",
        f"got {_short(got)} in column {name} of {kind.TABLE} {_short(key)}, expected {expected}",
        "somebody altered the record: run `tidegate audit verify`, which names every row that was; restore a backup",
        table=kind.TABLE,
        column=name,
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
