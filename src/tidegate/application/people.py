"""What may be shown of people: the names that lie, erasable, beside the ledger."""

from __future__ import annotations

from tidegate.application.ports import Ledger
from tidegate.domain.events import EventType


def names(ledger: Ledger) -> dict[str, str]:
    """Return every actor's name by id; an erased name shows as the id."""
    found = {}
    for event in ledger.events(stream="actors"):
        if event.type is EventType.ACTOR_ADDED:
            text = ledger.text(event.payload["texts"]["name"])
            found[event.payload["id"]] = text or event.payload["id"]
    return found
