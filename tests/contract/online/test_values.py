"""Values come back as they were; what is no online store of ours is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from feast.types import Bytes, Float64, Int64, String, UnixTimestamp

from tidegate.adapters.feast_store import FeastStore, online_redis
from tidegate.adapters.feast_store.newest import NewestOnlineStore
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.testing import shops
from tidegate.testing.online import ours


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
