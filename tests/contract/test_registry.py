"""`Registry`: the fake and MLflow keep the same contract, through crashes and hands behind our back."""

from __future__ import annotations

import multiprocessing
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.adapters.feast_store import FeastStore
from tidegate.adapters.mlflow_registry import MlflowRegistry
from tidegate.application.ports import Marks, ModelSpec, Registry, Trained
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.evidence import Measure
from tidegate.testing import shops
from tidegate.testing.contracts.registry import RegistryContract
from tidegate.testing.fakes.registry import FakeRegistry
from tidegate.testing.material import model_spec


def tiny_onnx(output_name: str = "probabilities", width: int = 2) -> bytes:
    """Return a graph with the small model's inputs that answers a half to everything, ``width`` times."""
    from onnx import TensorProto, helper

    inputs = [
        helper.make_tensor_value_info("load", TensorProto.FLOAT, [None, 1]),
        helper.make_tensor_value_info("line", TensorProto.STRING, [None, 1]),
    ]
    output = helper.make_tensor_value_info(output_name, TensorProto.FLOAT, [None, width])
    nodes = [
        helper.make_node("Mul", ["load", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "half"], [output_name]),
    ]
    constants = [
        helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("half", TensorProto.FLOAT, [width], [0.5] * width),
    ]
    graph = helper.make_graph(nodes, "tram_delay", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())


def uri(home: Path) -> str:
    """Return the tracking URI below ``home``."""
    return f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"


def registry(home: Path) -> MlflowRegistry:
    """Return a registry below ``home``."""
    return MlflowRegistry(uri(home), home / "mlflow" / "artifacts")


