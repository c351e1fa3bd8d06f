"""Feast's offline store over an engine that runs the join: what PostgreSQL's and Spark's share.

An engine gets places, moments and keys, and gives back places and features: whatever else an entity row has never
leaves this process, and comes back as it was, in its order. Both lie in its memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from feast.errors import EntityTimestampInferenceException, SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView

from tidegate.adapters.feast_store.as_of import PLACE, History
from tidegate.adapters.feast_store.asked import Relation, asked_of, pulled, require_rows
from tidegate.adapters.feast_store.late import LateJob
from tidegate.adapters.feast_store.timeline import AT, Timeline
from tidegate.domain.errors import BadInput, DependencyFailed

_AT, _UTC = "event_timestamp", pa.timestamp("us", "UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Engine(ABC):
    """One call's turn at an engine, in a session whose zone is UTC."""

    timeline: ClassVar[Timeline]

    @abstractmethod
    def place_of(self, source: Any) -> str:
        """Return where a source's rows lie, as the engine's SQL names it."""

    @abstractmethod
    def hold(self, places: Sequence[str]) -> None:
        """Keep what lies there as it is until the turn is over."""

    @abstractmethod
    def schema(self, relation: str) -> pa.Schema:
        """Return a relation's columns."""

    @abstractmethod
    def ask(self, rows: pa.Table) -> None:
        """Make these rows the table of what is asked, of this turn alone."""

    @abstractmethod
    def rows(self, query: str) -> pa.Table:
        """Return a query's rows, times in UTC."""

    @abstractmethod
    def keep(self, source: Any, rows: pa.Table, overwrite: bool) -> bool:
        """Put rows where a source says, whole; say whether that could be done without overwriting what must stay."""


