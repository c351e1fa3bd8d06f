"""What reading features online costs: one entity and a hundred, on SQLite and Redis, idle and while others write.

Three views of five features each. A raw read fetches the same rows' bytes by their keys, and makes nothing of them.
While others write, a process of its own materializes all views over and over.
"""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

KEYS, VIEWS, FEATURES = 5_000, ("first", "second", "third"), ("n", "a", "b", "c", "d")
REPEATS = {1: 1_000, 100: 100}
BEGAN = time.monotonic()
START = datetime(2024, 1, 1, tzinfo=UTC)
SERVER = "redis://127.0.0.1:6379/8"
CONFIGURATION = """\
project: bench
provider: local
registry: {registry_type: sql, path: "sqlite:///registry.db", cache_ttl_seconds: 600}
offline_store: {type: tidegate.adapters.feast_store.offline.PointInTimeOfflineStore}
online_store: ONLINE
entity_key_serialization_version: 3
"""
DEFINITIONS = """\
import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.INT64)
views = [
    FeatureView(
        name=name, entities=[customer], ttl=timedelta(days=3650),
        schema=[Field(name=f"{name}_{part}", dtype=Int64 if part == "n" else Float64) for part in FEATURES],
        source=FileSource(
            name=f"{name}_file", path=str(Path(os.environ["TIDEGATE_HOME"]) / "features" / f"{name}.parquet"),
            timestamp_field="event_timestamp", created_timestamp_column="created_timestamp",
        ),
    )
    for name in VIEWS
]
first, second, third = views
service = FeatureService(name="all", features=views)
"""


@dataclass(frozen=True)
class Reader:
    """How rows are read for some customers, and how all views are materialized once more."""

    read: Callable[[list[int]], Any]
    write: Callable[[int], Any]


def measure(out: Console) -> None:
    """Print the milliseconds of a read by each contender, and what they are beside ours."""
    sizes = "".join(f"{f'{size} p50':>10}{f'{size} p99':>10}{'/ ours':>8}" for size in REPEATS)
    out.print(
        f"[bold]online reads, ms[/bold]: {len(VIEWS)} views of {len(FEATURES)} features, {KEYS:,} keys each; "
        "ratios of the medians"
    )
    for kind in ("sqlite", "redis"):
        with tempfile.TemporaryDirectory() as folder, place(kind, out) as url:
            if url is None:
                continue
            contenders = prepare(Path(folder), kind, url)
            for busy in (False, True):
                out.print(f"  {kind + (', while all is materialized' if busy else ', idle'):32}{sizes}")
                ours: dict[int, float] = {}
                for name, reader in contenders.items():
                    with writing(reader, busy):
                        told = {size: times(reader.read, size) for size in REPEATS}
                    ours = ours or {size: each[0] for size, each in told.items()}
                    cells = "".join(
                        f"{1000 * p50:>10.3f}{1000 * p99:>10.3f}{p50 / ours[size]:>8.2f}"
                        for size, (p50, p99) in told.items()
                    )
                    out.print(f"    {name:30}{cells}")
            for reader in contenders.values():
                reader.write(0)  # the last word: drop what was written
    out.print()


@contextmanager
def place(kind: str, out: Console) -> Iterator[str | None]:
    """Yield an address with a prefix of its own, whose keys go; None where there is no Redis."""
    if kind == "sqlite":
        yield ""
        return
    import redis

    url, prefix = os.environ.get("TIDEGATE_TEST_REDIS", SERVER), f"tidegate-bench-{uuid.uuid4().hex}"
    client = redis.Redis.from_url(url)
    try:
        client.ping()
    except redis.ConnectionError:
        out.print("  redis: none can be reached; set TIDEGATE_TEST_REDIS")
        yield None
        return
    try:
        yield f"{url}?prefix={prefix}"
    finally:
        for key in client.scan_iter(f"{prefix}:*"):
            client.delete(key)


def prepare(folder: Path, kind: str, url: str) -> dict[str, Reader]:
    """Build the views once; return ours first, then the raw read of its rows, then Feast's own."""
    ours = our_store(folder, kind, url)
    return {
        "ours": ours[0],
        "ours, through Feast": ours[1],
        "raw": ours[2],
        "Feast's own": feasts_own(folder, kind, url),
    }


