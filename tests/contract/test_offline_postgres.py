"""The offline store in PostgreSQL: as the contract has it, and what only a server can do."""

from __future__ import annotations

import getpass
import math
import os
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.adapters.feast_store import FeastStore
from tidegate.adapters.feast_store.postgres import exactly, tables_at
from tidegate.adapters.feast_store.repository import OFFLINE, offline_store, write_overlay
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.testing import shops
from tidegate.testing.contracts.features import FeaturesContract
from tidegate.testing.contracts.offline_store import OfflineStoreContract
from tidegate.testing.histories import Shop, asked_at, rows

TYPE = "tidegate.adapters.feast_store.offline_postgres.PointInTimePostgresOfflineStore"


@pytest.fixture(scope="module")
def server(postgres_url):
    """The address of this module's database, as libpq has it."""
    return postgres_url.replace("+psycopg", "")


def place(server):
    """Return the address of a schema that nobody else uses."""
    return f"{server}?schema={uuid.uuid4().hex}"


class TestPostgres(OfflineStoreContract):
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def at(cls, server):
        cls.server = server

    @classmethod
    def made(cls, folder):
        address = place(cls.server)

        def put(tables):
            with tables_at(address) as there:
                there.replace(tables)

        def query(rows):
            put({"entities": rows})
            with tables_at(address) as there:
                return f"SELECT * FROM {there.place('entities')}"

        return Shop(folder, TYPE, {"url": address}, put, query)


def built_in(folder, offline):
    """Return a feature store over the shops, whose offline part is said; nothing is built yet."""
    repository = shops.write_repository(folder / "features", offline=offline)
    return FeastStore(repository, folder / "home")


class TestFeastOnPostgres(FeaturesContract):
    """The whole feature store, with its offline part in a real PostgreSQL."""

    @pytest.fixture
    def subject(self, tmp_path, server):
        return built_in(tmp_path, shops.postgres(place(server)))


@pytest.mark.parametrize("seed", [1, 2])
def test_training_sets_and_sources_have_the_digests_that_duckdb_gives_them(tmp_path, server, seed):
    sales = shops.random_sales(seed, 120)
    hours = [(shop, h) for shop in ("north", "west", None) for h in range(0, 150, 3)]
    hours += [("south", h + shift) for h in range(0, 150, 6) for shift in (-1e-6, 0, 1e-6)]
    found = []
    for name, offline in {"duckdb": shops.DUCKDB, "postgres": shops.postgres(place(server))}.items():
        store = built_in(tmp_path / name, offline)
        batch = shops.write_batch(tmp_path / "batch.parquet", sales)
        sources = store.build({"sales": [batch]}, shops.DECLARED)
        views = store.apply()
        store.verify({view: frame.digest for view, frame in sources.items()})
        frame = store.training_frame(shops.write_entities(tmp_path / "e", hours), "demand", ["note"])
        store.materialize(shops.at(66))
        digests = {view: (frame.digest, frame.rows) for view, frame in sources.items()}
        found.append((digests, views, frame.digest, store.paired("shop_sales", 10)))
    assert found[0] == found[1]
    assert not (tmp_path / "postgres" / "home" / "features" / "shop_sales.parquet").exists()


# ── rows come back as they were ───────────────────────────────────────────────────────────────────────

KINDS = {
    pa.int8(): st.integers(-(2**7), 2**7 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    pa.large_string(): st.sampled_from(["", "NULL", "\\N", "\\.", '"', "a\nb\r\nc", ","]),
    pa.date32(): st.dates(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(UTC)),
    pa.timestamp("us"): st.datetimes(),
    pa.decimal128(20, 3): st.decimals(-(10**16), 10**16, places=3, allow_nan=False),
}


@st.composite
def any_tables(draw):
    """Tables of every type that is kept, nulls and all."""
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4))
    size = draw(st.integers(0, 5))
    columns = [draw(st.lists(st.none() | KINDS[kind], min_size=size, max_size=size)) for kind in kinds]
    names = [f'{number} "n" %s' for number in range(len(kinds))]
    return pa.table(
        [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)], names=names
    )


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=any_tables())
def test_a_table_comes_back_exactly_and_in_its_order(server, table):
    with tables_at(f"{server}?schema=exactly") as there:
        there.replace({"any": table})
    with tables_at(f"{server}?schema=exactly") as there:
        back = exactly(there.rows(there.place("any"), written=True), table.schema)
    assert back.schema == table.schema
    assert [[same(value) for value in column.to_pylist()] for column in back.columns] == [
        [same(value) for value in column.to_pylist()] for column in table.columns
    ]


