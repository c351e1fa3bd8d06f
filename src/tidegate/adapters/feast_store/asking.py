"""What Feast is asked: each question once.

Between the moments at which a key's rows become known or expire, its answer is the same. Feast's join pairs
every row it is asked with every row of the same key before it chooses, and thousands of rows may share a
key: asked row by row, a year takes four times as long as asked state by state. So each entity row is placed at
the last change of its key, by view; Feast answers for those, and the answers are handed out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.adapters.feast_store.tables import ROW, View
from tidegate.domain.errors import DependencyFailed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# A row counts at T where greatest(event, created) <= T <= event + ttl, as in Feast's join; nothing else
# changes an answer, so at the last of these moments up to T the answer is that of T.
_PLACES = """
WITH changes AS (
    SELECT DISTINCT {keys}, unnest([greatest("{event}", "{created}"){expiry}]) AS tidegate_since FROM source
),
states AS (
    SELECT *, row_number() OVER (ORDER BY {keys}, tidegate_since) - 1 AS tidegate_state FROM changes
)
SELECT asked."{row}", {states}, states.tidegate_since, states.tidegate_state
FROM asked ASOF JOIN states ON {equal} AND asked.event_timestamp >= states.tidegate_since
"""


@dataclass(frozen=True)
class Questions:
    """The entity rows to ask of one view, each once, and which of them answers which row.

    ``rows`` has event_timestamp, the keys and `ROW`, the question's number; ``answers`` has a position in
    ``rows`` for each entity row, -1 where nothing was ever known.
    """

    rows: pa.Table
    answers: np.ndarray

    def answered(self, found: pa.Table, view: View) -> pa.Table:
        """Return each entity row's features, in the types that the view defines.

        Raises:
            DependencyFailed: Feast's join lost or repeated a row.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        found = found.sort_by(ROW)
        if not np.array_equal(found.column(ROW).to_numpy(), self.rows.column(ROW).to_numpy()):
            raise DependencyFailed(
                "join-lost-rows",
                f"got {found.num_rows} rows from Feast's join, expected each of {self.rows.num_rows} once",
                "",
            )
        places = pa.array(self.answers, mask=self.answers < 0)
        columns = {}
        for name, kind in view.features.items():
            column = found.column(name)
            if pa.types.is_floating(column.type):  # a way through pandas spells an unknown value as NaN
                column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
            columns[name] = column.cast(kind).take(places)
        return pa.table(columns)


def questions(asked: pa.Table, view: View, source: pa.Table) -> Questions:
    """Return what to ask of ``view`` so that every row of ``asked`` has its answer.

    ``asked`` has event_timestamp, the view's keys and `ROW`, its rows numbered from 0.
    """
    import duckdb
    import numpy as np

    keys = [f'"{key}"' for key in view.keys]
    microseconds = round(view.ttl.total_seconds() * 1_000_000) + 1 if view.ttl else 0
    text = _PLACES.format(
        row=ROW,
        keys=", ".join(keys),
        states=", ".join(f"states.{key}" for key in keys),
        equal=" AND ".join(f"asked.{key} = states.{key}" for key in keys),
        event=view.event,
        created=view.created,
        expiry=f', "{view.event}" + to_microseconds({microseconds})' if view.ttl else "",
    )
    with duckdb.connect(":memory:") as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("asked", asked)
        database.register("source", source)
        placed = database.sql(text).to_arrow_table()
    states = placed.column("tidegate_state").to_numpy()
    _, first, number = np.unique(states, return_index=True, return_inverse=True)
    answers = np.full(asked.num_rows, -1, np.int64)
    answers[placed.column(ROW).to_numpy()] = number
    rows = placed.select([*view.keys, "tidegate_since"]).take(first)
    rows = rows.rename_columns([*view.keys, "event_timestamp"])
    return Questions(rows.append_column(ROW, [np.arange(rows.num_rows)]), answers)
