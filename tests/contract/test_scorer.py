"""`Scorer`: the fake and ONNX Runtime keep the same contract."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.adapters.model_folders import ModelFolders
from tidegate.adapters.onnx_scorer import OnnxScorer
from tidegate.adapters.shared.decisions import decision_records
from tidegate.adapters.shared.onnx_session import OUTPUTS
from tidegate.adapters.sklearn_trainer import SklearnTrainer
from tidegate.application.ports import Frame, ModelSpec
from tidegate.domain.canonical import canonical, sha256, utc_text
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.merkle import merkle_root
from tidegate.testing.contracts.scorer import Artifact, ScorerContract
from tidegate.testing.fakes.scorer import FakeScorer
from tidegate.testing.material import LABELS, trips, windows, write_model, write_rows


class TestFakeScorer(ScorerContract):
    @pytest.fixture
    def subject(self) -> FakeScorer:
        return FakeScorer()

    @pytest.fixture
    def artifact(self, tmp_path: Path, prediction: str) -> Artifact:
        body = canonical({"rate": 0.25 if prediction == "probability" else -7.5})
        (tmp_path / "artifact.json").write_bytes(body)
        return Artifact(tmp_path / "artifact.json", sha256(body))


@pytest.fixture(scope="module")
def trained_artifacts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Return the small models' ONNX bytes, by what they predict."""
    artifacts = {}
    for prediction in LABELS:
        home = tmp_path_factory.mktemp(prediction)
        write_model(home / "models", prediction=prediction)
        model = ModelFolders(home / "models").spec("tram_delay")
        frame = write_rows(trips(), home / "frame.parquet")
        trained = SklearnTrainer(home).train(model, frame, windows())
        artifacts[prediction] = trained.artifact.read_bytes()
    return artifacts


