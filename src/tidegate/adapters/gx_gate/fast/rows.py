"""Expectations that judge row by row: which rows fail, in GX's result format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tidegate.adapters.gx_gate.fast.arguments import EXACT, Arguments, NotOurs
from tidegate.adapters.gx_gate.fast.copies import Unique
from tidegate.adapters.gx_gate.fast.judging import Judge, Mask, Rows, Shape

if TYPE_CHECKING:
    import pyarrow as pa

#: How many sound texts are remembered from piece to piece.
_REMEMBERED = 2**20


def _not_null(shape: Shape, arguments: Arguments) -> Judge:
    name = arguments.column(shape.schema).name
    return _about_nulls(shape, arguments, name, _nulls(name))


def _null(shape: Shape, arguments: Arguments) -> Judge:
    import pyarrow.compute as pc

    name = arguments.column(shape.schema).name
    return _about_nulls(shape, arguments, name, lambda piece: pc.is_valid(piece.column(name)))


def _about_nulls(shape: Shape, arguments: Arguments, name: str, fails: Mask) -> Judge:
    selected, mostly = arguments.selected(shape.schema), arguments.mostly()
    arguments.done()
    return Rows([name], fails, None, mostly, selected)


def _between(shape: Shape, arguments: Arguments) -> Judge:
    import pyarrow as pa

    column = arguments.column(shape.schema)
    if column.type not in (pa.int64(), pa.float64()):
        raise NotOurs
    bounds = arguments.bounds()
    return _values(shape, arguments, column, lambda values: _inverse(bounds.holds(values)))


def _in_set(shape: Shape, arguments: Arguments) -> Judge:
    return _listed(shape, arguments, wanted=True)


def _not_in_set(shape: Shape, arguments: Arguments) -> Judge:
    return _listed(shape, arguments, wanted=False)


def _listed(shape: Shape, arguments: Arguments, wanted: bool) -> Judge:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = arguments.column(shape.schema)
    listed = pa.array(members(column, arguments.values("value_set")), column.type)

    def fails(values: pa.ChunkedArray) -> Any:
        found = pc.is_in(values, value_set=listed)
        failing = _inverse(found) if wanted else found
        return pc.and_(failing, pc.is_valid(values)) if values.null_count else failing

    return _values(shape, arguments, column, fails)


def members(column: pa.Field, values: list[Any]) -> list[Any]:
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


def _matches(shape: Shape, arguments: Arguments) -> Judge:
    return _searched(shape, arguments, wanted=True)


def _matches_not(shape: Shape, arguments: Arguments) -> Judge:
    return _searched(shape, arguments, wanted=False)


def _searched(shape: Shape, arguments: Arguments, wanted: bool) -> Judge:
    """Search with Python's own `re`, as GX does, but once for each distinct value."""
    import pyarrow as pa

    column = arguments.column(shape.schema)
    if column.type == pa.float64():  # numbers have many spellings
        raise NotOurs
    try:
        search = re.compile(arguments.text("regex")).search
    except re.error as error:
        raise NotOurs from error
    return _values(
        shape, arguments, column, _by_value(column.type, lambda text: (search(text) is None) is wanted)
    )


def _lengths(shape: Shape, arguments: Arguments) -> Judge:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = arguments.column(shape.schema)
    bounds = arguments.bounds(whole=True)
    if column.type != pa.string():
        raise NotOurs
    return _values(shape, arguments, column, lambda values: _inverse(bounds.holds(pc.utf8_length(values))))


def _unique(shape: Shape, arguments: Arguments) -> Judge:
    column = arguments.column(shape.schema)
    selected, mostly = arguments.selected(shape.schema), arguments.mostly()
    arguments.done()
    if selected is not None:
        raise NotOurs
    return Unique(_comparable([column]), "any", mostly, shape.until)


def _compound(shape: Shape, arguments: Arguments) -> Judge:
    columns = arguments.columns(shape.schema)
    ignored = arguments.choice("ignore_row_if", "all_values_are_missing")
    mostly = arguments.mostly()
    arguments.done()
    which = {"all_values_are_missing": "all", "any_value_is_missing": "any", "never": ""}.get(ignored)
    if which is None:
        raise NotOurs
    return Unique(_comparable(columns), which, mostly, shape.until)


def _comparable(columns: list[pa.Field]) -> list[str]:
    """Return the columns' names, unless one holds floats: pandas and SQL see their equality differently."""
    import pyarrow as pa

    if any(column.type == pa.float64() for column in columns):
        raise NotOurs
    return [column.name for column in columns]


def _greater(shape: Shape, arguments: Arguments) -> Judge:
    import pyarrow as pa
    import pyarrow.compute as pc

    first, second = (arguments.column(shape.schema, name) for name in ("column_A", "column_B"))
    equal, ignored = arguments.flag("or_equal"), arguments.choice("ignore_row_if", "both_values_are_missing")
    mostly = arguments.mostly()
    arguments.done()
    if first.type != second.type or first.type == pa.bool_():
        raise NotOurs
    if ignored not in {"either_value_is_missing", "both_values_are_missing", "neither"}:
        raise NotOurs
    pair = (first.name, second.name)

    def fails(piece: pa.Table) -> Any:
        one, other = map(piece.column, pair)
        return _inverse((pc.greater_equal if equal else pc.greater)(one, other))

    def missing(piece: pa.Table) -> Any:
        one, other = map(piece.column, pair)
        if not (one.null_count or other.null_count):
            return None
        if ignored != "either_value_is_missing":
            raise NotOurs
        return pc.or_(pc.is_null(one), pc.is_null(other))

    return Rows(pair, fails, missing, mostly)


#: By GX's name.
KINDS: Mapping[str, Callable[[Shape, Arguments], Judge]] = {
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
    shape: Shape, arguments: Arguments, column: pa.Field, fails: Callable[[pa.ChunkedArray], Any]
) -> Judge:
    """Judge the values of one column; nulls are missing."""
    name: str = column.name
    selected, mostly = arguments.selected(shape.schema), arguments.mostly()
    arguments.done()
    return Rows([name], lambda piece: fails(piece.column(name)), _nulls(name), mostly, selected)


def _nulls(name: str) -> Mask:
    """Return which values of a column are null."""
    import pyarrow.compute as pc

    return lambda piece: pc.is_null(piece.column(name)) if piece.column(name).null_count else None


def _by_value(kind: pa.DataType, fails: Callable[[str], bool]) -> Callable[[pa.ChunkedArray], Any]:
    """Return which values fail by their text, each distinct one of a piece judged once; nulls do not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sound = pa.array([], kind)

    def failing(values: pa.ChunkedArray) -> Any:
        nonlocal sound
        distinct = pc.drop_null(values.unique())
        fresh = distinct.filter(_inverse(pc.is_in(distinct, value_set=sound)))
        mask = pa.array([fails(str(value)) for value in fresh.to_pylist()], pa.bool_())
        bad = fresh.filter(mask)
        if len(sound) < _REMEMBERED:
            sound = pa.concat_arrays([sound, fresh.filter(_inverse(mask))])
        return pc.is_in(values, value_set=bad) if len(bad) else None

    return failing


def _inverse(mask: Any) -> Any:
    import pyarrow.compute as pc

    return pc.invert(mask)
