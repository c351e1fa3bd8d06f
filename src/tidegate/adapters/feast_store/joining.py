"""One call of the offline store: a DuckDB of its own, the entity rows in it, and the views joined onto them.

What fits the memory of a call is swept; the rest is joined by DuckDB, which puts on disk what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
from feast.errors import EntityTimestampInferenceException

from tidegate.adapters.feast_store.as_of import PLACE, History, candidates, point_in_time, quoted
from tidegate.adapters.feast_store.sweep import swept
from tidegate.adapters.shared.scratch import scratch
from tidegate.domain.errors import BadInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT = "event_timestamp"
#: What a key's type is compared as: types of one kind can be equal. Kinds that can be swept, and as what.
_KINDS = {"VARCHAR": "text", "ENUM": "text", "FLOAT": "number", "DOUBLE": "number", "DECIMAL": "number"}
_KINDS |= dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), "number")
_SWEPT = {"VARCHAR": "VARCHAR", **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT"), "BIGINT")}
_UNKNOWN = "unknown"
#: Bytes that a sweep holds for each row, beside those of its columns: numbers of keys, times and places.
_BYTES_A_ROW, _BYTES_A_COLUMN = 96, 8


@dataclass(frozen=True)
class Described:
    """What Feast keeps of a job beside a saved dataset."""

    features: Sequence[str]
    keys: Sequence[str]
    span: tuple[datetime, datetime]


@contextmanager
def database_for(config: Any) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB of its own; its overflow goes with it, or, where the process is killed, with the next one."""
    settings = config.offline_store
    with scratch(settings.temp_directory) as overflow:
        options = {
            "memory_limit": settings.memory_limit,
            "temp_directory": str(overflow),
            "python_enable_replacements": "false",  # a name in a query never reaches a Python variable
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            **({"threads": str(settings.threads)} if settings.threads else {}),
        }
        with duckdb.connect(":memory:", config=options) as database:
            database.execute("SET TimeZone = 'UTC'")  # known to DuckDB only once connected
            database.execute("SET enable_progress_bar = false")
            yield database


def joined(database: duckdb.DuckDBPyConnection, entity_df: Any, views: Sequence[History]) -> str:
    """Put the entity rows into the database; return the query that joins the views onto them.

    Raises:
        BadInput: a key is missing or of another type than the view's, or a name would be there twice.
    """
    asked, at = _asked(database, entity_df)
    columns = [name for name in asked if name != PLACE]
    wanted = dict.fromkeys(name for view in views for name in view.keys.values())
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise BadInput(
            "missing-column",
            f"got entity rows with {', '.join(columns)}, expected also {', '.join(missing)}",
            "",
        )
    twice = [name for view in views for name in view.features.values() if name in columns]
    if twice:
        raise BadInput(
            "column-twice", f"got {', '.join(twice)} both as a column and as a feature, expected one", ""
        )
    types = [_types(database, view.relation) for view in views]
    for view, of in zip(views, types, strict=True):
        for key, name in view.keys.items():
            kinds = _kind(asked[name]), _kind(of[key])
            if _UNKNOWN not in kinds and kinds[0] != kinds[1]:
                raise BadInput(
                    "key-type",
                    f"got {name} as {asked[name]} in the entity rows, expected {of[key]}",
                    "cast it: keys of different types are never equal",
                )
    span = _span(database, at)
    if _sweepable(asked, views, types) and _fits(database, len(columns), views):
        database.register("joined", _swept(database, at, columns, views, types, span))
        return "SELECT * FROM joined"
    database.execute("SET preserve_insertion_order = false")  # the query states its order
    return point_in_time("asked", at, columns, views, span)


def _sweepable(
    asked: Mapping[str, str], views: Sequence[History], types: Sequence[Mapping[str, str]]
) -> bool:
    """Return whether every key is of a type that a sweep compares as DuckDB does."""
    pairs = [
        (asked[n], of[key]) for view, of in zip(views, types, strict=True) for key, n in view.keys.items()
    ]
    return all(_SWEPT.get(one) == _SWEPT.get(other) is not None for one, other in pairs)


