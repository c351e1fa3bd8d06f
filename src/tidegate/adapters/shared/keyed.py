"""Keys of rows, written so that two tables of other types can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_BETWEEN = "\x1f"


def keyed(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the key's columns as texts: a moment as microseconds since 1970, all else as Arrow writes it."""
    import pyarrow as pa

    columns = {}
    for name in names:
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        columns[name] = column.cast(pa.string())
    return pa.table(columns)


def among(table: pa.Table, keys: pa.Table) -> pa.ChunkedArray:
    """Return for each row whether it has one of these keys, which `keyed` has written; ``table`` has its columns."""
    import pyarrow.compute as pc

    return pc.is_in(_joined(keyed(table, keys.column_names)), value_set=_joined(keys))


def _joined(keys: pa.Table) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [
        pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
        for column in keys.columns
    ]
    return pc.binary_join_element_wise(*parts, _BETWEEN)