def same(value):
    """Return what two values are compared by: one is not equal to itself, and zero has two signs."""
    return (math.isnan(value), math.copysign(1, value), str(value)) if isinstance(value, float) else value


# ── whole, or not at all ──────────────────────────────────────────────────────────────────────────────


def both(number):
    """Return two tables of one build: what is in the one is in the other."""
    return {name: pa.table({"build": [number] * 500}) for name in ("b view", "a view")}


def test_whoever_reads_several_tables_sees_them_of_one_build_while_others_replace_them(server):
    address, done = place(server), threading.Event()
    with tables_at(address) as there:
        there.replace(both(0))

    def write(first):
        for number in range(first, first + 30, 2):
            with tables_at(address) as there:
                there.replace(both(number))

    def read():
        seen = set()
        while not done.is_set():
            with tables_at(address) as there:
                places = [there.place(name) for name in ("b view", "a view")]
                there.hold(places)
                found = [there.rows(each).column("build").to_pylist() for each in places]
            assert {len(values) for values in found} == {500}
            (build,) = set(found[0]) | set(found[1])
            seen.add(build)
        return seen

    with ThreadPoolExecutor(5) as threads:
        readers = [threads.submit(read) for _ in range(3)]
        writers = [threads.submit(write, first) for first in (1, 2)]
        for writer in writers:
            writer.result()
        done.set()
        assert len(set().union(*(reader.result() for reader in readers))) > 3


KILLED = """
import sys, pyarrow as pa
from tidegate.adapters.feast_store.postgres import tables_at
with tables_at(sys.argv[1]) as there:
    there.replace({name: pa.table({"build": [1] * 500}) for name in ("a view", "b view")})
    print("replaced, and not said so yet", flush=True)
    sys.stdin.read()
"""


def test_a_writer_that_is_killed_leaves_the_tables_as_they_were(server):
    address = place(server)
    with tables_at(address) as there:
        there.replace(both(0))
    words = [sys.executable, "-c", KILLED, address]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline().startswith("replaced")
        os.kill(child.pid, signal.SIGKILL)
    with tables_at(address) as there:
        there.hold([there.place("a view"), there.place("b view")])
        assert set(there.rows(there.place("a view")).column("build").to_pylist()) == {0}
        there.replace(both(2))
    with tables_at(address) as there:
        assert set(there.rows(there.place("b view")).column("build").to_pylist()) == {2}


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────


def a_built(tmp_path, address):
    store = built_in(tmp_path, shops.postgres(address))
    frames = store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()
    return store, frames


@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET sold = sold + 1 WHERE sold = 10", "DELETE FROM {} WHERE sold = 10", "DROP TABLE {}"],
)
def test_a_table_written_behind_its_back_is_not_joined(tmp_path, server, statement):
    address = place(server)
    store, frames = a_built(tmp_path, address)
    with psycopg.connect(server) as connection:
        connection.execute(statement.format(f'"{address[-32:]}".shop_sales'))
    frame = shops.write_entities(tmp_path / "e", [("north", 48)])
    expected = "features-not-built" if "DROP" in statement else "frame-altered"
    for act in (
        lambda: store.training_frame(frame, "demand", []),
        lambda: store.materialize(shops.at(50)),
        lambda: store.verify({view: each.digest for view, each in frames.items()}),
    ):
        with pytest.raises(DependencyFailed) as failed:
            act()
        assert failed.value.code == expected
        assert "\n" not in failed.value.sentence
    store.build({"sales": [tmp_path / "a.parquet"]}, shops.DECLARED)
    assert FeaturesContract.sold(store, tmp_path, ("north", 48)) == [21]


