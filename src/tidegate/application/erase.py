"""Erase all personal texts about one person: names, reasons, comments. The chain keeps their commitments."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import again, draft, permit, reason_text, record_refusal, refused
from tidegate.domain.actors import Permission
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Reason
from tidegate.domain.state import ActorRow
from tidegate.domain.texts import can_act, kept


@dataclass(frozen=True)
class Erased:
    """What was erased: whose (all accounts of one person), and how many texts."""

    subject: str
    accounts: tuple[str, ...]
    texts: int


def erase(platform: Platform, acting: Acting, account: str, reason: str) -> Erased:
    """Erase every text about the person whose account this is, and the key that opens any copy of them.

    What they did stays on record under their pseudonymous id; where no text is left, nothing is written. This
    waits for no least age (`domain.texts`): it is done because they asked, or a law did; ``reason`` says which.

    Raises:
        Refused: rule A1; or T1, an account of theirs still holds a good token. Both are recorded. BadInput: no
            such account, or no reason.
    """
    text = reason_text(reason)
    permit(platform, acting, Permission.ERASE, "ledger")
    key, denied = acting.scoped_key(f"erase:{account}"), []
    with platform.ledger.transaction() as tx:
        row = tx.get(ActorRow, account)
        if row is None:
            raise BadInput(
                "unknown-actor", f"got the actor `{account}`, expected one of `tidegate user list`", ""
            )
        accounts = tuple(each.id for each in tx.select(ActorRow, subject=row.subject))
        if (before := again(tx.recorded(key) if key else None)) is not None:
            return Erased(row.subject, accounts, len(before.payload["commitments"]))
        gone = [each.commitment for each in kept(tx, subject=row.subject)]
        if able := can_act(tx, row.subject):
            sentence = f"{row.subject} can still act: got a good token of {', '.join(able)}, expected none"
            step = f"`tidegate user revoke {able[0]}` first"
            denied.append(Reason("can-still-act", "T1", sentence, step))
            record_refusal(tx, acting, "ledger", "erase", {"subject": row.subject}, denied, key)
        elif gone:
            payload = {"subject": row.subject, "commitments": gone}
            tx.append(draft(acting, EventType.TEXT_ERASED, "ledger", payload, {"reason": text}, key))
    if denied:
        raise refused("erase", denied, subject=row.subject)
    return Erased(row.subject, accounts, len(gone))
