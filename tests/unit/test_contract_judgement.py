"""Rules G1 to G5: when a batch stops, and that every row is either accepted or quarantined."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.contract import Check, CheckResult, Contract, GateReport, OnRow, Severity, Stop, judge
from tidegate.domain.evidence import Verdict

NOW = datetime(2013, 2, 2, tzinfo=UTC)
CLOSED = datetime(2013, 2, 1, tzinfo=UTC)
ROWS = 100

ROW_CHECK = Check(
    "F01", "expect_column_values_to_be_between", Severity.CRITICAL, OnRow.QUARANTINE, True, "it fits"
)
TABLE_CHECK = Check(
    "F02", "expect_table_row_count_to_equal", Severity.CRITICAL, OnRow.KEEP, False, "it is whole"
)


def a_contract(*checks: Check, **more: object) -> Contract:
    contract = Contract(
        dataset="trips",
        version="1",
        owner="operations",
        columns=(),
        key=("trip",),
        checks=checks or (ROW_CHECK, TABLE_CHECK),
        min_rows=1,
        max_rows=1000,
        max_age=timedelta(days=3),
        quarantine_limit=0.1,
        digest="sha256:contract",
    )
    return replace(contract, **more)  # type: ignore[arg-type]


def passed(check: Check, evaluated: int = ROWS) -> CheckResult:
    return CheckResult(check, Verdict.PASSED, evaluated, (), "", "fine")


def failed(check: Check, *failing: int, verdict: Verdict = Verdict.FAILED) -> CheckResult:
    return CheckResult(check, verdict, ROWS, failing, "", f"{len(failing)} of {ROWS} rows fail")


def judged(*results: CheckResult, read: int = ROWS, contract: Contract | None = None) -> GateReport:
    contract = contract or a_contract(*(result.check for result in results))
    return judge(contract, read, results, CLOSED, NOW)


def stopped(report: GateReport, *stops: Stop) -> None:
    """Assert these stops, and that the batch is held back whole, each row under the first of them."""
    assert tuple(replace(stop, about="") for stop in report.stops) == stops
    assert (report.accepted, report.quarantined) == (0, report.read)
    assert all(reasons[-1] == f"batch:{stops[0].code}" for reasons in report.reasons.values())


def test_a_batch_that_breaks_nothing_goes_on_whole() -> None:
    report = judged(passed(ROW_CHECK), passed(TABLE_CHECK))
    assert (report.verdict, report.stops, report.accepted, report.quarantined) == (
        Verdict.PASSED,
        (),
        ROWS,
        0,
    )


def test_bad_rows_are_set_aside_with_all_their_reasons() -> None:
    other = replace(ROW_CHECK, id="F03", severity=Severity.WARNING)
    report = judged(failed(ROW_CHECK, 7, 3), failed(other, 7))
    assert (report.verdict, report.accepted, report.quarantined) == (Verdict.PASSED, ROWS - 2, 2)
    assert list(report.reasons.items()) == [(3, ("F01",)), (7, ("F01", "F03"))]


def test_a_row_named_twice_by_one_check_has_one_reason() -> None:
    assert judged(failed(ROW_CHECK, 3, 3)).reasons == {3: ("F01",)}


def test_a_check_that_keeps_its_rows_sets_none_aside() -> None:
    kept = replace(ROW_CHECK, severity=Severity.WARNING, on_row=OnRow.KEEP)
    report = judged(failed(kept, 1, 2, 3))
    assert (report.verdict, report.quarantined) == (Verdict.PASSED, 0)


def test_a_check_that_passes_on_most_rows_still_sets_the_others_aside() -> None:
    assert judged(failed(ROW_CHECK, 4, verdict=Verdict.PASSED)).reasons == {4: ("F01",)}


# ── G1 ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("severity", Severity)
def test_g1_an_errored_check_stops_the_batch_whatever_its_severity(severity: Severity) -> None:
    check = replace(ROW_CHECK, severity=severity)
    report = judged(CheckResult(check, Verdict.ERROR, 0, (), "", "got no column"), passed(TABLE_CHECK))
    stopped(report, Stop("G1", "check-errored", "F01 could not measure: got no column"))
    assert report.verdict is Verdict.ERROR


@pytest.mark.parametrize("stray", [-1, ROWS, 10**9])
def test_g1_a_check_that_points_outside_the_drop_did_not_measure_it(stray: int) -> None:
    report = judged(failed(ROW_CHECK, 5, stray))
    stop = Stop("G1", "check-errored", f"F01 points at row {stray}, the drop holds {ROWS} rows")
    stopped(report, stop)
    assert set(report.reasons) == set(range(ROWS))


# ── G2 ────────────────────────────────────────────────────────────────────────────────────────────

KEEPS = replace(ROW_CHECK, on_row=OnRow.KEEP)


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(failed(TABLE_CHECK), id="table-level"),
        pytest.param(
            failed(replace(TABLE_CHECK, on_row=OnRow.QUARANTINE)), id="table-level, meant to quarantine"
        ),
        pytest.param(failed(KEEPS, 1), id="kept"),
        pytest.param(failed(ROW_CHECK), id="rows unnamed"),
    ],
)
def test_g2_a_failed_critical_check_whose_rows_cannot_be_set_aside_stops_the_batch(
    result: CheckResult,
) -> None:
    report = judged(result)
    stopped(report, Stop("G2", "critical-check", f"{result.check.id} failed: {result.sentence}"))
    assert report.verdict is Verdict.FAILED


@pytest.mark.parametrize("severity", [Severity.WARNING, Severity.INFO])
def test_g2_a_failed_check_that_is_not_critical_stops_nothing(severity: Severity) -> None:
    assert judged(failed(replace(TABLE_CHECK, severity=severity))).verdict is Verdict.PASSED


def test_g2_a_failed_critical_check_whose_rows_are_set_aside_stops_nothing() -> None:
    assert judged(failed(ROW_CHECK, 1)).stops == ()


# ── G3 ────────────────────────────────────────────────────────────────────────────────────────────


def test_g3_a_share_at_the_limit_is_quarantined_and_one_above_it_stops_the_batch() -> None:
    assert judged(failed(ROW_CHECK, *range(10))).accepted == 90
    report = judged(failed(ROW_CHECK, *range(11)))
    sentence = "11 of 100 rows (11.00%) would be quarantined, the contract allows 10.00%"
    stopped(report, Stop("G3", "quarantine-share", sentence))
    assert report.verdict is Verdict.FAILED
    assert report.reasons[0] == ("F01", "batch:quarantine-share")
    assert report.reasons[99] == ("batch:quarantine-share",)


def test_g3_a_limit_of_zero_allows_no_row() -> None:
    contract = a_contract(ROW_CHECK, quarantine_limit=0.0)
    assert [stop.rule for stop in judged(failed(ROW_CHECK, 1), contract=contract).stops] == ["G3"]
    assert judged(passed(ROW_CHECK), contract=contract).stops == ()


def test_g3_a_limit_that_is_no_number_allows_nothing() -> None:
    contract = a_contract(ROW_CHECK, quarantine_limit=float("nan"))
    assert [stop.rule for stop in judged(passed(ROW_CHECK), contract=contract).stops] == ["G3"]


# ── G4 ────────────────────────────────────────────────────────────────────────────────────────────


def test_g4_a_critical_check_that_evaluated_no_row_stops_the_batch() -> None:
    nothing = CheckResult(ROW_CHECK, Verdict.INCONCLUSIVE, 0, (), "", "no row to evaluate")
    report = judged(nothing)
    stopped(report, Stop("G4", "nothing-evaluated", "F01 evaluated no row: no row to evaluate"))
    assert report.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("verdict", [Verdict.PASSED, Verdict.FAILED])
def test_g4_a_verdict_over_no_row_at_all_is_none(verdict: Verdict) -> None:
    report = judged(CheckResult(ROW_CHECK, verdict, 0, (), "", "vacuous"))
    assert [(stop.rule, stop.code) for stop in report.stops] == [("G4", "nothing-evaluated")]


def test_g4_what_is_not_critical_may_evaluate_nothing() -> None:
    check = replace(ROW_CHECK, severity=Severity.WARNING)
    assert judged(CheckResult(check, Verdict.INCONCLUSIVE, 0, (), "", "no row")).verdict is Verdict.PASSED


def test_g4_a_suite_without_checks_measures_nothing() -> None:
    report = judge(a_contract(), ROWS, (), CLOSED, NOW)
    stopped(report, Stop("G4", "no-checks", "the suite holds no check, so nothing was measured"))
    assert report.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("severity", Severity)
def test_g4_a_check_of_the_contract_that_was_not_run_stops_the_batch(severity: Severity) -> None:
    absent = replace(TABLE_CHECK, severity=severity)
    report = judged(passed(ROW_CHECK), contract=a_contract(ROW_CHECK, absent))
    stopped(report, Stop("G4", "check-missing", "F02 was not run: it is whole"))


# ── G5 ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("read", "stops"), [(49, 1), (50, 0), (200, 0), (201, 1)])
def test_g5_the_volume_is_as_promised(read: int, stops: int) -> None:
    contract = a_contract(ROW_CHECK, min_rows=50, max_rows=200)
    report = judged(passed(ROW_CHECK, read), read=read, contract=contract)
    assert len(report.stops) == stops
    if stops:
        stopped(report, Stop("G5", "volume", f"the drop holds {read} rows, the contract promises 50 to 200"))
        assert report.verdict is Verdict.FAILED


def test_g5_an_empty_drop_is_held_back_with_no_row_lost() -> None:
    report = judged(CheckResult(ROW_CHECK, Verdict.INCONCLUSIVE, 0, (), "", "no row"), read=0)
    assert [stop.rule for stop in report.stops] == ["G4", "G5"]
    assert (report.read, report.accepted, report.quarantined) == (0, 0, 0)
    assert report.verdict is Verdict.FAILED


def test_g5_freshness_is_counted_from_the_end_of_the_period() -> None:
    contract = a_contract(ROW_CHECK)
    in_time = judge(contract, ROWS, [passed(ROW_CHECK)], NOW - timedelta(days=3), NOW)
    late = judge(contract, ROWS, [passed(ROW_CHECK)], NOW - timedelta(days=3, seconds=1), NOW)
    assert in_time.stops == ()
    stopped(
        late,
        Stop("G5", "freshness", "the drop's period closed 3.0 days ago, the contract promises at most 3.0"),
    )


def test_g5_without_a_period_a_promise_of_freshness_cannot_be_kept() -> None:
    promised, none = a_contract(ROW_CHECK), a_contract(ROW_CHECK, max_age=None)
    report = judge(promised, ROWS, [passed(ROW_CHECK)], None, NOW)
    sentence = "the drop names no period, so nobody can say whether it is fresh enough"
    stopped(report, Stop("G5", "freshness", sentence))
    assert judge(none, ROWS, [passed(ROW_CHECK)], None, NOW).stops == ()


# ── all together ──────────────────────────────────────────────────────────────────────────────────


def test_every_reason_to_stop_is_told_and_the_worst_names_the_verdict() -> None:
    errored = replace(ROW_CHECK, id="F03")
    report = judged(
        failed(ROW_CHECK, *range(50)),
        failed(TABLE_CHECK),
        CheckResult(errored, Verdict.ERROR, 0, (), "", "got no column"),
        contract=a_contract(ROW_CHECK, TABLE_CHECK, errored, max_rows=10),
    )
    assert [stop.rule for stop in report.stops] == ["G2", "G1", "G5", "G3"]
    assert report.verdict is Verdict.ERROR


checks = st.builds(
    Check,
    id=st.sampled_from(["F01", "F02", "F03"]),
    expectation=st.just("expect_something"),
    severity=st.sampled_from(Severity),
    on_row=st.sampled_from(OnRow),
    row_level=st.booleans(),
    sentence=st.just("it fits"),
)
outcomes = st.builds(
    CheckResult,
    check=checks,
    verdict=st.sampled_from(Verdict),
    evaluated=st.integers(0, 20),
    failing=st.lists(st.integers(-2, 22), max_size=12).map(tuple),
    sentence=st.just("as found"),
)


@given(
    read=st.integers(0, 20),
    results=st.lists(outcomes, max_size=4),
    limit=st.floats(0, 1) | st.just(float("nan")),
    floor=st.integers(0, 5),
    age=st.integers(-5, 5),
)
def test_every_row_read_is_either_accepted_or_quarantined(
    read: int, results: list[CheckResult], limit: float, floor: int, age: int
) -> None:
    contract = a_contract(*(result.check for result in results), quarantine_limit=limit, min_rows=floor)
    report = judge(contract, read, results, NOW - timedelta(days=age), NOW)
    assert report.read == read == report.accepted + report.quarantined
    assert set(report.reasons) <= set(range(read))
    assert list(report.reasons) == sorted(report.reasons)
    assert all(reasons and len(set(reasons)) == len(reasons) for reasons in report.reasons.values())
    assert (report.verdict is Verdict.PASSED) == (not report.stops)
    if report.stops:
        assert report.accepted == 0
    else:
        told = {check for reasons in report.reasons.values() for check in reasons}
        assert told <= {result.check.id for result in results if result.check.on_row is OnRow.QUARANTINE}
        assert report.quarantined <= limit * read


@given(results=st.lists(outcomes, min_size=1, max_size=4), seed=st.randoms())
def test_the_order_of_the_results_changes_no_verdict(results: list[CheckResult], seed: object) -> None:
    contract = a_contract(*(result.check for result in results))
    shuffled = list(results)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (judge(contract, 20, each, CLOSED, NOW) for each in (results, shuffled))
    assert one.verdict is other.verdict
    assert set(one.reasons) == set(other.reasons)


@given(result=outcomes)
def test_making_a_verdict_worse_never_lets_a_batch_through(result: CheckResult) -> None:
    order = [Verdict.PASSED, Verdict.INCONCLUSIVE, Verdict.ERROR]
    contract = a_contract(result.check)
    through = [
        not judge(contract, 20, [replace(result, verdict=verdict)], CLOSED, NOW).stops for verdict in order
    ]
    assert through == sorted(through, reverse=True)
