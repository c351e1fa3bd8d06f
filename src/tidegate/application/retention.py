"""Let personal texts go that are older than the least age of their class of record (rule T2).

Side data only: no event is touched, and every commitment stays. Nothing younger can be asked for: what goes is
read off the record, by the ages of `domain.texts`, and `audit verify` judges it by the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader
from tidegate.application.recording import draft, permit
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text
from tidegate.domain.events import EventType
from tidegate.domain.texts import LEAST_DAYS, class_of, kept, kept_until


@dataclass(frozen=True)
class Due:
    """The texts of one class whose time is over, and how many of the class stay."""

    kind: str
    least_days: int
    before: str
    commitments: tuple[str, ...]
    stay: int


def due(state: StateReader, now: datetime) -> tuple[Due, ...]:
    """Return what retention would let go now, a line for every class."""
    texts, lines = kept(state), []
    for kind, days in LEAST_DAYS.items():
        ours = [row for row in texts if class_of(row.kind) == kind]
        ends = {row.commitment: kept_until(state, row) for row in ours}
        over = tuple(each for each, end in ends.items() if end is not None and end <= now)
        before = utc_text(now - timedelta(days=days))
        lines.append(Due(kind, days, before, over, len(ours) - len(over)))
    return tuple(lines)


def retention(platform: Platform, acting: Acting, *, dry_run: bool = False) -> tuple[Due, ...]:
    """Let go what is due, one event per class; with ``dry_run`` only say what would go.

    Raises:
        Refused: rule A1.
    """
    if dry_run:
        return due(platform.ledger.state(), platform.clock.now())
    permit(platform, acting, Permission.ERASE, "ledger")
    with platform.ledger.transaction() as tx:
        found = due(tx, platform.clock.now())
        for each in found:
            if each.commitments:
                gone = {"kind": each.kind, "before": each.before, "commitments": list(each.commitments)}
                tx.append(draft(acting, EventType.RETENTION_APPLIED, "ledger", gone))
    return found
