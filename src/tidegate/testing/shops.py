"""A small feature store for tests: shops, and what was known of their sales when.

`write_repository` lays it out as a Feast repository, as a team would have it; `VIEWS`, `SERVICES` and `DECLARES` say
the same to the fake. The rows in `SALES` are chosen for their times: late-known ones, corrected ones, old ones.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.application.ports import Features, Frame, Pushed, Pushes
from tidegate.domain.access import Access, FeaturePermission
from tidegate.testing.fakes.views import FakeView

CONFIGURATION = """\
project: shops
provider: local
registry:
  registry_type: sql
  path: "sqlite:///../.tidegate/feast/registry.db"
  serve_features_while_materializing: true
offline_store: OFFLINE
online_store: ONLINE
entity_key_serialization_version: 3
"""
DUCKDB = "{type: tidegate.adapters.feast_store.offline.PointInTimeOfflineStore}"
SQLITE = (
    "{type: tidegate.adapters.feast_store.online_sqlite.NewestSqliteOnlineStore, "
    "path: ../.tidegate/feast/online.db}"
)


def redis(url: str) -> str:
    """Return the configuration of an online store in Redis."""
    return f"{{type: tidegate.adapters.feast_store.online_redis.NewestRedisOnlineStore, url: {url!r}}}"


def postgres(url: str) -> str:
    """Return the configuration of an offline store in PostgreSQL."""
    return f"{{type: tidegate.adapters.feast_store.offline_postgres.PointInTimePostgresOfflineStore, url: {url!r}}}"


DEFINITIONS = """\
import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float64, Int64

HOME = Path(__file__).resolve().parent.parent / os.environ.get("TIDEGATE_HOME", ".tidegate")
TAGS = {"shop_sales": {"freshness": "24h", "lag": "3d", "team": "sales"}}


