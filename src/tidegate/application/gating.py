"""What every run of a gate does, whether a drop came or held-back rows were mended: measure, judge, keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidegate.application.platform import Platform
from tidegate.application.ports import Table
from tidegate.application.references import Listing, listing_facts, values
from tidegate.application.revisions import period_window
from tidegate.domain.contract import NOTHING, CheckResult, Contract, GateReport, judge, of_its_period
from tidegate.domain.evolution import promised
from tidegate.domain.waiver import NOBODY_STAYS, Stays, Use, Waivers


def measured(
    platform: Platform,
    contract: Contract,
    found: tuple[Listing, ...],
    table: Table,
    period: str,
    waivers: Waivers,
    *,
    first: bool,
    left: Mapping[int, tuple[str, ...]] = NOTHING,
    stays: Stays = NOBODY_STAYS,
) -> GateReport:
    """Run the suite on the table of a period, see that its rows are of that period, and judge it.

    ``waivers`` say what somebody lets through (G6). Freshness is promised of a period's ``first`` delivery: what
    restates or mends it is late by its nature. ``left`` are rows that stay set aside, whatever is found of them, and
    ``stays`` is what was let in before.
    """
    results = asked(
        platform, contract, table, period, {each.reference.name: values(platform, each) for each in found}
    )
    promised = contract if first else replace(contract, max_age=None)
    end = period_window(period)[1]
    return judge(promised, table.num_rows, results, end, platform.clock.now(), waivers, left, stays)


def asked(
    platform: Platform,
    contract: Contract,
    table: Table,
    period: str,
    lists: Mapping[str, Sequence[str]],
    suite: Path | None = None,
) -> tuple[CheckResult, ...]:
    """Return what the checks of a drop found, with that of its period where rows stray from it."""
    strays = platform.batches.strays(contract, table, period)
    results = platform.gate.run(contract, table, lists, suite)
    return (*results, *of_its_period(period, table.num_rows, strays))


def kept(
    platform: Platform,
    contract: Contract,
    found: tuple[Listing, ...],
    table: Table,
    report: GateReport,
    erased: int = 0,
) -> dict[str, Any]:
    """Write the good rows and the bad ones, each by content; return what the ledger says of them.

    ``erased`` counts the rows that were read and left out: read = accepted + quarantined + erased.

    Raises:
        DependencyFailed: a store is full, gone or was altered.
    """
    segment = platform.batches.quarantine(contract, table, report)
    batch = "" if report.stops else platform.batches.accept(contract, table, report.reasons)[0]
    return {
        "batch": batch,
        "verdict": str(report.verdict),
        "read": report.read + erased,
        "accepted": report.accepted,
        "quarantined": report.quarantined,
        "quarantine_root": segment.root,
        "contract": contract.digest,
        "report": {
            **report_facts(contract, report, platform.gate.tool, listing_facts(found)),
            **({"erased": erased} if erased else {}),
        },
    }


def report_facts(
    contract: Contract, report: GateReport, tool: str, against: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return what the ledger keeps of a gate run; ``against`` names the lists of other datasets it used."""
    checks = [
        {
            "id": result.check.id,
            "severity": str(result.check.severity),
            "on_row": str(result.check.on_row),
            "verdict": str(result.verdict),
            "evaluated": result.evaluated,
            "failing": len(result.failing),
            "sentence": result.sentence,
            "executor": result.executor,
        }
        for result in report.results
    ]
    stops = [{"rule": stop.rule, "code": stop.code, "sentence": stop.sentence} for stop in report.stops]
    return {
        "contract_version": contract.version,
        "columns": dict(promised(contract.columns, contract.delivered)),
        "tool": tool,
        "references": against,
        "checks": checks,
        "stops": stops,
    }


def let_in(report: Mapping[str, Any]) -> tuple[Use, ...]:
    """Return by which waivers a recorded batch holds what it holds: its own uses, and those it was mended from."""
    return tuple(Use(**use) for use in (*report.get("waived", ()), *report.get("stays", ())))


def waiving(report: GateReport, waivers: Waivers, whose: Sequence[str]) -> dict[str, Any]:
    """Return what the ledger keeps of waivers (G6): those in force, their uses, what lapsed; and for whom it came."""
    return {
        "waivers": dict(waivers.in_force),
        "waived": [use.as_dict() for use in report.waived],
        "lapsed": dict(report.lapsed),
        "brought_for": list(whose),
    }
