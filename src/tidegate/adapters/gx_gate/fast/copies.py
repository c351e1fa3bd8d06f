"""Every copy of what should be unique, in memory that does not grow with the rows.

The keys of each piece are hashed by DuckDB, and the hashes laid on disk by their first bits: those that occur twice are
found part by part. Only where there are any are the rows looked at again, and only rows with such a hash are compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from tidegate.adapters.gx_gate.fast.judging import Judge, told
from tidegate.adapters.shared.scratch import scratch
from tidegate.domain.positions import Positions

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

#: What DuckDB may hold in memory while it compares rows that may be copies.
MEMORY = "1GB"
#: Into so many parts hashes are laid, by their first bits; up to so many bytes of each stay in memory.
_BITS, _IN_MEMORY = 6, 2**18


class Unique(Judge):
    """An expectation that no two rows have the same values in ``columns``. Two nulls are equal, as pandas has it.

    ``nulls`` says which rows do not count: those where ``any`` or ``all`` of the columns are null, or none. No column
    holds floats, whose equality pandas and SQL see differently.
    """

    def __init__(self, columns: Sequence[str], nulls: str, mostly: float, until: ExitStack) -> None:
        """Hold files and a database ``until`` the drop was judged."""
        self.columns, self._mostly, self._until = tuple(columns), mostly, until
        self._names = [f"k{number}" for number in range(len(self.columns))]
        absent = (" or " if nulls == "any" else " and ").join(f"{name} is null" for name in self._names)
        self._counts = f"not ({absent})" if nulls else "true"
        self._hashes = Hashes(until)
        self._repeated: pa.Array | None = None
        self._rows = self._counted = 0
        self._suspects: list[pa.Table] = []

    @cached_property
    def _database(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB of its own, which spills to disk where its memory ends."""
        import duckdb

        database = self._until.enter_context(duckdb.connect())
        database.execute("set memory_limit = $1", [MEMORY])
        database.execute("set temp_directory = $1", [str(self._until.enter_context(scratch()))])
        return database

    def _asked(self, rows: pa.Table, query: str) -> pa.Table:
        """Return what a query says of ``rows``, in their order."""
        self._database.register("rows", rows)
        return self._database.sql(query).to_arrow_table()

    def see(self, piece: pa.Table, first: int) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        keys = piece.select(list(self.columns)).rename_columns(self._names)
        query = f"hash({', '.join(self._names)}) as hash from rows where {self._counts}"
        if self._repeated is None:
            found = self._asked(keys, f"select {query}")
            self._rows, self._counted = self._rows + len(piece), self._counted + len(found)
            self._hashes.add(found.column("hash").to_numpy())
            return
        placed = keys.append_column("place", pa.array(first + np.arange(len(piece))))
        found = self._asked(placed, f"select *, {query}")
        self._suspects.append(found.filter(pc.is_in(found.column("hash"), value_set=self._repeated)))

    def again(self) -> bool:
        if self._repeated is None:
            self._repeated = self._hashes.repeated()
            return bool(len(self._repeated))
        return False

    def result(self) -> dict[str, Any]:
        return told(self._copies(), self._rows, self._rows - self._counted, self._mostly)

    def _copies(self) -> Sequence[int]:
        """Return the positions of all rows whose values occur more than once, in order."""
        import pyarrow as pa

        if not self._suspects:
            return ()
        rows, keys = pa.concat_tables(self._suspects), ", ".join(self._names)
        same = " and ".join(f"s.{name} is not distinct from r.{name}" for name in self._names)
        repeated = f"select {keys} from rows group by {keys} having count(*) > 1"  # noqa: S608  # our names
        found = f"select place from rows s semi join ({repeated}) r on {same} order by place"  # noqa: S608
        return Positions.in_memory(self._asked(rows, found).column("place").to_numpy().data)


class Hashes:
    """Which of many numbers occur more than once. They lie in nameless files, which end with their process."""

    def __init__(self, until: ExitStack) -> None:
        """Hold the files at most ``until`` then."""
        self._until = until
        self._parts: list[IO[bytes]] = []

    def add(self, hashes: np.ndarray) -> None:
        """Take some more."""
        import numpy as np

        while len(self._parts) < 2**_BITS:
            file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
            self._parts.append(self._until.enter_context(file))
        ordered = np.sort(hashes)
        edges = np.arange(1, 2**_BITS, dtype=np.uint64) << np.uint64(64 - _BITS)
        for file, some in zip(self._parts, np.split(ordered, np.searchsorted(ordered, edges)), strict=True):
            file.write(some.tobytes())

    def repeated(self) -> pa.Array:
        """Return those that occur more than once, each once; nothing is kept."""
        import numpy as np
        import pyarrow as pa

        found = [np.empty(0, dtype=np.uint64)]
        for file in self._parts:
            file.seek(0)
            some = np.sort(np.frombuffer(file.read(), dtype=np.uint64))
            found.append(np.unique(some[1:][some[1:] == some[:-1]]))
            file.close()
        self._parts = []
        return pa.array(np.concatenate(found))
