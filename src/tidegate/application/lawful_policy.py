"""Judge what the record says of changes of the policy (see `lawfulness`).

P6  a proposal replaces what is in force, is the text it says, and asks for no more people than there are; it is
    decided by whoever may, and adopted once, with the approvals that the policy in force asks for
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from tidegate.application.ports import Expressions, Policies
from tidegate.application.proposal import change_of, staff
from tidegate.domain.errors import BadInput
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView
from tidegate.domain.lifecycle import Reason
from tidegate.domain.policy import Policy
from tidegate.domain.policy_change import Change, may_decide, may_propose, short_of, unadoptable
from tidegate.domain.state import ActorRow, PolicyRow, ProposalRow

Breaches = Iterator[tuple[str, str]]


class Ground(NamedTuple):
    """What an event of these kinds is judged on: the state before it, the policy in force, and who reads policies."""

    view: StateView
    in_force: Policy
    policies: Policies
    expressions: Expressions


def breaches(ground: Ground, event: Event) -> Breaches:
    """Yield (rule, sentence) of each breach by an event of these kinds; of others, nothing."""
    judge = JUDGES.get(event.type)
    return judge(ground, event) if judge else iter(())


def _proposed(ground: Ground, event: Event) -> Breaches:
    said, actor = event.payload, ground.view.get(ActorRow, event.actor)
    if ground.view.get(ProposalRow, said["id"]):
        yield "P6", f"{said['id']} is proposed again under the same name"
    if said["base"] != ground.in_force.digest:
        yield "P6", f"{said['id']} would replace another policy than the one in force"
    try:
        policy = ground.policies.parse(said["body"])
    except BadInput:
        yield "P6", f"{said['id']} proposes a text that is no policy"
        return
    if (policy.digest, policy.name, policy.version) != (said["digest"], said["name"], said["version"]):
        yield "P6", f"{said['id']} proposes another text than it says"
    if actor is not None:
        past = ground.view.select(PolicyRow)
        yield from _told(event, may_propose(policy, ground.in_force, past, actor, staff(ground.view)))


def _decided(ground: Ground, event: Event) -> Breaches:
    said, actor = event.payload, ground.view.get(ActorRow, event.actor)
    proposal = ground.view.get(ProposalRow, said["proposal"])
    approves = event.type is EventType.POLICY_APPROVED
    if said["outcome"] != ("approve" if approves else "reject"):
        yield "P6", f"{event.type} of {said['proposal']} says `{said['outcome']}`"
    if proposal is None or actor is None:
        yield "P6", f"{event.type} of {said['proposal']}, which nobody proposed"
        return
    change = _change(ground, proposal)
    yield from _told(event, may_decide(change, actor, said["role"], approves=approves))


def _adopted(ground: Ground, event: Event) -> Breaches:
    said = event.payload
    proposals = ground.view.select(ProposalRow, digest=said["digest"], status="open")
    if not proposals:
        yield "P6", f"policy {said['name']} {said['version']} is adopted, and no open proposal is of it"
        return
    row = proposals[0]
    if (said["name"], said["version"], said["body"]) != (row.name, row.version, row.body):
        yield "P6", f"policy {said['name']} {said['version']} is adopted with another text than {row.id} has"
    change = _change(ground, row)
    yield from _told(event, [*unadoptable(change), *short_of(change)])


def _change(ground: Ground, proposal: ProposalRow) -> Change:
    return change_of(ground.view, ground.policies, ground.expressions, proposal, ground.in_force)


def _told(event: Event, reasons: list[Reason]) -> Breaches:
    for reason in reasons:
        if reason.rule != "A1":  # whether this actor may at all was said already
            yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"


JUDGES: Mapping[EventType, Callable[[Ground, Event], Breaches]] = {
    EventType.POLICY_PROPOSED: _proposed,
    EventType.POLICY_APPROVED: _decided,
    EventType.POLICY_REJECTED: _decided,
    EventType.POLICY_ADOPTED: _adopted,
}
