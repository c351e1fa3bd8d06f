"""The later row stays, and nothing that has expired is served. Beside it: what Feast's own store does instead."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.adapters.feast_store import FeastStore
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import Verdict
from tidegate.domain.parity import TOLERANCES, judged
from tidegate.testing import shops
from tidegate.testing.online import SQLITE, native, ours, push, sell, sold
from tidegate.testing.shops import KEYS, START, at

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
