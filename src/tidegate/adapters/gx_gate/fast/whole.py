"""Expectations that judge the drop as a whole, in GX's result format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tidegate.adapters.gx_gate.fast.arguments import Arguments, NotOurs
from tidegate.adapters.gx_gate.fast.rows import members

if TYPE_CHECKING:
    import pyarrow as pa


def _row_count(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    bounds = arguments.bounds(whole=True)
    arguments.done()
    return {"holds": bounds.hold(table.num_rows), "observed_value": table.num_rows}


def _columns(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    expected, exact = arguments.values("column_set"), arguments.flag("exact_match", default=True)
    arguments.done()
    if not all(isinstance(name, str) for name in expected):
        raise NotOurs
    unexpected = sorted(set(table.column_names) - set(expected))
    missing = sorted(set(expected) - set(table.column_names))
    found: dict[str, Any] = {"observed_value": sorted(table.column_names)}
    if unexpected or missing:
        named = {"unexpected": unexpected, "missing": missing}
        found["details"] = {"mismatched": {kind: names for kind, names in named.items() if names}}
    return {"holds": not missing and not (exact and unexpected), **found}


def _exists(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    name = arguments.text("column")
    arguments.done()
    return {"holds": name in table.column_names}


def _proportion(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    column, bounds = arguments.column(table), arguments.bounds()
    arguments.done()
    share = (len(column) - column.null_count) / len(column)
    return {"holds": bounds.hold(share), "observed_value": share}


def _distinct(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column, bounds = arguments.column(table), arguments.bounds(whole=True)
    arguments.done()
    if column.type == pa.float64():
        raise NotOurs
    count = int(pc.count_distinct(column, mode="only_valid").as_py())
    return {"holds": bounds.hold(count), "observed_value": count}


def _contains(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = arguments.column(table)
    values = members(column, arguments.values("value_set"))
    arguments.done()
    wanted = pa.array(values, column.type).unique()
    missing = len(wanted) - int(pc.sum(pc.is_in(wanted, value_set=column.unique())).as_py() or 0)
    return {"holds": not missing, "observed_value": None, "missing_count": missing}


def _extreme(which: str) -> Callable[[pa.Table, Arguments], dict[str, Any]]:
    def judge(table: pa.Table, arguments: Arguments) -> dict[str, Any]:
        import pyarrow as pa
        import pyarrow.compute as pc

        column, bounds = arguments.column(table), arguments.bounds()
        arguments.done()
        if column.type not in (pa.int64(), pa.float64()):
            raise NotOurs
        if column.type == pa.float64() and pc.any(pc.is_nan(column)).as_py():
            raise NotOurs
        value = pc.min_max(column)[which].as_py()
        return {"holds": value is not None and bounds.hold(value), "observed_value": value}

    return judge


#: By GX's name.
KINDS: Mapping[str, Callable[[pa.Table, Arguments], dict[str, Any]]] = {
    "expect_table_row_count_to_be_between": _row_count,
    "expect_table_columns_to_match_set": _columns,
    "expect_column_to_exist": _exists,
    "expect_column_proportion_of_non_null_values_to_be_between": _proportion,
    "expect_column_unique_value_count_to_be_between": _distinct,
    "expect_column_distinct_values_to_contain_set": _contains,
    "expect_column_max_to_be_between": _extreme("max"),
    "expect_column_min_to_be_between": _extreme("min"),
}
