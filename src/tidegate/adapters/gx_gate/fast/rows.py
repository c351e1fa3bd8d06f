"""Expectations that judge row by row: which rows fail, in GX's result format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tidegate.adapters.gx_gate.fast.arguments import EXACT, Arguments, NotOurs
from tidegate.adapters.gx_gate.fast.copies import copies

if TYPE_CHECKING:
    import pyarrow as pa

#: How many rows' texts are told apart at once, and how many sound ones are remembered from slice to slice.
_SLICE, _REMEMBERED = 2**18, 2**20


def _not_null(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    import pyarrow.compute as pc

    column = arguments.column(table)
    selected, mostly = arguments.selected(table), arguments.mostly()
    arguments.done()
    failing = _among(pc.is_null(column), selected) if column.null_count else None
    return _result(failing, _count(selected, column), None, mostly)


def _null(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    import pyarrow.compute as pc

    column = arguments.column(table)
    selected, mostly = arguments.selected(table), arguments.mostly()
    arguments.done()
    failing = _among(pc.is_valid(column), selected)
    return _result(failing, _count(selected, column), None, mostly)


def _between(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    import pyarrow as pa

    column = arguments.column(table)
    if column.type not in (pa.int64(), pa.float64()):
        raise NotOurs
    bounds = arguments.bounds()
    return _values(table, arguments, column, lambda: _inverse(bounds.holds(column)))


def _in_set(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    return _listed(table, arguments, wanted=True)


def _not_in_set(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    return _listed(table, arguments, wanted=False)


def _listed(table: pa.Table, arguments: Arguments, wanted: bool) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = arguments.column(table)
    values = pa.array(members(column, arguments.values("value_set")), column.type)

    def failing() -> Any:
        found = pc.is_in(column, value_set=values)
        return _among(
            _inverse(found) if wanted else found, pc.is_valid(column) if column.null_count else None
        )

    return _values(table, arguments, column, failing)


def members(column: pa.ChunkedArray, values: list[Any]) -> list[Any]:
    """Return a set of values that are of the column's own type: what else may equal them, pandas knows."""
    import pyarrow as pa

    if column.type == pa.string() and all(isinstance(value, str) for value in values):
        return values
    whole = all(
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < EXACT for value in values
    )
    if column.type == pa.int64() and values and whole:
        return values
    raise NotOurs


