"""Changing the policy: who may let another one in, and how much it may ask of people (rule P6).

Pure, like `promotion`. A policy changes as a version rises: somebody proposes it, people who do not benefit decide,
and the policy in force says how many. What they decide on is one text and the policy it would replace.

    P6  who approves a proposed policy is a person in a role that may, who did not propose it under any account, had
        no part in a version that may get further under it, and counts once; another policy in force meanwhile
        makes the proposal stale; nobody may require more approvals than eligible people hold the role

Eligible are people with a token that works, each once whatever accounts they hold. Roles are counted together as
well as one by one: where a gate asks for one of each of two roles, one person who holds both does not suffice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from tidegate.domain.actors import Permission, permits, roles_that
from tidegate.domain.counting import many
from tidegate.domain.lifecycle import Reason
from tidegate.domain.policy import Need, Policy
from tidegate.domain.state import ActorRow, PolicyRow, ProposalDecisionRow, ProposalRow

#: Who holds each role that approves: people, by who they are and not by account.
Staff = Mapping[str, frozenset[str]]

#: In which roles people decide on a proposed policy.
DECIDING = roles_that(Permission.APPROVE_POLICY)


@dataclass(frozen=True)
class Change:
    """A proposed policy, what it would replace, and who is there to decide on it.

    ``proposed`` is None where its text cannot be read any more. ``gains`` names, per person, the versions they had a
    part in that may get further under it. ``decisions`` are those recorded on it.
    """

    proposal: ProposalRow
    proposed: Policy | None
    in_force: Policy
    people: Mapping[str, ActorRow]
    staff: Staff
    gains: Mapping[str, tuple[str, ...]]
    decisions: tuple[ProposalDecisionRow, ...]


def eligible(people: Iterable[ActorRow], live: Collection[str]) -> Staff:
    """Return who holds each role that approves; ``live`` are the accounts whose token works."""
    holders: dict[str, set[str]] = {role: set() for role in roles_that(Permission.APPROVE)}
    for each in people:
        for role in each.roles if each.kind == "person" and each.id in live else ():
            holders.get(role, set()).add(each.subject)
    return {role: frozenset(subjects) for role, subjects in holders.items()}


def understaffed(policy: Policy, staff: Staff) -> list[Reason]:
    """Return where a policy requires more approvals than eligible people could give."""
    return [reason for place, needs in _asked(policy) for reason in _lacking(place, needs, staff)]


def may_propose(
    proposed: Policy, in_force: Policy, past: Iterable[PolicyRow], actor: ActorRow, staff: Staff
) -> list[Reason]:
    """Return why this actor may not propose this policy. ``past`` are those that are or were in force."""
    reasons = _not_permitted(actor, Permission.PROPOSE_POLICY)
    told = f"policy {proposed.name} {proposed.version}"
    if proposed.digest == in_force.digest:
        sentence = f"{told} is in force, word for word"
        reasons.append(Reason("same-policy", "P6", sentence, "change the file, then propose it"))
    elif any(_called(row) == _called(proposed) and row.digest != proposed.digest for row in past):
        sentence = f"{told} was in force with another text; a changed text is another version"
        reasons.append(Reason("version-taken", "P6", sentence, "give it a version of its own"))
    return [*reasons, *understaffed(proposed, staff)]


def may_decide(change: Change, actor: ActorRow, role: str, *, approves: bool) -> list[Reason]:
    """Return why this actor's decision on the proposal may not be recorded; nothing means that it may.

    Rejecting changes nothing, so whoever benefits or proposed it may, and it need not be fresh.
    """
    proposal = change.proposal
    reasons = _not_permitted(actor, Permission.APPROVE_POLICY)
    if not reasons and (role not in actor.roles or role not in DECIDING):
        sentence = f"{actor.id} does not hold `{role}` as a role that decides on policies"
        reasons.append(
            Reason("role-not-held", "P6", sentence, f"roles that decide on policies: {', '.join(DECIDING)}")
        )
    if proposal.status != "open":
        sentence = f"{proposal.id} is {proposal.status}; nothing waits for a decision"
        reasons.append(Reason("nothing-open", "P6", sentence, "see `tidegate policy list`"))
    unfit = _unfit(change, actor, change.decisions)
    if not approves:
        return [*reasons, *(reason for reason in unfit if reason.code not in _ONLY_TO_APPROVE)]
    return [*reasons, *unfit, *unadoptable(change)]


def unadoptable(change: Change) -> list[Reason]:
    """Return why a proposal cannot come into force, whoever approves it."""
    proposal, reasons = change.proposal, []
    if proposal.base != change.in_force.digest:
        sentence = (
            f"{proposal.id} would replace another policy than {_name(change.in_force)}, which is in force"
        )
        reasons.append(Reason("stale-proposal", "P6", sentence, "propose it again"))
    if change.proposed is None or change.proposed.digest != proposal.digest:
        sentence = f"the text of {proposal.id} cannot be read as the policy that was proposed"
        reasons.append(Reason("unreadable-policy", "P6", sentence, "run `tidegate policy check` on its file"))
        return reasons
    return [*reasons, *understaffed(change.proposed, change.staff)]


def short_of(change: Change) -> list[Reason]:
    """Return what a proposal still waits for: nothing means that it is adopted now.

    Whether a recorded approval was lawful is asked again: counting trusts nothing.
    """
    valid: list[ProposalDecisionRow] = []
    void: list[Reason] = []
    for row in sorted(change.decisions, key=lambda row: row.sequence):
        if row.outcome != "approve":
            continue
        actor = change.people.get(row.actor)
        reasons = _void(change, actor, row, valid)
        void += reasons
        if not reasons:
            valid.append(row)
    missing = [
        Reason(
            "approval-missing",
            "P6",
            f"{change.proposal.id} waits for {many(short, 'more approval')} by role `{need.role}`",
            f"tidegate policy approve {change.proposal.id} --as … --reason …",
        )
        for need in change.in_force.changes
        if (
            short := need.count
            - len({change.people[row.actor].subject for row in valid if row.role == need.role})
        )
        > 0
    ]
    return [*void, *missing] if missing else []


#: What keeps somebody from approving, and not from rejecting.
_ONLY_TO_APPROVE = {"own-proposal", "benefits"}


def _unfit(change: Change, actor: ActorRow, decided: Sequence[ProposalDecisionRow]) -> list[Reason]:
    """Return why this actor's decision cannot count, given what was decided before."""
    proposal, reasons = change.proposal, []
    if actor.kind != "person":
        sentence = f"{actor.id} is a service; only people decide on policies"
        reasons.append(Reason("not-a-person", "P6", sentence, "ask a person"))
    proposer = change.people.get(proposal.proposer)
    if actor.subject == (proposer.subject if proposer else proposal.proposer):
        sentence = f"{actor.id} cannot approve {proposal.id}: it was proposed by them"
        reasons.append(Reason("own-proposal", "P6", sentence, "ask somebody who did not propose it"))
    if gained := change.gains.get(actor.subject, ()):
        told = f"{', '.join(gained)}, in which they had a part, may get further under it"
        sentence = f"{actor.id} cannot approve {proposal.id}: {told}"
        reasons.append(Reason("benefits", "P6", sentence, "ask somebody who does not benefit"))
    subjects = {change.people[row.actor].subject: row.actor for row in decided if row.actor in change.people}
    if actor.subject in subjects:
        sentence = f"{subjects[actor.subject]} already decided on {proposal.id}; one person counts once"
        reasons.append(Reason("counted-once", "P6", sentence, "ask somebody else"))
    return reasons


