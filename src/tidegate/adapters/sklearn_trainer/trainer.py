"""Trains a model folder's scikit-learn pipeline, converts it to ONNX, and judges what will serve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.adapters.shared.arrow import PREFIX, table_digest, write_parquet
from tidegate.adapters.shared.files import hex_of, read_artifact, write_whole
from tidegate.adapters.shared.frames import find_frame, read_frame
from tidegate.adapters.shared.model_code import load_pipeline, model_failed
from tidegate.adapters.shared.onnx_session import (
    OUTPUTS,
    asked_arrays,
    input_arrays,
    open_session,
    predictions,
)
from tidegate.adapters.sklearn_trainer.convert import convert, environment, parity, replayed
from tidegate.adapters.sklearn_trainer.judging import SCORE, gains, judge, reference_rows, untested
from tidegate.adapters.sklearn_trainer.rows import TrainingRows
from tidegate.application.ports import Frame, Gains, ModelSpec, Trained, Windows
from tidegate.domain.canonical import sha256
from tidegate.domain.evidence import Evidence

if TYPE_CHECKING:
    import pyarrow as pa

RESTORE = "restore it from a backup"
#: Rows that are scored again when a way back is tried, spread evenly over those that are kept.
REPLAYED = 200


class SklearnTrainer:
    """Writes ``home/models/<artifact's digest>/``: ``model.onnx``, and ``reference-<digest>.parquet`` beside it.

    Two trainings may yield the same artifact and judge it on other rows: each keeps its own.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "models"

    def train(self, model: ModelSpec, frame: Frame, windows: Windows) -> Trained:
        """Fit on the training window, calibrate on the later one, measure on the last.

        Raises:
            BadInput: the windows overlap, one holds no labelled row or labels that are all the same, an input
                has no value at all, or the frame lacks a declared column.
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
            scores = predictions(session, arrays, int(rows.in_validate.sum()), model.prediction)
            agreement = parity(model, estimator, arrays, scores, rows.scale, digest)
        metrics, slices = judge(rows, scores)
        return Trained(
            artifact=write_whole(self._of(digest) / "model.onnx", body),
            artifact_digest=digest,
            metrics=metrics,
            slices=slices,
            parity=agreement,
            coverage=rows.coverage(),
            environment=environment(),
            signature={
                "inputs": [f"{name}: float" for name in model.numeric]
                + [f"{name}: string" for name in model.categorical],
                "outputs": [f"{OUTPUTS[model.prediction][0]}: float"],
            },
            reference=self._keep(digest, reference_rows(rows, scores)),
            base_rate=rows.base_rate,
            untested=untested(rows),
        )

    def reference(self, artifact_digest: str, digest: str) -> Frame:
        """Find the rows that a version was judged on; reading them verifies them.

        Raises:
            BadInput: one of the two is no digest. DependencyFailed: the rows are gone or damaged.
        """
        path = self._rows(artifact_digest, digest)
        return find_frame(path, digest, f"the reference rows {digest}", RESTORE)

    def compare(self, model: ModelSpec, reference: Frame, champion: Path, champion_digest: str) -> Gains:
        """Return by how much the candidate's loss is lower on the rows it was judged on; positive is better.

        Raises:
            DependencyFailed: the champion's bytes no longer have their digest, it wants inputs that the
                candidate was not given or predicts another kind, or the reference rows are gone or altered.
        """
        session = open_session(read_artifact(champion, champion_digest), f"artifact {champion_digest}")
        rows = read_frame(reference, what := f"the reference rows of {model.name}", RESTORE)
        arrays = asked_arrays(session, rows, model, what)
        return gains(model, rows, predictions(session, arrays, rows.num_rows, model.prediction))

    def replay(self, model: ModelSpec, reference: Frame, artifact: Path, artifact_digest: str) -> Evidence:
        """Score at most `REPLAYED` of the rows that an artifact was judged on again.

        Raises:
            DependencyFailed: the bytes or the rows no longer have their digest, or are gone, or the artifact
                cannot be loaded or predicts another kind. BadInput: the rows lack an input.
        """
        session = open_session(read_artifact(artifact, artifact_digest), f"artifact {artifact_digest}")
        rows = read_frame(reference, what := f"the reference rows of {model.name}", RESTORE)
        count = min(REPLAYED, rows.num_rows)
        sample = rows.take([place * rows.num_rows // count for place in range(count)])
        arrays = asked_arrays(session, sample, model, what)
        scores = predictions(session, arrays, count, model.prediction)
        kept = rows.column(SCORE).to_numpy()
        return replayed(model, sample.column(SCORE).to_numpy(), scores, float(kept.std()), artifact_digest)

    def _keep(self, artifact_digest: str, rows: pa.Table) -> Frame:
        digest = table_digest(rows)
        path = write_parquet(rows, self._rows(artifact_digest, digest))
        return Frame(digest, path, rows.num_rows, tuple(rows.column_names))

    def _rows(self, artifact_digest: str, digest: str) -> Path:
        return self._of(artifact_digest) / f"reference-{hex_of(digest, PREFIX)}.parquet"

    def _of(self, artifact_digest: str) -> Path:
        return self._folder / hex_of(artifact_digest, "sha256:")


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
        labels = rows.labels[chosen]
        return estimator.fit(
            columns, labels.astype(np.int64) if model.prediction == "probability" else labels
        )
    except Exception as error:  # the team's own code may raise anything
        raise model_failed(model, "fit", error) from error
