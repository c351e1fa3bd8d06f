"""`Trainer`: the fake and scikit-learn with ONNX keep the same contract."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.adapters.model_folders import ModelFolders
from tidegate.adapters.shared.measures import METRICS
from tidegate.adapters.shared.onnx_session import OUTPUTS
from tidegate.adapters.sklearn_trainer import SklearnTrainer
from tidegate.adapters.sklearn_trainer.convert import PLURALS, TOLERANCES
from tidegate.adapters.sklearn_trainer.trainer import REPLAYED
from tidegate.application.ports import Frame, ModelSpec, Windows
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.evidence import LOSSES
from tidegate.testing.contracts.trainer import TrainerContract, sliced
from tidegate.testing.fakes.trainer import FakeTrainer
from tidegate.testing.material import NUMBER_TRAIN_PY, TRAIN_PY, trips, write_model, write_rows

PROBABILITY = pytest.mark.parametrize("prediction", ["probability"])
NUMBER = pytest.mark.parametrize("prediction", ["number"])


class TestFakeTrainer(TrainerContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> FakeTrainer:
        return FakeTrainer(tmp_path / "artifacts")


class TestSklearnTrainer(TrainerContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> SklearnTrainer:
        return SklearnTrainer(tmp_path / "home")

    @pytest.fixture
    def model(self, tmp_path: Path, prediction: str) -> ModelSpec:
        write_model(tmp_path / "models", prediction=prediction)
        return ModelFolders(tmp_path / "models").spec("tram_delay")

    @pytest.fixture
    def rewritten(self, tmp_path: Path) -> Callable[..., ModelSpec]:
        """Return a function that declares the small model with another train.py."""

        def write(train: str, prediction: str = "probability") -> ModelSpec:
            write_model(tmp_path / "others", prediction=prediction, train=train)
            return ModelFolders(tmp_path / "others").spec("tram_delay")

        return write

    def test_another_process_with_other_hashes_and_threads_yields_the_same_bytes(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows, tmp_path: Path
    ) -> None:
        script = (
            "import sys; from pathlib import Path\n"
            "from tidegate.adapters.model_folders import ModelFolders\n"
            "from tidegate.adapters.sklearn_trainer.trainer import SklearnTrainer\n"
            "from tidegate.application.ports import Frame\n"
            "from tidegate.domain.canonical import sha256\n"
            "from tidegate.testing.material import windows\n"
            "model = ModelFolders(Path(sys.argv[1])).spec('tram_delay')\n"
            "frame = Frame(sys.argv[4], Path(sys.argv[2]), 0)\n"
            "trained = SklearnTrainer(Path(sys.argv[3])).train(model, frame, windows())\n"
            "print(trained.artifact_digest, sha256(trained.reference.path.read_bytes()))\n"
        )
        trained = subject.train(model, frame, windows)
        arguments = [str(model.folder.parent), str(frame.path), str(tmp_path / "elsewhere"), frame.digest]
        environment = {"PYTHONHASHSEED": "4242", "OMP_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)}
        other = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        rows = sha256(trained.reference.path.read_bytes())
        assert other.stdout.split() == [trained.artifact_digest, rows]
        assert trained.reference.path.name == f"reference-{trained.reference.digest[4:]}.parquet"

    def test_the_order_of_the_frames_rows_changes_nothing(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows, tmp_path: Path
    ) -> None:
        turned = write_rows(list(reversed(trips())), tmp_path / "turned.parquet")
        trained, other = (subject.train(model, each, windows) for each in (frame, turned))
        assert other.artifact_digest == trained.artifact_digest
        assert other.metrics == trained.metrics

    def test_metrics_carry_n_and_an_interval_over_days(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        metrics = subject.train(model, frame, windows).metrics
        assert set(METRICS[model.prediction]) <= set(metrics)
        for name in METRICS[model.prediction]:
            measure = metrics[name]
            assert measure.low is not None
            assert measure.high is not None
            assert measure.low < measure.value < measure.high
            assert measure.method == "95 % percentile interval, 200 resamples of 5 whole days"
        assert abs(metrics["calibration_gap"].value) < (0.1 if model.prediction == "probability" else 1)
        assert metrics["skill"].low > 0
        if model.prediction == "probability":
            assert metrics["roc_auc"].value > 0.6
        else:
            # Noise of four minutes: its mean absolute value is four times √(2/π).
            assert 3.1 < metrics["mae"].value < 4
            assert metrics["mae"].value < metrics["rmse"].value < 5

    @PROBABILITY
    def test_cancelled_and_diverted_rows_are_counted_and_diverted_ones_are_tried_as_positives(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        coverage, metrics = trained.coverage, trained.metrics
        assert coverage["scheduled"] == 600
        assert coverage["scheduled"] == sum(coverage[name] for name in ("arrived", "cancelled", "diverted"))
        assert coverage["measured"] == coverage["arrived"]
        diverted = coverage["diverted"]
        assert diverted > 0
        tried, plain = metrics["base_rate_if_diverted_is_late"], metrics["base_rate"]
        assert tried.n == plain.n + diverted
        assert tried.value == pytest.approx((plain.value * plain.n + diverted) / tried.n)

    def test_slices_partition_the_measured_rows(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        assert set(trained.slices) == {"line=A", "line=B", "line=C"}
        loss = LOSSES[model.prediction]
        assert sum(slice_[loss].n for slice_ in trained.slices.values()) == trained.coverage["measured"]

    @PROBABILITY
    def test_slices_may_be_made_by_the_label_itself(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        by_label = sliced(model, model.label)
        trained = subject.train(by_label, frame, windows)
        gains = subject.compare(by_label, trained.reference, trained.artifact, trained.artifact_digest)
        assert set(gains.slices) == set(trained.slices) == {"late=false", "late=true"}

    def test_parity_is_measured_on_the_rows_of_the_validation_window(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        parity = subject.train(model, frame, windows).parity
        assert parity.values["max_abs_difference"].n == 600
        assert parity.values["max_abs_difference"].value < TOLERANCES[model.prediction]

    @NUMBER
    def test_parity_of_numbers_is_in_standard_deviations_of_the_label_whatever_its_unit(
        self, subject: SklearnTrainer, model: ModelSpec, windows: Windows, tmp_path: Path
    ) -> None:
        parities = []
        for factor in (1, 1_000_000):
            rows = [
                {**row, "delay": None if row["delay"] is None else factor * row["delay"]} for row in trips()
            ]
            frame = write_rows(rows, tmp_path / f"{factor}.parquet")
            parities.append(subject.train(model, frame, windows).parity)
        few, many = (each.values["max_abs_difference"] for each in parities)
        assert 0 < few.value < 1e-5
        assert 0 < many.value < 1e-5
        assert few.method == "largest absolute difference in standard deviations of delay (7.016)"
        assert many.method == "largest absolute difference in standard deviations of delay (7.016e+06)"
        assert "1e-05 is allowed" in parities[0].sentence

    def test_a_conversion_beyond_tolerance_fails_with_both_numbers(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        strict = replace(model, parameters={**model.parameters, "evaluation.onnx_tolerance": 1e-300})
        with pytest.raises(DependencyFailed) as failure:
            subject.train(strict, frame, windows)
        assert failure.value.code == "onnx-parity"
        assert "expected at most 1e-300" in failure.value.sentence

    def test_a_champion_of_fewer_inputs_is_compared_and_one_of_others_is_not(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        fewer = subject.train(replace(model, numeric=("load",)), frame, windows)
        whole = subject.train(model, frame, windows)
        gain = subject.compare(model, whole.reference, fewer.artifact, fewer.artifact_digest).overall
        assert gain.n == whole.coverage["measured"]
        assert gain.method == "paired, 95 % percentile interval, 200 resamples of 5 whole days"
        with pytest.raises(DependencyFailed) as failure:
            subject.compare(
                replace(model, numeric=("load",)),
                fewer.reference,
                whole.artifact,
                whole.artifact_digest,
            )
        assert failure.value.code == "artifact-signature"

    def test_a_reference_without_an_input_that_is_asked_for_is_bad_input(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        fewer = subject.train(replace(model, numeric=("load",)), frame, windows)
        whole = subject.train(model, frame, windows)
        for act in (subject.compare, subject.replay):
            with pytest.raises(BadInput) as refusal:
                act(model, fewer.reference, whole.artifact, whole.artifact_digest)
            assert (refusal.value.code, "without stops" in refusal.value.sentence) == ("missing-column", True)

    def test_golden_predictions_are_a_fixed_sample_within_what_a_conversion_may_differ(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        trained = subject.train(model, frame, windows)
        golden = subject.replay(model, trained.reference, trained.artifact, trained.artifact_digest)
        assert golden.values["max_abs_difference"].n == REPLAYED < trained.reference.rows
        assert golden.values["max_abs_difference"].value <= TOLERANCES[model.prediction]
        assert golden.sentence.startswith(f"{REPLAYED} golden {PLURALS[model.prediction]} differ by ")

    def test_a_link_that_the_converter_loses_is_refused(
        self, subject: SklearnTrainer, rewritten: Callable[..., ModelSpec], windows: Windows, tmp_path: Path
    ) -> None:
        # skl2onnx leaves out the exponential of a Poisson regression: the artifact would predict logarithms.
        rows = [{**row, "delay": None if row["delay"] is None else abs(row["delay"])} for row in trips()]
        frame = write_rows(rows, tmp_path / "frame.parquet")
        model = rewritten(NUMBER_TRAIN_PY.replace("absolute_error", "poisson"), prediction="number")
        with pytest.raises(DependencyFailed) as failure:
            subject.train(model, frame, windows)
        assert failure.value.code == "onnx-parity"
        assert "standard deviations of delay" in failure.value.sentence

    def test_a_champion_that_predicts_another_kind_is_not_compared(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows, tmp_path: Path
    ) -> None:
        other = "number" if model.prediction == "probability" else "probability"
        write_model(tmp_path / "other", prediction=other)
        champion = subject.train(ModelFolders(tmp_path / "other").spec("tram_delay"), frame, windows)
        trained = subject.train(model, frame, windows)
        with pytest.raises(DependencyFailed) as failure:
            subject.compare(model, trained.reference, champion.artifact, champion.artifact_digest)
        assert failure.value.code == "artifact-signature"
        assert f"expected {OUTPUTS[model.prediction][0]}" in failure.value.sentence

    @pytest.mark.parametrize(
        ("prediction", "label", "sentence"),
        [
            (
                "probability",
                2,
                "got late = 2 in the train window of tram_delay, expected true or false (0 or 1)",
            ),
            (
                "number",
                float("inf"),
                "got delay = inf in the train window of tram_delay, expected finite numbers",
            ),
            ("number", "long", "got delay as string, expected numbers, or true and false"),
        ],
    )
    def test_a_label_of_another_kind_is_bad_input(
        self, subject: SklearnTrainer, model: ModelSpec, windows: Windows, tmp_path: Path, label: object,
        sentence: str,
    ) -> None:  # fmt: skip
        rows = [{**row, model.label: label if row["known_at"] else None} for row in trips()]
        with pytest.raises(BadInput) as refusal:
            subject.train(model, write_rows(rows, tmp_path / "frame.parquet"), windows)
        assert (refusal.value.code, refusal.value.sentence) == ("bad-label", sentence)

    def test_no_pickle_is_written(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows, tmp_path: Path
    ) -> None:
        subject.train(model, frame, windows)
        suffixes = {path.suffix for path in (tmp_path / "home").rglob("*") if path.is_file()}
        assert suffixes == {".onnx", ".parquet"}

    @pytest.mark.parametrize(
        ("train", "code", "sentence"),
        [
            ("def pipeline(", "model-code-failed", "SyntaxError at line 1"),
            ("import no_such_package", "model-code-failed", "ModuleNotFoundError at line 1"),
            ("x = 1", "no-pipeline", "without a function `pipeline`"),
            ("def pipeline(*a):\n    return 1 / 0", "model-code-failed", "ZeroDivisionError at line 2"),
            (TRAIN_PY.replace("sigmoid", "spline"), "model-code-failed", "train.py of tram_delay to fit"),
            (TRAIN_PY.replace("return Pipeline(", "return Pipe("), "model-code-failed", "NameError"),
        ],
    )  # fmt: skip
    def test_a_failure_in_the_models_own_code_is_one_sentence_with_its_line(
        self, subject: SklearnTrainer, rewritten: Callable[[str], ModelSpec], frame: Frame, windows: Windows,
        train: str, code: str, sentence: str,
    ) -> None:  # fmt: skip
        with pytest.raises((BadInput, DependencyFailed)) as failure:
            subject.train(rewritten(train), frame, windows)
        assert failure.value.code == code
        assert sentence in failure.value.sentence

    def test_a_pipeline_that_cannot_be_converted_is_one_short_sentence(
        self, subject: SklearnTrainer, rewritten: Callable[[str], ModelSpec], frame: Frame, windows: Windows
    ) -> None:
        odd = TRAIN_PY.replace(
            "calibrated = CalibratedClassifierCV(trees",
            "from sklearn.frozen import FrozenEstimator\n"
            "    calibrated = FrozenEstimator(trees) if False else CalibratedClassifierCV(Odd()",
        ).replace("def pipeline", "class Odd(HistGradientBoostingClassifier):\n    pass\n\n\ndef pipeline")
        with pytest.raises(DependencyFailed) as failure:
            subject.train(rewritten(odd), frame, windows)
        assert failure.value.code == "not-convertible"
        assert len(failure.value.sentence) < 400

    def test_a_model_edited_since_it_was_read_is_refused(
        self, subject: SklearnTrainer, model: ModelSpec, frame: Frame, windows: Windows
    ) -> None:
        (model.folder / "train.py").write_text("# edited\n")
        with pytest.raises(BadInput) as refusal:
            subject.train(model, frame, windows)
        assert refusal.value.code == "model-changed"

    @PROBABILITY
    def test_two_versions_of_a_model_do_not_see_each_others_code(
        self, model: ModelSpec, rewritten: Callable[[str], ModelSpec], tmp_path: Path
    ) -> None:
        from tidegate.adapters.shared.model_code import load_pipeline

        before = set(sys.modules)
        other = rewritten(TRAIN_PY + "\nMARK = 2\n")
        first, second = load_pipeline(model), load_pipeline(other)
        assert first.__module__ != second.__module__
        assert "MARK" not in first.__globals__
        assert not {name for name in set(sys.modules) - before if "tram" in name or name == "train"}
        assert not list(tmp_path.rglob("__pycache__"))

    def test_an_input_that_was_never_filled_in_training_is_bad_input(
        self, subject: SklearnTrainer, model: ModelSpec, windows: Windows, tmp_path: Path
    ) -> None:
        empty = write_rows([{**row, "load": None} for row in trips()], tmp_path / "empty.parquet")
        with pytest.raises(BadInput) as refusal:
            subject.train(model, empty, windows)
        assert refusal.value.code in ("empty-input", "not-a-number")
        assert "load" in refusal.value.sentence
