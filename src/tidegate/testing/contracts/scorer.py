"""What every `Scorer` keeps to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import isfinite
from pathlib import Path

import pytest

from tidegate.application.ports import Frame, Marking, ModelSpec, Part, Scorer
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.freshness import Staleness
from tidegate.testing.material import LABELS, model_spec, trips, write_model, write_rows


@dataclass(frozen=True)
class Artifact:
    """A file that the scorer under test can load, and its digest."""

    path: Path
    digest: str


class ScorerContract:
    """Override ``subject`` and ``artifact``.

    Everything is asked twice: of a model that predicts a probability, and of one that predicts a number.
    """

    @pytest.fixture(params=tuple(LABELS))
    def prediction(self, request: pytest.FixtureRequest) -> str:
        """Return what the model predicts."""
        return str(request.param)

    @pytest.fixture
    def subject(self) -> Scorer:
        """Return the scorer under test."""
        raise NotImplementedError

    @pytest.fixture
    def artifact(self, tmp_path: Path, prediction: str) -> Artifact:
        """Return an artifact of the small model that predicts ``prediction``."""
        raise NotImplementedError

    @pytest.fixture
    def model(self, tmp_path: Path, prediction: str) -> ModelSpec:
        """Return the small model, in a folder of its own."""
        return model_spec(write_model(tmp_path / "models", prediction=prediction), prediction)

    @pytest.fixture
    def frame(self, tmp_path: Path) -> Frame:
        """Return two days of trips."""
        return write_rows(trips(days=2), tmp_path / "frame.parquet")

    def test_a_part_and_its_others_are_all_rows_once_drawn_by_their_names_alone(
        self, subject: Scorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        import pyarrow.parquet as pq

        def decided(part: Part | None, rows: Frame = frame) -> list[tuple[object, ...]]:
            made = subject.score(artifact.path, artifact.digest, model, rows, tmp_path / "out", part)
            read = pq.read_table(made.path).to_pylist()
            assert made.records == len(read)
            return [tuple(row[name] for name in (model.entity_time, *model.keys)) for row in read]

        whole, some, others = decided(None), decided(Part(7)), decided(Part(7, others=True))
        assert (len(some), len(others)) == (7, len(whole) - 7)
        assert sorted(some + others) == sorted(whole)
        assert some == [name for name in whole if name in set(some)], "in the frame's order"
        assert set(decided(Part(3))) < set(some), "who may decide more decides the same ones too"
        altered = [{**row, "stops": 99} for row in pq.read_table(frame.path).to_pylist()]
        assert decided(Part(7), write_rows(altered, tmp_path / "altered.parquet")) == some
        assert (decided(Part(0)), decided(Part(10_000), frame)) == ([], whole)

    def test_every_row_of_the_frame_gets_one_decision_in_its_order(
        self, subject: Scorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        import pyarrow.parquet as pq

        segment = subject.score(artifact.path, artifact.digest, model, frame, tmp_path / "decisions")
        decisions = pq.read_table(segment.path)
        assert segment.records == decisions.num_rows == frame.rows
        assert decisions.column("trip").to_pylist() == [row["trip"] for row in trips(days=2)]
        assert {"departs_at", "line", "load", "stops", "score"} <= set(decisions.column_names)
        scores = decisions.column("score").to_pylist()
        assert all(isfinite(score) for score in scores)
        if model.prediction == "probability":
            assert all(0 < score < 1 for score in scores)
        assert not {"late", "delay"} & set(decisions.column_names)

    def test_each_decision_says_of_which_views_it_rests_on_what_is_not_fresh(
        self, subject: Scorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        """Of the day's value every second one is an hour old, and every third unknown; the hour's are all fresh."""
        import pyarrow.parquet as pq

        hour = 3_600_000_000
        rows = [
            {"day": None if place % 3 == 0 else place % 2 * hour, "hour": hour} for place in range(frame.rows)
        ]
        ages = write_rows(rows, tmp_path / "ages.parquet")
        asked = {"day": timedelta(minutes=59), "hour": timedelta(hours=1)}
        into = (artifact.path, artifact.digest, model, frame, tmp_path / "out")
        marked = subject.score(*into, None, Marking(ages, asked))
        table = pq.read_table(marked.path)
        old = [place % 3 == 0 or place % 2 == 1 for place in range(frame.rows)]
        assert table.column("stale_views").to_pylist() == ["day" if each else None for each in old]
        unknown = len(range(0, frame.rows, 3))
        assert marked.stale == {"day": Staleness(sum(old), unknown), "hour": Staleness(0, 0)}
        plain = subject.score(*into)
        assert (plain.stale, "stale_views" in pq.read_table(plain.path).column_names) == ({}, False)
        assert plain.root != marked.root, "the mark is under the root"
        assert table.column("score").to_pylist() == pq.read_table(plain.path).column("score").to_pylist()

    def test_a_part_is_marked_as_its_rows_are_in_the_whole(
        self, subject: Scorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        import pyarrow.parquet as pq

        rows = [{"day": place, "hour": None if place % 2 else 0} for place in range(frame.rows)]
        marking = Marking(
            write_rows(rows, tmp_path / "ages.parquet"),
            {"day": timedelta(microseconds=20), "hour": timedelta(hours=1)},
        )

        def decided(part: Part | None) -> tuple[dict[object, str], Mapping[str, Staleness]]:
            into = (artifact.path, artifact.digest, model, frame, tmp_path / "out", part, marking)
            made = subject.score(*into)
            return {
                (row["trip"], row["departs_at"]): row["stale_views"]
                for row in pq.read_table(made.path).to_pylist()
            }, made.stale

        whole, count = decided(None)
        some, few = decided(Part(7))
        others, many = decided(Part(7, others=True))
        assert {**some, **others} == whole
        assert set(whole.values()) == {None, "hour", "day", "day, hour"}
        for view in ("day", "hour"):
            assert few[view].rows == sum(view in (mark or "") for mark in some.values())
            assert few[view].rows + many[view].rows == count[view].rows
            assert few[view].unknown + many[view].unknown == count[view].unknown

    def test_ages_of_other_rows_mark_nothing(
        self, subject: Scorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        ages = write_rows([{"day": 0}], tmp_path / "ages.parquet")
        into = (artifact.path, artifact.digest, model, frame, tmp_path / "out", None)
        with pytest.raises(BadInput) as refusal:
            subject.score(*into, Marking(ages, {"day": timedelta(hours=1)}))
        assert refusal.value.code == "other-rows"
        altered = replace(
            write_rows([{"day": 0}] * frame.rows, tmp_path / "more.parquet"), digest="tg1:other"
        )
        with pytest.raises(DependencyFailed) as failure:
            subject.score(*into, Marking(altered, {"day": timedelta(hours=1)}))
        assert failure.value.code == "frame-altered"

    def test_the_same_rows_have_the_same_root_and_file_and_others_another(
        self, subject: Scorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        into = tmp_path / "decisions"
        segment = subject.score(artifact.path, artifact.digest, model, frame, into)
        fewer = write_rows(trips(days=2)[1:], tmp_path / "fewer.parquet")
        assert subject.score(artifact.path, artifact.digest, model, frame, into) == segment
        assert subject.score(artifact.path, artifact.digest, model, fewer, into).root != segment.root
        assert segment.root[7:] in segment.path.name

    def test_an_altered_artifact_is_refused_before_it_is_loaded(
        self, subject: Scorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        artifact.path.write_bytes(artifact.path.read_bytes() + b"\0")
        with pytest.raises(DependencyFailed) as failure:
            subject.score(artifact.path, artifact.digest, model, frame, tmp_path / "decisions")
        assert failure.value.code == "artifact-altered"
        assert artifact.digest in failure.value.sentence
        assert not (tmp_path / "decisions").exists()

    def test_a_missing_artifact_is_a_failed_dependency(
        self, subject: Scorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        with pytest.raises(DependencyFailed) as failure:
            subject.score(tmp_path / "gone", sha256(b"gone"), model, frame, tmp_path / "decisions")
        assert failure.value.code == "artifact-missing"

    def test_a_frame_without_a_declared_column_is_bad_input(
        self, subject: Scorer, artifact: Artifact, model: ModelSpec, frame: Frame, tmp_path: Path
    ) -> None:
        wanting = replace(model, numeric=(*model.numeric, "wind"))
        with pytest.raises(BadInput) as refusal:
            subject.score(artifact.path, artifact.digest, wanting, frame, tmp_path / "decisions")
        assert refusal.value.code == "missing-column"
