"""What a feature's figures come to under limits: by measure, either way, and never a pass where none can be told."""

from __future__ import annotations

from math import isclose
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.canonical import canonical
from tidegate.domain.evidence import Verdict
from tidegate.domain.feature_drift import Figures, Found, Limits, Shift, as_dict, cuts, drift, overall, psi

EVERY = {Shift.MISSING: 0.05, Shift.MEAN: 0.5, Shift.PSI: 0.2}
BINS = [float(edge) for edge in range(5)]


def figures(counts: list[int] | None = None, **more: Any) -> Figures:
    """Return figures of a thousand rows in four bins, ten of them without a value."""
    counts = counts or [240, 250, 250, 250]
    there = {
        "kind": "numeric",
        "row_count": 1000,
        "null_count": 10,
        "not_finite": 0,
        "mean": 2.0,
        "stddev": 1.0,
    }
    return {**there, "histogram": {"bins": BINS, "counts": counts}, **more}


def found(
    then: Figures, now: Figures, limits: dict[str, float] | None = None, least: int = 100
) -> dict[str, Found]:
    counts = {"level": now["histogram"]["counts"]} if now.get("histogram") else {}
    asked = Limits("2013-04", least, EVERY if limits is None else limits)
    return dict(drift(asked, {"level": then}, {"level": now}, counts)["level"])


def test_the_same_figures_pass_each_measure() -> None:
    told = found(figures(), figures())
    assert {name: each.verdict for name, each in told.items()} == dict.fromkeys(EVERY, Verdict.PASSED)
    assert told["mean_shift"].sentence == (
        "mean 2, 2 in the baseline: +0.00 of its standard deviations; at most 0.5 is allowed"
    )


@pytest.mark.parametrize(
    ("measure", "more", "value"),
    [
        ("missing_shift", {"null_count": 110}, 0.1),
        ("missing_shift", {"null_count": 0, "not_finite": 110}, 0.1),
        ("mean_shift", {"mean": 2.75}, 0.75),
        ("mean_shift", {"mean": 1.25}, -0.75),
        ("psi", {"histogram": {"bins": BINS, "counts": [690, 100, 100, 100]}}, None),
    ],
)
def test_each_measure_fails_alone_and_either_way(
    measure: str, more: dict[str, Any], value: float | None
) -> None:
    told = found(figures(), figures(**more))
    assert {name for name, each in told.items() if each.verdict is Verdict.FAILED} == {measure}
    assert value is None or told[measure].value == value
    assert told[measure].sentence.endswith(f"at most {EVERY[Shift(measure)]:g} is allowed")


def test_fewer_missing_values_are_a_shift_as_well() -> None:
    told = found(figures(null_count=110), figures())["missing_shift"]
    assert (told.verdict, told.value) == (Verdict.FAILED, -0.1)
    assert told.sentence == "1.00% missing, 11.00% in the baseline; at most 0.05 is allowed"


def test_a_measure_without_a_limit_has_no_verdict() -> None:
    told = found(figures(), figures(mean=9.0), {Shift.MISSING: 0.05})
    assert set(told) == {"missing_shift"}


def test_too_few_rows_or_values_on_either_side_are_inconclusive_however_far_they_moved() -> None:
    few = figures(row_count=99, null_count=0, mean=9.0)
    for then, now in ((figures(), few), (few, figures())):
        told = found(then, now)
        assert {each.verdict for each in told.values()} == {Verdict.INCONCLUSIVE}
    assert found(figures(), few)["missing_shift"].sentence == (
        "got 99 rows beside 1000, expected at least 100 of each"
    )
    hollow = found(figures(), figures(null_count=950, mean=9.0))
    assert hollow["missing_shift"].verdict is Verdict.FAILED, "of all its rows it can be told"
    assert hollow["mean_shift"].sentence == "got 50 values beside 990, expected at least 100 of each"


def test_no_rows_at_all_are_inconclusive_whatever_the_least_is() -> None:
    none = figures([0, 0, 0, 0], row_count=0, null_count=0, mean=None, stddev=None)
    told = found(none, none, least=0)
    assert {each.verdict for each in told.values()} == {Verdict.INCONCLUSIVE}


def test_a_constant_baseline_has_no_spread_to_measure_in() -> None:
    told = found(figures(stddev=0.0), figures(mean=9.0))["mean_shift"]
    assert (told.verdict, told.value) == (Verdict.INCONCLUSIVE, None)
    assert told.sentence == "the baseline is 2 throughout: no spread to measure in"


@pytest.mark.parametrize(
    ("then", "now", "sentence"),
    [
        (figures(mean=None), figures(), "a mean, or the spread of the baseline, is no finite number"),
        (figures(stddev=None), figures(), "a mean, or the spread of the baseline, is no finite number"),
        (figures(), figures(mean=None), "a mean, or the spread of the baseline, is no finite number"),
        (figures(stddev=5e-324), figures(mean=9.0), "what it comes to is no finite number"),
    ],
)
def test_what_cannot_be_measured_is_an_error(then: Figures, now: Figures, sentence: str) -> None:
    told = found(then, now)["mean_shift"]
    assert (told.verdict, told.sentence) == (Verdict.ERROR, sentence)


