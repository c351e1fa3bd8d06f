"""Judges scores against outcomes, as ``evaluation`` in model.yaml says it is to be measured.

How is measured here; what is good enough, policy says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidegate.adapters.sklearn_trainer.rows import TrainingRows, day_starts, numbers, times
from tidegate.application.ports import Gains, ModelSpec, Untested
from tidegate.domain.evidence import Measure

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Metrics = Mapping[str, Measure]

RESAMPLES = 400
#: Below this a slice is not tested: an interval over a handful of rows is none. One day alone has no interval.
SLICE_ROWS, LEAST_DAYS = 30, 2
SCORE = "score"


def judge(rows: TrainingRows, scores: NDArray[np.float64]) -> tuple[Metrics, Mapping[str, Metrics]]:
    """Return metrics of the validation window, and metrics by slice; ``scores`` are of its rows, in order.

    Metrics are on rows whose label was known. Those of the declared sensitivity are measured once more
    with the rows of that status as positives: what if everything without a label went wrong? A number has
    no such worst case, and no sensitivity.
    """
    import numpy as np

    from tidegate.adapters.shared.measures import prediction_metrics

    model, window = rows.model, rows.in_validate
    known, labels, days = rows.known[window], rows.labels[window], rows.days()
    resamples, seed = _draws(model)

    def measured(mask: NDArray[np.bool_], outcome: NDArray[np.float64]) -> Metrics:
        return prediction_metrics(
            model.prediction,
            outcome[mask],
            scores[mask],
            days[mask],
            resamples=resamples,
            seed=seed,
            base_rate=rows.base_rate,
        )

    metrics = dict(measured(known, labels))
    status, assumed = rows.status(), model.parameters.get("evaluation.sensitivity")
    if status is not None and assumed is not None and model.prediction == "probability":
        counted = status == assumed
        tried = measured(known | counted, np.where(counted, 1.0, labels))
        metrics |= {f"{name}_if_{assumed}_is_{model.label}": measure for name, measure in tried.items()}
    slices: dict[str, Metrics] = {}
    if (values := sliced(model, rows.table)) is not None:
        for name in np.unique(values[window][known]):
            slices[str(name)] = measured(known & (values[window] == name), labels)
    return metrics, slices


def sliced(model: ModelSpec, table: pa.Table) -> NDArray[Any] | None:
    """Return the name of each row's slice, like ``origin=JFK``; None where the model or the table has none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = model.parameters.get("evaluation.slice_by")
    if column is None or column not in table.column_names:
        return None
    values = pc.fill_null(pc.cast(table.column(str(column)), pa.string()), "none")
    return np.asarray([f"{column}={value}" for value in values.to_pylist()], dtype=object)


def untested(rows: TrainingRows) -> Untested | None:
    """Return the slices of any row that too few rows of the validation window speak for."""
    names = sliced(rows.model, rows.table)
    if names is None:
        return None
    least = int(rows.model.parameters.get("evaluation.slice_rows", SLICE_ROWS))
    known, window = rows.known[rows.in_validate], names[rows.in_validate]
    days: dict[str, list[int]] = {name: [] for name in names}
    for name, day in zip(window[known], rows.days()[known].tolist(), strict=True):
        days[name].append(day)
    few = {name: len(own) for name, own in days.items() if len(own) < least or len(set(own)) < LEAST_DAYS}
    return Untested(str(rows.model.parameters["evaluation.slice_by"]), least, few)


def reference_rows(rows: TrainingRows, scores: NDArray[np.float64]) -> pa.Table:
    """Return the rows a version was judged on: time, keys, inputs, slices, ``score``, and the label where known.

    The label is a boolean where a probability is predicted, and a double where a number is.
    """
    import pyarrow as pa

    model, window = rows.model, rows.in_validate
    names = dict.fromkeys((model.entity_time, *model.keys, *model.numeric, *model.categorical))
    if (by := str(model.parameters.get("evaluation.slice_by", model.label))) != model.label:
        names |= {by: None}
    kind = pa.bool_() if model.prediction == "probability" else pa.float64()
    label = pa.array(rows.labels[window], mask=~rows.known[window]).cast(kind)
    table = rows.table.filter(pa.array(window)).select(list(names)).replace_schema_metadata(None)
    return table.append_column(SCORE, pa.array(scores)).append_column(model.label, label)


def gains(model: ModelSpec, reference: pa.Table, baseline: NDArray[np.float64]) -> Gains:
    """Return how much lower the loss of the reference's own scores is than that of ``baseline``."""
    import numpy as np

    from tidegate.adapters.shared.measures import day_numbers, loss_difference

    labels, scores = numbers(reference, model.label), numbers(reference, SCORE)
    known = ~np.isnan(labels)
    days = day_numbers(times(reference, model.entity_time), day_starts(model))
    resamples, seed = _draws(model)

    def paired(mask: NDArray[np.bool_]) -> Measure:
        return loss_difference(
            model.prediction,
            labels[mask],
            scores[mask],
            baseline[mask],
            days[mask],
            resamples=resamples,
            seed=seed,
        )

    names = sliced(model, reference)
    found = () if names is None else np.unique(names[known])
    return Gains(paired(known), {str(name): paired(known & (names == name)) for name in found})


def _draws(model: ModelSpec) -> tuple[int, int]:
    return int(model.parameters.get("evaluation.resamples", RESAMPLES)), int(model.parameters.get("seed", 0))
