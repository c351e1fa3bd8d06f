"""A home that was moved or copied: MLflow and Feast keep places in full, and neither reads or writes in the old one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tidegate.adapters.feast_store import FeastStore
from tidegate.adapters.mlflow_registry import MlflowRegistry
from tidegate.application.ports import ModelSpec, Trained
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import DependencyFailed
from tidegate.testing import shops
from tidegate.testing.contracts.registry import RegistryContract


def registry(home: Path, *, plain: bool = False) -> MlflowRegistry:
    """Return the registry below ``home``; ``plain``: its artifacts are named by a path, not as an address."""
    artifacts = home / "mlflow" / "artifacts"
    return MlflowRegistry(
        f"sqlite:///{home / 'mlflow' / 'mlflow.db'}", str(artifacts) if plain else artifacts
    )


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a fresh MLflow database: creating one takes seconds, copying it none."""
    home = tmp_path_factory.mktemp("store")
    with registry(home)._store.client(create=True):
        pass
    return (home / "mlflow" / "mlflow.db").read_bytes()


@pytest.fixture
def home(tmp_path: Path, empty_store: bytes) -> Path:
    """Return a home with an empty store."""
    (tmp_path / "first home" / "mlflow").mkdir(parents=True)
    (tmp_path / "first home" / "mlflow" / "mlflow.db").write_bytes(empty_store)
    return tmp_path / "first home"


class TestRegistry:
    model = RegistryContract.model
    trained = RegistryContract.trained

    @pytest.fixture
    def body(self) -> bytes:
        from onnx import TensorProto, helper

        told = helper.make_tensor_value_info("load", TensorProto.FLOAT, [None, 1])
        same = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 1])
        graph = helper.make_graph(
            [helper.make_node("Identity", ["load"], ["probabilities"])], "same", [told], [same]
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        return bytes(model.SerializeToString())

    @pytest.mark.parametrize("plain", [False, True])
    def test_a_moved_one_finds_its_versions_and_goes_on_where_it_is(
        self, home: Path, tmp_path: Path, model: ModelSpec, trained: Trained, plain: bool
    ) -> None:
        new = tmp_path / "new"
        registry(home, plain=plain).register(model, trained, "key-1", {})
        home.rename(new)
        moved = registry(new, plain=plain)
        assert moved.fetch(model.name, 1, trained.artifact_digest).is_relative_to(new)
        assert moved.register(model, trained, "key-2", {}).number == 2
        assert moved.fetch(model.name, 2, trained.artifact_digest).is_relative_to(new)
        assert not home.exists()

    def test_a_copy_writes_nothing_into_what_it_was_copied_from(
        self, home: Path, tmp_path: Path, model: ModelSpec, trained: Trained
    ) -> None:
        copy = tmp_path / "copy"
        registry(home).register(model, trained, "key-1", {})
        shutil.copytree(home, copy)
        before = sorted(home.rglob("*"))
        assert registry(copy).register(model, trained, "key-2", {}).number == 2
        assert registry(copy).fetch(model.name, 1, trained.artifact_digest).is_relative_to(copy)
        assert sorted(home.rglob("*")) == before
        assert registry(home).fetch(model.name, 1, trained.artifact_digest).is_relative_to(home)

    def test_artifacts_that_somebody_keeps_elsewhere_stay_named_there(
        self, home: Path, tmp_path: Path, model: ModelSpec, trained: Trained
    ) -> None:
        other = tmp_path / "roomy disk"
        registry(home).register(model, trained, "key-1", {})
        address = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
        roomy = MlflowRegistry(address, other)
        assert roomy.fetch(model.name, 1, trained.artifact_digest).is_relative_to(home)

    def test_the_same_home_under_another_name_is_not_moved(
        self, home: Path, tmp_path: Path, model: ModelSpec, trained: Trained
    ) -> None:
        link = tmp_path / "link"
        registry(home, plain=True).register(model, trained, "key-1", {})
        link.symlink_to(home)
        database = (home / "mlflow" / "mlflow.db").read_bytes()
        assert registry(link, plain=True).fetch(model.name, 1, trained.artifact_digest).is_file()
        assert sha256((home / "mlflow" / "mlflow.db").read_bytes()) == sha256(database)


def test_feast_s_registry_names_the_old_home_until_features_are_applied_and_says_so(tmp_path: Path) -> None:
    repository = shops.write_repository(tmp_path / "features", shops.DEFINITIONS, shops.SQLITE, shops.DUCKDB)
    store = FeastStore(repository, tmp_path / "old")
    store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()
    store.materialize(shops.at(40))
    keys = [{"shop": "north", "item": 1}]
    served = store.online("demand", keys, shops.at(40))
    (tmp_path / "old").rename(tmp_path / "new")
    moved = FeastStore(repository, tmp_path / "new")
    with pytest.raises(DependencyFailed) as refused:
        moved.online("demand", keys, shops.at(40))
    assert refused.value.code == "registry-foreign"
    assert refused.value.sentence.startswith("got another source for shop_")
    assert refused.value.hint == (
        "if this home was moved or copied, `tidegate run materialize` registers where its views lie now; "
        "else find out who wrote it, and build the features again"
    )
    moved.apply()
    assert moved.online("demand", keys, shops.at(40)) == served
