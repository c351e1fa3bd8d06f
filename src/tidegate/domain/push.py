"""What a gate asks of pushed rows: a few of a period whose drop has not come yet.

A push is judged row by row, by the checks of its contract that can name rows. What a contract promises of a whole
period cannot be asked of a few of its rows: table-level checks, volume, freshness and the share of bad rows wait for
the period's drop, which is gated as a whole. A row-level check that found nothing to evaluate says nothing here.

    G7  a row is pushed for a period that it names, and before that period's drop is accepted: afterwards the drop
        is the truth, and a push of which no row is left goes no further
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import MAXYEAR, UTC, date, datetime
from typing import Any

from tidegate.domain.contract import CheckResult, Contract, GateReport, Stop, judge
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import Verdict
from tidegate.domain.waiver import NONE, Waivers

#: Why a row is set aside that no check found bad.
NO_PERIOD, DELIVERED = "push:no-period", "push:delivered"
_DATE_PARTS = 3
_DAY = len("2013-01-31")


def for_push(contract: Contract) -> Contract:
    """Return what of a contract is asked of a push: its checks of single rows."""
    checks = tuple(check for check in contract.checks if check.row_level)
    return replace(contract, checks=checks, min_rows=0, max_rows=2**53, max_age=None, quarantine_limit=1.0)


def period_of_row(values: Sequence[object]) -> str:
    """Return the period that a row's period columns name, empty where they name none.

    They are a year, with a month, with a day, as whole numbers; or one date or moment, which counts by its day in UTC.
    A period of the calendar's last year names none: no moment comes after it.
    """
    if len(values) == 1 and isinstance(values[0], date):
        when = values[0].astimezone(UTC) if isinstance(values[0], datetime) else values[0]
        return when.isoformat()[:_DAY] if when.year < MAXYEAR else ""
    parts = [value for value in values if isinstance(value, int)]
    if len(parts) != len(values) or not 0 < len(parts) <= _DATE_PARTS or parts[0] == MAXYEAR:
        return ""
    try:
        date(*parts, *[1] * (_DATE_PARTS - len(parts)))
    except (ValueError, OverflowError):
        return ""
    return "-".join(f"{part:0{width}d}" for part, width in zip(parts, (4, 2, 2), strict=False))


def delivered(period: str, periods: Collection[str]) -> bool:
    """Say whether a drop of these periods is about this one: of it, of what it is a part of, or of a part of it."""
    return any(f"{each}-".startswith(f"{period}-") or f"{period}-".startswith(f"{each}-") for each in periods)


def held_period(report: Mapping[str, Any], occurred_at: str) -> str:
    """Return the period that a push's held-back rows are kept by: what all its rows name, or the day it came on."""
    return str(report.get("period") or occurred_at[:_DAY])


def nobody_left(rows: int) -> GateReport:
    """Return what is said of a push of which only rows of subjects came who were erased."""
    told = f"nothing of its {many(rows, 'row')} may go on: whoever they are about was erased"
    return GateReport(Verdict.FAILED, 0, {}, (), (Stop("G7", "nothing-left", told),))


def judge_push(
    contract: Contract,
    periods: Sequence[str],
    periods_delivered: Collection[str],
    results: Sequence[CheckResult],
    now: datetime,
    waivers: Waivers = NONE,
) -> GateReport:
    """Judge a push by what the checks of its rows found; ``periods`` holds each row's, empty where it has none."""
    said = [each for each in results if each.evaluated or each.verdict is not Verdict.INCONCLUSIVE]
    silent = {each.check.id for each in results} - {each.check.id for each in said}
    asked = for_push(contract)
    asked = replace(asked, checks=tuple(check for check in asked.checks if check.id not in silent))
    report = replace(judge(asked, len(periods), said, None, now, waivers), results=tuple(results))
    if report.stops:
        return report
    reasons = dict(report.reasons)
    for position, period in enumerate(periods):
        if not period or delivered(period, periods_delivered):
            reasons[position] = (*reasons.get(position, ()), DELIVERED if period else NO_PERIOD)
    report = replace(report, reasons=dict(sorted(reasons.items())))
    if report.accepted:
        return report
    stop = Stop(
        "G7", "nothing-left", f"nothing of its {many(len(periods), 'row')} may go on ({_counted(reasons)})"
    )
    return replace(report, verdict=Verdict.FAILED, stops=(stop,), waived=(), lapsed={})


def size_fault(contract: Contract, rows: int, name: str) -> BadInput | None:
    """Return why a push has not the number of rows that its contract lets one have, or None where it has."""
    least, most = contract.push or (0, 0)
    if least <= rows <= most:
        return None
    return BadInput(
        "push-size",
        f"got {name} with {'more than ' if rows > most else ''}{min(rows, most)} rows, expected {least} to {most} "
        f"in one push of {contract.dataset}",
        "push them in parts" if rows > most else "push more at once",
    )


def _counted(reasons: Mapping[int, Sequence[str]]) -> str:
    counts = Counter(code for codes in reasons.values() for code in codes)
    return ", ".join(f"{code}: {count}" for code, count in sorted(counts.items()))
