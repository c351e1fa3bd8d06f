"""A training frame, and which of its rows may take part in what.

A label takes part only where it could be known: in training before the calibration window opens, in
calibration before the validation window opens, in validation by ``known_by``. So a version's figures are
those of a model that could have existed when its validation window began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.adapters.shared.frames import read_frame
from tidegate.adapters.shared.onnx_session import require_columns
from tidegate.application.ports import Frame, ModelSpec, Windows
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


DAY_STARTS_HOUR = 0


@dataclass(frozen=True)
class TrainingRows:
    """The frame, and which of its rows take part in what; masks and labels have shape (rows,)."""

    model: ModelSpec
    table: pa.Table
    times: NDArray[np.datetime64]  # UTC
    labels: NDArray[
        np.float64
    ]  # 0 or 1 of a probability, any finite number of a number; NaN where there is none
    known: NDArray[np.bool_]  # labelled, and known by ``known_by``
    train: NDArray[np.bool_]
    calibrate: NDArray[np.bool_]
    in_validate: NDArray[np.bool_]  # every scheduled row of the window, labelled or not

    @classmethod
    def read(cls, model: ModelSpec, frame: Frame, windows: Windows) -> TrainingRows:
        """Read a frame and say which rows take part in what.

        Raises:
            BadInput: the windows overlap, the labels of one are all the same or none are known, a label is not
                of the declared kind, a declared column is missing, or an input has no value in training.
            DependencyFailed: the frame's file is gone, damaged, or no longer has its digest.
        """
        import numpy as np
        import pyarrow as pa

        _require_order(windows)
        table = read_frame(frame, f"a frame of {model.name}")
        settings = (f"evaluation.{key}" for key in ("status", "slice_by"))
        judged_by = [str(model.parameters[key]) for key in settings if key in model.parameters]
        declared = (model.entity_time, *model.keys, model.label, model.label_time, *model.numeric)
        require_columns(table, (*declared, *model.categorical, *judged_by), f"a frame of {model.name}")
        # A tree's histogram adds floats in row order: the order must not depend on who built the frame.
        table = table.sort_by([(name, "ascending") for name in (model.entity_time, *model.keys)])
        time, available = times(table, model.entity_time), times(table, model.label_time)
        labels = numbers(table, model.label)
        known = ~np.isnan(labels) & (available <= _at(windows.known_by))  # NaT compares as false
        train = _within(time, windows.train) & known & (available <= _at(windows.calibrate[0]))
        calibrate = _within(time, windows.calibrate) & known & (available <= _at(windows.validate[0]))
        rows = cls(model, table, time, labels, known, train, calibrate, _within(time, windows.validate))
        for name, mask in (("train", train), ("calibrate", calibrate), ("validate", rows.validate)):
            _require_labels(model, name, labels[mask])
        for name in model.numeric:
            values = table.column(name).filter(pa.array(train))
            if values.null_count == len(values):
                raise BadInput(
                    "empty-input",
                    f"got no value of {name} in the training window of {model.name}, expected some",
                    "materialise the feature's history first, or drop the input",
                )
        return rows

    def validation(self) -> pa.Table:
        """Return every scheduled row of the validation window, labelled or not."""
        import pyarrow as pa

        return self.table.filter(pa.array(self.in_validate))

    @property
    def base_rate(self) -> float:
        """The mean label of the training window: what a base-rate fallback says of every row."""
        return float(self.labels[self.train].mean())

    @property
    def scale(self) -> float:
        """The standard deviation of the training window's labels, above zero: one label's usual size."""
        return float(self.labels[self.train].std())

    def days(self) -> NDArray[np.int64]:
        """Return the day each row of the validation window belongs to."""
        from tidegate.adapters.shared.measures import day_numbers

        return day_numbers(self.times[self.in_validate], day_starts(self.model))

    @property
    def validate(self) -> NDArray[np.bool_]:
        """The rows that metrics are on: in the window, labelled, known."""
        return self.in_validate & self.known

    def status(self) -> NDArray[Any] | None:
        """Return what came of each row of the validation window, where the model declares it."""
        name = self.model.parameters.get("evaluation.status")
        if name is None:
            return None
        values: NDArray[Any] = self.table.column(str(name)).to_numpy()
        return values[self.in_validate]

    def coverage(self) -> Mapping[str, int]:
        """Count the validation window's rows: all, measured, on how many days, and by what came of them."""
        import numpy as np

        counts = {
            "train": int(self.train.sum()),
            "calibrate": int(self.calibrate.sum()),
            "scheduled": int(self.in_validate.sum()),
            "measured": int(self.validate.sum()),
            "days": len(np.unique(self.days()[self.known[self.in_validate]])),
            "label_not_yet_known": int((self.in_validate & ~np.isnan(self.labels) & ~self.known).sum()),
        }
        status = self.status()
        if status is not None:
            found, each = np.unique(status.astype(str), return_counts=True)
            counts = {str(name): int(count) for name, count in zip(found, each, strict=True)} | counts
        return counts


