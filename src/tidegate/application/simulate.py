"""Ask whether a version would pass now under a policy, without a trace."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.application.platform import Platform
from tidegate.application.predating import same
from tidegate.application.promote import preview
from tidegate.application.standing import policy_in_force
from tidegate.domain.lifecycle import Decision, Dossier
from tidegate.domain.policy import Policy


@dataclass(frozen=True)
class Simulated:
    """What asking for the next stage would yield now.

    ``too_late`` names the demands that would not judge what is measured already, once the policy is in force (P7).
    """

    policy: Policy
    decision: Decision
    dossier: Dossier
    too_late: tuple[str, ...]


def simulate(platform: Platform, model: str, version: int, policy: Policy) -> Simulated:
    """Return what would come of asking a version up if ``policy`` were in force. Evidence is gathered afresh.

    Raises:
        BadInput: no such model or version. DependencyFailed: the evidence cannot be gathered.
    """
    decision, dossier, _ = preview(platform, model, version, policy)
    known, stated = policy_in_force(platform, platform.ledger.state()).demands(), policy.demands()
    too_late = tuple(
        each.demand
        for each in dossier.findings
        if each.measured and not same(known.get(each.demand), stated[each.demand])
    )
    return Simulated(policy, decision, dossier, too_late)
