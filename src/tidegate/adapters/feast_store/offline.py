"""An offline store behind Feast's own interface: point-in-time joins over Parquet files, in bounded memory.

    offline_store:
      type: tidegate.adapters.feast_store.offline.PointInTimeOfflineStore

Feast loads it by that path; nothing else of Tidegate is needed. It differs from Feast's DuckDB store in this:

* What was not known yet is never joined: a row counts from its ``created_timestamp``, asked for or not.
* Rows come back as they were asked for, in number and in order; integers stay integers where some are unknown.
* Each call has a DuckDB of its own, so threads may call at once. What does not fit its memory goes to disk.
* ``entity_df`` may also be an Arrow table, or a query: ``SELECT * FROM 'entities.parquet'``. What a query names is
  read, and what is joined is persisted, without ever being in memory whole.

Materialization, saved datasets and writing batches follow; feature logs and statistics are as in Feast's store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from feast.data_format import ParquetFormat
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView

from tidegate.adapters.feast_store.as_of import known_by, latest, moment, quoted, read, text
from tidegate.adapters.feast_store.asked import Relation, asked_of, pulled, require_rows
from tidegate.adapters.feast_store.joining import Described, database_for, described, joined
from tidegate.adapters.feast_store.late import LateJob
from tidegate.adapters.shared.files import partial
from tidegate.domain.errors import BadInput


class PointInTimeOfflineStoreConfig(DuckDBOfflineStoreConfig):  # type: ignore[misc] # Feast has no types
    """``memory_limit`` is what one call may hold before it spills, into a folder below ``temp_directory``."""

    type: str = "tidegate.adapters.feast_store.offline.PointInTimeOfflineStore"
    memory_limit: str = "2GB"
    threads: int | None = None
    temp_directory: str | None = None


class PointInTimeOfflineStore(DuckDBOfflineStore):  # type: ignore[misc] # Feast has no types
    """Feast's ``OfflineStore`` on Parquet files; each call with a DuckDB of its own."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: Any,
        feature_views: Sequence[Any],
        feature_refs: Sequence[str],
        entity_df: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        **_: Any,  # filter_by_created_timestamp: late corrections are never let through
    ) -> RetrievalJob:
        """Return the job that joins each view's row as it was known at each entity row's time.

        Raises:
            BadInput: there are no entity rows to join onto, or a source is no Parquet file.
        """
        require_rows(entity_df)
        reading = _reading(config)
        views = [asked_of(view, feature_refs, full_feature_names, reading) for view in feature_views]
        return PointInTimeJob(
            config,
            lambda database: joined(database, entity_df, views),
            on_demand=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            full_feature_names=full_feature_names,
            described=lambda database: described(database, entity_df, feature_refs),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: Any,
        data_source: Any,
        join_key_columns: Sequence[str],
        feature_name_columns: Sequence[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Return each key's latest row from ``start_date`` on, of those known at ``end_date``.

        Raises:
            BadInput: the source is no Parquet file.
        """
        times = (timestamp_field, created_timestamp_column)
        history = pulled(data_source, join_key_columns, feature_name_columns, times, _reading(config))
        return PointInTimeJob(config, lambda _: latest(history, start_date, end_date))

    @staticmethod
    def pull_all_from_table_or_query(
        config: Any,
        data_source: Any,
        join_key_columns: Sequence[str],
        feature_name_columns: Sequence[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Return all rows that happened from ``start_date`` on, of those known at ``end_date``.

        Raises:
            BadInput: the source is no Parquet file.
        """
        times = (timestamp_field, created_timestamp_column)
        rows = pulled(data_source, join_key_columns, feature_name_columns, times, _reading(config)).relation
        within = [f"{quoted(timestamp_field)} >= {moment(start_date)}"] if start_date else []
        within += [known_by(timestamp_field, created_timestamp_column, end_date)] if end_date else []
        return PointInTimeJob(
            config, lambda _: f"SELECT * FROM {rows} WHERE {' AND '.join(within) or 'TRUE'}"
        )

    @staticmethod
    def offline_write_batch(
        config: Any, feature_view: Any, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Append rows to a view's file: whoever reads it sees the old file or the new one.

        Raises:
            BadInput: the source is no Parquet file, or ``table`` has other columns than it.
        """
        path = path_of(config, feature_view.batch_source)
        with database_for(config) as database:
            there = f"read_parquet({text(str(path))})"
            expected = database.sql(f"SELECT * FROM {there} LIMIT 0").columns
            if sorted(table.column_names) != sorted(expected):
                raise BadInput(
                    "batch-columns",
                    f"got the columns {', '.join(table.column_names)} for {feature_view.name}, "
                    f"expected {', '.join(expected)}",
                    "",
                )
            database.register("added", table)
            _write(database, f"SELECT * FROM {there} UNION ALL BY NAME SELECT * FROM added", path)
        if progress:
            progress(table.num_rows)


class PointInTimeJob(LateJob):
    """A query that runs when its rows are wanted: as Arrow, as a DataFrame, or as a file."""

    def __init__(
        self,
        config: Any,
        query: Callable[[duckdb.DuckDBPyConnection], str],
        on_demand: Sequence[Any] = (),
        full_feature_names: bool = False,
        described: Callable[[duckdb.DuckDBPyConnection], Described] | None = None,
    ) -> None:
        super().__init__(on_demand, full_feature_names)
        self._config, self._query, self._described = config, query, described

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """Return the features and keys asked for, and the first and the last moment."""
        if self._described is None:
            return None
        with database_for(self._config) as database:
            told = self._described(database)
        return RetrievalMetadata(list(told.features), list(told.keys), *told.span)

    def persist(self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None) -> None:  # noqa: ARG002 - Feast's
        """Write the rows to a Parquet file, in their order: whole, or not at all.

        Raises:
            SavedDatasetLocationAlreadyExists: the file is there, and may not be overwritten.
            BadInput: the storage is no Parquet file.
        """
        path = path_of(self._config, storage.to_data_source())
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(path))
        with database_for(self._config) as database:
            if self._on_demand:
                database.register("computed", self.to_arrow())
                _write(database, "SELECT * FROM computed", path)
            else:
                _write(database, self._query(database), path)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Feast's
        with database_for(self._config) as database:
            return database.sql(self._query(database)).to_arrow_table()


def _reading(config: Any) -> Relation:
    """Return how a source's file is read."""
    return lambda source, columns, moments: read(str(path_of(config, source)), columns, moments)


def path_of(config: Any, source: Any) -> Path:
    """Return where a source's rows lie; a relative path is one below the repository.

    Raises:
        BadInput: it is no Parquet file on this machine.
    """
    local = isinstance(source, FileSource) and "://" not in source.path
    if not local or not isinstance(source.file_format, ParquetFormat | None):
        raise BadInput(
            "no-parquet-file",
            f"got the source {source.name or type(source).__name__}, expected a FileSource of a local Parquet file",
            "give other sources an offline store of Feast's own in feature_store.yaml",
        )
    return Path(config.repo_path or ".", source.path.removeprefix("file://"))


def _write(database: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    with partial(path) as part:
        database.execute(f"COPY ({query}) TO {text(str(part))} (FORMAT parquet, USE_TMP_FILE false)")
        part.chmod(0o644)
        part.replace(path)
