"""The offline store joins what a slow and obvious loop joins, however it is asked and by however many at once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.adapters.feast_store.repository import import_feast
from tidegate.domain.errors import BadInput

TYPE = "tidegate.adapters.feast_store.offline.PointInTimeOfflineStore"
NEW_YORK = ZoneInfo("America/New_York")
START = datetime(2013, 11, 3, 3, tzinfo=UTC)  # the clocks go back three hours later
TTL = timedelta(hours=3)
VIEWS = {
    "sales": (("shop",), TTL),
    "price": (("shop", "item"), None),
    "stock": (("item",), timedelta(hours=1)),
}
FEATURES = [f"{view}:{view}_{part}" for view in VIEWS for part in ("number", "name")]
SHOPS = [f"shop {number}" for number in range(20)]


def opened(folder, type_=TYPE, **options):
    """Return a Feast store over one Parquet file a view in ``folder``, which need not be there yet."""
    import_feast()
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Int64, String

    keys = {
        "shop": Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING),
        "item": Entity(name="item", join_keys=["item"], value_type=ValueType.INT64),
    }
    types = {"shop": String, "item": Int64}
    views = [
        FeatureView(
            name=name,
            entities=[keys[key] for key in of],
            ttl=ttl,
            schema=[
                *(Field(name=key, dtype=types[key]) for key in of),
                Field(name=f"{name}_number", dtype=Int64),
                Field(name=f"{name}_name", dtype=String),
            ],
            source=FileSource(
                name=f"{name}_file",
                path=str(folder / f"{name}.parquet"),
                timestamp_field="event_timestamp",
                created_timestamp_column="created_timestamp",
            ),
        )
        for name, (of, ttl) in VIEWS.items()
    ]
    store = FeatureStore(
        config=RepoConfig(
            project="shops",
            provider="local",
            registry=str(folder / f"registry-{type_}.db"),
            offline_store={"type": type_, **options},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    for name in VIEWS:
        if not (folder / f"{name}.parquet").exists():
            write(folder, {name: []}, None)
    store.apply([*keys.values(), *views])
    return store


def write(folder, histories, zone):
    """Write each view's rows, their times in ``zone``; without one they are naive, and UTC."""
    kinds = {"shop": pa.string(), "item": pa.int64()}
    times = pa.timestamp("us", str(zone) if zone else None)
    for view, rows in histories.items():
        columns = {key: pa.array([row[key] for row in rows], kinds[key]) for key in VIEWS[view][0]}
        for time in ("event_timestamp", "created_timestamp"):
            values = [row[time] and (row[time] if zone else row[time].replace(tzinfo=None)) for row in rows]
            columns[time] = pa.array(values, times)
        columns[f"{view}_number"] = pa.array([row["number"] for row in rows], pa.int64())
        columns[f"{view}_name"] = pa.array(
            [row["number"] and str(row["number"]) for row in rows], pa.string()
        )
        pq.write_table(pa.table(columns), folder / f"{view}.parquet")


def oracle(asked, histories):
    """Return what each entity row may know: every row of every history is looked at."""
    answers = []
    for entity in asked:
        answer = {}
        for view, (keys, ttl) in VIEWS.items():
            best = None
            for row in histories[view]:
                if any(row[key] is None or row[key] != entity[key] for key in keys):
                    continue
                happened, known, now = (
                    row["event_timestamp"],
                    row["created_timestamp"],
                    entity["event_timestamp"],
                )
                if known is None or happened > now or known > now:
                    continue
                if ttl is not None and happened + ttl < now:
                    continue
                if best is None or (happened, known) > (best["event_timestamp"], best["created_timestamp"]):
                    best = row
            number = best and best["number"]
            answer |= {f"{view}_number": number, f"{view}_name": number and str(number)}
        answers.append(answer)
    return answers


def entity_table(asked, zone):
    values = [row["event_timestamp"] for row in asked]
    times = [time if zone else time.replace(tzinfo=None) for time in values]
    return pa.table(
        {
            "note": pa.array(range(len(asked)), pa.int32()),
            "shop": pa.array([row["shop"] for row in asked], pa.string()),
            "item": pa.array([row["item"] for row in asked], pa.int64()),
            "event_timestamp": pa.array(times, pa.timestamp("us", str(zone) if zone else None)),
        }
    )


def as_frame(table, folder):
    import pandas as pd

    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def as_query(table, folder):
    pq.write_table(table, folder / "entities.parquet", row_group_size=7)
    return f"SELECT * FROM '{folder / 'entities.parquet'}'"


WAYS = {"DataFrame": as_frame, "Arrow": lambda table, _: table, "query": as_query}

moments = st.builds(
    lambda hour, shift: START + timedelta(hours=hour, microseconds=shift),
    st.integers(0, 6),
    st.sampled_from([0, 0, 0, 0, -1, 1]),
)
shops = st.sampled_from(["north", "north", "it's", None])
items = st.sampled_from([1, 2**60 + 1, None])
#: Every key at every hour and a microsecond beside it, in no order: what few rows differ in is asked for.
EVERYTHING = [
    {"shop": shop, "item": item, "event_timestamp": START + timedelta(hours=hour, microseconds=shift)}
    for shift in (1, 0, -1)
    for hour in (3, 10, 0, 7, 1, 5, 4, 8, 6, 2, 9)
    for item in (2**60 + 1, 1, None, 5)
    for shop in ("north", None, "it's", "west")
]
entities = st.fixed_dictionaries({"shop": shops, "item": items, "event_timestamp": moments})


