"""Put one drop through its gate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import draft, permit
from tidegate.domain.actors import Permission
from tidegate.domain.contract import Contract, GateReport, judge
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.state import BatchRow

_PERIOD = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?(?:-([0-9]{2}))?$")


def ingest(platform: Platform, acting: Acting, dataset: str, drop: Path) -> BatchRow:
    """Gate one drop: good rows become a batch, bad rows are quarantined with all their reasons.

    The same bytes twice change nothing and write nothing: the recorded outcome is returned. A batch the
    gate stops is recorded too, held back whole; the caller reads the verdict off the row.

    Raises:
        Refused: rule A1. BadInput: the drop cannot be read as the contract promises; recorded once.
    """
    contract = platform.contracts.load(dataset)  # first: what is no dataset's name never enters the record
    permit(platform, acting, Permission.INGEST, f"dataset/{dataset}")
    name = platform.batches.drop_digest(drop)
    known = platform.ledger.state().get(BatchRow, dataset, name)
    if known is not None and _stands(known, contract):
        return known
    period = period_of(drop)
    try:
        table = platform.batches.read(drop, contract)
    except BadInput as fault:
        _record_unreadable(platform, acting, dataset, name, period, fault)
        raise
    results = platform.gate.run(contract, table)
    report = judge(contract, table.num_rows, results, period_window(period)[1], platform.clock.now())
    segment = platform.batches.quarantine(contract, table, report)
    batch = ""
    if not report.stops:
        batch, _ = platform.batches.accept(contract, table, report.reasons)
    payload = {
        "dataset": dataset,
        "drop": name,
        "period": period,
        "batch": batch,
        "verdict": str(report.verdict),
        "read": report.read,
        "accepted": report.accepted,
        "quarantined": report.quarantined,
        "quarantine_root": segment.root,
        "contract": contract.digest,
        "report": report_facts(contract, report, platform.gate.tool),
    }
    kind = EventType.BATCH_REFUSED if report.stops else EventType.BATCH_ACCEPTED
    with platform.ledger.transaction() as tx:
        before = tx.get(BatchRow, dataset, name)
        if before is None or not (_stands(before, contract) or _same(before, payload)):
            # Two ingests of one drop at once: the first one counts.
            tx.append(draft(acting, kind, f"dataset/{dataset}", payload))
        row = tx.get(BatchRow, dataset, name)
    assert row is not None  # the fold of the event just appended
    return row


def _stands(row: BatchRow, contract: Contract) -> bool:
    """Say whether a drop's recorded outcome is final: accepted, or held back by this very contract.

    A gate that could not measure, or a contract that has been mended since, gates the drop again.
    """
    return bool(row.batch) or (row.verdict != Verdict.ERROR and row.contract == contract.digest)


def _same(row: BatchRow, payload: Mapping[str, Any]) -> bool:
    """Say whether gating again found exactly what is recorded: then there is nothing to write."""
    return all(getattr(row, name) == value for name, value in payload.items())


def _record_unreadable(
    platform: Platform, acting: Acting, dataset: str, drop: str, period: str, fault: BadInput
) -> None:
    key = f"unreadable:{dataset}:{drop}"
    payload = {"dataset": dataset, "drop": drop, "period": period, "code": fault.code}
    with platform.ledger.transaction() as tx:
        if tx.recorded(key) is None:
            tx.append(draft(acting, EventType.DROP_REFUSED, f"dataset/{dataset}", payload, key=key))


def report_facts(contract: Contract, report: GateReport, tool: str) -> Mapping[str, Any]:
    """Return what the ledger keeps of a gate run."""
    checks = [
        {
            "id": result.check.id,
            "severity": str(result.check.severity),
            "on_row": str(result.check.on_row),
            "verdict": str(result.verdict),
            "evaluated": result.evaluated,
            "failing": len(result.failing),
            "sentence": result.sentence,
        }
        for result in report.results
    ]
    stops = [{"rule": stop.rule, "code": stop.code, "sentence": stop.sentence} for stop in report.stops]
    return {"contract_version": contract.version, "tool": tool, "checks": checks, "stops": stops}


def period_of(drop: Path) -> str:
    """Return the period a drop's name ends with, like 2013-01 or 2013.

    Raises:
        BadInput: the name ends with no period.
    """
    match = _PERIOD.search(drop.name.split(".")[0])
    if match is None:
        raise BadInput(
            "no-period",
            f"got a drop named `{drop.name}`, expected a name that ends with its period, like flights-2013-01.zip",
            "rename the drop",
        )
    return match.group(0)


def period_window(period: str) -> tuple[datetime, datetime]:
    """Return a period's first moment and the first moment after it, in UTC.

    Raises:
        BadInput: it is no year, month or day like 2013, 2013-01 or 2013-01-31.
    """
    match = _PERIOD.fullmatch(period)
    try:
        year, month, day = (
            (None if part is None else int(part) for part in match.groups()) if match else (0, 0, 0)
        )
        start = datetime(year or 0, 1 if month is None else month, 1 if day is None else day, tzinfo=UTC)
        if day is not None:
            return start, start + timedelta(days=1)
        if month is not None:
            return start, datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=UTC)
        return start, datetime(start.year + 1, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            "bad-period",
            f"got the period `{period}`, expected one like 2013, 2013-01 or 2013-01-31",
            "mend it",
        ) from error
