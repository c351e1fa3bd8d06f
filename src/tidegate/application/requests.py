"""What was asked for a version, and what people said to it: open, and long decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.application.platform import Platform
from tidegate.domain.events import Event
from tidegate.domain.state import ApprovalRow, PromotionRow


@dataclass(frozen=True)
class Said:
    """A person's decision. ``reason`` is empty where it was erased, ``for_whom`` where they spoke for themselves."""

    actor: str
    outcome: str
    role: str
    for_whom: str
    conditions: Mapping[str, Any]
    revoked: bool
    reason: str


@dataclass(frozen=True)
class Asked:
    """A request to move a version up; ``status`` as in `PromotionRow`."""

    id: str
    kind: str
    target: str
    status: str
    requester: str
    said: tuple[Said, ...]


def requests_of(platform: Platform, model: str, version: int) -> tuple[Asked, ...]:
    """Return every request about a version, oldest first, with all that was decided on it."""
    state = platform.ledger.state()
    events = {event.sequence: event for event in platform.ledger.events(stream=f"model/{model}")}
    rows = sorted(state.select(PromotionRow, model=model, version=version), key=lambda row: row.sequence)
    return tuple(
        Asked(
            row.id,
            row.kind,
            row.target,
            row.status,
            row.requester,
            tuple(
                _said(platform, each, events.get(each.sequence))
                for each in state.select(ApprovalRow, promotion=row.id)
            ),
        )
        for row in rows
    )


def _said(platform: Platform, row: ApprovalRow, event: Event | None) -> Said:
    committed = event.payload.get("texts", {}).get("reason", "") if event else ""
    reason = (platform.ledger.text(committed) if committed else None) or ""
    return Said(row.actor, row.outcome, row.role, row.for_whom, row.conditions, row.revoked, reason)
