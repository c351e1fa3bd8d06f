"""Drops in, batches kept, bad rows held back: Arrow in memory, Parquet and JSON lines on disk.

    HOME/batches/DATASET/<64 hex>.parquet      an accepted batch, named by its ``tg1:`` digest; also the
                                               contract's columns without a row, where one was asked for
    HOME/batches/masked-with                   the fingerprint of the key that classified columns were masked with
    HOME/quarantine/DATASET/<64 hex>.jsonl     the rows one gate run held back, named by their root
    .NAME.unrecorded beside either             it was written, and is on no record yet

A batch's digest is taken over its values in the order of the contract's key (`tidegate.adapters.shared.arrow`
states the bytes), so it does not depend on how the drop was ordered, packed or written to Parquet. A
quarantine file holds one RFC 8785 line a row, ``{"reasons", "row", "values"}``, in the drop's order; the
Merkle root of those lines names it and goes into the chain. A drop that is gated again, under a mended
contract say, leaves the earlier file as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tidegate.adapters.arrow_batches import unrecorded
from tidegate.adapters.arrow_batches.accepted import Accepted
from tidegate.adapters.arrow_batches.delimited import arrow_type, read_csv
from tidegate.adapters.arrow_batches.drop import open_regular, opened, room_for
from tidegate.adapters.arrow_batches.held_back import HeldBack, as_json, lines_of
from tidegate.adapters.arrow_batches.masks import MaskingKey, masked, masked_again
from tidegate.adapters.arrow_batches.mending import read_mended, restored
from tidegate.adapters.arrow_batches.profiling import profiled
from tidegate.adapters.arrow_batches.pushed import read_pushed
from tidegate.adapters.arrow_batches.rebuilding import rebuilt
from tidegate.adapters.arrow_batches.straying import strays
from tidegate.adapters.arrow_batches.thinning import lines_left, spared, theirs, whose
from tidegate.adapters.shared.arrow import PREFIX, table_digest
from tidegate.adapters.shared.files import told
from tidegate.adapters.shared.keyed import keyed
from tidegate.adapters.shared.pieces import Stored, gathered, pieces
from tidegate.application.ports import Contents, Kept, Mended, Segment, Table, Thinned, Whose
from tidegate.domain.canonical import canonical
from tidegate.domain.contract import Contract, GateReport
from tidegate.domain.errors import BadInput
from tidegate.domain.keeping import Without
from tidegate.domain.merkle import merkle_root
from tidegate.domain.push import period_of_row
from tidegate.domain.suggestion import Profile

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 4096  # rows that are Python objects at a time, while they are compared


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
        self._nulls, self._max_bytes = tuple(nulls), max_bytes
        self._accepted, self._held_back = Accepted(home / "batches"), HeldBack(home / "quarantine")
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
            treat = partial(masked, contract=contract, key=self._key) if contract.delivered else None
            return Contents(*read_csv(copy, came, self._nulls, treat))

    def pushed(self, push: Path, contract: Contract, digest: str) -> Contents:
        """Read pushed rows: JSON lines, Parquet or Arrow. Classified columns are treated as those of a drop.

        Raises:
            BadInput: no row or too many; a line that is no row; a column missing, twice or mistyped; or its bytes
                are no longer those of ``digest``.
        """
        with opened(push, digest, self._max_bytes) as copy:
            came = replace(contract, columns=contract.delivered or contract.columns)
            rows, unpromised = read_pushed(copy, came)
            kept = masked(rows, contract, self._key) if contract.delivered else rows
            return Contents(cast(Table, kept), unpromised)

    def periods(self, contract: Contract, table: Table) -> tuple[str, ...]:
        """Return the period that each row's period columns name, empty where they name none."""
        columns = [cast("pa.Table", table).column(name).to_pylist() for name in contract.period_columns]
        return tuple(map(period_of_row, zip(*columns, strict=True)))

    def strays(self, contract: Contract, table: Table, period: str) -> tuple[int, ...]:
        """Return the positions of rows whose period columns name another period than this one, or none."""
        return strays(contract, table, period)

    def compared(self, contract: Contract, batch: str, pushed: Sequence[str]) -> Kept:
        """Look each pushed key up in a batch; of one that was pushed again, the row that was pushed last."""
        rows: dict[tuple[object, ...], dict[str, object]] = {}
        for part in pushed:
            for row in self._accepted.read(contract.dataset, part).to_pylist():
                rows[tuple(row[name] for name in contract.key)] = row
        table = self._accepted.read(contract.dataset, batch)
        found: dict[tuple[object, ...], dict[str, object]] = {}
        for some in table.to_batches(_AT_ONCE):
            keys = zip(*(some.column(name).to_pylist() for name in contract.key), strict=True)
            places = [place for place, key in enumerate(keys) if key in rows]
            for row in some.take(_places(places)).to_pylist():
                found[tuple(row[name] for name in contract.key)] = row
        same = sum(found.get(key) == row for key, row in rows.items())
        return Kept(len(rows), same, len(found) - same, len(rows) - len(found))

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
        # Beyond the key, all columns: where a key is not unique the drop's own order must not show.
        order = [
            *contract.key,
            *(column.name for column in contract.columns if column.name not in contract.key),
        ]
        if isinstance(table, Stored):
            return self._accepted.keep_large(contract.dataset, table, keep, order)
        rows = cast("pa.Table", table).filter(pa.array(keep)).replace_schema_metadata(None)
        rows = rows.sort_by([(name, "ascending") for name in order]).combine_chunks()
        return self._accepted.keep(contract.dataset, rows)

    def empty(self, contract: Contract) -> Path:
        """Return a Parquet file with the contract's columns and types and no row."""
        import pyarrow as pa

        schema = pa.schema([(column.name, arrow_type(column.type)) for column in contract.columns])
        return self._accepted.keep(contract.dataset, schema.empty_table(), mark=False)[1]

    def quarantine(
        self,
        contract: Contract,
        table: Table,
        report: GateReport,
    ) -> Segment:
        """Keep every held-back row with all its reasons. A clean drop leaves an empty file.

        Rows are written as they are read, some thousand at a time: memory does not grow with their number.
        """
        size = table.nbytes if isinstance(table, Stored) else cast("pa.Table", table).nbytes
        about = len(report.reasons) * size // max(table.num_rows, 1)  # what the rows take in memory
        root, path = self._held_back.keep(contract.dataset, lines_of(table, report.reasons), about)
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
        return self._held_back.rows(dataset, root)

    def values(self, dataset: str, batches: Sequence[str], column: str) -> tuple[str, ...]:
        """Return the distinct values of a column over accepted batches, as text, sorted; nulls are left out.

        Raises:
            BadInput: the dataset has no such column. DependencyFailed: a batch's file is gone or was altered.
        """
        found: set[str] = set()
        for batch in batches:
            rows = self._accepted.read(dataset, batch)
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
        kept = self._accepted.read(contract.dataset, batch) if batch else None
        return cast(Table, rebuilt(contract, kept, list(self.held(contract.dataset, root))))

    def profile(self, dataset: str, batch: str) -> tuple[Profile, ...]:
        """Return what each column of an accepted batch holds, in the batch's order.

        Raises:
            DependencyFailed: the file is gone or no longer has this digest.
        """
        return profiled(self._accepted.read(dataset, batch))

    def path(self, dataset: str, batch: str) -> Path:
        """Return the Parquet file of an accepted batch, after reading it back and comparing its digest.

        Raises:
            DependencyFailed: the file is gone or no longer has this digest.
        """
        return self._accepted.file(dataset, batch)

    # ── letting rows go ───────────────────────────────────────────────────────────────────────────

    def whose(self, contract: Contract, name: str) -> Whose:
        """Return how a subject is written in a dataset.

        Raises:
            BadInput: the contract names no subject, or this cannot be one; it is not repeated.
        """
        return whose(contract, name, self._key)

    def mark(self, whose: Whose) -> str:
        """Return a keyed hash of a subject, by a key of its own: it is none that a column has."""
        return self._key.mark(whose.texts[0])

    def spared(self, contract: Contract, table: Table, marks: Collection[str]) -> Table:
        """Return a table without the rows of subjects that have these marks."""
        if not marks or contract.subject not in table.column_names:
            return table
        with room_for(f"what is left of {contract.dataset}"):
            return gathered(
                spared(piece, contract, marks, self._key.mark) for piece in pieces(table, table.column_names)
            )

    def thinned(
        self,
        contract: Contract,
        whose: Whose | None,
        only: Collection[str] | None = None,
        *,
        write: bool = True,
    ) -> Thinned:
        """Write what is left of batches and held-back rows without a subject's: of all files there are, or of these.

        Raises:
            DependencyFailed: a file was altered, or there is no room for what is left of it.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        dataset, files = contract.dataset, []
        gone = [pa.table({name: pa.array([], pa.string()) for name in contract.key})]
        for digest in _among(self._accepted.digests(dataset), only):
            rows = self._accepted.read(dataset, digest)
            if count := pc.sum(their := theirs(rows, whose)).as_py():
                others = rows.filter(pc.invert(their)).combine_chunks()
                left = self._accepted.keep(dataset, others)[0] if write else table_digest(others)
                files.append(Without("batch", dataset, digest, left, count))
                if set(contract.key) <= set(rows.column_names):
                    gone.append(keyed(rows.filter(their), contract.key))
        for root in _among(self._held_back.roots(dataset), only):
            path, before = self._held_back.place(dataset, root), sum(1 for _ in self.held(dataset, root))
            if count := before - sum(1 for _ in lines_left(path, whose)):
                lines, about = lines_left(path, whose), path.stat().st_size
                left = self._held_back.keep(dataset, lines, about)[0] if write else merkle_root(lines)
                files.append(Without("quarantine", dataset, root, left, count))
        return Thinned(tuple(files), cast(Table, pa.concat_tables(gone)))

    def left(self, files: Sequence[Without]) -> tuple[Without, ...]:
        """Return the batches and held-back rows that are there."""
        return tuple(each for each in files if (path := self._path(each)) is not None and path.exists())

    def discard(self, files: Sequence[Without]) -> None:
        """Remove batches and held-back rows."""
        for each in self.left(files):
            path = self._path(each)
            assert path is not None  # it is there
            with told(path, 0):
                path.unlink(missing_ok=True)
                unrecorded.settle(path)

    def settle(self, dataset: str, names: Collection[str]) -> None:
        """Take the marks from batches and held-back rows that are recorded."""
        for path in self._named(dataset, names):
            with told(path, 0):
                unrecorded.settle(path)

    def sweep(self, dataset: str, known: Collection[str], now: datetime) -> int:
        """Remove marked files that the record does not know and that are older than an hour."""
        paths, count = self._named(dataset, known), 0
        for folder in (self._accepted.folder, self._held_back.folder):
            with told(folder / dataset, 0):
                count += unrecorded.sweep(folder / dataset, paths, now)
        return count

    def _named(self, dataset: str, names: Collection[str]) -> set[Path]:
        return {
            self._accepted.place(dataset, name)
            if name.startswith(PREFIX)
            else self._held_back.place(dataset, name)
            for name in names
            if name
        }

    def _path(self, file: Without) -> Path | None:
        if file.kind == "batch":
            return self._accepted.place(file.place, file.digest)
        return self._held_back.place(file.place, file.digest) if file.kind == "quarantine" else None


def _places(places: Sequence[int]) -> pa.Array:
    """Return places as Arrow takes them, also where there is none."""
    import pyarrow as pa

    return pa.array(places, pa.int64())


def _among(names: Sequence[str], only: Collection[str] | None) -> list[str]:
    return [name for name in names if only is None or name in only]


def _text(value: object) -> str:
    """Return a value as text: a text as it is, all else as JSON writes it, without quotes."""
    plain = as_json(value)
    return plain if isinstance(plain, str) else canonical(plain).decode()
