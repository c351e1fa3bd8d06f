"""How old the values are that a join gives: the same join, asked for the time of each view's row alone."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tidegate.adapters.feast_store.as_of import History, read
from tidegate.adapters.feast_store.joining import database_for, joined
from tidegate.adapters.feast_store.offline import PointInTimeOfflineStoreConfig
from tidegate.adapters.feast_store.tables import View

_AT = "event_timestamp"
#: Before a view's name, so that none is taken for a column of the rows.
_OF = "tidegate_time_of_"


def ages(config: Any, rows: pa.Table, views: Sequence[View]) -> pa.Table:
    """Return microseconds by view and row; null where nothing was known, or it was past its ttl.

    ``rows`` has event_timestamp and the join keys. It is our join whatever store Feast joins with: they give the same
    rows.
    """
    if not rows.num_rows:
        return pa.table({view.name: pa.nulls(0, pa.int64()) for view in views})
    ours = isinstance(config.offline_store, PointInTimeOfflineStoreConfig)
    settings = config.offline_store if ours else PointInTimeOfflineStoreConfig()
    with database_for(SimpleNamespace(offline_store=settings)) as database:
        query = joined(database, rows, [_times(view) for view in views])
        found = database.sql(query).to_arrow_table()
    at = _microseconds(found.column(_AT))
    times = {view.name: _microseconds(found.column(_OF + view.name)) for view in views}
    return pa.table({name: pc.subtract(at, happened) for name, happened in times.items()})


def _times(view: View) -> History:
    columns = {name: name for name in (*view.keys, view.event, view.created)}
    return History(
        relation=read(str(view.source), columns, (view.event, view.created)),
        keys={key: key for key in view.keys},
        features={view.event: _OF + view.name},
        event=view.event,
        created=view.created,
        ttl=view.ttl,
    )


def _microseconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
