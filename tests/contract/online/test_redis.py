"""Redis that goes away, or loses what it had."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from urllib.parse import urlsplit

import pytest
import redis

from tidegate.adapters.feast_store import FeastStore, online_redis
from tidegate.application.ports import Materialized
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.testing import shops
from tidegate.testing.online import REDIS, SHOPS, expected, many, ours
from tidegate.testing.shops import KEYS


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
