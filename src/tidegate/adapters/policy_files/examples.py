"""The tests of a policy file: each changes its example, and says what the gate finds then."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tidegate.adapters.policy_files.gates import STAGES
from tidegate.adapters.shared.yaml_reader import Node
from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import Gate, PolicyTest, Stage, Tier


def read_tests(
    node: Node, example: Node | None, gates: Mapping[Tier, Mapping[Stage, Gate]]
) -> tuple[PolicyTest, ...]:
    """Return the tests, one for each tier that a test lists."""
    base = example.plain() if example else {}
    if example and not isinstance(base, dict):
        example.fault(example.shown, "a packet to start the tests from")
        base = {}
    tests: list[PolicyTest] = []
    names: dict[str, int] = {}
    for item in node.items("tests"):
        parts = item.members(("name", "tiers", "to"), ("set", "without", "expect"))
        name = parts["name"].text("the test's name", 200) if "name" in parts else ""
        if name and name in names:
            parts["name"].fault(f"the name {name!r} again", f"a new one (first on line {names[name]})")
        names.setdefault(name, item.line)
        facts = {"packet": _packet(base, parts)}
        entries = parts["tiers"].items("tiers") if "tiers" in parts else []
        tiers = [Tier(tier) for entry in entries if (tier := entry.one_of(tuple(Tier), "a tier"))]
        stage = parts["to"].one_of(STAGES, "a stage that a gate opens") if "to" in parts else None
        expected = _expected(parts.get("expect"))
        if stage is None:
            continue
        for tier in tiers:
            gate = gates.get(tier, {}).get(Stage(stage))
            rest = dict.fromkeys(gate.rules() if gate else (), Verdict.PASSED)
            tests.append(PolicyTest(name, tier, Stage(stage), facts, {**rest, **expected}, item.line))
    return tuple(tests)


def _expected(node: Node | None) -> dict[str, Verdict]:
    return {
        rule: Verdict(verdict)
        for rule, entry in (node.members() if node else {}).items()
        if (verdict := entry.one_of(tuple(Verdict), "a verdict"))
    }


def _packet(base: Mapping[str, Any], parts: Mapping[str, Node]) -> dict[str, object]:
    """Return the example as a test changes it."""
    packet = copy.deepcopy(dict(base))
    for path, value in (parts["set"].members() if "set" in parts else {}).items():
        *above, last = path.split(".")
        place: Any = packet
        for name in above:
            place = place.setdefault(name, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = value.plain()
        else:
            value.fault(f"the path {path!r}", "one that leads through mappings")
    for item in parts["without"].items("dotted paths") if "without" in parts else []:
        *above, last = item.text("a dotted path").split(".")
        place = packet
        for name in above:
            place = place.get(name) if isinstance(place, dict) else None
        if isinstance(place, dict) and last in place:
            del place[last]
        else:
            item.fault(item.shown, "a path that the example has")
    return packet