def _require_order(windows: Windows) -> None:
    """Calibration is later than training, validation later than both; no label is known before it begins."""
    ends = [moment for pair in (windows.train, windows.calibrate, windows.validate) for moment in pair]
    if ends != sorted(ends) or windows.known_by < windows.validate[0]:
        listed = ", ".join(utc_text(moment) for moment in (*ends, windows.known_by))
        raise BadInput(
            "windows-order",
            f"got the times {listed}, expected train, calibrate, validate and known_by one after the other",
            "calibrate on later data than you train on, and judge on later data still",
        )


def _require_labels(model: ModelSpec, window: str, labels: NDArray[np.float64]) -> None:
    """There is nothing to learn, and nothing to judge by, where all labels are the same."""
    import numpy as np

    probable = model.prediction == "probability"
    wrong = ~np.isin(labels, (0.0, 1.0)) if probable else ~np.isfinite(labels)
    if wrong.any():
        wanted = "true or false (0 or 1)" if probable else "finite numbers"
        raise BadInput(
            "bad-label",
            f"got {model.label} = {labels[wrong][0]:g} in the {window} window of {model.name}, expected {wanted}",
            "correct rows.sql, or what `prediction` says in model.yaml",
            model=model.name,
            window=window,
        )
    if not len(labels) or (labels == labels[0]).all():
        if probable:
            got, wanted = f", {int(labels.sum())} of them positive", "some of both classes"
        else:
            got, wanted = (
                (f", all of them {labels[0]:g}" if len(labels) else ""),
                "at least two different ones",
            )
        raise BadInput(
            "window-without-labels",
            f"got {len(labels)} known labels in the {window} window of {model.name}{got}, expected {wanted}",
            "ingest the batches of this window, or move it",
            model=model.name,
            window=window,
        )


def day_starts(model: ModelSpec) -> int:
    """Return the hour, in UTC, at which a day of this model begins."""
    return int(model.parameters.get("evaluation.day_starts_hour", DAY_STARTS_HOUR))


def numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as floats, null as NaN.

    Raises:
        BadInput: it holds something that is no number.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        column = pc.cast(table.column(name), pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadInput(
            "bad-label",
            f"got {name} as {table.column(name).type}, expected numbers, or true and false",
            "correct rows.sql",
        ) from error
    return np.asarray(column.to_numpy(), dtype=np.float64)


def times(table: pa.Table, name: str) -> NDArray[np.datetime64]:
    """Return a time column as naive UTC microseconds, null as NaT."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.cast(table.column(name), pa.timestamp("us", "UTC"))
    return np.asarray(column.to_numpy(), dtype="datetime64[us]")


def _at(moment: datetime) -> np.datetime64:
    import numpy as np

    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _within(times: NDArray[np.datetime64], window: Sequence[datetime]) -> NDArray[np.bool_]:
    return (times >= _at(window[0])) & (times < _at(window[1]))
