"""Reads never stop while windows are brought, and a skew is found."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time

import redis
from feast import FeatureStore

from tidegate.domain.evidence import Verdict
from tidegate.domain.parity import TOLERANCES, judged
from tidegate.testing import shops
from tidegate.testing.online import HOURS, SHOPS, many, native, ours, sell, sold
from tidegate.testing.shops import KEYS, at

# ── reads never stop ──────────────────────────────────────────────────────────────────────────────


class Hammer:
    """Reads as fast as it can on a thread of its own; keeps what it found, and how long it waited at most."""

    def __init__(self, read):
        self.answers, self.failed, self.longest, self.done = [], [], 0.0, False
        self._read, self._thread, self._begun = read, threading.Thread(target=self._run), threading.Event()

    def __enter__(self):
        self._thread.start()
        assert self._begun.wait(60), "no read came back"
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
            self._begun.set()


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
        features=store.get_feature_service("demand"), entity_rows=list(KEYS)
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
