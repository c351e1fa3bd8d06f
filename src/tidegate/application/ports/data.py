"""Data: contracts, gates, batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from tidegate.application.ports.keeping import Thinned, Whose
from tidegate.application.ports.rows import Segment, Table
from tidegate.domain.contract import CheckResult, Contract, GateReport
from tidegate.domain.keeping import Without
from tidegate.domain.suggestion import Profile, Promise, Suggestion


class Amended(NamedTuple):
    """A file of a contract as it stands, and as it would be."""

    file: Path
    before: str
    after: str


class Contracts(Protocol):
    """The team's data contracts."""

    def datasets(self) -> tuple[str, ...]:
        """Return the names of all datasets under contract."""
        ...

    def load(self, dataset: str) -> Contract:
        """Return one contract.

        Raises:
            BadInput: no such dataset, or the file breaks the format (all faults at once, with lines).
        """
        ...

    def proposed(self, dataset: str, contract: Path | None, suite: Path | None) -> Contract:
        """Return the contract that a dataset would have with another file in the place of its own.

        Raises:
            BadInput: as `load`, with the files as they are named here.
        """
        ...

    def amended(
        self, dataset: str, suggestions: Sequence[Suggestion], promises: Sequence[Promise]
    ) -> tuple[tuple[Amended, ...], tuple[Suggestion, ...]]:
        """Return the dataset's suite with the checks it lacks, its contract with these promises, and those checks.

        Nothing is written.
        """
        ...


class DataGate(Protocol):
    """Runs a contract's suite on one drop."""

    @property
    def tool(self) -> str:
        """Return who measures, with its version."""
        ...

    def run(
        self,
        contract: Contract,
        table: Table,
        references: Mapping[str, Sequence[str]],
        suite: Path | None = None,
    ) -> tuple[CheckResult, ...]:
        """Return one result per check of the contract, in its order; ``suite`` is another file than its own.

        ``references`` holds, by the name that the contract gives them (like ``stations.id``), the values
        known in other datasets: an expectation names them as its parameter. A check that cannot be measured
        yields the verdict ``error``; it never raises for that.
        """
        ...


@dataclass(frozen=True)
class Contents:
    """What is in a drop: its rows, and the names of columns that the contract does not promise and nobody read."""

    table: Table
    unpromised: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mended:
    """Rows that were held back, with the values that somebody gave them.

    ``rows`` are their positions in the drop, in the order of ``table``, which has the contract's columns.
    """

    period: str
    revision: int
    rows: tuple[int, ...]
    table: Table


@dataclass(frozen=True)
class Kept:
    """What a period's batch made of the rows that were pushed before it, by key: ``rows`` are all of them."""

    rows: int
    same: int
    other: int
    absent: int


#: What an exported row has before the contract's columns: where it belongs, and why it was held back.
EXPORTED = ("_period", "_revision", "_row", "_reasons")


