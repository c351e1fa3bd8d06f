"""The rows of a drop again, from what was accepted of it and what was held back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, cast

from tidegate.adapters.arrow_batches.delimited import arrow_type
from tidegate.domain.canonical import utc_time
from tidegate.domain.contract import Contract

if TYPE_CHECKING:
    import pyarrow as pa


def rebuilt(contract: Contract, kept: pa.Table | None, held: Sequence[Mapping[str, object]]) -> pa.Table:
    """Return one table of the kept rows and those held back, these at their own places in the drop."""
    import pyarrow as pa

    rows = [cast("Mapping[str, object]", each["values"]) for each in held]
    schema = kept.schema if kept is not None else _schema(contract, rows)
    columns = []
    for field in schema:
        back = _reader(field.type)
        values = [row.get(field.name) for row in rows]
        columns.append(pa.array([None if value is None else back(value) for value in values], field.type))
    table = pa.table(columns, schema=schema)
    return table if kept is None else pa.concat_tables([kept, table]).take(_order(kept.num_rows, held))


def _schema(contract: Contract, rows: Sequence[Mapping[str, object]]) -> pa.Schema:
    """Return the columns that were held back; what the contract promises no more is read as text."""
    import pyarrow as pa

    types = {column.name: arrow_type(column.type) for column in contract.columns}
    # Canonical JSON has sorted the names: the contract's own order comes first, what it lacks after that.
    came = set(rows[0]) if rows else set(types)
    names = [name for name in types if name in came] + sorted(came - set(types))
    return pa.schema([(name, types.get(name, pa.string())) for name in names])


def _reader(kind: pa.DataType) -> Callable[[object], object]:
    """Return what makes a value of this type of what canonical JSON carried."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return lambda value: utc_time(str(value))
    if pa.types.is_date(kind):
        return lambda value: date.fromisoformat(str(value))
    if pa.types.is_integer(kind):
        return lambda value: int(cast("int", value))
    if pa.types.is_floating(kind):
        return lambda value: float(cast("float", value))
    return bool if pa.types.is_boolean(kind) else str


def _order(kept: int, held: Sequence[Mapping[str, object]]) -> pa.Array:
    """Return where each row of the drop stands: the kept ones in their order, those held back at their places.

    Rows that were erased leave gaps; the others stand in their order all the same.
    """
    import numpy as np
    import pyarrow as pa

    places = np.fromiter((cast("int", each["row"]) for each in held), dtype=np.int64, count=len(held))
    end = max(kept + len(held), int(places.max(initial=-1)) + 1)
    between = np.setdiff1d(np.arange(end), places, assume_unique=True)[:kept]
    return pa.array(np.argsort(np.concatenate([between, places]), kind="stable"))
