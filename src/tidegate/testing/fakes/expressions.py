"""Expressions without CEL: the subset that tests need, read by Python's own parser."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from tidegate.domain.errors import BadInput

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class FakeExpressions:
    """Comparisons of dotted names, numbers and texts, joined by ``&&``, ``||`` and ``!``."""

    def holds(self, expression: str, facts: Mapping[str, object]) -> bool:
        python = expression.replace("&&", " and ").replace("||", " or ").replace("!=", "≠")
        python = python.replace("!", " not ").replace("≠", "!=")
        try:
            tree = ast.parse(python.strip(), mode="eval").body
        except SyntaxError as error:
            raise BadInput("expression-syntax", f"got `{expression}`, expected an expression") from error
        _refuse_what_json_cannot_hold(facts)
        result = _value(tree, facts)
        if not isinstance(result, bool):
            raise BadInput("expression-not-boolean", f"got {type(result).__name__}, expected true or false")
        return result


def _value(node: ast.expr, facts: Mapping[str, object]) -> Any:  # noqa: C901, PLR0911 - one case a node
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id="true" | "false" as word):
            return word == "true"
        case ast.Name(id=name):
            return _member(facts, name)
        case ast.Attribute(value=above, attr=name):
            return _member(_value(above, facts), name)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, facts)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, facts)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(value, facts) for value in values)
        case ast.BoolOp(values=values):
            return any(_value(value, facts) for value in values)
        case ast.Compare(left=left, ops=[compare], comparators=[right]) if type(compare) in _COMPARE:
            try:
                return _COMPARE[type(compare)](_value(left, facts), _value(right, facts))
            except TypeError as error:
                raise BadInput(
                    "expression-failed", "got values that do not compare, expected numbers"
                ) from error
    raise BadInput("expression-syntax", f"got {type(node).__name__}, expected comparisons")


def _member(above: object, name: str) -> object:
    if not isinstance(above, Mapping) or above.get(name) is None:
        raise BadInput("expression-failed", f"got nothing under {name!r}, expected a value")
    return above[name]


def _refuse_what_json_cannot_hold(value: object) -> None:
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_what_json_cannot_hold(item)
    elif isinstance(value, float) and not isfinite(value):
        raise BadInput("expression-facts", "got a number that is not finite, expected finite numbers")
