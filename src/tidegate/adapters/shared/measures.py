"""Metrics of predictions against outcomes, with intervals that resample whole days.

Rows of one day share whatever that day was like, so they are not independent: an
interval over single rows is far too narrow. Days are drawn with replacement and all rows of a drawn day
come along (the cluster, or block, bootstrap: Davison & Hinkley 1997, *Bootstrap Methods and their
Application*, §3.8; Künsch 1989, *Annals of Statistics* 17:1217-1241, for dependent data). Intervals are
percentile intervals (Efron 1979, *Annals of Statistics* 7:1-26). With few days they are somewhat narrow,
which is why the number of days is part of the method's name.

Nothing is resampled row by row: every metric is a function of sums over days, so a resample is a vector of
day counts times a small matrix.

Of a probability p of y being 1:

    roc_auc          P(score of a positive > score of a negative) + ½ P(equal)   Hanley & McNeil 1982
    brier            mean (p - y)²                                               Brier 1950
    log_loss         mean -(y ln p + (1-y) ln (1-p)), p clipped at 1e-15         Good 1952

Of a number p for y, all in the unit of y:

    mae              mean |p - y|                                                Willmott & Matsuura 2005
    rmse             √ mean (p - y)²

Of both:

    calibration_gap  mean p - mean y
    base_rate        mean y
    skill            1 - loss / loss of always saying one base rate              Murphy 1988

The loss is the Brier score of the one and the mean absolute error of the other (`LOSSES`). R² is left out: it
compares with the mean of the rows that are judged, which nobody knew before; `skill` with one that was known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tidegate.domain.evidence import LOSSES, Measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_CLIP = 1e-15
#: What is measured of each kind of prediction, in this order; ``skill`` only against a base rate.
METRICS: Mapping[str, tuple[str, ...]] = {
    "probability": ("roc_auc", "brier", "log_loss", "calibration_gap", "base_rate", "skill"),
    "number": ("mae", "rmse", "calibration_gap", "base_rate", "skill"),
}


def prediction_metrics(
    kind: str,
    labels: Floats,
    scores: Floats,
    days: Ints,
    *,
    resamples: int,
    seed: int,
    base_rate: float | None = None,
) -> Mapping[str, Measure]:
    """Measure predictions against outcomes.

    Args:
        kind: ``probability`` or ``number``.
        labels: what came of each row, shape (n,); 0 or 1 for a probability.
        scores: what was predicted, shape (n,).
        days: the day of each row as any integer, shape (n,).
        resamples: how many times the days are drawn.
        seed: of the draw; the same seed gives the same interval.
        base_rate: the one value that ``skill`` compares with.

    Returns:
        One measure per metric of `METRICS`; nothing where there is no row. ``roc_auc`` is missing where only
        one class occurs, ``skill`` where there is no base rate or it was always right: they have no value there.
    """
    if not len(labels):
        return {}
    drawn = _Days(days, resamples, seed)
    means = {name: term(labels, scores) for name, term in _TERMS[kind].items()}
    found = {name: drawn.mean(values) for name, values in means.items()}
    if kind == "probability" and (auc := _roc_auc(labels == 1, scores, drawn)) is not None:
        found["roc_auc"] = auc
    if kind == "number":
        found["rmse"] = drawn.mean((scores - labels) ** 2, np.sqrt)
    if base_rate is not None and np.isfinite(base_rate):
        loss = LOSSES[kind]
        always = _TERMS[kind][loss](labels, np.full(len(labels), base_rate))
        if always.sum() > 0:
            found["skill"] = drawn.ratio(means[loss], always, lambda share: 1 - share)
    return {name: found[name] for name in METRICS[kind] if name in found}


def loss_of(kind: str, labels: Floats, scores: Floats, days: Ints, *, resamples: int, seed: int) -> Measure:
    """Measure the mean loss alone (arguments as in `prediction_metrics`; at least one row)."""
    return _Days(days, resamples, seed).mean(_TERMS[kind][LOSSES[kind]](labels, scores))


def loss_difference(
    kind: str, labels: Floats, scores: Floats, baseline: Floats, days: Ints, *, resamples: int, seed: int
) -> Measure:
    """Measure by how much the loss of ``scores`` is lower than that of ``baseline``: above zero is better.

    Both are judged on the same rows and the same drawn days, so what makes a day hard cancels out.

    Raises:
        ValueError: the arrays differ in length, or are empty.
    """
    if not 0 < len(labels) == len(scores) == len(baseline) == len(days):
        raise ValueError(
            f"got {len(labels)} labels, {len(scores)} scores, {len(baseline)} baseline scores and "
            f"{len(days)} days, expected the same rows, at least one"
        )
    loss = _TERMS[kind][LOSSES[kind]]
    return _Days(days, resamples, seed, "paired, ").mean(loss(labels, baseline) - loss(labels, scores))


def mean_of(values: Floats, days: Ints, *, resamples: int, seed: int) -> Measure | None:
    """Measure a mean, such as the share of rows for which something is true; None where there is no row."""
    return _Days(days, resamples, seed).mean(values) if len(values) else None


def expected_brier(scores: Floats) -> Floats:
    """Return the Brier score that each probability expects of itself, shape (n,): p(1 - p).

    That is the mean of (p - y)² where y is 1 with probability p: what a calibrated model will score.
    """
    return scores * (1 - scores)


def day_numbers(times: NDArray[np.datetime64], day_starts_hour: int) -> Ints:
    """Return the day each time belongs to, where a day begins at ``day_starts_hour`` UTC."""
    shifted = times.astype("datetime64[us]") - np.timedelta64(day_starts_hour, "h")
    return shifted.astype("datetime64[D]").astype(np.int64)


def _log_loss(labels: Floats, scores: Floats) -> Floats:
    safe = np.clip(scores, _CLIP, 1 - _CLIP)
    return -(labels * np.log(safe) + (1 - labels) * np.log1p(-safe))


_BOTH: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "calibration_gap": lambda labels, scores: scores - labels,
    "base_rate": lambda labels, _scores: labels,
}
#: Metrics that are a mean over rows: what each row adds, from labels and scores.
_TERMS: Mapping[str, Mapping[str, Callable[[Floats, Floats], Floats]]] = {
    "probability": {
        "brier": lambda labels, scores: (scores - labels) ** 2,
        "log_loss": _log_loss,
        **_BOTH,
    },
    "number": {"mae": lambda labels, scores: np.abs(scores - labels), **_BOTH},
}


class _Days:
    """The days that rows belong to, and how often each was drawn: one draw serves all metrics of the rows."""

    def __init__(self, days: Ints, resamples: int, seed: int, prefix: str = "") -> None:
        _, self.day = np.unique(days, return_inverse=True)
        self.count = int(self.day.max()) + 1
        self.size = self.sums(np.ones(len(self.day)))
        # How often each day occurs in each resample, shape (resamples, days).
        drawn = np.random.default_rng(seed).multinomial(
            self.count, np.full(self.count, 1 / self.count), size=resamples
        )
        self.draws: Floats = drawn.astype(np.float64)
        self._prefix = prefix

    def sums(self, values: Floats) -> Floats:
        """Return the sum of each day, shape (days,)."""
        return np.bincount(self.day, values, self.count).astype(np.float64)

    def mean(self, values: Floats, then: Callable[[Floats], Floats] | None = None) -> Measure:
        """Measure the mean of one value a row, or what ``then`` makes of it."""
        return self._ratio(self.sums(values), self.size, then)

    def ratio(self, over: Floats, under: Floats, then: Callable[[Floats], Floats] | None = None) -> Measure:
        """Measure the ratio of two sums over rows, or what ``then`` makes of it."""
        return self._ratio(self.sums(over), self.sums(under), then)

    def _ratio(self, over: Floats, under: Floats, then: Callable[[Floats], Floats] | None) -> Measure:
        below = self.draws @ under
        resampled = (self.draws @ over)[below != 0] / below[below != 0]
        value = np.asarray(over.sum() / under.sum())
        return self.measure(*((value, resampled) if then is None else (then(value), then(resampled))))

    def measure(self, value: Floats, resampled: Floats) -> Measure:
        """Return a value with the percentile interval of its resamples."""
        rows = len(self.day)
        if self.count == 1 or not len(resampled):
            return Measure(float(value), rows, method="no interval: one day")
        low, high = np.quantile(resampled, (0.025, 0.975))
        method = f"95 % percentile interval, {len(resampled)} resamples of {self.count} whole days"
        return Measure(float(value), rows, float(low), float(high), self._prefix + method)


def _roc_auc(positive: NDArray[np.bool_], scores: Floats, days: _Days) -> Measure | None:
    if positive.all() or not positive.any():
        return None
    wins = _wins(scores, positive, days.day, days.count)
    ones = days.sums(positive.astype(np.float64))
    value = wins.sum() / (ones.sum() * (days.size - ones).sum())
    pairs = (days.draws @ ones) * (days.draws @ (days.size - ones))
    won = ((days.draws @ wins) * days.draws).sum(axis=1)
    return days.measure(np.asarray(value), won[pairs > 0] / pairs[pairs > 0])


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