@st.composite
def histories(draw):
    """Rows that are late, restated, tied, known before they happened, or of unknown creation; no two the same."""
    rows = st.tuples(shops, items, moments, st.one_of(moments, moments, moments, st.none()))
    made = {}
    for view, (keys, _) in VIEWS.items():
        drawn = draw(
            st.lists(
                rows,
                max_size=20,
                unique_by=lambda row, keys=keys: tuple(row[key == "item"] for key in keys) + row[2:],
            )
        )
        made[view] = [
            {
                "shop": shop,
                "item": item,
                "event_timestamp": happened,
                "created_timestamp": known,
                "number": None if number == 3 else number,
            }
            for number, (shop, item, happened, known) in enumerate(drawn, 1)
        ]
    return made


@pytest.fixture(scope="module", params=["swept in memory", "joined by DuckDB"])
def place(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    store = opened(folder)
    from tidegate.adapters.feast_store import joining

    with pytest.MonkeyPatch.context() as patch:
        swept = request.param == "swept in memory"
        patch.setattr(joining, "_fits", lambda *_: swept)
        yield folder, store


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(entities, max_size=5).map(lambda drawn: [*drawn, *EVERYTHING, *drawn]),
    known=histories(),
    zones=st.tuples(*[st.sampled_from([UTC, NEW_YORK, None])] * 2),
    way=st.sampled_from(sorted(WAYS)),
)
def test_every_row_has_what_the_oracle_says_in_the_order_asked(place, asked, known, zones, way):
    folder, store = place
    write(folder, known, zones[0])
    table = entity_table(asked, zones[1])
    job = store.get_historical_features(entity_df=WAYS[way](table, folder), features=FEATURES)
    found = job.to_arrow().to_pylist()
    assert [row["note"] for row in found] == list(range(len(asked)))
    assert [row["event_timestamp"] for row in found] == [row["event_timestamp"] for row in asked]
    names = [feature.split(":")[1] for feature in FEATURES]
    assert [{name: row[name] for name in names} for row in found] == oracle(asked, known)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(entities, min_size=1, max_size=12), known=histories())
@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
def test_feasts_duckdb_store_says_the_same_where_it_is_asked_for_what_was_known(place, asked, known):
    folder, store = place
    theirs = opened(folder, "duckdb")
    write(folder, known, UTC)
    table = entity_table(asked, UTC)
    ours = store.get_historical_features(entity_df=table, features=FEATURES).to_arrow()
    frame = as_frame(table, folder).astype({"item": object})
    job = theirs.get_historical_features(entity_df=frame, features=FEATURES, filter_by_created_timestamp=True)
    assert job.to_arrow().sort_by("note").select(ours.column_names).to_pylist() == ours.to_pylist()


# ── the rest of Feast's interface ─────────────────────────────────────────────────────────────────────


def rows(*known, shop="north", item=1):
    """Return rows of (event hour, known hour), numbered from 1."""
    return [
        {
            "shop": shop,
            "item": item,
            "event_timestamp": START + timedelta(hours=event),
            "created_timestamp": START + timedelta(hours=created),
            "number": number,
        }
        for number, (event, created) in enumerate(known, 1)
    ]


def asked_at(*hours, shop="north"):
    return [{"shop": shop, "item": 1, "event_timestamp": START + timedelta(hours=hour)} for hour in hours]


@pytest.fixture
def shelf(tmp_path):
    """Return a folder and a store: four sales, of which the third is told after the fourth, and restated."""
    store = opened(tmp_path)
    write(tmp_path, {"sales": rows((0, 0), (4, 4), (2, 5), (4, 6))}, UTC)
    return tmp_path, store


def numbers(store, hours, **more):
    table = entity_table(asked_at(*hours), UTC)
    job = store.get_historical_features(entity_df=table, features=["sales:sales_number"], **more)
    return job.to_arrow().column("sales_number").to_pylist()


def test_what_was_not_known_is_not_joined_whether_feast_is_asked_for_that_or_not(shelf):
    _, store = shelf
    hours = [-1, 0, 3, 3.5, 4, 5, 6, 7, 7.001]
    wanted = [None, 1, 1, None, 2, 2, 4, 4, None]
    assert numbers(store, hours) == numbers(store, hours, filter_by_created_timestamp=True) == wanted
    assert [numbers(store, [hour]) for hour in (3, 7)] == [
        [1],
        [4],
    ]  # nothing older is read, and nothing younger left


