"""Policy files: ``policy.yaml``, its demands, gates, review rule, and the tests that come with it.

The format, in the order of the file:

    policy: NAME
    version: TEXT
    demands:                     each stated once, under its id; gates name them
      ID: {says: TEXT, passes: CEL, unclear: CEL}          `unclear` may be absent
    gates:
      TIER:                      a tier that is stated has a gate into each of staging, canary, prod
        STAGE: {demands: [ID…], approvals: {ROLE: COUNT}}  `approvals` may be absent
    rollout:                     what a canary must show; a tier without it has no canary that can hold
      TIER: {labelled_share: SHARE, days: N, may_lose: SHARE}
    review: {on: [VERDICT…], due_days: N, role: ROLE}
    example: {…}                 the packet that the tests start from
    tests:
      - name: TEXT
        tiers: [TIER…]
        to: STAGE
        set: {dotted.path: VALUE}      changes to the example
        without: [dotted.path…]        what is missing from it
        expect: {ID: VERDICT}          every demand of the gate that is not named must pass

A test that lists several tiers is one test in each. Tests run whenever a policy is loaded: a policy that
does not judge as its own tests say, or has none, does not load; neither does one whose tier `high` holds a
demand that no test has seen both pass and refuse.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.adapters.shared.yaml_reader import Node, Reader, read_text
from tidegate.application.judgement import coverage, run_tests
from tidegate.application.ports import Expressions
from tidegate.domain.actors import ROLES, Permission
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import Demand, Gate, Need, Policy, PolicyTest, ReviewRule, Stage, Tier
from tidegate.domain.rollout import CanaryRule

FILE = "policy.yaml"
CODE = "policy"
#: Roles that may approve, and that may review: asking any other would wait for ever.
APPROVING = tuple(role for role, permitted in ROLES.items() if Permission.APPROVE in permitted)
REVIEWING = tuple(role for role, permitted in ROLES.items() if Permission.REVIEW in permitted)
STAGES = (Stage.STAGING, Stage.CANARY, Stage.PROD)

_TOP = ("policy", "version", "demands", "gates", "review", "example", "tests")
_ROLLOUT = ("labelled_share", "days", "may_lose")
_NAME = 64


class PolicyFiles:
    """The policy in ``folder``; ``expressions`` compiles it and runs its tests."""

    def __init__(self, folder: Path, expressions: Expressions) -> None:
        self._folder, self._expressions = folder, expressions

    def load(self) -> Policy:
        """Read the policy on disk.

        Raises:
            BadInput: code ``policy``; all faults at once in ``faults``, each {line, sentence}.
        """
        return self.parse(read_text(self._folder / FILE, CODE, "a policy"))

    def parse(self, body: str) -> Policy:
        """Read a policy from its text, in the same way and by the same rules.

        The same text is the same policy: what has loaded once in this process is not tested again.

        Raises:
            BadInput: as `load`.
        """
        known = (type(self._expressions), body)
        if known not in _LOADED:
            _LOADED[known] = self._parsed(body)
        return _LOADED[known]

    def _parsed(self, body: str) -> Policy:
        reader = Reader(body, FILE, CODE)
        policy = _Parsing(reader, self._expressions).policy(body)
        if not reader.faults:  # tests of a broken policy would only repeat its faults
            for line, sentence in run_tests(policy, self._expressions):
                reader.fault(line, sentence)
        if not reader.faults:
            for gap in coverage(policy):
                if gap.tier is Tier.HIGH:
                    where = f"for {gap.demand!r} into {gap.to} in tier high"
                    reader.fault(gap.line, f"got a demand that {gap.lacks} {where}, expected a test each way")
        reader.close()
        return policy


#: Policies that have loaded, by what evaluated them and their whole text. A ledger has few.
_LOADED: dict[tuple[type[Expressions], str], Policy] = {}


class _Parsing:
    """One pass over one file. Everything it finds wrong is noted on the reader."""

    def __init__(self, reader: Reader, expressions: Expressions) -> None:
        self._reader, self._expressions = reader, expressions

    def policy(self, body: str) -> Policy:
        top = self._reader.root.members(_TOP, ("rollout",))
        demands = self._demands(top["demands"]) if "demands" in top else {}
        gates = self._gates(top["gates"], demands) if "gates" in top else {}
        return Policy(
            name=top["policy"].text("the policy's name", _NAME) if "policy" in top else "",
            version=top["version"].word("the policy's version") if "version" in top else "",
            digest=sha256(body.encode()),
            body=body,
            gates=gates,
            review=self._review(top.get("review")),
            tests=self._tests(top["tests"], top.get("example"), gates) if "tests" in top else (),
            rollout=self._rollout(top["rollout"], gates) if "rollout" in top else {},
        )

    def _demands(self, node: Node) -> dict[str, Demand]:
        demands = {}
        members = node.members()
        if node.value == {}:
            node.fault("no demand", "at least one")
        for name, entry in members.items():
            parts = entry.members(("says", "passes"), ("unclear",))
            demands[name] = Demand(
                id=name,
                sentence=" ".join(parts["says"].text("what is demanded").split()) if "says" in parts else "",
                passes=self._expression(parts.get("passes")),
                unclear=self._expression(parts.get("unclear")),
                line=node.key_lines[name],
            )
        return demands

    def _expression(self, node: Node | None) -> str:
        if node is None or not (text := node.text("an expression")):
            return ""
        try:
            answer = self._expressions.holds(text, {})
        except BadInput as error:
            # On no facts at all, everything but a fault of the expression itself is to be expected.
            if error.code == "expression-syntax":
                self._reader.fault(node.line, error.sentence)
        else:
            node.fault(f"an expression that is always {str(answer).lower()}", "one that reads the packet")
        return text

    def _gates(self, node: Node, demands: Mapping[str, Demand]) -> dict[Tier, dict[Stage, Gate]]:
        tiers: dict[Tier, dict[Stage, Gate]] = {}
        members = node.members((), tuple(Tier))
        if node.value == {}:
            node.fault("no tier", "gates for at least one tier")
        asked: set[str] = set()
        before = len(self._reader.faults)
        for tier in Tier:
            if tier in members:
                entries = members[tier].members(STAGES, ())
                tiers[tier] = {
                    to: self._gate(to, entries[to], demands, asked) for to in STAGES if to in entries
                }
        for name, demand in demands.items():
            if name not in asked and len(self._reader.faults) == before:  # else a gate may just misspell it
                self._reader.fault(demand.line, f"got {name!r} in no gate, expected a gate that demands it")
        return tiers

    def _gate(self, to: Stage, node: Node, demands: Mapping[str, Demand], asked: set[str]) -> Gate:
        parts = node.members(("demands",), ("approvals",))
        chosen: list[Demand] = []
        for item in parts["demands"].items("demand ids") if "demands" in parts else []:
            name = item.text("a demand's id")
            if name and name not in demands:
                item.fault(f"the demand {name!r}", f"one of {', '.join(demands)}")
            elif name and demands[name] in chosen:
                item.fault(f"{name!r} again", "each demand once in a gate")
            elif name:
                chosen.append(demands[name])
                asked.add(name)
        needs: list[Need] = []
        if "approvals" in parts:
            if parts["approvals"].value == {}:
                parts["approvals"].fault("an empty mapping", "a role and a count, or no approvals at all")
            for role, count in parts["approvals"].members((), APPROVING).items():
                needs.append(Need(role, count.integer(1, 20)))
        return Gate(to, tuple(chosen), tuple(needs))

    def _review(self, node: Node | None) -> ReviewRule:
        parts = node.members(("on", "due_days", "role"), ()) if node else {}
        on: list[Verdict] = []
        for item in parts["on"].items("verdicts") if "on" in parts else []:
            if verdict := item.one_of(tuple(Verdict), "a verdict"):
                if verdict in on:
                    item.fault(f"{verdict} again", "each verdict once")
                on.append(Verdict(verdict))
        role = parts["role"].one_of(REVIEWING, "a role that reviews") if "role" in parts else None
        days = parts["due_days"].integer(1, 365) if "due_days" in parts else 1
        return ReviewRule(tuple(on), days, role or "")

    def _rollout(self, node: Node, gates: Mapping[Tier, object]) -> dict[Tier, CanaryRule]:
        rules: dict[Tier, CanaryRule] = {}
        members = node.members((), tuple(Tier))
        if node.value == {}:
            node.fault("no tier", "a rule for at least one tier, or no rollout at all")
        for tier in Tier:
            if tier not in members:
                continue
            if tier not in gates:
                line = node.key_lines[tier]
                self._reader.fault(
                    line, f"got a rule for tier {tier}, expected one for a tier that has gates"
                )
            parts = members[tier].members(_ROLLOUT, ())
            if all(name in parts for name in _ROLLOUT):
                rules[tier] = CanaryRule(
                    labelled_share=parts["labelled_share"].number(0.01, 1.0),
                    days=parts["days"].integer(2, 366),  # an interval needs two
                    may_lose=parts["may_lose"].number(0.0, 1.0),
                )
        return rules

    def _tests(
        self, node: Node, example: Node | None, gates: Mapping[Tier, Mapping[Stage, Gate]]
    ) -> tuple[PolicyTest, ...]:
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
            facts = self._facts(base, parts)
            tiers = [Tier(tier) for entry in (parts["tiers"].items("tiers") if "tiers" in parts else [])
                     if (tier := entry.one_of(tuple(Tier), "a tier"))]  # fmt: skip
            stage = parts["to"].one_of(STAGES, "a stage that a gate opens") if "to" in parts else None
            expected = self._expected(parts.get("expect"))
            if stage is None:
                continue
            for tier in tiers:
                gate = gates.get(tier, {}).get(Stage(stage))
                rest = {demand.id: Verdict.PASSED for demand in gate.demands} if gate else {}
                tests.append(PolicyTest(name, tier, Stage(stage), facts, {**rest, **expected}, item.line))
        return tuple(tests)

    def _expected(self, node: Node | None) -> dict[str, Verdict]:
        return {
            demand: Verdict(verdict)
            for demand, entry in (node.members() if node else {}).items()
            if (verdict := entry.one_of(tuple(Verdict), "a verdict"))
        }

    def _facts(self, base: Mapping[str, Any], parts: Mapping[str, Node]) -> dict[str, object]:
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
        return {"packet": packet}
