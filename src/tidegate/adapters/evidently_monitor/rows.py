"""A period's decisions beside what came of them, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidegate.adapters.evidently_monitor.declaration import SCORE, Plan
from tidegate.adapters.evidently_monitor.matching import codes, positions
from tidegate.adapters.shared.decisions import verify_decisions
from tidegate.adapters.shared.frames import read_file, read_frame
from tidegate.application.ports import Frame, ModelSpec, Segment
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Period:
    """The decisions of one period; ``prediction`` is what each of them is, ``digest`` that of their file.

    ``labels`` is NaN where the outcome was not known in time; ``missing`` says where an input is missing;
    ``unscored_days`` has one day for each row that should have been scored, ``unscored`` says which were not.
    """

    prediction: str
    digest: str
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
        """Return which scores are what is predicted: probabilities, or finite numbers."""
        import numpy as np

        if self.prediction == "probability":
            return (self.scores >= 0) & (self.scores <= 1)  # NaN compares as false
        return np.isfinite(self.scores)


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

    from tidegate.adapters.shared.measures import day_numbers

    inputs = list(dict.fromkeys((*model.numeric, *model.categorical)))
    key, known = [*model.keys, model.entity_time], f"outcomes of {model.name}"
    table, digest = read_decisions(model, decisions, inputs)
    came = chosen(read_frame(outcomes, known), [*key, model.label, model.label_time], known)
    scored_rows, came_rows = codes([(table, "decisions"), (came, "outcomes")], key)
    found = positions(came_rows, scored_rows)
    labels = np.full(table.num_rows, np.nan)
    labels[found[found >= 0]] = known_labels(model, came, known_by)[found >= 0]
    gaps = {name: table.column(name).is_null(nan_is_null=True).to_numpy().astype(bool) for name in inputs}
    return Period(
        prediction=model.prediction,
        digest=digest,
        table=table,
        scores=numbers(table, SCORE),
        labels=labels,
        days=day_numbers(times(table, model.entity_time), plan.day_starts_hour),
        missing=np.logical_or.reduce(list(gaps.values())) if gaps else np.zeros(table.num_rows, dtype=bool),
        missing_by_input={name: int(gap.sum()) for name, gap in gaps.items() if gap.any()},
        expected_days=day_numbers(times(came, model.entity_time), plan.day_starts_hour),
        unscored=found < 0,
    )


def read_decisions(model: ModelSpec, decisions: Segment, inputs: Sequence[str]) -> tuple[pa.Table, str]:
    """Return keys, entity time, ``inputs`` and score of a segment, verified against its root, and its file's digest.

    Raises:
        BadInput: a column is missing. DependencyFailed: the file cannot be read, or no longer has its root.
    """
    what = f"decisions of {model.name}"
    whole, digest = read_file(decisions.path, what, "restore it from a backup")
    table = chosen(whole, list(dict.fromkeys([*model.keys, model.entity_time, *inputs, SCORE])), what)
    verify_decisions(whole, decisions, model)
    return table, digest


def known_labels(model: ModelSpec, came: pa.Table, known_by: datetime) -> Floats:
    """Return what came of each row of ``came`` as far as it was known by ``known_by``, NaN elsewhere."""
    import numpy as np

    moment = np.datetime64(known_by.astimezone(UTC).replace(tzinfo=None), "us")
    known = times(came, model.label_time) <= moment  # NaT compares as false
    return np.where(known, numbers(came, model.label), np.nan)


def numbers(table: pa.Table, name: str) -> Floats:
    """Return a column as floats, null as NaN.

    Raises:
        BadInput: it holds something that is no number.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        column = pc.cast(table.column(name), pa.float64())
    except pa.ArrowException as error:
        raise BadInput(
            "monitor-columns",
            f"got {name} as {table.column(name).type}, expected numbers, or true and false",
            "correct the model's rows.sql",
        ) from error
    return np.asarray(column.to_numpy(), dtype=np.float64)


def times(table: pa.Table, name: str) -> NDArray[np.datetime64]:
    """Return a time column as naive UTC microseconds, null as NaT."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.cast(table.column(name), pa.timestamp("us", "UTC"))
    return np.asarray(column.to_numpy(), dtype="datetime64[us]")
