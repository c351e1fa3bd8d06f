"""A period's decisions beside what came of them, and the evidence that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidegate.adapters.evidently_monitor.declaration import MEASURES, OUTCOME_MEASURES, SCORE, Limit, Plan
from tidegate.adapters.shared.decisions import verify_decisions
from tidegate.adapters.shared.frames import read_frame, read_parquet
from tidegate.application.ports import Frame, ModelSpec, Segment
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import Evidence, Measure, Verdict

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES, SEED = 2000, 20130101


@dataclass(frozen=True)
class Period:
    """The decisions of one period, row by row.

    ``labels`` is NaN where the outcome was not known in time; ``missing`` says where an input is missing;
    ``unscored_days`` has one day for each row that should have been scored, ``unscored`` says which were not.
    """

    table: pa.Table
    scores: Floats
    labels: Floats
    days: NDArray[np.int64]
    missing: NDArray[np.bool_]
    missing_by_input: Mapping[str, int]
    expected_days: NDArray[np.int64]
    unscored: NDArray[np.bool_]

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Return which decisions have a known outcome."""
        import numpy as np

        return ~np.isnan(self.labels)

    @property
    def sound(self) -> NDArray[np.bool_]:
        """Return which scores are probabilities."""
        return (self.scores >= 0) & (self.scores <= 1)  # NaN compares as false


def chosen(table: pa.Table, columns: Sequence[str], what: str) -> pa.Table:
    """Return the named columns of a table.

    Raises:
        BadInput: a column is missing.
    """
    if missing := [name for name in columns if name not in table.column_names]:
        raise BadInput(
            "monitor-columns",
            f"got {what} without {', '.join(missing)}, expected {', '.join(columns)}",
            "score the period again with the model's present declaration",
        )
    return table.select(list(columns))


