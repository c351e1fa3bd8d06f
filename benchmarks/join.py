"""What a point-in-time training set costs: three views with availability, Parquet in, Parquet out.

Every contender runs in a child of its own on the same files (see `child`). The joins by hand are written to give the
right rows: one that only goes by availability lets a late row hide a later one.

One row in fifty is told up to three days late, after some that happened later.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from child import LEAST, LIMIT_MIB, LIMIT_SECONDS, Sizes
from rich.console import Console

#: What DuckDB is told by hand: as much as our store by default.
DUCKDB_LIMIT = "2GB"
#: Up to so many rows a contender runs several times, and its median counts.
SMALL, REPEATS = 1_000_000, 3
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
        f"{LIMIT_MIB:,} MiB and {LIMIT_SECONDS} s a child"
    )
    out.print(
        f"  {'':22}{'rows':>12}{'seconds':>10}{'/ ours':>8}{'CPU':>9}{'/ ours':>8}{'peak MiB':>10}  rows as ours"
    )
    with tempfile.TemporaryDirectory() as folder:
        sizes = Sizes(Path(folder), __file__, generate)
        right: list[tuple[str, float]] = []
        for name, contender in CONTENDERS.items():
            for size, ran in sizes.tried(name, min(count, contender.most)):
                if ran.failed:
                    out.print(f"  {name:22}{size:>12,}  could not run: {ran.failed}")
                    continue
                ours = sizes.run(OURS, size)
                seconds, cpu = ran.said
                ratio, busy = UNKNOWN if ours.failed else (seconds / ours.said[0], cpu / ours.said[1])
                said = "" if name == OURS or ours.failed else compared(sizes, name, size)
                took = f"{seconds:>10.2f}{ratio:>8.1f}{cpu:>9.2f}{busy:>8.1f}{ran.peak:>10.0f}"
                out.print(f"  {name:22}{size:>12,}{took}  {said}")
                if size == count and said == "identical" and contender.by_hand:
                    right.append((name, ratio))
        if right:
            best, ratio = min(right, key=lambda each: each[1])
            out.print(f"  ours takes {1 / ratio:.2f} of the best join by hand at {count:,} rows ({best})\n")
        else:
            out.print(f"  no join by hand ran at {count:,} rows\n")


def compared(sizes: Sizes, name: str, size: int) -> str:
    ours, theirs = (content(sizes.folder(size) / f"{each}.parquet") for each in (OURS, name))
    if theirs[0] != ours[0]:
        return f"{ours[0] - theirs[0]:,} rows lost"
    return "identical" if theirs == ours else "other values"


# ── the data ──────────────────────────────────────────────────────────────────────────────────────────


def generate(folder: Path, count: int) -> None:
    """Write a year of entity rows and of three histories: 75 rows a customer, 150 a merchant, 15 a pair."""
    import duckdb

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


def ours(folder: Path) -> Callable[[], None]:
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    store, features = feast_store(folder, "tidegate.adapters.feast_store.offline.PointInTimeOfflineStore")

    def run() -> None:
        job = store.get_historical_features(
            entity_df=f"SELECT * FROM '{folder}/entities.parquet'", features=features
        )
        storage = SavedDatasetFileStorage(path=str(folder / f"{OURS}.parquet"))
        job.persist(storage, allow_overwrite=True)

    return run


def feasts_own(name: str, kind: str) -> Callable[[Path], Callable[[], None]]:
    def prepare(folder: Path) -> Callable[[], None]:
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


def by_duckdb(folder: Path) -> Callable[[], None]:
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


def by_polars(folder: Path) -> Callable[[], None]:
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


def by_pandas(folder: Path) -> Callable[[], None]:
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

    prepare: Callable[[Path], Callable[[], None]]
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
    act = CONTENDERS[sys.argv[1]].prepare(Path(sys.argv[2]))
    taken, used = [], []
    for _ in range(REPEATS if int(Path(sys.argv[2]).name) <= SMALL else 1):
        began, before = time.perf_counter(), time.process_time()
        act()
        taken.append(time.perf_counter() - began)
        used.append(time.process_time() - before)
    print(json.dumps([statistics.median(taken), statistics.median(used)]))
