"""What a point-in-time training set costs: three views with availability, Parquet in, Parquet out.

Every contender runs in a child of its own on the same files, and is stopped where it holds more memory or takes longer
than it may; what could not run is asked for a tenth of the rows, and set against ours at that size. The joins by hand
are written to give the right rows: one that only goes by availability lets a late row hide a later one.

One row in fifty is told up to three days late, after some that happened later.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

#: What each child may hold and take, and what DuckDB is told by hand: as much as our store by default.
LIMIT_MIB, LIMIT_SECONDS, DUCKDB_LIMIT = 4096, 900, "2GB"
#: Up to so many rows a contender runs several times, and its median counts.
SMALL, REPEATS = 1_000_000, 3
LEAST = 1_000
VIEWS: dict[str, tuple[tuple[str, ...], timedelta | None]] = {
    "customer_day": (("customer",), timedelta(days=30)),
    "merchant_hour": (("merchant",), None),
    "pair_day": (("customer", "merchant"), timedelta(days=90)),
}
PARTS = ("n", "a", "b")
FEATURES = [f"{view}_{part}" for view in VIEWS for part in PARTS]
OURS = "tidegate"
UNKNOWN = (float("nan"), float("nan"))


def measure(out: Console, count: int) -> None:
    """Print what every contender takes for ``count`` entity rows, and as many rows of history in each view.

    Raises:
        SystemExit: so few that nothing would be told by them.
    """
    if count < LEAST:
        raise SystemExit(f"got {count} rows, expected at least {LEAST:,}")
    out.print(
        f"[bold]training set, {count:,} rows[/bold]: three views of as many rows each, Parquet in, Parquet out; "
        f"{LIMIT_MIB} MiB and {LIMIT_SECONDS} s a child"
    )
    out.print(
        f"  {'':22}{'rows':>12}{'seconds':>10}{'/ ours':>8}{'CPU':>9}{'/ ours':>8}{'peak MiB':>10}  rows as ours"
    )
    with tempfile.TemporaryDirectory() as folder:
        sizes = Sizes(Path(folder))
        right: list[tuple[str, float]] = []
        for name, contender in CONTENDERS.items():
            for size in tenths(min(count, contender.most)):
                ran = sizes.run(name, size)
                ours = ran if name == OURS else sizes.run(OURS, size)
                if not ran.failed:
                    ratio, busy = (
                        (ran.seconds / ours.seconds, ran.cpu / ours.cpu) if not ours.failed else UNKNOWN
                    )
                    said = "" if name == OURS or ours.failed else sizes.compared(name, size)
                    took = f"{ran.seconds:>10.2f}{ratio:>8.1f}{ran.cpu:>9.2f}{busy:>8.1f}{ran.peak:>10.0f}"
                    out.print(f"  {name:22}{size:>12,}{took}  {said}")
                    if size == count and said == "identical" and contender.by_hand:
                        right.append((name, ratio))
                    break
                out.print(f"  {name:22}{size:>12,}  could not run: {ran.failed}")
        if right:
            best, ratio = min(right, key=lambda each: each[1])
            out.print(f"  ours takes {1 / ratio:.2f} of the best join by hand at {count:,} rows ({best})\n")
        else:
            out.print(f"  no join by hand ran at {count:,} rows\n")


@dataclass(frozen=True)
class Ran:
    """A child that ended: its seconds and CPU without imports, its peak in MiB, and why it could not run."""

    seconds: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0
    failed: str = ""


class Sizes:
    """The data at each size, made once, and what ran on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ran: dict[tuple[str, int], Ran] = {}

    def run(self, name: str, size: int) -> Ran:
        folder = self._folder / str(size)
        if not folder.exists():
            generate(folder, size)
        if (name, size) not in self._ran:
            self._ran[name, size] = child(name, folder, size)
        return self._ran[name, size]

    def compared(self, name: str, size: int) -> str:
        ours, theirs = (content(self._folder / str(size) / f"{each}.parquet") for each in (OURS, name))
        if theirs[0] != ours[0]:
            return f"{ours[0] - theirs[0]:,} rows lost"
        return "identical" if theirs == ours else "other values"


