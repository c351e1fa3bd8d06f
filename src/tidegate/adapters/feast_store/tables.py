"""The tables around a Feast call: what goes in is checked, what comes out is put in order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.adapters.shared.frames import read_frame
from tidegate.application.ports import Frame
from tidegate.domain.errors import BadInput, DependencyFailed

if TYPE_CHECKING:
    import pyarrow as pa

#: The entity row's position, carried through the join: Feast's result comes in no stated order.
ROW = "tidegate_row"
_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class View:
    """What of a Feast view matters here. ``features`` maps the names asked for to their Arrow types."""

    name: str
    keys: tuple[str, ...]
    features: Mapping[str, Any]
    ttl: timedelta | None
    event: str
    created: str
    source: Path

    @classmethod
    def of(cls, view: Any, join_keys: Mapping[str, str], selected: Sequence[str] | None = None) -> View:
        """Read a Feast view, or the part of it that a service selects; ``join_keys`` by entity.

        Raises:
            BadInput: the view has no entity, its source is no file, or has no created timestamp.
        """
        from feast.types import from_feast_to_pyarrow_type

        source = view.batch_source
        if not getattr(source, "path", "") or not source.created_timestamp_column:
            raise BadInput(
                "no-created-timestamp",
                f"got the view {view.name} without a file source that has a created_timestamp_column, "
                "expected both: without it nobody can say what was known when",
                "declare FileSource(path=..., timestamp_field=..., created_timestamp_column=...)",
            )
        # Not view.join_keys: Feast fills them in only when it registers the view.
        keys = sorted(join_keys[entity] for entity in view.entities if entity in join_keys)
        if not keys or len(keys) != len(view.entities):
            raise BadInput(
                "no-entity",
                f"got the view {view.name} over {', '.join(view.entities) or 'nothing'}, expected entities "
                f"among {', '.join(sorted(join_keys)) or 'none defined'}",
                "define the entity beside the view",
            )
        wanted = [field for field in view.features if selected is None or field.name in selected]
        return cls(
            name=view.name,
            keys=tuple(keys),
            features={field.name: from_feast_to_pyarrow_type(field.dtype) for field in wanted},
            ttl=view.ttl or None,
            event=source.timestamp_field,
            created=source.created_timestamp_column,
            source=Path(source.path),
        )


def as_defined(view: View, table: pa.Table) -> pa.Table:
    """Return a source's rows with exactly the columns and types that its view defines.

    Raises:
        BadInput: a column is missing or mistyped, a key or a time is null, a row was known before it
            happened, or two rows of one key share both times (nobody could say which one counts).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    at = pa.timestamp("us", "UTC")
    types = {key: table.schema.field(key).type for key in view.keys if key in table.column_names}
    types |= {view.event: at, view.created: at, **view.features}
    missing = [name for name in (*view.keys, *types) if name not in table.column_names]
    if missing:
        raise BadInput(
            "source-columns",
            f"got the columns {', '.join(table.column_names)} for {view.name}, "
            f"expected also {', '.join(missing)}",
            f"see sources/{view.name}.sql and the view's definition",
        )
    try:
        table = table.select(list(types)).cast(pa.schema(list(types.items())))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadInput(
            "source-types",
            f"got rows for {view.name} that do not fit its types ({error}), expected the types it defines",
            f"cast in sources/{view.name}.sql",
        ) from error
    for name, kind in view.features.items():
        if pa.types.is_timestamp(kind):  # Feast serves whole seconds: so they are joined, and learned from
            seconds = pc.floor_temporal(table.column(name), unit="second")
            table = table.set_column(table.column_names.index(name), name, seconds)
    for name in (*view.keys, view.event, view.created):
        if table.column(name).null_count:
            raise BadInput(
                "source-null",
                f"got {table.column(name).null_count} rows for {view.name} without {name}, expected none",
                f"see sources/{view.name}.sql",
            )
    early = pc.sum(pc.less(table.column(view.created), table.column(view.event))).as_py() or 0
    if early:
        raise BadInput(
            "known-too-early",
            f"got {early} rows for {view.name} known before they happened, expected "
            f"{view.created} at or after {view.event}",
            f"see sources/{view.name}.sql",
        )
    identity = [*view.keys, view.event, view.created]
    twins = table.num_rows - table.select(identity).group_by(identity).aggregate([]).num_rows
    if twins:
        raise BadInput(
            "source-ties",
            f"got {twins} rows for {view.name} that share {', '.join(identity)} with another, expected none",
            f"group in sources/{view.name}.sql",
        )
    return table


def entity_rows(
    entities: Frame, keys: Sequence[str], kept: Sequence[str], features: Iterable[str]
) -> pa.Table:
    """Read an entity frame.

    Raises:
        BadInput: it lacks a column, or a column to carry along has a feature's name.
        DependencyFailed: the file is gone or no longer has its digest.
    """
    table = read_frame(entities, "the entity frame")
    missing = [name for name in ("event_timestamp", *keys, *kept) if name not in table.column_names]
    if missing:
        raise BadInput(
            "missing-column",
            f"got an entity frame with {', '.join(table.column_names)}, expected also {', '.join(missing)}",
            "select them in the model's rows.sql",
        )
    twice = sorted(set(features) & {"event_timestamp", *keys, *kept})
    if twice:
        raise BadInput(
            "column-twice",
            f"got {', '.join(twice)} both as a feature and as a column to keep, expected one",
            "",
        )
    return table


