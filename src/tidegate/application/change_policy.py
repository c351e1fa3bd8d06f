"""Change the policy: propose a text, decide on it, and adopt it with the last approval needed (rule P6).

Each act is decided by ``domain.policy_change`` in the transaction that records it; a refusal is an event too.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader, Transaction
from tidegate.application.proposal import change_of, staff
from tidegate.application.recording import again, draft, reason_text, record_refusal, refused
from tidegate.application.standing import itself, policy_in_force
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action, Reason
from tidegate.domain.policy import Policy
from tidegate.domain.policy_change import DECIDING, Change, may_decide, may_propose, short_of
from tidegate.domain.state import ActorRow, PolicyRow, ProposalRow

STREAM = "policy"


@dataclass(frozen=True)
class Changed:
    """What came of an act: the proposal as it stands, and what it still waits for."""

    proposal: ProposalRow
    waits: tuple[Reason, ...] = ()


def propose(platform: Platform, acting: Acting, policy: Policy, reason: str) -> Changed:
    """Ask that a policy be put in force. What was open before is superseded; the very same text is not asked twice.

    Raises:
        Refused: rules A1, A2 and P6, with all reasons; recorded. BadInput: no reason.
    """
    text, key = reason_text(reason), acting.scoped_key(f"propose_policy:{policy.digest}")
    denied: list[Reason] = []
    with platform.ledger.transaction() as tx:
        if (before := again(tx.recorded(key) if key else None)) is not None:
            return _told(platform, tx, before.payload["id"])
        actor, denied = itself(tx, acting)
        in_force = policy_in_force(platform, tx)
        denied += may_propose(policy, in_force, tx.select(PolicyRow), actor, staff(tx))
        same = tx.select(ProposalRow, status="open", digest=policy.digest, base=in_force.digest)
        if denied:
            about = {"digest": policy.digest, "name": policy.name, "version": policy.version}
            record_refusal(tx, acting, STREAM, "propose_policy", about, denied, key)
        elif same:
            return _told(platform, tx, same[0].id)
        else:
            name = f"C-{len(tx.select(ProposalRow)) + 1}"
            told = {"digest": policy.digest, "name": policy.name, "version": policy.version}
            payload = {"id": name, **told, "body": policy.body, "base": in_force.digest}
            tx.append(draft(acting, EventType.POLICY_PROPOSED, STREAM, payload, {"reason": text}, key))
            return _told(platform, tx, name)
    raise refused("propose_policy", denied)


def decide_change(platform: Platform, acting: Acting, name: str, action: Action, reason: str) -> Changed:
    """Record a person's decision on a proposed policy; with the last approval needed it is in force at once.

    Promotions that are open then rest on another policy than the one in force: they are stale (P3).

    Raises:
        Refused: rules A1, A2 and P6, with all reasons; recorded. BadInput: no reason, no such proposal, or an action
            that decides nothing.
    """
    if action not in _DECISIONS:
        raise BadInput("bad-action", f"got `{action}` as a decision, expected approve or reject", "pick one")
    text, key = reason_text(reason), acting.scoped_key(f"{action}:policy:{name}")
    with platform.ledger.transaction() as tx:
        row = proposal_row(tx, name)
        if again(tx.recorded(key) if key else None):
            return _told(platform, tx, name)
        actor, denied = itself(tx, acting)
        change = _change(platform, tx, row)
        role = _role(change, actor)
        denied += may_decide(change, actor, role, approves=action is Action.APPROVE)
        if denied:
            record_refusal(tx, acting, STREAM, f"{action}_policy", _subject(row), denied, key)
        else:
            payload = {"proposal": row.id, "role": role, "outcome": str(action)}
            tx.append(draft(acting, _DECISIONS[action], STREAM, payload, {"reason": text}, key, row.sequence))
            if action is Action.APPROVE and not short_of(_change(platform, tx, row)):
                adopted = {"digest": row.digest, "name": row.name, "version": row.version, "body": row.body}
                tx.append(draft(acting, EventType.POLICY_ADOPTED, STREAM, adopted, causation=row.sequence))
            return _told(platform, tx, name)
    raise refused(f"{action}_policy", denied, proposal=name)


_DECISIONS = {
    Action.APPROVE: EventType.POLICY_APPROVED,
    Action.REJECT: EventType.POLICY_REJECTED,
}


def proposal_row(state: StateReader, name: str) -> ProposalRow:
    """Return a proposal.

    Raises:
        BadInput: there is none of that name.
    """
    row = state.get(ProposalRow, name)
    if row is None:
        known = ", ".join(each.id for each in state.select(ProposalRow)) or "none yet"
        raise BadInput(
            "unknown-proposal",
            f"got the proposal `{name}`, expected one of: {known}",
            "see `tidegate policy list`",
        )
    return row


def waits_for(platform: Platform, state: StateReader, row: ProposalRow) -> tuple[Reason, ...]:
    """Return what an open proposal still waits for; nothing for one that is closed."""
    return tuple(short_of(_change(platform, state, row))) if row.status == "open" else ()


def _told(platform: Platform, tx: Transaction, name: str) -> Changed:
    row = proposal_row(tx, name)
    return Changed(row, waits_for(platform, tx, row))


def _change(platform: Platform, state: StateReader, row: ProposalRow) -> Change:
    in_force = policy_in_force(platform, state)
    return change_of(state, platform.policies, platform.expressions, row, in_force)


def _role(change: Change, actor: ActorRow) -> str:
    """Return the role somebody decides in: one that is still lacking, else any they hold."""
    given = [row.role for row in change.decisions if row.outcome == "approve"]
    lacking = [need.role for need in change.in_force.changes if given.count(need.role) < need.count]
    return next((role for role in (*lacking, *DECIDING) if role in actor.roles), "")


def _subject(row: ProposalRow) -> dict[str, str]:
    return {"proposal": row.id, "digest": row.digest, "base": row.base}