@pytest.mark.parametrize("counted", [[], [1, 2], [0, 0, 0, 0]])
def test_values_that_were_not_counted_in_the_bins_of_the_baseline_are_an_error(counted: list[int]) -> None:
    told = drift(Limits("2013-04", 2, {Shift.PSI: 0.2}), {"a": figures()}, {"a": figures()}, {"a": counted})
    assert (told["a"]["psi"].verdict, overall(told)) == (Verdict.ERROR, Verdict.ERROR)


def test_a_feature_that_the_baseline_did_not_have_is_an_error() -> None:
    told = drift(Limits("2013-04", 2, EVERY), {}, {"a": figures()}, {})
    assert {each.sentence for each in told["a"].values()} == {"the baseline has no figures of it"}
    assert overall(told) is Verdict.ERROR


def test_an_index_that_chance_alone_would_reach_is_inconclusive() -> None:
    few = figures([10, 10, 10, 10], row_count=40, null_count=0)
    told = found(few, few, {Shift.PSI: 0.15}, least=2)["psi"]
    assert told.verdict is Verdict.INCONCLUSIVE
    assert (
        told.sentence == "40 values beside 40 in 4 bins come to 0.15 by chance alone; at most 0.15 is allowed"
    )
    assert found(few, few, {Shift.PSI: 0.16}, least=2)["psi"].verdict is Verdict.PASSED


def test_of_words_only_what_is_missing_is_judged() -> None:
    words = {"kind": "categorical", "row_count": 200, "null_count": 0, "histogram": {"counts": [200]}}
    assert set(found(words, words)) == {"missing_shift"}
    assert cuts(words) == ()
    nothing = drift(Limits("2013-04", 2, {Shift.MEAN: 0.5}), {"a": words}, {"a": words}, {})
    assert overall(nothing) is Verdict.INCONCLUSIVE, "nothing judged is no pass"


def test_the_outer_bins_are_open() -> None:
    assert cuts(figures()) == (1.0, 2.0, 3.0)
    assert cuts(figures(histogram=None)) == ()


def test_limits_are_named_by_all_that_they_say() -> None:
    one = Limits("2013-04", 100, EVERY)
    assert one.digest == Limits("2013-04", 100, dict(reversed(EVERY.items()))).digest
    others = (
        Limits("2013-05", 100, EVERY),
        Limits("2013-04", 99, EVERY),
        Limits("2013-04", 100, {**EVERY, Shift.PSI: 0.3}),
    )
    assert len({one.digest, *(each.digest for each in others)}) == 4


SOME = st.integers(1, 40).flatmap(
    lambda bins: st.tuples(
        *[st.lists(st.integers(0, 10**6), min_size=bins, max_size=bins).filter(any) for _ in range(2)]
    )
)


@given(SOME)
def test_the_index_is_never_negative_and_the_same_from_both_sides(both: tuple[list[int], list[int]]) -> None:
    then, now = both
    assert psi(then, now) >= 0
    assert isclose(psi(then, now), psi(now, then), rel_tol=1e-9, abs_tol=1e-12)
    assert psi(then, then) == 0


@given(SOME, st.integers(2, 50))
def test_the_index_rests_on_shares_where_no_bin_is_empty(
    both: tuple[list[int], list[int]], times: int
) -> None:
    then, now = ([count + 1 for count in side] for side in both)
    assert isclose(psi(then, [times * count for count in now]), psi(then, now), rel_tol=1e-9, abs_tol=1e-12)


NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
SIDES = st.builds(
    lambda counts, nulls, odd, mean, spread, low: figures(
        counts,
        row_count=sum(counts) + nulls + odd,
        null_count=nulls,
        not_finite=odd,
        mean=mean,
        stddev=spread,
        histogram={"bins": [low + edge for edge in range(len(counts) + 1)], "counts": counts},
    ),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=20),
    st.integers(0, 1000),
    st.integers(0, 1000),
    NUMBERS,
    st.none() | st.floats(0, allow_infinity=False),
    st.integers(-5, 5),
)
LIMITS = st.dictionaries(st.sampled_from(list(Shift)), st.floats(0, 1e6), min_size=1)


@given(SIDES, SIDES, LIMITS, st.integers(2, 2000))
def test_every_limited_measure_has_one_verdict_and_a_pass_has_a_value_within_its_limit(
    then: Figures, now: Figures, limits: dict[str, float], least: int
) -> None:
    told = found(then, now, limits, least)
    assert set(told) == set(limits)
    for measure, each in told.items():
        assert (each.value is None) == (each.verdict in {Verdict.INCONCLUSIVE, Verdict.ERROR})
        if each.value is not None:
            assert (abs(each.value) <= limits[measure]) == (each.verdict is Verdict.PASSED)
            assert min(side["row_count"] for side in (then, now)) >= least
    assert canonical(as_dict({"level": told})), "it can be recorded whatever it is"


@given(SIDES, SIDES, st.floats(0, 1e3), st.floats(0, 1e3))
def test_a_wider_limit_never_turns_a_pass_into_a_failure(
    then: Figures, now: Figures, one: float, other: float
) -> None:
    narrow, wide = (found(then, now, dict.fromkeys(Shift, limit), 2) for limit in sorted((one, other)))
    for measure, each in narrow.items():
        if each.verdict is Verdict.PASSED:
            assert wide[measure].verdict is Verdict.PASSED