def joined(store: Any, service: Any, views: Sequence[View], asked: pa.Table) -> dict[str, Any]:
    """Return the columns that Feast joins onto ``asked``, row by row, in the types that the views define.

    ``asked`` has event_timestamp and the join keys.

    Raises:
        DependencyFailed: the offline store lost or repeated a row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    features = {name: kind for view in views for name, kind in view.features.items()}
    if not asked.num_rows:  # a DataFrame without rows has lost its types
        return {name: pa.nulls(0, kind) for name, kind in features.items()}
    places = pa.array(range(asked.num_rows), pa.int64())
    job = store.get_historical_features(
        entity_df=for_feast(asked.append_column(ROW, places)),
        features=service,
        filter_by_created_timestamp=True,
    )
    found = job.to_arrow()
    if not found.column(ROW).equals(pa.chunked_array([places])):
        found = found.sort_by(ROW)  # a store of Feast's own returns rows in no stated order
    if not found.column(ROW).equals(pa.chunked_array([places])):
        raise DependencyFailed(
            "join-lost-rows",
            f"got {found.num_rows} rows from Feast's join, expected each of {asked.num_rows} once",
            "see offline_store in features/feature_store.yaml",
        )
    columns = {}
    for name, kind in features.items():
        column = found.column(name)
        if pa.types.is_floating(column.type):  # a way through pandas spells an unknown value as NaN
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        columns[name] = column.cast(kind)
    return columns


def known_at(table: pa.Table, view: View, moment: datetime) -> pa.Table:
    """Return each key's latest row that was known at ``moment`` and is within its ttl, in key order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = by(table, view, moment)
    if view.ttl:
        since = pa.scalar(oldest(moment, view.ttl), pa.timestamp("us", "UTC"))
        known = known.filter(pc.greater_equal(known.column(view.event), since))
    return latest(known, view)


def by(table: pa.Table, view: View, moment: datetime) -> pa.Table:
    """Return the rows that were known at ``moment``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    now = pa.scalar(moment, pa.timestamp("us", "UTC"))
    return table.filter(
        pc.and_(pc.less_equal(table.column(view.created), now), pc.less_equal(table.column(view.event), now))
    )


def latest(table: pa.Table, view: View) -> pa.Table:
    """Return each key's row that happened last; of one that was restated, the one known last; in key order.

    Of rows that share both times, the first.
    """
    import pyarrow as pa

    order = [
        *((key, "ascending") for key in view.keys),
        (view.event, "descending"),
        (view.created, "descending"),
    ]
    ordered = table.sort_by(order)
    places = pa.array(range(ordered.num_rows), pa.int64())
    firsts = ordered.append_column(ROW, places).group_by(list(view.keys)).aggregate([(ROW, "min")])
    return ordered.take(firsts.column(f"{ROW}_min").sort())


def together(view: View, parts: Sequence[pa.Table]) -> pa.Table:
    """Return rows of one view as one table, one part after the other."""
    import pyarrow as pa

    names = [*view.keys, view.event, view.created, *view.features]
    return pa.concat_tables([part.select(names) for part in parts])


def require_selected(views: Collection[str], service: str, selected: Collection[str]) -> None:
    """Refuse views that a service does not select.

    Raises:
        BadInput: naming them.
    """
    if others := sorted(set(views) - set(selected)):
        raise BadInput(
            "not-selected",
            f"got {', '.join(others)}, expected views that {service} selects: {', '.join(sorted(selected))}",
            "run `tidegate run materialize`: it registers what features/ defines",
        )


def newest(table: pa.Table, view: View, moment: datetime) -> datetime | None:
    """Return when the newest of a source's rows that were known at ``moment`` happened, whatever its ttl."""
    import pyarrow as pa
    import pyarrow.compute as pc

    now = pa.scalar(moment, pa.timestamp("us", "UTC"))
    known = pc.and_(*(pc.less_equal(table.column(name), now) for name in (view.created, view.event)))
    found: datetime | None = pc.max(table.column(view.event).filter(known)).as_py()
    return found


def oldest(moment: datetime, ttl: timedelta) -> datetime:
    """Return when a row must have happened at the earliest to be within its ttl; a ttl may be longer than all time."""
    return moment - ttl if ttl < moment - _FIRST else _FIRST


def for_feast(table: pa.Table) -> Any:
    """Return a DataFrame whose integers stay integers where a value is null."""
    import pandas as pd
    import pyarrow as pa

    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}.get)


def key_rows(keys: Sequence[Mapping[str, object]], parts: Sequence[str]) -> list[dict[str, object]]:
    """Return the keys reduced to ``parts``.

    Raises:
        BadInput: a key lacks a part.
    """
    for key in keys:
        missing = [part for part in parts if key.get(part) is None]
        if missing:
            raise BadInput(
                "missing-key",
                f"got a key with {', '.join(sorted(key)) or 'nothing'}, expected also {', '.join(missing)}",
                "",
            )
    return [{part: key[part] for part in parts} for key in keys]


def empty(view: str) -> DependencyFailed:
    """Return the error for a view of which nothing is online."""
    return DependencyFailed(
        "online-empty",
        f"got nothing of {view} in the online store, expected it to be brought online",
        "run `tidegate run materialize`",
    )
