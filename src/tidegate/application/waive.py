"""Let one check of a dataset not count for a while: by a person, with a reason and an end (G6)."""

from __future__ import annotations

from datetime import datetime, timedelta

from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import again, draft, permit, reason_text
from tidegate.application.revisions import period_window
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.state import WaiverRow
from tidegate.domain.waiver import LIMITS, MOST_DAYS


def waive(
    platform: Platform, acting: Acting, dataset: str, check: str, until: datetime, reason: str, period: str = ""
) -> WaiverRow:
    """Let ``check`` (a rule of the suite, or one of `LIMITS`) not count, for one period or (empty) for all.

    A drop that it held back goes through the gate again when it is ingested again. What a check could not measure
    is not let through by it.

    Raises:
        Refused: rule A1. BadInput: no reason, no such dataset, check or period, an end that is past or too far away.
    """
    text, key = reason_text(reason), acting.scoped_key(f"waive:{dataset}:{check}:{period}")
    contract, now = platform.contracts.load(dataset), platform.clock.now()
    permit(platform, acting, Permission.WAIVE, f"dataset/{dataset}")
    known = [each.id for each in contract.checks]
    if check not in {*known, *LIMITS}:
        raise BadInput(
            "unknown-check",
            f"got the check `{check}`, expected one of {dataset}: {', '.join(known)}; or {', '.join(LIMITS)}",
            f"see expectations/suites/{dataset}.json",
        )
    if period:
        period_window(period)
    if not now < until <= now + timedelta(days=MOST_DAYS):
        raise BadInput(
            "bad-until",
            f"got a waiver until {utc_text(until)}, expected an end within {MOST_DAYS} days from now",
            "name a nearer day, or change the contract",
        )
    with platform.ledger.transaction() as tx:
        before = again(tx.recorded(key) if key else None)
        name = before.payload["id"] if before else f"W-{len(tx.select(WaiverRow)) + 1}"
        if before is None:
            given = {"id": name, "dataset": dataset, "check": check, "period": period, "until": utc_text(until)}
            kind = EventType.WAIVER_GIVEN
            tx.append(draft(acting, kind, f"dataset/{dataset}", given, {"reason": text}, key))
        row = tx.get(WaiverRow, name)
    assert row is not None  # the fold of the event just appended, or of the one under this key
    return row


def end_waiver(platform: Platform, acting: Acting, name: str) -> WaiverRow:
    """End a waiver before its time: whoever may give one may end any. What it let through stands.

    Raises:
        Refused: rule A1. BadInput: no such waiver.
    """
    state = platform.ledger.state()
    row = state.get(WaiverRow, name)
    if row is None:
        known = ", ".join(each.id for each in state.select(WaiverRow)) or "none yet"
        raise BadInput(
            "unknown-waiver", f"got the waiver `{name}`, expected one of: {known}", "see `tidegate waiver list`"
        )
    permit(platform, acting, Permission.WAIVE, f"dataset/{row.dataset}")
    with platform.ledger.transaction() as tx:
        row = tx.get(WaiverRow, name) or row
        if not row.ended:
            tx.append(draft(acting, EventType.WAIVER_ENDED, f"dataset/{row.dataset}", {"id": name}))
            row = tx.get(WaiverRow, name) or row
    return row
