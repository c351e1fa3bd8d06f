"""What another suite or contract would have made of the drops on record: a gate that is tried, and changes nothing.

The rows of a drop are those of its batch and those that were held back of it, so every drop that was ever judged can be
judged again without its file. Each is judged as of when it came: freshness by the moment on record. What has changed
since does not come back: it is compared with what other datasets list today, and no waiver counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidegate.application.gating import asked
from tidegate.application.platform import Platform
from tidegate.application.references import listings, values
from tidegate.application.revisions import period_window
from tidegate.domain.canonical import utc_time
from tidegate.domain.contract import Contract, GateReport, judge
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.evidence import Verdict
from tidegate.domain.state import BatchRow


@dataclass(frozen=True)
class Tried:
    """One drop: what was made of it then, and what would be; ``fault`` says why that cannot be told.

    ``others`` says that rows would be set aside which were not, or the other way round.
    """

    row: BatchRow
    report: GateReport | None
    fault: str = ""
    others: bool = False

    @property
    def flips(self) -> str:
        """Return what changes: ``blocked``, ``opened``, ``rows`` (other rows set aside) or nothing."""
        if self.report is None:
            return ""
        if bool(self.report.stops) == bool(self.row.batch):
            return "blocked" if self.report.stops else "opened"
        return "rows" if self.others else ""


def shadow(
    platform: Platform, dataset: str, contract: Path | None = None, suite: Path | None = None
) -> tuple[Contract, tuple[Tried, ...]]:
    """Run a contract and suite, of which at least one is another file, over every drop of the dataset on record.

    Raises:
        BadInput: neither file, one that does not parse (every fault with its line), or nothing came yet.
    """
    if contract is None and suite is None:
        raise BadInput(
            "nothing-proposed",
            "got neither a contract nor a suite, expected a file to try",
            "add --suite FILE or --contract FILE",
        )
    proposed = platform.contracts.proposed(dataset, contract, suite)
    state = platform.ledger.state()
    rows = sorted(state.select(BatchRow, dataset=dataset), key=lambda row: (row.period, row.sequence))
    if not rows:
        known = ", ".join(sorted({row.dataset for row in state.select(BatchRow)})) or "none yet"
        raise BadInput(
            "unknown-batch",
            f"got no drop of {dataset} on record, expected one of: {known}",
            "ingest one first",
        )
    lists = {each.reference.name: values(platform, each) for each in listings(platform, state, proposed)}
    return proposed, tuple(_tried(platform, proposed, row, rows, lists, suite) for row in rows)


def _tried(
    platform: Platform,
    contract: Contract,
    row: BatchRow,
    rows: Sequence[BatchRow],
    lists: Mapping[str, Sequence[str]],
    suite: Path | None,
) -> Tried:
    try:
        table = platform.batches.whole(contract, row.batch, row.quarantine_root)
    except DependencyFailed as failed:
        return Tried(row, None, failed.sentence)
    results = asked(platform, contract, table, row.period, lists, suite)
    # As when it came: what restates a period is late by its nature.
    restates = any(each.batch and each.period == row.period and each.sequence < row.sequence for each in rows)
    promised = replace(contract, max_age=None) if restates else contract
    end = period_window(row.period)[1]
    report = judge(promised, table.num_rows, results, end, utc_time(row.occurred_at))
    return Tried(row, report, others=_others(platform, row, report))


def _others(platform: Platform, row: BatchRow, report: GateReport) -> bool:
    if report.quarantined != row.quarantined:
        return True
    held = platform.batches.held(row.dataset, row.quarantine_root) if row.quarantined else ()
    return any(each["row"] not in report.reasons for each in held)


def facts(tried: Tried) -> dict[str, Any]:
    """Return one drop's outcome as a script reads it, with every check beside what it was on record."""
    row, report = tried.row, tried.report
    before = {check["id"]: check for check in row.report.get("checks", ())}
    about = {
        "period": row.period,
        "revision": row.revision,
        "drop": row.drop,
        "batch": row.batch,
        "then": {"verdict": row.verdict, "read": row.read, "quarantined": row.quarantined},
        "flips": tried.flips,
        "fault": tried.fault,
    }
    if report is None:
        return {**about, "now": None, "stops": [], "checks": []}
    checks = [
        {
            "id": each.check.id,
            "severity": str(each.check.severity),
            "on_row": str(each.check.on_row),
            "verdict": str(each.verdict),
            "failing": len(each.failing),
            "evaluated": each.evaluated,
            "sentence": each.sentence,
            "executor": each.executor,
            "then": before[each.check.id]["verdict"] if each.check.id in before else None,
        }
        for each in report.results
    ]
    return {
        **about,
        "now": {
            "verdict": str(report.verdict),
            "read": report.read,
            "quarantined": report.quarantined,
            "blocked": bool(report.stops),
        },
        "stops": [{"rule": each.rule, "code": each.code, "sentence": each.sentence} for each in report.stops],
        "checks": checks,
    }


def findings(tried: Tried) -> list[dict[str, Any]]:
    """Return the checks of a drop that would not pass."""
    return [check for check in facts(tried)["checks"] if check["verdict"] != Verdict.PASSED]