def read_period(
    model: ModelSpec, plan: Plan, decisions: Segment, outcomes: Frame, known_by: datetime
) -> Period:
    """Join decisions with outcomes by keys and entity time; a label counts if it was known by ``known_by``.

    Raises:
        BadInput: a column is missing, a row occurs twice, or the keys' types differ.
        DependencyFailed: a file cannot be read, or no longer has its root or digest.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from tidegate.adapters.shared.measures import day_numbers

    inputs = list(dict.fromkeys((*model.numeric, *model.categorical)))
    key = [*model.keys, model.entity_time]
    scored, known = f"decisions of {model.name}", f"outcomes of {model.name}"
    whole = read_parquet(decisions.path, scored, "restore it from a backup")
    table = chosen(whole, list(dict.fromkeys([*key, *inputs, SCORE])), scored)
    verify_decisions(whole, decisions, model)
    came = chosen(read_frame(outcomes, known), [*key, model.label, model.label_time], known)
    positions = _positions(table, key, "decisions")
    found = np.array([positions.get(row, -1) for row in _rows(came, key, "outcomes", table)], dtype=np.int64)
    label = np.asarray(pc.cast(came.column(model.label), pa.float64()).to_numpy(), dtype=np.float64)
    moment = np.datetime64(known_by.astimezone(UTC).replace(tzinfo=None), "us")
    label = np.where(_times(came, model.label_time) <= moment, label, np.nan)  # NaT compares as false
    labels = np.full(table.num_rows, np.nan)
    labels[found[found >= 0]] = label[found >= 0]
    gaps = {name: table.column(name).is_null(nan_is_null=True).to_numpy().astype(bool) for name in inputs}
    scores = np.asarray(pc.cast(table.column(SCORE), pa.float64()).to_numpy(), dtype=np.float64)
    return Period(
        table=table,
        scores=scores,
        labels=labels,
        days=day_numbers(_times(table, model.entity_time), plan.day_starts_hour),
        missing=np.logical_or.reduce(list(gaps.values())) if gaps else np.zeros(table.num_rows, dtype=bool),
        missing_by_input={name: int(gap.sum()) for name, gap in gaps.items() if gap.any()},
        expected_days=day_numbers(_times(came, model.entity_time), plan.day_starts_hour),
        unscored=found < 0,
    )


def binding_evidence(plan: Plan, period: Period, base_rate: float, subject: str) -> tuple[Evidence, ...]:
    """Return one piece of evidence per binding measure, in the file's order.

    ``base_rate`` is the reference's observed rate, NaN where it has no labels.
    """
    import numpy as np

    tool = f"numpy {np.__version__}"
    outcome = _outcome_measures(period, base_rate)
    evidence = []
    for name, limit in plan.binding.items():
        verdict, sentence, measure = _judged(name, limit, plan, period, outcome)
        values = {} if measure is None else {name: measure}
        evidence.append(Evidence(name, subject, verdict, f"{MEASURES[name]}: {sentence}", tool, values))
    return tuple(evidence)


def _judged(
    name: str, limit: Limit, plan: Plan, period: Period, outcome: Mapping[str, Measure]
) -> tuple[Verdict, str, Measure | None]:
    import numpy as np

    if not period.table.num_rows:
        return Verdict.ERROR, "there is no decision to judge", None
    if name not in OUTCOME_MEASURES:
        measure: Measure | None = _share(name, period)
    else:
        if wrong := int((~period.sound).sum()):
            sentence = f"{wrong} of {len(period.scores)} scores are no probability"
            return Verdict.ERROR, sentence, None
        measure = outcome.get(name)
        rows, days = int(period.labelled.sum()), len(np.unique(period.days[period.labelled]))
        if rows < plan.minimum_rows or days < plan.minimum_days:
            sentence = (
                f"got {rows} labelled decisions on {days} days, expected at least {plan.minimum_rows} "
                f"on {plan.minimum_days}"
            )
            return Verdict.INCONCLUSIVE, sentence, measure
    if measure is None:
        return Verdict.ERROR, "it has no value: one class only, or a reference without labels", None
    verdict = _within(measure, limit)
    interval = "no interval" if measure.low is None else f"[{measure.low:.4f}, {measure.high:.4f}]"
    return (
        verdict,
        f"got {measure.value:.4f} {interval}, expected {limit.words}{_worst(name, period)}",
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

    from tidegate.adapters.shared.measures import brier_difference, probability_metrics

    rows = period.labelled & period.sound
    if not rows.any():
        return {}
    labels, scores, days = period.labels[rows], period.scores[rows], period.days[rows]
    measures = dict(probability_metrics(labels, scores, days, resamples=RESAMPLES, seed=SEED))
    if not np.isnan(base_rate):
        always = np.full(len(labels), base_rate)
        measures["gain_over_base_rate"] = brier_difference(
            labels, scores, always, days, resamples=RESAMPLES, seed=SEED
        )
    return measures


def _share(name: str, period: Period) -> Measure | None:
    """Measure the share of rows for which something is true, over all rows of the period."""
    import numpy as np

    from tidegate.adapters.shared.measures import probability_metrics

    flags, days = {
        "missing_share": (period.missing, period.days),
        "unlabelled_share": (~period.labelled, period.days),
        "unscored_share": (period.unscored, period.expected_days),
    }[name]
    indicator = np.asarray(flags, dtype=np.float64)
    # The rate of an indicator: its scores play no part in it.
    return probability_metrics(indicator, indicator, days, resamples=RESAMPLES, seed=SEED).get("base_rate")


def _worst(name: str, period: Period) -> str:
    """Name the inputs that are missing most, so that one broken source is seen as one."""
    if name != "missing_share" or not period.missing_by_input:
        return ""
    ranked = sorted(period.missing_by_input.items(), key=lambda item: (-item[1], item[0]))[:3]
    return " (" + ", ".join(f"{column}: {count} rows" for column, count in ranked) + ")"


def _rows(table: pa.Table, key: Sequence[str], what: str, like: pa.Table) -> list[tuple[object, ...]]:
    """Return the key of each row, in the types of ``like``.

    Raises:
        BadInput: a key occurs twice, or has another type.
    """
    import pyarrow as pa

    try:
        columns = [table.column(name).cast(like.schema.field(name).type).to_pylist() for name in key]
    except pa.ArrowException as error:
        raise BadInput(
            "monitor-keys",
            f"got {what} whose keys have other types ({error}), expected those of the decisions",
            "score the period again",
        ) from error
    rows = list(zip(*columns, strict=True))
    if twice := len(rows) - len(set(rows)):
        raise BadInput(
            "monitor-keys",
            f"got {twice} {what} whose {', '.join(key)} occur more than once, expected each once",
            "a key of the model does not tell its rows apart",
        )
    return rows


def _positions(table: pa.Table, key: Sequence[str], what: str) -> dict[tuple[object, ...], int]:
    return {row: position for position, row in enumerate(_rows(table, key, what, table))}


def _times(table: pa.Table, name: str) -> NDArray[np.datetime64]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.cast(table.column(name), pa.timestamp("us", "UTC"))
    return np.asarray(column.to_numpy(), dtype="datetime64[us]")