@pytest.mark.parametrize(
    ("said", "offline", "expected"),
    [
        ("{type: duckdb}", "", {"type": "duckdb"}),
        ("duckdb", "", {"type": "duckdb"}),
        (f"{{type: {TYPE}}}", "", {"type": TYPE, "url": "${TIDEGATE_OFFLINE_URL}"}),
        (f"{{type: {TYPE}, url: mine}}", "postgresql", {"type": TYPE, "url": "mine"}),
        ("{type: duckdb, memory_limit: 1GB}", "postgresql", {"type": TYPE, "url": "${TIDEGATE_OFFLINE_URL}"}),
        (f"{{type: {TYPE}, url: mine}}", "duckdb", {"type": OFFLINE["duckdb"]}),
        ("{type: duckdb}", "spark", {"type": OFFLINE["spark"]}),
        ("{type: mine.OfflineStore, x: 1}", "", {"type": "mine.OfflineStore", "x": 1}),
    ],
)
def test_the_profile_says_where_offline_features_lie_or_else_the_repository(
    tmp_path, said, offline, expected
):
    repository = shops.write_repository(tmp_path / "features", offline=said)
    assert offline_store(repository, offline) == expected
    overlay = write_overlay(repository, tmp_path / "home", offline=offline).read_text()
    assert f"type: {expected['type']}" in overlay


@pytest.mark.parametrize(
    ("said", "offline", "named"),
    [
        ("{type: duckdb}", "mongodb", "got offline features in 'mongodb', expected one of: duckdb, postgresql, spark"),
        ("{type: postgres}", "", "got the offline store 'postgres', expected one of: tidegate."),
        ("snowflake.offline", "", "got the offline store 'snowflake.offline'"),
    ],
)  # fmt: skip
def test_a_store_that_reads_no_built_sources_is_refused_by_name(tmp_path, said, offline, named):
    repository = shops.write_repository(tmp_path / "features", offline=said)
    store = FeastStore(repository, tmp_path / "home", offline=offline)
    with pytest.raises(BadInput) as refused:
        store.apply()
    assert refused.value.code == "unknown-offline-store"
    assert named in refused.value.sentence


SECRET = "tide-and-gate"


@pytest.mark.parametrize(
    ("address", "error", "code", "named"),
    [
        (f"postgresql://root:{SECRET}@127.0.0.1:1/x", DependencyFailed, "offline-store-gone", "127.0.0.1:1/x"),
        (f"mysql://root:{SECRET}@127.0.0.1/x", BadInput, "offline-address", "expected one like postgresql://"),
        (f"postgresql://root:{SECRET}@[::1/x", BadInput, "offline-address", "cannot be read"),
        (f"postgresql://root:{SECRET}@h/x?colour={SECRET}", BadInput, "offline-address", "cannot be read"),
        (f"postgresql://root:{SECRET}@h/x?schema=", BadInput, "offline-address", "cannot be read"),
        (f"postgresql://root:a@{SECRET}@h/x", BadInput, "offline-address", "cannot be read"),
        (f"postgresql://root:a/{SECRET}@h/x", BadInput, "offline-address", "cannot be read"),
        (f"postgresql://root:a#{SECRET}@h/x", BadInput, "offline-address", "cannot be read"),
        (f"postgresql://root:a?{SECRET}@h/x", BadInput, "offline-address", "cannot be read"),
        (f"postgresql://root:%zz{SECRET}@h/x", BadInput, "offline-address", "cannot be read"),
        ("", BadInput, "offline-address", "cannot be read"),
        ("${TIDEGATE_NO_SUCH_URL}", BadInput, "no-variable", "TIDEGATE_NO_SUCH_URL"),
    ],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_one_sentence_without_its_password(
    tmp_path, address, error, code, named
):
    store = built_in(tmp_path, shops.postgres(address))
    batch = shops.write_batch(tmp_path / "a.parquet", shops.SALES)
    with pytest.raises(error) as failed:
        store.build({"sales": [batch]}, shops.DECLARED)
    assert failed.value.code == code
    assert named in failed.value.sentence
    said = f"{failed.value.sentence} {failed.value.hint}"
    assert SECRET not in said
    assert "\n" not in said


def test_the_address_is_in_its_variable_and_its_password_in_no_file(tmp_path, server, monkeypatch):
    given = sa.make_url(server)
    secret = given.password or SECRET  # a server that trusts loopback takes any
    named = given.set(drivername="postgresql", username=given.username or getpass.getuser(), password=secret)
    address = f"{named.render_as_string(hide_password=False)}?schema={uuid.uuid4().hex}"
    monkeypatch.setenv("TIDEGATE_OFFLINE_URL", address)
    repository = shops.write_repository(tmp_path / "features")
    store = FeastStore(repository, tmp_path / "home", offline="postgresql")
    store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, shops.DECLARED)
    store.apply()
    store.materialize(shops.at(50))
    assert FeaturesContract.sold(store, tmp_path, ("north", 48)) == [21]
    overlay = (tmp_path / "home" / "feast" / "feature_store.yaml").read_text()
    assert "url: ${TIDEGATE_OFFLINE_URL}" in overlay
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 5
    assert [file.name for file in files if secret.encode() in file.read_bytes()] == []