def view(name, keys, ttl, **features):
    source = FileSource(
        name=f"{name}_source",
        path=str(HOME / "features" / f"{name}.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    if name == "shop_sales":
        source = PushSource(name="shop_sales_push", batch_source=source)
    schema = [Field(name=feature, dtype=dtype) for feature, dtype in features.items()]
    return FeatureView(
        name=name, entities=keys, ttl=ttl, schema=schema, source=source, tags=TAGS.get(name, {})
    )


shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING)
item = Entity(name="item", join_keys=["item"], value_type=ValueType.INT64)
shop_sales = view("shop_sales", [shop], timedelta(days=2), sold=Int64, rate=Float64)
item_price = view("item_price", [shop, item], None, price=Float64)
demand = FeatureService(name="demand", features=[shop_sales, item_price])
"""

#: Beside the definitions, as a team would have it.
PERMISSIONS = """\
from feast import FeatureView
from feast.permissions.action import READ, WRITE
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy

builds = Permission(
    name="builds", types=[FeatureView], policy=RoleBasedPolicy(roles=["feature_service"]), actions=[*WRITE, *READ]
)
counts = Permission(
    name="counts",
    types=[FeatureView],
    name_patterns=["shop_.*"],
    policy=RoleBasedPolicy(roles=["training_service", "scoring_service"]),
    actions=READ,
)
"""
#: The same, for the fake.
DECLARES = (
    FeaturePermission(
        "builds",
        ("item_price", "shop_sales"),
        ("feature_service",),
        (Access.WRITE_OFFLINE, Access.WRITE_ONLINE, Access.READ_OFFLINE, Access.READ_ONLINE),
    ),
    FeaturePermission(
        "counts",
        ("shop_sales",),
        ("training_service", "scoring_service"),
        (Access.READ_OFFLINE, Access.READ_ONLINE),
    ),
)

SOURCES = {
    "shop_sales": """\
SELECT shop, happened AS event_timestamp, known AS created_timestamp, sold::INTEGER AS sold, rate FROM sales
""",
    "item_price": """\
SELECT shop, item, price,
    TIMESTAMPTZ '2024-01-01 00:00:00Z' AS event_timestamp, event_timestamp AS created_timestamp
FROM sales_prices
""",
}

START = datetime(2024, 1, 1, tzinfo=UTC)
PRICES = [{"shop": "north", "item": 1, "price": 2.5}, {"shop": "south", "item": 1, "price": 3.0}]
DECLARED = {"sales": {"prices": PRICES}}


def at(hours: float) -> datetime:
    """Return a moment so many hours after the start."""
    return START + timedelta(hours=hours)


#: Two shops of which something is known, and one of which nothing is.
KEYS = ({"shop": "north", "item": 1}, {"shop": "south", "item": 1}, {"shop": "west", "item": 1})

#: shop, event, known, sold, rate
Sale = tuple[str, float, float, int | None, float | None]
SALES: tuple[Sale, ...] = (
    ("north", 0, 6, 10, 0.1),
    ("north", 24, 30, 20, None),
    ("north", 24, 48, 21, 0.21),  # the same hour, corrected later
    ("north", 36, 90, 99, 0.99),  # happened early, known late
    ("south", 24, 24, None, 0.5),
)


def write_repository(
    folder: Path, definitions: str = DEFINITIONS, online: str = SQLITE, offline: str = DUCKDB
) -> Path:
    """Write the shops' Feast repository into ``folder``."""
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    (folder / "feature_store.yaml").write_text(
        CONFIGURATION.replace("ONLINE", online).replace("OFFLINE", offline)
    )
    (folder / "definitions.py").write_text(definitions)
    (folder / "permissions.py").write_text(PERMISSIONS)
    for name, sql in SOURCES.items():
        (folder / "sources" / f"{name}.sql").write_text(sql)
    return folder


def write_batch(path: Path, sales: Sequence[Sale]) -> Path:
    """Write sales as one accepted batch."""
    import pyarrow as pa

    from tidegate.adapters.shared.arrow import write_parquet

    times = pa.timestamp("us", "UTC")
    shops, events, knowns, solds, rates = zip(*sales, strict=True)
    columns = {
        "shop": pa.array(shops),
        "happened": pa.array([at(hours) for hours in events], times),
        "known": pa.array([at(hours) for hours in knowns], times),
        "sold": pa.array(solds, pa.int64()),
        "rate": pa.array(rates, pa.float64()),
    }
    return write_parquet(pa.table(columns), path)


def pushes(folder: Path, *told: tuple[int, float, Sequence[Sale]]) -> Pushes:
    """Return pushes, each told by its event, its hour and its sales."""
    rows = tuple(
        Pushed(event, "sales", (write_batch(folder / "pushed" / f"{event}.parquet", sales),), at(hour))
        for event, hour, sales in told
    )
    return Pushes(rows, {}, DECLARED)


def write_entities(folder: Path, rows: Sequence[tuple[str | None, float]]) -> Frame:
    """Write an entity frame of (shop, hour); all ask for item 1, ``note`` numbers them."""
    import pyarrow as pa

    from tidegate.adapters.shared.sql import write_frame

    columns = {
        "event_timestamp": pa.array([at(hour) for _, hour in rows], pa.timestamp("us", "UTC")),
        "shop": pa.array([shop for shop, _ in rows], pa.string()),
        "item": pa.array([1] * len(rows), pa.int64()),
        "note": pa.array(range(len(rows)), pa.int64()),
    }
    return write_frame(pa.table(columns), folder)


def served(store: Features, hour: float) -> list[object]:
    """Return how many each shop of `KEYS` sold, as it is served at an hour."""
    return [answer["sold"] for answer in store.online("demand", KEYS, at(hour))]


def read(frame: Frame) -> list[dict[str, Any]]:
    """Return a frame's rows."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.ParquetFile(frame.path).read().to_pylist()
    return rows


def sales_rows(batches: Mapping[str, Sequence[Path]], _: object) -> list[dict[str, Any]]:
    """Return the rows of ``shop_sales`` for the fake."""
    import pyarrow.parquet as pq

    rows = [row for path in sorted(batches["sales"]) for row in pq.ParquetFile(path).read().to_pylist()]
    return [{**row, "event_timestamp": row["happened"], "created_timestamp": row["known"]} for row in rows]


def price_rows(_: object, declared: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of ``item_price`` for the fake."""
    rows = declared["sales"]["prices"]
    return [{**row, "event_timestamp": START, "created_timestamp": START} for row in rows]


#: The views of the definitions, for the fake.
VIEWS: Mapping[str, FakeView] = {
    "shop_sales": FakeView(
        ("shop",),
        ("sold", "rate"),
        timedelta(days=2),
        sales_rows,
        datasets=frozenset({"sales"}),
        objective={"freshness": 24 * 3600, "lag": 72 * 3600},
        stream=True,
    ),
    "item_price": FakeView(
        ("item", "shop"), ("price",), None, price_rows, datasets=frozenset({"sales_prices"})
    ),
}
SERVICES = {"demand": ("shop_sales", "item_price")}


def random_sales(seed: int, count: int) -> list[tuple[str, float, float, int | None, float | None]]:
    """Return sales of three shops whose times collide, with every (shop, event, known) once."""
    chance = random.Random(seed)
    rows: dict[tuple[str, float, float], tuple[str, float, float, int | None, float | None]] = {}
    for number in range(count):
        shop, event = chance.choice(("north", "south", "west")), chance.randrange(0, 96, 6)
        known = event + chance.choice((0, 6, 12, 30, 60))
        sold = None if chance.random() < 0.1 else number
        rows[shop, event, known] = (shop, event, known, sold, chance.random())
    return list(rows.values())
