"""The tables: the chain and what lies beside it, and one table per row type of folded state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar, get_origin, get_type_hints

import sqlalchemy as sa

from tidegate.domain.canonical import canonical, parse
from tidegate.domain.errors import DependencyFailed, TidegateError
from tidegate.domain.policy import Stage, Tier
from tidegate.domain.state import ROWS, ModelRow, PromotionRow, Row, VersionRow

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


def _shape(kind: type[Row]) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: get_origin(hints[field.name]) for field in fields(kind)}


#: Per row type and field, the container to be written as JSON text, or None for a plain value.
_SHAPES: Mapping[type[Row], Mapping[str, Any]] = {kind: _shape(kind) for kind in ROWS}


#: Columns that name one of a few things.
_NAMED: Mapping[tuple[type[Row], str], type[StrEnum]] = {
    (VersionRow, "stage"): Stage,
    (ModelRow, "tier"): Tier,
    (PromotionRow, "target"): Stage,
}


def stored(kind: type[Row], name: str, value: object) -> Any:
    """Return how a field's value is kept: containers as canonical JSON text, an enumeration as plain text."""
    origin = _SHAPES[kind][name]
    if origin is not None:
        return canonical(list(value) if origin is tuple else value).decode()  # type: ignore[call-overload]
    return str(value) if isinstance(value, str) else value


def encode(row: Row) -> dict[str, Any]:
    """Return a row's column values."""
    return {name: stored(type(row), name, getattr(row, name)) for name in _SHAPES[type(row)]}


def decode(kind: type[R], stored: Mapping[str, Any]) -> R:
    """Return the row that ``stored`` column values spell.

    Raises:
        DependencyFailed: a column spells nothing that an event could have written.
    """
    values = {}
    for name, origin in _SHAPES[kind].items():
        value = stored[name]
        try:
            value = parse(value) if origin else value
            if origin and not isinstance(value, list if origin is tuple else dict):
                raise TypeError(name)
            if (kind, name) in _NAMED:
                value = str(_NAMED[kind, name](value))
        except (ValueError, TypeError, TidegateError) as error:
            raise DependencyFailed(
                "state-unreadable",
                f"got {str(stored[name])[:40]!r} in the column {name} of {kind.TABLE}, expected what an event wrote",
                "somebody altered the database: `tidegate audit verify` names what differs",
            ) from error
        values[name] = tuple(value) if origin is tuple else value
    return kind(**values)