def our_store(folder: Path, kind: str, url: str) -> tuple[Reader, Reader, Reader]:
    import duckdb

    from tidegate.adapters.feast_store import FeastStore

    store_type = (
        "{type: tidegate.adapters.feast_store.online_sqlite.NewestSqliteOnlineStore, path: online.db}"
        if kind == "sqlite"
        else f"{{type: tidegate.adapters.feast_store.online_redis.NewestRedisOnlineStore, url: {url!r}}}"
    )
    repo, home = folder / "features", folder / "home"
    (repo / "sources").mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(CONFIGURATION.replace("ONLINE", store_type))
    (repo / "definitions.py").write_text(f"VIEWS, FEATURES = {VIEWS!r}, {FEATURES!r}\n{DEFINITIONS}")
    for view in VIEWS:
        columns = ", ".join(f"{part} AS {view}_{part}" for part in FEATURES)
        (repo / "sources" / f"{view}.sql").write_text(
            f"SELECT customer, {columns}, happened AS event_timestamp, happened AS created_timestamp FROM events"
        )
    rows = ", ".join(
        ["i AS customer", "(random() * 1000)::BIGINT AS n", *(f"random() AS {c}" for c in "abcd")]
    )
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(
            f"COPY (SELECT {rows}, TIMESTAMPTZ '{START.isoformat()}' AS happened FROM range({KEYS}) AS t(i)) "
            f"TO '{folder}/events.parquet'"
        )
    store = FeastStore(repo, home)
    store.build({"events": [folder / "events.parquet"]}, {})
    store.apply()
    store.materialize(START + timedelta(days=1))

    def write(turn: int) -> None:
        FeastStore(repo, home).materialize(START + timedelta(days=1, seconds=turn)) if turn else None

    def read(customers: list[int]) -> Any:
        return store.online(
            "all", [{"customer": customer} for customer in customers], START + timedelta(days=2)
        )

    if None in {value for answer in read([1, KEYS - 1]) for value in answer.values()}:
        raise SystemExit("got unknown values online, expected all of them to be known")
    serving, served = store._online._plan("all")
    keys = dict(enumerate(serving._keys(served[0], [{"customer": n} for n in range(KEYS)])))
    names = [each.name for each in served]
    through = Reader(by_feast(store._store()), write)
    return Reader(read, write), through, Reader(raw(kind, url, home, keys, names), write)


def by_feast(store: Any) -> Callable[[list[int]], Any]:
    """Return the read that Feast offers. Without times nobody could say what has expired."""
    service = store.get_feature_service("all")
    return lambda customers: store.get_online_features(
        features=service, entity_rows=[{"customer": customer} for customer in customers]
    ).to_dict(include_event_timestamps=True)


def raw(
    kind: str, url: str, home: Path, keys: dict[int, bytes], names: list[str]
) -> Callable[[list[int]], Any]:
    if kind == "sqlite":
        database = sqlite3.connect(home / "feast" / "online.db", isolation_level=None)

        def by_sqlite(customers: list[int]) -> Any:
            some = [keys[customer] for customer in customers]
            marks = ",".join("?" * len(some))
            return [
                database.execute(
                    f'SELECT body FROM "newest_{name}" WHERE entity_key IN ({marks})', some
                ).fetchall()
                for name in names
            ]

        return by_sqlite
    import redis

    server, prefix = url.split("?prefix=")
    client = redis.Redis.from_url(server)

    def by_redis(customers: list[int]) -> Any:
        some = [keys[customer] for customer in customers]
        with client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hmget(f"{prefix}:{name}", some)
            return pipe.execute()

    return by_redis


def feasts_own(folder: Path, kind: str, url: str) -> Reader:
    import pandas as pd
    from feast import FeatureStore, RepoConfig

    from tidegate.adapters.feast_store.repository import load_definitions

    server = url.split("?", maxsplit=1)[0].removeprefix("redis://").split("/")
    online = (
        {"type": "sqlite", "path": str(folder / "feasts.db")}
        if kind == "sqlite"
        else {"type": "redis", "connection_string": f"{server[0]},db={(*server, '0')[1]}"}
    )
    store = FeatureStore(
        config=RepoConfig(
            project=f"bench{uuid.uuid4().hex[:8]}", provider="local", online_store=online,
            registry={"registry_type": "sql", "path": f"sqlite:///{folder}/feasts.reg", "cache_ttl_seconds": 600},
            entity_key_serialization_version=3,
            offline_store={"type": "tidegate.adapters.feast_store.offline.PointInTimeOfflineStore"},
        )
    )  # fmt: skip
    found = load_definitions(folder / "features", folder / "home", store.project)
    store.apply([*found.entities, *found.feature_views, *found.feature_services])
    frames = {view: pd.read_parquet(folder / "home" / "features" / f"{view}.parquet") for view in VIEWS}

    def write(turn: int) -> None:
        if not turn:
            store.teardown()
            return
        for view, frame in frames.items():
            moved = frame.assign(event_timestamp=frame["event_timestamp"] + pd.Timedelta(seconds=turn))
            store._get_provider().ingest_df(store.get_feature_view(view), moved)

    write(1)
    return Reader(by_feast(store), write)


@contextmanager
def writing(reader: Reader, busy: bool) -> Iterator[None]:
    """Materialize over and over in a process of its own, if asked to."""
    if not busy:
        yield
        return
    turn = int(
        (time.monotonic() - BEGAN) * 100
    )  # later than the one before it had come to, and within every ttl

    def forever() -> None:
        for number in range(turn, turn + 1_000_000):
            reader.write(number)

    process = multiprocessing.get_context("fork").Process(target=forever, daemon=True)
    process.start()
    time.sleep(1.0)
    try:
        yield
        if not process.is_alive():
            raise SystemExit("got a writer that ended, expected it to write meanwhile")
    finally:
        process.kill()
        process.join()


def times(read: Callable[[list[int]], Any], size: int) -> tuple[float, float]:
    """Return the median and the 99th percentile, in seconds, each time of other customers."""
    taken = []
    for number in range(REPEATS[size] + 5):
        customers = [(number * 37 + place * 11) % KEYS for place in range(size)]
        began = time.perf_counter()
        read(customers)
        taken.append(time.perf_counter() - began)
    taken = sorted(taken[5:])
    return taken[len(taken) // 2], taken[min(len(taken) - 1, int(len(taken) * 0.99))]
