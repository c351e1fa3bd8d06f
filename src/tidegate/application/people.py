"""What may be shown of people: the names that lie, erasable, beside the ledger."""

from __future__ import annotations

from tidegate.application.ports import Ledger
from tidegate.domain.events import EventType


def names(ledger: Ledger) -> dict[str, str]:
    """Return every actor's name by id; an erased name shows as the id."""
    found = {}
    for event in ledger.events(stream="actors"):
        if event.type is EventType.ACTOR_ADDED:
            text = ledger.text(event.payload.get("texts", {}).get("name", ""))
            found[event.payload["id"]] = text or event.payload["id"]
    return found


def account_of(ledger: Ledger, given: str) -> str:
    """Return the id of the one account that has this id or name; what is neither, or ambiguous, comes back."""
    known = [each for each, name in names(ledger).items() if given in (each, name)]
    return known[0] if len(known) == 1 else given
