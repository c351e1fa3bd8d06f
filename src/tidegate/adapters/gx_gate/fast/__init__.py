"""The expectations that Arrow evaluates as Great Expectations would, and no others.

An expectation is ours only where its verdict *and its failing rows* are GX's own on pandas, which tests hold
over generated tables and arguments. Whatever is not exactly as expected here (another argument, a bound of
another type than its column, a column that is missing) is left to GX: nothing is guessed, and GX's own
complaint is what people read.

The drop is looked at piece by piece, once, and once more where it may hold copies of what should be unique. Memory
does not grow with its rows, but with those that fail; and with a column's distinct values where those are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, TypeVar

from tidegate.adapters.gx_gate.fast import rows, whole
from tidegate.adapters.gx_gate.fast.arguments import Arguments, NotOurs
from tidegate.adapters.gx_gate.fast.judging import Judge, Shape
from tidegate.adapters.shared.pieces import pieces, schema
from tidegate.application.ports import Table

__all__ = ["KINDS", "evaluate"]

_Item = TypeVar("_Item")
_Said = TypeVar("_Said")

#: The list: by GX's name, what makes the judge of one expectation.
KINDS: Mapping[str, Callable[[Shape, Arguments], Judge]] = {**rows.KINDS, **whole.KINDS}


def evaluate(
    configurations: Mapping[str, Mapping[str, Any]],
    table: Table,
    parameters: Mapping[str, Sequence[str]],
) -> dict[str, Mapping[str, Any]]:
    """Return GX's result of each expectation that is ours, by rule; what is absent is GX's to evaluate."""
    names = table.column_names
    if len(set(names)) != len(names) or not table.num_rows:
        return {}
    with ExitStack() as until:
        shape = Shape(schema(table), table.num_rows, until)
        kinds = {rule: part["type"] for rule, part in configurations.items() if part["type"] in KINDS}
        judges = _each(
            kinds,
            lambda rule, kind: KINDS[kind](shape, Arguments(configurations[rule]["kwargs"], parameters)),
        )
        looking = {rule: judge for rule, judge in judges.items() if judge.columns}
        while looking:
            _look(looking, judges, table)
            looking = {rule: judge for rule, judge in looking.items() if judge.again()}
        return _each(judges, lambda _, judge: judge.result())


def _look(looking: dict[str, Judge], judges: dict[str, Judge], table: Table) -> None:
    """Show every piece to those who look; whose expectation turns out to be GX's is no judge any more."""
    first = 0
    for piece in pieces(table, sorted({name for judge in looking.values() for name in judge.columns})):
        seen = _each(looking, lambda _, judge: judge.see(piece, first))  # noqa: B023  # asked at once
        for rule in looking.keys() - seen.keys():
            del looking[rule], judges[rule]
        first += piece.num_rows


def _each(items: Mapping[str, _Item], act: Callable[[str, _Item], _Said]) -> dict[str, _Said]:
    """Return what is said of each item, by rule; where it is not ours to say, nothing."""
    import duckdb
    import pyarrow as pa

    said = {}
    for rule, item in items.items():
        # Not a verdict: GX evaluates it instead, and its result says so.
        with suppress(NotOurs, pa.ArrowException, duckdb.Error, OSError):
            said[rule] = act(rule, item)
    return said
