"""What a policy denies whatever roles permit: conditions on who acts, how, and on what; each with its own tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.adapters.shared.yaml_reader import Node
from tidegate.application.denying import DENIABLE, EXAMPLE, holds
from tidegate.application.ports import Expressions
from tidegate.domain.errors import BadInput
from tidegate.domain.policy import Deny


def read_deny(node: Node | None, expressions: Expressions) -> tuple[Deny, ...]:
    """Return the denials of a policy. Each must be seen by its tests both to hold and not to hold."""
    if node is None:
        return ()
    if node.value == {}:
        node.fault("no denial", "at least one, or no deny at all")
    return tuple(
        _denial(name, entry, node.key_lines[name], expressions) for name, entry in node.members().items()
    )


def _denial(name: str, entry: Node, line: int, expressions: Expressions) -> Deny:
    parts = entry.members(("says", "when", "tests"), ())
    says = " ".join(parts["says"].text("what is denied").split()) if "says" in parts else ""
    when = parts["when"].text("an expression") if "when" in parts else ""
    deny = Deny(name, says, when, line)
    if not when:
        return deny
    try:
        expressions.holds(when, {})
    except BadInput as error:
        # On no facts at all, everything but a fault of the expression itself is to be expected.
        if error.code == "expression-syntax":
            entry.reader.fault(parts["when"].line, error.sentence)
            return deny
    seen = (
        {_tested(deny, each, expressions) for each in parts["tests"].items("tests")}
        if "tests" in parts
        else set()
    )
    if "tests" in parts and not seen >= {True, False}:
        parts["tests"].fault("tests of one outcome", "one that it denies, and one that it does not")
    return deny


def _tested(deny: Deny, node: Node, expressions: Expressions) -> bool | None:
    """Try one test; return what it expects, None where it says nothing that can be tried."""
    parts = node.members(("denies",), tuple(EXAMPLE))
    expected = parts["denies"].flag("whether it denies this") if "denies" in parts else None
    facts = dict(EXAMPLE)
    for name, part in parts.items():
        if name in EXAMPLE:
            facts[name] = _changed(name, part)
    if facts["act"] not in DENIABLE:
        node.fault(
            f"the act {facts['act']!r}", f"one of {', '.join(DENIABLE)}: what goes down is never denied"
        )
        return None
    try:
        found = holds(deny, expressions, facts)
    except BadInput as error:
        node.fault(f"a test that {deny.id!r} cannot be evaluated on ({error.sentence})", "facts that it fits")
        return None
    if expected is not None and found is not expected:
        node.fault(
            f"a test on which {deny.id!r} is {str(found).lower()}", f"{str(expected).lower()}, as it says"
        )
    return expected


def _changed(name: str, part: Node) -> Any:
    """Return the example's value as a test changes it: members of a mapping one by one."""
    usual, value = EXAMPLE[name], part.plain()
    if not isinstance(usual, Mapping):
        if not isinstance(value, str):
            part.fault(part.shown, "a text")
            return usual
        return value
    if not isinstance(value, dict) or set(value) - set(usual):
        part.fault(part.shown, f"a mapping with some of {', '.join(usual)}")
        return usual
    return {**usual, **value}
