"""A view's values twice: as they are served online, and as a point-in-time join of their moment finds them.

The two ways share nothing but the source: the one goes through the online store, the other through the offline store.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from tidegate.adapters.feast_store import tables
from tidegate.adapters.feast_store.serving import Serving
from tidegate.application.ports import OnlineWindow
from tidegate.domain.parity import Pair


def paired(
    store: Any, serving: Serving, view: tables.View, rows: pa.Table, window: OnlineWindow, count: int
) -> list[Pair]:
    """Return every feature of so many of the source's keys, as it is served and as it was known."""
    asked = sampled(rows.select(list(view.keys)), window, count)
    if not len(asked):
        return []
    keys = asked.to_pylist()
    served = serving.answers([serving.served(store.get_feature_view(view.name), view)], keys, window.until)
    moments = pa.array([window.until] * len(asked), pa.timestamp("us", "UTC"))
    references = [f"{view.name}:{feature}" for feature in view.features]
    joined = tables.joined(store, references, [view], asked.append_column("event_timestamp", moments))
    known = {feature: column.to_pylist() for feature, column in joined.items()}
    kinds = {feature: kind_of(kind) for feature, kind in view.features.items()}
    return [
        Pair(
            ", ".join(f"{name}={value}" for name, value in key.items()),
            feature,
            kinds[feature],
            served[place].values[feature],
            known[feature][place],
        )
        for place, key in enumerate(keys)
        for feature in view.features
    ]


def sampled(keys: pa.Table, window: OnlineWindow, count: int) -> pa.Table:
    """Return so many different keys, from all over their order; the window settles which."""
    names = keys.column_names
    different = (
        keys.group_by(names).aggregate([]).select(names).sort_by([(name, "ascending") for name in names])
    )
    size = len(different)
    if size <= count:
        return different
    named = f"{window.source} {window.until.isoformat()}".encode()
    first = int.from_bytes(hashlib.sha256(named).digest()[:8]) % size
    return different.take(pa.array(sorted((first + place * size // count) % size for place in range(count))))


def kind_of(kind: pa.DataType) -> str:
    """Return what a tolerance is given for."""
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_float64(kind):
        return "double"
    if pa.types.is_floating(kind):
        return "float"
    return "time" if pa.types.is_timestamp(kind) else "other"
