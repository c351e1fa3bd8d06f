"""Our online stores behind Feast's own interface, on SQLite and on a real Redis.

What is held for both: the later row stays, a window changes in one step whatever kills its writer, and nothing that
has expired is served. What Feast's own do instead is shown beside it.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import signal
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Bytes, Float64, Int64, String, UnixTimestamp

from tidegate.adapters.feast_store import FeastStore, online_redis, online_sqlite
from tidegate.adapters.feast_store.newest import NewestOnlineStore, Row
from tidegate.adapters.feast_store.repository import write_overlay
from tidegate.adapters.shared.arrow import write_parquet
from tidegate.application.ports import Materialized, OnlineWindow, Pushes
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.evidence import Verdict
from tidegate.domain.parity import TOLERANCES, judged
from tidegate.testing.contracts import features as shops

START = datetime(2024, 1, 1, tzinfo=UTC)
FORK = multiprocessing.get_context("fork")
SQLITE = "tidegate.adapters.feast_store.online_sqlite.NewestSqliteOnlineStore"
REDIS = "tidegate.adapters.feast_store.online_redis.NewestRedisOnlineStore"


def at(hours):
    return START + timedelta(hours=hours)


@pytest.fixture(params=["sqlite", "redis"])
def kind(request):
    return request.param


@pytest.fixture
def place(kind, request, tmp_path):
    """The configuration of an online store of ours, for Feast."""
    if kind == "sqlite":
        return {"type": SQLITE, "path": str(tmp_path / "online.db"), "expiry": "materialized"}
    return {"type": REDIS, "url": request.getfixturevalue("redis_address"), "expiry": "materialized"}


def native(folder, online, ttl=timedelta(0)):
    """Return Feast itself over a file of sales, without anything else of Tidegate."""
    shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)
    source = FileSource(
        name="sales_file", path=str(folder / "sales.parquet"),
        timestamp_field="event_timestamp", created_timestamp_column="created_timestamp",
    )  # fmt: skip
    sales = FeatureView(
        name="sales", entities=[shop], ttl=ttl, source=source,
        schema=[Field(name="sold", dtype=Int64), Field(name="rate", dtype=Float64)],
    )  # fmt: skip
    registry = {"registry_type": "sql", "path": f"sqlite:///{folder}/registry.db"}
    store = FeatureStore(
        config=RepoConfig(
            project="native", provider="local", entity_key_serialization_version=3, online_store=online,
            registry={**registry, "serve_features_while_materializing": True},
            offline_store={"type": "tidegate.adapters.feast_store.offline.PointInTimeOfflineStore"},
        )
    )  # fmt: skip
    sell(folder, ("north", 0, 0, 0))
    store.apply([shop, sales])
    return store


def sell(folder, *rows):
    shops_, events, knowns, sold = zip(*rows, strict=True)
    moment = pa.timestamp("us", "UTC")
    table = {
        "shop": pa.array(shops_),
        "sold": pa.array(sold, pa.int64()),
        "rate": pa.array([None] * len(rows), pa.float64()),
        "event_timestamp": pa.array([at(hour) for hour in events], moment),
        "created_timestamp": pa.array([at(hour) for hour in knowns], moment),
    }
    write_parquet(pa.table(table), folder / "sales.parquet")


def push(store, shop, happened, sold, known=None):
    """Write one row as a stream would."""
    import pandas as pd

    row = {"shop": shop, "sold": sold, "rate": 0.5, "event_timestamp": at(happened)}
    store.write_to_online_store("sales", pd.DataFrame([row | {"created_timestamp": at(known or happened)}]))


def sold(store, *shops_):
    answer = store.get_online_features(
        features=["sales:sold"], entity_rows=[{"shop": shop} for shop in shops_ or ("north",)]
    )
    return answer.to_dict()["sold"]


# ── the later row stays ───────────────────────────────────────────────────────────────────────────


def test_an_old_window_of_feasts_own_command_never_overwrites_a_newer_value(place, tmp_path):
    store = native(tmp_path, place)
    sell(tmp_path, ("north", 0, 0, 1), ("north", 20, 20, 2), ("south", 1, 1, 7))
    store.materialize(at(-1), at(30))
    assert sold(store, "north", "south") == [2, 7]
    store.materialize(at(-1), at(10))
    assert sold(store, "north", "south") == [2, 7]


def test_feasts_own_store_does_let_it(tmp_path):
    store = native(tmp_path, {"type": "sqlite", "path": str(tmp_path / "online.db")})
    sell(tmp_path, ("north", 0, 0, 1), ("north", 20, 20, 2))
    store.materialize(at(-1), at(30))
    store.materialize(at(-1), at(10))
    assert sold(store) == [1]  # should this fail, a claim in docs/online.md has to go


def test_an_old_row_that_is_pushed_never_overwrites_a_newer_one(place, tmp_path):
    store = native(tmp_path, place)
    push(store, "north", 20, 2)
    push(store, "north", 10, 1)
    assert sold(store) == [2]
    push(store, "north", 21, 3)
    assert sold(store) == [3]


def test_a_row_corrected_since_takes_the_place_of_the_one_that_was_wrong(place, tmp_path):
    store = native(tmp_path, place)
    push(store, "north", 20, 2, known=20)
    push(store, "north", 20, 3, known=40)
    assert sold(store) == [3]
    push(store, "north", 20, 2, known=20)
    assert sold(store) == [3]


def test_rows_of_one_key_in_one_batch_may_come_in_any_order(place, tmp_path):
    store = native(tmp_path, place)
    sell(tmp_path, *[("north", hour, hour, hour) for hour in (5, 9, 7, 1)])
    store.materialize(at(-1), at(30))
    assert sold(store) == [9]


def test_writers_at_once_end_with_the_newest(place, tmp_path):
    store = native(tmp_path, place)
    sales, config = store.get_feature_view("sales"), store.config
    online = store._get_provider().online_store
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    def rows(start):
        return [
            (
                EntityKey(join_keys=["shop"], entity_values=[Value(string_val=f"s{number % 10}")]),
                {"sold": Value(int64_val=start + number)},
                at(start + number),
                None,
            )
            for number in range(200)
        ]

    batches = [rows(start) for start in (600, 0, 400, 200)]
    threads = [
        threading.Thread(target=online.online_write_batch, args=(config, sales, batch, None))
        for batch in batches
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sold(store, *(f"s{number}" for number in range(10))) == list(range(790, 800))


# ── nothing that has expired is served ────────────────────────────────────────────────────────────


def test_feast_itself_is_not_given_a_value_past_its_ttl(place, tmp_path):
    store = native(tmp_path, {**place, "expiry": "clock"}, ttl=timedelta(hours=2))
    now = (datetime.now(UTC) - START) / timedelta(hours=1)
    push(store, "north", now - 1.9, 1)
    push(store, "south", now - 2.1, 2)
    assert sold(store, "north", "south") == [1, None]
    answer = store.get_online_features(
        features=["sales:sold"], entity_rows=[{"shop": "north"}, {"shop": "south"}, {"shop": "west"}]
    )
    (position,) = (n for n, name in enumerate(answer.proto.metadata.feature_names.val) if name == "sold")
    present, expired, never = answer.proto.results[position].statuses
    assert present == 1  # FieldStatus.PRESENT
    assert expired == never != present


def test_feasts_own_store_serves_it_as_present(tmp_path):
    store = native(tmp_path, {"type": "sqlite", "path": str(tmp_path / "online.db")}, ttl=timedelta(hours=2))
    push(store, "north", 0, 1)
    assert sold(store) == [1]  # years past its ttl; should this fail, a claim in docs/online.md has to go


def test_where_a_past_year_is_replayed_values_expire_by_what_was_materialized(place, tmp_path):
    store = native(tmp_path, place, ttl=timedelta(hours=2))
    sell(tmp_path, ("north", 5, 5, 1), ("south", 8, 8, 2))
    store.materialize(at(-1), at(9))
    assert sold(store, "north", "south") == [None, 2]


def test_a_ttl_longer_than_all_time_never_ends(tmp_path):
    place = {"type": SQLITE, "path": str(tmp_path / "online.db")}
    store = ours(tmp_path, place)
    text = shops.DEFINITIONS.replace("timedelta(days=2)", "timedelta(days=999_999)")
    (tmp_path / "features" / "definitions.py").write_text(text)
    store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()
    store.materialize(shops.at(100))
    assert [row["sold"] for row in store.online("demand", KEYS, shops.at(10**6))] == [99, None, None]
    told = store._store().get_online_features(["shop_sales:sold"], [{"shop": "north"}]).to_dict()
    assert told["sold"] == [99], "nor for Feast, by the clock"
    assert judged(store.paired("shop_sales", 9), TOLERANCES).verdict is Verdict.PASSED


def test_another_ttl_brings_another_window_of_the_same_source_and_moment(built, tmp_path, place):
    built.materialize(shops.at(100))
    assert [row["sold"] for row in built.online("demand", KEYS, shops.at(100))] == [None, None, None]
    text = shops.DEFINITIONS.replace("timedelta(days=2)", "timedelta(days=3)")
    (tmp_path / "features" / "definitions.py").write_text(text)
    longer = FeastStore(tmp_path / "features", tmp_path / "home")
    longer.apply()
    assert longer.materialize(shops.at(100)).written == ("shop_sales",)
    assert [row["sold"] for row in longer.online("demand", KEYS, shops.at(100))] == [99, None, None]
    assert judged(longer.paired("shop_sales", 9), TOLERANCES).verdict is Verdict.PASSED
    assert longer.materialize(shops.at(100)).written == ()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ({"shop": "north", "item": 2**63}, "got a key whose item is no int64, expected one"),
        ({"shop": "north", "item": "1"}, "got a key whose item is no int64, expected one"),
        ({"shop": 9981273, "item": 1}, "got a key whose shop is no string, expected one"),
        ({"shop": "\ud800", "item": 1}, "got a key whose shop is no string, expected one"),
    ],
)
def test_a_key_of_another_type_is_bad_input_and_not_repeated(built, key, said):
    built.materialize(shops.at(40))
    with pytest.raises(BadInput) as refused:
        built.online("demand", [key], shops.at(40))
    assert refused.value.sentence == said


# ── a window changes in one step ──────────────────────────────────────────────────────────────────


def ours(folder, place):
    """Return a store of the shops over this online store; opened anew, as another process would."""
    text = ", ".join(f"{name}: {value!r}" for name, value in place.items())
    return FeastStore(shops.write_repository(folder / "features", online=f"{{{text}}}"), folder / "home")


@pytest.fixture
def built(tmp_path, place):
    store = ours(tmp_path, place)
    batch = shops.write_batch(tmp_path / "batches" / "a.parquet", shops.SALES)
    store.build({"sales": [batch]}, shops.DECLARED)
    store.apply()
    return store


KEYS = [{"shop": shop, "item": 1} for shop in ("north", "south", "west")]


def _counted(step, folder, place):
    """Return a store in whose process the acts on the outside count: it is killed before one of them, or after it."""
    store, left = ours(folder, place), [step]
    store.windows()  # opened: from here on every act counts

    def point():
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(act):
        def instead(*arguments, **more):
            point()
            done = act(*arguments, **more)
            point()
            return done

        return instead

    class Connection(sqlite3.Connection):
        execute = counted(sqlite3.Connection.execute)
        executemany = counted(sqlite3.Connection.executemany)

    connect = sqlite3.connect
    online_sqlite.sqlite3.connect = lambda *a, **more: connect(*a, **{**more, "factory": Connection})
    redis.connection.Connection.send_packed_command = counted(redis.connection.Connection.send_packed_command)
    online = store._serving(store._store())._online
    if isinstance(online, online_sqlite.NewestSqliteOnlineStore):
        online._own = threading.local()  # to be opened again, counted
    return store


def _killed_at(step, folder, place, until):
    """Materialize in a process of its own that is killed around its acts on the outside."""
    _counted(step, folder, place).materialize(shops.at(until))
    os._exit(0)


def test_killed_between_any_two_steps_and_run_again_comes_to_the_same(built, tmp_path, place, monkeypatch):
    monkeypatch.setattr(online_redis, "_PER_CALL", 1)
    built.materialize(shops.at(8))
    step, seen, exitcode = 0, set(), None
    while exitcode != 0:
        until = 40 + step / 4  # each time another window, so that each kill meets one that was not there
        child = FORK.Process(target=_killed_at, args=(step, tmp_path, place, until))
        child.start()
        child.join(60)
        exitcode = child.exitcode
        assert exitcode in (0, -signal.SIGKILL)
        fresh = ours(tmp_path, place)
        moved = {view for view, window in fresh.windows().items() if window.until == shops.at(until)}
        seen.add(len(moved))
        # A view is at the window before or at the new one, whole: windows tell, and every key can be read.
        assert set(fresh.windows()) == {"shop_sales", "item_price"}
        assert fresh.online("demand", KEYS, shops.at(until))[2] == {"sold": None, "rate": None, "price": None}
        brought = fresh.materialize(shops.at(until))
        assert brought.rows == {"shop_sales": 2, "item_price": 2}
        assert set(brought.written) == {"shop_sales", "item_price"} - moved
        assert {window.until for window in fresh.windows().values()} == {shops.at(until)}
        assert fresh.online("demand", KEYS, shops.at(until)) == expected(until)
        step += 1
    assert step > 12  # there were that many points to be killed at
    assert seen == {0, 1, 2}  # before either view, between them, and after both


def expected(until):
    """What is online of the shops at an hour from 40 to 71."""
    north = {"sold": 20, "rate": None} if until < 48 else {"sold": 21, "rate": 0.21}
    return [
        {**north, "price": 2.5},
        {"sold": None, "rate": 0.5, "price": 3.0},
        {"sold": None, "rate": None, "price": None},
    ]


def test_windows_that_are_brought_at_once_end_at_the_latest(built, place):
    config, name = built._store().config, "shops_shop_sales"
    kind = type(built._serving(built._store())._online)
    rows = {hour: [Row(b"key", hour, hour, b"%d" % hour)] for hour in (60, 30, 50)}
    with ThreadPoolExecutor(3) as threads:  # each with a store of its own, as other processes have
        written = [
            threads.submit(kind().replace, config, name, rows[hour], OnlineWindow(shops.at(hour), "tg1:s", 1))
            for hour in rows
        ]
    latest, *_ = [future.result() for future in written]
    assert latest is True
    (found,) = kind().find(config, [(name, [b"key"])])
    assert (found.window.until, list(found.rows)) == (shops.at(60), [(60, b"60")])


def test_a_row_that_a_stream_pushed_stays_until_a_window_brings_a_later_one(built, place):
    built.materialize(shops.at(40))
    store, config = built._store(), built._store().config
    online, view = store._get_provider().online_store, store.get_feature_view("shop_sales")
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    key = EntityKey(join_keys=["shop"], entity_values=[Value(string_val="north")])
    for happened, number in ((30, 77), (23, 66)):
        row = (key, {"sold": Value(int64_val=number)}, shops.at(happened), None)
        online.online_write_batch(config, view, [row], None)
    assert built.online("demand", KEYS[:1], shops.at(41))[0]["sold"] == 77
    built.materialize(shops.at(50))  # knows of hour 24 only
    assert built.online("demand", KEYS[:1], shops.at(50))[0]["sold"] == 77
    built.materialize(shops.at(90))
    assert built.online("demand", KEYS[:1], shops.at(84))[0]["sold"] is None  # 36 is past its ttl of two days


def streamed(built, *told):
    """Have Feast write rows of one key beside its window: when it happened, and how many were sold."""
    store, config = built._store(), built._store().config
    online, view = store._get_provider().online_store, store.get_feature_view("shop_sales")
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    key = EntityKey(join_keys=["shop"], entity_values=[Value(string_val="north")])
    for happened, number in told:
        row = (key, {"sold": Value(int64_val=number)}, shops.at(happened), None)
        online.online_write_batch(config, view, [row], None)


def test_a_window_that_goes_again_takes_nothing_with_it_that_a_stream_wrote(built, tmp_path):
    """A later row was pushed over it, its period's drop did not bear that out: then the stream's is the newest."""
    streamed(built, (30, 77))
    built.materialize(shops.at(40))
    built.push(pushed(tmp_path, FIRST))
    assert sales(built)[0] == 5
    built.materialize(shops.at(43))
    assert sales(built, 43)[0] == 77


def test_of_one_moment_what_a_stream_wrote_is_served_whoever_came_first(built, tmp_path):
    built.materialize(shops.at(40))
    streamed(built, (41, 77))
    built.push(pushed(tmp_path, FIRST))
    assert sales(built)[0] == 77
    built.materialize(shops.at(43), lambda: pushed(tmp_path, FIRST))
    assert sales(built, 43)[0] == 77
    (found,) = built.paired("shop_sales", 9, pushed(tmp_path, FIRST))[:1]
    assert (found.online, found.known) == (77, 5)  # parity shows it as the skew it is


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)  # Redis had two hashes from the first
def test_a_file_in_which_both_were_one_table_is_taken_apart(built, tmp_path):
    built.materialize(shops.at(40))
    streamed(built, (30, 77))
    with contextlib.closing(sqlite3.connect(tmp_path / "home" / "feast" / "online.db")) as old, old:
        old.execute("ALTER TABLE newest_shops_shop_sales ADD COLUMN brought INTEGER NOT NULL DEFAULT 1")
        old.execute(
            "INSERT OR REPLACE INTO newest_shops_shop_sales (entity_key, event, created, body, brought) "
            "SELECT entity_key, event, created, body, 0 FROM beside_shops_shop_sales"
        )
        old.execute("DROP TABLE beside_shops_shop_sales")
    assert sales(built, 41)[0] == 77
    built.push(pushed(tmp_path, FIRST))
    built.materialize(shops.at(43))
    assert sales(built, 43)[0] == 77


# ── what passed the gate as a push ────────────────────────────────────────────────────────────────


def pushed(folder, *told):
    return shops.pushes(folder, *told)


FIRST = (7, 41, [("north", 41, 41, 5, 0.4), ("west", 40, 40, 6, None)])
SECOND = (8, 42, [("north", 42, 42, 8, 0.8)])


def sales(store, hour=42):
    return [answer["sold"] for answer in store.online("demand", KEYS, shops.at(hour))]


def test_what_is_pushed_is_in_the_window_and_the_next_window_takes_its_place(built, tmp_path):
    built.materialize(shops.at(40))
    assert built.push(pushed(tmp_path, FIRST)) == {"shop_sales": 2}
    assert (sales(built), built.windows()["shop_sales"].pushed) == ([5, None, 6], 7)
    assert built.push(pushed(tmp_path, FIRST)) == {}
    assert built.push(pushed(tmp_path, FIRST, SECOND)) == {"shop_sales": 1}
    assert sales(built) == [8, None, 6]
    brought = built.materialize(
        shops.at(43), lambda: pushed(tmp_path, SECOND)
    )  # the drop of the first has come
    assert (brought.rows["shop_sales"], sales(built, 43)) == (2, [8, None, None])
    assert built.windows()["shop_sales"].pushed == 8
    assert built.materialize(shops.at(43), lambda: pushed(tmp_path, SECOND)).written == ()


def test_parity_holds_over_what_was_pushed_and_sees_a_value_that_was_not(built, tmp_path):
    built.materialize(shops.at(40))
    built.push(pushed(tmp_path, FIRST))
    assert (
        judged(built.paired("shop_sales", 9, pushed(tmp_path, FIRST)), TOLERANCES).verdict is Verdict.PASSED
    )
    other = (7, 41, [("north", 41, 41, 4, 0.4)])
    assert judged(built.paired("shop_sales", 9, pushed(tmp_path, other)), TOLERANCES).skewed == {"sold": 1}


def test_rows_pushed_in_many_steps_are_one_push(built, tmp_path, monkeypatch):
    monkeypatch.setattr(online_redis, "_PER_CALL", 1)
    built.materialize(shops.at(40))
    many = (7, 41, [(f"s{number}", 41, 41, number, 0.5) for number in range(9)])
    assert built.push(pushed(tmp_path, many)) == {"shop_sales": 9}
    asked = [{"shop": f"s{number}", "item": 1} for number in range(9)]
    assert [answer["sold"] for answer in built.online("demand", asked, shops.at(41))] == list(range(9))


def test_two_who_push_at_once_end_with_both(built, tmp_path, place):
    built.materialize(shops.at(40))
    both = pushed(tmp_path, FIRST, SECOND)
    stores = [ours(tmp_path, place) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda store: store.push(both), stores))
    assert sorted(found, key=len) == [{}, {"shop_sales": 3}]
    assert (sales(built), built.windows()["shop_sales"].pushed) == ([8, None, 6], 8)


def _killed_pushing(step, folder, place, told):
    """Push in a process of its own that is killed around its acts on the outside."""
    _counted(step, folder, place).push(pushed(folder, *told))
    os._exit(0)


def test_a_push_killed_between_any_two_steps_and_run_again_comes_to_the_same(
    built, tmp_path, place, monkeypatch
):
    monkeypatch.setattr(online_redis, "_PER_CALL", 1)
    step, seen, exitcode, told = 0, set(), None, (FIRST,)
    while exitcode != 0:
        built.materialize(shops.at(43 + step / 8))  # a window without a push, so that each kill meets one
        child = FORK.Process(target=_killed_pushing, args=(step, tmp_path, place, told))
        child.start()
        child.join(60)
        exitcode = child.exitcode
        assert exitcode in (0, -signal.SIGKILL)
        fresh = ours(tmp_path, place)
        there = fresh.windows()["shop_sales"].pushed == 7
        seen.add(there)
        found = sales(fresh, 41)
        assert found in ([20, None, None], [5, None, None], [5, None, 6])
        assert found == [5, None, 6] or not there  # who says that it holds the push holds all of it
        assert fresh.push(pushed(tmp_path, *told)) == ({} if there else {"shop_sales": 2})
        assert (sales(fresh, 41), fresh.windows()["shop_sales"].pushed) == ([5, None, 6], 7)
        step += 1
    assert step > 4  # there were that many points to be killed at
    assert seen == {False, True}


def test_a_file_from_before_there_were_pushes_takes_them(built, tmp_path, place, kind):
    built.materialize(shops.at(40))
    if kind == "sqlite":
        with contextlib.closing(sqlite3.connect(tmp_path / "home" / "feast" / "online.db")) as old, old:
            old.execute("ALTER TABLE tidegate_windows DROP COLUMN pushed")
    else:
        client = redis.Redis.from_url(place["url"].partition("?")[0])
        (key,) = client.keys(f"{place['url'].partition('prefix=')[2]}:shops_shop_sales:window")
        client.set(key, json.dumps({k: v for k, v in json.loads(client.get(key)).items() if k != "pushed"}))
        client.close()
    store = ours(tmp_path, place)
    assert store.windows()["shop_sales"].pushed == 0
    assert store.materialize(shops.at(40)).written == ()
    assert store.push(pushed(tmp_path, FIRST)) == {"shop_sales": 2}
    assert sales(store) == [5, None, 6]


def test_a_store_may_take_what_tidegate_brings_alone(tmp_path, place):
    import pandas as pd

    store = ours(tmp_path, {**place, "writes": "tidegate"})
    store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()
    store.materialize(shops.at(40))
    feast = store._store()
    row = {"shop": "north", "sold": 77, "rate": 0.1}
    times = dict.fromkeys(("event_timestamp", "created_timestamp"), shops.at(39))
    rows = pd.DataFrame([row | times])
    for write in (
        lambda: feast.push("shop_sales_push", rows),
        lambda: feast.write_to_online_store("shop_sales", rows),
        lambda: feast.materialize(shops.at(0), shops.at(40), ["shop_sales"]),
    ):
        with pytest.raises(BadInput) as refused:
            write()
        assert refused.value.code == "writes-of-feast"
        assert "rows of shop_sales that Feast itself writes, expected none" in refused.value.sentence
    assert sales(store) == [20, None, None]
    assert store.push(pushed(tmp_path, FIRST)) == {"shop_sales": 2}
    assert sales(store) == [5, None, 6]


def test_what_a_file_says_of_writes_holds_where_a_profile_names_the_store(tmp_path):
    folder = shops.write_repository(tmp_path / "features", online="{type: sqlite, writes: tidegate}")
    overlay = write_overlay(folder, tmp_path / "home", redis="${TIDEGATE_ONLINE_URL}").read_text()
    assert "writes: tidegate" in overlay
    assert "NewestRedisOnlineStore" in overlay


def test_files_that_were_edited_and_not_applied_do_not_read_what_is_pushed(built, tmp_path):
    built.materialize(shops.at(40))
    sql = tmp_path / "features" / "sources" / "shop_sales.sql"
    sql.write_text(sql.read_text().replace("sold::INTEGER AS sold", "(sold * 2)::INTEGER AS sold"))
    with pytest.raises(DependencyFailed) as refused:
        built.push(pushed(tmp_path, FIRST))
    assert refused.value.code == "not-applied"
    assert sales(built) == [20, None, None]
    built.build({"sales": [tmp_path / "batches" / "a.parquet"]}, shops.DECLARED)
    built.apply()
    built.materialize(shops.at(41), lambda: pushed(tmp_path, FIRST))
    assert sales(built) == [10, None, 12]


def test_a_query_that_needs_more_than_the_pushed_rows_is_refused(built, tmp_path):
    sql = tmp_path / "features" / "sources" / "shop_sales.sql"
    sql.write_text(
        "SELECT shop, happened AS event_timestamp, known AS created_timestamp, "
        "sum(sold) OVER (PARTITION BY shop ORDER BY happened, known) AS sold, rate FROM sales"
    )
    (one,) = pushed(tmp_path, FIRST).rows
    with pytest.raises(BadInput) as refused:
        built.derived(one, Pushes(declared=shops.DECLARED), [tmp_path / "batches" / "a.parquet"])
    assert refused.value.code == "push-needs-history"
    assert refused.value.sentence.startswith("got 1 of 2 rows of shop_sales otherwise")


def test_a_query_may_name_a_column_that_was_promised_after_a_push(built, tmp_path):
    sql = tmp_path / "features" / "sources" / "shop_sales.sql"
    sql.write_text(sql.read_text().rstrip() + " WHERE region IS NULL\n")
    (one,) = pushed(tmp_path, FIRST).rows
    with pytest.raises(BadInput, match="region"):
        built.derived(one, Pushes(declared=shops.DECLARED), [])
    wider = pq.read_schema(one.files[0]).append(pa.field("region", pa.string()))
    shape = write_parquet(wider.empty_table(), tmp_path / "shape.parquet")
    one = replace(one, files=(shape, *one.files))
    assert built.derived(one, Pushes(declared=shops.DECLARED), []) == {"shop_sales": 2}


def test_who_pushes_while_a_window_is_made_waits_and_is_in_it_afterwards(built, tmp_path, place):
    built.materialize(shops.at(40))
    other, done = ours(tmp_path, place), []
    pushing = threading.Thread(target=lambda: done.append(other.push(pushed(tmp_path, FIRST, SECOND))))

    def standing():
        pushing.start()
        pushing.join(0.5)
        assert done == []
        return pushed(tmp_path, FIRST)

    built.materialize(shops.at(43), standing)
    pushing.join()
    assert done == [{"shop_sales": 1}]
    assert (sales(built, 43), built.windows()["shop_sales"].pushed) == ([8, None, 6], 8)


# ── reads never stop ──────────────────────────────────────────────────────────────────────────────

SHOPS, HOURS = 1500, 6


class Hammer:
    """Reads as fast as it can on a thread of its own; keeps what it found, and how long it waited at most."""

    def __init__(self, read):
        self.answers, self.failed, self.longest, self.done = [], [], 0.0, False
        self._read, self._thread = read, threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.done = True
        self._thread.join()

    def _run(self):
        while not self.done:
            began = time.perf_counter()
            try:
                self.answers.append(self._read())
            except Exception as error:  # noqa: BLE001 - whatever stops a read is kept
                self.failed.append(error)
            self.longest = max(self.longest, time.perf_counter() - began)


def many(folder):
    """Sales of many shops, each told at every hour: what is sold is the hour."""
    rows = [(f"s{number}", hour, hour, hour, 0.5) for hour in range(1, HOURS + 1) for number in range(SHOPS)]
    return shops.write_batch(folder / "many.parquet", rows)


def test_reads_go_on_while_windows_are_brought_and_each_sees_one_window_whole(built, tmp_path, place):
    built.build({"sales": [many(tmp_path)]}, shops.DECLARED)
    built.materialize(shops.at(1))
    keys = [{"shop": f"s{number}", "item": 1} for number in range(0, SHOPS, 30)]
    reader = ours(tmp_path, place)  # another one, as a server would be beside the writer

    def read():
        return {answer["sold"] for answer in reader.online("demand", keys, shops.at(HOURS))}

    assert read() == {1}
    during = []
    with Hammer(read) as hammer:
        for hour in range(2, HOURS + 1):
            before = len(hammer.answers)
            built.materialize(shops.at(hour))
            during.append(len(hammer.answers) - before)
    assert hammer.failed == []
    assert [answer for answer in hammer.answers if len(answer) != 1] == []  # never half of a window
    told = [answer.pop() for answer in hammer.answers]
    assert told == sorted(told)  # never back to an older one
    assert min(during) > 0, during
    assert hammer.longest < 5


def test_feasts_own_materialization_stops_no_read_either(place, tmp_path):
    store = native(tmp_path, place)
    rows = [(f"s{number}", hour, hour, hour) for hour in (1, 2) for number in range(SHOPS)]
    sell(tmp_path, *rows)
    store.materialize(at(0), at(1))
    reader = FeatureStore(config=store.config)
    with Hammer(lambda: sold(reader, "s1", "s2")) as hammer:
        store.materialize(at(0), at(2))
    assert hammer.failed == []
    assert hammer.answers
    assert {value for answer in hammer.answers for value in answer} <= {1, 2}


def test_feast_reads_all_views_of_a_service_as_of_one_moment(built, monkeypatch):
    built.materialize(shops.at(50))
    store = built._store()
    online, asked = store._get_provider().online_store, []
    find = online.find
    monkeypatch.setattr(online, "find", lambda config, keys: asked.append(len(keys)) or find(config, keys))
    answer = store.get_online_features(
        features=store.get_feature_service("demand"), entity_rows=KEYS
    ).to_dict()
    assert asked == [2]
    told = [{name: answer[name][row] for name in ("sold", "rate", "price")} for row in range(3)]
    assert told == list(built.online("demand", KEYS, shops.at(50)))


# ── a skew is found ───────────────────────────────────────────────────────────────────────────────


def plant(place, tmp_path):
    """Alter one row where it lies, behind every door."""
    from feast.protos.feast.types.Value_pb2 import Map, Value

    def wrong(body):
        values = Map.FromString(body)
        values.val["rate"].CopyFrom(Value(double_val=0.210001))
        return values.SerializeToString()

    if "path" in place:
        with (
            contextlib.closing(sqlite3.connect(tmp_path / "home" / "feast" / "online.db")) as database,
            database,
        ):
            table, whose = "newest_shops_shop_sales", "instr(entity_key, 'north') > 0"
            (body,) = database.execute(f"SELECT body FROM {table} WHERE {whose}").fetchone()
            database.execute(f"UPDATE {table} SET body = ? WHERE {whose}", (wrong(body),))
        return
    url, prefix = place["url"].split("?prefix=")
    client = redis.Redis.from_url(url)
    hash_ = f"{prefix}:shops_shop_sales"
    (key,) = [key for key in client.hkeys(hash_) if b"north" in key]
    row = client.hget(hash_, key)
    client.hset(hash_, key, row[:36] + wrong(row[36:]))
    client.close()


def test_a_planted_skew_is_found(built, tmp_path, place):
    built.materialize(shops.at(50))
    assert judged(built.paired("shop_sales", 100), TOLERANCES).verdict is Verdict.PASSED
    plant(place, tmp_path)
    found = judged(built.paired("shop_sales", 100), TOLERANCES)
    assert found.verdict is Verdict.FAILED
    assert found.skewed == {"rate": 1}
    assert [(pair.key, pair.online, pair.known) for pair in found.examples] == [
        ("shop=north", 0.210001, 0.21)
    ]
    assert judged(built.paired("shop_sales", 100), {**TOLERANCES, "double": 1e-3}).verdict is Verdict.PASSED


def test_a_sample_comes_from_all_over_the_keys(built, tmp_path):
    built.build({"sales": [many(tmp_path)]}, shops.DECLARED)
    built.materialize(shops.at(2))
    keys = sorted({pair.key for pair in built.paired("shop_sales", 50)})
    assert len(keys) == 50
    assert len({key[:8] for key in keys}) > 8  # shop=s1…, shop=s2…, and so on
    built.materialize(shops.at(3))
    assert sorted({pair.key for pair in built.paired("shop_sales", 50)}) != keys  # another window, other keys


# ── Redis that goes away, or loses what it had ────────────────────────────────────────────────────


class Line:
    """A way to a server that can be cut after so many bytes, and mended."""

    def __init__(self, host, port):
        self._server, self._left = (host, port), None
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, count):
        self._left = count

    def mend(self):
        self._left = None

    def close(self):
        self._listening.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self._left is not None and self._left <= 0:
                    near.close()
                    continue
                far = socket.create_connection(self._server)
                for pair in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source, sink, counted):
        with contextlib.suppress(OSError):
            while data := source.recv(1024):
                if counted and self._left is not None:
                    self._left -= len(data)
                    if self._left <= 0:
                        break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def line(redis_address):
    address = urlsplit(redis_address)
    made = Line(address.hostname, address.port or 6379)
    place = {"type": REDIS, "url": address._replace(netloc=f"127.0.0.1:{made.port}").geturl()}
    yield made, place
    made.close()


def test_a_redis_that_goes_away_while_it_is_written_costs_nothing(line, tmp_path, monkeypatch):
    cut, place = line
    monkeypatch.setattr(online_redis, "_PER_CALL", 100)
    store = ours(tmp_path, place)
    store.build({"sales": [many(tmp_path)]}, shops.DECLARED)
    store.apply()
    store.materialize(shops.at(1))
    before, windows = store.online("demand", [{"shop": "s7", "item": 1}], shops.at(1)), store.windows()
    cut.cut_after(20_000)
    with pytest.raises(DependencyFailed) as failed:
        store.materialize(shops.at(2))
    assert failed.value.code == "online-store-gone"
    assert re.fullmatch(
        rf"got \w+Error from Redis at redis://127.0.0.1:{cut.port}/\d+ while materializing \(.*\), expected an answer",
        failed.value.sentence,
    )
    assert failed.value.hint == "start it and run the same again: what was online is as it was"
    with pytest.raises(DependencyFailed, match="while reading"):
        store.online("demand", [{"shop": "s7", "item": 1}], shops.at(2))
    cut.mend()
    assert store.windows()["shop_sales"] == windows["shop_sales"]
    assert store.online("demand", [{"shop": "s7", "item": 1}], shops.at(1)) == before
    assert store.materialize(shops.at(2)).rows == {"shop_sales": SHOPS, "item_price": 2}
    assert store.online("demand", [{"shop": "s7", "item": 1}], shops.at(2))[0]["sold"] == 2


def test_what_a_killed_writer_had_begun_goes_by_itself(line, tmp_path, redis_address, monkeypatch):
    cut, place = line
    store = ours(tmp_path, place)
    store.build({"sales": [many(tmp_path)]}, shops.DECLARED)
    store.apply()
    cut.cut_after(60_000)
    with pytest.raises(DependencyFailed):
        store.materialize(shops.at(2))
    url, prefix = redis_address.split("?prefix=")
    client = redis.Redis.from_url(url)
    left = list(client.scan_iter(f"{prefix}:*:begun:*"))
    assert len(left) == 1
    assert 0 < client.ttl(left[0]) <= 600
    client.close()


def test_a_password_is_never_told(tmp_path):
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    store = ours(tmp_path, {"type": REDIS, "url": f"redis://user:hidden@127.0.0.1:{port}/0"})
    store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()  # asks nothing of the online store
    with pytest.raises(DependencyFailed) as failed:
        store.materialize(shops.at(40))
    assert failed.value.code == "online-store-gone"
    assert f"redis://127.0.0.1:{port}/0" in failed.value.sentence
    assert "hidden" not in failed.value.sentence + str(failed.value.as_dict())


def test_rows_that_redis_lost_are_not_taken_for_unknown_ones(redis_address, tmp_path):
    url, prefix = redis_address.split("?prefix=")
    store = ours(tmp_path, {"type": REDIS, "url": redis_address})
    store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()
    first = store.materialize(shops.at(40))
    client = redis.Redis.from_url(url)
    client.delete(f"{prefix}:shops_shop_sales")  # as an eviction would
    client.close()
    with pytest.raises(DependencyFailed) as failed:
        store.online("demand", KEYS, shops.at(40))
    assert failed.value.code == "online-lost"
    assert failed.value.sentence.startswith("got 0 rows of shops_shop_sales in Redis, expected the 2")
    assert set(store.windows()) == {"item_price"}
    assert store.materialize(shops.at(40)) == Materialized(first.rows, ("shop_sales",), first.newest)
    assert store.online("demand", KEYS, shops.at(40)) == expected(40)


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("", "online-address", "got an address of Redis that cannot be read"),
        ("http://127.0.0.1", "online-address", "got an address of Redis that cannot be read"),
        ("${TIDEGATE_NO_SUCH_URL}", "no-variable", "got no environment variable TIDEGATE_NO_SUCH_URL"),
    ],
)
def test_an_address_that_is_none_is_one_sentence(tmp_path, url, code, said):
    store = ours(tmp_path, {"type": REDIS, "url": url})
    store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()
    with pytest.raises(BadInput) as refused:
        store.materialize(shops.at(40))
    assert refused.value.code == code
    assert refused.value.sentence.startswith(said)


def test_a_profiles_address_takes_the_place_of_the_files_store_and_stays_in_its_variable(
    redis_address, tmp_path, monkeypatch
):
    monkeypatch.setenv("TIDEGATE_TEST_ONLINE", redis_address)
    folder = shops.write_repository(tmp_path / "features")
    store = FeastStore(folder, tmp_path / "home", "${TIDEGATE_TEST_ONLINE}")
    store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()
    store.materialize(shops.at(40))
    url, prefix = redis_address.split("?prefix=")
    client = redis.Redis.from_url(url)
    assert {key.decode() for key in client.scan_iter(f"{prefix}:*:window")} == {
        f"{prefix}:shops_item_price:window",
        f"{prefix}:shops_shop_sales:window",
    }
    client.close()
    overlay = (tmp_path / "home" / "feast" / "feature_store.yaml").read_text()
    assert "${TIDEGATE_TEST_ONLINE}" in overlay
    assert prefix not in overlay
    assert not (tmp_path / "home" / "feast" / "online.db").exists()


# ── what is kept ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (Int64, [2**53 + 1, None, -1]),
        (Float64, [0.1, None, float("inf")]),
        (String, ["", None, "é\n"]),
        (Bytes, [b"", None, b"\xff"]),
        (UnixTimestamp, [datetime(2024, 1, 1, tzinfo=UTC), None]),
    ],
)
def test_values_come_back_as_they_were_and_unknown_stays_unknown(dtype, values):
    from tidegate.adapters.feast_store.serving import _plain, messages

    assert [_plain(message) for message in messages(values, dtype.to_value_type())] == values


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("", "it does not begin with redis:// or rediss:// and a host"),
        ("http://:s3cret@h", "it does not begin with redis:// or rediss:// and a host"),
        ("redis://", "it does not begin with redis:// or rediss:// and a host"),
        ("redis://:s3cret@h:99999/0", "it cannot be taken apart"),
        ("redis://:s3cret/more@h:6379/0", "it cannot be taken apart"),
        ("redis://:s3cret@[::1/0", "it cannot be taken apart"),
        ("redis://:s3cret@h:6379/abc", "after host and port comes no number of a database"),
        ("redis://:s3cret@h:6379/0?prefix=", "its prefix is empty"),
        ("redis://:s3cret@h:6379/0?socket_timeout=soon", "an option after the question mark"),
        ("redis://:s3cret@h:6379/0?bogus=1", "an option after the question mark"),
        ("${TIDEGATE_ONLINE_URL}", "got no environment variable TIDEGATE_ONLINE_URL"),
        ("redis://:pa$s3cret@h:6379/0", "got no environment variable of a name after a $ in it"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_and_not_repeated(address, fault):
    config = SimpleNamespace(online_store=SimpleNamespace(url=address))
    with pytest.raises(BadInput) as refused:
        online_redis.NewestRedisOnlineStore().find(config, [("sales", [b"key"])])
    assert fault in refused.value.sentence
    assert "s3cret" not in f"{refused.value} {refused.value.hint} {refused.value.__cause__}"


def test_who_cannot_reach_redis_is_told_where_and_not_the_password():
    config = SimpleNamespace(online_store=SimpleNamespace(url="redis://me:s3@cret@127.0.0.1:1/0?prefix=shop"))
    with pytest.raises(DependencyFailed) as away:
        online_redis.NewestRedisOnlineStore().find(config, [("sales", [b"key"])])
    assert "from Redis at redis://127.0.0.1:1/0 while reading" in away.value.sentence
    assert "cret" not in str(away.value)


def test_another_kind_of_online_store_is_refused_by_name(tmp_path):
    store = ours(tmp_path, {"type": "sqlite", "path": str(tmp_path / "online.db")})
    store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()
    with pytest.raises(BadInput) as refused:
        store.materialize(shops.at(40))
    assert refused.value.code == "online-store-kind"
    assert refused.value.sentence.startswith(
        "got SqliteOnlineStore as the online store, expected one that keeps"
    )


def test_a_view_that_is_gone_leaves_nothing_online(built, tmp_path, place):
    built.materialize(shops.at(40))
    online = built._serving(built._store())._online
    config, names = built._store().config, ["shops_shop_sales", "shops_item_price"]
    definitions = shops.DEFINITIONS.replace(
        'item_price = view("item_price", [shop, item], None, price=Float64)\n', ""
    ).replace(", item_price]", "]")
    (tmp_path / "features" / "definitions.py").write_text(definitions)
    FeastStore(tmp_path / "features", tmp_path / "home").apply()
    assert isinstance(online, NewestOnlineStore)
    kept, gone = online.find(config, [(name, ()) for name in names])
    assert kept.window is not None
    assert gone.window is None
