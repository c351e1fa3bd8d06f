"""Expressions in CEL (the Common Expression Language, cel.dev), by the Rust interpreter.

What CEL itself leaves open is closed here. Codes of the errors, so that a caller can tell them apart:

    expression-syntax        it does not compile, is too large or too deep, or calls what is not allowed
    expression-facts         the facts are no canonical JSON: a NaN would make every comparison false
    expression-cost          it would look at more than the budget allows on these facts
    expression-failed        a key is missing or null, types do not fit, a division by zero
    expression-not-boolean   it yields something else than true or false

- Every number is a double, as in CEL's own mapping of JSON: `1` and `1.0` are one canonical text, so a
  fact must not change its type on its way through the ledger. Write `x + 1.0`, not `x + 1`.
- A null member is left out: reaching it is a missing key, and `has()` says no.
- The budget counts steps and not seconds: a verdict must not depend on how busy the machine is.
- CEL's `||` and `&&` ignore an error on one side where the other side decides alone. That is kept: the
  result then does not depend on what is missing.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from math import isfinite
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import cel

#: Characters of an expression, and open brackets at any point of it.
MAX_LENGTH, MAX_DEPTH = 1000, 20
#: Macros that walk a collection. Three nested ones over one list are already cubic.
MAX_LOOPS = 2
#: Length of the expression times the longest collection or text, once for each loop. About a second at most.
MAX_STEPS = 10_000_000
#: Members and elements in the facts, how deep they nest, and the characters of all texts in them.
MAX_FACTS, MAX_FACTS_DEPTH, MAX_TEXT = 100_000, 16, 1_000_000
#: Characters that are compared or copied in the time of one value.
_TEXT_STEP = 64

#: Counted wherever it stands, even in a text: too many is harmless, too few would not be.
_LOOP = re.compile(r"\b(?:all|exists|exists_one|filter)\b")
#: What looks at all of its operands, which may be the whole of the facts.
_WHOLE = re.compile(r"==|!=|\+|\b(?:in|contains)\b")
#: `map` and `matches` stay out: the first lets a value grow with each use, the second is its own language.
_OPERATORS = ("==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "/", "?_:")
_ALLOWED = frozenset(
    {"!_", "-_", "_[_]", "@in", "@not_strictly_false", "size", "double", "startsWith", "endsWith", "contains"}
    | {f"_{operator}_" for operator in _OPERATORS}
)
_HINT = (
    "expressions are CEL over `packet`: comparisons, && || !, size(), has(), in, all(), exists(), filter()"
)
_SHOWN = 120


class CelExpressions:
    """Evaluates boolean expressions over facts. Holds no state but the compiled programs."""

    def holds(self, expression: str, facts: Mapping[str, object]) -> bool:
        """Return what a boolean expression says of the facts, given as names and JSON values.

        Raises:
            BadInput: it does not compile, fails on these facts, or yields anything but a boolean.
        """
        program = _program(expression)
        reading = _Plain()
        plain = reading.value(facts)
        steps = _steps(expression, reading)
        if steps > MAX_STEPS:
            raise BadInput(
                "expression-cost",
                f"got an expression of up to {steps:,} steps on these facts, expected at most {MAX_STEPS:,}",
                "loop over one collection, not over one inside the other, and compare members, not collections",
            )
        try:
            result = program.execute(cast("dict[str, Any]", plain))
        except Exception as error:  # CEL raises many kinds; each says that these facts do not fit
            sentence = f"got {_cause(error)}, expected facts that `{_short(expression)}` fits"
            raise BadInput("expression-failed", sentence, _HINT) from error
        if not isinstance(result, bool):
            raise BadInput(
                "expression-not-boolean",
                f"got {type(result).__name__} from `{_short(expression)}`, expected true or false",
                _HINT,
            )
        return result


@lru_cache(maxsize=1024)
def _program(expression: str) -> cel.Program:
    if not expression.strip():
        raise _syntax("an empty expression", "a condition")
    if len(expression) > MAX_LENGTH:
        raise _syntax(f"{len(expression)} characters", f"at most {MAX_LENGTH}")
    if (depth := _depth(expression)) > MAX_DEPTH:
        raise _syntax(f"{depth} brackets inside one another", f"at most {MAX_DEPTH}")
    if (loops := len(_LOOP.findall(expression))) > MAX_LOOPS:
        raise _syntax(f"{loops} uses of all, exists, exists_one or filter", f"at most {MAX_LOOPS}")
    try:
        program = _interpreter().compile(expression)
    except Exception as error:  # whatever the compiler dislikes is a fault of the text
        lines = str(error).split("ERROR: <input>:", 1)
        reason = lines[-1].splitlines()[0] if len(lines) > 1 else type(error).__name__
        raise _syntax(f"`{_short(expression)}`, which does not compile ({_short(reason)})", "CEL") from error
    if unknown := sorted(set(program.functions()) - _ALLOWED):
        raise _syntax(f"the function {', '.join(unknown)}", "one of the allowed functions")
    if re.search(r"\bmap\b", expression):
        raise _syntax("the macro map", "all, exists, exists_one or filter")
    return program


def _interpreter() -> Any:
    """Import the interpreter without the command line that its package imports as well.

    That one costs 0.15 s and prompt_toolkit, at each start of ours. An empty module stands in for it while
    the package is imported, and is gone afterwards.
    """
    if (loaded := sys.modules.get("cel")) is not None:
        return loaded
    stand_in = sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
    try:
        return importlib.import_module("cel")
    finally:
        if sys.modules.get("cel.cli") is stand_in:
            del sys.modules["cel.cli"]


def _syntax(got: str, expected: str) -> BadInput:
    return BadInput("expression-syntax", f"got {got}, expected {expected}", _HINT)


def _depth(text: str) -> int:
    """Return how deep brackets open, those inside texts included."""
    deepest = depth = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest


def _steps(expression: str, reading: _Plain) -> int:
    """Return how many steps the expression takes at most, looping and comparing over whatever it can reach.

    One operation looks at the facts as often as `+` and the commas of a literal join them to themselves.
    """
    loops = len(_LOOP.findall(expression))
    joined = 1 + expression.count("+") + max(0, expression.count(",") - loops)
    weight = reading.count + reading.text // _TEXT_STEP
    once = len(expression) + len(_WHOLE.findall(expression)) * joined * weight
    return int(once * max(reading.longest, len(expression)) ** loops)


class _Plain:
    """Turns facts into what CEL shall see, and notes how many they are, their text and the longest of them."""

    def __init__(self) -> None:
        self.longest, self.count, self.text = 1, 0, 0

    def value(self, value: object, depth: int = 1) -> object:
        self.count += 1
        if self.count > MAX_FACTS or depth > MAX_FACTS_DEPTH:
            raise _facts(f"more than {MAX_FACTS:,} values or {MAX_FACTS_DEPTH} levels", "a packet")
        if isinstance(value, str):
            self._read(value)
            return value
        if isinstance(value, bool):
            return value
        if isinstance(value, (int, float)):
            if not isfinite(value):
                raise _facts("a number that is not finite", "finite numbers")
            return float(value)
        if isinstance(value, Mapping):
            self.longest = max(self.longest, len(value))
            for name in value:
                self._read(str(name))
            return {
                str(name): self.value(item, depth + 1) for name, item in value.items() if item is not None
            }
        if isinstance(value, (list, tuple)):
            self.longest = max(self.longest, len(value))
            return [None if item is None else self.value(item, depth + 1) for item in value]
        raise _facts(f"a {type(value).__name__}", "JSON values")

    def _read(self, text: str) -> None:
        self.longest = max(self.longest, len(text))
        self.text += len(text)
        if self.text > MAX_TEXT:
            raise _facts(f"texts of more than {MAX_TEXT:,} characters", "a packet")


def _facts(got: str, expected: str) -> BadInput:
    return BadInput("expression-facts", f"got facts with {got}, expected {expected}", "seal the packet again")


def _cause(error: Exception) -> str:
    """Say in one line what the interpreter raised."""
    text = str(error)
    if isinstance(error, KeyError):
        return f"nothing under {text}"
    if "Undefined variable or function" in text:
        return "no variable or function called " + text.split(":", 1)[-1].split(".", 1)[0].strip()
    if isinstance(error, TypeError):
        return "values whose types do not fit the operation (a number beside a text or a null)"
    return _short(text)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"
