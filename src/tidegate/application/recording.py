"""How use cases write: permitted or refused, once per key, and refusals are events too."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Transaction
from tidegate.application.standing import itself
from tidegate.domain.actors import Permission, permits
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Draft, Event, EventType
from tidegate.domain.lifecycle import Reason


def draft(
    acting: Acting,
    kind: EventType,
    stream: str,
    payload: Mapping[str, Any],
    texts: Mapping[str, str] | None = None,
    key: str | None = None,
    causation: int | None = None,
) -> Draft:
    """Return a draft signed with who is acting."""
    return Draft(
        type=kind,
        stream=stream,
        actor=acting.actor.id,
        payload=payload,
        texts=texts or {},
        on_behalf_of=acting.on_behalf_of,
        correlation=acting.correlation,
        causation=causation,
        idempotency_key=key,
    )


def permit(platform: Platform, acting: Acting, permission: Permission, stream: str) -> None:
    """Refuse, and record the refusal, where no role that the actor holds now permits this.

    Raises:
        Refused: rule A1, or A2 for an actor the ledger does not have. BadInput: it acts for nobody known.
    """
    actor, reasons = itself(platform.ledger.state(), acting)
    if not permits(actor, permission):
        sentence = f"{actor.id} holds no role that permits `{permission}`"
        reasons = [*reasons, Reason("not-permitted", "A1", sentence, "ask somebody whose role permits it")]
    if not reasons:
        return
    key = acting.scoped_key(f"{permission}:{stream}")
    with platform.ledger.transaction() as tx:
        if key is None or tx.recorded(key) is None:
            record_refusal(tx, acting, stream, str(permission), {}, reasons, key)
    raise Refused(
        reasons[0].code,
        "; ".join(f"{reason.rule}: {reason.sentence}" for reason in reasons),
        reasons[0].next_step,
        rule=reasons[0].rule,
        reasons=[reason.as_dict() for reason in reasons],
    )


def record_refusal(
    tx: Transaction,
    acting: Acting,
    stream: str,
    action: str,
    subject: Mapping[str, Any],
    reasons: Sequence[Reason],
    key: str | None = None,
) -> Event:
    """Write that an act was refused, with all its reasons."""
    payload = {"action": action, "subject": subject, "reasons": [reason.as_dict() for reason in reasons]}
    return tx.append(draft(acting, EventType.ACTION_REFUSED, stream, payload, key=key))


def refused(action: str, reasons: Sequence[Reason], **data: object) -> Refused:
    """Return the error that carries all reasons; its sentence is theirs, its hint the first next step."""
    sentence = "; ".join(f"{reason.rule}: {reason.sentence}" for reason in reasons)
    shown = [reason.as_dict() for reason in reasons]
    return Refused(f"{action}-refused", sentence, reasons[0].next_step, reasons=shown, **data)


def again(event: Event | None) -> Event | None:
    """Return an event recorded under the same key; if it was a refusal, refuse again with its reasons.

    Raises:
        Refused: what was recorded under this key was a refusal.
    """
    if event is None or event.type is not EventType.ACTION_REFUSED:
        return event
    reasons = [Reason(**reason) for reason in event.payload["reasons"]]
    raise refused(event.payload["action"], reasons, sequence=event.sequence)


def reason_text(text: str) -> str:
    """Return a person's reason, cleaned of surrounding space.

    Raises:
        BadInput: it is empty, longer than 2,000 characters, or holds control characters.
    """
    cleaned = text.strip()
    if not any(_seen(char) for char in unicodedata.normalize("NFKC", cleaned)):
        raise BadInput("no-reason", "got no reason, expected one in a sentence", "add --reason '…'")
    if len(cleaned) > MAX_REASON or not all(char.isprintable() or char == "\n" for char in cleaned):
        raise BadInput(
            "bad-reason",
            f"got a reason of {len(cleaned)} characters or with control characters, "
            f"expected at most {MAX_REASON} plain ones",
            "shorten it",
        )
    return cleaned


#: Letters by their category that show as nothing (Unicode, Default_Ignorable_Code_Point).
_UNSEEN = {"\u115f", "\u1160", "\u3164", "\uffa0"}


def _seen(char: str) -> bool:
    """Say whether a character is a letter or digit that a reader sees: dots alone are no reason."""
    return char.isalnum() and char not in _UNSEEN


MAX_REASON = 2000
