"""Metrics against scikit-learn's, and intervals against a bootstrap that copies rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from tidegate.adapters.shared.measures import METRICS, brier_difference, day_numbers, probability_metrics


def days_of(days, rows, *, effect=0.0, seed=0):
    """Return labels, scores and day numbers; every day has its own rate, ``effect`` apart."""
    draw = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    scores = np.round(draw.uniform(0.05, 0.6, days * rows), 2)  # rounded, so that there are ties
    rate = np.clip(scores + effect * draw.standard_normal(days)[day], 0, 1)
    return (draw.random(days * rows) < rate).astype(float), scores, day


def test_values_are_those_of_scikit_learn_ties_included():
    labels, scores, day = days_of(12, 150, effect=0.1)
    found = probability_metrics(labels, scores, day, resamples=100, seed=1)
    assert tuple(found) == METRICS
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
    for name in METRICS:
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
    gain = brier_difference(labels, scores, baseline, day, resamples=400, seed=1)
    assert gain.value == pytest.approx(
        brier_score_loss(labels, baseline) - brier_score_loss(labels, scores), abs=1e-12
    )
    assert gain.low > 0
    assert gain.method == "paired, 95 % percentile interval, 400 resamples of 30 whole days"
    loss = brier_difference(labels, baseline, scores, day, resamples=400, seed=1)
    assert (loss.value, loss.low, loss.high) == pytest.approx((-gain.value, -gain.high, -gain.low))
    same = brier_difference(labels, scores, scores, day, resamples=400, seed=1)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_rows_may_say_better_where_days_cannot_tell():
    # The candidate says 0.3 and the champion 0.2; whether that is better is a matter of the day.
    rate = np.array([0.05, 0.6, 0.1, 0.5, 0.05, 0.6, 0.1, 0.35])
    day = np.repeat(np.arange(8), 500)
    labels = np.concatenate([(np.arange(500) < 500 * each).astype(float) for each in rate])
    candidate, champion = np.full(4000, 0.3), np.full(4000, 0.2)
    by_day = brier_difference(labels, candidate, champion, day, resamples=400, seed=1)
    by_row = brier_difference(labels, candidate, champion, np.arange(4000), resamples=400, seed=1)
    assert by_row.low > 0
    assert by_day.low < 0 < by_day.high
    assert by_day.value == pytest.approx(by_row.value)


def test_rows_that_are_not_the_same_cannot_be_compared():
    with pytest.raises(ValueError, match="got 3 labels, 2 scores, 3 baseline scores and 3 days"):
        brier_difference(np.zeros(3), np.zeros(2), np.zeros(3), np.zeros(3, np.int64), resamples=100, seed=1)
    with pytest.raises(ValueError, match="at least one"):
        brier_difference(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, np.int64), resamples=100, seed=1)


def test_a_day_begins_at_its_hour():
    times = np.array(["2013-03-16T08:59:59", "2013-03-16T09:00:00", "2013-03-17T08:59:59"], "datetime64[us]")
    assert np.diff(day_numbers(times, 9)).tolist() == [1, 0]
    assert np.diff(day_numbers(times, 0)).tolist() == [0, 1]
