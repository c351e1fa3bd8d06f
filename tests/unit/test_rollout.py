"""Judging a canary: three verdicts, each for its reason, and no way from knowing nothing to a success."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate.domain.evidence import Measure, Verdict
from tidegate.domain.rollout import CanaryRule, CanaryVerdict, Standing, judge_canary

RULE = CanaryRule(labelled_share=0.8, days=5, may_lose=0.02)
#: From bad to good: what a better canary may only climb.
UPWARDS = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED)

numbers = st.floats(-10, 10, allow_nan=False)
widths = st.floats(0, 5, allow_nan=False)
losses = st.floats(0, 10, allow_nan=False)
counts = st.integers(0, 100_000)
rules = st.builds(
    CanaryRule,
    labelled_share=st.floats(0.01, 1.0),
    days=st.integers(2, 366),
    may_lose=st.floats(0.0, 1.0),
)


def gains(value: float, below: float, above: float) -> Measure:
    return Measure(value, 900, value - below, value + above, "days")


def loss(value: float = 0.2) -> Measure:
    return Measure(value, 900, value, value, "days")


def judged(
    gain: Measure | None, live: float = 0.2, *, rows: int = 1000, labelled: int = 900, days: int = 20
) -> CanaryVerdict:
    return judge_canary(RULE, rows, labelled, days, gain, loss(live))


# ── each rule, with its sentence ──────────────────────────────────────────────────────────────────


def test_v1_too_few_labels_wait_whatever_the_interval_says() -> None:
    found = judged(gains(0.1, 0.01, 0.01), labelled=799)
    assert (found.verdict, found.standing, found.rule) == (Verdict.INCONCLUSIVE, Standing.WAITS, "V1")
    assert found.sentence == (
        "got outcomes of 799 of 1000 rows (79.9%) on 20 days, expected 80% on 5: it waits for labels"
    )
    assert judged(gains(0.1, 0.01, 0.01), labelled=800).rule == "V3"


def test_v1_too_few_days_wait_however_many_rows_they_have() -> None:
    found = judged(gains(0.1, 0.01, 0.01), days=4)
    assert (found.verdict, found.rule) == (Verdict.INCONCLUSIVE, "V1")
    assert "on 4 days, expected 80% on 5" in found.sentence
    assert judged(gains(0.1, 0.01, 0.01), days=5).rule == "V3"


def test_v2_an_interval_that_lies_beyond_what_may_be_lost_fails() -> None:
    found = judged(gains(-0.02, 0.005, 0.01))  # 0.004 may be lost
    assert (found.verdict, found.standing, found.rule) == (Verdict.FAILED, Standing.WORSE, "V2")
    assert (
        found.sentence
        == "it gains -0.02 [-0.025, -0.01] on a loss of 0.2: surely worse than the 2% it may lose"
    )


def test_v3_an_interval_within_what_may_be_lost_passes() -> None:
    found = judged(gains(0.001, 0.003, 0.003))
    assert (found.verdict, found.standing, found.rule) == (Verdict.PASSED, Standing.HOLDS, "V3")
    assert found.sentence == "it gains 0.001 [-0.002, 0.004] on a loss of 0.2: not worse than it may be"


def test_v3_an_interval_above_zero_is_surely_better() -> None:
    found = judged(gains(0.01, 0.005, 0.005))
    assert (found.verdict, found.standing) == (Verdict.PASSED, Standing.BETTER)
    assert found.sentence == "it gains 0.01 [0.005, 0.015] on a loss of 0.2: surely better"


def test_v4_an_interval_across_what_may_be_lost_is_left_to_a_person() -> None:
    found = judged(gains(-0.003, 0.006, 0.006))
    assert (found.verdict, found.standing, found.rule) == (Verdict.INCONCLUSIVE, Standing.UNCLEAR, "V4")
    assert found.sentence == (
        "it gains -0.003 [-0.009, 0.003] on a loss of 0.2: it may lose more than the 2% allowed, or not; "
        "a person decides"
    )


def test_one_rule_serves_minutes_and_probabilities() -> None:
    """The same share of two losses a hundred times apart is judged alike."""
    for live in (0.2, 20.0):
        assert judged(gains(-0.003 * live, 0.0, 0.0), live).standing is Standing.HOLDS
        assert judged(gains(-0.05 * live, 0.0, 0.0), live).standing is Standing.WORSE


def test_an_interval_that_touches_what_may_be_lost_holds_and_one_that_touches_zero_is_not_better() -> None:
    rule = CanaryRule(0.8, 5, 0.5)
    at = lambda low, high: judge_canary(rule, 10, 10, 9, Measure(low, 9, low, high), loss(1.0)).standing
    assert at(-0.5, 1.0) is Standing.HOLDS
    assert at(-1.0, -0.5) is Standing.UNCLEAR
    assert at(0.0, 1.0) is Standing.HOLDS


def test_nothing_may_be_lost_where_the_live_version_loses_nothing() -> None:
    assert judged(gains(-0.001, 0.0, 0.0), 0.0).verdict is Verdict.FAILED
    assert judged(gains(0.0, 0.0, 0.0), 0.0).verdict is Verdict.PASSED


# ── what holds for every canary ───────────────────────────────────────────────────────────────────


@given(rule=rules, rows=counts, days=counts, value=numbers, width=widths)
def test_no_label_never_passes(rule: CanaryRule, rows: int, days: int, value: float, width: float) -> None:
    for gain in (None, gains(value, width, width)):
        found = judge_canary(rule, rows, 0, days, gain, loss())
        assert (found.verdict, found.rule) == (Verdict.INCONCLUSIVE, "V1")


@given(rule=rules, rows=counts, labelled=counts, days=counts)
def test_what_was_not_measured_never_passes(rule: CanaryRule, rows: int, labelled: int, days: int) -> None:
    labelled = min(rows, labelled)
    for gain, live in ((None, loss()), (gains(1.0, 0.0, 0.0), None), (None, None)):
        found = judge_canary(rule, rows, labelled, days, gain, live)
        assert (found.verdict, found.standing) == (Verdict.INCONCLUSIVE, Standing.WAITS)


@given(rule=rules, rows=counts, labelled=counts, days=counts, value=numbers, width=widths, live=losses)
def test_below_the_rules_share_or_days_it_is_always_inconclusive(
    rule: CanaryRule, rows: int, labelled: int, days: int, value: float, width: float, live: float
) -> None:
    labelled = min(rows, labelled)
    assume(rows == 0 or labelled / rows < rule.labelled_share or days < rule.days)
    found = judge_canary(rule, rows, labelled, days, gains(value, width, width), loss(live))
    assert (found.verdict, found.standing, found.rule) == (Verdict.INCONCLUSIVE, Standing.WAITS, "V1")


@given(value=numbers, below=widths, above=widths, more=widths, live=losses, rule=rules)
def test_a_canary_that_gains_more_is_never_judged_worse(
    value: float, below: float, above: float, more: float, live: float, rule: CanaryRule
) -> None:
    before, after = (
        judge_canary(rule, 100, 100, 400, gains(each, below, above), loss(live))
        for each in (value, value + more)
    )
    assert UPWARDS.index(after.verdict) >= UPWARDS.index(before.verdict)


@given(value=numbers, below=widths, above=widths, live=losses, rule=rules, laxer=st.floats(0, 1))
def test_a_laxer_rule_never_judges_worse(
    value: float, below: float, above: float, live: float, rule: CanaryRule, laxer: float
) -> None:
    lax = CanaryRule(rule.labelled_share, rule.days, max(rule.may_lose, laxer))
    strict, other = (
        judge_canary(each, 100, 100, 400, gains(value, below, above), loss(live)) for each in (rule, lax)
    )
    assert UPWARDS.index(other.verdict) >= UPWARDS.index(strict.verdict)


@given(value=numbers, below=widths, above=widths, narrower=st.floats(0, 1), live=losses, rule=rules)
def test_knowing_more_turns_no_failure_into_a_pass_and_no_pass_into_a_failure(
    value: float, below: float, above: float, narrower: float, live: float, rule: CanaryRule
) -> None:
    wide = judge_canary(rule, 100, 100, 400, gains(value, below, above), loss(live))
    narrow = judge_canary(rule, 100, 100, 400, gains(value, below * narrower, above * narrower), loss(live))
    if wide.verdict is not Verdict.INCONCLUSIVE:
        assert narrow.verdict is wide.verdict


@given(value=numbers, below=widths, above=widths, live=losses, rule=rules)
def test_a_verdict_is_what_its_interval_says_and_never_two_things(
    value: float, below: float, above: float, live: float, rule: CanaryRule
) -> None:
    gain = gains(value, below, above)
    assert gain.low is not None
    assert gain.high is not None
    found = judge_canary(rule, 100, 100, 400, gain, loss(live))
    floor = -rule.may_lose * live
    fails, passes = gain.high < floor, gain.low >= floor
    assert not (fails and passes)
    assert (found.verdict is Verdict.FAILED, found.verdict is Verdict.PASSED) == (fails, passes)
    assert (found.standing is Standing.BETTER) == (passes and gain.low > 0)
    assert found.rule in {"V2", "V3", "V4"}


@pytest.mark.parametrize("bad", [nan, inf, -inf, None])
@pytest.mark.parametrize("place", ["value", "low", "high", "live"])
def test_a_number_that_is_none_is_an_error_and_never_passes(place: str, bad: float | None) -> None:
    ends: dict[str, float | None] = {"value": 1.0, "low": 0.9, "high": 1.1, "live": 0.2, place: bad}
    gain = Measure(ends["value"], 9, ends["low"], ends["high"])  # type: ignore[arg-type]
    found = judge_canary(RULE, 1000, 900, 20, gain, Measure(ends["live"], 9))  # type: ignore[arg-type]
    assert found.verdict is Verdict.ERROR
    assert found.sentence == "got a gain without a finite interval, expected one over whole days"
    assert found.standing is Standing.WAITS  # it is measured again; nothing rises on it


def test_a_loss_below_zero_is_no_loss() -> None:
    assert judged(gains(1.0, 0.1, 0.1), -0.2).verdict is Verdict.ERROR


@given(share=st.floats(0, 1), rows=st.integers(1, 10**6))
def test_a_share_that_is_not_a_number_holds_nothing_back_from_waiting(share: float, rows: int) -> None:
    rule = CanaryRule(nan, 5, 0.02)
    found = judge_canary(rule, rows, int(share * rows), 400, gains(1.0, 0.1, 0.1), loss())
    assert found.verdict is Verdict.INCONCLUSIVE
