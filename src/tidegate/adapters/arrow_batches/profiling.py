"""What the columns of a batch hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.domain.suggestion import MOST_VALUES, Profile

if TYPE_CHECKING:
    import pyarrow as pa


def profiled(table: pa.Table) -> tuple[Profile, ...]:
    """Return one profile a column."""
    return tuple(_column(name, table.column(name)) for name in table.column_names)


def _column(name: str, column: pa.ChunkedArray) -> Profile:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows, nulls = len(column), column.null_count
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        finite = column.filter(pc.is_finite(column))
        ends = pc.min_max(finite).as_py()
        return Profile(name, rows, nulls, ends["min"], ends["max"])
    if pa.types.is_string(column.type):
        values = column.unique().drop_null()
        listed = sorted(values.to_pylist()) if len(values) <= MOST_VALUES else []
        return Profile(name, rows, nulls, values=tuple(listed))
    return Profile(name, rows, nulls)
