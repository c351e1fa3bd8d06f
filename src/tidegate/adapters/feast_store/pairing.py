"""A view's values twice: as they are served online, and as a point-in-time join of their moment finds them.

The two ways share nothing but the source: the one goes through the online store, the other through the offline store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tidegate.adapters.feast_store import tables
from tidegate.adapters.feast_store.serving import Serving
from tidegate.application.ports import OnlineWindow
from tidegate.domain.parity import Pair


def paired(
    store: Any,
    serving: Serving,
    view: tables.View,
    rows: pa.Table,
    pushed: pa.Table,
    window: OnlineWindow,
    count: int,
) -> list[Pair]:
    """Return every feature of so many of the source's keys, as it is served and as it was known.

    ``pushed`` holds of each pushed key what the window got last: where that is later than the source, it was known.
    """
    asked = sampled(tables.together(view, [rows, pushed]).select(list(view.keys)), window, count)
    if not len(asked):
        return []
    keys = asked.to_pylist()
    served = serving.answers([serving.served(store.get_feature_view(view.name), view)], keys, window.until)
    moments = pa.array([window.until] * len(asked), pa.timestamp("us", "UTC"))
    references = [f"{view.name}:{feature}" for feature in view.features]
    joined = tables.joined(store, references, [view], asked.append_column("event_timestamp", moments))
    known = {feature: column.to_pylist() for feature, column in joined.items()}
    later = _later(view, rows, pushed, window)
    kinds = {feature: kind_of(kind) for feature, kind in view.features.items()}
    return [
        Pair(
            ", ".join(f"{name}={value}" for name, value in key.items()),
            feature,
            kinds[feature],
            served[place].values[feature],
            later.get(tuple(key.values()), {feature: known[feature][place]})[feature],
        )
        for place, key in enumerate(keys)
        for feature in view.features
    ]


def _later(
    view: tables.View, rows: pa.Table, pushed: pa.Table, window: OnlineWindow
) -> Mapping[tuple[Any, ...], Mapping[str, Any]]:
    """Return by key the pushed rows that are later than all that the source knew, null where past their ttl."""
    if not pushed.num_rows:
        return {}

    def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in view.keys)

    source = tables.known_at(rows, view, window.until).to_pylist()
    there = {key(row): (row[view.event], row[view.created]) for row in source}
    later = {}
    for row in pushed.to_pylist():
        when = (row[view.event], row[view.created])
        if key(row) not in there or when >= there[key(row)]:
            gone = view.ttl and row[view.event] + view.ttl < window.until
            later[key(row)] = dict.fromkeys(view.features) if gone else row
    return later


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
