"""Drops in, batches kept, bad rows held back: Arrow in memory, Parquet and JSON lines on disk.

    HOME/batches/DATASET/<64 hex>.parquet      an accepted batch, named by its ``tg1:`` digest; also the
                                               contract's columns without a row, where one was asked for
    HOME/batches/masked-with                   the fingerprint of the key that classified columns were masked with
    HOME/quarantine/DATASET/<64 hex>.jsonl     the rows one gate run held back, named by their root

A batch's digest is taken over its values in the order of the contract's key (`tidegate.adapters.shared.arrow`
states the bytes), so it does not depend on how the drop was ordered, packed or written to Parquet. A
quarantine file holds one RFC 8785 line a row, ``{"reasons", "row", "values"}``, in the drop's order; the
Merkle root of those lines names it and goes into the chain. A drop that is gated again, under a mended
contract say, leaves the earlier file as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from tidegate.adapters.arrow_batches.delimited import arrow_type, read_csv
from tidegate.adapters.arrow_batches.drop import open_regular, opened
from tidegate.adapters.arrow_batches.masks import MaskingKey, masked, masked_again
from tidegate.adapters.arrow_batches.mending import read_mended, restored
from tidegate.adapters.arrow_batches.profiling import profiled
from tidegate.adapters.arrow_batches.rebuilding import rebuilt
from tidegate.adapters.shared.arrow import PREFIX, table_digest, write_parquet
from tidegate.adapters.shared.files import hex_of, partial, told
from tidegate.application.ports import Contents, Mended, Segment, Table
from tidegate.domain.canonical import canonical, utc_text
from tidegate.domain.contract import Contract, GateReport
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.merkle import merkle_root
from tidegate.domain.suggestion import Profile

if TYPE_CHECKING:
    import pyarrow as pa

_EXACT = 2**53  # above this a JSON number is no longer exact, so the integer becomes a text
_AT_ONCE = 4096  # rows that are Python objects at a time, while they are written or read


class ArrowBatches:
    """Keeps batches and quarantined rows below one folder."""

    def __init__(
        self,
        home: Path,
        nulls: Sequence[str] = ("", "NA"),
        max_bytes: int = 2**30,
        masking_key: str | None = None,
    ) -> None:
        """Keep files below ``home``.

        ``nulls`` are the unquoted spellings of null in a CSV; ``max_bytes`` bounds a drop once unpacked. What
        classified columns are masked with is ``masking_key``, or made on first use and kept in ``home/keys``.
        """
        self._home, self._nulls, self._max_bytes = home, tuple(nulls), max_bytes
        self._key = MaskingKey(home / "keys" / "masking.key", masking_key, home / "batches" / "masked-with")

    def drop_digest(self, drop: Path) -> str:
        """Return ``sha256:<hex>`` of the drop's raw bytes.

        Raises:
            BadInput: there is no such file, it is no regular file, or it is too large.
        """
        try:
            with open_regular(drop, self._max_bytes) as file:
                return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BadInput(
                "no-drop",
                f"got no readable file {drop} ({error.strerror}), expected a drop",
                "check the path",
            ) from error

    def read(self, drop: Path, contract: Contract, digest: str) -> Contents:
        """Read a drop (CSV, or one CSV in a zip) in its own row order and the contract's types.

        Classified columns are treated here: no gate, file, report or sentence has their values as they came.

        Raises:
            BadInput: empty, truncated, wrongly encoded, too large; a column missing, twice or mistyped; or its
                bytes are no longer those of ``digest``, and then nothing else is said of them.
            DependencyFailed: there is no room for a temporary copy of it.
        """
        with opened(drop, digest, self._max_bytes) as copy:
            came = replace(contract, columns=contract.delivered or contract.columns)
            rows, unpromised = read_csv(copy, came, self._nulls)
            kept = masked(rows, contract, self._key) if contract.delivered else rows
            return Contents(cast(Table, kept), unpromised)

    def mended(self, file: Path, contract: Contract, digest: str) -> Mended:
        """Read rows that were exported from the quarantine as CSV, and mended.

        What somebody typed into a column that is treated is treated here, as in `read`.

        Raises:
            BadInput: as `read`; or they are of several periods or revisions, or one stands there twice.
        """
        with opened(file, digest, self._max_bytes) as copy:
            found = read_mended(copy, contract, self._nulls)
            if not contract.delivered:
                return found
            rows = masked_again(cast("pa.Table", found.table), contract, self._key)
            return replace(found, table=cast(Table, rows))

    def restored(self, contract: Contract, batch: str, root: str, mended: Mended) -> Table:
        """Return a drop as it was read, its mended rows in their places.

        Raises:
            BadInput: the batch has other columns than the contract has now.
            DependencyFailed: the batch or the held-back rows are gone or were altered.
        """
        whole = cast("pa.Table", self.whole(contract, batch, root))
        return cast(Table, restored(whole, contract, mended))

    def accept(
        self, contract: Contract, table: Table, held: Mapping[int, tuple[str, ...]]
    ) -> tuple[str, Path]:
        """Keep the rows not in ``held``, ordered by the contract's key; return batch digest and file."""
        import numpy as np
        import pyarrow as pa

        keep = np.ones(table.num_rows, dtype=bool)
        keep[np.fromiter(held, dtype=np.int64, count=len(held))] = False
        rows = cast("pa.Table", table).filter(pa.array(keep)).replace_schema_metadata(None)
        # Beyond the key, all columns: where a key is not unique the drop's own order must not show.
        order = [
            *contract.key,
            *(column.name for column in contract.columns if column.name not in contract.key),
        ]
        rows = rows.sort_by([(name, "ascending") for name in order]).combine_chunks()
        return self._keep(contract.dataset, rows)

    def empty(self, contract: Contract) -> Path:
        """Return a Parquet file with the contract's columns and types and no row."""
        import pyarrow as pa

        schema = pa.schema([(column.name, arrow_type(column.type)) for column in contract.columns])
        return self._keep(contract.dataset, schema.empty_table())[1]

    def quarantine(
        self,
        contract: Contract,
        table: Table,
        report: GateReport,
    ) -> Segment:
        """Keep every held-back row with all its reasons. A clean drop leaves an empty file.

        Rows are written as they are read, some thousand at a time: memory does not grow with their number.
        """
        rows = cast("pa.Table", table)
        folder = self._home / "quarantine" / contract.dataset
        about = len(report.reasons) * rows.nbytes // max(rows.num_rows, 1)  # what the rows take in memory
        with told(folder / "rows.jsonl", about), partial(folder / "rows.jsonl") as part:
            with part.open("wb") as file:
                root = merkle_root(_written(file, _lines(rows, report.reasons)))
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o644)
            path = part.replace(self._quarantine_path(contract.dataset, root))
        return Segment(root, path, len(report.reasons))

    def quarantined(self, dataset: str, root: str) -> tuple[Mapping[str, object], ...]:
        """Return the rows that one gate run held back: ``row`` (its position), ``reasons``, ``values`` of each.

        Raises:
            BadInput: ``root`` is no digest. DependencyFailed: the file is gone (no drop that was judged is
                without one), or its lines have another root.
        """
        return tuple(self.held(dataset, root))

    def held(self, dataset: str, root: str) -> Iterator[Mapping[str, object]]:
        """Yield what `quarantined` returns row by row, after the whole file was read against its root."""
        path = self._quarantine_path(dataset, root)
        try:
            with path.open("rb") as file:
                found = merkle_root(line.removesuffix(b"\n") for line in file)
        except OSError as error:
            raise DependencyFailed(
                "quarantine-gone",
                f"got no readable file {path.name} ({error.strerror}), expected the rows of {dataset} held "
                f"back as {root}",
                "restore the file from a backup",
            ) from error
        if found != root:
            raise DependencyFailed(
                "quarantine-altered",
                f"got held-back rows of {dataset} with the root {found}, expected {root}",
                f"somebody wrote to {path.name}: restore it from a backup",
            )
        with path.open("rb") as file:
            yield from map(json.loads, file)

    def values(self, dataset: str, batches: Sequence[str], column: str) -> tuple[str, ...]:
        """Return the distinct values of a column over accepted batches, as text, sorted; nulls are left out.

        Raises:
            BadInput: the dataset has no such column. DependencyFailed: a batch's file is gone or was altered.
        """
        found: set[str] = set()
        for batch in batches:
            rows = self._read(dataset, batch)[1]
            if column not in rows.column_names:
                raise BadInput(
                    "missing-column",
                    f"got no column {column} in {dataset}, expected one of {', '.join(rows.column_names)}",
                    "mend the contract that refers to it",
                )
            found.update(
                _text(value) for value in rows.column(column).unique().to_pylist() if value is not None
            )
        return tuple(sorted(found))

    def whole(self, contract: Contract, batch: str, root: str) -> Table:
        """Return the rows of a drop again: those of its batch, if it has one, and those held back under ``root``.

        What JSON could not carry of a row held back (a NaN) is a null here.

        Raises:
            DependencyFailed: a file is gone or was altered.
        """
        kept = self._read(contract.dataset, batch)[1] if batch else None
        return cast(Table, rebuilt(contract, kept, list(self.held(contract.dataset, root))))

    def profile(self, dataset: str, batch: str) -> tuple[Profile, ...]:
        """Return what each column of an accepted batch holds, in the batch's order.

        Raises:
            DependencyFailed: the file is gone or no longer has this digest.
        """
        return profiled(self._read(dataset, batch)[1])

    def path(self, dataset: str, batch: str) -> Path:
        """Return the Parquet file of an accepted batch, after reading it back and comparing its digest.

        Raises:
            DependencyFailed: the file is gone or no longer has this digest.
        """
        return self._read(dataset, batch)[0]

    def _keep(self, dataset: str, rows: pa.Table) -> tuple[str, Path]:
        digest = table_digest(rows)
        path = self._batch_path(dataset, digest)
        if self._sound(path, digest) is None:
            write_parquet(rows, path)
        return digest, path

    def _read(self, dataset: str, batch: str) -> tuple[Path, pa.Table]:
        """Return a batch's file and its rows, after comparing their digest."""
        path = self._batch_path(dataset, batch)
        if not path.is_file():
            raise DependencyFailed(
                "batch-gone",
                f"got no file for the batch {batch}, expected {path.name}",
                "restore it from a backup",
            )
        if (rows := self._sound(path, batch)) is None:
            raise DependencyFailed(
                "batch-altered",
                f"got {path.name} with other content, expected the batch {batch}",
                "restore it from a backup",
            )
        return path, rows

    def _sound(self, path: Path, digest: str) -> pa.Table | None:
        """Return the rows of a file that holds the batch of this digest; a broken file is simply not sound."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not path.is_file():
            return None
        try:
            rows = pq.read_table(path, partitioning=None)
            return rows if table_digest(rows) == digest else None
        except (OSError, pa.ArrowException, BadInput):
            return None

    def _batch_path(self, dataset: str, digest: str) -> Path:
        return self._home / "batches" / dataset / f"{hex_of(digest, PREFIX)}.parquet"

    def _quarantine_path(self, dataset: str, root: str) -> Path:
        return self._home / "quarantine" / dataset / f"{hex_of(root, 'sha256:')}.jsonl"


def _lines(table: pa.Table, reasons: Mapping[int, tuple[str, ...]]) -> Iterator[bytes]:
    import numpy as np

    positions = np.fromiter(reasons, dtype=np.int64, count=len(reasons))
    positions.sort()
    for start in range(0, len(positions), _AT_ONCE):
        some = positions[start : start + _AT_ONCE]
        for position, values in zip(some.tolist(), table.take(some).to_pylist(), strict=True):
            plain = {name: _plain(value) for name, value in values.items()}
            yield canonical({"row": position, "reasons": list(reasons[position]), "values": plain})


def _written(file: BinaryIO, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Write each line on its way."""
    for line in lines:
        file.write(line + b"\n")
        yield line


def _text(value: object) -> str:
    """Return a value as text: a text as it is, all else as JSON writes it, without quotes."""
    plain = _plain(value)
    return plain if isinstance(plain, str) else canonical(plain).decode()


def _plain(value: object) -> object:
    """Return a value as canonical JSON can carry it."""
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int) and abs(value) > _EXACT:
        return str(value)
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
