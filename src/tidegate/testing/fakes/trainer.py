"""A trainer whose model is the mean label of the training window: the base rate itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidegate.adapters.shared.files import hex_of
from tidegate.application.ports import Frame, Gains, ModelSpec, Trained, Untested, Windows
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.evidence import LOSSES, Evidence, Measure, Verdict
from tidegate.testing.material import write_rows

REPLAY_TOLERANCE = 1e-6


class FakeTrainer:
    """Writes artifacts (one JSON number) into ``folder``; `FakeScorer` reads them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def train(self, model: ModelSpec, frame: Frame, windows: Windows) -> Trained:
        """Take the base rate of what was known when calibration began, and measure it on the last window."""
        import pyarrow.parquet as pq

        table = pq.read_table(frame.path)
        wanted = (model.entity_time, model.label, model.label_time, *model.numeric, *model.categorical)
        if missing := [name for name in wanted if name not in table.column_names]:
            raise BadInput("missing-column", f"got a frame without {missing}, expected the declared columns")
        if windows.calibrate[0] < windows.train[1] or windows.validate[0] < windows.calibrate[1]:
            raise BadInput("windows-order", "got windows that overlap, expected one after the other")
        rows = [row for row in table.to_pylist() if row[model.label] is not None]
        train = [
            row
            for row in rows
            if windows.train[0] <= row[model.entity_time] < windows.train[1]
            and row[model.label_time] <= windows.calibrate[0]
        ]
        scheduled = [
            row
            for row in table.to_pylist()
            if windows.validate[0] <= row[model.entity_time] < windows.validate[1]
        ]
        judged = [
            row
            for row in scheduled
            if row[model.label] is not None and row[model.label_time] <= windows.known_by
        ]
        if len({row[model.label] for row in train}) < 2 or len({row[model.label] for row in judged}) < 2:
            raise BadInput("window-without-labels", "got one label in a window, expected different ones")
        rate = sum(float(row[model.label]) for row in train) / len(train)
        observed = sum(float(row[model.label]) for row in judged) / len(judged)
        body = canonical({"rate": rate})
        digest = sha256(body)
        artifact = self._folder / f"{digest[7:]}.json"
        self._folder.mkdir(parents=True, exist_ok=True)
        artifact.write_bytes(body)
        values = {
            LOSSES[model.prediction]: sum(loss(model, row[model.label], rate) for row in judged)
            / len(judged),
            "base_rate": observed,
            "calibration_gap": rate - observed,
            "skill": 0.0,
        }
        return Trained(
            artifact=artifact,
            artifact_digest=digest,
            metrics={name: Measure(value, len(judged), method="fake") for name, value in values.items()},
            slices={},
            parity=Evidence("onnx_parity", f"artifact {digest}", Verdict.PASSED, "nothing converted", "fake"),
            coverage={
                "scheduled": len(scheduled),
                "measured": len(judged),
                "days": len({row[model.entity_time].date() for row in judged}),
            },
            environment={"trainer": "fake"},
            signature={"inputs": [f"{name}: float" for name in model.numeric], "outputs": ["score: float"]},
            reference=self.keep([_judged(model, row, rate, windows) for row in scheduled], digest),
            base_rate=rate,
            untested=_untested(model, table.to_pylist(), judged),
        )

    def keep(self, rows: Sequence[Mapping[str, object]], artifact_digest: str) -> Frame:
        """Keep rows as those that an artifact was judged on."""
        frame = write_rows(rows, self._folder / f"{artifact_digest[7:]}.part")
        return replace(frame, path=frame.path.replace(self._rows(artifact_digest, frame.digest)))

    def reference(self, artifact_digest: str, digest: str) -> Frame:
        from tidegate.adapters.shared.frames import find_frame

        return find_frame(self._rows(artifact_digest, digest), digest, "the reference rows", "")

    def compare(self, model: ModelSpec, reference: Frame, champion: Path, champion_digest: str) -> Gains:
        """Return the gain on the candidate's reference rows; its interval is the value itself."""
        from tidegate.adapters.shared.frames import read_frame

        baseline = _rate(champion, champion_digest)
        rows = read_frame(reference, "the reference rows").to_pylist()
        known = [row for row in rows if row[model.label] is not None]

        def gain(of: Sequence[Mapping[str, Any]]) -> Measure:
            differences = [
                loss(model, row[model.label], baseline) - loss(model, row[model.label], row["score"])
                for row in of
            ]
            value = sum(differences) / len(differences)
            return Measure(value, len(differences), value, value, "fake")

        column = model.parameters.get("evaluation.slice_by")
        names = sorted({str(row[column]) for row in known}) if column else []
        slices = {
            f"{column}={name}": gain([row for row in known if str(row[column]) == name]) for name in names
        }
        return Gains(gain(known), slices)

    def replay(self, model: ModelSpec, reference: Frame, artifact: Path, artifact_digest: str) -> Evidence:
        """Compare the kept scores with the one value that the artifact says of every row."""
        from tidegate.adapters.shared.frames import read_frame

        rate = _rate(artifact, artifact_digest)
        kept = [row["score"] for row in read_frame(reference, "the reference rows").to_pylist()]
        largest = max(abs(rate - score) for score in kept)
        same = largest <= REPLAY_TOLERANCE
        return Evidence(
            "golden_predictions",
            f"artifact {artifact_digest}",
            Verdict.PASSED if same else Verdict.FAILED,
            f"{len(kept)} golden predictions differ by {largest:.2g} at most",
            "fake",
            {"max_abs_difference": Measure(largest, len(kept), method="fake")},
        )

    def _rows(self, artifact_digest: str, digest: str) -> Path:
        return self._folder / f"{artifact_digest[7:]}-{hex_of(digest, 'tg1:')}.parquet"


def _rate(artifact: Path, digest: str) -> float:
    """Read an artifact, verified."""
    if not artifact.exists() or sha256(artifact.read_bytes()) != digest:
        raise DependencyFailed("artifact-altered", f"got other bytes, expected {digest}")
    return float(json.loads(artifact.read_bytes())["rate"])


def _untested(
    model: ModelSpec, rows: Sequence[Mapping[str, Any]], judged: Sequence[Mapping[str, Any]]
) -> Untested | None:
    """Count each slice's judged rows and days, one slice after the other."""
    column = str(model.parameters.get("evaluation.slice_by", ""))
    if not column:
        return None
    least, few = int(model.parameters.get("evaluation.slice_rows", 30)), {}
    for name in sorted({str(row[column]) for row in rows}):
        own = [row for row in judged if str(row[column]) == name]
        if len(own) < least or len({row[model.entity_time].date() for row in own}) < 2:
            few[f"{column}={name}"] = len(own)
    return Untested(column, least, few)


def loss(model: ModelSpec, label: float, score: float) -> float:
    """Return what one wrong prediction costs."""
    miss = abs(float(label) - score)
    return miss**2 if model.prediction == "probability" else miss


def _judged(model: ModelSpec, row: Mapping[str, object], rate: float, windows: Windows) -> dict[str, object]:
    """Return a reference row; a label that was not known yet is none."""
    known: Any = row[model.label_time]
    sliced = [str(model.parameters[each]) for each in ("evaluation.slice_by",) if each in model.parameters]
    names = (model.entity_time, *model.keys, *model.numeric, *model.categorical, *sliced)
    label = row[model.label] if known is not None and known <= windows.known_by else None
    return {**{name: row[name] for name in names}, "score": rate, model.label: label}