def _void(
    change: Change, actor: ActorRow | None, row: ProposalDecisionRow, valid: Sequence[ProposalDecisionRow]
) -> list[Reason]:
    """Return why one recorded approval does not count."""
    if actor is None or row.role not in actor.roles or row.role not in DECIDING:
        sentence = f"{row.actor} does not hold `{row.role}`, so their approval does not count"
        return [Reason("approver-lost-role", "P6", sentence, "ask somebody who holds the role")]
    return _unfit(change, actor, valid)


def _not_permitted(actor: ActorRow, permission: Permission) -> list[Reason]:
    if permits(actor, permission):
        return []
    sentence = f"{actor.id} holds no role that permits `{permission}`"
    return [Reason("not-permitted", "A1", sentence, f"roles that do: {', '.join(roles_that(permission))}")]


def _asked(policy: Policy) -> Iterator[tuple[str, Sequence[Need]]]:
    """Yield every place where a policy asks for people's approval, and of whom."""
    for tier, gates in policy.gates.items():
        for to, gate in gates.items():
            yield f"the gate into {to} in tier {tier}", gate.approvals
            if gate.deadline is not None and gate.deadline.escalate_to:
                told = f"the gate into {to} in tier {tier}, where it is escalated,"
                yield told, (Need(gate.deadline.escalate_to, 1),)
    if policy.break_glass is not None:
        yield "break-glass", policy.break_glass.approvals
    yield "a change of the policy", policy.changes


def _lacking(place: str, needs: Sequence[Need], staff: Staff) -> list[Reason]:
    """Return which needs of one place cannot be met by distinct people, the smallest sets of roles first.

    Distinct people can meet all of them exactly if every set of roles is held by as many as it asks for (Hall).
    """
    for size in range(1, len(needs) + 1):
        found = []
        for some in combinations(needs, size):
            count = sum(need.count for need in some)
            holders = frozenset[str]().union(*(staff.get(need.role, frozenset()) for need in some))
            if len(holders) < count:
                roles = " and ".join(f"`{need.role}`" for need in some)
                people = (
                    "1 eligible person holds" if len(holders) == 1 else f"{len(holders)} eligible people hold"
                )
                sentence = f"{place} asks for {many(count, 'approval')} by {roles}, which {people}"
                step = "ask for fewer, or let an administrator give more people the role"
                found.append(Reason("too-few-people", "P6", sentence, step))
        if found:
            return found
    return []


def _called(policy: Policy | PolicyRow) -> tuple[str, str]:
    return policy.name, policy.version


def _name(policy: Policy) -> str:
    return f"{policy.name} {policy.version}"
