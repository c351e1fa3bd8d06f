"""The offline store in PostgreSQL.

    offline_store:
      type: tidegate.adapters.feast_store.offline_postgres.PointInTimePostgresOfflineStore
      url: ${TIDEGATE_OFFLINE_URL}     # like postgresql://user:password@host:5432/database?schema=shop

Definitions stay as they are: the table of a source is called as its file is, without the ending. A query as
``entity_df`` is PostgreSQL's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import FeastConfigBaseModel

from tidegate.adapters.feast_store.as_of import quoted
from tidegate.adapters.feast_store.engine import Engine, EngineOfflineStore
from tidegate.adapters.feast_store.postgres import Tables, tables_at
from tidegate.adapters.feast_store.timeline import ASKED, Timeline
from tidegate.domain.errors import BadInput

_MICROSECOND = timedelta(microseconds=1)


class PointInTimePostgresOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc] # Feast has no types
    """``?schema=NAME`` in the address says where the tables lie, so that projects can share a database."""

    type: str = "tidegate.adapters.feast_store.offline_postgres.PointInTimePostgresOfflineStore"
    url: str = "${TIDEGATE_OFFLINE_URL}"


class Postgres:
    """How PostgreSQL spells it."""

    time = "timestamptz"

    def quoted(self, name: str) -> str:
        """Return a name as an identifier."""
        return quoted(name)

    def interval(self, duration: timedelta) -> str:
        """Return a duration: of microseconds alone, a day being no more than 24 hours of them."""
        return f"INTERVAL '{duration // _MICROSECOND} microseconds'"


class PostgresEngine(Engine):
    """One transaction: all tables of a join are of one build."""

    timeline: ClassVar[Timeline] = Timeline(Postgres())

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def place_of(self, source: Any) -> str:
        """Return a source's table."""
        return self._tables.place(table_of(source))

    def hold(self, places: Sequence[str]) -> None:
        """Lock the tables."""
        self._tables.hold(places)

    def schema(self, relation: str) -> pa.Schema:
        """Return a relation's columns."""
        return self._tables.schema(relation)

    def ask(self, rows: pa.Table) -> None:
        """Put the rows into a table that goes with the transaction."""
        self._tables.create(ASKED, rows, "the entity rows", temporary=True)

    def rows(self, query: str) -> pa.Table:
        """Return a query's rows."""
        return self._tables.rows(f"({query})")

    def keep(self, source: Any, rows: pa.Table, overwrite: bool) -> bool:
        """Put rows into a table."""
        table = table_of(source)
        if self._tables.there(table) and not overwrite:
            return False
        self._tables.replace({table: rows})
        return True


class PointInTimePostgresOfflineStore(EngineOfflineStore):
    """Feast's ``OfflineStore`` on tables in PostgreSQL; each call with a connection of its own."""

    @classmethod
    @contextmanager
    def turn(cls, config: Any) -> Iterator[Engine]:
        """Open a transaction.

        Raises:
            BadInput: the address is none. DependencyFailed: PostgreSQL is not there, or refuses.
        """
        with tables_at(config.offline_store.url) as tables:
            yield PostgresEngine(tables)

    @classmethod
    def offline_write_batch(
        cls, config: Any, feature_view: Any, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Append rows to a view's table: all of them, or none.

        Raises:
            BadInput: ``table`` has other columns than the view's.
        """
        with tables_at(config.offline_store.url) as tables:
            place = tables.place(table_of(feature_view.batch_source))
            expected = tables.schema(place).names
            if sorted(table.column_names) != sorted(expected):
                raise BadInput(
                    "batch-columns",
                    f"got the columns {', '.join(table.column_names)} for {feature_view.name}, "
                    f"expected {', '.join(expected)}",
                    "",
                )
            tables.append(place, table)
        if progress:
            progress(table.num_rows)

    def validate_data_source(self, config: Any, data_source: Any) -> None:
        """Take a source before it is built: Feast would look for its file."""


def table_of(source: Any) -> str:
    """Return what the table of a source is called: as its file, without the ending.

    Raises:
        BadInput: it is a source of another kind.
    """
    if not isinstance(source, FileSource):
        raise BadInput(
            "no-table",
            f"got the source {source.name or type(source).__name__}, expected a FileSource",
            "declare it so: its table is called as its file",
        )
    return Path(source.path).stem
