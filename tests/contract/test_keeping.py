"""Letting rows go, where they lie: the fakes, and Arrow with Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from tidegate.adapters.arrow_batches import ArrowBatches
from tidegate.adapters.feast_store import FeastStore
from tidegate.adapters.parquet_copies import ParquetCopies
from tidegate.adapters.shared.arrow import table_digest, write_parquet
from tidegate.adapters.shared.decisions import decisions_root
from tidegate.adapters.shared.keyed import keyed
from tidegate.application.ports import Batches, Copies, Features, Frame, Table, Whose
from tidegate.domain.contract import Column
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.masking import Mask, Treatment
from tidegate.testing import shops
from tidegate.testing.contracts.keeping import (
    LINES,
    NOTED,
    CopiesContract,
    ForgettingContract,
    Plant,
    ThinningContract,
)
from tidegate.testing.drops import read, write_drop
from tidegate.testing.fakes.batches import FakeBatches
from tidegate.testing.fakes.cells import RowTable
from tidegate.testing.fakes.copies import FakeCopies
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.material import model_spec
from tidegate.testing.tides import TIDES

FOLDERS = {
    "entities": "entities",
    "frame": "frames",
    "source": "features",
    "reference": "models",
    "decisions": "scores",
}


class TestFakeBatches(ThinningContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Batches:
        return FakeBatches(tmp_path / "home")


class TestArrowBatches(ThinningContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Batches:
        return ArrowBatches(tmp_path / "home")


class TestFakeCopies(CopiesContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Copies:
        return FakeCopies()

    @pytest.fixture
    def plant(self, subject: FakeCopies, tmp_path: Path) -> Plant:
        return subject.plant

    def keys(self, *rows: Mapping[str, str]) -> Table:
        return RowTable(list(rows[0]) if rows else ["no such column"], tuple(rows))


def planted(home: Path, kind: str, place: str, rows: Sequence[Mapping[str, Any]]) -> str:
    table = pa.Table.from_pylist(
        [dict(row) for row in rows], pa.schema([(n, _type(rows, n)) for n in rows[0]])
    )
    digest = table_digest(table)
    prefix = "reference-" if kind == "reference" else ""
    write_parquet(table, home / FOLDERS[kind] / place / f"{prefix}{digest.removeprefix('tg1:')}.parquet")
    return digest if kind != "decisions" else digest.replace("tg1:", "sha256:")


def _type(rows: Sequence[Mapping[str, Any]], name: str) -> pa.DataType:
    return {str: pa.string(), int: pa.int64(), float: pa.float64()}[type(rows[0][name])]


class TestParquetCopies(CopiesContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Copies:
        return ParquetCopies(tmp_path)

    @pytest.fixture
    def plant(self, subject: Copies, tmp_path: Path) -> Plant:
        return lambda kind, place, rows: planted(tmp_path, kind, place, rows)

    def keys(self, *rows: Mapping[str, str]) -> Table:
        found: Any = (
            pa.Table.from_pylist([dict(row) for row in rows])
            if rows
            else pa.table({"none": pa.array([], "string")})
        )
        return found


def test_rows_of_before_the_column_was_masked_are_found_too(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    batches.accept(NOTED, read(batches, write_drop(tmp_path, LINES)), {})
    note = Column("note", "string", treatment=Treatment(Mask.TOKEN))
    masked = replace(NOTED, delivered=(*TIDES.columns[:-1], note))
    (file,) = batches.thinned(masked, batches.whose(masked, "Ann")).files
    assert file.rows == 3


def test_an_altered_batch_is_not_searched_but_told(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    _, path = batches.accept(NOTED, read(batches, write_drop(tmp_path, LINES)), {})
    write_parquet(pq.read_table(path).slice(1), path)
    with pytest.raises(DependencyFailed) as caught:
        batches.thinned(NOTED, batches.whose(NOTED, "Ann"))
    assert caught.value.code == "batch-altered"


def test_a_moment_in_a_key_is_the_same_in_another_zone_and_unit() -> None:
    moment = datetime(2013, 1, 1, 12, tzinfo=UTC)
    first = pa.table({"at": pa.array([moment], pa.timestamp("us", "UTC"))})
    other = pa.table({"at": pa.array([moment], pa.timestamp("ms", "America/New_York"))})
    assert keyed(first, ["at"]) == keyed(other, ["at"])


def test_a_segment_of_decisions_is_named_by_the_root_of_what_is_left(tmp_path: Path) -> None:
    spec = model_spec(tmp_path)
    names = {
        spec.entity_time: pa.array(
            [datetime(2013, 1, day, tzinfo=UTC) for day in (1, 2)], pa.timestamp("us", "UTC")
        )
    }
    keys = {name: pa.array(["Ann", "Bob"]) for name in spec.keys}
    decisions = pa.table({**names, **keys, "score": pa.array([0.25, 0.75])})
    root = decisions_root(decisions, spec)
    write_parquet(decisions, tmp_path / "scores" / f"{root[7:]}.parquet")
    whose = Whose("nobody's column", ("Ann",), anywhere=True)
    nothing: Any = pa.table({"none": pa.array([], "string")})
    (file,) = ParquetCopies(tmp_path).thinned(whose, nothing, {root: spec}.get)
    assert file.successor == decisions_root(decisions.slice(1), spec)
    assert pq.read_table(tmp_path / "scores" / f"{file.successor[7:]}.parquet").num_rows == 1
    assert (tmp_path / "scores" / f"{root[7:]}.parquet").exists()


def some_keys(*rows: Mapping[str, str]) -> Any:
    return (
        pa.Table.from_pylist([dict(row) for row in rows])
        if rows
        else pa.table({"none": pa.array([], "string")})
    )


class TestFakeFeatures(ForgettingContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Features:
        return FakeFeatures(tmp_path / "home", shops.VIEWS, shops.SERVICES)

    def keys(self, *rows: Mapping[str, str]) -> Table:
        return RowTable(list(rows[0]) if rows else ["no such column"], tuple(rows))


class TestFeastOnSqlite(ForgettingContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Features:
        return FeastStore(shops.write_repository(tmp_path / "features"), tmp_path / "home")

    def keys(self, *rows: Mapping[str, str]) -> Table:
        keys: Table = some_keys(*rows)
        return keys

    def test_nothing_of_what_was_forgotten_is_left_in_the_files(
        self, subject: Features, built: Mapping[str, Frame], tmp_path: Path
    ) -> None:
        assert built
        assert b"south" in online(tmp_path)
        subject.forget(Whose("whoever", ("south",), anywhere=True), self.keys())
        assert b"south" not in online(tmp_path)
        assert b"north" in online(tmp_path)


def online(folder: Path) -> bytes:
    """Return every byte of the online store's files, its log included."""
    return b"".join(path.read_bytes() for path in (folder / "home" / "feast").glob("online.db*"))