class EngineOfflineStore(OfflineStore):  # type: ignore[misc] # Feast has no types
    """Feast's ``OfflineStore``: joins what was known, asked for that or not."""

    supports_filter_by_created_timestamp = True

    @classmethod
    @abstractmethod
    def turn(cls, config: Any) -> AbstractContextManager[Engine]:
        """Take a turn at the engine."""

    @classmethod
    def get_historical_features(
        cls,
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
            BadInput: there are no entity rows to join onto.
        """
        require_rows(entity_df)

        def joined(engine: Engine) -> pa.Table:
            places = sorted({engine.place_of(view.batch_source) for view in feature_views})
            engine.hold(places)
            read = _reading(engine)
            views = [asked_of(view, feature_refs, full_feature_names, read) for view in feature_views]
            return _joined(engine, _given(engine, entity_df), views)

        return EngineJob(
            lambda: cls.turn(config),
            joined,
            on_demand=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            full_feature_names=full_feature_names,
            described=lambda engine: _described(_given(engine, entity_df), feature_refs),
        )

    @classmethod
    def pull_latest_from_table_or_query(
        cls,
        config: Any,
        data_source: Any,
        join_key_columns: Sequence[str],
        feature_name_columns: Sequence[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Return each key's latest row from ``start_date`` on, of those known at ``end_date``."""

        def latest(engine: Engine) -> pa.Table:
            times = (timestamp_field, created_timestamp_column)
            history = _held(engine, data_source, join_key_columns, feature_name_columns, times)
            return engine.rows(engine.timeline.latest(history, start_date, end_date))

        return EngineJob(lambda: cls.turn(config), latest)

    @classmethod
    def pull_all_from_table_or_query(
        cls,
        config: Any,
        data_source: Any,
        join_key_columns: Sequence[str],
        feature_name_columns: Sequence[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Return all rows that happened from ``start_date`` on, of those known at ``end_date``."""

        def every(engine: Engine) -> pa.Table:
            times = (timestamp_field, created_timestamp_column)
            history = _held(engine, data_source, join_key_columns, feature_name_columns, times)
            return engine.rows(engine.timeline.between(history, start_date, end_date))

        return EngineJob(lambda: cls.turn(config), every)

    def get_table_column_names_and_types_from_data_source(
        self, config: Any, data_source: Any
    ) -> list[tuple[str, str]]:
        """Return a source's columns, as the engine has them."""
        with self.turn(config) as engine:
            schema = engine.schema(engine.place_of(data_source))
            return [(field.name, str(field.type)) for field in schema]


class EngineJob(LateJob):
    """A query that runs when its rows are wanted: as Arrow, as a DataFrame, or kept by the engine."""

    def __init__(
        self,
        turn: Callable[[], AbstractContextManager[Engine]],
        rows: Callable[[Engine], pa.Table],
        on_demand: Sequence[Any] = (),
        full_feature_names: bool = False,
        described: Callable[[Engine], RetrievalMetadata] | None = None,
    ) -> None:
        super().__init__(on_demand, full_feature_names)
        self._turn, self._rows, self._described = turn, rows, described

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """Return the features and keys asked for, and the first and the last moment."""
        if self._described is None:
            return None
        with self._turn() as engine:
            return self._described(engine)

    def persist(self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None) -> None:  # noqa: ARG002 - Feast's
        """Have the engine keep the rows: whole, or not at all.

        Raises:
            SavedDatasetLocationAlreadyExists: something is there, and may not be overwritten.
        """
        source, rows = storage.to_data_source(), self.to_arrow()
        with self._turn() as engine:
            if not engine.keep(source, rows, allow_overwrite):
                raise SavedDatasetLocationAlreadyExists(location=engine.place_of(source))

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Feast's
        with self._turn() as engine:
            return self._rows(engine)


def _reading(engine: Engine) -> Relation:
    """Return how an engine reads a source."""
    return lambda source, columns, moments: engine.timeline.relation(
        engine.place_of(source), columns, moments
    )


def _held(
    engine: Engine, source: Any, keys: Sequence[str], features: Sequence[str], times: tuple[str, str | None]
) -> History:
    """Return what is pulled of a source, which stays as it is until the turn is over."""
    engine.hold([engine.place_of(source)])
    return pulled(source, keys, features, times, _reading(engine))


def _given(engine: Engine, entity_df: Any) -> tuple[pa.Table, str]:
    """Return the entity rows, their times in UTC, and the column of their times; a query is the engine's own.

    Raises:
        EntityTimestampInferenceException: nobody can say which column that is.
    """
    if isinstance(entity_df, str):
        rows = engine.rows(entity_df)
    elif isinstance(entity_df, pa.Table):
        rows = entity_df
    else:
        rows = pa.Table.from_pandas(entity_df, preserve_index=False).replace_schema_metadata(None)
    times = [field.name for field in rows.schema if pa.types.is_timestamp(field.type)]
    if _AT not in rows.column_names and len(times) != 1:
        raise EntityTimestampInferenceException(_AT)
    at = _AT if _AT in rows.column_names else times[0]
    return rows.set_column(rows.column_names.index(at), at, rows.column(at).cast(_UTC, safe=False)), at


def _joined(engine: Engine, given: tuple[pa.Table, str], views: Sequence[History]) -> pa.Table:
    """Return the entity rows with the features of every view joined on, row by row.

    Raises:
        BadInput: a key is missing or of another type than the view's, or a name would be there twice.
        DependencyFailed: the engine lost or repeated a row.
    """
    rows, at = given
    if not views:  # what is computed on demand may need no view
        return rows
    keys = list(dict.fromkeys(name for view in views for name in view.keys.values()))
    if missing := [name for name in keys if name not in rows.column_names]:
        raise BadInput(
            "missing-column",
            f"got entity rows with {', '.join(rows.column_names)}, expected also {', '.join(missing)}",
            "",
        )
    names = [name for view in views for name in view.features.values()]
    if twice := [name for name in names if name in rows.column_names]:
        raise BadInput(
            "column-twice", f"got {', '.join(twice)} both as a column and as a feature, expected one", ""
        )
    kinds = _key_kinds(rows, [(view, engine.schema(view.relation)) for view in views])
    asked = {
        PLACE: pa.array(range(rows.num_rows), pa.int64()),
        AT: rows.column(at),
        **{name: _plain(rows.column(name), kinds[name]) for name in keys},
    }
    engine.ask(pa.table(asked))
    found = engine.rows(engine.timeline.point_in_time(views, _span(rows.column(at)))).sort_by(PLACE)
    if found.column(PLACE).to_numpy().tolist() != list(range(rows.num_rows)):
        raise DependencyFailed(
            "join-lost-rows",
            f"got {found.num_rows} rows from the join, expected each of {rows.num_rows} once",
            "see offline_store in features/feature_store.yaml",
        )
    columns = {name: rows.column(name) for name in rows.column_names}
    return pa.table(columns | dict(zip(names, found.columns[1:], strict=True)))


def _key_kinds(rows: pa.Table, views: Sequence[tuple[History, pa.Schema]]) -> Mapping[str, pa.DataType]:
    """Return the type that each key is asked for as.

    Raises:
        BadInput: it is of another kind than a view's, so that nothing could ever be equal.
    """
    kinds = {}
    for view, schema in views:
        for key, name in view.keys.items():
            got, expected = rows.schema.field(name).type, schema.field(key).type
            if pa.types.is_null(got):
                got = expected
            elif _kind(got) != _kind(expected):
                raise BadInput(
                    "key-type",
                    f"got {name} as {got} in the entity rows, expected {expected}",
                    "cast it: keys of different types are never equal",
                )
            kinds[name] = got
    return kinds


def _kind(kind: pa.DataType) -> str:
    """Return what a key's type is compared as: types of one kind can be equal."""
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return "number" if number else str(kind)


def _plain(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a key in the plainest type of its kind."""
    return column.cast(pa.string() if _kind(kind) == "text" else kind)


def _span(moments: pa.ChunkedArray) -> tuple[datetime, datetime]:
    """Return the first and the last moment asked for; without any, no row is known."""
    ends = pc.min_max(moments)
    return ends["min"].as_py() or _EPOCH, ends["max"].as_py() or _EPOCH


def _described(given: tuple[pa.Table, str], features: Sequence[str]) -> RetrievalMetadata:
    """Return what Feast keeps beside the saved dataset of such a join."""
    rows, at = given
    return RetrievalMetadata(
        list(features), [name for name in rows.column_names if name != at], *_span(rows.column(at))
    )
