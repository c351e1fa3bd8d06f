"""Drift of features: what a view's figures over a window come to beside a baseline's, under declared limits.

    D1  a verdict on a feature is what its recorded figures come to under the limits that it names

Three measures can be limited. Each moves one way or the other alike:

    missing_shift  how far the share of rows without a usable value lies from the baseline's
    mean_shift     how far the mean lies from the baseline's, in standard deviations of the baseline
    psi            the population stability index of the values, over the bins of the baseline's histogram

The population stability index is the sum over bins of (q - p) · ln(q / p), where p is the baseline's share of values
in a bin and q the window's: Jeffreys' divergence (An invariant form for the prior probability, 1946), under the name
that credit scoring gives it (Siddiqi, Credit Risk Scorecards, 2006). The outer bins are open, so that no value falls
beside them. A bin that is empty on one side counts as half a value there; one that is empty on both says nothing.
Between two samples of n and m values of one distribution the index is about (bins - 1) · (1/n + 1/m) by chance
(Yurdakul, Statistical properties of the population stability index, 2018): where that reaches the limit it cannot tell.

A measure without a limit has no verdict, and none is a pass. Drift is information: no gate asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import isfinite, log
from typing import Any

from tidegate.domain.canonical import digest
from tidegate.domain.evidence import Verdict, worst

Figures = Mapping[str, Any]
_EMPTY = 0.5


class Shift(StrEnum):
    """What of a feature can be limited."""

    MISSING = "missing_shift"
    MEAN = "mean_shift"
    PSI = "psi"


@dataclass(frozen=True)
class Limits:
    """What a team allows of a view: how far each measure may go beside the baseline period.

    Fewer than ``minimum_rows`` on either side say nothing; of means and bins, fewer values.
    """

    baseline: str
    minimum_rows: int
    limits: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return them as a payload."""
        limits = {str(name): limit for name, limit in sorted(self.limits.items())}
        return {"baseline": self.baseline, "minimum_rows": self.minimum_rows, "limits": limits}

    @property
    def digest(self) -> str:
        """Name them by their content."""
        return digest(self.as_dict())


@dataclass(frozen=True)
class Found:
    """What one measure of a feature came to; no ``value`` where there was none to take."""

    verdict: Verdict
    value: float | None
    limit: float
    sentence: str


Drift = Mapping[str, Mapping[str, Found]]


def drift(
    limits: Limits,
    then: Mapping[str, Figures],
    now: Mapping[str, Figures],
    counts: Mapping[str, Sequence[int]],
) -> Drift:
    """Return what each limited measure of each feature came to, by feature and measure.

    ``then`` and ``now`` hold the figures of baseline and window; ``counts`` the window's values in the bins of the
    baseline's histogram, by feature. Of what is no number only missing values are judged.
    """
    found = {}
    for name in sorted(now):
        sides = then.get(name, {}), now[name]
        measures = [each for each in Shift if each in limits.limits and judgeable(each, now[name])]
        found[name] = {str(each): _judged(each, limits, *sides, counts.get(name)) for each in measures}
    return found


def judgeable(measure: str, figures: Figures) -> bool:
    """Say whether a measure says anything of a feature of this kind: of words there is no mean and no bin."""
    return measure == Shift.MISSING or figures.get("kind") == "numeric"


def overall(found: Drift) -> Verdict:
    """Return the worst verdict; of nothing it is inconclusive."""
    return worst(each.verdict for measures in found.values() for each in measures.values())


def as_dict(found: Drift) -> dict[str, Any]:
    """Return what was found as a payload."""
    return {
        name: {measure: {**asdict(each), "verdict": str(each.verdict)} for measure, each in measures.items()}
        for name, measures in found.items()
    }


def cuts(figures: Figures) -> tuple[float, ...]:
    """Return where the bins of a histogram of numbers meet, without its outer edges; nothing where there is none."""
    bins = (figures.get("histogram") or {}).get("bins", ()) if figures.get("kind") == "numeric" else ()
    return tuple(bins[1:-1])


def psi(then: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index of two counts over the same bins, neither of them all empty."""
    before, after = sum(then), sum(now)
    pairs = [
        (max(p, _EMPTY) / before, max(q, _EMPTY) / after) for p, q in zip(then, now, strict=True) if p or q
    ]
    return sum((q - p) * log(q / p) for p, q in pairs)


def _judged(
    measure: Shift, limits: Limits, then: Figures, now: Figures, counts: Sequence[int] | None
) -> Found:
    limit, least = limits.limits[measure], max(limits.minimum_rows, 1)
    if not then:
        return Found(Verdict.ERROR, None, limit, "the baseline has no figures of it")
    of, what = (_rows, "rows") if measure is Shift.MISSING else (_values, "values")
    if min(of(then), of(now)) < least:
        few = f"got {of(now)} {what} beside {of(then)}, expected at least {least} of each"
        return Found(Verdict.INCONCLUSIVE, None, limit, few)
    if measure is Shift.MISSING:
        taken, told = _missing(then, now)
    elif measure is Shift.MEAN:
        taken, told = _mean(then, now)
    else:
        taken, told = _psi((then.get("histogram") or {}).get("counts", ()), counts or (), limit)
    if isinstance(taken, Verdict):
        return Found(taken, None, limit, told)
    if not isfinite(taken):
        return Found(Verdict.ERROR, None, limit, "what it comes to is no finite number")
    value = float(f"{taken:.6g}")  # as it is recorded, so that whoever checks it comes to the same
    verdict = Verdict.PASSED if abs(value) <= limit else Verdict.FAILED
    return Found(verdict, value, limit, f"{told}; at most {limit:g} is allowed")


# Each measure returns its value, or the verdict where it has none, and what there is to say.


def _missing(then: Figures, now: Figures) -> tuple[float | Verdict, str]:
    before, after = ((_rows(side) - _values(side)) / _rows(side) for side in (then, now))
    return after - before, f"{after:.2%} missing, {before:.2%} in the baseline"


def _mean(then: Figures, now: Figures) -> tuple[float | Verdict, str]:
    mean, center, spread = now.get("mean"), then.get("mean"), then.get("stddev")
    if mean is None or center is None or spread is None:
        return Verdict.ERROR, "a mean, or the spread of the baseline, is no finite number"
    if not spread:
        return Verdict.INCONCLUSIVE, f"the baseline is {center:.4g} throughout: no spread to measure in"
    shift = (mean - center) / spread
    return shift, f"mean {mean:.4g}, {center:.4g} in the baseline: {shift:+.2f} of its standard deviations"


def _psi(then: Sequence[int], now: Sequence[int], limit: float) -> tuple[float | Verdict, str]:
    if not sum(then) or not sum(now) or len(then) != len(now):
        return Verdict.ERROR, "its values were not counted in the bins of the baseline"
    chance = (len(then) - 1) * (1 / sum(then) + 1 / sum(now))
    if chance >= limit:
        few = f"{sum(now)} values beside {sum(then)} in {len(then)} bins"
        return (
            Verdict.INCONCLUSIVE,
            f"{few} come to {chance:.2g} by chance alone; at most {limit:g} is allowed",
        )
    index = psi(then, now)
    return index, f"population stability index {index:.3g}"


def _rows(figures: Figures) -> int:
    return int(figures["row_count"])


def _values(figures: Figures) -> int:
    return _rows(figures) - int(figures["null_count"]) - int(figures.get("not_finite", 0))