def test_a_server_that_goes_away_in_the_middle_is_told_and_nothing_is_lost(server, tmp_path):
    address = place(server)
    store, _ = a_built(tmp_path, address)

    def cut_off():
        with tables_at(address) as there:
            there.replace({"shop_sales": pa.table({"x": [1]})})
            with psycopg.connect(server, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'tidegate' AND datname = current_database()"
                )
            there.rows(there.place("shop_sales"))

    with pytest.raises(DependencyFailed) as failed:
        cut_off()
    assert failed.value.code == "offline-store-gone"
    assert FeaturesContract.sold(store, tmp_path, ("north", 48)) == [21]


@pytest.mark.parametrize(
    ("table", "code", "named"),
    [
        (pa.table({"x": pa.array([[1]])}), "source-types", "got x of kept as list"),
        (pa.table({"x": pa.array([b"1"])}), "source-types", "got x of kept as binary"),
        (pa.table({"x": ["a\0b"]}), "source-values", "does not take"),
        (pa.table({"x" * 64: [1]}), "name-too-long", "at most 63 bytes"),
    ],
)
def test_what_postgresql_would_not_give_back_is_refused_before_anything_changes(server, table, code, named):
    address = place(server)
    with tables_at(address) as there:
        there.replace({"kept": pa.table({"x": [1]})})

    def replace():
        with tables_at(address) as there:
            there.replace({"kept": table})

    with pytest.raises(BadInput) as refused:
        replace()
    assert refused.value.code == code
    assert named in refused.value.sentence
    with tables_at(address) as there:
        assert there.rows(there.place("kept")).to_pylist() == [{"x": 1}]


def test_a_joined_column_that_cannot_be_read_is_named(server, tmp_path):
    shop = TestPostgres.made.__func__(type("At", (), {"server": server}), tmp_path)
    query = "SELECT now() AS event_timestamp, 'north' AS shop, point(1, 2) AS spot"
    with pytest.raises(BadInput) as refused:
        shop.store.get_historical_features(entity_df=query, features=["sales:sales_number"]).to_arrow()
    assert (refused.value.code, "spot as point" in refused.value.sentence) == ("source-types", True)


@pytest.mark.parametrize(
    ("query", "named"), [("SELEC 1", "syntax error"), ("SELECT colour FROM (SELECT 1) AS x", "colour")]
)
def test_a_query_that_postgresql_does_not_run_is_one_sentence(server, tmp_path, query, named):
    shop = TestPostgres.made.__func__(type("At", (), {"server": server}), tmp_path)
    job = shop.store.get_historical_features(entity_df=query, features=["sales:sales_number"])
    with pytest.raises(BadInput) as refused:
        job.to_arrow()
    assert refused.value.code == "sql-failed"
    assert named in refused.value.sentence
    assert "\n" not in refused.value.sentence


def test_keys_that_read_alike_one_after_the_other_stay_apart(server, tmp_path):
    shop = TestPostgres.made.__func__(type("At", (), {"server": server}), tmp_path)
    alike = [*rows((0, 0), shop="a1", item=1), *rows((0, 0), shop="a", item=11)]
    shop.write({"price": [row | {"number": number} for number, row in enumerate(alike, 1)]}, UTC)
    asked = [entity | {"item": item} for entity, item in zip(asked_at(1, 1), (1, 11), strict=True)]
    asked[0]["shop"], asked[1]["shop"] = "a1", "a"
    assert shop.joined(asked, ["price:price_number"]).column("price_number").to_pylist() == [1, 2]
