"""The offline store on Parquet files, however it joins: as the contract has it, as Feast's does, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain.errors import BadInput
from tidegate.testing.contracts.offline_store import ONE_SHOP, OfflineStoreContract, entities, histories
from tidegate.testing.histories import FEATURES, VIEWS, as_frame, asked_at, entity_table, files, opened

TYPE = "tidegate.adapters.feast_store.offline.PointInTimeOfflineStore"


class OnFiles(OfflineStoreContract):
    SWEPT: bool

    @classmethod
    def made(cls, folder):
        return files(folder, TYPE)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def way(cls):
        from tidegate.adapters.feast_store import joining

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(joining, "_fits", lambda *_: cls.SWEPT)
            yield

    @settings(max_examples=8, deadline=None, suppress_health_check=ONE_SHOP)
    @given(asked=st.lists(entities, min_size=1, max_size=12), known=histories())
    @pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
    def test_feasts_duckdb_store_says_the_same_where_it_is_asked_for_what_was_known(self, shop, asked, known):
        theirs = opened(shop.folder, "duckdb")
        shop.write(known, UTC)
        ours = shop.joined(asked, FEATURES)
        frame = as_frame(entity_table(asked, UTC)).astype({"item": object})
        job = theirs.get_historical_features(
            entity_df=frame, features=FEATURES, filter_by_created_timestamp=True
        )
        assert job.to_arrow().sort_by("note").select(ours.column_names).to_pylist() == ours.to_pylist()

    def test_a_column_that_is_called_as_our_own_number_is_refused(self, shelf):
        table = entity_table(asked_at(0), UTC).append_column("tidegate_place", pa.array([1]))
        with pytest.raises(BadInput) as refused:
            shelf.store.get_historical_features(entity_df=table, features=FEATURES).to_arrow()
        assert (refused.value.code, "tidegate_place" in refused.value.sentence) == ("column-twice", True)

    def test_a_joined_set_is_persisted_in_its_order_in_one_file(self, shelf):
        from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

        table = entity_table(asked_at(5, 0, 4), UTC)
        job = shelf.store.get_historical_features(entity_df=table, features=["sales:sales_number"])
        job.persist(SavedDatasetFileStorage(path=str(shelf.folder / "kept" / "set.parquet")))
        kept = pq.ParquetFile(shelf.folder / "kept" / "set.parquet").read()
        assert kept.column("sales_number").to_pylist() == [2, 1, 2]
        assert kept.select(["note", "shop"]).equals(table.select(["note", "shop"]))
        assert [file.name for file in (shelf.folder / "kept").iterdir()] == ["set.parquet"]


class TestSweptInMemory(OnFiles):
    SWEPT = True


class TestJoinedByDuckDB(OnFiles):
    SWEPT = False


# ── little memory ─────────────────────────────────────────────────────────────────────────────────────

CHILD = """
import json, sys, threading
from pathlib import Path
from tidegate.testing.histories import opened
folder, limit = Path(sys.argv[1]), sys.argv[2]
store = opened(folder, sys.argv[3], memory_limit=limit, threads=2, temp_directory=str(folder / "overflow"))
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

spilled, most, done = [0], [0], threading.Event()
def watch():
    while not done.wait(0.01):
        spilled[0] = max(spilled[0], len(list((folder / "overflow").rglob("*.tmp"))))
        most[0] = max(most[0], held())

before = held()
watcher = threading.Thread(target=watch)
watcher.start()
job = store.get_historical_features(
    entity_df=f"SELECT * FROM '{folder}/entities.parquet'", features=["sales:sales_number", "price:price_number"]
)
job.persist(SavedDatasetFileStorage(path=str(folder / f"out-{limit}.parquet")))
done.set()
watcher.join()
print(json.dumps({"spilled": spilled[0], "grown": most[0] - before}))
"""


def grown(folder, count, limit):
    """Join ``count`` rows in a child of its own; return how much it grew in MiB, how it spilled, and its rows' sum."""
    folder.mkdir(exist_ok=True)
    (folder / "overflow").mkdir(exist_ok=True)
    keys = "'s' || i % 5000 AS shop, (i % 50)::BIGINT AS item"
    start = "TIMESTAMPTZ '2013-01-01 00:00Z'"
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        for view in VIEWS:
            history = (
                f"SELECT {keys}, i::BIGINT AS {view}_number, 'n' || i AS {view}_name, "
                f"{start} + to_seconds(i * 7919 % 20000000) AS event_timestamp, "
                f"event_timestamp + to_seconds(i * 31 % 90000) AS created_timestamp FROM range({count}) AS t(i)"
            )
            database.execute(f"COPY ({history}) TO '{folder / view}.parquet'")
        asked = f"SELECT {keys}, i AS note, {start} + to_seconds(i * 104729 % 20000000) AS event_timestamp"
        database.execute(f"COPY ({asked} FROM range({count}) AS t(i)) TO '{folder / 'entities'}.parquet'")
    words = [sys.executable, "-W", "ignore", "-c", CHILD, str(folder), limit, TYPE]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert list((folder / "overflow").iterdir()) == []
    return json.loads(done.stdout)


@pytest.mark.slow
def test_what_does_not_fit_the_memory_of_a_call_goes_to_disk_and_the_rows_are_the_same(tmp_path):
    roomy = grown(tmp_path / "a", 400_000, "2GB")
    tight = grown(tmp_path / "a", 400_000, "100MB")
    assert roomy["spilled"] == 0
    assert tight["spilled"] > 0
    assert tight["grown"] < 0.6 * roomy["grown"]
    found = [pq.ParquetFile(tmp_path / "a" / f"out-{limit}.parquet").read() for limit in ("2GB", "100MB")]
    assert found[0].column_names == found[1].column_names
    assert all(one.equals(other) for one, other in zip(*(each.columns for each in found), strict=True))
    assert found[0].column("note").to_pylist() == list(range(400_000))
    assert found[0].column("price_number").null_count < 200_000
    larger = grown(tmp_path / "b", 1_200_000, "100MB")
    assert larger["spilled"] > 0
    assert larger["grown"] < 1.5 * tight["grown"]
