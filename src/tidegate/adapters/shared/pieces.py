"""Rows by pieces: of a table in memory, or of one on disk that never is in memory whole."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from tidegate.application.ports import Table

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

#: How many rows a piece has at most, and how many bytes a table that is gathered may have in memory.
AT_ONCE, IN_MEMORY = 2**17, 2**26


class Stored:
    """The rows of a Parquet file, as a table: what is asked of it is read then, and not kept."""

    def __init__(self, source: Path | IO[bytes]) -> None:
        """Read from a path, or from an open file that nobody else moves in."""
        self._source = source

    @cached_property
    def _file(self) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        # What is read ahead is kept until the file is closed: in the end all of it.
        return pq.ParquetFile(self._source, pre_buffer=False)

    @property
    def num_rows(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def column_names(self) -> list[str]:
        return list(self.schema.names)

    @property
    def schema(self) -> pa.Schema:
        return self._file.schema_arrow

    @property
    def nbytes(self) -> int:
        """Return about how many bytes its values have."""
        groups = self._file.metadata
        return sum(groups.row_group(at).total_byte_size for at in range(groups.num_row_groups))

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


def gathered(parts: Iterable[pa.Table]) -> Table:
    """Return rows that come in parts as one table; of more than `IN_MEMORY` bytes, in a file without a name.

    Raises:
        OSError: there is no room for the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    held: list[pa.Table] = []
    parts, size = iter(parts), 0
    for part in parts:
        held.append(part)
        if (size := size + part.nbytes) > IN_MEMORY:
            break
    else:
        return cast(Table, pa.concat_tables(held))
    file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the table is there
    stored = Stored(file)
    weakref.finalize(stored, file.close)
    with pq.ParquetWriter(file, held[0].schema, compression="lz4") as writer:
        for part in chain(held, parts):
            for batch in part.to_batches():
                writer.write_batch(batch, AT_ONCE)  # many parts become one group of rows
    return stored


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
