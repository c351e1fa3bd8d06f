"""What every `Registry` keeps to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.application.ports import Frame, ModelSpec, Registry, Trained
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.evidence import Evidence, Measure, Verdict
from tidegate.testing.material import model_spec


class RegistryContract:
    """Override ``subject``, and ``body`` where the registry looks into artifacts."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Registry:
        """Return an empty registry."""
        raise NotImplementedError

    @pytest.fixture
    def body(self) -> bytes:
        """Return an artifact's bytes."""
        return b"an artifact"

    @pytest.fixture
    def model(self, tmp_path: Path) -> ModelSpec:
        """Return the small model's declaration."""
        return model_spec(tmp_path)

    @pytest.fixture
    def trained(self, tmp_path: Path, body: bytes) -> Trained:
        """Return a trained model with that artifact."""
        artifact = tmp_path / "model.onnx"
        artifact.write_bytes(body)
        return Trained(
            artifact=artifact,
            artifact_digest=sha256(body),
            metrics={"brier": Measure(0.17, 1200, 0.15, 0.19, "days")},
            slices={"line=A": {"brier": Measure(0.18, 400, 0.14, 0.22, "days")}},
            parity=Evidence("onnx_parity", "artifact", Verdict.PASSED, "same", "test"),
            coverage={"scheduled": 1250, "measured": 1200},
            environment={"python": "3.11"},
            signature={"inputs": ["load: float", "line: string"], "outputs": ["probabilities: float"]},
            reference=Frame("tg1:" + sha256(b"rows")[7:], tmp_path / "rows.parquet", 1250),
            base_rate=0.24,
        )

    def test_versions_count_up_from_one(self, subject: Registry, model: ModelSpec, trained: Trained) -> None:
        registered = [
            subject.register(model, trained, key, {"commit": "c0ffee"}) for key in ("key-1", "key-2")
        ]
        assert [version.number for version in registered] == [1, 2]
        assert registered[0].uri == "models:/tram_delay/1"
        assert registered[0].run_id != registered[1].run_id

    def test_the_same_training_key_again_is_the_same_version(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        first = subject.register(model, trained, "key-1", {})
        assert subject.register(model, trained, "key-1", {}) == first
        assert subject.register(model, trained, "key-2", {}).number == 2

    def test_what_is_fetched_has_the_digest_that_was_registered(
        self, subject: Registry, model: ModelSpec, trained: Trained, body: bytes
    ) -> None:
        number = subject.register(model, trained, "key-1", {}).number
        assert subject.fetch(model.name, number, trained.artifact_digest).read_bytes() == body

    def test_another_digest_than_was_registered_is_never_served(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        number = subject.register(model, trained, "key-1", {}).number
        with pytest.raises(DependencyFailed) as failure:
            subject.fetch(model.name, number, sha256(b"another"))
        assert failure.value.code == "artifact-altered"

    def test_an_artifact_changed_in_the_registry_is_never_served(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        number = subject.register(model, trained, "key-1", {}).number
        subject.fetch(model.name, number, trained.artifact_digest).write_bytes(b"tampered")
        with pytest.raises(DependencyFailed) as failure:
            subject.fetch(model.name, number, trained.artifact_digest)
        assert failure.value.code == "artifact-altered"

    def test_a_version_that_is_not_there_is_a_failed_dependency(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        subject.register(model, trained, "key-1", {})
        with pytest.raises(DependencyFailed) as failure:
            subject.fetch(model.name, 9, trained.artifact_digest)
        assert failure.value.code == "registry-failed"

    def test_projecting_says_each_difference_once_and_is_then_content(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        for key in ("key-1", "key-2"):
            subject.register(model, trained, key, {})
        stages = {1: "retired", 2: "prod"}
        assert subject.project(model.name, stages)
        assert subject.project(model.name, stages) == ()
        assert subject.project(model.name, {1: "prod", 2: "retired"})
        assert subject.project(model.name, {1: "prod", 2: "retired"}) == ()

    def test_what_the_ledger_said_before_is_no_difference(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        for key in ("key-1", "key-2"):
            subject.register(model, trained, key, {})
        before, then, now = {1: "prod"}, {1: "prod", 2: "canary"}, {1: "retired", 2: "prod"}
        subject.project(model.name, before)
        assert subject.differences(model.name, [before, then, now]) == ()
        assert subject.differences(model.name, [now])
        assert subject.project(model.name, now, [before, then]) == ()
        assert subject.differences(model.name, [now]) == ()

    def test_looking_for_differences_changes_nothing(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        for key in ("key-1", "key-2"):
            subject.register(model, trained, key, {})
        subject.project(model.name, {1: "prod", 2: "canary"})
        wanted = {1: "canary", 2: "prod"}
        found = subject.differences(model.name, [wanted])
        assert {(each.alias, each.version) for each in found} == {
            ("", 1),
            ("", 2),
            ("canary", 2),
            ("prod", 1),
        }
        assert subject.differences(model.name, [wanted]) == found
        assert subject.project(model.name, wanted) == found

    def test_an_alias_that_is_gone_is_a_difference_on_no_version(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        subject.register(model, trained, "key-1", {})
        subject.project(model.name, {1: "candidate"})
        (tag, alias) = subject.differences(model.name, [{1: "prod"}])
        assert (tag.alias, tag.version) == ("", 1)
        assert (alias.alias, alias.version) == ("prod", 0)
        assert f"the alias prod of {model.name} was" in alias.sentence

    def test_a_version_that_the_ledger_does_not_know_is_to_carry_no_stage(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        for key in ("key-1", "key-2"):
            subject.register(model, trained, key, {})
        assert subject.differences(model.name, [{}]) == ()
        subject.project(model.name, {1: "candidate"})
        assert subject.differences(model.name, [{1: "candidate"}]) == ()
        subject.project(model.name, {1: "candidate", 2: "staging"})
        assert {each.alias for each in subject.differences(model.name, [{1: "candidate"}])} == {"", "staging"}

    def test_projecting_a_version_the_registry_lost_is_a_failed_dependency(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        subject.register(model, trained, "key-1", {})
        with pytest.raises(DependencyFailed) as failure:
            subject.project(model.name, {1: "prod", 2: "staging"})
        assert failure.value.code == "registry-version-missing"
        with pytest.raises(DependencyFailed) as failure:
            subject.differences(model.name, [{1: "prod"}, {1: "prod", 2: "staging"}])
        assert failure.value.code == "registry-version-missing"

    def test_versions_of_two_models_are_counted_apart(
        self, subject: Registry, model: ModelSpec, trained: Trained
    ) -> None:
        other = replace(model, name="bus_delay")
        assert subject.register(model, trained, "key-1", {}).number == 1
        assert subject.register(other, trained, "key-1", {}).number == 1
        subject.project(model.name, {1: "prod"})
        assert subject.project(other.name, {}) == ()