class Batches(Protocol):
    """Drops as they arrive, batches as they are kept. Everything is named by content and written whole."""

    def drop_digest(self, drop: Path) -> str:
        """Return the SHA-256 of the drop's raw bytes.

        Raises:
            BadInput: there is no such file.
        """
        ...

    def read(self, drop: Path, contract: Contract, digest: str) -> Contents:
        """Read a drop (CSV, or one CSV in a zip) in its own row order and the contract's types.

        Columns that the contract does not promise are left out, and named.

        ``digest`` is what `drop_digest` said of it: what is read must be what was named.

        Raises:
            BadInput: empty, truncated, wrongly encoded; a column missing, there twice or mistyped; or its bytes
                changed while it was read (code ``drop-changed``).
        """
        ...

    def pushed(self, push: Path, contract: Contract, digest: str) -> Contents:
        """Read pushed rows (JSON lines, Parquet or Arrow) in their own order and the contract's types.

        Columns that the contract does not promise are left out, and named.

        Raises:
            BadInput: no row (code ``empty-push``) or more than the contract lets one push have (``push-size``); a
                line that is no row, a column missing or mistyped; or its bytes changed while it was read.
        """
        ...

    def periods(self, contract: Contract, table: Table) -> tuple[str, ...]:
        """Return the period that each row names in the contract's period columns; empty where it names none."""
        ...

    def strays(self, contract: Contract, table: Table, period: str) -> tuple[int, ...]:
        """Return the positions of rows whose period columns name another period than this one, or none.

        Columns that are coarser than the period tell what they can; where there are none, no row strays.
        """
        ...

    def compared(self, contract: Contract, batch: str, pushed: Sequence[str]) -> Kept:
        """Look the rows of these pushed batches, in their order, up in the batch of their period, by key.

        Raises:
            DependencyFailed: a file is gone or was altered.
        """
        ...

    def accept(
        self, contract: Contract, table: Table, held: Mapping[int, tuple[str, ...]]
    ) -> tuple[str, Path]:
        """Keep the rows not in ``held``, ordered by the contract's key; return batch digest and file.

        Raises:
            DependencyFailed: there is no room for it; nothing half-written is left.
        """
        ...

    def empty(self, contract: Contract) -> Path:
        """Return a file with the contract's columns and types and no row: a dataset of which nothing has come."""
        ...

    def quarantine(self, contract: Contract, table: Table, report: GateReport) -> Segment:
        """Keep every held-back row with all its reasons, named by their Merkle root.

        What an earlier gate run held back of the same drop is kept beside it.

        Raises:
            DependencyFailed: there is no room for it; nothing half-written is left.
        """
        ...

    def quarantined(self, dataset: str, root: str) -> tuple[Mapping[str, object], ...]:
        """Return the rows held back under this root, each with ``row`` (its position), ``reasons`` and ``values``.

        Raises:
            DependencyFailed: the file is gone, or its rows no longer have this root.
        """
        ...

    def held(self, dataset: str, root: str) -> Iterator[Mapping[str, object]]:
        """Yield what `quarantined` returns row by row, however many there are.

        Raises:
            DependencyFailed: as `quarantined`, before the first row.
        """
        ...

    def values(self, dataset: str, batches: Sequence[str], column: str) -> tuple[str, ...]:
        """Return the distinct values of a column over accepted batches, as text, sorted; nulls are left out.

        Raises:
            DependencyFailed: a batch's file is gone or no longer has its digest.
        """
        ...

    def whole(self, contract: Contract, batch: str, root: str) -> Table:
        """Return the rows of a drop again: those of its batch, if it has one, and those held back under ``root``.

        Rows held back stand where they stood, the others between them in the order of the key; types are the
        batch's own, else the contract's.

        Raises:
            DependencyFailed: a file is gone or was altered.
        """
        ...

    def profile(self, dataset: str, batch: str) -> tuple[Profile, ...]:
        """Return what each column of an accepted batch holds, in the batch's order.

        Raises:
            DependencyFailed: the file is gone or no longer has this digest.
        """
        ...

    def path(self, dataset: str, batch: str) -> Path:
        """Return the Parquet file of an accepted batch.

        Raises:
            DependencyFailed: the file is gone or no longer has this digest.
        """
        ...

    def mended(self, file: Path, contract: Contract, digest: str) -> Mended:
        """Read rows that were exported from the quarantine as CSV, and mended: `EXPORTED`, then the contract's columns.

        What was masked stays; what somebody typed into a column that is treated is treated here, as in `read`. Texts
        that were written so that no spreadsheet runs them are as they were (`tidegate.domain.cells`).

        Raises:
            BadInput: as `read`; or the rows are of several periods or revisions, or one of them stands there twice.
        """
        ...

    def restored(self, contract: Contract, batch: str, root: str, mended: Mended) -> Table:
        """Return a drop as it was read: its accepted rows, and the held-back ones where they stood, mended or not.

        Only of held-back rows the position is kept; accepted ones fill the rest in the order of the key.

        Raises:
            BadInput: the batch has other columns than the contract has now.
            DependencyFailed: the batch or the held-back rows are gone or were altered.
        """
        ...

    def whose(self, contract: Contract, name: str) -> Whose:
        """Return how somebody is written in the column that names a row's subject.

        Raises:
            BadInput: the contract names no such column, or this cannot stand in it; it is not repeated.
        """
        ...

    def mark(self, whose: Whose) -> str:
        """Return a keyed hash of a subject, which says nothing to whoever lacks the key."""
        ...

    def spared(self, contract: Contract, table: Table, marks: Collection[str]) -> Table:
        """Return a table without the rows of subjects that have these marks."""
        ...

    def thinned(
        self,
        contract: Contract,
        whose: Whose | None,
        only: Collection[str] | None = None,
        *,
        write: bool = True,
    ) -> Thinned:
        """Write what is left of every batch and of all held-back rows of a dataset without a subject's; name both.

        ``only`` names batches and roots: all others stay as they are. With nobody named all their rows go. Held-back
        rows keep their positions. Nothing is removed; with ``write`` false, nothing is written either.

        Raises:
            DependencyFailed: a file was altered or cannot be read, or what is left of it not be written.
        """
        ...

    def left(self, files: Sequence[Without]) -> tuple[Without, ...]:
        """Return the batches and held-back rows that are still there, or there again."""
        ...

    def discard(self, files: Sequence[Without]) -> None:
        """Remove batches and held-back rows; those that are gone are left out."""
        ...

    def settle(self, dataset: str, names: Collection[str]) -> None:
        """Take note that batches and held-back rows, by digest and root, are on record; an empty name is none.

        What is written is marked until then, and `sweep` removes nothing else.
        """
        ...

    def sweep(self, dataset: str, known: Collection[str], now: datetime) -> int:
        """Remove marked batches and held-back rows of a dataset that are not ``known`` to the record; count them.

        One that was written, or found again, within the hour before ``now`` stays: it may be recorded yet. ``now`` is
        the machine's time.

        Raises:
            DependencyFailed: a file cannot be removed.
        """
        ...
