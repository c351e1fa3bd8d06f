"""Policy files: ``policy.yaml``, its demands, gates, review rule, and the tests that come with it.

The format, in the order of the file:

    policy: NAME
    version: TEXT
    demands:                     each stated once, under its id; gates name them
      ID: {says: TEXT, passes: CEL, unclear: CEL}          `unclear` may be absent
    gates:
      TIER:                      a tier that is stated has a gate into each of staging, canary, prod
        STAGE:
          demands: [ID…]
          requires: [SECTION…]       of the packet; what is not there is a named gap. May be absent
          approvals: {ROLE: COUNT}   may be absent
          deadline: {due_days: N, remind_after_days: N, escalate_to: ROLE, lapse_after_days: N}
                                     by when people decide; may be absent, as may all but `due_days`
    preconditions: {fresh_days: N, rehearsed_hours: N, approved_days: N, failed_changes: {at_most: N, days: N}}
                                 what must hold when a version enters prod; may be absent, as may each
    certification:               how long an approval into prod holds; may be absent, as may a tier
      TIER: {days: N, review_days: N, role: ROLE, on_drift: true|false}
    break_glass: {demands: [ID…], approvals: {ROLE: COUNT}, review_days: N, role: ROLE}
                                 the floor for emergencies; without it there is no break-glass
    changes: {approvals: {ROLE: COUNT}}    who lets another policy in; one approver where it is absent
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
from tidegate.domain.actors import Permission, roles_that
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import (
    BreakGlass,
    Certification,
    Deadline,
    Demand,
    Gate,
    Need,
    Policy,
    PolicyTest,
    Preconditions,
    ReviewRule,
    Stage,
    Tier,
)
from tidegate.domain.rollout import CanaryRule

FILE = "policy.yaml"
CODE = "policy"
#: Roles that may approve, and that may review: asking any other would wait for ever.
APPROVING = roles_that(Permission.APPROVE)
REVIEWING = roles_that(Permission.REVIEW)
STAGES = (Stage.STAGING, Stage.CANARY, Stage.PROD)

_TOP = ("policy", "version", "demands", "gates", "review", "example", "tests")
_MAY = ("rollout", "preconditions", "certification", "break_glass", "changes")
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
        top = self._reader.root.members(_TOP, _MAY)
        demands = self._demands(top["demands"]) if "demands" in top else {}
        asked: set[str] = set()
        glass = self._break_glass(top["break_glass"], demands, asked) if "break_glass" in top else None
        gates = self._gates(top["gates"], demands, asked) if "gates" in top else {}
        terms = top.get("certification")
        return Policy(
            name=top["policy"].text("the policy's name", _NAME) if "policy" in top else "",
            version=top["version"].word("the policy's version") if "version" in top else "",
            digest=sha256(body.encode()),
            body=body,
            gates=gates,
            review=self._review(top.get("review")),
            tests=self._tests(top["tests"], top.get("example"), gates) if "tests" in top else (),
            rollout=self._rollout(top["rollout"], gates) if "rollout" in top else {},
            preconditions=self._preconditions(top.get("preconditions")),
            certification=self._certification(terms, gates) if terms else {},
            break_glass=glass,
            changes=self._changes(top.get("changes")),
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

    def _gates(
        self, node: Node, demands: Mapping[str, Demand], asked: set[str]
    ) -> dict[Tier, dict[Stage, Gate]]:
        tiers: dict[Tier, dict[Stage, Gate]] = {}
        members = node.members((), tuple(Tier))
        if node.value == {}:
            node.fault("no tier", "gates for at least one tier")
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
        parts = node.members(("demands",), ("requires", "approvals", "deadline"))
        return Gate(
            to,
            self._chosen(parts.get("demands"), demands, asked),
            self._needs(parts["approvals"], "or no approvals at all") if "approvals" in parts else (),
            self._requires(parts.get("requires")),
            self._deadline(parts["deadline"]) if "deadline" in parts else None,
        )

    def _chosen(
        self, node: Node | None, demands: Mapping[str, Demand], asked: set[str]
    ) -> tuple[Demand, ...]:
        chosen: list[Demand] = []
        for item in node.items("demand ids") if node else []:
            name = item.text("a demand's id")
            if name and name not in demands:
                item.fault(f"the demand {name!r}", f"one of {', '.join(demands)}")
            elif name and demands[name] in chosen:
                item.fault(f"{name!r} again", "each demand once in a gate")
            elif name:
                chosen.append(demands[name])
                asked.add(name)
        return tuple(chosen)

    def _needs(self, node: Node, instead: str = "") -> tuple[Need, ...]:
        if node.value == {}:
            node.fault("an empty mapping", f"a role and a count{f', {instead}' if instead else ''}")
        return tuple(Need(role, count.integer(1, 20)) for role, count in node.members((), APPROVING).items())

    def _requires(self, node: Node | None) -> tuple[str, ...]:
        sections: list[str] = []
        for item in node.items("sections of the packet") if node else []:
            name = item.text("a section's name", _NAME)
            if name in sections:
                item.fault(f"{name!r} again", "each section once")
            sections.append(name)
        return tuple(sections)

    def _deadline(self, node: Node) -> Deadline:
        parts = node.members(("due_days",), ("remind_after_days", "escalate_to", "lapse_after_days"))
        due = parts["due_days"].integer(1, 365) if "due_days" in parts else 1
        remind = parts["remind_after_days"].integer(1, 365) if "remind_after_days" in parts else 0
        lapse = parts["lapse_after_days"].integer(1, 365) if "lapse_after_days" in parts else 0
        role = (
            parts["escalate_to"].one_of(APPROVING, "a role that approves") if "escalate_to" in parts else None
        )
        if remind >= due:
            parts["remind_after_days"].fault(
                f"a reminder after {remind} days", f"one before the {due} it is due in"
            )
        if lapse and lapse < due:
            parts["lapse_after_days"].fault(
                f"an end after {lapse} days", f"one not before the {due} it is due in"
            )
        return Deadline(due, remind, role or "", lapse)

    def _preconditions(self, node: Node | None) -> Preconditions:
        parts = (
            node.members((), ("fresh_days", "rehearsed_hours", "approved_days", "failed_changes"))
            if node
            else {}
        )
        if node is not None and node.value == {}:
            node.fault("an empty mapping", "a precondition, or no preconditions at all")
        numbers = {
            name: parts[name].integer(1, 3650)
            for name in ("fresh_days", "rehearsed_hours", "approved_days")
            if name in parts
        }
        budget = parts["failed_changes"].members(("at_most", "days"), ()) if "failed_changes" in parts else {}
        both = len(budget) == 2  # noqa: PLR2004  # a count and its days
        failed = (budget["at_most"].integer(0, 100), budget["days"].integer(1, 3650)) if both else None
        return Preconditions(**numbers, failed_changes=failed)

    def _certification(self, node: Node, gates: Mapping[Tier, object]) -> dict[Tier, Certification]:
        rules: dict[Tier, Certification] = {}
        for tier, entry in node.members((), tuple(gates)).items():
            parts = entry.members(("days", "review_days", "role"), ("on_drift",))
            if all(name in parts for name in ("days", "review_days", "role")):
                rules[Tier(tier)] = Certification(
                    parts["days"].integer(1, 3650),
                    parts["review_days"].integer(1, 365),
                    parts["role"].one_of(APPROVING, "a role that approves") or "",
                    parts["on_drift"].flag("whether drift ends it") if "on_drift" in parts else False,
                )
        return rules

    def _break_glass(self, node: Node, demands: Mapping[str, Demand], asked: set[str]) -> BreakGlass:
        parts = node.members(("demands", "approvals", "review_days", "role"), ())
        chosen = self._chosen(parts.get("demands"), demands, asked)
        if "demands" in parts and not chosen:
            parts["demands"].fault("no demand", "a floor: break-glass is a smaller policy, never none (P9)")
        return BreakGlass(
            chosen,
            self._needs(parts["approvals"]) if "approvals" in parts else (),
            parts["review_days"].integer(1, 365) if "review_days" in parts else 1,
            (parts["role"].one_of(REVIEWING, "a role that reviews") if "role" in parts else None) or "",
        )

    def _changes(self, node: Node | None) -> tuple[Need, ...]:
        parts = node.members(("approvals",), ()) if node else {}
        return self._needs(parts["approvals"]) if "approvals" in parts else (Need("approver", 1),)

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
