"""Online stores of ours, as Feast alone has them over a file of sales, and as the shops have them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidegate.adapters.feast_store import FeastStore
from tidegate.adapters.shared.arrow import write_parquet
from tidegate.testing.shops import at, write_batch, write_repository

SQLITE = "tidegate.adapters.feast_store.online_sqlite.NewestSqliteOnlineStore"
REDIS = "tidegate.adapters.feast_store.online_redis.NewestRedisOnlineStore"
#: How many shops `many` has, and over how many hours.
SHOPS, HOURS = 1500, 6


# ── Feast alone ───────────────────────────────────────────────────────────────────────────────────


def native(folder: Path, online: Mapping[str, Any], ttl: timedelta = timedelta(0)) -> Any:
    """Return Feast itself over a file of sales, without anything else of Tidegate."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, Int64

    shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)
    source = FileSource(
        name="sales_file", path=str(folder / "sales.parquet"),
        timestamp_field="event_timestamp", created_timestamp_column="created_timestamp",
    )  # fmt: skip
    sales = FeatureView(
        name="sales", entities=[shop], ttl=ttl, source=source,
        schema=[Field(name="sold", dtype=Int64), Field(name="rate", dtype=Float64)],
    )  # fmt: skip
    registry = {"registry_type": "sql", "path": f"sqlite:///{folder}/registry.db"}
    store = FeatureStore(
        config=RepoConfig(
            project="native", provider="local", entity_key_serialization_version=3, online_store=online,
            registry={**registry, "serve_features_while_materializing": True},
            offline_store={"type": "tidegate.adapters.feast_store.offline.PointInTimeOfflineStore"},
        )
    )  # fmt: skip
    sell(folder, ("north", 0, 0, 0))
    store.apply([shop, sales])
    return store


def sell(folder: Path, *rows: tuple[str, float, float, int]) -> None:
    """Write the file of sales: shop, hour that it happened, hour that it was known, how many were sold."""
    shops, events, knowns, sold = zip(*rows, strict=True)
    moment = pa.timestamp("us", "UTC")
    table = {
        "shop": pa.array(shops),
        "sold": pa.array(sold, pa.int64()),
        "rate": pa.array([None] * len(rows), pa.float64()),
        "event_timestamp": pa.array([at(hour) for hour in events], moment),
        "created_timestamp": pa.array([at(hour) for hour in knowns], moment),
    }
    write_parquet(pa.table(table), folder / "sales.parquet")


def push(store: Any, shop: str, happened: float, sold: int, known: float | None = None) -> None:
    """Write one row as a stream would."""
    import pandas as pd

    row = {"shop": shop, "sold": sold, "rate": 0.5, "event_timestamp": at(happened)}
    store.write_to_online_store("sales", pd.DataFrame([row | {"created_timestamp": at(known or happened)}]))


def sold(store: Any, *shops: str) -> list[int | None]:
    """Return how many Feast says that these shops sold, or the north one."""
    answer = store.get_online_features(
        features=["sales:sold"], entity_rows=[{"shop": shop} for shop in shops or ("north",)]
    )
    found: list[int | None] = answer.to_dict()["sold"]
    return found


# ── the shops ─────────────────────────────────────────────────────────────────────────────────────


def ours(folder: Path, place: Mapping[str, Any]) -> FeastStore:
    """Return a store of the shops over this online store; opened anew, as another process would."""
    text = ", ".join(f"{name}: {value!r}" for name, value in place.items())
    return FeastStore(write_repository(folder / "features", online=f"{{{text}}}"), folder / "home")


def expected(hour: float) -> list[dict[str, object]]:
    """Return what is online of the shops at an hour from 40 to 71."""
    north = {"sold": 20, "rate": None} if hour < 48 else {"sold": 21, "rate": 0.21}
    return [
        {**north, "price": 2.5},
        {"sold": None, "rate": 0.5, "price": 3.0},
        {"sold": None, "rate": None, "price": None},
    ]


def many(folder: Path) -> Path:
    """Write sales of many shops, each told at every hour: what is sold is the hour."""
    rows = [(f"s{number}", hour, hour, hour, 0.5) for hour in range(1, HOURS + 1) for number in range(SHOPS)]
    return write_batch(folder / "many.parquet", rows)
