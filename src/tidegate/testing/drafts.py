"""Small drafts of events, for whoever tries a ledger."""

from __future__ import annotations

from tidegate.domain.events import Draft, EventType


def actor(number: str = "1", kind: str = "person") -> Draft:
    added = {"id": f"p-{number}", "kind": kind, "subject": f"p-{number}", "roles": ["approver"]}
    return Draft(EventType.ACTOR_ADDED, "actors", "p-1", added, {"name": f"Somebody {number}"})


def note(stream: str, key: str | None = None) -> Draft:
    """An event that folds to nothing."""
    payload = {"action": "approve", "subject": {}, "reasons": []}
    return Draft(EventType.ACTION_REFUSED, stream, "p-1", payload, idempotency_key=key)


def spoken(by: str, text: str) -> Draft:
    """An event with a reason."""
    payload = {"action": "approve", "subject": {}, "reasons": []}
    return Draft(EventType.ACTION_REFUSED, "a", by, payload, {"reason": text})


def erasing(subject: str, *commitments: str) -> Draft:
    gone = {"subject": subject, "commitments": list(commitments)}
    return Draft(EventType.TEXT_ERASED, "ledger", "p-1", gone, {"reason": "They asked for it."})


def letting_go(*commitments: str) -> Draft:
    gone = {"kind": "reason", "before": "2010-01-01T00:00:00Z", "commitments": list(commitments)}
    return Draft(EventType.RETENTION_APPLIED, "ledger", "p-1", gone)
