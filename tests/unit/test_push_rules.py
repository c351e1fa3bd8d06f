"""What is asked of pushed rows, over any rows, periods and findings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.contract import Check, CheckResult, Contract, OnRow, Severity, judge
from tidegate.domain.evidence import Verdict
from tidegate.domain.push import (
    DELIVERED,
    NO_PERIOD,
    delivered,
    for_push,
    judge_push,
    period_of_row,
    size_fault,
)
from tidegate.testing.tides import TIDES

NOW = datetime(2013, 2, 1, 6, tzinfo=UTC)
PERIODS = ("2013", "2013-01", "2013-01-31", "2013-02", "2013-02-01", "2014-01-01")
ROWS = 6


def check(rule: str, severity: Severity, on_row: OnRow) -> Check:
    return Check(rule, "expect_column_values_to_be_between", severity, on_row, True, f"{rule} holds")


CHECKS = tuple(
    check(f"C{number}", severity, on_row)
    for number, (severity, on_row) in enumerate(
        (severity, on_row) for severity in Severity for on_row in OnRow
    )
)
WHOLE = Check("W1", "expect_table_row_count_to_be_between", Severity.CRITICAL, OnRow.KEEP, False, "rows came")
CONTRACT = replace(TIDES, checks=(*CHECKS, WHOLE), push=(1, ROWS))


@st.composite
def found(draw: st.DrawFn) -> tuple[CheckResult, ...]:
    """Draw what each check of single rows finds: nothing to look at, no bad row, some, or no measure."""
    results = []
    for each in CHECKS:
        kind = draw(st.sampled_from(("silent", "passed", "failed", "error")))
        failing = (
            tuple(sorted(draw(st.sets(st.integers(0, ROWS - 1), min_size=1)))) if kind == "failed" else ()
        )
        verdict = Verdict.INCONCLUSIVE if kind == "silent" else Verdict(kind)
        results.append(CheckResult(each, verdict, 0 if kind in {"silent", "error"} else ROWS, failing))
    return tuple(results)


gone = st.sets(st.sampled_from(PERIODS), max_size=3)


@given(st.lists(st.sampled_from(("", *PERIODS[1:])), min_size=ROWS, max_size=ROWS), gone, found())
def test_each_row_goes_on_or_is_held_back_with_its_reasons(
    of_rows: list[str], there: set[str], results: tuple[CheckResult, ...]
) -> None:
    report = judge_push(CONTRACT, of_rows, there, results, NOW)
    assert report.read == report.accepted + report.quarantined == ROWS
    assert report.results == results
    assert all(report.reasons[place] for place in report.reasons)
    went = [place for place in range(ROWS) if place not in report.reasons]
    assert bool(report.stops) == (not went)
    assert (report.verdict is Verdict.PASSED) == bool(went)
    for place in went:
        assert of_rows[place]
        assert not delivered(of_rows[place], there)
        assert not any(place in each.failing for each in results if each.check.on_row is OnRow.QUARANTINE)


@given(found())
def test_what_could_not_be_measured_and_what_is_critical_and_kept_stops_it_as_it_stops_a_drop(
    results: tuple[CheckResult, ...],
) -> None:
    """The same judge, but for what a few rows cannot say: a check that looked at none of them."""
    pushed = judge_push(CONTRACT, ("2013-02-01",) * ROWS, (), results, NOW)
    said = tuple(each for each in results if each.verdict is not Verdict.INCONCLUSIVE)
    asked = replace(
        CONTRACT, checks=tuple(each.check for each in said), min_rows=0, max_age=None, quarantine_limit=1.0
    )
    drop = judge(asked, ROWS, said, None, NOW)
    assert [stop.rule for stop in drop.stops] == [stop.rule for stop in pushed.stops if stop.rule != "G7"]


def test_nothing_that_a_contract_promises_of_a_period_is_asked() -> None:
    asked = for_push(CONTRACT)
    assert [each.id for each in asked.checks] == [each.id for each in CHECKS]
    (result,) = (CheckResult(each, Verdict.PASSED, 1) for each in CHECKS[:1])
    one = replace(CONTRACT, checks=CHECKS[:1], min_rows=1000, quarantine_limit=0.0, max_age=timedelta(0))
    assert judge_push(one, ["2013-02-01"], (), [result], NOW).accepted == 1


def test_where_no_check_says_anything_nothing_goes_on() -> None:
    silent = [CheckResult(each, Verdict.INCONCLUSIVE, 0) for each in CHECKS]
    report = judge_push(CONTRACT, ["2013-02-01"], (), silent, NOW)
    assert (report.accepted, [stop.code for stop in report.stops]) == (0, ["no-checks"])


def test_a_row_keeps_all_its_reasons() -> None:
    results = [replace(CheckResult(each, Verdict.PASSED, 2)) for each in CHECKS]
    results[0] = CheckResult(CHECKS[0], Verdict.FAILED, 2, (0,))
    report = judge_push(CONTRACT, ["2013-01-31", "", "2013-02-01"], {"2013-01"}, results, NOW)
    assert dict(report.reasons) == {0: (CHECKS[0].id, DELIVERED), 1: (NO_PERIOD,)}


@given(st.sampled_from(PERIODS), st.sampled_from(PERIODS))
def test_a_period_is_delivered_with_what_holds_it_and_with_what_it_holds(one: str, other: str) -> None:
    assert delivered(one, {other}) == delivered(other, {one})
    days = {day for day in PERIODS[2::2] if day.startswith(one)} & {
        day for day in PERIODS[2::2] if day.startswith(other)
    }
    assert delivered(one, {other}) or not days


@pytest.mark.parametrize(
    ("period", "there", "said"),
    [
        ("2013-01", "2013-1", False), ("2013-01", "2013-01", True), ("2013-01", "2013", True),
        ("2013-01", "2013-01-02", True), ("2013-01", "2013-10", False), ("2013-1", "2013-10", False),
    ],
)  # fmt: skip
def test_a_period_is_no_prefix_of_another_by_its_digits_alone(period: str, there: str, said: bool) -> None:
    assert delivered(period, {there}) is said


EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("values", "period"),
    [
        ((2013,), "2013"), ((2013, 2), "2013-02"), ((2013, 2, 3), "2013-02-03"), ((33, 2), "0033-02"),
        ((date(2013, 2, 3),), "2013-02-03"), ((datetime(2013, 2, 3, 1, tzinfo=EAST),), "2013-02-02"),
        ((2013, 13), ""), ((2013, 2, 30), ""), ((2013, None), ""), ((None,), ""), ((0,), ""), ((10**30,), ""),
        ((), ""), ((2013, 1, 1, 1), ""),
    ],
)  # fmt: skip
def test_a_row_names_its_period_or_none(values: tuple[object, ...], period: str) -> None:
    assert period_of_row(values) == period


def test_the_size_of_a_push_is_the_contracts() -> None:
    assert [size_fault(replace(CONTRACT, push=(2, 3)), rows, "x") is None for rows in range(1, 5)] == [
        False, True, True, False,
    ]  # fmt: skip
    fault = size_fault(CONTRACT, ROWS + 1, "rows.jsonl")
    assert fault is not None
    assert fault.sentence == "got rows.jsonl with more than 6 rows, expected 1 to 6 in one push of tides"
    assert size_fault(Contract(**{**vars(CONTRACT), "push": None}), 1, "x") is not None
