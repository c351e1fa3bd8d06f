"""Histories of three views in an offline store behind Feast's interface, and what an obvious loop joins of them.

A shop's rows go in by ``put``, and come back through Feast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tidegate.adapters.feast_store.repository import import_feast

START = datetime(2013, 11, 3, 3, tzinfo=UTC)  # the clocks go back three hours later
TTL = timedelta(hours=3)
VIEWS: Mapping[str, tuple[tuple[str, ...], timedelta | None]] = {
    "sales": (("shop",), TTL),
    "price": (("shop", "item"), None),
    "stock": (("item",), timedelta(hours=1)),
}
FEATURES = [f"{view}:{view}_{part}" for view in VIEWS for part in ("number", "name")]
SHOPS = [f"shop {number}" for number in range(20)]

Rows = Sequence[Mapping[str, Any]]
Histories = Mapping[str, Rows]


@dataclass
class Shop:
    """A Feast store of one engine, over a file's name a view in ``folder``.

    ``put`` brings tables where the engine reads those views; ``query`` makes rows something that an engine's own query
    selects from, and returns that query.
    """

    folder: Path
    type: str
    options: Mapping[str, Any]
    put: Callable[[Mapping[str, pa.Table]], None]
    query: Callable[[pa.Table], str]
    store: Any = field(init=False)

    def __post_init__(self) -> None:
        self.write(dict.fromkeys(VIEWS, ()), None)
        self.store = opened(self.folder, self.type, **self.options)

    def write(self, histories: Histories, zone: Any) -> None:
        """Write each view's rows, their times in ``zone``; without one they are naive, and UTC."""
        self.put({view: history_table(view, rows, zone) for view, rows in histories.items()})

    def joined(self, asked: Rows, features: Sequence[str] = ("sales:sales_number",), **more: Any) -> pa.Table:
        """Return what these rows may know."""
        table = entity_table(asked, UTC)
        return self.store.get_historical_features(entity_df=table, features=list(features), **more).to_arrow()

    def numbers(self, hours: Sequence[float], **more: Any) -> list[int | None]:
        """Return how many sales the north shop knows of at each hour."""
        found: list[int | None] = self.joined(asked_at(*hours), **more).column("sales_number").to_pylist()
        return found


def files(folder: Path, type_: str, **options: Any) -> Shop:
    """Return a shop of an engine that reads the Parquet files themselves."""

    def put(tables: Mapping[str, pa.Table]) -> None:
        for view, table in tables.items():
            pq.write_table(table, folder / f"{view}.parquet")

    def query(rows: pa.Table) -> str:
        pq.write_table(rows, folder / "entities.parquet", row_group_size=7)
        return f"SELECT * FROM '{folder / 'entities.parquet'}'"  # noqa: S608 - a path of the test's own

    return Shop(folder, type_, options, put, query)


def opened(folder: Path, type_: str, **options: Any) -> Any:
    """Return a Feast store over a file's name a view in ``folder``."""
    import_feast()
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Int64, String

    keys = {
        "shop": Entity(name="shop", join_keys=["shop"], value_type=ValueType.STRING),
        "item": Entity(name="item", join_keys=["item"], value_type=ValueType.INT64),
    }
    types = {"shop": String, "item": Int64}
    views = [
        FeatureView(
            name=name,
            entities=[keys[key] for key in of],
            ttl=ttl,
            schema=[
                *(Field(name=key, dtype=types[key]) for key in of),
                Field(name=f"{name}_number", dtype=Int64),
                Field(name=f"{name}_name", dtype=String),
            ],
            source=FileSource(
                name=f"{name}_file",
                path=str(folder / f"{name}.parquet"),
                timestamp_field="event_timestamp",
                created_timestamp_column="created_timestamp",
            ),
        )
        for name, (of, ttl) in VIEWS.items()
    ]
    store = FeatureStore(
        config=RepoConfig(
            project="shops",
            provider="local",
            registry=str(folder / f"registry-{type_}.db"),
            offline_store={"type": type_, **options},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    store.apply([*keys.values(), *views])
    return store


def history_table(view: str, rows: Rows, zone: Any) -> pa.Table:
    """Return a view's rows, their times in ``zone``; without one they are naive, and UTC."""
    kinds = {"shop": pa.string(), "item": pa.int64()}
    times = pa.timestamp("us", str(zone) if zone else None)
    columns = {key: pa.array([row[key] for row in rows], kinds[key]) for key in VIEWS[view][0]}
    for time in ("event_timestamp", "created_timestamp"):
        values = [row[time] and (row[time] if zone else row[time].replace(tzinfo=None)) for row in rows]
        columns[time] = pa.array(values, times)
    columns[f"{view}_number"] = pa.array([row["number"] for row in rows], pa.int64())
    names = [row["number"] and str(row["number"]) for row in rows]
    columns[f"{view}_name"] = pa.array(names, pa.string())
    return pa.table(columns)


def entity_table(asked: Rows, zone: Any) -> pa.Table:
    """Return numbered entity rows, their times in ``zone``; without one they are naive, and UTC."""
    values = [row["event_timestamp"] for row in asked]
    times = [time if zone else time.replace(tzinfo=None) for time in values]
    return pa.table(
        {
            "note": pa.array(range(len(asked)), pa.int32()),
            "shop": pa.array([row["shop"] for row in asked], pa.string()),
            "item": pa.array([row["item"] for row in asked], pa.int64()),
            "event_timestamp": pa.array(times, pa.timestamp("us", str(zone) if zone else None)),
        }
    )


def oracle(asked: Rows, histories: Histories) -> list[dict[str, Any]]:
    """Return what each entity row may know: every row of every history is looked at."""
    answers = []
    for entity in asked:
        answer: dict[str, Any] = {}
        for view, (keys, ttl) in VIEWS.items():
            best: Mapping[str, Any] | None = None
            for row in histories[view]:
                if any(row[key] is None or row[key] != entity[key] for key in keys):
                    continue
                happened, known, now = (
                    row["event_timestamp"],
                    row["created_timestamp"],
                    entity["event_timestamp"],
                )
                if known is None or happened > now or known > now:
                    continue
                if ttl is not None and happened + ttl < now:
                    continue
                if best is None or (happened, known) > (best["event_timestamp"], best["created_timestamp"]):
                    best = row
            number = best and best["number"]
            answer |= {f"{view}_number": number, f"{view}_name": number and str(number)}
        answers.append(answer)
    return answers


def rows(*known: tuple[float, float], shop: str = "north", item: int = 1) -> list[dict[str, Any]]:
    """Return rows of (event hour, known hour), numbered from 1."""
    return [
        {
            "shop": shop,
            "item": item,
            "event_timestamp": START + timedelta(hours=event),
            "created_timestamp": START + timedelta(hours=created),
            "number": number,
        }
        for number, (event, created) in enumerate(known, 1)
    ]


def asked_at(*hours: float, shop: str = "north") -> list[dict[str, Any]]:
    """Return entity rows of a shop, an hour each."""
    return [{"shop": shop, "item": 1, "event_timestamp": START + timedelta(hours=hour)} for hour in hours]


def as_frame(table: pa.Table) -> Any:
    """Return a DataFrame whose integers stay integers."""
    import pandas as pd

    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
