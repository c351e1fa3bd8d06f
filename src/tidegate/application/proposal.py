"""What the ledger says about a proposed policy: who is there to decide, and who would benefit (rule P6)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tidegate.application.as_if import ORDER, as_if, outcome
from tidegate.application.ports import Expressions, Policies, StateReader
from tidegate.application.standing import lifecycle
from tidegate.application.weighing import next_stage
from tidegate.domain.errors import BadInput
from tidegate.domain.lifecycle import Act, Action, Lifecycle
from tidegate.domain.policy import Policy, Stage
from tidegate.domain.policy_change import Change, Staff, eligible
from tidegate.domain.policy_diff import differences
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

#: How a version rises.
_UP = (Action.PROMOTE, Action.BREAK_GLASS)
#: Parts of a policy whose effect on a version its packet does not show.
_NOT_IN_A_PACKET = frozenset({"preconditions", "rollout", "certification", "deny"})


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
    now: datetime,
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
        gains(state, expressions, in_force, proposed, now) if proposed else {},
        state.select(ProposalDecisionRow, proposal=proposal.id),
    )


def gains(
    state: StateReader, expressions: Expressions, in_force: Policy, proposed: Policy, now: datetime
) -> Mapping[str, tuple[str, ...]]:
    """Return, per person, the versions they had a part in that would get further under a proposed policy.

    Each version's last sealed packet is read under both policies, for the stage above the one it stands in, the
    regular way and by break-glass, without anybody's approval. What changes by the hour, what a canary must show, how
    long an approval holds and who is denied what cannot be read from a packet: whoever has a version under way may gain
    by any change of these, and is taken to.
    """
    found: dict[str, tuple[str, ...]] = {}
    moved = {each.part.split(".")[0] for each in differences(in_force, proposed)} & _NOT_IN_A_PACKET
    for model in state.select(ModelRow):
        life = lifecycle(state, model.name)
        for version in life.versions.values():
            packet = state.get(PacketRow, version.packet) if version.packet else None
            ways = [each for each in _UP if packet and next_stage(life, version.number, each)]
            further = bool(moved) and version.stage != Stage.RETIRED
            for act in (Act(way, version.number) for way in ways):
                assert packet is not None  # or there were no ways
                then, soon = (
                    ORDER.index(outcome(as_if(expressions, policy, life, act, packet, now)))
                    for policy in (in_force, proposed)
                )
                further = further or soon > then
            for person in _parts(state, life, version) if further else ():
                found[person] = (*found.get(person, ()), f"{model.name} version {version.number}")
    return found


def _parts(state: StateReader, life: Lifecycle, version: VersionRow) -> set[str]:
    """Return the people who requested, trained or registered a version, or had it done."""
    asked = state.select(PromotionRow, model=version.model, version=version.number)
    accounts = {version.trainer, version.registrar, version.on_behalf_of}
    accounts |= {account for row in asked for account in (row.requester, row.on_behalf_of)}
    return {life.people[each].subject for each in accounts if each in life.people}