class TestFeastOnRedis(TestFeastOnSqlite):
    address = ""

    @pytest.fixture
    def subject(self, tmp_path: Path, redis_address: str) -> Features:
        self.address, store = redis_address, shops.redis(redis_address)
        return FeastStore(shops.write_repository(tmp_path / "features", online=store), tmp_path / "home")

    def test_nothing_of_what_was_forgotten_is_left_in_the_files(
        self, subject: Features, built: Mapping[str, Frame], tmp_path: Path
    ) -> None:
        """Redis has no file of ours: every field and value of every hash is looked at."""
        assert built
        address = self.address
        assert b"south" in in_redis(address)
        subject.forget(Whose("whoever", ("south",), anywhere=True), self.keys())
        assert b"south" not in in_redis(address)
        assert b"north" in in_redis(address)
        assert subject.windows()["shop_sales"].rows == 1


def in_redis(address: str) -> bytes:
    """Return every field and value of the hashes below an address."""
    url, _, prefix = address.partition("?prefix=")
    with redis.Redis.from_url(url) as client:
        hashes = [key for key in client.scan_iter(f"{prefix}:*") if client.type(key) == b"hash"]
        return b"".join(part for key in hashes for pair in client.hgetall(key).items() for part in pair)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_what_feast_itself_wrote_is_forgotten_too(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    import pandas as pd

    place = shops.SQLITE if kind == "sqlite" else shops.redis(request.getfixturevalue("redis_address"))
    subject = FeastStore(shops.write_repository(tmp_path / "features", online=place), tmp_path / "home")
    subject.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    subject.apply()
    subject.materialize(shops.at(40))
    native = subject._store(fresh=True)
    row = {
        "shop": "harbour",
        "sold": 7,
        "rate": 0.7,
        "event_timestamp": shops.at(39),
        "created_timestamp": shops.at(39),
    }
    native.write_to_online_store("shop_sales", pd.DataFrame([row, {**row, "shop": "south"}]))
    keys = [{"shop": shop, "item": 1} for shop in ("harbour", "south", "north")]
    assert [row["sold"] for row in subject.online("demand", keys, shops.at(40))] == [7, 7, 20]
    for shop in ("harbour", "south"):
        subject.forget(Whose("shop", (shop,), anywhere=True), some_keys())
    assert [row["sold"] for row in subject.online("demand", keys, shops.at(40))] == [None, None, 20]
    assert kind == "redis" or b"harbour" not in online(tmp_path)
