"""Entity frames: a model's ``rows.sql`` run by DuckDB over accepted batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.shared.sql import run_sql, write_frame
from tidegate.application.ports import Frame, ModelSpec
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa


class SqlEntities:
    """Writes frames under ``home/entities``."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "entities"

    def frame(
        self,
        model: ModelSpec,
        batches: Mapping[str, Sequence[Path]],
        declared: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]],
        window: tuple[datetime, datetime],
    ) -> Frame:
        """Return the rows whose entity time lies in [from, until), ordered by time and key.

        Raises:
            BadInput: ``rows.sql`` is missing or does not run, lacks a declared column, or yields a row
                without a time, or one key twice at the same time.
            DependencyFailed: a batch cannot be read.
        """
        return write_frame(_rows(model, batches, declared, window), self._folder, _order(model))

    def outcomes(
        self,
        model: ModelSpec,
        batches: Mapping[str, Sequence[Path]],
        declared: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]],
        window: tuple[datetime, datetime],
        known_by: datetime,
    ) -> Frame:
        """Return time, keys, label and label time of the same rows; the last two are null where not known by then.

        Raises:
            BadInput: as of `frame`, or the label time is no time.
            DependencyFailed: a batch cannot be read.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        table = _rows(model, batches, declared, window)
        try:
            known_at = table.column(model.label_time).cast(pa.timestamp("us", "UTC"))
        except pa.ArrowException as error:
            raise BadInput(
                "bad-label-time",
                f"got {model.label_time} of {model.name} as {table.column(model.label_time).type}, expected times",
                f"correct models/{model.name}/rows.sql",
            ) from error
        known = pc.fill_null(pc.less_equal(known_at, known_by.astimezone(UTC)), fill_value=False)
        heard = {
            name: pc.if_else(known, column, pa.scalar(None, column.type))
            for name, column in (
                (model.label, table.column(model.label)),
                (model.label_time, known_at),
            )
        }
        told = {name: table.column(name) for name in _order(model)} | heard
        return write_frame(pa.table(told), self._folder, _order(model))


def _order(model: ModelSpec) -> tuple[str, ...]:
    return (model.entity_time, *model.keys)


def _rows(
    model: ModelSpec,
    batches: Mapping[str, Sequence[Path]],
    declared: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]],
    window: tuple[datetime, datetime],
) -> pa.Table:
    """Run a model's query and return the rows of a window, in no order."""
    import pyarrow.compute as pc

    source = model.folder / "rows.sql"
    if not source.is_file():
        raise BadInput("no-rows", f"got no rows.sql in models/{model.name}, expected one SELECT", "write it")
    given = {name: batches[name] for name in model.datasets if name in batches}
    stated = {name: declared[name] for name in model.datasets if name in declared}
    start, until = (moment.astimezone(UTC) for moment in window)
    # The window is a filter either way; a query that names its ends reads no more than it needs.
    table = run_sql(source.read_text("utf-8"), given, stated, {"since": start, "until": until})
    order = _order(model)
    _require(model, table, (*order, model.label, model.label_time))
    time = table.column(model.entity_time)
    if time.null_count:
        raise BadInput(
            "row-without-time",
            f"got {time.null_count} rows of {model.name} without {model.entity_time}, expected none",
            "see models/" + model.name + "/rows.sql",
        )
    table = table.filter(pc.and_(pc.greater_equal(time, start), pc.less(time, until)))
    _require_unique(model, table, order)
    return table


def _require(model: ModelSpec, table: pa.Table, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise BadInput(
            "missing-column",
            f"got rows of {model.name} without {', '.join(missing)}, expected every declared column",
            f"select them in models/{model.name}/rows.sql",
            missing=missing,
        )


def _require_unique(model: ModelSpec, table: pa.Table, order: Sequence[str]) -> None:
    """A key that occurs twice at one time would be scored twice and joined to two outcomes."""
    import pyarrow.compute as pc

    counts = table.group_by(list(order)).aggregate([([], "count_all")])
    repeated = pc.sum(pc.greater(counts.column("count_all"), 1)).as_py() or 0
    if repeated:
        raise BadInput(
            "repeated-key",
            f"got {repeated} keys of {model.name} more than once at the same {model.entity_time}, "
            f"expected {', '.join(order)} to name a row",
            "add a column to `keys`, or accept each drop once",
        )
