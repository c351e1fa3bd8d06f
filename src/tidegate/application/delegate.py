"""Let somebody else decide in one's place, for a while: explicit, recorded, and at an end by itself (P4)."""

from __future__ import annotations

from datetime import datetime

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Transaction
from tidegate.application.recording import again, draft, reason_text, record_refusal, refused
from tidegate.application.standing import itself, lifecycle
from tidegate.domain.actors import Permission, permits, roles_that
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Reason
from tidegate.domain.state import ActorRow, DelegationRow
from tidegate.domain.texts import barred

#: A delegation that outlives a quarter is a role, and an administrator grants those.
MOST_DAYS = 92


def delegate(
    platform: Platform, acting: Acting, to: str, role: str, until: datetime, reason: str, model: str = ""
) -> DelegationRow:
    """Let ``to`` decide in ``role`` in the acting person's place, for one model or (empty) for all.

    What was decided under it stands when it has ended, which it does too when either of the two can act no more:
    the last good token of their account is revoked. Nobody passes on what was delegated to them.

    Raises:
        Refused: it is not theirs to delegate; recorded. BadInput: no such person or model, or an end that is
            past or too far away.
    """
    text, key = reason_text(reason), acting.scoped_key(f"delegate:{to}:{role}:{model}")
    now = platform.clock.now()
    if not now < until or (until - now).days > MOST_DAYS:
        raise BadInput(
            "bad-until",
            f"got a delegation until {utc_text(until)}, expected an end within {MOST_DAYS} days from now",
            "name a nearer day",
        )
    with platform.ledger.transaction() as tx:
        if model:
            lifecycle(tx, model)
        other = tx.get(ActorRow, to)
        if other is None or other.kind != "person":
            raise BadInput(
                "unknown-person",
                "got somebody who is no person on record, expected a person's id",
                "p-2, say",
            )
        if (before := again(tx.recorded(key) if key else None)) is not None:
            row = tx.get(DelegationRow, before.payload["id"])
            assert row is not None  # the fold of the event recorded under this key
            return row
        actor, denied = itself(tx, acting)
        denied += _unfit(tx, actor, other, role)
        if denied:
            record_refusal(tx, acting, "approvals", "delegate", {"to": to, "role": role}, denied, key)
        else:
            name = f"D-{len(tx.select(DelegationRow)) + 1}"
            payload = {
                "id": name,
                "principal": actor.id,
                "delegate": to,
                "role": role,
                "model": model,
                "until": utc_text(until),
            }
            made = EventType.APPROVAL_DELEGATED
            tx.append(draft(acting, made, "approvals", payload, {"reason": text}, key))
            row = tx.get(DelegationRow, name)
    if denied:
        raise refused("delegate", denied)
    assert row is not None  # the fold of the event just appended
    return row


def _unfit(tx: Transaction, actor: ActorRow, other: ActorRow, role: str) -> list[Reason]:
    """Return why one person may not let the other decide for them in a role."""
    reasons = []
    if role not in actor.roles or role not in roles_that(Permission.APPROVE):
        sentence = f"{actor.id} does not hold `{role}` as a role that approves"
        reasons.append(Reason("role-not-held", "P4", sentence, "delegate a role of your own"))
    if other.subject == actor.subject:
        sentence = f"{other.id} is {actor.id} under another account"
        reasons.append(Reason("to-oneself", "P4", sentence, "delegate to another person"))
    for each in (actor, other):
        if barred(tx, each.id):
            sentence = f"no token of {each.id} is good any more, so nothing is delegated from or to them"
            reasons.append(Reason("cannot-act", "P4", sentence, "name somebody who can act"))
    return reasons


def end_delegation(platform: Platform, acting: Acting, name: str) -> DelegationRow:
    """End a delegation before its time: whoever gave it, or has it, may.

    Raises:
        Refused: it is neither; recorded. BadInput: no such delegation.
    """
    key = acting.scoped_key(f"end-delegation:{name}")
    with platform.ledger.transaction() as tx:
        row = tx.get(DelegationRow, name)
        if row is None:
            known = ", ".join(each.id for each in tx.select(DelegationRow)) or "none yet"
            raise BadInput("unknown-delegation", f"got the delegation `{name}`, expected one of: {known}", "")
        if again(tx.recorded(key) if key else None) or row.ended:
            return row
        actor, denied = itself(tx, acting)
        if actor.id not in {row.principal, row.delegate} or not permits(
            tx.get(ActorRow, row.principal) or actor, Permission.APPROVE
        ):
            sentence = f"{name} is between {row.principal} and {row.delegate}, not {actor.id}'s to end"
            denied.append(Reason("not-yours", "P4", sentence, "ask one of them"))
        if denied:
            record_refusal(tx, acting, "approvals", "end_delegation", {"delegation": name}, denied, key)
        else:
            tx.append(draft(acting, EventType.DELEGATION_ENDED, "approvals", {"id": name}, key=key))
            row = tx.get(DelegationRow, name) or row
    if denied:
        raise refused("end_delegation", denied)
    return row