def _matches(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    return _searched(table, arguments, wanted=True)


def _matches_not(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    return _searched(table, arguments, wanted=False)


def _searched(table: pa.Table, arguments: Arguments, wanted: bool) -> dict[str, Any]:
    """Search with Python's own `re`, as GX does, but once for each distinct value."""
    import pyarrow as pa

    column = arguments.column(table)
    if column.type == pa.float64():  # numbers have many spellings
        raise NotOurs
    try:
        search = re.compile(arguments.text("regex")).search
    except re.error as error:
        raise NotOurs from error
    return _values(
        table, arguments, column, lambda: _by_value(column, lambda text: (search(text) is None) is wanted)
    )


def _lengths(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = arguments.column(table)
    bounds = arguments.bounds(whole=True)
    if column.type != pa.string():
        raise NotOurs
    return _values(table, arguments, column, lambda: _inverse(bounds.holds(pc.utf8_length(column))))


def _unique(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    column = arguments.column(table)
    selected, mostly = arguments.selected(table), arguments.mostly()
    arguments.done()
    if selected is not None:
        raise NotOurs
    valid = len(column) - column.null_count
    return _result(copies([column], nulls="any"), len(column), len(column) - valid, mostly)


def _compound(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    names = arguments.columns(table)
    ignored = arguments.choice("ignore_row_if", "all_values_are_missing")
    mostly = arguments.mostly()
    arguments.done()
    which = {"all_values_are_missing": "all", "any_value_is_missing": "any", "never": ""}.get(ignored)
    if which is None:
        raise NotOurs
    columns = [table.column(name) for name in names]
    missing = _missing(columns, which) if which else 0
    return _result(copies(columns, nulls=which), table.num_rows, missing, mostly)


def _greater(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    first, second = (arguments.column(table, name) for name in ("column_A", "column_B"))
    equal, ignored = arguments.flag("or_equal"), arguments.choice("ignore_row_if", "both_values_are_missing")
    mostly = arguments.mostly()
    arguments.done()
    nulls = first.null_count or second.null_count
    if (
        first.type != second.type
        or first.type == pa.bool_()
        or (nulls and ignored != "either_value_is_missing")
    ):
        raise NotOurs
    if ignored not in {"either_value_is_missing", "both_values_are_missing", "neither"}:
        raise NotOurs
    holds = (pc.greater_equal if equal else pc.greater)(first, second)
    return _result(_inverse(holds), table.num_rows, _missing([first, second], "any"), mostly)


#: By GX's name.
KINDS: Mapping[str, Callable[[pa.Table, Arguments], dict[str, Any]]] = {
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_null": _null,
    "expect_column_values_to_be_between": _between,
    "expect_column_values_to_be_in_set": _in_set,
    "expect_column_values_to_not_be_in_set": _not_in_set,
    "expect_column_values_to_match_regex": _matches,
    "expect_column_values_to_not_match_regex": _matches_not,
    "expect_column_value_lengths_to_be_between": _lengths,
    "expect_column_values_to_be_unique": _unique,
    "expect_compound_columns_to_be_unique": _compound,
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
}


def _values(
    table: pa.Table, arguments: Arguments, column: pa.ChunkedArray, failing: Callable[[], Any]
) -> dict[str, Any]:
    """Judge the values of one column; nulls are missing."""
    import pyarrow.compute as pc

    selected, mostly = arguments.selected(table), arguments.mostly()
    arguments.done()
    among = _count(selected, column)
    missing = column.null_count
    if selected is not None and missing:
        missing = int(pc.sum(_among(pc.is_null(column), selected)).as_py() or 0)
    return _result(_among(failing(), selected), among, missing, mostly)


def _result(failing: Any, rows: int, missing: int | None, mostly: float) -> dict[str, Any]:
    """Return GX's result of which rows fail: a mask, positions, or None for none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if failing is not None and not isinstance(failing, list):
        failing = pc.indices_nonzero(failing) if failing.type == pa.bool_() else failing
        failing = failing.to_pylist()
    positions: list[int] = failing or []
    evaluated = rows - (missing or 0)
    # As GX computes it, so that a share just at `mostly` falls on the same side.
    holds = not evaluated or (float(evaluated) - float(len(positions))) / float(evaluated) >= mostly
    found: dict[str, Any] = {"holds": holds, "element_count": rows, "unexpected_count": len(positions)}
    found |= {"unexpected_index_list": positions}
    return found if missing is None else {**found, "missing_count": missing}


def _by_value(column: pa.ChunkedArray, fails: Callable[[str], bool]) -> pa.ChunkedArray:
    """Return which values fail by their text, each distinct one of a slice judged once; nulls do not."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    sound, parts = pa.array([], column.type), []
    for start in range(0, len(column), _SLICE):
        part = column.slice(start, _SLICE)
        distinct = pc.drop_null(part.unique())
        fresh = distinct.filter(_inverse(pc.is_in(distinct, value_set=sound)))
        bad = [fails(str(value)) for value in fresh.to_pylist()]
        if any(bad):
            mask = pa.array(bad)
            parts += pc.is_in(part, value_set=fresh.filter(mask)).chunks
            fresh = fresh.filter(_inverse(mask))
        else:
            parts.append(pa.array(np.zeros(len(part), dtype=bool)))
        if len(sound) < _REMEMBERED:
            sound = pa.concat_arrays([sound, fresh])
    return pa.chunked_array(parts, pa.bool_())


def _missing(columns: list[pa.ChunkedArray], which: str) -> int:
    """Count the rows in which ``all`` or ``any`` of the columns are null."""
    import pyarrow.compute as pc

    nulls = [column.null_count for column in columns]
    if not any(nulls) or (which == "all" and not all(nulls)):
        return 0
    missing = pc.is_null(columns[0])
    for column in columns[1:]:
        missing = (pc.and_ if which == "all" else pc.or_)(missing, pc.is_null(column))
    return int(pc.sum(missing).as_py())


def _count(selected: Any, column: pa.ChunkedArray) -> int:
    import pyarrow.compute as pc

    return len(column) if selected is None else int(pc.sum(selected).as_py() or 0)


def _among(mask: Any, selected: Any) -> Any:
    import pyarrow.compute as pc

    return mask if selected is None else pc.and_(mask, selected)


def _inverse(mask: Any) -> Any:
    import pyarrow.compute as pc

    return pc.invert(mask)