class TestOnnxScorer(ScorerContract):
    @pytest.fixture
    def subject(self) -> OnnxScorer:
        return OnnxScorer()

    @pytest.fixture
    def artifact(self, tmp_path: Path, prediction: str, trained_artifacts: Mapping[str, bytes]) -> Artifact:
        path, body = tmp_path / "model.onnx", trained_artifacts[prediction]
        path.write_bytes(body)
        return Artifact(path, sha256(body))

    def test_the_root_is_the_merkle_root_of_canonical_records(
        self, subject: OnnxScorer, artifact: Artifact, model: ModelSpec, tmp_path: Path
    ) -> None:
        import pyarrow.parquet as pq

        rows = trips(days=1)
        rows[3]["line"] = 'quote " back \\ tab \t bell \x07 é \u2028 \U0001f68b'
        frame = write_rows(rows, tmp_path / "odd.parquet")
        segment = subject.score(artifact.path, artifact.digest, model, frame, tmp_path / "decisions")

        def text(value: object) -> object:
            return value if value is None or isinstance(value, str) else repr(value)

        records = [
            canonical(
                {
                    "entity_time": utc_text(row["departs_at"]),
                    "inputs": {name: text(row[name]) for name in ("load", "stops", "line")},
                    "keys": {name: text(row[name]) for name in ("line", "trip")},
                    "score": repr(row["score"]),
                }
            )
            for row in pq.read_table(segment.path).to_pylist()
        ]
        assert merkle_root(records) == segment.root

    def test_a_version_of_fewer_inputs_scores_under_today_s_declaration(
        self, subject: OnnxScorer, model: ModelSpec, prediction: str, frame: Frame, tmp_path: Path
    ) -> None:
        import pyarrow.parquet as pq

        write_model(tmp_path / "declared", prediction=prediction)
        declared = ModelFolders(tmp_path / "declared").spec("tram_delay")
        rows = write_rows(trips(), tmp_path / "learned.parquet")
        earlier = replace(declared, numeric=("load",))
        trained = SklearnTrainer(tmp_path / "home").train(earlier, rows, windows())
        scores = [
            pq.read_table(subject.score(trained.artifact, trained.artifact_digest, each, frame, tmp_path / "d").path)
            .column("score")
            .to_pylist()
            for each in (earlier, model)
        ]  # fmt: skip
        assert scores[0] == scores[1]  # after a rollback it says what it always said

    def test_an_artifact_that_predicts_another_kind_is_refused(
        self, subject: OnnxScorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        other = replace(model, prediction="number" if model.prediction == "probability" else "probability")
        with pytest.raises(DependencyFailed) as failure:
            subject.score(artifact.path, artifact.digest, other, frame, tmp_path / "decisions")
        assert failure.value.code == "artifact-signature"
        assert f"expected {OUTPUTS[other.prediction][0]}" in failure.value.sentence

    def test_a_score_does_not_depend_on_the_rows_beside_it(
        self, subject: OnnxScorer, artifact: Artifact, model: ModelSpec, tmp_path: Path
    ) -> None:
        import pyarrow.parquet as pq

        def scores(rows: list[dict[str, object]]) -> list[float]:
            frame = write_rows(rows, tmp_path / "part.parquet")
            segment = subject.score(artifact.path, artifact.digest, model, frame, tmp_path / "decisions")
            return list(pq.read_table(segment.path).column("score").to_pylist())

        many = trips(days=80)  # more than one chunk
        whole = scores(many)
        assert scores(many[9000:9002]) == whole[9000:9002]

    def test_an_unseen_category_and_missing_numbers_are_scored(
        self, subject: OnnxScorer, artifact: Artifact, model: ModelSpec, tmp_path: Path
    ) -> None:
        rows = trips(days=1)[:3]
        rows[0] |= {"line": "Z"}
        rows[1] |= {"load": None}
        rows[2] |= {"line": None}
        frame = write_rows(rows, tmp_path / "gaps.parquet")
        segment = subject.score(artifact.path, artifact.digest, model, frame, tmp_path / "decisions")
        assert segment.records == 3

    def test_bytes_that_are_no_model_are_one_sentence_even_with_the_right_digest(
        self,
        subject: OnnxScorer,
        model: ModelSpec,
        frame: Frame,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "bad.onnx").write_bytes(b"garbage")
        with pytest.raises(DependencyFailed) as failure:
            subject.score(tmp_path / "bad.onnx", sha256(b"garbage"), model, frame, tmp_path / "decisions")
        assert failure.value.code == "artifact-not-loadable"
        assert capfd.readouterr().err == ""

    def test_a_file_swapped_after_it_was_verified_is_not_what_scores(
        self, subject: OnnxScorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        reads = []
        real = Path.read_bytes

        def swapping(path: Path) -> bytes:
            body = real(path)
            if path == artifact.path:
                reads.append(path)
                path.write_bytes(b"swapped")
            return body

        monkeypatch.setattr(Path, "read_bytes", swapping)
        segment = subject.score(artifact.path, artifact.digest, model, frame, tmp_path / "decisions")
        assert segment.records == frame.rows
        assert len(reads) == 1

    def test_a_numeric_input_that_holds_words_is_bad_input(
        self, subject: OnnxScorer, artifact: Artifact, model: ModelSpec, tmp_path: Path
    ) -> None:
        frame = write_rows([{**row, "load": "full"} for row in trips(days=1)], tmp_path / "words.parquet")
        with pytest.raises(BadInput) as refusal:
            subject.score(artifact.path, artifact.digest, model, frame, tmp_path / "decisions")
        assert refusal.value.code == "not-a-number"

    def test_no_part_file_is_left_beside_the_decisions(
        self, subject: OnnxScorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        segment = subject.score(artifact.path, artifact.digest, model, frame, tmp_path / "decisions")
        assert os.listdir(tmp_path / "decisions") == [segment.path.name]  # noqa: PTH208 - hidden ones too


def test_records_written_by_column_are_those_written_row_by_row_whatever_the_chunks_and_types() -> None:
    import pyarrow as pa

    nan, inf = float("nan"), float("inf")
    times = [datetime(2024, 3, 1, hour, tzinfo=UTC) for hour in range(8)]
    columns = {
        "at": pa.array(times, pa.timestamp("us", "UTC")),
        "key": pa.array([2**53 + 1, -1, 0, 7, 7, None, 10**15, 3], pa.int64()),
        "score": pa.array([0.1, 1e-7, 1e22, 5e-324, 1 / 3, 0.0, -0.0, 1.0]),
        "double": pa.array([-0.0, 0.0, nan, None, inf, -inf, 1e16, 123456789.125]),
        "single": pa.array([0.1, None, 1e-7, 3.4e38, 2, 0, -0.0, 1], pa.float32()),
        "text": pa.array(['q " b \\ t \t \x07', "", None, "é \u2028 \U0001f68b", "a", "a", "null", "0.1"]),
        "flag": pa.array([True, False, None, True, True, False, False, True]),
        "\U0001f68b": pa.array(list("abcdefgh")),  # its UTF-16 begins below that of the next name
        "\ufb33": pa.array(["x"] * 8).dictionary_encode(),
    }
    whole = pa.table(columns)
    chunked = pa.concat_tables([whole.slice(0, 3), whole.slice(3, 1), whole.slice(4)])
    inputs = ["double", "single", "text", "flag", "\U0001f68b", "\ufb33", "key"]

    def text(value: object) -> object:
        if value is None or isinstance(value, str):
            return value
        return utc_text(value) if isinstance(value, datetime) else repr(value)

    expected = [
        canonical(
            {
                "entity_time": text(row["at"]),
                "inputs": {name: text(row[name]) for name in inputs},
                "keys": {"key": text(row["key"])},
                "score": text(row["score"]),
            }
        )
        for row in whole.to_pylist()
    ]
    for table in (whole, chunked):
        assert list(decision_records(table, "at", ["key"], inputs)) == expected
    assert list(decision_records(whole.slice(0, 0), "at", ["key"], inputs)) == []
    assert next(iter(decision_records(whole, "at", ["key"], []))).count(b'"inputs":{}') == 1
    marks = ["day", None, "day, hour", *[None] * 5]
    marked = whole.append_column("stale_views", pa.array(marks))
    assert list(decision_records(marked, "at", ["key"], inputs)) == [
        canonical(json.loads(record) | {"stale_views": mark})
        for record, mark in zip(expected, marks, strict=True)
    ]
