"""Trains a model folder's scikit-learn pipeline, converts it to ONNX, and judges what will serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.adapters.shared.arrow import write_parquet
from tidegate.adapters.shared.files import read_artifact, read_frame, write_whole
from tidegate.adapters.shared.model_code import load_pipeline, model_failed
from tidegate.adapters.shared.onnx_session import OUTPUT, input_arrays, open_session, probabilities
from tidegate.adapters.sklearn_trainer.convert import convert, environment, parity
from tidegate.adapters.sklearn_trainer.judging import brier_gain, judge, reference_rows
from tidegate.adapters.sklearn_trainer.rows import TrainingRows
from tidegate.application.ports import Frame, ModelSpec, Trained, Windows
from tidegate.domain.canonical import sha256
from tidegate.domain.evidence import Measure


class SklearnTrainer:
    """Writes ``home/models/<artifact's digest>/``: ``model.onnx``, and ``reference.parquet`` beside it."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "models"

    def train(self, model: ModelSpec, frame: Frame, windows: Windows) -> Trained:
        """Fit on the training window, calibrate on the later one, measure on the last.

        Raises:
            BadInput: the windows overlap, one holds no labelled row or one class only, an input has no
                value at all, or the frame lacks a declared column.
            DependencyFailed: the model's own code failed, or the converted model disagrees with it by
                more than ``evaluation.onnx_tolerance``.
        """
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        rows = TrainingRows.read(model, frame, windows)
        arrays = input_arrays(rows.validation(), model)
        # One thread unless the model asks for more: on shared cores, threads that wait for each other make a
        # fit of a second last twenty.
        with threadpool_limits(int(model.parameters.get("threads", 1)), user_api="openmp"):
            estimator = _fit(model, rows)
            body = convert(model, estimator)
            digest = sha256(body)
            # What is judged is the artifact that will serve, not the estimator it came from.
            session = open_session(body, f"artifact {digest}")
            scores = probabilities(session, arrays, int(rows.in_validate.sum()))
            agreement = parity(model, estimator, arrays, scores, digest)
        metrics, slices = judge(rows, scores)
        return Trained(
            artifact=write_whole(self._path(digest, "model.onnx"), body),
            artifact_digest=digest,
            metrics=metrics,
            slices=slices,
            parity=agreement,
            coverage=rows.coverage(),
            environment=environment(),
            signature={
                "inputs": [f"{name}: float" for name in model.numeric]
                + [f"{name}: string" for name in model.categorical],
                "outputs": [f"{OUTPUT}: float"],
            },
            reference=write_parquet(reference_rows(rows, scores), self._path(digest, "reference.parquet")),
        )

    def compare(
        self, model: ModelSpec, candidate_digest: str, champion: Path, champion_digest: str
    ) -> Measure:
        """Return the candidate's Brier gain over the champion on the rows the candidate was judged on.

        Raises:
            DependencyFailed: the champion's bytes no longer have their digest, it wants inputs that the
                candidate was not given, or the reference rows are gone.
        """
        session = open_session(read_artifact(champion, champion_digest), f"artifact {champion_digest}")
        path = self._path(candidate_digest, "reference.parquet")
        reference = read_frame(Frame(f"of reference rows of {candidate_digest}", path, 0))
        # A champion may have been trained on fewer inputs than are declared today.
        wanted = {item.name for item in session.get_inputs()}
        arrays = {name: array for name, array in input_arrays(reference, model).items() if name in wanted}
        return brier_gain(model, reference, probabilities(session, arrays, reference.num_rows))

    def _path(self, digest: str, name: str) -> Path:
        return self._folder / digest.removeprefix("sha256:") / name


def _fit(model: ModelSpec, rows: TrainingRows) -> Any:
    import numpy as np
    import pandas as pd

    chosen = np.concatenate([np.flatnonzero(rows.train), np.flatnonzero(rows.calibrate)])
    fitted, trained = len(chosen), int(rows.train.sum())
    arrays = input_arrays(rows.table.take(chosen), model)
    columns = pd.DataFrame({name: array[:, 0] for name, array in arrays.items()})
    positions = np.arange(trained), np.arange(trained, fitted)
    build = load_pipeline(model)
    try:
        estimator = build(model.numeric, model.categorical, dict(model.parameters), *positions)
        return estimator.fit(columns, rows.labels[chosen].astype(np.int64))
    except Exception as error:  # whatever GX makes of a file's arguments is the verdict `error`
        raise model_failed(model, "fit", error) from error
