"""Rows put in order on disk, for batches that are never in memory whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.shared.pieces import AT_ONCE, Stored
from tidegate.adapters.shared.scratch import scratch
from tidegate.domain.errors import DependencyFailed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: What DuckDB may hold in memory while it sorts.
MEMORY = "256MB"
_PLACE = "tidegate_place"


def write_in_order(rows: Stored, keep: np.ndarray, order: Sequence[str], path: Path) -> None:
    """Write those of the rows that ``keep`` says, in this order, as Arrow has it: nulls last, ties as they stand.

    Raises:
        OSError: the file cannot be written. DependencyFailed: there is no room for what is being sorted.
    """
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([pa.field(field.name, field.type) for field in rows.schema])
    placed = schema.append(pa.field(_PLACE, pa.int64()))
    keys = ", ".join(f"{_quoted(name)} asc nulls last" for name in (*order, _PLACE))
    with (
        scratch() as spill,
        duckdb.connect() as database,
        pq.ParquetWriter(path, schema, compression="zstd") as file,
    ):
        database.execute("set memory_limit = $1", [MEMORY])
        database.execute("set temp_directory = $1", [str(spill)])
        database.execute("set TimeZone = 'UTC'")
        database.register("kept", pa.RecordBatchReader.from_batches(placed, _kept(rows, keep, placed)))
        query = f"select * exclude ({_PLACE}) from kept order by {keys}"  # noqa: S608  # names are quoted
        try:
            for batch in database.sql(query).to_arrow_reader(AT_ONCE):
                file.write_batch(batch.cast(schema))
        except duckdb.Error as error:
            raise DependencyFailed(
                "disk-full",
                f"got no room to sort {len(keep):,} rows ({str(error).splitlines()[0]}), expected some on disk",
                "free some space where temporary files go, or set TMPDIR, and run the same again",
            ) from error
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _kept(rows: Stored, keep: np.ndarray, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    import numpy as np
    import pyarrow as pa

    first = 0
    for piece in rows.pieces(rows.column_names):
        place = pa.array(np.arange(first, first + len(piece)))
        some = piece.append_column(_PLACE, place).filter(pa.array(keep[first : first + len(piece)]))
        yield from some.cast(schema).to_batches()
        first += len(piece)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
