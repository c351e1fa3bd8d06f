"""Let one check of a dataset not count for a while and a few times: by a person, with a reason and an end (G6)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import again, draft, permit, reason_text
from tidegate.application.revisions import period_window
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import utc_text
from tidegate.domain.contract import OnRow, Severity
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.state import WaiverRow
from tidegate.domain.waiver import LIMITS, MOST_DAYS, MOST_USES, Moment, over


def waive(
    platform: Platform,
    acting: Acting,
    dataset: str,
    check: str,
    until: datetime,
    reason: str,
    period: str = "",
    most: int = 1,
) -> WaiverRow:
    """Let ``check`` (a rule of the suite, or one of `LIMITS`) not count, for one period or (empty) for all.

    It opens at most ``most`` batches, and none that was brought for whoever gives it. A drop that the check held back
    goes through the gate again when it is ingested again. What a check could not measure is not let through by it.

    Raises:
        Refused: rule A1. BadInput: no reason, no such dataset, check or period, a check that stops nothing, an end
            that is past or too far away, no use or too many.
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
    idle = {
        each.id
        for each in contract.checks
        if each.on_row is OnRow.KEEP and each.severity is not Severity.CRITICAL
    }
    if check in idle:
        raise BadInput(
            "nothing-to-waive",
            f"got the check {check}, which keeps its rows and stops no batch, expected one that holds something back",
            "there is nothing to waive: what it finds is recorded beside the batch",
        )
    if not 1 <= most <= MOST_USES:
        raise BadInput(
            "bad-uses",
            f"got a waiver for {many(most, 'batch')}, expected 1 to {MOST_USES}",
            "name fewer, or change the contract",
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
            given = {
                "id": name,
                "dataset": dataset,
                "check": check,
                "period": period,
                "until": utc_text(until),
                "most": most,
            }
            kind = EventType.WAIVER_GIVEN
            tx.append(draft(acting, kind, f"dataset/{dataset}", given, {"reason": text}, key))
        row = tx.get(WaiverRow, name)
    assert row is not None  # the fold of the event just appended, or of the one under this key
    return row


def shown(platform: Platform) -> list[dict[str, Any]]:
    """Return all waivers: what they let through, how often, and where they stand."""
    state = platform.ledger.state()
    moment = Moment(platform.clock.now(), state.marks())
    return [
        {**row.__dict__, "left": row.most - row.uses, "over": over(row, moment)}
        for row in state.select(WaiverRow)
    ]


def end_waiver(platform: Platform, acting: Acting, name: str) -> WaiverRow:
    """End a waiver before its time: whoever may give one may end any. What it let through stands.

    Raises:
        Refused: rule A1. BadInput: no such waiver.
    """
    state, key = platform.ledger.state(), acting.scoped_key(f"end-waiver:{name}")
    row = state.get(WaiverRow, name)
    if row is None:
        known = ", ".join(each.id for each in state.select(WaiverRow)) or "none yet"
        raise BadInput(
            "unknown-waiver",
            f"got the waiver `{name}`, expected one of: {known}",
            "see `tidegate waiver list`",
        )
    permit(platform, acting, Permission.WAIVE, f"dataset/{row.dataset}")
    with platform.ledger.transaction() as tx:
        row = tx.get(WaiverRow, name) or row
        if not again(tx.recorded(key) if key else None) and not row.ended:
            kind = EventType.WAIVER_ENDED
            tx.append(draft(acting, kind, f"dataset/{row.dataset}", {"id": name}, key=key))
            row = tx.get(WaiverRow, name) or row
    return row
