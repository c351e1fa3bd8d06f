"""What differs between two policies, part by part: what they say, not how their files look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from tidegate.domain.canonical import digest
from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import Gate, Need, Policy, PolicyTest

_ASKED = "asked"


@dataclass(frozen=True)
class Difference:
    """One part that differs: where it stands, and what each policy says there (empty: nothing)."""

    part: str
    before: str
    after: str


def differences(before: Policy, after: Policy) -> tuple[Difference, ...]:
    """Return every part in which two policies differ, in the order of a policy's file."""
    then, now = dict(_parts(before)), dict(_parts(after))
    found = [
        Difference(part, then.get(part, ""), now.get(part, ""))
        for part in {**then, **now}
        if then.get(part) != now.get(part)
    ]
    return tuple(sorted(found, key=lambda each: _SECTIONS.index(each.part.split(".")[0])))


_SECTIONS = (
    "policy",
    "version",
    "demands",
    "gates",
    "preconditions",
    "certification",
    "break_glass",
    "deny",
    "changes",
    "rollout",
    "review",
    "tests",
)


def _parts(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield each part of a policy under its dotted name, as text."""
    yield "policy", policy.name
    yield "version", policy.version
    for name, demand in policy.demands().items():
        for what, said in (("says", demand.sentence), ("passes", demand.passes), ("unclear", demand.unclear)):
            if said:
                yield f"demands.{name}.{what}", said
    for tier, gates in policy.gates.items():
        for to, gate in gates.items():
            yield from _gate(f"gates.{tier}.{to}", gate)
    yield from _numbers("preconditions", policy.preconditions)
    for tier, term in policy.certification.items():
        yield from _numbers(f"certification.{tier}", term)
    if (glass := policy.break_glass) is not None:
        yield from ((f"break_glass.demands.{demand.id}", _ASKED) for demand in glass.demands)
        yield from _needs("break_glass.approvals", glass.approvals)
        yield "break_glass.review_days", str(glass.review_days)
        yield "break_glass.role", glass.role
    yield from ((f"deny.{each.id}.says", each.sentence) for each in policy.deny)
    yield from ((f"deny.{each.id}.when", each.when) for each in policy.deny)
    yield from _needs("changes.approvals", policy.changes)
    for tier, rule in policy.rollout.items():
        yield from _numbers(f"rollout.{tier}", rule)
    yield "review.on", ", ".join(policy.review.on)
    yield "review.due_days", str(policy.review.due_days)
    yield "review.role", policy.review.role
    for test in policy.tests:
        yield f"tests.{test.name} ({test.tier}, {test.to})", _test(test)


def _gate(where: str, gate: Gate) -> Iterator[tuple[str, str]]:
    yield from ((f"{where}.demands.{demand.id}", _ASKED) for demand in gate.demands)
    yield from ((f"{where}.requires.{section}", _ASKED) for section in gate.requires)
    yield from _needs(f"{where}.approvals", gate.approvals)
    if gate.deadline is not None:
        yield from _numbers(f"{where}.deadline", gate.deadline)


def _needs(where: str, needs: Sequence[Need]) -> Iterator[tuple[str, str]]:
    yield from ((f"{where}.{need.role}", str(need.count)) for need in needs)


def _numbers(where: str, stated: object) -> Iterator[tuple[str, str]]:
    """Yield the fields of a section that are stated."""
    for field in fields(stated):  # type: ignore[arg-type]  # one of the policy's own dataclasses
        value = getattr(stated, field.name)
        if value not in (None, "", 0, False) or field.name == "may_lose":
            yield f"{where}.{field.name}", _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"{value[0]} in {value[1]} days"
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _test(test: PolicyTest) -> str:
    """Say what a test expects, and of which facts."""
    other = [f"{rule} {verdict}" for rule, verdict in test.expect.items() if verdict is not Verdict.PASSED]
    return f"{', '.join(other) or 'everything passes'}, of facts {digest(test.facts)[7:15]}"
