"""What every `Trainer` keeps to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.adapters.shared.arrow import table_digest
from tidegate.application.ports import Frame, ModelSpec, Trainer, Windows
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.evidence import LOSSES, Verdict
from tidegate.testing.material import LABELS, altered, model_spec, trips, windows, write_model, write_rows


class TrainerContract:
    """Override ``subject``, and ``model`` where the trainer needs more than a declaration.

    Everything is asked twice: of a model that predicts a probability, and of one that predicts a number.
    """

    @pytest.fixture(params=tuple(LABELS))
    def prediction(self, request: pytest.FixtureRequest) -> str:
        """Return what the model predicts."""
        return str(request.param)

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Trainer:
        """Return the trainer under test."""
        raise NotImplementedError

    @pytest.fixture
    def model(self, tmp_path: Path, prediction: str) -> ModelSpec:
        """Return the small model, in a folder of its own."""
        return model_spec(write_model(tmp_path / "models", prediction=prediction), prediction)

    @pytest.fixture
    def frame(self, tmp_path: Path) -> Frame:
        """Return twenty days of trips with everything the model declares."""
        return write_rows(trips(), tmp_path / "frame.parquet")

    @pytest.fixture
    def windows(self) -> Windows:
        """Return the windows of the small model."""
        return windows()

    def test_the_artifact_is_named_by_its_bytes_and_the_same_frame_yields_the_same(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        assert sha256(trained.artifact.read_bytes()) == trained.artifact_digest
        assert subject.train(model, frame, windows).artifact_digest == trained.artifact_digest
        assert trained.parity.verdict is Verdict.PASSED
        assert trained.artifact_digest in trained.parity.subject

    def test_metrics_rest_on_the_labelled_rows_of_the_validation_window(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        labelled = [
            row
            for row in trips()
            if row["late"] is not None and windows.validate[0] <= row["departs_at"] < windows.validate[1]  # type: ignore[operator]
        ]
        rate = trained.metrics["base_rate"]
        assert rate.n == trained.coverage["measured"] == len(labelled)
        assert rate.value == pytest.approx(_mean(labelled, model))
        assert {LOSSES[model.prediction], "calibration_gap", "skill"} <= set(trained.metrics)
        assert trained.coverage["days"] == 5

    def test_the_base_rate_is_what_was_known_of_the_training_window_when_calibration_began(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        known = [
            row
            for row in trips()
            if row["late"] is not None
            and row["departs_at"] < windows.train[1]  # type: ignore[operator]
            and row["known_at"] <= windows.calibrate[0]  # type: ignore[operator]
        ]
        assert subject.train(model, frame, windows).base_rate == pytest.approx(_mean(known, model))

    def test_the_gap_is_the_mean_prediction_minus_the_mean_label_in_the_labels_unit(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        import pyarrow.parquet as pq

        trained = subject.train(model, frame, windows)
        rows = [
            row for row in pq.read_table(trained.reference.path).to_pylist() if row[model.label] is not None
        ]
        gap = sum(row["score"] - float(row[model.label]) for row in rows) / len(rows)
        assert trained.metrics["calibration_gap"].value == pytest.approx(gap)

    def test_a_label_counts_only_if_it_was_known_by_the_cut(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        # Trips become known three hours after departure: a cut at the window's end hides the last three.
        cut = replace(windows, known_by=windows.validate[1])
        whole, known = (subject.train(model, frame, each).metrics["skill"].n for each in (windows, cut))
        hidden = [
            row
            for row in trips()
            if row["known_at"] is not None and row["known_at"] > cut.known_by  # type: ignore[operator]
        ]
        assert hidden
        assert known == whole - len(hidden)

    def test_later_labels_do_not_change_what_was_learned(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows, tmp_path: Path
    ) -> None:
        flipped = [
            {**row, **_turned(row)}
            if row["known_at"] is not None and row["known_at"] > windows.validate[0]  # type: ignore[operator]
            else row
            for row in trips()
        ]
        changed = write_rows(flipped, tmp_path / "changed.parquet")
        trained, other = (subject.train(model, each, windows) for each in (frame, changed))
        assert other.artifact_digest == trained.artifact_digest
        assert other.metrics["base_rate"].value != trained.metrics["base_rate"].value

    def test_the_reference_holds_the_judged_rows_with_their_scores(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        import pyarrow.parquet as pq

        trained = subject.train(model, frame, windows)
        reference = pq.read_table(trained.reference.path)
        wanted = {model.entity_time, *model.keys, *model.numeric, *model.categorical, model.label, "score"}
        assert wanted <= set(reference.column_names)
        kind = "bool" if model.prediction == "probability" else "double"
        assert str(reference.schema.field(model.label).type) == kind
        assert reference.num_rows == trained.reference.rows == trained.coverage["scheduled"]
        assert trained.reference.digest == table_digest(reference)

    def test_the_reference_is_found_again_by_the_two_digests_that_the_ledger_keeps(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        assert subject.reference(trained.artifact_digest, trained.reference.digest) == trained.reference

    def test_the_same_artifact_judged_on_other_rows_keeps_both(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        earlier = replace(windows, validate=(windows.validate[0], windows.validate[1] - timedelta(days=1)))
        first = subject.train(model, frame, windows)
        before = (first.reference.path.read_bytes(), first.reference.path.stat().st_mtime_ns)
        second = subject.train(model, frame, earlier)
        assert second.artifact_digest == first.artifact_digest
        assert second.reference.digest != first.reference.digest
        assert (first.reference.path.read_bytes(), first.reference.path.stat().st_mtime_ns) == before
        for each in (first, second):
            kept = subject.reference(each.artifact_digest, each.reference.digest)
            gain = subject.compare(model, kept, each.artifact, each.artifact_digest).overall
            assert gain.n == each.coverage["measured"]

    @pytest.mark.parametrize("digest", ["", "tg1:../../secrets", "tg1:abc", "sha256:" + "0" * 64])
    def test_what_is_no_digest_never_becomes_a_path(self, subject: Trainer, digest: str) -> None:
        with pytest.raises(BadInput) as refusal:
            subject.reference(sha256(b"artifact"), digest)
        assert refusal.value.code == "not-a-digest"

    def test_a_frame_without_a_declared_column_is_bad_input_that_names_it(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        with pytest.raises(BadInput) as refusal:
            subject.train(replace(model, numeric=(*model.numeric, "wind")), frame, windows)
        assert refusal.value.code == "missing-column"
        assert "wind" in refusal.value.sentence

    def test_a_window_without_labels_is_bad_input(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        year = timedelta(days=365)
        later = (windows.validate[0] + year, windows.validate[1] + year)
        with pytest.raises(BadInput) as refusal:
            subject.train(model, frame, replace(windows, validate=later, known_by=later[1]))
        assert refusal.value.code == "window-without-labels"

    def test_labels_that_are_all_the_same_are_bad_input(
        self, subject: Trainer, model: ModelSpec, windows: Windows, tmp_path: Path
    ) -> None:
        same = [{**row, "late": True, "delay": 3.0} if row["known_at"] else row for row in trips()]
        with pytest.raises(BadInput) as refusal:
            subject.train(model, write_rows(same, tmp_path / "same.parquet"), windows)
        assert refusal.value.code == "window-without-labels"

    def test_calibration_earlier_than_training_is_bad_input(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        with pytest.raises(BadInput) as refusal:
            subject.train(model, frame, replace(windows, train=windows.calibrate, calibrate=windows.train))
        assert refusal.value.code == "windows-order"

    def test_a_version_gains_nothing_over_itself(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        gain = subject.compare(model, trained.reference, trained.artifact, trained.artifact_digest).overall
        assert gain.value == gain.low == gain.high == 0
        assert gain.n == trained.coverage["measured"]

    def test_a_gain_is_the_difference_of_losses_on_the_candidates_rows(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows, tmp_path: Path
    ) -> None:
        # Turned labels, known in time: a champion that learned the opposite.
        turned = [{**row, **_turned(row)} for row in trips()]
        champion = subject.train(model, write_rows(turned, tmp_path / "turned.parquet"), windows)
        candidate = subject.train(model, frame, windows)
        gain = subject.compare(
            model, candidate.reference, champion.artifact, champion.artifact_digest
        ).overall
        back = subject.compare(
            model, champion.reference, candidate.artifact, candidate.artifact_digest
        ).overall
        assert gain.value > 0
        assert gain.n == candidate.coverage["measured"]
        assert gain.low is not None
        assert gain.high is not None
        assert gain.low <= gain.value <= gain.high
        assert back.value > 0  # judged on the turned rows, the turned model is the better one

    def test_an_altered_champion_is_never_compared_with(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows, tmp_path: Path
    ) -> None:
        trained = subject.train(model, frame, windows)
        other = tmp_path / "other"
        other.write_bytes(trained.artifact.read_bytes() + b"\0")
        with pytest.raises(DependencyFailed) as failure:
            subject.compare(model, trained.reference, other, trained.artifact_digest)
        assert failure.value.code == "artifact-altered"

    def test_a_candidate_whose_rows_are_gone_cannot_be_compared(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        trained.reference.path.unlink()
        for act in (
            lambda: subject.reference(trained.artifact_digest, trained.reference.digest),
            lambda: subject.compare(model, trained.reference, trained.artifact, trained.artifact_digest),
        ):
            with pytest.raises(DependencyFailed) as failure:
                act()
            assert failure.value.code == "frame-unreadable"

    def test_altered_reference_rows_are_never_compared_on(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        found = altered(trained.reference.path, "score", 0)
        kept = subject.reference(trained.artifact_digest, trained.reference.digest)
        with pytest.raises(DependencyFailed) as failure:
            subject.compare(model, kept, trained.artifact, trained.artifact_digest)
        assert failure.value.code == "frame-altered"
        assert failure.value.sentence.endswith(
            f"with the content {found}, expected {trained.reference.digest}"
        )
        assert "the reference rows" in failure.value.sentence

    def test_training_again_mends_altered_reference_rows(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        altered(trained.reference.path, "score", 0)
        again = subject.train(model, frame, windows)
        assert again.reference == trained.reference
        gain = subject.compare(model, again.reference, trained.artifact, trained.artifact_digest)
        assert gain.overall.value == 0

    # ── slices ────────────────────────────────────────────────────────────────────────────────────

    def test_gains_by_slice_are_those_of_its_rows_and_add_up_to_the_whole(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows, tmp_path: Path
    ) -> None:
        turned = [{**row, **_turned(row)} for row in trips()]
        champion = subject.train(sliced(model), write_rows(turned, tmp_path / "turned.parquet"), windows)
        candidate = subject.train(sliced(model), frame, windows)
        gains = subject.compare(
            sliced(model), candidate.reference, champion.artifact, champion.artifact_digest
        )
        assert set(gains.slices) == {"line=A", "line=B", "line=C"}
        assert sum(gain.n for gain in gains.slices.values()) == gains.overall.n
        lost = sum(gain.value * gain.n for gain in gains.slices.values())
        assert lost / gains.overall.n == pytest.approx(gains.overall.value)
        for gain in gains.slices.values():
            assert gain.low is not None
            assert gain.high is not None
            assert gain.low <= gain.value <= gain.high

    def test_what_slices_are_made_by_need_not_be_an_input(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        by_status = sliced(model, "status")
        trained = subject.train(by_status, frame, windows)
        gains = subject.compare(by_status, trained.reference, trained.artifact, trained.artifact_digest)
        assert set(gains.slices) == {"status=arrived"}  # what was cancelled or diverted has no label

    def test_a_model_without_slices_has_no_gain_by_slice_and_none_untested(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        kept = {name: value for name, value in model.parameters.items() if name != "evaluation.slice_by"}
        whole = replace(model, parameters=kept)
        trained = subject.train(whole, frame, windows)
        gains = subject.compare(whole, trained.reference, trained.artifact, trained.artifact_digest)
        assert gains.slices == {}
        assert trained.untested is None

    def test_a_slice_of_too_few_judged_rows_is_untested_wherever_else_its_rows_lie(
        self, subject: Trainer, model: ModelSpec, windows: Windows, tmp_path: Path
    ) -> None:
        judged, first = windows.validate[0], windows.validate[0] + timedelta(days=1)

        def line(row: Mapping[str, Any]) -> str:
            if row["departs_at"] < judged and row["trip"] % 5 == 0:
                return "old"  # it ran until the validation window began
            if judged <= row["departs_at"] < first and row["trip"] % 2:
                return "once"  # many rows, of one day
            return "rare" if row["trip"] % 60 == 0 else str(row["line"])

        frame = write_rows([{**row, "line": line(row)} for row in trips()], tmp_path / "lines.parquet")
        untested = subject.train(sliced(model), frame, windows).untested
        assert untested is not None
        assert (untested.by, untested.least_rows) == ("line", 30)
        assert set(untested.slices) == {"line=old", "line=once", "line=rare"}
        assert untested.slices["line=old"] == 0
        assert untested.slices["line=once"] > 30 > untested.slices["line=rare"] > 0
        more = replace(sliced(model), parameters={**sliced(model).parameters, "evaluation.slice_rows": 10})
        fewer = subject.train(more, frame, windows).untested
        assert fewer is not None
        assert set(fewer.slices) == {"line=old", "line=once"} | (
            {"line=rare"} if untested.slices["line=rare"] < 10 else set()
        )

    # ── replaying ─────────────────────────────────────────────────────────────────────────────────

    def test_an_artifact_predicts_what_was_kept_when_it_was_judged(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        golden = subject.replay(model, trained.reference, trained.artifact, trained.artifact_digest)
        assert golden.verdict is Verdict.PASSED
        assert trained.artifact_digest in golden.subject
        assert 0 < golden.values["max_abs_difference"].n <= trained.reference.rows

    def test_an_artifact_that_predicts_otherwise_fails_with_both_numbers(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows, tmp_path: Path
    ) -> None:
        turned = [{**row, **_turned(row)} for row in trips()]
        other = subject.train(model, write_rows(turned, tmp_path / "turned.parquet"), windows)
        trained = subject.train(model, frame, windows)
        golden = subject.replay(model, trained.reference, other.artifact, other.artifact_digest)
        assert golden.verdict is Verdict.FAILED
        assert f"differ by {golden.values['max_abs_difference'].value:.2g} at most" in golden.sentence

    def test_neither_altered_bytes_nor_altered_rows_are_replayed(
        self, subject: Trainer, model: ModelSpec, frame: Frame, windows: Windows, tmp_path: Path
    ) -> None:
        trained = subject.train(model, frame, windows)
        other = tmp_path / "other"
        other.write_bytes(trained.artifact.read_bytes() + b"\0")
        with pytest.raises(DependencyFailed) as failure:
            subject.replay(model, trained.reference, other, trained.artifact_digest)
        assert failure.value.code == "artifact-altered"
        altered(trained.reference.path, "score", 0)
        with pytest.raises(DependencyFailed) as failure:
            subject.replay(model, trained.reference, trained.artifact, trained.artifact_digest)
        assert failure.value.code == "frame-altered"
        trained.reference.path.unlink()
        with pytest.raises(DependencyFailed) as failure:
            subject.replay(model, trained.reference, trained.artifact, trained.artifact_digest)
        assert failure.value.code == "frame-unreadable"


def sliced(model: ModelSpec, by: str = "line") -> ModelSpec:
    """Declare that a model is measured by the values of a column."""
    return replace(model, parameters={**model.parameters, "evaluation.slice_by": by})


def _mean(rows: Sequence[Mapping[str, Any]], model: ModelSpec) -> float:
    return sum(float(row[model.label]) for row in rows) / len(rows)


def _turned(row: Mapping[str, Any]) -> dict[str, object]:
    """Return the opposite of what came of a row: on time for late, and as far on the other side of 5 minutes."""
    if row["late"] is None:
        return {}
    return {"late": not row["late"], "delay": 10 - row["delay"]}