@pytest.mark.filterwarnings("ignore:.* is an experimental feature:RuntimeWarning")
def test_a_joined_set_is_persisted_whole_in_its_order_and_read_back_by_feast(shelf):
    from feast.errors import SavedDatasetLocationAlreadyExists
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    folder, store = shelf
    table = entity_table(asked_at(5, 0, 4), UTC)
    job = store.get_historical_features(entity_df=table, features=["sales:sales_number"])
    storage = SavedDatasetFileStorage(path=str(folder / "kept" / "set.parquet"))
    store.create_saved_dataset(from_=job, name="kept", storage=storage)
    kept = pq.ParquetFile(folder / "kept" / "set.parquet").read()
    assert kept.column("sales_number").to_pylist() == [2, 1, 2]
    assert kept.select(["note", "shop"]).equals(table.select(["note", "shop"]))
    assert [file.name for file in (folder / "kept").iterdir()] == ["set.parquet"]
    assert sorted(store.get_saved_dataset("kept").to_df()["sales_number"]) == [1, 2, 2]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)
    assert pq.ParquetFile(folder / "kept" / "set.parquet").read().equals(kept)


def test_feasts_own_materialization_writes_what_was_known_at_its_end(shelf):
    _, store = shelf
    served = []
    for end in (3, 4.5, 5.5, 6):
        store.materialize(START - timedelta(hours=1), START + timedelta(hours=end))
        read = store.get_online_features(["sales:sales_number"], [{"shop": "north"}, {"shop": "west"}])
        served.append(read.to_dict()["sales_number"])
    assert served == [[1, None], [2, None], [2, None], [4, None]]


def test_a_batch_is_appended_to_a_views_file(shelf):
    folder, store = shelf
    with duckdb.connect() as database:
        more = database.sql(
            "SELECT 'north' AS shop, 9::BIGINT AS sales_number, '9' AS sales_name, "
            "TIMESTAMPTZ '2013-11-03 10:00Z' AS event_timestamp, event_timestamp AS created_timestamp"
        ).to_arrow_table()
    store.write_to_offline_store("sales", more.to_pandas(), reorder_columns=True)
    assert numbers(store, [0, 7, 7.5]) == [1, 9, 9]
    assert sorted(file.name for file in folder.glob(".*.part")) == []
    with pytest.raises(BadInput) as refused:
        store._get_provider().offline_store.offline_write_batch(
            store.config, store.get_feature_view("sales"), more.drop_columns("sales_name"), None
        )
    assert refused.value.code == "batch-columns"
    assert "sales_name" in refused.value.sentence


def test_names_that_need_quoting_and_full_names_are_kept(shelf):
    _, store = shelf
    table = entity_table(asked_at(0), UTC).append_column('a "b" c', pa.array(["x"]))
    job = store.get_historical_features(
        entity_df=table, features=["sales:sales_number"], full_feature_names=True
    )
    assert job.to_arrow().select(['a "b" c', "sales__sales_number"]).to_pylist() == [
        {'a "b" c': "x", "sales__sales_number": 1}
    ]


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        (lambda table: table.drop_columns("shop"), "missing-column", "expected also shop"),
        (lambda table: table.set_column(1, "shop", pa.array([7])), "key-type", "got shop as BIGINT"),
        (lambda table: table.append_column("sales_number", pa.array([1])), "column-twice", "sales_number"),
        (
            lambda table: table.append_column("tidegate_place", pa.array([1])),
            "column-twice",
            "tidegate_place",
        ),
        (lambda _: None, "no-entity-rows", "expected rows"),
    ],
)
def test_entity_rows_that_cannot_be_joined_are_refused_in_one_sentence(shelf, change, code, named):
    _, store = shelf
    with pytest.raises(BadInput) as refused:
        store.get_historical_features(
            entity_df=change(entity_table(asked_at(0), UTC)), features=["sales:sales_number"]
        ).to_arrow()
    assert refused.value.code == code
    assert named in refused.value.sentence


# ── many at once, and little memory ───────────────────────────────────────────────────────────────────


def test_many_threads_ask_at_once_and_each_gets_its_rows(tmp_path):
    store = opened(tmp_path)
    hours = [hour / 4 for hour in range(40)]
    write(
        tmp_path,
        {"sales": [row for shop in SHOPS for row in rows(*((hour, hour) for hour in hours), shop=shop)]},
        UTC,
    )
    barrier = threading.Barrier(8)

    def ask(number):
        barrier.wait()
        asked = [row for shop in SHOPS for row in asked_at(*hours[number:], 13, shop=shop)]
        answers = []
        for _ in range(5):
            job = store.get_historical_features(
                entity_df=entity_table(asked, UTC), features=["sales:sales_number"]
            )
            answers.append(job.to_arrow().column("sales_number").to_pylist())
        return answers

    with ThreadPoolExecutor(8) as threads:
        for number, answers in enumerate(threads.map(ask, range(8))):
            assert answers == [[*range(number + 1, 41), None] * len(SHOPS)] * 5


CHILD = """
import json, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_offline_store import opened
folder, limit = Path(sys.argv[2]), sys.argv[3]
store = opened(folder, memory_limit=limit, threads=2, temp_directory=str(folder / "overflow"))
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
    words = [sys.executable, "-W", "ignore", "-c", CHILD, str(Path(__file__).parent), str(folder), limit]
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
