"""Held-back rows that somebody mended: read from their CSV, and put where they stood in their drop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from tidegate.adapters.arrow_batches.delimited import arrow_type, read_csv
from tidegate.application.ports import EXPORTED, Mended, Table
from tidegate.domain.canonical import utc_time
from tidegate.domain.contract import Column, Contract
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.adapters.arrow_batches.drop import Drop

PERIOD, REVISION, ROW, REASONS = EXPORTED
_AT_ONCE = 4096  # rows that are Python objects at a time
_SHOWN = 5  # rows named in a sentence


def read_mended(file: Drop, contract: Contract, nulls: Sequence[str]) -> Mended:
    """Read mended rows, in the file's order.

    Raises:
        BadInput: see `tidegate.application.ports.Batches.mended`.
    """
    import pyarrow.compute as pc

    marks = (
        Column(PERIOD, "string"), Column(REVISION, "integer"), Column(ROW, "integer"), Column(REASONS, "string")
    )  # fmt: skip
    table, _ = read_csv(file, replace(contract, columns=(*marks, *contract.columns)), nulls)
    period, revision = (_only(table, name, file.name) for name in (PERIOD, REVISION))
    rows = table.column(ROW)
    counts = pc.value_counts(rows).to_pylist()
    if odd := [each["values"] for each in counts if each["values"] is None or each["counts"] > 1]:
        shown = ", ".join("without a number" if row is None else f"{row} twice" for row in odd[:_SHOWN])
        raise BadInput(
            "bad-rows",
            f"got {file.name} with a row {shown}{' …' if len(odd) > _SHOWN else ''}, "
            f"expected each held-back row once, by its number in `{ROW}`",
            "leave these columns as they were exported",
        )
    values = table.drop_columns(list(EXPORTED))
    return Mended(str(period), cast(int, revision), tuple(rows.to_pylist()), cast(Table, values))


def restored(
    accepted: pa.Table, held: Iterable[Mapping[str, Any]], contract: Contract, mended: Mended
) -> pa.Table:
    """Return a drop's rows: held-back ones where they stood, mended or not, accepted ones in the places between.

    Raises:
        BadInput: the batch, or a held-back row, has other columns than the contract has now.
    """
    import numpy as np
    import pyarrow as pa

    schema = pa.schema([(column.name, arrow_type(column.type)) for column in contract.columns])
    if set(accepted.schema) != set(schema):
        raise _other_columns(contract)
    new = set(mended.rows)
    places, left = list(mended.rows), [cast("pa.Table", mended.table).select(schema.names).cast(schema)]
    rows = (row for row in held if row["row"] not in new)
    while some := list(islice(rows, _AT_ONCE)):
        places += [row["row"] for row in some]
        left.append(_typed([row["values"] for row in some], contract, schema))
    held_at = np.array(places, dtype=np.int64)
    total = accepted.num_rows + len(held_at)
    between = np.setdiff1d(np.arange(total), held_at, assume_unique=True)
    order = np.argsort(np.concatenate([between, held_at]), kind="stable")
    whole = pa.concat_tables([accepted.select(schema.names).cast(schema), *left])
    return whole.take(pa.array(order)).combine_chunks()


def _only(table: pa.Table, name: str, file: str) -> object:
    found = table.column(name).unique().to_pylist()
    if len(found) == 1 and found[0] is not None:
        return found[0]
    shown = ", ".join(str(each)[:40] for each in found[:_SHOWN])
    raise BadInput(
        "bad-rows",
        f"got {file} with `{name}` {shown}, expected the rows of one period and revision",
        "put the rows of one period back at a time: export them with --period",
    )


def _typed(rows: list[dict[str, Any]], contract: Contract, schema: pa.Schema) -> pa.Table:
    """Return values as they were before they were written as JSON."""
    import pyarrow as pa

    names = {column.name for column in contract.columns}
    if any(row.keys() != names for row in rows):
        raise _other_columns(contract)
    columns = {
        column.name: pa.array(
            _values((row[column.name] for row in rows), column.type), schema.field(column.name).type
        )
        for column in contract.columns
    }
    return pa.table(columns, schema=schema)


def _values(values: Iterator[Any], kind: str) -> list[Any]:
    return [value if value is None else _READ.get(kind, _as_it_is)(value) for value in values]


def _as_it_is(value: Any) -> Any:
    return value


#: How a value that JSON carries as text or not exactly is read again, by its column's type.
_READ: Mapping[str, Callable[[Any], Any]] = {
    "integer": int,
    "timestamp": utc_time,
    "date": date.fromisoformat,
}


def _other_columns(contract: Contract) -> BadInput:
    return BadInput(
        "other-columns",
        f"got a batch of {contract.dataset} with other columns than its contract has now, expected the same",
        "rows cannot be put back into it: have the period delivered again as a higher revision",
    )
