"""Arrow tables in PostgreSQL: written and read in bulk, replaced in one step, exactly what they were.

An address is like ``postgresql://user:password@host:5432/database?schema=shop``. The password is shown nowhere: what
goes wrong is told of the host and the database alone. Tables lie in a schema of their own, ``tidegate`` if not said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
from psycopg.conninfo import conninfo_to_dict

from tidegate.adapters.feast_store.as_of import quoted
from tidegate.domain.errors import BadInput, DependencyFailed

_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_SCHEMES = {"postgres", "postgresql", "postgresql+psycopg"}
_SECONDS_TO_CONNECT = 5
_ROWS_AT_ONCE = 65_536
_NO_QUERY = (psycopg.errors.SyntaxError, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)
_NAME_BYTES = 63
_UTC = pa.timestamp("us", "UTC")
#: What a table's columns are there, and what they come back as.
_THERE = {
    pa.int8(): "smallint", pa.int16(): "smallint", pa.int32(): "integer", pa.int64(): "bigint",
    pa.uint8(): "smallint", pa.uint16(): "integer", pa.uint32(): "bigint", pa.uint64(): "numeric(20, 0)",
    pa.float32(): "real", pa.float64(): "double precision", pa.bool_(): "boolean", pa.date32(): "date",
    **dict.fromkeys((pa.string(), pa.large_string(), pa.string_view(), pa.null()), 'text COLLATE "C"'),
}  # fmt: skip
_BACK = {
    "int2": pa.int16(), "int4": pa.int32(), "int8": pa.int64(), "float4": pa.float32(), "float8": pa.float64(),
    "bool": pa.bool_(), "date": pa.date32(), "text": pa.string(), "varchar": pa.string(), "bpchar": pa.string(),
    "name": pa.string(), "uuid": pa.string(), "timestamptz": _UTC, "timestamp": pa.timestamp("us"),
}  # fmt: skip


class Tables:
    """One connection's transaction, in UTC: what it does is done whole at its end, or not at all."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self._connection, self._schema = connection, schema

    def place(self, table: str) -> str:
        """Return a table's name in SQL."""
        return f"{quoted(self._schema)}.{quoted(table)}"

    def there(self, table: str) -> bool:
        """Say whether there is such a table."""
        asked = self._connection.execute("SELECT to_regclass(%s)", [self.place(table)]).fetchone()
        return bool(asked and asked[0])

    def hold(self, places: Sequence[str]) -> None:
        """Keep tables from being replaced until the end: all of them are then of one build."""
        if places:
            self._run(f"LOCK TABLE {', '.join(sorted(places))} IN ACCESS SHARE MODE")

    def replace(self, tables: Mapping[str, pa.Table]) -> None:
        """Put tables in the place of those of their names: whoever reads sees all of the old ones, or all of the new.

        Raises:
            BadInput: a column is of a type that does not come back as it was.
        """
        self._connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"tidegate {self._schema}"])
        if self._connection.execute("SELECT to_regnamespace(%s)", [quoted(self._schema)]).fetchone() == (
            None,
        ):
            self._run(f"CREATE SCHEMA {quoted(self._schema)}")
        begun = {name: f"tidegate begun {number}" for number, name in enumerate(sorted(tables))}
        for name, beside in begun.items():
            self._run(f"DROP TABLE IF EXISTS {self.place(beside)}")
            self.create(self.place(beside), tables[name], name)
            self._run(f"ANALYZE {self.place(beside)}")
        # Whoever reads several tables locks them in this order too: nobody waits for one who waits for him.
        if standing := sorted(self.place(name) for name in tables if self.there(name)):
            self._run(f"LOCK TABLE {', '.join(standing)} IN ACCESS EXCLUSIVE MODE")
        for name, beside in begun.items():
            self._run(f"DROP TABLE IF EXISTS {self.place(name)}")
            self._run(f"ALTER TABLE {self.place(beside)} RENAME TO {quoted(name)}")

    def create(self, place: str, rows: pa.Table, called: str, temporary: bool = False) -> None:
        """Make a table of these rows.

        Raises:
            BadInput: a name is longer than PostgreSQL keeps, or a type does not come back as it was.
        """
        if long := [name for name in (called, *rows.column_names) if len(name.encode()) > _NAME_BYTES]:
            raise BadInput(
                "name-too-long",
                f"got the name {long[0]}, expected at most {_NAME_BYTES} bytes: PostgreSQL cuts the rest off",
                "rename it",
            )
        columns = [f"{quoted(field.name)} {_type_there(field, called)}" for field in rows.schema]
        end = " ON COMMIT DROP" if temporary else ""
        self._run(f"CREATE {'TEMPORARY ' if temporary else ''}TABLE {place} ({', '.join(columns)}){end}")
        self.append(place, rows)

    def append(self, place: str, rows: pa.Table) -> None:
        """Add rows to a table, in bulk."""
        names = ", ".join(map(quoted, rows.column_names))
        options = pc_csv.WriteOptions(include_header=False, quoting_style="all_valid")
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {place} ({names}) FROM STDIN (FORMAT csv)") as copy,
        ):
            for batch in _plain(rows).to_batches(_ROWS_AT_ONCE):
                sink = pa.BufferOutputStream()
                pc_csv.write_csv(batch, sink, options)
                copy.write(sink.getvalue())

    def schema(self, relation: str) -> pa.Schema:
        """Return a relation's columns.

        Raises:
            BadInput: one is of a type that cannot be read.
        """
        described = self._run(f"SELECT * FROM {relation} AS asked LIMIT 0").description or ()
        return pa.schema([(column.name, _type_back(column)) for column in described])

    def rows(self, relation: str, written: bool = False) -> pa.Table:
        """Return a relation's rows, times with a zone in UTC; a table's as they were ``written``, one after the other.

        Raises:
            BadInput: a column is of a type that cannot be read.
        """
        schema = self.schema(relation)
        times = {field.name for field in schema if pa.types.is_timestamp(field.type)}
        selected = [
            f"CAST(extract(epoch FROM {quoted(name)}) * 1000000 AS bigint)" if name in times else quoted(name)
            for name in schema.names
        ]
        query = f"SELECT {', '.join(selected)} FROM {relation} AS asked{' ORDER BY ctid' if written else ''}"
        whole = pa.BufferOutputStream()
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)") as copy,
        ):
            for part in copy:
                whole.write(part)
        return _read(whole.getvalue(), schema)

    def _run(self, statement: str) -> psycopg.Cursor[Any]:
        return self._connection.execute(statement.encode())


