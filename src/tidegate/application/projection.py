"""Bring MLflow's aliases after the ledger. The chain itself is the outbox: a cursor says how far it has come."""

from __future__ import annotations

from tidegate.application.platform import Platform
from tidegate.domain.events import EventType
from tidegate.domain.state import VersionRow

SINK = "registry"
_MOVES = frozenset(
    {
        EventType.VERSION_REGISTERED,
        EventType.PROMOTION_APPLIED,
        EventType.MODEL_ROLLED_BACK,
        EventType.MODEL_STOPPED,
        EventType.VERSION_DEMOTED,
        EventType.VERSION_RETIRED,
    }
)


def drain(platform: Platform) -> int:
    """Project every model that moved since the cursor; return how many were projected.

    At least once and idempotent: a crash between the effect and the cursor repeats the effect. The
    cursor moves only when all effects have been had.

    Raises:
        DependencyFailed: the registry is down; the cursor stays, the next command tries again.
    """
    start = end = platform.ledger.cursor(SINK)
    moved: dict[str, None] = {}
    for event in platform.ledger.events(after=start):
        end = event.sequence
        if event.type in _MOVES:
            moved[event.payload["model"]] = None
    for model in moved:
        rows = platform.ledger.state().select(VersionRow, model=model)
        platform.registry.project(model, {row.number: row.stage for row in rows})
    if end > start:
        platform.ledger.advance(SINK, end)
    return len(moved)
