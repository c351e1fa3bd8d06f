"""Rows that name another period than their drop does, found by columns: a drop may have millions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.adapters.shared.pieces import pieces
from tidegate.application.ports import Table
from tidegate.domain.contract import Contract

if TYPE_CHECKING:
    import pyarrow as pa

#: How a period is written, by how many parts it has: a year, a month, a day.
_WRITTEN = ("%Y", "%Y-%m", "%Y-%m-%d")


def strays(contract: Contract, table: Table, period: str) -> tuple[int, ...]:
    """Return the positions of rows whose period columns name another period than ``period``, or none.

    Period columns are whole numbers (a year, with a month, with a day), or one date or moment, which counts by its day
    in UTC. Columns that are coarser than the period tell what they can; of other columns nothing is told.
    """
    names = contract.period_columns
    if not names or not set(names) <= set(table.column_names):
        return ()
    found: list[int] = []
    first = 0
    for piece in pieces(table, list(names)):
        found += (first + place for place in _places(piece, period))
        first += len(piece)
    return tuple(found)


def _places(rows: pa.Table, period: str) -> list[int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = period.split("-")
    if rows.num_columns == 1 and pa.types.is_temporal(rows.column(0).type):
        told = pc.strftime(rows.column(0), format=_WRITTEN[len(parts) - 1])
        odd = [pc.not_equal(told, period)]
    elif all(pa.types.is_integer(column.type) for column in rows.columns):
        odd = [pc.not_equal(column, int(part)) for column, part in zip(rows.columns, parts, strict=False)]
    else:
        return []
    stray = odd[0]
    for each in odd[1:]:
        stray = pc.or_kleene(stray, each)
    return list(pc.indices_nonzero(pc.fill_null(stray, True)).to_pylist())
