"""Accepted batches as files: each is called by its ``tg1:`` digest, and read back against it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.arrow_batches.ordering import write_in_order
from tidegate.adapters.arrow_batches.unrecorded import made_young, marked
from tidegate.adapters.shared.arrow import PREFIX, table_digest, write_parquet
from tidegate.adapters.shared.files import hex_of, partial, told
from tidegate.adapters.shared.pieces import Stored
from tidegate.domain.errors import BadInput, DependencyFailed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Accepted:
    """The batches below one folder, by dataset."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, dataset: str, rows: pa.Table, *, mark: bool = True) -> tuple[str, Path]:
        """Keep rows as they are; return their digest and their file, marked until it is recorded."""
        digest = table_digest(rows)
        path = self.place(dataset, digest)
        if not (made_young(path) and self._holds(path, digest)):
            with told(path, rows.nbytes), marked(path) if mark else nullcontext():
                write_parquet(rows, path)
        return digest, path

    def keep_large(
        self, dataset: str, rows: Stored, keep: np.ndarray, order: Sequence[str]
    ) -> tuple[str, Path]:
        """Keep rows that are never in memory whole."""
        place = self.folder / dataset / "rows.parquet"
        with told(place, rows.nbytes), partial(place) as part:
            write_in_order(rows, keep, order, part)
            digest = table_digest(Stored(part))
            path = self.place(dataset, digest)
            if not (made_young(path) and self._holds(path, digest)):
                part.chmod(0o644)
                with marked(path):
                    part.replace(path)
        return digest, path

    def read(self, dataset: str, digest: str) -> pa.Table:
        """Return a batch's rows, after comparing their digest.

        Raises:
            DependencyFailed: the file is gone or no longer has this digest.
        """
        path = self._there(dataset, digest)
        if (rows := self._sound(path, digest)) is None:
            raise _altered(path, digest)
        return rows

    def file(self, dataset: str, digest: str) -> Path:
        """Return a batch's file, after reading it and comparing its digest.

        Raises:
            DependencyFailed: as `read`.
        """
        path = self._there(dataset, digest)
        if not self._holds(path, digest):
            raise _altered(path, digest)
        return path

    def digests(self, dataset: str) -> list[str]:
        """Return the digests that files are there for."""
        return [PREFIX + path.stem for path in sorted((self.folder / dataset).glob("[0-9a-f]*.*"))]

    def place(self, dataset: str, digest: str) -> Path:
        """Return where a batch lies, if it does."""
        return self.folder / dataset / f"{hex_of(digest, PREFIX)}.parquet"

    def _there(self, dataset: str, digest: str) -> Path:
        path = self.place(dataset, digest)
        if not path.is_file():
            raise DependencyFailed(
                "batch-gone",
                f"got no file for the batch {digest}, expected {path.name}",
                "restore it from a backup",
            )
        return path

    def _holds(self, path: Path, digest: str) -> bool:
        """Say whether a file holds the batch of this digest; a broken file does not."""
        import pyarrow as pa

        try:
            return path.is_file() and table_digest(Stored(path)) == digest
        except (OSError, pa.ArrowException, BadInput):
            return False

    def _sound(self, path: Path, digest: str) -> pa.Table | None:
        """Return the rows of a file that holds the batch of this digest; a broken file is simply not sound."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(path, partitioning=None)
            return rows if table_digest(rows) == digest else None
        except (OSError, pa.ArrowException, BadInput):
            return None


def _altered(path: Path, digest: str) -> DependencyFailed:
    return DependencyFailed(
        "batch-altered",
        f"got {path.name} with other content, expected the batch {digest}",
        "restore it from a backup",
    )
