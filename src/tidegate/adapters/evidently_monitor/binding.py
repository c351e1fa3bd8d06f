"""What binds: one piece of evidence per measure of the monitor's file, and what the model itself expected."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.adapters.evidently_monitor.declaration import SHARE_MEASURES, Limit, Plan
from tidegate.adapters.evidently_monitor.rows import Period
from tidegate.domain.evidence import Evidence, Measure, Verdict

RESAMPLES, SEED = 2000, 20130101


def binding_evidence(plan: Plan, period: Period, base_rate: float, subject: str) -> tuple[Evidence, ...]:
    """Return one piece of evidence per binding measure, in the file's order.

    ``base_rate`` is the mean label of the reference, NaN where it has no labels.
    """
    tool = _tool()
    outcome = _outcome_measures(period, base_rate)
    said = {**plan.outcome_measures, **SHARE_MEASURES}
    evidence = []
    for name, limit in plan.binding.items():
        verdict, sentence, measure = _judged(name, limit, plan, period, outcome)
        values = {} if measure is None else {name: measure}
        evidence.append(Evidence(name, subject, verdict, f"{said[name]}: {sentence}", tool, values))
    return tuple(evidence)


def performance(plan: Plan, period: Period, subject: str) -> tuple[Evidence, ...]:
    """Return the realised Brier score beside the one that the probabilities expected of themselves.

    It is information. The estimate needs no label and is there before any; the verdict is on the labelled
    decisions, pair by pair: failed where the interval of the difference excludes zero. A number comes without
    a distribution, so it expects nothing of itself, and nothing is returned.
    """
    if period.prediction != "probability" or not period.table.num_rows:
        return ()
    kind, tool = "performance", _tool()
    if wrong := _unsound(period):
        return (Evidence(kind, subject, Verdict.ERROR, wrong, tool),)
    from tidegate.adapters.shared.measures import expected_brier, loss_of, mean_of

    rows, how = period.labelled, {"resamples": RESAMPLES, "seed": SEED}
    hoped = expected_brier(period.scores)
    expected = mean_of(hoped, period.days, **how)
    assert expected is not None  # there is a decision
    told = f"the model itself expected a Brier score of {expected.value:.4f} on {expected.n:,} decisions"
    if not rows.any():
        sentence = f"{told}; no outcome is known yet"
        return (Evidence(kind, subject, Verdict.INCONCLUSIVE, sentence, tool, {"expected_brier": expected}),)
    labels, scores, days = period.labels[rows], period.scores[rows], period.days[rows]
    realised = loss_of(period.prediction, labels, scores, days, **how)
    beyond = mean_of((scores - labels) ** 2 - hoped[rows], days, **how)
    if beyond is None or beyond.low is None or beyond.high is None or _too_few(plan, period):
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.PASSED if beyond.low <= 0 <= beyond.high else Verdict.FAILED
    values = {"brier": realised, "expected_brier": expected}
    sentence = f"{told}; got {realised.value:.4f}{_interval(realised)} on the {realised.n:,} with an outcome"
    return (Evidence(kind, subject, verdict, sentence, tool, values),)


def _unsound(period: Period) -> str:
    """Say how many scores are not what is predicted, if any."""
    wrong = int((~period.sound).sum())
    kind = "probability" if period.prediction == "probability" else "finite number"
    return f"{wrong} of {len(period.scores)} scores are no {kind}" if wrong else ""


def _too_few(plan: Plan, period: Period) -> str:
    """Say that too little is known of what came, if so."""
    import numpy as np

    rows, days = int(period.labelled.sum()), len(np.unique(period.days[period.labelled]))
    if rows >= plan.minimum_rows and days >= plan.minimum_days:
        return ""
    return (
        f"got {rows} labelled decisions on {days} days, expected at least {plan.minimum_rows} "
        f"on {plan.minimum_days}"
    )


def _interval(measure: Measure) -> str:
    return " no interval" if measure.low is None else f" [{measure.low:.4f}, {measure.high:.4f}]"


def _tool() -> str:
    import numpy as np

    return f"numpy {np.__version__}"


def _judged(
    name: str, limit: Limit, plan: Plan, period: Period, outcome: Mapping[str, Measure]
) -> tuple[Verdict, str, Measure | None]:
    if not period.table.num_rows:
        return Verdict.ERROR, "there is no decision to judge", None
    on_outcomes = name in plan.outcome_measures
    if on_outcomes and (wrong := _unsound(period)):
        return Verdict.ERROR, wrong, None
    measure = outcome.get(name) if on_outcomes else _share(name, period)
    # Labels are late by nature: that few are known says nothing yet, not even of the share that is missing.
    if (on_outcomes or name == "unlabelled_share") and (few := _too_few(plan, period)):
        return Verdict.INCONCLUSIVE, few, measure
    if measure is None:
        return Verdict.ERROR, "it has no value: one class only, or a reference without labels", None
    verdict = _within(measure, limit)
    return (
        verdict,
        f"got {measure.value:.4f}{_interval(measure)}, expected {limit.words}{_worst(name, period)}",
        measure,
    )


def _within(measure: Measure, limit: Limit) -> Verdict:
    """Failed where the whole interval is beyond the limit, inconclusive where the limit is inside it."""
    if measure.low is None or measure.high is None:
        return Verdict.INCONCLUSIVE
    if measure.high < limit.low or measure.low > limit.high:
        return Verdict.FAILED
    if measure.low < limit.low or measure.high > limit.high:
        return Verdict.INCONCLUSIVE
    return Verdict.PASSED


def _outcome_measures(period: Period, base_rate: float) -> Mapping[str, Measure]:
    import numpy as np

    from tidegate.adapters.shared.measures import loss_difference, prediction_metrics

    rows, kind = period.labelled & period.sound, period.prediction
    if not rows.any():
        return {}
    labels, scores, days = period.labels[rows], period.scores[rows], period.days[rows]
    measures = dict(prediction_metrics(kind, labels, scores, days, resamples=RESAMPLES, seed=SEED))
    if not np.isnan(base_rate):
        always = np.full(len(labels), base_rate)
        measures["gain_over_base_rate"] = loss_difference(
            kind, labels, scores, always, days, resamples=RESAMPLES, seed=SEED
        )
    return measures


def _share(name: str, period: Period) -> Measure | None:
    """Measure the share of rows for which something is true, over all rows of the period."""
    import numpy as np

    from tidegate.adapters.shared.measures import mean_of

    flags, days = {
        "missing_share": (period.missing, period.days),
        "unlabelled_share": (~period.labelled, period.days),
        "unscored_share": (period.unscored, period.expected_days),
    }[name]
    return mean_of(np.asarray(flags, dtype=np.float64), days, resamples=RESAMPLES, seed=SEED)


def _worst(name: str, period: Period) -> str:
    """Name the inputs that are missing most, so that one broken source is seen as one."""
    if name != "missing_share" or not period.missing_by_input:
        return ""
    ranked = sorted(period.missing_by_input.items(), key=lambda item: (-item[1], item[0]))[:3]
    return " (" + ", ".join(f"{column}: {count} rows" for column, count in ranked) + ")"
