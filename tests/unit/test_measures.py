"""Metrics against scikit-learn's, intervals against a bootstrap that copies rows, and what holds for any rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    roc_auc_score,
    root_mean_squared_error,
)

from tidegate.adapters.shared.measures import (
    METRICS,
    day_numbers,
    expected_brier,
    loss_difference,
    loss_of,
    mean_of,
    prediction_metrics,
)
from tidegate.domain.evidence import LOSSES

KINDS = ("probability", "number")


def probability_metrics(labels, scores, days, **how):
    return prediction_metrics("probability", labels, scores, days, **how)


def days_of(days, rows, *, effect=0.0, seed=0):
    """Return labels, scores and day numbers; every day has its own rate, ``effect`` apart."""
    draw = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    scores = np.round(draw.uniform(0.05, 0.6, days * rows), 2)  # rounded, so that there are ties
    rate = np.clip(scores + effect * draw.standard_normal(days)[day], 0, 1)
    return (draw.random(days * rows) < rate).astype(float), scores, day


def minutes_of(days, rows, *, effect=0.0, seed=0):
    """Return labels, scores and day numbers in minutes; every day is shifted, ``effect`` apart."""
    draw = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    scores = draw.normal(10, 15, days * rows)
    noise = draw.laplace(0, 8, days * rows) + effect * draw.standard_normal(days)[day]
    return scores + noise, scores, day


ROWS = {"probability": days_of, "number": minutes_of}


def test_values_of_numbers_are_those_of_scikit_learn():
    labels, scores, day = minutes_of(12, 150, effect=5)
    found = prediction_metrics("number", labels, scores, day, resamples=100, seed=1)
    assert tuple(found) == METRICS["number"][:-1]
    assert found["mae"].value == pytest.approx(mean_absolute_error(labels, scores), rel=1e-12)
    assert found["rmse"].value == pytest.approx(root_mean_squared_error(labels, scores), rel=1e-12)
    assert found["calibration_gap"].value == pytest.approx(scores.mean() - labels.mean(), rel=1e-9)
    assert found["base_rate"].value == pytest.approx(labels.mean(), rel=1e-12)
    assert {measure.n for measure in found.values()} == {1800}


def test_intervals_of_numbers_and_of_skill_are_those_of_copying_whole_days():
    labels, scores, day = minutes_of(9, 40, effect=6, seed=3)
    found = prediction_metrics("number", labels, scores, day, resamples=200, seed=5, base_rate=8.0)
    draws = np.random.default_rng(5).multinomial(9, np.full(9, 1 / 9), size=200)
    copied = {"mae": [], "rmse": [], "skill": []}
    for counts in draws:
        rows = np.concatenate([np.flatnonzero(day == each) for each in range(9) for _ in range(counts[each])])
        copied["mae"].append(mean_absolute_error(labels[rows], scores[rows]))
        copied["rmse"].append(root_mean_squared_error(labels[rows], scores[rows]))
        copied["skill"].append(1 - copied["mae"][-1] / np.abs(labels[rows] - 8.0).mean())
    for name, values in copied.items():
        low, high = np.quantile(values, (0.025, 0.975))
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-10)
        assert found[name].method == "95 % percentile interval, 200 resamples of 9 whole days"


def test_values_are_those_of_scikit_learn_ties_included():
    labels, scores, day = days_of(12, 150, effect=0.1)
    found = probability_metrics(labels, scores, day, resamples=100, seed=1)
    assert tuple(found) == METRICS["probability"][:-1]
    assert found["roc_auc"].value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found["brier"].value == pytest.approx(brier_score_loss(labels, scores), abs=1e-12)
    assert found["log_loss"].value == pytest.approx(log_loss(labels, scores), abs=1e-12)
    assert found["calibration_gap"].value == pytest.approx(scores.mean() - labels.mean(), abs=1e-12)
    assert found["base_rate"].value == pytest.approx(labels.mean(), abs=1e-12)
    assert {measure.n for measure in found.values()} == {1800}


def test_intervals_are_those_of_copying_whole_days():
    labels, scores, day = days_of(9, 40, effect=0.2, seed=3)
    found = probability_metrics(labels, scores, day, resamples=200, seed=5)
    draws = np.random.default_rng(5).multinomial(9, np.full(9, 1 / 9), size=200)
    copied = {"roc_auc": [], "brier": [], "calibration_gap": []}
    for counts in draws:
        rows = np.concatenate([np.flatnonzero(day == each) for each in range(9) for _ in range(counts[each])])
        copied["roc_auc"].append(roc_auc_score(labels[rows], scores[rows]))
        copied["brier"].append(brier_score_loss(labels[rows], scores[rows]))
        copied["calibration_gap"].append(scores[rows].mean() - labels[rows].mean())
    for name, values in copied.items():
        low, high = np.quantile(values, (0.025, 0.975))
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-12)
        assert found[name].method == "95 % percentile interval, 200 resamples of 9 whole days"


def test_days_that_differ_make_the_interval_wider_than_single_rows_would():
    labels, scores, day = days_of(30, 200, effect=0.2)
    by_day = probability_metrics(labels, scores, day, resamples=400, seed=1)["base_rate"]
    by_row = probability_metrics(labels, scores, np.arange(len(day)), resamples=400, seed=1)["base_rate"]
    assert by_day.high - by_day.low > 3 * (by_row.high - by_row.low)


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    # 30 days of 20 rows, days 0.1 apart: the percentile interval of few days is known to be a little narrow.
    draw = np.random.default_rng(11)
    covered = 0
    for _ in range(300):
        rate = np.clip(0.3 + 0.1 * draw.standard_normal(30), 0, 1)
        labels = (draw.random(600) < np.repeat(rate, 20)).astype(float)
        found = probability_metrics(
            labels,
            np.full(600, 0.3),
            np.repeat(np.arange(30), 20),
            resamples=200,
            seed=int(draw.integers(1e6)),
        )["base_rate"]
        covered += found.low <= 0.3 <= found.high
    assert 0.89 <= covered / 300 <= 0.98


def test_the_same_seed_gives_the_same_interval_and_another_another():
    labels, scores, day = days_of(10, 50, effect=0.1)
    first, again, other = (
        probability_metrics(labels, scores, day, resamples=200, seed=seed)["brier"] for seed in (1, 1, 2)
    )
    assert first == again
    assert first.low != other.low


def test_the_order_of_rows_and_the_numbers_of_days_change_nothing():
    labels, scores, day = days_of(10, 50, effect=0.1)
    turned = np.random.default_rng(2).permutation(len(day))
    first = probability_metrics(labels, scores, day, resamples=200, seed=1)
    other = probability_metrics(labels[turned], scores[turned], 7 * day[turned] - 900, resamples=200, seed=1)
    for name in first:
        assert other[name].value == pytest.approx(first[name].value, abs=1e-12)
        assert other[name].low == pytest.approx(first[name].low, abs=1e-12)


def test_one_day_has_a_value_and_no_interval():
    labels, scores, _ = days_of(1, 100)
    found = probability_metrics(labels, scores, np.zeros(100, np.int64), resamples=200, seed=1)["brier"]
    assert (found.low, found.high, found.method) == (None, None, "no interval: one day")


def test_where_one_class_occurs_there_is_no_auc_and_the_rest_stands():
    found = probability_metrics(np.zeros(20), np.full(20, 0.2), np.arange(20), resamples=100, seed=1)
    assert "roc_auc" not in found
    assert found["brier"].value == pytest.approx(0.04)
    assert probability_metrics(np.zeros(0), np.zeros(0), np.zeros(0, np.int64), resamples=100, seed=1) == {}


def test_a_certain_mistake_costs_a_finite_log_loss():
    found = probability_metrics(
        np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.arange(2), resamples=100, seed=1
    )
    assert np.isfinite(found["log_loss"].value)


def test_a_difference_of_brier_scores_is_above_zero_for_the_better_and_zero_for_the_same():
    labels, scores, day = days_of(30, 100)
    baseline = np.full(len(labels), labels.mean())
    gain = loss_difference("probability", labels, scores, baseline, day, resamples=400, seed=1)
    assert gain.value == pytest.approx(
        brier_score_loss(labels, baseline) - brier_score_loss(labels, scores), abs=1e-12
    )
    assert gain.low > 0
    assert gain.method == "paired, 95 % percentile interval, 400 resamples of 30 whole days"
    loss = loss_difference("probability", labels, baseline, scores, day, resamples=400, seed=1)
    assert (loss.value, loss.low, loss.high) == pytest.approx((-gain.value, -gain.high, -gain.low))
    same = loss_difference("probability", labels, scores, scores, day, resamples=400, seed=1)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_rows_may_say_better_where_days_cannot_tell():
    # The candidate says 0.3 and the champion 0.2; whether that is better is a matter of the day.
    rate = np.array([0.05, 0.6, 0.1, 0.5, 0.05, 0.6, 0.1, 0.35])
    day = np.repeat(np.arange(8), 500)
    labels = np.concatenate([(np.arange(500) < 500 * each).astype(float) for each in rate])
    candidate, champion = np.full(4000, 0.3), np.full(4000, 0.2)
    by_day = loss_difference("probability", labels, candidate, champion, day, resamples=400, seed=1)
    by_row = loss_difference(
        "probability", labels, candidate, champion, np.arange(4000), resamples=400, seed=1
    )
    assert by_row.low > 0
    assert by_day.low < 0 < by_day.high
    assert by_day.value == pytest.approx(by_row.value)


def test_rows_that_are_not_the_same_cannot_be_compared():
    with pytest.raises(ValueError, match="got 3 labels, 2 scores, 3 baseline scores and 3 days"):
        loss_difference(
            "probability", np.zeros(3), np.zeros(2), np.zeros(3), np.zeros(3, np.int64), resamples=100, seed=1
        )
    with pytest.raises(ValueError, match="at least one"):
        loss_difference(
            "probability", np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, np.int64), resamples=100, seed=1
        )


def test_a_day_begins_at_its_hour():
    times = np.array(["2013-03-16T08:59:59", "2013-03-16T09:00:00", "2013-03-17T08:59:59"], "datetime64[us]")
    assert np.diff(day_numbers(times, 9)).tolist() == [1, 0]
    assert np.diff(day_numbers(times, 0)).tolist() == [0, 1]


# ── what holds for any rows ───────────────────────────────────────────────────────────────────────


@st.composite
def judged(draw):
    """Return a kind, and any labels, two sets of scores and days of it."""
    kind = draw(st.sampled_from(KINDS))
    size = draw(st.integers(1, 40))
    if kind == "probability":
        label, score = st.sampled_from([0.0, 1.0]), st.floats(0, 1)
    else:
        label = score = st.floats(-1e6, 1e6)

    def column(values):
        return np.array(draw(st.lists(values, min_size=size, max_size=size)))

    return kind, column(label), column(score), column(score), column(st.integers(-3, 6)).astype(np.int64)


ANY = settings(max_examples=150, deadline=None)
HOW = {"resamples": 100, "seed": 3}


@ANY
@given(judged())
def test_a_gain_is_antisymmetric_with_its_interval_turned(rows):
    kind, labels, scores, others, days = rows
    there = loss_difference(kind, labels, scores, others, days, **HOW)
    back = loss_difference(kind, labels, others, scores, days, **HOW)
    scale = max(1.0, abs(there.value))
    assert back.value == pytest.approx(-there.value, abs=1e-9 * scale)
    if there.low is None:
        assert (there.high, back.low, back.high) == (None, None, None)
    else:
        assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-6)


@ANY
@given(judged())
def test_a_gain_is_the_difference_of_the_losses(rows):
    kind, labels, scores, others, days = rows
    gain = loss_difference(kind, labels, scores, others, days, **HOW)
    losses = [loss_of(kind, labels, each, days, **HOW).value for each in (others, scores)]
    assert gain.value == pytest.approx(losses[0] - losses[1], rel=1e-9, abs=1e-6)


@ANY
@given(judged())
def test_a_loss_is_zero_where_every_score_is_right_and_never_below(rows):
    kind, labels, scores, _, days = rows
    assert loss_of(kind, labels, labels, days, **HOW).value == 0
    assert loss_of(kind, labels, scores, days, **HOW).value >= 0


@ANY
@given(judged(), st.floats(0.05, 0.95))
def test_the_skill_of_the_base_rate_itself_is_zero_and_of_what_is_right_one(rows, base_rate):
    kind, labels, _, _, days = rows
    assume(not (labels == base_rate).all())  # where the base rate is always right there is no skill to have
    always = np.full(len(labels), base_rate)
    itself = prediction_metrics(kind, labels, always, days, base_rate=base_rate, **HOW)["skill"]
    assert itself.value == 0
    assert (itself.low, itself.high) in [(0, 0), (None, None)]
    right = prediction_metrics(kind, labels, labels, days, base_rate=base_rate, **HOW)["skill"]
    assert right.value == 1
    assert (right.low, right.high) in [(1, 1), (None, None)]


@ANY
@given(judged())
def test_an_interval_lies_within_the_best_and_the_worst_day(rows):
    kind, labels, scores, _, days = rows
    found = prediction_metrics(kind, labels, scores, days, **HOW)
    for name in (LOSSES[kind], "calibration_gap", "base_rate"):
        each = [
            prediction_metrics(kind, labels[days == day], scores[days == day], days[days == day], **HOW)[name]
            for day in np.unique(days)
        ]
        measure, values = found[name], [one.value for one in each]
        slack = 1e-9 * max(1.0, *map(abs, values))
        assert min(values) - slack <= measure.value <= max(values) + slack
        if measure.low is not None:
            assert min(values) - slack <= measure.low <= measure.high <= max(values) + slack


@pytest.mark.parametrize("kind", KINDS)
def test_an_interval_holds_its_own_value_on_all_but_freak_days(kind):
    for seed in range(20):
        labels, scores, day = ROWS[kind](20, 30, effect=0.1, seed=seed)
        found = prediction_metrics(kind, labels, scores, day, resamples=400, seed=seed, base_rate=0.3)
        assert tuple(found) == METRICS[kind]
        for measure in found.values():
            assert measure.low < measure.value < measure.high


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_better_than_the_base_rate_has_skill(kind):
    labels, scores, day = ROWS[kind](30, 100)
    base = float(labels.mean())
    skill = prediction_metrics(kind, labels, scores, day, base_rate=base, **HOW)["skill"]
    gain = loss_difference(kind, labels, scores, np.full(len(labels), base), day, **HOW)
    always = loss_of(kind, labels, np.full(len(labels), base), day, **HOW)
    assert skill.value == pytest.approx(gain.value / always.value)
    assert 0 < skill.low < skill.value < skill.high < 1


def test_a_base_rate_that_was_always_right_leaves_no_skill_to_measure():
    found = prediction_metrics("number", np.full(6, 4.0), np.arange(6.0), np.arange(6), base_rate=4.0, **HOW)
    assert "skill" not in found
    for nothing in (None, float("nan")):
        assert "skill" not in prediction_metrics(
            "number", np.arange(6.0), np.arange(6.0), np.arange(6), base_rate=nothing, **HOW
        )


def test_numbers_scale_with_their_unit_and_skill_has_none():
    labels, scores, day = minutes_of(10, 50, effect=3)
    minutes = prediction_metrics("number", labels, scores, day, base_rate=9.0, **HOW)
    seconds = prediction_metrics("number", 60 * labels, 60 * scores, day, base_rate=540.0, **HOW)
    for name in ("mae", "rmse", "calibration_gap", "base_rate"):
        assert seconds[name].value == pytest.approx(60 * minutes[name].value)
        assert seconds[name].high == pytest.approx(60 * minutes[name].high)
    assert seconds["skill"].value == pytest.approx(minutes["skill"].value)


def test_a_calibrated_probability_expects_the_brier_score_that_it_gets():
    draw = np.random.default_rng(4)
    scores = draw.beta(2, 5, 200_000)
    labels = (draw.random(200_000) < scores).astype(float)
    assert expected_brier(scores).mean() == pytest.approx(brier_score_loss(labels, scores), abs=2e-3)
    sure = np.where(scores < 0.5, 0.01, 0.99)
    assert expected_brier(sure).mean() < brier_score_loss(labels, sure) - 0.1


def test_the_mean_of_no_row_is_none():
    assert mean_of(np.zeros(0), np.zeros(0, np.int64), **HOW) is None
    for kind in KINDS:
        assert prediction_metrics(kind, np.zeros(0), np.zeros(0), np.zeros(0, np.int64), **HOW) == {}
