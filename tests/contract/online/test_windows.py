"""A window changes in one step whatever kills its writer, and takes in what passed the gate as a push."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from tidegate.adapters.feast_store import online_redis, online_sqlite
from tidegate.adapters.feast_store.newest import Expiry, Row, Writes
from tidegate.adapters.feast_store.repository import CHOICES, write_overlay
from tidegate.adapters.shared.arrow import write_parquet
from tidegate.application.ports import OnlineWindow, Pushes
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.evidence import Verdict
from tidegate.domain.parity import TOLERANCES, judged
from tidegate.testing import shops
from tidegate.testing.chaos import mortal
from tidegate.testing.online import SQLITE, expected, ours
from tidegate.testing.shops import KEYS, served

# ── a window changes in one step ──────────────────────────────────────────────────────────────────


FORK = multiprocessing.get_context("fork")


def _counted(step, folder, place):
    """Return a store in whose process the acts on the outside count: it is killed before one of them, or after it."""
    store, counted = ours(folder, place), mortal(step)
    store.windows()  # opened: from here on every act counts

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
    built.push(shops.pushes(tmp_path, FIRST))
    assert served(built, 42)[0] == 5
    built.materialize(shops.at(43))
    assert served(built, 43)[0] == 77


def test_of_one_moment_what_a_stream_wrote_is_served_whoever_came_first(built, tmp_path):
    built.materialize(shops.at(40))
    streamed(built, (41, 77))
    built.push(shops.pushes(tmp_path, FIRST))
    assert served(built, 42)[0] == 77
    built.materialize(shops.at(43), lambda: shops.pushes(tmp_path, FIRST))
    assert served(built, 43)[0] == 77
    (found,) = built.paired("shop_sales", 9, shops.pushes(tmp_path, FIRST))[:1]
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
    assert served(built, 41)[0] == 77
    built.push(shops.pushes(tmp_path, FIRST))
    built.materialize(shops.at(43))
    assert served(built, 43)[0] == 77


# ── what passed the gate as a push ────────────────────────────────────────────────────────────────


FIRST = (7, 41, [("north", 41, 41, 5, 0.4), ("west", 40, 40, 6, None)])
SECOND = (8, 42, [("north", 42, 42, 8, 0.8)])


def test_what_is_pushed_is_in_the_window_and_the_next_window_takes_its_place(built, tmp_path):
    built.materialize(shops.at(40))
    assert built.push(shops.pushes(tmp_path, FIRST)) == {"shop_sales": 2}
    assert (served(built, 42), built.windows()["shop_sales"].pushed) == ([5, None, 6], 7)
    assert built.push(shops.pushes(tmp_path, FIRST)) == {}
    assert built.push(shops.pushes(tmp_path, FIRST, SECOND)) == {"shop_sales": 1}
    assert served(built, 42) == [8, None, 6]
    brought = built.materialize(
        shops.at(43), lambda: shops.pushes(tmp_path, SECOND)
    )  # the drop of the first has come
    assert (brought.rows["shop_sales"], served(built, 43)) == (2, [8, None, None])
    assert built.windows()["shop_sales"].pushed == 8
    assert built.materialize(shops.at(43), lambda: shops.pushes(tmp_path, SECOND)).written == ()


def test_parity_holds_over_what_was_pushed_and_sees_a_value_that_was_not(built, tmp_path):
    built.materialize(shops.at(40))
    built.push(shops.pushes(tmp_path, FIRST))
    assert (
        judged(built.paired("shop_sales", 9, shops.pushes(tmp_path, FIRST)), TOLERANCES).verdict
        is Verdict.PASSED
    )
    other = (7, 41, [("north", 41, 41, 4, 0.4)])
    assert judged(built.paired("shop_sales", 9, shops.pushes(tmp_path, other)), TOLERANCES).skewed == {
        "sold": 1
    }


def test_rows_pushed_in_many_steps_are_one_push(built, tmp_path, monkeypatch):
    monkeypatch.setattr(online_redis, "_PER_CALL", 1)
    built.materialize(shops.at(40))
    many = (7, 41, [(f"s{number}", 41, 41, number, 0.5) for number in range(9)])
    assert built.push(shops.pushes(tmp_path, many)) == {"shop_sales": 9}
    asked = [{"shop": f"s{number}", "item": 1} for number in range(9)]
    assert [answer["sold"] for answer in built.online("demand", asked, shops.at(41))] == list(range(9))


def test_two_who_push_at_once_end_with_both(built, tmp_path, place):
    built.materialize(shops.at(40))
    both = shops.pushes(tmp_path, FIRST, SECOND)
    stores = [ours(tmp_path, place) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda store: store.push(both), stores))
    assert sorted(found, key=len) == [{}, {"shop_sales": 3}]
    assert (served(built, 42), built.windows()["shop_sales"].pushed) == ([8, None, 6], 8)


def _killed_pushing(step, folder, place, told):
    """Push in a process of its own that is killed around its acts on the outside."""
    _counted(step, folder, place).push(shops.pushes(folder, *told))
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
        found = served(fresh, 41)
        assert found in ([20, None, None], [5, None, None], [5, None, 6])
        assert found == [5, None, 6] or not there  # who says that it holds the push holds all of it
        assert fresh.push(shops.pushes(tmp_path, *told)) == ({} if there else {"shop_sales": 2})
        assert (served(fresh, 41), fresh.windows()["shop_sales"].pushed) == ([5, None, 6], 7)
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
    assert store.push(shops.pushes(tmp_path, FIRST)) == {"shop_sales": 2}
    assert served(store, 42) == [5, None, 6]


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
    assert served(store, 42) == [20, None, None]
    assert store.push(shops.pushes(tmp_path, FIRST)) == {"shop_sales": 2}
    assert served(store, 42) == [5, None, 6]


@pytest.mark.parametrize("where", ["", "${TIDEGATE_ONLINE_URL}"])
@pytest.mark.parametrize(
    ("option", "got", "choices"),
    [
        ("writes: sometimes", "'sometimes' as writes", "feast, tidegate"),
        ("writes: [tidegate]", "['tidegate'] as writes", "feast, tidegate"),
        ("expiry: null", "None as expiry", "clock, materialized"),
    ],
)
def test_what_an_online_store_cannot_be_told_is_refused_in_words(tmp_path, where, option, got, choices):
    folder = shops.write_repository(tmp_path / "features", online=f"{{type: {SQLITE}, {option}}}")
    with pytest.raises(BadInput) as refused:
        write_overlay(folder, tmp_path / "home", redis=where)
    assert refused.value.code == "online-store-option"
    assert refused.value.sentence == f"got {got} of online_store, expected one of: {choices}"
    assert not (tmp_path / "home" / "feast" / "feature_store.yaml").exists()


def test_each_choice_of_an_online_store_is_one_that_it_knows():
    assert {"expiry": get_args(Expiry), "writes": get_args(Writes)} == CHOICES


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
        built.push(shops.pushes(tmp_path, FIRST))
    assert refused.value.code == "not-applied"
    assert served(built, 42) == [20, None, None]
    built.build({"sales": [tmp_path / "batches" / "a.parquet"]}, shops.DECLARED)
    built.apply()
    built.materialize(shops.at(41), lambda: shops.pushes(tmp_path, FIRST))
    assert served(built, 42) == [10, None, 12]


def test_a_query_that_needs_more_than_the_pushed_rows_is_refused(built, tmp_path):
    sql = tmp_path / "features" / "sources" / "shop_sales.sql"
    sql.write_text(
        "SELECT shop, happened AS event_timestamp, known AS created_timestamp, "
        "sum(sold) OVER (PARTITION BY shop ORDER BY happened, known) AS sold, rate FROM sales"
    )
    (one,) = shops.pushes(tmp_path, FIRST).rows
    with pytest.raises(BadInput) as refused:
        built.derived(one, Pushes(declared=shops.DECLARED), [tmp_path / "batches" / "a.parquet"])
    assert refused.value.code == "push-needs-history"
    assert refused.value.sentence.startswith("got 1 of 2 rows of shop_sales otherwise")


def test_a_query_may_name_a_column_that_was_promised_after_a_push(built, tmp_path):
    sql = tmp_path / "features" / "sources" / "shop_sales.sql"
    sql.write_text(sql.read_text().rstrip() + " WHERE region IS NULL\n")
    (one,) = shops.pushes(tmp_path, FIRST).rows
    with pytest.raises(BadInput, match="region"):
        built.derived(one, Pushes(declared=shops.DECLARED), [])
    wider = pq.read_schema(one.files[0]).append(pa.field("region", pa.string()))
    shape = write_parquet(wider.empty_table(), tmp_path / "shape.parquet")
    one = replace(one, files=(shape, *one.files))
    assert built.derived(one, Pushes(declared=shops.DECLARED), []) == {"shop_sales": 2}


def test_who_pushes_while_a_window_is_made_waits_and_is_in_it_afterwards(built, tmp_path, place):
    built.materialize(shops.at(40))
    other, done = ours(tmp_path, place), []
    pushing = threading.Thread(target=lambda: done.append(other.push(shops.pushes(tmp_path, FIRST, SECOND))))

    def standing():
        pushing.start()
        pushing.join(0.5)
        assert done == []
        return shops.pushes(tmp_path, FIRST)

    built.materialize(shops.at(43), standing)
    pushing.join()
    assert done == [{"shop_sales": 1}]
    assert (served(built, 43), built.windows()["shop_sales"].pushed) == ([8, None, 6], 8)
