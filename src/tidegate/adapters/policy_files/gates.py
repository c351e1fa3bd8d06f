"""Gates: what opens the way into a stage, whose yes it takes, and by when."""

from __future__ import annotations

from tidegate.adapters.policy_files.demands import Demands
from tidegate.adapters.shared.yaml_reader import Node
from tidegate.domain.actors import Permission, roles_that
from tidegate.domain.policy import Deadline, Gate, Need, Stage, Tier

#: Roles that may approve: asking any other would wait for ever.
APPROVING = roles_that(Permission.APPROVE)
STAGES = (Stage.STAGING, Stage.CANARY, Stage.PROD)

_SECTION = 64


def read_gates(node: Node, demands: Demands) -> dict[Tier, dict[Stage, Gate]]:
    """Return the gates of each tier that is stated."""
    tiers: dict[Tier, dict[Stage, Gate]] = {}
    before = len(node.reader.faults)
    members = node.members((), tuple(Tier))
    if node.value == {}:
        node.fault("no tier", "gates for at least one tier")
    for tier in Tier:
        if tier in members:
            entries = members[tier].members(STAGES, ())
            tiers[tier] = {to: _gate(to, entries[to], demands) for to in STAGES if to in entries}
    if len(node.reader.faults) == before:  # else a gate may just misspell it
        demands.note_idle()
    return tiers


def read_needs(node: Node, instead: str = "") -> tuple[Need, ...]:
    """Return how many people of which roles must approve; ``instead`` says what to write where nobody must."""
    if node.value == {}:
        node.fault("an empty mapping", f"a role and a count{f', {instead}' if instead else ''}")
    return tuple(Need(role, count.integer(1, 20)) for role, count in node.members((), APPROVING).items())


def _gate(to: Stage, node: Node, demands: Demands) -> Gate:
    parts = node.members(("demands",), ("requires", "approvals", "deadline"))
    return Gate(
        to,
        demands.chosen(parts.get("demands")),
        read_needs(parts["approvals"], "or no approvals at all") if "approvals" in parts else (),
        _requires(parts["requires"]) if "requires" in parts else (),
        _deadline(parts["deadline"]) if "deadline" in parts else None,
        node.line,
    )


def _requires(node: Node) -> tuple[str, ...]:
    sections: list[str] = []
    for item in node.items("sections of the packet"):
        name = item.text("a section's name", _SECTION)
        if name in sections:
            item.fault(f"{name!r} again", "each section once")
        elif name and not name.isidentifier():
            item.fault(repr(name), "a section's name, letters, digits and underscores")
        elif name:
            sections.append(name)
    return tuple(sections)


def _deadline(node: Node) -> Deadline:
    before = len(node.reader.faults)
    parts = node.members(("due_days",), ("remind_after_days", "escalate_to", "lapse_after_days"))
    days = {
        name: parts[name].integer(1, 365) if name in parts else 0
        for name in ("due_days", "remind_after_days", "lapse_after_days")
    }
    due, remind, lapse = days.values()
    role = parts["escalate_to"].one_of(APPROVING, "a role that approves") if "escalate_to" in parts else None
    if len(node.reader.faults) == before:  # else the numbers are not what is meant
        if remind >= due:
            parts["remind_after_days"].fault(
                f"a reminder after {remind} days", f"one before the {due} it is due in"
            )
        if lapse and lapse < due:
            parts["lapse_after_days"].fault(
                f"an end after {lapse} days", f"one not before the {due} it is due in"
            )
    return Deadline(due, remind, role or "", lapse)
