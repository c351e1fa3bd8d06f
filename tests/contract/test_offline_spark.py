"""The offline store whose joins Spark runs: as the contract has it, where there is a Spark."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from tidegate.adapters.feast_store import FeastStore
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.testing import shops
from tidegate.testing.contracts.features import FeaturesContract
from tidegate.testing.contracts.offline_store import (
    DRAWN,
    ONE_SHOP,
    OfflineStoreContract,
    joins_what_the_oracle_says,
)
from tidegate.testing.histories import FEATURES, asked_at, files

TYPE = "tidegate.adapters.feast_store.offline_spark.PointInTimeSparkOfflineStore"
#: Where there is none, the rest is skipped in CI too: the dev lock leaves its half a gigabyte out; see pyproject.toml.
here = pytest.mark.skipif(
    not (find_spec("pyspark") and shutil.which("java")),
    reason="no Spark here: it takes pyspark (uv pip install -e '.[spark]') and a Java on the path",
)


def spark(folder):
    """Return the shops' feature store, whose joins Spark runs."""
    repository = shops.write_repository(folder / "features", offline=f"{{type: {TYPE}}}")
    return FeastStore(repository, folder / "home")


@here
class TestSpark(OfflineStoreContract):
    @classmethod
    def made(cls, folder):
        shop = files(folder, TYPE)

        def query(rows):
            pq.write_table(rows, folder / "entities.parquet")
            return f"SELECT * FROM parquet.`file://{folder / 'entities.parquet'}`"

        shop.query = query
        return shop

    @settings(max_examples=8, deadline=None, suppress_health_check=ONE_SHOP)
    @given(**DRAWN)
    def test_every_row_has_what_the_oracle_says_in_the_order_asked(self, shop, **drawn):
        joins_what_the_oracle_says(shop, **drawn)  # a join takes seconds here: fewer than elsewhere

    def test_it_listens_on_loopback_alone_and_shows_no_page(self, shelf):
        from pyspark import SparkContext

        assert shelf.numbers([0]) == [1]
        conf = SparkContext.getOrCreate().getConf()
        assert conf.get("spark.driver.host") == conf.get("spark.driver.bindAddress") == "127.0.0.1"
        assert (conf.get("spark.ui.enabled"), conf.get("spark.driver.memory")) == ("false", "1g")

    def test_what_it_lays_down_between_goes_with_the_call(self, tmp_path):
        (tmp_path / "between").mkdir()
        shop = files(tmp_path, TYPE, temp_directory=str(tmp_path / "between"))
        assert shop.joined(asked_at(0), FEATURES).num_rows == 1
        assert list((tmp_path / "between").iterdir()) == []

    def test_a_folder_with_blanks_and_escapes_in_its_name_is_read(self, tmp_path):
        folder = tmp_path / "a b%20c `d`"
        folder.mkdir()
        shop = files(folder, TYPE)
        assert shop.joined(asked_at(0)).column("sales_number").to_pylist() == [None]

    def test_a_query_that_spark_does_not_run_is_one_sentence(self, shelf):
        job = shelf.store.get_historical_features(entity_df="SELEC 1", features=["sales:sales_number"])
        with pytest.raises(BadInput) as refused:
            job.to_arrow()
        assert refused.value.code == "sql-failed"
        assert "\n" not in refused.value.sentence

    def test_a_file_that_is_gone_is_one_sentence(self, shelf):
        (shelf.folder / "sales.parquet").unlink()
        with pytest.raises(BadInput) as refused:
            shelf.joined(asked_at(0))
        assert (refused.value.code, refused.value.hint.startswith("build the features first")) == (
            "sql-failed",
            True,
        )

    def test_training_sets_have_the_digests_that_duckdb_gives_them(self, tmp_path):
        hours = [(shop, h) for shop in ("north", "west", None) for h in range(0, 150, 9)]
        hours += [("south", h + shift) for h in range(0, 150, 6) for shift in (-1e-6, 0, 1e-6)]
        batch = shops.write_batch(tmp_path / "batch.parquet", shops.random_sales(1, 120))
        found = []
        for store in (
            spark(tmp_path / "spark"),
            FeastStore(shops.write_repository(tmp_path / "d" / "features"), tmp_path / "d" / "home"),
        ):
            store.build({"sales": [batch]}, shops.DECLARED)
            views = store.apply()
            frame = store.training_frame(shops.write_entities(tmp_path / "e", hours), "demand", ["note"])
            store.materialize(shops.at(66))
            found.append((views, frame.digest, store.paired("shop_sales", 10)))
        assert found[0] == found[1]

    def test_a_row_is_joined_from_the_moment_it_was_known(self, tmp_path):
        store = spark(tmp_path)
        batch = shops.write_batch(tmp_path / "a.parquet", shops.SALES)
        store.build({"sales": [batch]}, shops.DECLARED)
        store.apply()
        asked = [("north", 5.9), ("north", 6), ("north", 47.9), ("north", 48), ("north", 72.01), (None, 48)]
        assert FeaturesContract.sold(store, tmp_path, *asked) == [None, 10, 20, 21, None, None]


# ── where there is none ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def unbuilt(tmp_path):
    from tidegate.adapters.feast_store.offline_spark import PointInTimeSparkOfflineStoreConfig

    class Config:
        offline_store = PointInTimeSparkOfflineStoreConfig(temp_directory=str(tmp_path))
        repo_path = tmp_path

    return Config


def begin(config):
    from tidegate.adapters.feast_store.offline_spark import PointInTimeSparkOfflineStore

    with PointInTimeSparkOfflineStore.turn(config) as engine:
        engine.ask(pa.table({"x": [1]}))


def test_without_pyspark_it_says_what_to_install(unbuilt, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    with pytest.raises(DependencyFailed) as failed:
        begin(unbuilt)
    assert failed.value.code == "no-spark"
    assert "pip install 'tidegate[spark]'" in failed.value.hint


@pytest.mark.parametrize("home", ["", "/nowhere"])
def test_without_java_it_says_so_before_anything_starts(unbuilt, monkeypatch, home):
    from types import ModuleType

    package = ModuleType("pyspark")
    package.errors, package.sql = ModuleType("pyspark.errors"), ModuleType("pyspark.sql")
    for name, module in {"": package, ".errors": package.errors, ".sql": package.sql}.items():
        monkeypatch.setitem(sys.modules, f"pyspark{name}", module)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home:
        monkeypatch.setenv("JAVA_HOME", home)
    with pytest.raises(DependencyFailed) as failed:
        begin(unbuilt)
    assert failed.value.code == "no-java"
    assert ("in JAVA_HOME" if home else "on the path") in failed.value.sentence