def tenths(count: int) -> Iterator[int]:
    """Yield a size and its tenths, down to the least."""
    while count >= LEAST:
        yield count
        count //= 10


def child(name: str, folder: Path, size: int) -> Ran:
    """Run a contender; stop it where it holds or takes too much."""
    started, peak, failed = time.monotonic(), 0.0, ""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-W", "ignore", __file__, name, str(folder), str(size)]
        process = subprocess.Popen(command, stdout=said, stderr=errors)
        while process.poll() is None:
            time.sleep(0.02)
            peak = max(peak, resident(process.pid))
            if peak > LIMIT_MIB:
                failed = f"more than {LIMIT_MIB} MiB"
            elif time.monotonic() - started > LIMIT_SECONDS:
                failed = f"more than {LIMIT_SECONDS} s"
            if failed:
                process.kill()
                process.wait()
        said.seek(0)
        errors.seek(0)
        if process.returncode and not failed:
            failed = (errors.read().strip().splitlines() or [f"ended with {process.returncode}"])[-1][:100]
        seconds, cpu = (0.0, 0.0) if failed else json.loads(said.read().splitlines()[-1])
        return Ran(seconds, cpu, peak, failed)


def resident(pid: int) -> float:
    """Return the MiB that a process holds; nothing where it has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


# ── the data ──────────────────────────────────────────────────────────────────────────────────────────


def generate(folder: Path, count: int) -> None:
    """Write a year of entity rows and of three histories: 75 rows a customer, 150 a merchant, 15 a pair."""
    import duckdb

    folder.mkdir(parents=True)
    customers, merchants = max(count // 75, 1), max(count // 150, 1)
    year = 365 * 86_400_000_000
    who = f"(random() * {customers})::BIGINT AS customer, (random() * 4)::BIGINT AS favourite, i"
    keys = f"customer, 'm' || (customer * 7 + favourite) % {merchants} AS merchant"
    start = "TIMESTAMPTZ '2024-01-01 00:00:00Z'"
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'; SET memory_limit = '2GB'; SELECT setseed(0.5)")
        database.execute(f"SET temp_directory = '{folder}/overflow'; SET enable_progress_bar = false")
        entities = (
            f"SELECT i AS row, {keys}, {start} + to_microseconds(drawn) AS event_timestamp FROM "
            f"(SELECT {who}, (random() * {year})::BIGINT AS drawn FROM range({count}) AS t(i))"
        )
        database.execute(f"COPY ({entities}) TO '{folder}/entities.parquet'")
        late = "CASE WHEN random() < 0.02 THEN random() * 72 ELSE random() END"
        for view, (of, _) in VIEWS.items():
            values = f"(random() * 1000)::BIGINT AS {view}_n, random() AS {view}_a, random() AS {view}_b"
            history = (
                f"SELECT {', '.join(of)}, {view}_n, {view}_a, {view}_b, "
                f"{start} + to_seconds(drawn) AS event_timestamp, "
                f"event_timestamp + to_microseconds((late * 3600000000)::BIGINT) AS created_timestamp FROM "
                f"(SELECT *, {keys.removeprefix('customer, ')} FROM (SELECT {who}, {values}, {late} AS late, "
                f"(random() * {year / 1_000_000})::BIGINT AS drawn FROM range({count}) AS t(i)))"
            )
            # No two rows of a key share both times: nobody could say which one counts.
            once = f"row_number() OVER (PARTITION BY {', '.join(of)}, event_timestamp ORDER BY created_timestamp) = 1"
            database.execute(
                f"COPY (FROM ({history}) QUALIFY {once} ORDER BY event_timestamp) TO '{folder}/{view}.parquet'"
            )


def content(path: Path) -> tuple[int, int]:
    """Return how many rows a joined set has, and a sum over them that does not depend on their order."""
    import duckdb

    values = ", ".join(f"CASE WHEN NOT isnan({name}::DOUBLE) THEN {name}::DOUBLE END" for name in FEATURES)
    with duckdb.connect() as database:
        ((rows, whole),) = database.execute(
            f"SELECT count(*), sum(hash(row, customer, merchant, {values})::HUGEINT) FROM '{path}'"
        ).fetchall()
    return rows, whole


# ── the contenders: each reads a folder's files and writes one beside them ────────────────────────────


def ours(folder: Path, _: int) -> Callable[[], None]:
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    store, features = feast_store(folder, "tidegate.adapters.feast_store.offline.PointInTimeOfflineStore")

    def run() -> None:
        job = store.get_historical_features(
            entity_df=f"SELECT * FROM '{folder}/entities.parquet'", features=features
        )
        storage = SavedDatasetFileStorage(path=str(folder / f"{OURS}.parquet"))
        job.persist(storage, allow_overwrite=True)

    return run


def feasts_own(name: str, kind: str) -> Callable[[Path, int], Callable[[], None]]:
    def prepare(folder: Path, _: int) -> Callable[[], None]:
        import pandas as pd
        import pyarrow.parquet as pq

        store, features = feast_store(folder, kind)
        known = (
            {"filter_by_created_timestamp": True} if kind == "duckdb" else {}
        )  # the other has no such choice

        def run() -> None:
            frame = pd.read_parquet(folder / "entities.parquet")
            job = store.get_historical_features(entity_df=frame, features=features, **known)
            pq.write_table(job.to_arrow(), folder / f"{name}.parquet")

        return run

    return prepare


def feast_store(folder: Path, kind: str) -> tuple[Any, list[str]]:
    from tidegate.adapters.feast_store.repository import import_feast

    import_feast()
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, Int64

    keys = {
        "customer": Entity(name="customer", join_keys=["customer"], value_type=ValueType.INT64),
        "merchant": Entity(name="merchant", join_keys=["merchant"], value_type=ValueType.STRING),
    }
    views = [
        FeatureView(
            name=view,
            entities=[keys[key] for key in of],
            ttl=ttl,
            schema=[Field(name=f"{view}_{part}", dtype=Int64 if part == "n" else Float64) for part in PARTS],
            source=FileSource(
                name=f"{view}_file",
                path=str(folder / f"{view}.parquet"),
                timestamp_field="event_timestamp",
                created_timestamp_column="created_timestamp",
            ),
        )
        for view, (of, ttl) in VIEWS.items()
    ]
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / f"{kind}.db"),
            offline_store={"type": kind},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    store.apply([*keys.values(), *views])
    return store, [f"{view}:{view}_{part}" for view in VIEWS for part in PARTS]


def by_duckdb(folder: Path, _: int) -> Callable[[], None]:
    import duckdb

    joins, values = [], []
    for view, (of, ttl) in VIEWS.items():
        rows = (
            f"(SELECT *, greatest(event_timestamp, created_timestamp) AS known FROM '{folder}/{view}.parquet' "
            f"QUALIFY event_timestamp = max(event_timestamp) OVER (PARTITION BY {', '.join(of)} "
            "ORDER BY greatest(event_timestamp, created_timestamp), event_timestamp DESC ROWS UNBOUNDED PRECEDING))"
        )
        equal = " AND ".join(f"e.{key} = {view}.{key}" for key in of)
        joins.append(f"ASOF LEFT JOIN {rows} AS {view} ON {equal} AND e.event_timestamp >= {view}.known")
        fresh = f"e.event_timestamp <= {view}.event_timestamp + INTERVAL {ttl.days} DAY" if ttl else "TRUE"
        values += [f"CASE WHEN {fresh} THEN {view}_{part} END AS {view}_{part}" for part in PARTS]
    query = f"SELECT e.*, {', '.join(values)} FROM '{folder}/entities.parquet' AS e {' '.join(joins)} ORDER BY e.row"

    def run() -> None:
        with duckdb.connect() as database:
            database.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{DUCKDB_LIMIT}'")
            database.execute(
                f"SET temp_directory = '{folder}/overflow'; SET preserve_insertion_order = false"
            )
            database.execute("SET enable_progress_bar = false")
            database.execute(f"COPY ({query}) TO '{folder}/DuckDB ASOF.parquet'")

    return run


def by_polars(folder: Path, _: int) -> Callable[[], None]:
    import polars as pl

    def run() -> None:
        joined = pl.read_parquet(folder / "entities.parquet").sort("event_timestamp")
        for view, (of, ttl) in VIEWS.items():
            rows = (
                pl.read_parquet(folder / f"{view}.parquet")
                .rename({"event_timestamp": "happened"})
                .with_columns(known=pl.max_horizontal("happened", "created_timestamp"))
                .sort("known", "happened", descending=[False, True])
                .filter(pl.col("happened") == pl.col("happened").cum_max().over(of))
                .drop("created_timestamp")
            )
            joined = joined.join_asof(
                rows, left_on="event_timestamp", right_on="known", by=list(of), check_sortedness=False
            )
            if ttl:
                fresh = pl.col("event_timestamp") <= pl.col("happened") + ttl
                names = [f"{view}_{part}" for part in PARTS]
                joined = joined.with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in names)
            joined = joined.drop("happened", "known")
        joined.sort("row").write_parquet(folder / "Polars join_asof.parquet")

    return run


def by_pandas(folder: Path, _: int) -> Callable[[], None]:
    import pandas as pd

    def run() -> None:
        joined = pd.read_parquet(folder / "entities.parquet").sort_values("event_timestamp")
        for view, (of, ttl) in VIEWS.items():
            rows = pd.read_parquet(folder / f"{view}.parquet").rename(columns={"event_timestamp": "happened"})
            rows["known"] = rows[["happened", "created_timestamp"]].max(axis=1)
            rows = rows.sort_values(["known", "happened"], ascending=[True, False])
            rows = rows[rows["happened"] == rows.groupby(list(of))["happened"].cummax()]
            rows = rows.drop(columns="created_timestamp")
            joined = pd.merge_asof(joined, rows, left_on="event_timestamp", right_on="known", by=list(of))
            if ttl:
                stale = joined["event_timestamp"] > joined["happened"] + ttl
                joined.loc[stale, [f"{view}_{part}" for part in PARTS]] = None
            joined = joined.drop(columns=["happened", "known"])
        joined.sort_values("row").to_parquet(folder / "pandas merge_asof.parquet", index=False)

    return run


@dataclass(frozen=True)
class Contender:
    """How it is made ready in its child, how many rows at most it is asked for, and whether it is a join by hand."""

    prepare: Callable[[Path, int], Callable[[], None]]
    by_hand: bool = False
    most: int = 1_000_000_000


CONTENDERS = {
    OURS: Contender(ours),
    "DuckDB ASOF": Contender(by_duckdb, by_hand=True),
    "Polars join_asof": Contender(by_polars, by_hand=True),
    "pandas merge_asof": Contender(by_pandas, by_hand=True),
    "Feast, DuckDB store": Contender(feasts_own("Feast, DuckDB store", "duckdb")),
    "Feast, default store": Contender(feasts_own("Feast, default store", "dask"), most=1_000),
}


if __name__ == "__main__":
    act = CONTENDERS[sys.argv[1]].prepare(Path(sys.argv[2]), int(sys.argv[3]))
    taken, used = [], []
    for _ in range(REPEATS if int(sys.argv[3]) <= SMALL else 1):
        began, before = time.perf_counter(), time.process_time()
        act()
        taken.append(time.perf_counter() - began)
        used.append(time.process_time() - before)
    print(json.dumps([statistics.median(taken), statistics.median(used)]))
