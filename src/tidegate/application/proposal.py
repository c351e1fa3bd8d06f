"""What the ledger says about a proposed policy: who is there to decide, and who would benefit (rule P6)."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.application.judgement import finding
from tidegate.application.ports import Expressions, Policies, StateReader
from tidegate.application.standing import lifecycle
from tidegate.domain.easing import eased_beyond_gates, easier, gates_ahead, reworded
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import Lifecycle
from tidegate.domain.policy import Demand, Policy, Stage, Tier
from tidegate.domain.policy_change import Change, Staff, eligible
from tidegate.domain.state import (
    ActorRow,
    CredentialRow,
    ModelRow,
    PacketRow,
    PromotionRow,
    ProposalDecisionRow,
    ProposalRow,
    VersionRow,
)

#: What lets a version on, from least to most.
_LETS_ON = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED)


def staff(state: StateReader) -> Staff:
    """Return who is there to approve, per role."""
    live = {row.actor for row in state.select(CredentialRow, revoked=False)}
    return eligible(state.select(ActorRow), live)


def change_of(
    state: StateReader,
    policies: Policies,
    expressions: Expressions,
    proposal: ProposalRow,
    in_force: Policy,
) -> Change:
    """Return a proposal with all that rule P6 asks about it."""
    try:
        proposed = policies.parse(proposal.body)
    except BadInput:  # written by another version of this code: nobody can say what it would let through
        proposed = None
    return Change(
        proposal,
        proposed,
        in_force,
        {row.id: row for row in state.select(ActorRow)},
        staff(state),
        gains(state, expressions, in_force, proposed) if proposed else {},
        state.select(ProposalDecisionRow, proposal=proposal.id),
    )


def gains(
    state: StateReader, expressions: Expressions, in_force: Policy, proposed: Policy
) -> Mapping[str, tuple[str, ...]]:
    """Return, per person, the versions they had a part in that could get further under a proposed policy.

    Every gate between a version and prod is compared, break-glass too: fewer people, a demand or a section
    less, another deadline, or a demand in other words that its last sealed packet meets better, or cannot be
    asked. What no gate shows (see `easing`) helps whoever has a version that is not retired.
    """
    found: dict[str, tuple[str, ...]] = {}
    everybody = eased_beyond_gates(in_force, proposed)
    for model in state.select(ModelRow):
        life = lifecycle(state, model.name)
        for version in life.versions.values():
            packet = state.get(PacketRow, version.packet) if version.packet else None
            facts = {"packet": dict(packet.body)} if packet else {}
            further = everybody and version.stage != Stage.RETIRED
            for then, now in gates_ahead(in_force, proposed, Tier(model.tier), Stage(version.stage)):
                further = further or easier(then, now)
                further = further or any(
                    _meets_better(expressions, facts, *pair) for pair in reworded(then, now)
                )
            for person in _parts(state, life, version) if further else ():
                found[person] = (*found.get(person, ()), f"{model.name} version {version.number}")
    return found


def _meets_better(expressions: Expressions, facts: Mapping[str, object], then: Demand, now: Demand) -> bool:
    """Say whether facts meet a demand better in its new words, or whether nobody can tell."""
    before, after = (finding(each, facts, expressions).verdict for each in (then, now))
    if after not in _LETS_ON:
        return True
    return before not in _LETS_ON or _LETS_ON.index(after) > _LETS_ON.index(before)


def _parts(state: StateReader, life: Lifecycle, version: VersionRow) -> set[str]:
    """Return the people who requested, trained or registered a version, or had it done."""
    asked = state.select(PromotionRow, model=version.model, version=version.number)
    accounts = {version.trainer, version.registrar, version.on_behalf_of}
    accounts |= {account for row in asked for account in (row.requester, row.on_behalf_of)}
    return {life.people[each].subject for each in accounts if each in life.people}
