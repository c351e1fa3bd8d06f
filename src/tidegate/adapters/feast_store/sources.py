"""Where views' sources lie once they are built: Parquet files under the home, or tables in PostgreSQL.

Beside either, what was built is kept by content under the home, ``features/<view>/<digest>.parquet``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tidegate.adapters.shared.arrow import PREFIX
from tidegate.adapters.shared.files import hex_of, write_whole
from tidegate.adapters.shared.frames import read_frame, verified, verify_frame
from tidegate.application.ports import Frame

if TYPE_CHECKING:
    import pyarrow as pa

_AGAIN = "build the features again"


class Sources(Protocol):
    """What an offline store joins from."""

    def swap(self, frames: Mapping[str, Frame]) -> None:
        """Put what was built of each view in the place of what was there."""
        ...

    def read(self, view: str, digest: str) -> pa.Table:
        """Return a view's rows as the offline store has them, read once and verified.

        Raises:
            DependencyFailed: they are gone, or have another digest.
        """
        ...

    def verify(self, view: str, digest: str) -> None:
        """Verify a view's rows as the offline store has them.

        Raises:
            DependencyFailed: as `read`.
        """
        ...


class Files:
    """A Parquet file a view, each swapped whole: for DuckDB, and for Spark.

    ``known`` keeps what bytes were found to hold (`verify_frame`).
    """

    def __init__(self, home: Path, known: dict[str, str]) -> None:
        self._folder, self._known = home / "features", known

    def swap(self, frames: Mapping[str, Frame]) -> None:
        """Write each view's file."""
        for view, frame in frames.items():
            write_whole(self._folder / f"{view}.parquet", frame.path.read_bytes())

    def read(self, view: str, digest: str) -> pa.Table:
        """Read a view's file."""
        return read_frame(self._frame(view, digest), f"the source of {view}", _AGAIN)

    def verify(self, view: str, digest: str) -> None:
        """Verify a view's file; bytes that were read before are hashed, and not read again."""
        verify_frame(self._frame(view, digest), self._known, f"the source of {view}", _AGAIN)

    def _frame(self, view: str, digest: str) -> Frame:
        return Frame(digest, self._folder / f"{view}.parquet", 0)


class InPostgres:
    """A table a view, swapped all in one step."""

    def __init__(self, home: Path, url: str) -> None:
        self._folder, self._url = home / "features", url

    def swap(self, frames: Mapping[str, Frame]) -> None:
        """Write all views' tables.

        Raises:
            BadInput: the address is none, or a column is of a type that does not come back as it was.
            DependencyFailed: PostgreSQL is not there, or refuses; what was there is as it was.
        """
        from tidegate.adapters.feast_store.postgres import tables_at

        built = {
            view: read_frame(frame, f"what was built of {view}", _AGAIN) for view, frame in frames.items()
        }
        with tables_at(self._url) as tables:
            tables.replace(built)

    def read(self, view: str, digest: str) -> pa.Table:
        """Read a view's table, in the order and the types that it was built with."""
        import pyarrow.parquet as pq

        from tidegate.adapters.feast_store.postgres import exactly, tables_at

        with tables_at(self._url) as tables:
            rows = tables.rows(tables.place(view), written=True)
        kept = self._folder / view / f"{hex_of(digest, PREFIX)}.parquet"
        if kept.exists():
            rows = exactly(rows, pq.read_schema(kept))
        return verified(rows, digest, f"the source of {view}", f"the table {view}", _AGAIN)

    def verify(self, view: str, digest: str) -> None:
        """Verify a view's table."""
        self.read(view, digest)
