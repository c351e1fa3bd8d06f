"""Runs a content folder's SQL over accepted batches, in a DuckDB of its own.

The SQL sees three kinds of views and nothing else:

    <dataset>            the accepted batches of a dataset, one after the other
    <dataset>_<table>    the rows that the dataset's contract declares
    <step>               a query over these that the content folder shares between its queries

Time is UTC and results come back in a stated order, so that the same batches give the same bytes.
No extension is fetched: what DuckDB does not carry itself is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.shared.arrow import table_digest, write_parquet
from tidegate.application.ports import Frame
from tidegate.domain.errors import BadInput, DependencyFailed

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Declared = Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SETTINGS = {
    "python_enable_replacements": "false",  # a name in the SQL never reaches a Python variable
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def run_sql(
    sql_text: str,
    batches: Mapping[str, Sequence[Path]],
    declared: Declared,
    params: Mapping[str, object] | None = None,
    steps: Mapping[str, str] | None = None,
    most: int | None = None,
) -> pa.Table:
    """Run one query and return its rows, times as microseconds in UTC; of them the first ``most``, if that is said.

    ``steps`` are the texts of shared queries by name, each a view over the datasets. ``params`` are the
    query's named parameters (``$name``); those that it does not name are left out, and aware datetimes keep
    their instant. Row order is what the query's ORDER BY makes it.

    Raises:
        BadInput: the query does not run on these batches, or a dataset has no accepted batch.
        DependencyFailed: a batch's file cannot be read.
    """
    import duckdb

    with connection(batches, declared) as database:
        named = {name: value for name, value in (params or {}).items() if re.search(rf"\${name}\b", sql_text)}
        try:
            for name, text in (steps or {}).items():
                _relation(database, text).create_view(_checked(name), replace=False)
            found = _relation(database, sql_text, named or None)
            return _plain((found if most is None else found.limit(most)).to_arrow_table())
        except duckdb.IOException as error:
            raise DependencyFailed(
                "batch-unreadable",
                f"got an unreadable batch file ({_first_line(error)}), expected Parquet",
                "",
            ) from error
        except duckdb.Error as error:
            raise BadInput(
                "sql-failed",
                f"got a query that does not run ({_first_line(error)}), expected one SELECT over "
                f"{', '.join(sorted(_names(batches, declared))) or 'no view at all'}",
                "the views are the datasets and <dataset>_<declared table>",
            ) from error


@contextmanager
def connection(
    batches: Mapping[str, Sequence[Path]], declared: Declared
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory database with one view per dataset and per declared table."""
    import duckdb

    _check_apart(_names(batches, declared))
    database = duckdb.connect(":memory:", config=dict(_SETTINGS))
    try:
        database.execute("SET TimeZone = 'UTC'")  # known to DuckDB only once connected
        database.execute(
            "SET allowed_paths = ?", [[file for paths in batches.values() for file in _absolute(paths)]]
        )
        database.execute("SET enable_external_access = false")
        for dataset, paths in batches.items():
            _view_of_batches(database, dataset, paths)
        for dataset, tables in declared.items():
            for table, rows in tables.items():
                _table_of_rows(database, f"{dataset}_{table}", rows)
        yield database
    finally:
        database.close()


def write_frame(table: pa.Table, folder: Path, order_by: Sequence[str] = ()) -> Frame:
    """Write ``table``, ordered, as ``folder/<digest>.parquet``; a file already there is left as it is.

    Every column decides the order after ``order_by``, so that ties cannot change the digest.
    """
    import pyarrow as pa

    missing = [name for name in order_by if name not in table.column_names]
    if missing:
        raise BadInput(
            "missing-column",
            f"got the columns {', '.join(table.column_names)}, expected also {', '.join(missing)}",
            "select the columns that the rows are ordered by",
        )
    table = pa.table({name: table.column(name) for name in table.column_names})  # drops pandas metadata
    if order_by:
        rest = [name for name in table.column_names if name not in order_by]
        table = table.sort_by([(name, "ascending") for name in (*order_by, *rest)])
    digest = table_digest(table)
    path = folder / f"{digest.removeprefix('tg1:')}.parquet"
    if not path.exists():
        write_parquet(table, path)
    return Frame(digest=digest, path=path, rows=table.num_rows, columns=tuple(table.column_names))


def _relation(
    database: duckdb.DuckDBPyConnection, sql_text: str, params: Mapping[str, object] | None = None
) -> duckdb.DuckDBPyRelation:
    relation = database.sql(sql_text, params=params)
    if relation is None:
        raise BadInput("sql-failed", "got statements that yield no rows, expected one SELECT", "")
    return relation


def _view_of_batches(database: duckdb.DuckDBPyConnection, dataset: str, paths: Sequence[Path]) -> None:
    import duckdb

    if not paths:
        raise BadInput(
            "no-batch",
            f"got no accepted batch of {dataset}, expected at least one",
            f"ingest {dataset} first",
        )
    # Content-addressed names in sorted order: the same set of batches is read in the same order.
    files = sorted(_absolute(paths))
    gone = [file for file in files if not Path(file).is_file()]
    if gone:
        raise DependencyFailed(
            "batch-gone",
            f"got {len(gone)} of {len(files)} batch files of {dataset} missing, expected all",
            "restore the home from its backup, or ingest the drop again",
        )
    try:
        relation = database.read_parquet(files, union_by_name=True)
        relation.create_view(_checked(dataset))
    except duckdb.Error as error:
        raise DependencyFailed(
            "batch-unreadable",
            f"got {len(files)} batch files of {dataset} that cannot be read ({_first_line(error)}), "
            "expected Parquet files of one schema",
            "tidegate doctor says which file is damaged",
        ) from error


def _table_of_rows(
    database: duckdb.DuckDBPyConnection, name: str, rows: Sequence[Mapping[str, object]]
) -> None:
    import pyarrow as pa

    if not rows:
        raise BadInput("no-declared-row", f"got no row in {name}, expected at least one", "declare its rows")
    database.register(_checked(name), pa.Table.from_pylist([dict(row) for row in rows]))


def _plain(table: pa.Table) -> pa.Table:
    """Return ``table`` with one spelling of types: string, and times as microseconds in UTC."""
    import pyarrow as pa

    fields = []
    for field in table.schema:
        kind = field.type
        if pa.types.is_timestamp(kind):
            kind = pa.timestamp("us", "UTC")
        elif pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_dictionary(kind):
            kind = pa.string()
        fields.append(pa.field(field.name, kind))
    return table.cast(pa.schema(fields))


def _absolute(paths: Sequence[Path]) -> list[str]:
    return [str(path.absolute()) for path in paths]


def _names(batches: Mapping[str, Sequence[Path]], declared: Declared) -> list[str]:
    return [*batches, *(f"{dataset}_{table}" for dataset, tables in declared.items() for table in tables)]


def _check_apart(names: Sequence[str]) -> None:
    """Refuse two views of one name, which to SQL is the same in any case: the later one would stand for both."""
    first: dict[str, str] = {}
    for name in names:
        if (other := first.setdefault(name.casefold(), name)) is not name:
            raise BadInput(
                "view-name",
                f"got two views that SQL calls {other}, {other} and {name}, expected names of their own",
                "rename a dataset, or a table that a contract declares",
            )


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise BadInput(
            "view-name", f"got the name {name!r}, expected letters, digits and underscores", "rename it"
        )
    return name


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