def _fits(database: duckdb.DuckDBPyConnection, columns: int, views: Sequence[History]) -> bool:
    """Return whether a sweep of all rows stays within the memory of a call; a file's footer says how many it has."""
    answer = columns + sum(len(view.features) for view in views)
    tables = [
        ("given", answer),
        *((view.relation, len(view.keys) + 2 + len(view.features)) for view in views),
    ]
    held = 0
    for relation, width in tables:
        ((rows,),) = database.execute(f"SELECT count(*) FROM {relation}").fetchall()
        held += rows * (_BYTES_A_ROW + _BYTES_A_COLUMN * width)
    ((most,),) = database.execute("SELECT parse_formatted_bytes(current_setting('memory_limit'))").fetchall()
    return bool(held <= most)


def _swept(
    database: duckdb.DuckDBPyConnection,
    at: str,
    columns: Sequence[str],
    views: Sequence[History],
    types: Sequence[Mapping[str, str]],
    span: tuple[datetime, datetime],
) -> pa.Table:
    """Read what was known of each view, and sweep it: a view for each core at once, so that no more are held."""

    def known(view: History, of: Mapping[str, str]) -> pa.Table:
        cast = ", ".join(f"{quoted(key)}::{_SWEPT[of[key]]} AS {quoted(key)}" for key in view.keys)
        replaced = f" REPLACE ({cast})" if cast else ""
        query = f"SELECT *{replaced} FROM ({candidates(view, span)})"
        with database.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
            return cursor.sql(query).to_arrow_table()

    ((cores,),) = database.execute("SELECT current_setting('threads')").fetchall()
    asked = database.sql(f"SELECT {', '.join(map(quoted, columns))} FROM asked").to_arrow_table()
    reads = [partial(known, view, of) for view, of in zip(views, types, strict=True)]
    with ThreadPoolExecutor(min(len(views), cores) or 1) as workers:
        return swept(asked, at, views, reads, workers)


def _asked(database: duckdb.DuckDBPyConnection, entity_df: Any) -> tuple[Mapping[str, str], str]:
    """Make the entity rows ``asked``, numbered, their times in UTC; return types by column, and the time's column.

    Raises:
        BadInput: a column has the name of the number.
    """
    if isinstance(entity_df, str):
        columns = database.sql(f"SELECT * FROM ({entity_df}) LIMIT 0").columns
        given = f"SELECT *, row_number() OVER () AS {PLACE} FROM ({entity_df})"
        database.execute(f"CREATE TEMP TABLE given AS {given}")
    else:
        of_frame = not isinstance(entity_df, pa.Table)
        rows = pa.Table.from_pandas(entity_df, preserve_index=False) if of_frame else entity_df
        columns = rows.column_names
        database.register("given", rows.append_column(PLACE, pa.array(range(rows.num_rows), pa.int64())))
    if PLACE in columns:
        raise BadInput("column-twice", f"got entity rows with a column {PLACE}, expected none", "rename it")
    types = _types(database, "given")
    times = [name for name, kind in types.items() if kind.startswith("TIMESTAMP")]
    if _AT not in types and len(times) != 1:
        raise EntityTimestampInferenceException(_AT)
    at = _AT if _AT in types else times[0]
    in_utc = f"{quoted(at)}::TIMESTAMPTZ AS {quoted(at)}"
    database.execute(f"CREATE TEMP VIEW asked AS SELECT * REPLACE ({in_utc}) FROM given")
    return types, at


def described(database: duckdb.DuckDBPyConnection, entity_df: Any, features: Sequence[str]) -> Described:
    """Return what Feast keeps beside the saved dataset of such a join."""
    asked, at = _asked(database, entity_df)
    return Described(features, [name for name in asked if name not in (at, PLACE)], _span(database, at))


def _span(database: duckdb.DuckDBPyConnection, at: str) -> tuple[datetime, datetime]:
    """Return the first and the last moment asked for; without any, no row is known."""
    query = f"SELECT epoch_us(min({quoted(at)})), epoch_us(max({quoted(at)})) FROM asked"
    ((first, last),) = database.execute(query).fetchall()
    return _EPOCH + timedelta(microseconds=first or 0), _EPOCH + timedelta(microseconds=last or 0)


def _types(database: duckdb.DuckDBPyConnection, relation: str) -> Mapping[str, str]:
    """Return a relation's types by column."""
    asked = database.sql(f"SELECT * FROM {relation} LIMIT 0")
    return dict(zip(asked.columns, map(str, asked.types), strict=True))


def _kind(name: str) -> str:
    """Return what a key's type is compared as; a column of nothing but nulls is equal to none."""
    kind = name.removeprefix("U").partition("(")[0].strip('"')
    return _UNKNOWN if kind == "NULL" else _KINDS.get(kind, name)
