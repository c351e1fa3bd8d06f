"""Every copy of what should be unique, by DuckDB, which spills to disk where memory ends."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from tidegate.adapters.gx_gate.fast.arguments import NotOurs

if TYPE_CHECKING:
    import pyarrow as pa

#: What DuckDB may hold in memory while it groups.
MEMORY = "1GB"


def copies(columns: list[pa.ChunkedArray], nulls: str) -> list[int]:
    """Return the positions of all rows whose values occur more than once, in order.

    ``nulls`` says which rows do not count: those where ``any`` or ``all`` of the columns are null, or none.
    Two nulls are equal, as pandas has it.

    Raises:
        NotOurs: a column holds floats, whose equality pandas and SQL see differently.
    """
    import duckdb
    import numpy as np
    import pyarrow as pa

    if any(column.type == pa.float64() for column in columns):
        raise NotOurs
    names = [f"k{number}" for number in range(len(columns))]
    keys = ", ".join(names)
    absent = (" or " if nulls == "any" else " and ").join(f"{name} is null" for name in names)
    where = f"where not ({absent})" if nulls else ""
    drop = pa.table(dict(zip(names, columns, strict=True)))
    with tempfile.TemporaryDirectory(prefix="tidegate-") as spill, duckdb.connect() as session:
        session.execute("set memory_limit = $1", [MEMORY])
        session.execute("set temp_directory = $1", [spill])
        session.register("rows", drop)
        repeated = f"select {keys} from rows {where} group by {keys} having count(*) > 1"  # noqa: S608  # our names
        session.execute(f"create temp table repeated as {repeated}")
        if session.execute("select count(*) from repeated").fetchall() == [(0,)]:
            return []
        session.register("placed", drop.append_column("place", pa.array(np.arange(len(drop)))))
        same = " and ".join(f"p.{name} is not distinct from r.{name}" for name in names)
        found = f"select place from placed p semi join repeated r on {same} order by place"  # noqa: S608
        return [place for (place,) in session.execute(found).fetchall()]
