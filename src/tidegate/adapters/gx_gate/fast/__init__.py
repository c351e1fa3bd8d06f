"""The expectations that Arrow evaluates as Great Expectations would, and no others.

An expectation is ours only where its verdict *and its failing rows* are GX's own on pandas, which tests hold
over generated tables and arguments. Whatever is not exactly as expected here (another argument, a bound of
another type than its column, a column that is missing) is left to GX: nothing is guessed, and GX's own
complaint is what people read.

Beside the drop itself, which is in memory, this needs a few bits a row and the positions that fail: texts are
judged by their distinct values within a slice, and DuckDB spills to disk where copies are sought (eight bytes a
row more where it finds some).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.adapters.gx_gate.fast import rows, whole
from tidegate.adapters.gx_gate.fast.arguments import Arguments, NotOurs

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KINDS", "evaluate"]

_Judge = Callable[["pa.Table", Arguments], dict[str, Any]]

#: The list. What each returns is GX's ``result``, with ``holds``.
KINDS: Mapping[str, _Judge] = {**rows.KINDS, **whole.KINDS}


def evaluate(
    configurations: Mapping[str, Mapping[str, Any]],
    table: pa.Table,
    parameters: Mapping[str, Sequence[str]],
) -> dict[str, Mapping[str, Any]]:
    """Return GX's result of each expectation that is ours, by rule; what is absent is GX's to evaluate."""
    import duckdb
    import pyarrow as pa

    found: dict[str, Mapping[str, Any]] = {}
    if len(set(table.column_names)) != table.num_columns or not table.num_rows:
        return found
    for rule, part in configurations.items():
        judge = KINDS.get(part["type"])
        if judge is None:
            continue
        try:
            found[rule] = judge(table, Arguments(part["kwargs"], parameters))
        except (NotOurs, pa.ArrowException, duckdb.Error):
            continue  # not a verdict: GX evaluates it instead, and its result says so
    return found
