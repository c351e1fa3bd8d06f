"""An expectation's arguments, read strictly: whatever is unusual is left to Great Expectations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.adapters.gx_gate.fast.judging import Selection

if TYPE_CHECKING:
    import pyarrow as pa

#: Beyond it a float does not hold every integer, and Python, pandas and Arrow compare differently.
EXACT = 2**53


class NotOurs(Exception):
    """This expectation, on these data, is for Great Expectations to evaluate."""


class Arguments:
    """The ``kwargs`` of one expectation. Each is taken once; `done` refuses what nobody took."""

    def __init__(self, kwargs: Mapping[str, Any], parameters: Mapping[str, Sequence[str]]) -> None:
        """Read ``kwargs``; ``parameters`` are the values that ``$PARAMETER`` names."""
        self._left, self._parameters = dict(kwargs), parameters

    def column(self, schema: pa.Schema, name: str = "column") -> pa.Field:
        """Take the column that an argument names."""
        return column_of(schema, self._left.pop(name, None))

    def columns(self, schema: pa.Schema) -> list[pa.Field]:
        """Take ``column_list``: two or more different columns."""
        names = self._left.pop("column_list", None)
        if not isinstance(names, list) or len(names) < 2 or len(set(map(str, names))) != len(names):  # noqa: PLR2004
            raise NotOurs
        return [column_of(schema, name) for name in names]

    def bounds(self, *, whole: bool = False) -> Bounds:
        """Take ``min_value``, ``max_value``, ``strict_min`` and ``strict_max``: numbers, at least one of them.

        ``whole`` is for what is counted: GX cuts the fraction off such a bound.
        """
        least, most = (self._number(name) for name in ("min_value", "max_value"))
        strict = (self.flag("strict_min"), self.flag("strict_max"))
        if (least is None and most is None) or (least is not None and most is not None and least > most):
            raise NotOurs
        if whole and (isinstance(least, float) or isinstance(most, float)):
            raise NotOurs
        return Bounds(least, most, *strict)

    def flag(self, name: str, default: bool = False) -> bool:
        """Take a flag."""
        value = self._left.pop(name, default)
        if not isinstance(value, bool):
            raise NotOurs
        return value

    def choice(self, name: str, default: str) -> str:
        """Take a word."""
        value = self._left.pop(name, default)
        if not isinstance(value, str):
            raise NotOurs
        return value

    def text(self, name: str) -> str:
        """Take a text that must be there."""
        value = self._left.pop(name, None)
        if not isinstance(value, str):
            raise NotOurs
        return value

    def values(self, name: str) -> list[Any]:
        """Take a list, or what a parameter gives."""
        value = self._left.pop(name, None)
        if isinstance(value, dict) and set(value) == {"$PARAMETER"}:
            value = list(self._parameters.get(str(value["$PARAMETER"]), ()))
        if not isinstance(value, list):
            raise NotOurs
        return value

    def mostly(self) -> float:
        """Take the share of rows that must meet the expectation."""
        value = self._left.pop("mostly", 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise NotOurs
        return float(value)

    def selected(self, schema: pa.Schema) -> Selection | None:
        """Take ``row_condition``: which rows it is about, None for all. Only "is null" and "is not null" are ours."""
        condition = self._left.pop("row_condition", None)
        if condition is None:
            return None
        match condition:
            case {
                "type": "nullity",
                "column": {"name": str() as name, **more},
                "is_null": bool() as null,
                **rest,
            }:
                if more or rest:
                    raise NotOurs
                return Selection(column_of(schema, name).name, null)
        raise NotOurs

    def done(self) -> None:
        """Refuse arguments that nobody took."""
        if self._left:
            raise NotOurs

    def _number(self, name: str) -> int | float | None:
        value = self._left.pop(name, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < EXACT:
            raise NotOurs
        return value


class Bounds:
    """Numbers between which something lies; None is open."""

    def __init__(self, least: float | None, most: float | None, above: bool, below: bool) -> None:
        """Take the bounds, and whether each is itself outside."""
        self.least, self.most, self.above, self.below = least, most, above, below

    def hold(self, value: float) -> bool:
        """Say whether one number lies between them."""
        over = self.least is None or (value > self.least if self.above else value >= self.least)
        under = self.most is None or (value < self.most if self.below else value <= self.most)
        return over and under

    def holds(self, column: pa.Array | pa.ChunkedArray) -> Any:
        """Return which values lie between them; null for null.

        Integers are compared with integers, so that no value is rounded.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        least, most, above, below = self.least, self.most, self.above, self.below
        if pa.types.is_integer(column.type):
            if least is not None:
                least, above = (math.floor(least), True) if above else (math.ceil(least), False)
            if most is not None:
                most, below = (math.ceil(most), True) if below else (math.floor(most), False)
        parts = []
        if least is not None:
            parts.append((pc.greater if above else pc.greater_equal)(column, pa.scalar(least, column.type)))
        if most is not None:
            parts.append((pc.less if below else pc.less_equal)(column, pa.scalar(most, column.type)))
        return parts[0] if len(parts) == 1 else pc.and_(*parts)


def column_of(schema: pa.Schema, name: object) -> pa.Field:
    """Return a column of one of the contract's types."""
    import pyarrow as pa

    if not isinstance(name, str) or name not in schema.names:
        raise NotOurs
    field = schema.field(name)
    known = (pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32(), pa.timestamp("us", "UTC"))
    if field.type not in known:
        raise NotOurs
    return field
