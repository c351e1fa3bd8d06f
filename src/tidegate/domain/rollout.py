"""The judgement of a canary: does the new version hold beside the live one, once outcomes are known?

Both versions score the same rows of a period; nobody is served the candidate's answer before it holds. The
verdict is three-valued, and no label is never a success:

    V1  fewer labels, or fewer days, than the rule asks for: inconclusive, it waits for more
    V2  the whole interval of the loss lies beyond what may be lost: failed
    V3  the whole interval lies within it: passed
    V4  anything between: inconclusive, a person decides
    V5  a measure that is no finite number: error, which is neither

What may be lost is a share of the live version's loss, so that one rule serves minutes and probabilities.
Argo Rollouts keeps the same three verdicts apart (successful, failed, inconclusive); here a measurement that
does not exist yet is inconclusive too, because labels are late by nature.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import floor, isfinite

from tidegate.domain.evidence import Measure, Verdict


@dataclass(frozen=True)
class CanaryRule:
    """What a canary must show.

    ``labelled_share`` of the scored rows must have a known outcome, on at least ``days`` distinct days; it
    may lose at most ``may_lose`` of the live version's loss (0.02: two per cent).
    """

    labelled_share: float
    days: int
    may_lose: float


#: The condition under which a version may decide but a share of a period's rows.
MAX_SHARE = "max_share"


def allotted(rows: int, most: float) -> int:
    """Return how many of a period's ``rows`` a version decides that may decide the share ``most``: never more."""
    return min(rows, floor(rows * most))


class Standing(StrEnum):
    """How a canary compares, in the words of the record."""

    WAITS = "waits"  # V1: too little is known
    WORSE = "worse"  # V2
    HOLDS = "holds"  # V3, and it is not surely better
    BETTER = "better"  # V3, and the whole interval is above zero
    UNCLEAR = "unclear"  # V4


@dataclass(frozen=True)
class CanaryVerdict:
    """What a canary's analysis concludes, and by which rule."""

    verdict: Verdict
    standing: Standing
    rule: str
    sentence: str


def judge_canary(
    rule: CanaryRule, rows: int, labelled: int, days: int, gain: Measure | None, baseline_loss: Measure | None
) -> CanaryVerdict:
    """Judge one analysis.

    Args:
        rule: what the policy asks of this tier.
        rows: how many rows both scored.
        labelled: how many of them have a known outcome.
        days: on how many distinct days those lie.
        gain: how much lower the candidate's loss is, with its interval; None while nothing is labelled.
        baseline_loss: the live version's loss on the same rows.
    """
    share = labelled / rows if rows else 0.0
    if not (share >= rule.labelled_share and days >= rule.days) or gain is None or baseline_loss is None:
        sentence = (
            f"got outcomes of {labelled} of {rows} rows ({share:.1%}) on {days} days, "
            f"expected {rule.labelled_share:.0%} on {rule.days}: it waits for labels"
        )
        return CanaryVerdict(Verdict.INCONCLUSIVE, Standing.WAITS, "V1", sentence)
    numbers = (gain.value, gain.low, gain.high, baseline_loss.value)
    if any(number is None or not isfinite(number) for number in numbers) or baseline_loss.value < 0:
        sentence = "got a gain without a finite interval, expected one over whole days"
        return CanaryVerdict(Verdict.ERROR, Standing.WAITS, "V5", sentence)
    assert gain.low is not None
    assert gain.high is not None
    floor = -rule.may_lose * baseline_loss.value
    seen = (
        f"it gains {gain.value:.4g} [{gain.low:.4g}, {gain.high:.4g}] on a loss of {baseline_loss.value:.4g}"
    )
    if gain.high < floor:
        sentence = f"{seen}: surely worse than the {rule.may_lose:.0%} it may lose"
        return CanaryVerdict(Verdict.FAILED, Standing.WORSE, "V2", sentence)
    if gain.low >= floor:
        better = gain.low > 0
        sentence = f"{seen}: {'surely better' if better else 'not worse than it may be'}"
        return CanaryVerdict(Verdict.PASSED, Standing.BETTER if better else Standing.HOLDS, "V3", sentence)
    sentence = f"{seen}: it may lose more than the {rule.may_lose:.0%} allowed, or not; a person decides"
    return CanaryVerdict(Verdict.INCONCLUSIVE, Standing.UNCLEAR, "V4", sentence)
