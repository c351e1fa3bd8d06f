"""What a policy says beside its gates: the moment, terms, emergencies, its own changes, rollouts and reviews."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tidegate.adapters.policy_files.demands import Demands
from tidegate.adapters.policy_files.gates import APPROVING, read_needs
from tidegate.adapters.shared.yaml_reader import Node
from tidegate.domain.actors import Permission, roles_that
from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import BreakGlass, Certification, Need, Preconditions, ReviewRule, Tier
from tidegate.domain.rollout import CanaryRule

#: Roles that may review: asking any other would wait for ever.
REVIEWING = roles_that(Permission.REVIEW)

_ROLLOUT = ("labelled_share", "days", "may_lose")
_DAYS = ("fresh_days", "rehearsed_hours", "approved_days")
_BUDGET = ("at_most", "days")
_TERM = ("days", "review_days", "role")


def read_preconditions(node: Node | None) -> Preconditions:
    """Return what must hold at the moment a version enters prod."""
    if node is None:
        return Preconditions()
    parts = node.members((), (*_DAYS, "failed_changes", "fresh_views"))
    if node.value == {}:
        node.fault("an empty mapping", "a precondition, or no preconditions at all")
    numbers = {name: parts[name].integer(1, 3650) for name in _DAYS if name in parts}
    budget = parts["failed_changes"].members(_BUDGET, ()) if "failed_changes" in parts else {}
    whole = all(name in budget for name in _BUDGET)
    failed = (budget["at_most"].integer(0, 100), budget["days"].integer(1, 3650)) if whole else None
    views = "fresh_views" in parts and parts["fresh_views"].flag("whether views must be as fresh as they say")
    return Preconditions(**numbers, failed_changes=failed, fresh_views=views)


def read_certification(node: Node, gates: Collection[Tier]) -> dict[Tier, Certification]:
    """Return how long an approval into prod holds, for each tier that is stated."""
    rules: dict[Tier, Certification] = {}
    for tier, entry in _tiers(node, gates, "a term", "certification"):
        parts = entry.members(_TERM, ("on_drift",))
        if all(name in parts for name in _TERM):
            rules[tier] = Certification(
                parts["days"].integer(1, 3650),
                parts["review_days"].integer(1, 365),
                parts["role"].one_of(APPROVING, "a role that approves") or "",
                parts["on_drift"].flag("whether drift ends it") if "on_drift" in parts else False,
            )
    return rules


def read_break_glass(node: Node, demands: Demands) -> BreakGlass:
    """Return the smaller policy for emergencies. It has a floor: a demand and a person at least (P9)."""
    parts = node.members(("demands", "approvals", "review_days", "role"), ())
    return BreakGlass(
        demands.chosen(parts.get("demands"), "demand ids: break-glass has a floor (P9)"),
        read_needs(parts["approvals"]) if "approvals" in parts else (),
        parts["review_days"].integer(1, 365) if "review_days" in parts else 1,
        (parts["role"].one_of(REVIEWING, "a role that reviews") if "role" in parts else None) or "",
    )


def read_changes(node: Node | None) -> tuple[Need, ...]:
    """Return who lets another policy in."""
    parts = node.members(("approvals",), ()) if node else {}
    return read_needs(parts["approvals"]) if "approvals" in parts else (Need("approver", 1),)


def read_review(node: Node | None) -> ReviewRule:
    """Return which verdicts are reviewed, by whom, within how many days."""
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


def read_rollout(node: Node, gates: Collection[Tier]) -> dict[Tier, CanaryRule]:
    """Return what a canary must show, for each tier that is stated."""
    rules: dict[Tier, CanaryRule] = {}
    for tier, entry in _tiers(node, gates, "a rule", "rollout"):
        parts = entry.members(_ROLLOUT, ())
        if all(name in parts for name in _ROLLOUT):
            rules[tier] = CanaryRule(
                labelled_share=parts["labelled_share"].number(0.01, 1.0),
                days=parts["days"].integer(2, 366),  # an interval needs two
                may_lose=parts["may_lose"].number(0.0, 1.0),
            )
    return rules


def _tiers(node: Node, gates: Collection[Tier], what: str, section: str) -> Iterator[tuple[Tier, Node]]:
    """Yield the tiers of a section; one without gates has nothing to rule."""
    members = node.members((), tuple(Tier))
    if node.value == {}:
        node.fault("no tier", f"{what} for at least one tier, or no {section} at all")
    for tier in Tier:
        if tier in members:
            if tier not in gates:
                expected = "expected one for a tier that has gates"
                node.reader.fault(node.key_lines[tier], f"got {what} for tier {tier}, {expected}")
            yield tier, members[tier]
