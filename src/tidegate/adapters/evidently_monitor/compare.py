"""A candidate's decisions beside the live version's, on the same rows, against what came of them."""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING

from tidegate.adapters.evidently_monitor.declaration import SCORE, Plan
from tidegate.adapters.evidently_monitor.matching import codes, positions
from tidegate.adapters.evidently_monitor.rows import chosen, known_labels, numbers, read_decisions, times
from tidegate.adapters.shared.frames import read_frame
from tidegate.application.ports import Comparison, Frame, ModelSpec, Segment
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import LOSSES

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

#: Where model.yaml does not say.
RESAMPLES, SEED = 400, 0


def compare(
    model: ModelSpec,
    plan: Plan,
    candidate: Segment,
    baseline: Segment | float,
    outcomes: Frame,
    known_by: datetime,
    *,
    within: bool = False,
) -> Comparison:
    """Compare two sets of decisions; see `ports.Monitors.compare`.

    Raises:
        BadInput: a column is missing, a row occurs twice, a score is not what the model predicts, or the two
            did not score the same rows.
        DependencyFailed: a file cannot be read, or no longer has its root or digest.
    """
    import numpy as np

    from tidegate.adapters.shared.measures import day_numbers, loss_difference, loss_of, mean_of

    key, what = [*model.keys, model.entity_time], f"outcomes of {model.name}"
    scored, _ = read_decisions(model, candidate, [])
    came = chosen(read_frame(outcomes, what), [*key, model.label, model.label_time], what)
    if within and isinstance(baseline, Segment):
        scored = _where_live(model, scored, baseline, key)
    tables = [(scored, "decisions"), (came, "outcomes")]
    if isinstance(baseline, Segment):
        tables.append((read_decisions(model, baseline, [])[0], "decisions of the live version"))
    rows, labels_of, *live = codes(tables, key)
    scores = _sound(model, scored, "the candidate")
    if isinstance(baseline, Segment):
        place = positions(rows, live[0])
        _require_same(model, rows, live[0], place)
        always = _sound(model, tables[-1][0], "the live version")[place]
    else:
        always = _constant(model, baseline, len(rows))
    place = positions(rows, labels_of)
    labels = np.full(len(rows), np.nan)
    labels[place >= 0] = known_labels(model, came, known_by)[place[place >= 0]]
    known = ~np.isnan(labels)
    days = day_numbers(times(scored, model.entity_time), plan.day_starts_hour)[known]
    counts = {"rows": len(rows), "labelled": int(known.sum()), "days": len(np.unique(days))}
    loss = LOSSES[model.prediction]
    if not known.any():
        return Comparison(
            **counts, loss=loss, gain=None, candidate_loss=None, baseline_loss=None, calibration_gap=None
        )
    how = {
        "resamples": int(model.parameters.get("evaluation.resamples", RESAMPLES)),
        "seed": int(model.parameters.get("seed", SEED)),
    }
    labels, scores, always = labels[known], scores[known], always[known]
    return Comparison(
        **counts,
        loss=loss,
        gain=loss_difference(model.prediction, labels, scores, always, days, **how),
        candidate_loss=loss_of(model.prediction, labels, scores, days, **how),
        baseline_loss=loss_of(model.prediction, labels, always, days, **how),
        calibration_gap=mean_of(scores - labels, days, **how),
    )


def _where_live(model: ModelSpec, scored: pa.Table, baseline: Segment, key: list[str]) -> pa.Table:
    """Return the candidate's decisions on the rows that the live version decided too."""
    tables = [
        (scored, "decisions"),
        (read_decisions(model, baseline, [])[0], "decisions of the live version"),
    ]
    rows, live = codes(tables, key)
    return scored.filter(positions(rows, live) >= 0)


def _require_same(
    model: ModelSpec, rows: NDArray[np.int64], live: NDArray[np.int64], place: NDArray[np.int64]
) -> None:
    alone = int((place < 0).sum())
    if alone or len(rows) != len(live):
        shared = len(rows) - alone
        raise BadInput(
            "not-the-same-rows",
            f"got {len(rows)} decisions of the candidate and {len(live)} of the live version of {model.name}, "
            f"of which {shared} are of the same rows, expected the same rows of both",
            "score the period with both versions from one frame",
            model=model.name,
        )


def _sound(model: ModelSpec, decisions: pa.Table, whose: str) -> NDArray[np.float64]:
    import numpy as np

    scores = numbers(decisions, SCORE)
    probable = model.prediction == "probability"
    sound = (scores >= 0) & (scores <= 1) if probable else np.isfinite(scores)  # NaN compares as false
    if wrong := int((~sound).sum()):
        kind = "probability" if probable else "finite number"
        raise BadInput(
            "unsound-scores",
            f"got {wrong} of {len(scores)} scores of {whose} that are no {kind}, expected none",
            "score the period again with a version of the model's present declaration",
            model=model.name,
        )
    return scores


def _constant(model: ModelSpec, value: float, rows: int) -> NDArray[np.float64]:
    import numpy as np

    probable = model.prediction == "probability"
    if not isfinite(value) or (probable and not 0 <= value <= 1):
        raise BadInput(
            "unsound-scores",
            f"got {value} as what the fallback of {model.name} says, expected "
            f"{'a probability' if probable else 'a finite number'}",
            "train the version again: its base rate is measured then",
            model=model.name,
        )
    return np.full(rows, float(value))