class TestFakeRegistry(RegistryContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> FakeRegistry:
        return FakeRegistry()

    def test_a_registry_that_is_down_says_so(self, model: ModelSpec, trained: Trained) -> None:
        fake = FakeRegistry()
        fake.down = True
        with pytest.raises(DependencyFailed, match="no answer"):
            fake.register(model, trained, "key-1", {})


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a fresh MLflow database: creating one takes a second, copying it none."""
    home = tmp_path_factory.mktemp("store")
    store = registry(home)._store
    with store.client(create=True):
        pass
    return (home / "mlflow" / "mlflow.db").read_bytes()


class TestMlflowRegistry(RegistryContract):
    @pytest.fixture
    def subject(self, tmp_path: Path, empty_store: bytes) -> MlflowRegistry:
        (tmp_path / "mlflow").mkdir()
        (tmp_path / "mlflow" / "mlflow.db").write_bytes(empty_store)
        return registry(tmp_path)

    @pytest.fixture
    def body(self) -> bytes:
        return tiny_onnx()

    def test_a_store_is_created_whole_when_the_first_version_is_registered(
        self, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        subject = registry(tmp_path / "new home")
        assert subject.project(model.name, {}) == ()
        assert not (tmp_path / "new home").exists()
        assert subject.register(model, trained, "key-1", {}).number == 1
        assert not list((tmp_path / "new home" / "mlflow").glob(".*.part"))
        assert subject.fetch(model.name, 1, trained.artifact_digest).is_file()

    def test_any_mlflow_client_loads_the_version_and_scores_with_it(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        import mlflow
        import numpy as np

        subject.register(model, trained, "key-1", {})
        subject.project(model.name, {1: "prod"})
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(uri(tmp_path))
        try:
            loaded = mlflow.pyfunc.load_model("models:/tram_delay@prod")
            signature = mlflow.models.get_model_info("models:/tram_delay/1").signature
        finally:
            mlflow.set_tracking_uri(before)
        rows = {"load": np.array([[0.2], [0.9]], np.float32), "line": np.array([["A"], ["B"]])}
        assert loaded.predict(rows)["probabilities"].tolist() == [[0.5, 0.5], [0.5, 0.5]]
        assert signature.inputs.input_names() == ["load", "line"]

    def test_any_mlflow_client_scores_with_a_version_that_predicts_a_number(
        self, subject: MlflowRegistry, trained: Trained, tmp_path: Path
    ) -> None:
        import mlflow
        import numpy as np

        body = tiny_onnx("variable", 1)
        trained.artifact.write_bytes(body)
        signature = {"inputs": trained.signature["inputs"], "outputs": ["variable: float"]}
        of_numbers = replace(
            trained,
            artifact_digest=sha256(body),
            metrics={"mae": Measure(9.5, 1200, 9.1, 9.9, "days")},
            signature=signature,
            base_rate=12.6,
        )
        model = model_spec(tmp_path, "number")
        registered = subject.register(model, of_numbers, "key-1", {})
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(uri(tmp_path))
        try:
            loaded = mlflow.pyfunc.load_model(registered.uri)
            kept = mlflow.models.get_model_info(registered.uri).signature
        finally:
            mlflow.set_tracking_uri(before)
        rows = {"load": np.array([[0.2], [0.9]], np.float32), "line": np.array([["A"], ["B"]])}
        assert loaded.predict(rows)["variable"].tolist() == [[0.5], [0.5]]
        assert [(each.name, each.shape) for each in kept.outputs.inputs] == [("variable", (-1, 1))]
        assert client_of(tmp_path).get_run(registered.run_id).data.metrics["mae"] == 9.5
        assert subject.fetch(model.name, 1, sha256(body)).read_bytes() == body

    def test_run_and_version_say_what_was_trained_on_what(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        facts, marks = (
            {"training_set": "tg1:ab", "commit": "c0ffee"},
            Marks({"features.service": "demand"}, {"features.json": "[]"}),
        )
        registered = subject.register(model, trained, "key-1", facts, marks)
        client = client_of(tmp_path)
        run = client.get_run(registered.run_id)
        assert run.info.status == "FINISHED"
        assert run.data.params["seed"] == "7"
        assert run.data.metrics["brier"] == 0.17
        assert run.data.metrics["brier_low"] == 0.15
        assert run.data.metrics["brier_n"] == 1200
        assert run.data.metrics["slice/line/A/brier"] == 0.18
        version = client.get_model_version(model.name, "1")
        for tags in (run.data.tags, version.tags):
            assert tags["tidegate.training_key"] == "key-1"
            assert tags["tidegate.training_set"] == "tg1:ab"
            assert tags["tidegate.commit"] == "c0ffee"
            assert tags["tidegate.artifact"] == trained.artifact_digest
            assert tags["features.service"] == "demand"
        assert Path(client.download_artifacts(registered.run_id, "features.json")).read_text() == "[]"
        assert client.get_registered_model(model.name).tags["tidegate.owner"] == model.owner

    def test_feasts_own_mlflow_integration_finds_what_a_version_learned_from(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        from feast.mlflow_integration.model_resolver import FeastMlflowModelResolutionError

        def features(definitions: str) -> FeastStore:
            repository = shops.write_repository(tmp_path / "features", definitions)
            file = repository / "feature_store.yaml"
            file.write_text(f"{file.read_text()}mlflow: {{enabled: true, tracking_uri: {uri(tmp_path)!r}}}\n")
            store = FeastStore(repository, tmp_path)
            store.apply()
            return store

        store = features(shops.DEFINITIONS)
        marks = store.marks("demand", 42)
        subject.register(model, trained, "key-1", {}, marks)
        theirs = store._store(fresh=True).mlflow
        assert theirs.resolve_features(f"models:/{model.name}/1") == "demand"
        assert marks.tags["feast.feature_refs"] == "shop_sales:sold,shop_sales:rate,item_price:price"
        (run,) = client_of(tmp_path).search_runs(["1"], "tags.`feast.project` = 'shops'")
        assert run.data.tags["feast.entity_count"] == "42"
        fewer = shops.DEFINITIONS.replace("features=[shop_sales, item_price]", "features=[shop_sales]")
        theirs = features(fewer)._store(fresh=True).mlflow
        with pytest.raises(FeastMlflowModelResolutionError, match="item_price:price"):
            theirs.resolve_features(f"models:/{model.name}/1")

    @pytest.mark.parametrize("step", ["create_run", "log_batch", "log_artifacts", "create_model_version"])
    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_registration_cut_short_at_any_step_converges_to_one_version(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, step: str, when: str,
    ) -> None:  # fmt: skip
        from mlflow import MlflowClient

        real = getattr(MlflowClient, step)

        def killed(*args: object, **kwargs: object) -> object:
            if when == "after":
                real(*args, **kwargs)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, step, killed)
            with pytest.raises(KeyboardInterrupt):
                subject.register(model, trained, "key-1", {})
        registered = subject.register(model, trained, "key-1", {})
        assert registered.number == 1
        client = client_of(tmp_path)
        assert len(client.search_model_versions("name = 'tram_delay'")) == 1
        experiment = client.get_experiment_by_name("tram_delay").experiment_id
        assert [run.info.run_id for run in client.search_runs([experiment])] == [registered.run_id]
        assert [point.value for point in client.get_metric_history(registered.run_id, "brier")] == [0.17]
        assert subject.fetch(model.name, 1, trained.artifact_digest).is_file()

    def test_a_hand_moved_alias_is_noticed_and_repaired_and_a_foreign_one_left_alone(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        for key in ("key-1", "key-2"):
            subject.register(model, trained, key, {})
        stages = {1: "prod", 2: "retired"}
        subject.project(model.name, stages)
        client = client_of(tmp_path)
        client.set_registered_model_alias(model.name, "prod", "2")
        client.set_registered_model_alias(model.name, "canary", "2")
        client.set_registered_model_alias(model.name, "champion", "2")
        client.set_model_version_tag(model.name, "2", "tidegate.stage", "prod")
        assert [each.sentence for each in subject.project(model.name, stages)] == [
            "version 2 of tram_delay was tagged prod, the ledger says retired",
            "the alias canary of tram_delay was on version 2, the ledger says none",
            "the alias prod of tram_delay was on version 2, the ledger says version 1",
        ]
        assert {
            name: int(number) for name, number in client.get_registered_model(model.name).aliases.items()
        } == {
            "prod": 1,
            "champion": 2,
        }
        assert subject.project(model.name, stages) == ()

    def test_a_version_without_a_stage_loses_its_tag(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained
    ) -> None:
        subject.register(model, trained, "key-1", {})
        subject.project(model.name, {1: "staging"})
        assert [each.sentence for each in subject.project(model.name, {})] == [
            "version 1 of tram_delay was tagged staging, the ledger says no stage",
            "the alias staging of tram_delay was on version 1, the ledger says none",
        ]

    def test_a_deleted_alias_and_a_tag_of_somebody_elses_words_are_differences_without_the_words(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        subject.register(model, trained, "key-1", {})
        subject.project(model.name, {1: "prod"})
        client = client_of(tmp_path)
        client.delete_registered_model_alias(model.name, "prod")
        client.set_model_version_tag(model.name, "1", "tidegate.stage", "Ada Winter said so <b>")
        assert [each.sentence for each in subject.differences(model.name, [{1: "prod"}])] == [
            "version 1 of tram_delay was tagged something else, the ledger says prod",
            "the alias prod of tram_delay was gone, the ledger says version 1",
        ]
        client.delete_model_version_tag(model.name, "1", "tidegate.stage")
        (tag, _) = subject.project(model.name, {1: "prod"})
        assert tag.sentence == "version 1 of tram_delay was not tagged, the ledger says prod"
        assert subject.differences(model.name, [{1: "prod"}]) == ()

    def test_nothing_pickled_is_stored(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        subject.register(model, trained, "key-1", {})
        names = {path.name for path in (tmp_path / "mlflow" / "artifacts").rglob("*") if path.is_file()}
        assert names <= {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "model.onnx"} | {
            "registered_model_meta"
        }

    def test_no_run_is_left_active_and_no_global_address_is_set(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained
    ) -> None:
        import mlflow

        before = mlflow.get_tracking_uri()
        subject.register(model, trained, "key-1", {})
        assert mlflow.active_run() is None
        assert mlflow.get_tracking_uri() == before

    def test_an_artifact_that_changed_before_it_was_registered_is_not_registered(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        trained.artifact.write_bytes(b"tampered")
        with pytest.raises(DependencyFailed) as failure:
            subject.register(model, trained, "key-1", {})
        assert failure.value.code == "artifact-altered"
        assert client_of(tmp_path).search_model_versions("name = 'tram_delay'") == []

    def test_a_missing_store_is_one_sentence(self, model: ModelSpec, tmp_path: Path) -> None:
        with pytest.raises(DependencyFailed) as failure:
            registry(tmp_path / "nowhere").fetch(model.name, 1, "sha256:00")
        assert failure.value.code == "registry-missing"
        assert "expected the one that earlier versions are in" in failure.value.sentence

    def test_a_damaged_store_is_one_sentence(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        (tmp_path / "mlflow" / "mlflow.db").write_bytes(b"no database at all" * 100)
        for act in (
            lambda: subject.register(model, trained, "key-1", {}),
            lambda: subject.fetch(model.name, 1, trained.artifact_digest),
            lambda: subject.project(model.name, {1: "prod"}),
        ):
            with pytest.raises(DependencyFailed) as failure:
                act()
            assert failure.value.code == "registry-broken"
            assert "file is not a database" in failure.value.sentence

    def test_a_locked_store_is_one_sentence(
        self, subject: MlflowRegistry, model: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subject._store, "_wait", 0.05)
        other = sqlite3.connect(tmp_path / "mlflow" / "mlflow.db", isolation_level=None)
        try:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(DependencyFailed) as failure:
                subject.project(model.name, {1: "prod"})
        finally:
            other.close()
        assert failure.value.code == "registry-locked"
        assert "locked" in failure.value.sentence

    def test_a_store_of_another_mlflow_is_one_sentence(
        self, subject: MlflowRegistry, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        with sqlite3.connect(tmp_path / "mlflow" / "mlflow.db") as database:
            database.execute("UPDATE alembic_version SET version_num = 'fromthefuture'")
        database.close()
        with pytest.raises(DependencyFailed) as failure:
            subject.register(model, trained, "key-1", {})
        assert failure.value.code == "registry-failed"
        assert "\n" not in failure.value.sentence

    def test_processes_that_register_at_once_create_one_store_and_one_version_per_training(
        self, model: ModelSpec, trained: Trained, tmp_path: Path
    ) -> None:
        context = multiprocessing.get_context("spawn")
        with context.Pool(2) as pool:
            tasks = [(tmp_path / "shared", model, trained, key) for key in ("key-1", "key-2", "key-1")]
            numbers = pool.starmap(register_one, tasks, chunksize=1)
        assert numbers[0] == numbers[2]
        assert {numbers[0], numbers[1]} == {1, 2}


def register_one(home: Path, model: ModelSpec, trained: Trained, key: str) -> int:
    """Register in a process of its own."""
    subject: Registry = registry(home)
    return subject.register(model, trained, key, {}).number


def client_of(home: Path):
    """Return a plain MLflow client, as anybody might hold one."""
    from mlflow import MlflowClient

    return MlflowClient(uri(home), uri(home))