@contextmanager
def tables_at(url: str) -> Iterator[Tables]:
    """Open the tables at an address, for one transaction.

    Raises:
        BadInput: the address is none, or names a variable that is not set. DependencyFailed: PostgreSQL is not there,
            or refuses.
    """
    address, schema = _split(url)
    public = _public(address)
    try:
        connection = psycopg.connect(
            address, connect_timeout=_SECONDS_TO_CONNECT, application_name="tidegate", client_encoding="utf8"
        )
    except psycopg.Error as error:
        raise _gone(public, "connecting", error) from None
    try:
        with connection, connection.transaction():
            connection.execute("SET LOCAL TimeZone = 'UTC'")
            connection.execute("SET LOCAL DateStyle = 'ISO'")
            connection.execute("SET LOCAL extra_float_digits = 1")
            connection.execute(
                "SET LOCAL jit = off"
            )  # it takes longer to compile these queries than to run them
            yield Tables(connection, schema)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        raise DependencyFailed(
            "features-not-built",
            f"got no such table from PostgreSQL at {public} ({_first_line(error)}), expected it to be built",
            "run `tidegate run materialize`",
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise _gone(public, "working", error) from error
    except _NO_QUERY as error:
        raise BadInput(
            "sql-failed",
            f"got a query that does not run in PostgreSQL ({_first_line(error)}), expected one that does",
            "mend the view's query in features/sources/; build the features first, if a column of theirs is not there",
        ) from error
    except psycopg.DataError as error:
        raise BadInput(
            "source-values",
            f"got values that PostgreSQL does not take ({_first_line(error)}), expected numbers within their type, "
            "and texts without NUL characters",
            "mend them in the source's SQL",
        ) from error
    except psycopg.Error as error:
        raise DependencyFailed(
            "offline-store-failed",
            f"got {type(error).__name__} from PostgreSQL at {public} ({_first_line(error)}), expected it to work",
            "nothing of it was kept: see what its server's log says",
        ) from error


def exactly(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows that came back as they were before: with these columns, in these types."""
    return rows.select(schema.names).cast(schema)


def _gone(public: str, doing: str, error: Exception) -> DependencyFailed:
    return DependencyFailed(
        "offline-store-gone",
        f"got {type(error).__name__} from PostgreSQL at {public} while {doing} ({_first_line(error)}), "
        "expected an answer",
        "start it, or mend its address, and run the same again: what was there is as it was",
    )


def _split(url: str) -> tuple[str, str]:
    """Return the address without our own parameter, and that: the schema.

    Raises:
        BadInput: it is no address of a PostgreSQL, or a variable that is not set.
    """
    if unset := _VARIABLE.fullmatch(url):
        raise BadInput(
            "no-variable",
            f"got no environment variable {unset.group(1)}, expected the address of the offline store in it",
            "set it, like postgresql://user@host:5432/database",
        )
    refused = BadInput(
        "offline-address",
        "got an address of PostgreSQL that cannot be read, expected one like postgresql://user@host:5432/database",
        "mend TIDEGATE_OFFLINE_URL, or `url` in features/feature_store.yaml; a password with / # ? or @ in it is "
        "written percent-encoded",
    )
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        schema = query.pop("schema", "tidegate")
        # Where libpq and we part the address otherwise, a piece of a password could pass for a host, and be told.
        strange = "@" in parts.path + parts.query + parts.fragment or parts.netloc.count("@") > 1
        if parts.scheme not in _SCHEMES or not schema or strange or parts.fragment or parts.port == 0:
            raise refused
        rest = urlencode(query, quote_via=quote)  # libpq takes a plus for what it is
        address = urlunsplit(parts._replace(scheme="postgresql", query=rest))
        conninfo_to_dict(address)
    except (ValueError, psycopg.Error):  # what they say may hold the whole address
        raise refused from None
    return address, schema


def _public(address: str) -> str:
    known = conninfo_to_dict(address)
    return f"{known.get('host', 'localhost')}:{known.get('port', 5432)}/{known.get('dbname', '')}"


def _type_there(field: pa.Field, table: str) -> str:
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_decimal128(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    if kind not in _THERE:
        raise BadInput(
            "source-types",
            f"got {field.name} of {table} as {kind}, expected a number, text, time, date or boolean: "
            "PostgreSQL gives no other back as it was",
            "keep such a view in DuckDB or Spark, or cast it in its source's SQL",
        )
    return _THERE[kind]


def _type_back(column: Any) -> pa.DataType:
    known = psycopg.adapters.types.get(column.type_code)
    name = known.name if known else str(column.type_code)
    if name == "numeric":
        return pa.decimal128(column.precision, column.scale) if column.precision else pa.float64()
    if name not in _BACK:
        raise BadInput(
            "source-types",
            f"got {column.name} as {name} from PostgreSQL, expected a number, text, time, date or boolean",
            "cast it in the query",
        )
    return _BACK[name]


def _plain(rows: pa.Table) -> pa.Table:
    """Return rows in the types that go out as text: times in microseconds, and no dictionaries."""
    columns = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(_UTC if kind.tz else pa.timestamp("us"), safe=False)  # noqa: PLW2901
        elif pa.types.is_dictionary(kind) or kind in (pa.string_view(), pa.null()):
            column = column.cast(pa.string())  # noqa: PLW2901
        columns[name] = column
    return pa.table(columns)


def _read(text: pa.Buffer, schema: pa.Schema) -> pa.Table:
    """Return the rows of a text in which every value is quoted, and nothing is a null; times count microseconds."""
    if not text.size:
        return schema.empty_table()
    names = [str(number) for number in range(len(schema))]
    kinds = [pa.int64() if pa.types.is_timestamp(field.type) else field.type for field in schema]
    table = pc_csv.read_csv(
        pa.BufferReader(text),
        pc_csv.ReadOptions(column_names=names),
        pc_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        pc_csv.ConvertOptions(
            column_types=dict(zip(names, kinds, strict=True)),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
    return pa.table(
        [pc.cast(column, field.type) for column, field in zip(table.columns, schema, strict=True)], schema
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
