"""Rows by pieces: of a table in memory, or of one on disk that never is in memory whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from tidegate.application.ports import Table

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

#: How many rows a piece has at most.
AT_ONCE = 2**17


class Stored:
    """The rows of a Parquet file, as a table: what is asked of it is read then, and not kept."""

    def __init__(self, source: Path | IO[bytes]) -> None:
        """Read from a path, or from an open file that nobody else moves in."""
        self._source = source

    @cached_property
    def _file(self) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self._source)

    @property
    def num_rows(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def column_names(self) -> list[str]:
        return list(self.schema.names)

    @property
    def schema(self) -> pa.Schema:
        return self._file.schema_arrow

    def pieces(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield these columns of all rows, in their order; the next piece is read while one is looked at."""
        import pyarrow as pa

        batches = self._file.iter_batches(AT_ONCE, columns=list(columns))
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(next, batches, None)
            while (batch := coming.result()) is not None:
                coming = reader.submit(next, batches, None)
                yield pa.Table.from_batches([batch])

    def whole(self) -> pa.Table:
        """Return all of it in memory."""
        return self._file.read()


def pieces(table: Table, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield these columns of all rows of a table, in their order, `AT_ONCE` at most at a time."""
    if isinstance(table, Stored):
        yield from table.pieces(columns)
        return
    rows = cast("pa.Table", table).select(list(columns))
    for start in range(0, table.num_rows, AT_ONCE):
        yield rows.slice(start, AT_ONCE)


def whole(table: Table) -> pa.Table:
    """Return a table in memory."""
    return table.whole() if isinstance(table, Stored) else cast("pa.Table", table)


def schema(table: Table) -> pa.Schema:
    """Return a table's columns and types."""
    return table.schema if isinstance(table, Stored) else cast("pa.Table", table).schema


def nulls(table: Table, columns: Sequence[str]) -> Mapping[str, int]:
    """Return how many values of each column are null."""
    counts = dict.fromkeys(columns, 0)
    for piece in pieces(table, list(counts)) if counts else ():
        for name in counts:
            counts[name] += piece.column(name).null_count
    return counts
