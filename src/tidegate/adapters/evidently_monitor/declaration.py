"""A monitor's file: what is measured, within which limits, and which columns are watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path

from tidegate.adapters.shared.yaml_reader import Node, Reader, read_text
from tidegate.application.ports import ModelSpec

CODE = "monitor"
#: The column a decision's probability or number stands in.
SCORE = "score"

#: Measures on labelled decisions, by what is predicted, and measures on all rows. Each says what it is, for the
#: report. Those of a number are in the unit of its label, so that any finite number may limit them.
OUTCOME_MEASURES: Mapping[str, Mapping[str, str]] = {
    "probability": {
        "calibration_gap": "mean probability minus the observed rate",
        "gain_over_base_rate": "Brier score gained over always saying the reference's rate",
        "roc_auc": "area under the ROC curve",
        "brier": "Brier score",
    },
    "number": {
        "calibration_gap": "mean prediction minus the mean of what came",
        "gain_over_base_rate": "mean absolute error gained over always saying the reference's mean",
        "mae": "mean absolute error",
    },
}
SHARE_MEASURES = {
    "missing_share": "decisions with an input missing",
    "unlabelled_share": "decisions without a known outcome",
    "unscored_share": "rows that were not scored",
}
#: The largest limit of a measure in the label's unit.
_MOST = 1e15
#: Distances of Evidently that grow with the shift and need no sample-size-dependent p-value.
METHODS = ("psi", "jensenshannon", "wasserstein", "hellinger", "kl_div")


@dataclass(frozen=True)
class Limit:
    """The closed range [low, high] that a measure must keep to, and how the file words it."""

    low: float
    high: float
    words: str


@dataclass(frozen=True)
class Plan:
    """What one monitor does. ``binding`` maps measures to limits; ``columns`` are watched as information.

    ``outcome_measures`` are those that the model's kind of prediction has, with what each is.
    """

    outcome_measures: Mapping[str, str]
    day_starts_hour: int
    minimum_rows: int
    minimum_days: int
    binding: dict[str, Limit]
    method: str
    threshold: float
    columns: tuple[str, ...]


def read_plan(path: Path, model: ModelSpec) -> Plan:
    """Read a monitor's file for a model.

    Raises:
        BadInput: code ``monitor``; no such file, or every fault at once, each with its line.
    """
    reader = Reader(read_text(path, CODE, f"a monitor for {model.name}"), path.name, CODE)
    top = reader.root.members(("monitor", "minimum", "binding", "drift"), ("day_starts_hour",))
    if "monitor" in top and (name := top["monitor"].text("the model's name")) and name != model.name:
        top["monitor"].fault(repr(name), f"the file's own model, {model.name!r}")
    minimum = top["minimum"].members(("labelled_rows", "days"), ()) if "minimum" in top else {}
    drift = top["drift"].members(("method", "threshold", "columns"), ()) if "drift" in top else {}
    known = (SCORE, *model.numeric, *model.categorical)
    columns: list[str] = []
    for item in drift["columns"].items("columns") if "columns" in drift else []:
        column = item.one_of(known, "an input of the model, or score")
        if column in columns:
            item.fault(f"{column!r} again", "each column once")
        elif column:
            columns.append(column)
    outcome_measures = OUTCOME_MEASURES[model.prediction]
    plan = Plan(
        outcome_measures=outcome_measures,
        day_starts_hour=top["day_starts_hour"].integer(0, 23) if "day_starts_hour" in top else 0,
        minimum_rows=minimum["labelled_rows"].integer(1) if "labelled_rows" in minimum else 1,
        minimum_days=minimum["days"].integer(2, 366) if "days" in minimum else 2,
        binding=_binding(top["binding"], model.prediction) if "binding" in top else {},
        method=(drift["method"].one_of(METHODS, "a distance") or "") if "method" in drift else "",
        threshold=drift["threshold"].number(1e-6, 1e6) if "threshold" in drift else 0.0,
        columns=tuple(columns),
    )
    reader.close()
    return plan


def _binding(node: Node, prediction: str) -> dict[str, Limit]:
    if node.value == {}:
        node.fault("no measure", "at least one: a monitor that binds nothing passes always")
    limits: dict[str, Limit] = {}
    outcome_measures = OUTCOME_MEASURES[prediction]
    for name, entry in node.members((), (*outcome_measures, *SHARE_MEASURES)).items():
        parts = entry.members((), ("within", "at_least", "at_most"))
        if entry.value == {} or len(parts) > 1:
            entry.fault(f"{len(parts)} limits", "one of within, at_least, at_most")
        for word, value in parts.items():
            most = _MOST if prediction == "number" and name in outcome_measures else 1.0
            number = value.number(0.0 if word == "within" else -most, most)
            low = {"within": -number, "at_least": number}.get(word, -inf)
            high = {"within": number, "at_most": number}.get(word, inf)
            limits[name] = Limit(
                low, high, f"{word.replace('_', ' ')} {'±' if word == 'within' else ''}{number:g}"
            )
    return limits
