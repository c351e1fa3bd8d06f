"""Expectations that judge the drop as a whole, in GX's result format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.adapters.gx_gate.fast.arguments import Arguments, Bounds, NotOurs
from tidegate.adapters.gx_gate.fast.judging import Judge, Known, Shape
from tidegate.adapters.gx_gate.fast.rows import members

if TYPE_CHECKING:
    import pyarrow as pa

#: So many distinct values are gathered, at least, before they are told apart once more.
_GATHERED = 2**16


def _row_count(shape: Shape, arguments: Arguments) -> Judge:
    bounds = arguments.bounds(whole=True)
    arguments.done()
    return Known({"holds": bounds.hold(shape.rows), "observed_value": shape.rows})


def _columns(shape: Shape, arguments: Arguments) -> Judge:
    expected, exact = arguments.values("column_set"), arguments.flag("exact_match", default=True)
    arguments.done()
    if not all(isinstance(name, str) for name in expected):
        raise NotOurs
    names = shape.schema.names
    unexpected, missing = sorted(set(names) - set(expected)), sorted(set(expected) - set(names))
    found: dict[str, Any] = {"observed_value": sorted(names)}
    if unexpected or missing:
        named = {"unexpected": unexpected, "missing": missing}
        found["details"] = {"mismatched": {kind: names for kind, names in named.items() if names}}
    return Known({"holds": not missing and not (exact and unexpected), **found})


def _exists(shape: Shape, arguments: Arguments) -> Judge:
    name = arguments.text("column")
    arguments.done()
    return Known({"holds": name in shape.schema.names})


class _Column(Judge):
    """An expectation about a column."""

    def __init__(self, column: pa.Field, bounds: Bounds) -> None:
        self.columns, self._name, self._type, self._bounds = (column.name,), column.name, column.type, bounds

    def see(self, piece: pa.Table, first: int) -> None:  # noqa: ARG002  # where it lies does not matter
        self._take(piece.column(self._name))

    def _take(self, values: pa.ChunkedArray) -> None:
        raise NotImplementedError


class _Share(_Column):
    """How many of the values are given."""

    _rows = _nulls = 0

    def _take(self, values: pa.ChunkedArray) -> None:
        self._rows, self._nulls = self._rows + len(values), self._nulls + values.null_count

    def result(self) -> dict[str, Any]:
        share = (self._rows - self._nulls) / self._rows
        return {"holds": self._bounds.hold(share), "observed_value": share}


class _Distinct(_Column):
    """How many different values there are. These are kept, and nothing else."""

    def __init__(self, column: pa.Field, bounds: Bounds) -> None:
        super().__init__(column, bounds)
        self._known: list[pa.Array] = []
        self._gathered, self._most = 0, _GATHERED

    def _take(self, values: pa.ChunkedArray) -> None:
        self._known.append(values.unique().drop_null())
        self._gathered += len(self._known[-1])
        if self._gathered > self._most:
            self._together()
            self._most = max(_GATHERED, 2 * self._gathered)

    def _together(self) -> None:
        import pyarrow as pa

        self._known = [pa.concat_arrays(self._known).unique()]
        self._gathered = len(self._known[0])

    def result(self) -> dict[str, Any]:
        self._together()
        return {"holds": self._bounds.hold(self._gathered), "observed_value": self._gathered}


class _Extreme(_Column):
    """The least or the greatest value."""

    def __init__(self, column: pa.Field, bounds: Bounds, which: Callable[[Sequence[float]], float]) -> None:
        super().__init__(column, bounds)
        self._which, self._found = which, list[float]()

    def _take(self, values: pa.ChunkedArray) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._type == pa.float64() and pc.any(pc.is_nan(values)).as_py():
            raise NotOurs
        both = pc.min_max(values).as_py().values()
        self._found = [self._which(found)] if (found := [*self._found, *_given(both)]) else []

    def result(self) -> dict[str, Any]:
        value = self._found[0] if self._found else None
        return {"holds": value is not None and self._bounds.hold(value), "observed_value": value}


class _Contained(Judge):
    """Which of some values occur."""

    def __init__(self, column: str, wanted: pa.Array) -> None:
        self.columns, self._name, self._missing = (column,), column, wanted

    def see(self, piece: pa.Table, first: int) -> None:  # noqa: ARG002  # where it lies does not matter
        import pyarrow.compute as pc

        if len(self._missing):
            there = pc.is_in(self._missing, value_set=piece.column(self._name).unique())
            self._missing = self._missing.filter(pc.invert(there))

    def result(self) -> dict[str, Any]:
        missing = len(self._missing)
        return {"holds": not missing, "observed_value": None, "missing_count": missing}


def _proportion(shape: Shape, arguments: Arguments) -> Judge:
    column, bounds = arguments.column(shape.schema), arguments.bounds()
    arguments.done()
    return _Share(column, bounds)


def _distinct(shape: Shape, arguments: Arguments) -> Judge:
    import pyarrow as pa

    column, bounds = arguments.column(shape.schema), arguments.bounds(whole=True)
    arguments.done()
    if column.type == pa.float64():
        raise NotOurs
    return _Distinct(column, bounds)


def _contains(shape: Shape, arguments: Arguments) -> Judge:
    import pyarrow as pa

    column = arguments.column(shape.schema)
    values = members(column, arguments.values("value_set"))
    arguments.done()
    return _Contained(column.name, pa.array(values, column.type).unique())


def _extreme(which: Callable[[Sequence[float]], float]) -> Callable[[Shape, Arguments], Judge]:
    def judge(shape: Shape, arguments: Arguments) -> Judge:
        import pyarrow as pa

        column, bounds = arguments.column(shape.schema), arguments.bounds()
        arguments.done()
        if column.type not in (pa.int64(), pa.float64()):
            raise NotOurs
        return _Extreme(column, bounds, which)

    return judge


def _given(values: Any) -> list[float]:
    return [value for value in values if value is not None]


#: By GX's name.
KINDS: Mapping[str, Callable[[Shape, Arguments], Judge]] = {
    "expect_table_row_count_to_be_between": _row_count,
    "expect_table_columns_to_match_set": _columns,
    "expect_column_to_exist": _exists,
    "expect_column_proportion_of_non_null_values_to_be_between": _proportion,
    "expect_column_unique_value_count_to_be_between": _distinct,
    "expect_column_distinct_values_to_contain_set": _contains,
    "expect_column_max_to_be_between": _extreme(max),
    "expect_column_min_to_be_between": _extreme(min),
}
