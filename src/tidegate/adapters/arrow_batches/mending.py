"""Held-back rows that somebody mended: read from their CSV, and put where they stood in their drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from tidegate.adapters.arrow_batches.delimited import arrow_type, read_csv
from tidegate.adapters.shared import pieces
from tidegate.application.ports import EXPORTED, Mended, Table
from tidegate.domain.cells import MARKED
from tidegate.domain.contract import Column, Contract
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.adapters.arrow_batches.drop import Drop

PERIOD, REVISION, ROW, REASONS = EXPORTED
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
    try:
        read, _ = read_csv(file, replace(contract, columns=(*marks, *contract.columns)), nulls)
    except BadInput as fault:
        if fault.code != "columns":
            raise
        hint = f"leave its columns as `tidegate quarantine {contract.dataset} --export FILE` wrote them"
        raise BadInput(fault.code, fault.sentence, hint, **fault.data) from fault.__cause__
    table = pieces.whole(read)
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
    values = _as_they_were(table.drop_columns(list(EXPORTED)))
    return Mended(str(period), cast(int, revision), tuple(rows.to_pylist()), cast(Table, values))


def restored(whole: pa.Table, contract: Contract, mended: Mended) -> pa.Table:
    """Return a drop's rows with the mended ones in their places.

    Raises:
        BadInput: the batch has other columns than the contract has now.
    """
    import numpy as np
    import pyarrow as pa

    schema = pa.schema([(column.name, arrow_type(column.type)) for column in contract.columns])
    if set(whole.schema) != set(schema):
        raise _other_columns(contract)
    order = np.arange(whole.num_rows)
    order[list(mended.rows)] = whole.num_rows + np.arange(len(mended.rows))
    new = cast("pa.Table", mended.table)
    rows = pa.concat_tables([table.select(schema.names).cast(schema) for table in (whole, new)])
    return rows.take(pa.array(order)).combine_chunks()


def _as_they_were(table: pa.Table) -> pa.Table:
    """Return texts without the apostrophe by which an export keeps spreadsheets from running them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            texts = pc.replace_substring_regex(table.column(place), pattern=MARKED, replacement=r"\1")
            table = table.set_column(place, field, texts)
    return table


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


def _other_columns(contract: Contract) -> BadInput:
    return BadInput(
        "other-columns",
        f"got a batch of {contract.dataset} with other columns than its contract has now, expected the same",
        "rows cannot be put back into it: have the period delivered again as a higher revision",
    )
