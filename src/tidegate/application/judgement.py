"""Judging a packet by a gate's demands, and a policy by its own tests.

A demand's verdict is

    passed         `passes` holds
    inconclusive   it does not, and `unclear` holds
    failed         neither holds
    error          an expression could not be evaluated; the reason is the finding's sentence
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from tidegate.application.ports import Expressions
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import Demand, Finding, Gate, Policy, PolicyTest, Stage, Tier
from tidegate.domain.rollout import Standing

#: How many of the values that an expression names a finding quotes.
_QUOTED = 6
#: Where an expression reads what became of the canary.
_READS_CANARY = re.compile(r"\bpacket\.canary\b")
_PATH = re.compile(r"\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*(?!\w*\s*\())+")


class Uncovered(NamedTuple):
    """A rule that no test has seen both pass and not pass: of one gate, or (``to`` None) of break-glass."""

    tier: Tier
    to: Stage | None
    rule: str
    line: int
    lacks: str

    @property
    def where(self) -> str:
        """Say which rule of that name it is."""
        return f"into {self.to} in tier {self.tier}" if self.to else "of break-glass"


def findings(gate: Gate, facts: Mapping[str, object], expressions: Expressions) -> tuple[Finding, ...]:
    """Return one finding per demand of the gate, in its order, and then one per section it requires.

    ``facts`` are the names that expressions may use: ``{"packet": {…}}``.
    """
    packet = facts.get("packet")
    found = [finding(demand, facts, expressions) for demand in gate.demands]
    return (*found, *(_section(name, packet) for name in gate.requires))


def run_tests(policy: Policy, expressions: Expressions) -> tuple[tuple[int, str], ...]:
    """Run the policy's own tests; return the line and a sentence of each difference from what it expects."""
    return tuple(
        (test.line, f"test {test.name!r}: {sentence}")
        for test in policy.tests
        for sentence in _differences(policy, test, expressions)
    )


def coverage(policy: Policy) -> tuple[Uncovered, ...]:
    """Return the rules that the tests do not exercise: seen to pass, and seen not to.

    A rule of a gate is exercised by tests of that gate in that tier. A demand of break-glass, which has no tests
    of its own, is exercised by those of any gate; where it is not, that counts for the highest tier. Tests count by
    what they expect, so ask only once they agree with the policy.
    """
    seen: dict[tuple[Tier, Stage, str], set[bool]] = {}
    for test in policy.tests:
        for rule, verdict in test.expect.items():
            seen.setdefault((test.tier, test.to, rule), set()).add(verdict is Verdict.PASSED)
    lines = {demand.id: demand.line for demand in policy.demands().values()}
    gaps = [
        Uncovered(tier, to, rule, lines.get(rule, gate.line), lacks)
        for tier, gates in policy.gates.items()
        for to, gate in gates.items()
        for rule in gate.rules()
        if (lacks := _lacks(seen.get((tier, to, rule), set())))
    ]
    floor = policy.break_glass.demands if policy.break_glass else ()
    highest = max(policy.gates, key=list(Tier).index, default=Tier.LOW)
    for demand in floor:
        anywhere = {verdict for (_, _, rule), each in seen.items() if rule == demand.id for verdict in each}
        if lacks := _lacks(anywhere):
            gaps.append(Uncovered(highest, None, demand.id, demand.line, lacks))
    return tuple(gaps)


def _section(name: str, packet: object) -> Finding:
    """Find a section that a gate requires. What nobody supplied could not be measured."""
    told = name.replace("_", " ")
    if isinstance(packet, Mapping) and packet.get(name) not in (None, "", {}, [], ()):
        return Finding(f"section {name}", Verdict.PASSED, f"the packet tells its {told}")
    return Finding(f"section {name}", Verdict.ERROR, f"nobody supplied the packet's {told}")


def finding(demand: Demand, facts: Mapping[str, object], expressions: Expressions) -> Finding:
    """Return what one demand finds in the facts."""
    try:
        if expressions.holds(demand.passes, facts):
            verdict = Verdict.PASSED
        elif demand.unclear and expressions.holds(demand.unclear, facts):
            verdict = Verdict.INCONCLUSIVE
        else:
            verdict = Verdict.FAILED
    except BadInput as error:
        told = f"could not be evaluated: {error.sentence}; demanded: {demand.sentence}"
        return Finding(demand.id, Verdict.ERROR, told, step=_step(demand, facts))
    seen = _quoted(f"{demand.passes} {demand.unclear}" if demand.unclear else demand.passes, facts)
    told = f"got {seen}; demanded: {demand.sentence}" if seen else demand.sentence
    return Finding(demand.id, verdict, told, step=_step(demand, facts) if verdict is Verdict.FAILED else "")


def _step(demand: Demand, facts: Mapping[str, object]) -> str:
    """Say what is left to do where a demand asks after a canary that says nothing yet, or nothing any more.

    Nobody has analysed it, it waits, or it stood beside a version that was replaced since.
    """
    packet = facts.get("packet")
    if not isinstance(packet, Mapping) or not _READS_CANARY.search(f"{demand.passes} {demand.unclear}"):
        return ""
    canary, champion = packet.get("canary"), packet.get("champion")
    if not isinstance(canary, Mapping):
        return ""
    if canary.get("verdict") == "none":
        return "tidegate run canary, once it has scored a period in canary (tidegate run score)"
    if canary.get("standing") == Standing.WAITS:
        return "tidegate run canary, once what it waits for is there (tidegate canary says what)"
    held = canary.get("verdict") in {Verdict.PASSED, Verdict.INCONCLUSIVE}
    if held and isinstance(champion, Mapping) and canary.get("baseline") != champion.get("version"):
        return (
            "tidegate run canary, once both it and what is live now have scored a period (tidegate run score)"
        )
    return ""


def _quoted(expression: str, facts: Mapping[str, object]) -> str:
    """Quote the values behind the dotted names of an expression, so that a refusal shows both numbers."""
    quoted: dict[str, str] = {}
    for path in _PATH.findall(expression):
        value: object = facts
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None:
            quoted[path] = f"{path} = {_text(value)}"
    return ", ".join(list(quoted.values())[:_QUOTED])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "{" + f"{len(value)} entries" + "}"
    if isinstance(value, list | tuple):
        return f"[{len(value)} entries]"
    return str(value)


def _differences(policy: Policy, test: PolicyTest, expressions: Expressions) -> list[str]:
    gate = policy.gate(test.tier, test.to)
    if gate is None:
        return [f"got a test for a gate into {test.to} in tier {test.tier}, which the policy does not have"]
    found = {each.demand: each for each in findings(gate, test.facts, expressions)}
    sentences = [
        f"got a verdict expected for {demand!r}, which this gate does not demand"
        for demand in test.expect
        if demand not in found
    ]
    for demand, each in found.items():
        expected = test.expect.get(demand, Verdict.PASSED)
        if each.verdict is not expected:
            sentences.append(f"got {each.verdict} for {demand!r}, expected {expected} ({each.sentence})")
    return sentences


def _lacks(seen: set[bool]) -> str:
    """Say what no test has shown of a rule, or nothing."""
    missing = [word for word, shown in (("pass", True), ("refuse", False)) if shown not in seen]
    return f"no test sees {' or '.join(missing)}" if missing else ""
