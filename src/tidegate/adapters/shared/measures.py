"""Metrics of probabilities, with intervals that resample whole days.

Rows of one day share their weather, their crews and their queues, so they are not independent: an
interval over single rows is far too narrow. Days are drawn with replacement and all rows of a drawn day
come along (the cluster, or block, bootstrap: Davison & Hinkley 1997, *Bootstrap Methods and their
Application*, §3.8; Künsch 1989, *Annals of Statistics* 17:1217-1241, for dependent data). Intervals are
percentile intervals (Efron 1979, *Annals of Statistics* 7:1-26). With few days they are somewhat narrow,
which is why the number of days is part of the method's name.

Nothing is resampled row by row: every metric is a ratio of sums over days, so a resample is a vector of
day counts times a small matrix.

    roc_auc          P(score of a positive > score of a negative) + ½ P(equal)   Hanley & McNeil 1982
    brier            mean (p - y)²                                               Brier 1950
    log_loss         mean -(y ln p + (1-y) ln (1-p)), p clipped at 1e-15         Good 1952
    calibration_gap  mean p - mean y
    base_rate        mean y
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tidegate.domain.evidence import Measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_CLIP = 1e-15
MEANS = ("brier", "log_loss", "calibration_gap", "base_rate")
METRICS = ("roc_auc", *MEANS)


def probability_metrics(
    labels: Floats, scores: Floats, days: Ints, *, resamples: int, seed: int
) -> Mapping[str, Measure]:
    """Measure probabilities against outcomes.

    Args:
        labels: 0 or 1, shape (n,).
        scores: predicted probabilities of 1, shape (n,).
        days: the day of each row as any integer, shape (n,).
        resamples: how many times the days are drawn.
        seed: of the draw; the same seed gives the same interval.

    Returns:
        One measure per metric. ``roc_auc`` is missing where only one class occurs: it has no value there.
    """
    n = len(labels)
    if n == 0:
        return {}
    _, day = np.unique(days, return_inverse=True)
    count = int(day.max()) + 1
    draws = _draws(count, resamples, seed)
    rows = _losses(labels, scores)
    size = np.bincount(day, minlength=count).astype(np.float64)
    measures = {
        name: _measure(*_ratio(np.bincount(day, rows[name], count), size, draws), n, count) for name in MEANS
    }
    positive = labels == 1
    if positive.any() and not positive.all():
        wins = _wins(scores, positive, day, count)
        ones = np.bincount(day[positive], minlength=count).astype(np.float64)
        value = float(wins.sum() / (ones.sum() * (size - ones).sum()))
        pairs = (draws @ ones) * (draws @ (size - ones))
        with np.errstate(divide="ignore", invalid="ignore"):
            resampled = ((draws @ wins) * draws).sum(axis=1) / pairs
        measures = {"roc_auc": _measure(value, resampled[pairs > 0], n, count), **measures}
    return measures


def brier_difference(
    labels: Floats, scores: Floats, baseline: Floats, days: Ints, *, resamples: int, seed: int
) -> Measure:
    """Measure the Brier gain of ``scores`` over ``baseline`` on the same rows: above zero is better.

    Both are judged on the same drawn days, so what makes a day hard cancels out.
    """
    if not 0 < len(labels) == len(scores) == len(baseline) == len(days):
        raise ValueError(
            f"got {len(labels)} labels, {len(scores)} scores, {len(baseline)} baseline scores and "
            f"{len(days)} days, expected the same rows, at least one"
        )
    gain = (baseline - labels) ** 2 - (scores - labels) ** 2
    _, day = np.unique(days, return_inverse=True)
    count = int(day.max()) + 1
    size = np.bincount(day, minlength=count).astype(np.float64)
    value, resampled = _ratio(np.bincount(day, gain, count), size, _draws(count, resamples, seed))
    return _measure(value, resampled, len(labels), count, "paired, ")


def day_numbers(times: NDArray[np.datetime64], day_starts_hour: int) -> Ints:
    """Return the day each time belongs to, where a day begins at ``day_starts_hour`` UTC."""
    shifted = times.astype("datetime64[us]") - np.timedelta64(day_starts_hour, "h")
    return shifted.astype("datetime64[D]").astype(np.int64)


def _losses(labels: Floats, scores: Floats) -> Mapping[str, Floats]:
    safe = np.clip(scores, _CLIP, 1 - _CLIP)
    return {
        "brier": (scores - labels) ** 2,
        "log_loss": -(labels * np.log(safe) + (1 - labels) * np.log1p(-safe)),
        "calibration_gap": scores - labels,
        "base_rate": labels,
    }


def _draws(days: int, resamples: int, seed: int) -> Floats:
    """Return how often each day occurs in each resample, shape (resamples, days)."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(days, np.full(days, 1 / days), size=resamples).astype(np.float64)


def _ratio(sums: NDArray[Any], sizes: Floats, draws: Floats) -> tuple[float, Floats]:
    return float(sums.sum() / sizes.sum()), (draws @ sums) / (draws @ sizes)


def _wins(scores: Floats, positive: NDArray[np.bool_], day: Ints, count: int) -> Floats:
    """Return W[d, e]: pairs of a positive of day d and a negative of day e that are ranked right, ties ½."""
    wins = np.zeros((count, count))
    ones, ones_day = scores[positive], day[positive]
    zeros, zeros_day = scores[~positive], day[~positive]
    for other in range(count):
        negatives = np.sort(zeros[zeros_day == other])
        below = np.searchsorted(negatives, ones, "left")
        upto = np.searchsorted(negatives, ones, "right")
        wins[:, other] = np.bincount(ones_day, (below + upto) / 2, count)
    return wins


def _measure(value: float, resampled: Floats, n: int, days: int, prefix: str = "") -> Measure:
    if days == 1 or not len(resampled):
        return Measure(value, n, method="no interval: one day")
    low, high = np.quantile(resampled, (0.025, 0.975))
    method = f"{prefix}95 % percentile interval, {len(resampled)} resamples of {days} whole days"
    return Measure(value, n, float(low), float(high), method)
