"""Ask what the policy denies whatever roles permit (rule A4).

A denial is a condition on attributes: of who acts, of the act, and of what it is about. Only what takes a version up is
denied, and the decisions on that: a way down is never barred. One that cannot be evaluated denies.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tidegate.application.ports import Expressions
from tidegate.domain.errors import BadInput
from tidegate.domain.lifecycle import Act, Action, Lifecycle, Reason
from tidegate.domain.policy import Deny, Policy
from tidegate.domain.state import ActorRow

#: The acts that a policy may deny.
DENIABLE = (Action.PROMOTE, Action.BREAK_GLASS, Action.APPROVE, Action.REJECT)
#: Every attribute that a denial may ask about, with a value as an example; policy tests start from these.
EXAMPLE: Mapping[str, Any] = MappingProxyType(
    {
        "actor": {"id": "p-1", "kind": "person", "subject": "p-1", "roles": []},
        "act": "promote",
        "to": "staging",
        "for_whom": "",
        "model": {"name": "example", "tier": "standard", "owner": ""},
        "version": {"number": 1, "stage": "candidate"},
    }
)


def holds(deny: Deny, expressions: Expressions, facts: Mapping[str, Any]) -> bool:
    """Say whether a denial's condition holds on these facts.

    Raises:
        BadInput: it cannot be evaluated on them.
    """
    return expressions.holds(deny.when, facts)


def denied_by_policy(
    policy: Policy, expressions: Expressions, life: Lifecycle, act: Act, actor: ActorRow, to: str
) -> list[Reason]:
    """Return the policy's denials of an act, each as a reason by rule A4; ``to`` is the stage that is asked for."""
    if act.action not in DENIABLE:
        return []
    version = life.versions[act.version]
    facts = {
        "actor": {"id": actor.id, "kind": actor.kind, "subject": actor.subject, "roles": list(actor.roles)},
        "act": str(act.action),
        "to": to,
        "for_whom": act.for_whom,
        "model": {"name": life.model.name, "tier": life.model.tier, "owner": life.model.owner},
        "version": {"number": version.number, "stage": version.stage},
    }
    reasons = []
    for deny in policy.deny:
        try:
            because = "" if not holds(deny, expressions, facts) else deny.sentence
        except BadInput as error:
            because = f"{deny.sentence} (it could not be evaluated, and denies then: {error.sentence})"
        if because:
            told = f"{actor.id} is denied {act.action} by policy {policy.name} {policy.version}, {deny.id}: {because}"
            reasons.append(
                Reason("denied", "A4", told, "somebody whom it does not name, or another policy (P6)")
            )
    return reasons
