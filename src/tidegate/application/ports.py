"""The doors to the outside, as protocols. Each has one contract suite in ``tidegate.testing``.

Tables cross a port only as `Table` (a pyarrow table in every real adapter): the application counts its
rows and passes it on, it never looks inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

from tidegate.domain.contract import CheckResult, Contract, GateReport
from tidegate.domain.events import Draft, Event
from tidegate.domain.evidence import Evidence, Measure, Verdict
from tidegate.domain.policy import Policy
from tidegate.domain.state import Row

R = TypeVar("R", bound=Row)


# ── time, chance, keys ────────────────────────────────────────────────────────────────────────────


class Clock(Protocol):
    """The one clock. A simulated clock stands still until it is set."""

    @property
    def kind(self) -> Literal["system", "simulated"]: ...

    def now(self) -> datetime:
        """Return the time things happen at (may be simulated)."""
        ...

    def recorded(self) -> datetime:
        """Return the time they are written down (never simulated)."""
        ...


class Entropy(Protocol):
    """The one source of secrets: tokens and salts. Everything else is named by content or by count."""

    def token(self) -> str:
        """Return a new bearer token of at least 256 random bits."""
        ...

    def salt(self) -> str:
        """Return a new salt of at least 128 random bits, in hex."""
        ...


class Signer(Protocol):
    """Signs and verifies with Ed25519."""

    @property
    def public_key(self) -> str:
        """Return the public key as PEM text."""
        ...

    def sign(self, data: bytes) -> str:
        """Return the signature of ``data`` in base64."""
        ...

    def verify(self, data: bytes, signature: str, public_key: str) -> bool:
        """Say whether ``signature`` over ``data`` was made by the holder of ``public_key``."""
        ...


# ── the record ────────────────────────────────────────────────────────────────────────────────────


class StateReader(Protocol):
    """Folded state, read by type and key."""

    def get(self, kind: type[R], /, *key: str | int) -> R | None:
        """Return the row with this primary key, or None."""
        ...

    def select(self, kind: type[R], /, **equal: object) -> tuple[R, ...]:
        """Return the rows whose fields equal the given values, in key order."""
        ...


class Transaction(StateReader, Protocol):
    """One unit of work on the record: what is appended is folded at once, and commits whole or not at all."""

    def append(self, draft: Draft) -> Event:
        """Seal ``draft`` onto the chain and fold it into the state.

        Raises:
            Refused: the ledger was opened for another kind of clock.
        """
        ...

    def recorded(self, idempotency_key: str) -> Event | None:
        """Return the event already written under this key, or None."""
        ...


class Ledger(Protocol):
    """The append-only chain, its state, and the erasable texts beside it."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Take the chain's one write lock; commit on leaving, undo on any exception.

        Raises:
            DependencyFailed: the database is locked, unreachable, or newer than this code.
        """
        ...

    def state(self) -> StateReader:
        """Return a reader of committed state."""
        ...

    def events(self, after: int = 0, stream: str | None = None) -> Iterator[Event]:
        """Yield committed events in sequence order, of one stream or of all."""
        ...

    def text(self, commitment: str) -> str | None:
        """Return the personal text behind a commitment, or None where it was erased."""
        ...

    def cursor(self, sink: str) -> int:
        """Return the sequence up to which ``sink`` has had its effects. The chain itself is the outbox."""
        ...

    def advance(self, sink: str, sequence: int) -> None:
        """Note that ``sink`` has had its effects up to ``sequence``; never moves back."""
        ...

    def verify(self) -> tuple[str, ...]:
        """Return one sentence per fault found in chain, copies, texts and state; empty means sound.

        The chain is rehashed from its first byte and the state refolded from zero in a fresh database.
        """
        ...


# ── data ──────────────────────────────────────────────────────────────────────────────────────────


class Table(Protocol):
    """Rows in memory. Real adapters pass ``pyarrow.Table``."""

    @property
    def num_rows(self) -> int: ...

    @property
    def column_names(self) -> list[str]: ...


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


class DataGate(Protocol):
    """Runs a contract's suite on one drop."""

    @property
    def tool(self) -> str:
        """Return who measures, with its version."""
        ...

    def run(self, contract: Contract, table: Table) -> tuple[CheckResult, ...]:
        """Return one result per check of the contract, in its order.

        A check that cannot be measured yields the verdict ``error``; it never raises for that.
        """
        ...


@dataclass(frozen=True)
class Segment:
    """A file of many records whose Merkle root goes into the chain."""

    root: str
    path: Path
    records: int


class Batches(Protocol):
    """Drops as they arrive, batches as they are kept. Everything is named by content and written whole."""

    def drop_digest(self, drop: Path) -> str:
        """Return the SHA-256 of the drop's raw bytes.

        Raises:
            BadInput: there is no such file.
        """
        ...

    def read(self, drop: Path, contract: Contract) -> Table:
        """Read a drop (CSV, or one CSV in a zip) in its own row order and the contract's types.

        Raises:
            BadInput: empty, truncated, wrongly encoded; a column missing, extra or mistyped.
        """
        ...

    def accept(
        self, contract: Contract, table: Table, held: Mapping[int, tuple[str, ...]]
    ) -> tuple[str, Path]:
        """Keep the rows not in ``held``, ordered by the contract's key; return batch digest and file."""
        ...

    def quarantine(self, contract: Contract, table: Table, report: GateReport) -> Segment:
        """Keep every held-back row with all its reasons, named by their Merkle root.

        What an earlier gate run held back of the same drop is kept beside it.
        """
        ...

    def quarantined(self, dataset: str, root: str) -> tuple[Mapping[str, object], ...]:
        """Return the rows held back under this root, each with ``row`` (its position), ``reasons`` and ``values``.

        Raises:
            DependencyFailed: the file is gone, or its rows no longer have this root.
        """
        ...

    def path(self, dataset: str, batch: str) -> Path:
        """Return the Parquet file of an accepted batch.

        Raises:
            DependencyFailed: the file is gone or no longer has this digest.
        """
        ...


# ── features and models ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Frame:
    """A table written as Parquet and named by content."""

    digest: str
    path: Path
    rows: int
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelSpec:
    """What ``models/NAME/model.yaml`` says. Windows are (from, until) texts, until exclusive."""

    name: str
    owner: str
    purpose: str
    tier: str
    service: str
    label: str
    prediction: str
    entity_time: str
    label_time: str
    keys: tuple[str, ...]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    datasets: tuple[str, ...]
    fallback: str
    parameters: Mapping[str, float | int | str]
    requires_review: bool
    source_digest: str
    folder: Path


@dataclass(frozen=True)
class Windows:
    """When a version's rows were fitted, calibrated and judged, and until when labels were known.

    Each pair is [from, until) over the entity's event time; a label counts if it was available by ``known_by``.
    """

    train: tuple[datetime, datetime]
    calibrate: tuple[datetime, datetime]
    validate: tuple[datetime, datetime]
    known_by: datetime


@dataclass(frozen=True)
class Trained:
    """A fitted, calibrated and converted model, with what was measured on it.

    ``reference`` holds the rows it was judged on (time, keys, inputs, score, and the label where known): a
    frame, so that whoever compares with them later knows that they are the same.
    """

    artifact: Path
    artifact_digest: str
    metrics: Mapping[str, Measure]
    slices: Mapping[str, Mapping[str, Measure]]
    parity: Evidence
    coverage: Mapping[str, int]
    environment: Mapping[str, str]
    signature: Mapping[str, Sequence[str]]
    reference: Frame


@dataclass(frozen=True)
class Registered:
    """Where the registry keeps a version: its number and where any client finds it."""

    number: int
    run_id: str
    uri: str


class Models(Protocol):
    """The team's model folders."""

    def names(self) -> tuple[str, ...]: ...

    def spec(self, model: str) -> ModelSpec:
        """Return the model's declaration.

        Raises:
            BadInput: no such model, or its file breaks the format (all faults at once).
        """
        ...


class Features(Protocol):
    """The feature store, and the sources its views are built from."""

    @property
    def tool(self) -> str: ...

    def build(
        self,
        batches: Mapping[str, Sequence[Path]],
        declared: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]],
    ) -> Mapping[str, Frame]:
        """Rebuild every view's source table from accepted batches; return them by view name."""
        ...

    def apply(self) -> Mapping[str, str]:
        """Register the repository's definitions; return each view's and service's definition digest."""
        ...

    def materialize(self, until: datetime) -> Mapping[str, int]:
        """Bring the online store to what was known at ``until``; return rows written by view."""
        ...

    def training_frame(self, entities: Frame, service: str, keep: Sequence[str]) -> Frame:
        """Join a service's features onto an entity frame, as they were known at each row's event time.

        ``entities`` has ``event_timestamp`` (UTC) and the join keys; ``keep`` names columns to carry along.
        """
        ...

    def online(self, service: str, keys: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
        """Return the latest materialised features of each key, None where unknown or past its time to live."""
        ...


class Entities(Protocol):
    """Runs a model's ``rows.sql`` over accepted batches: what is scored, when, and what came of it."""

    def frame(
        self,
        model: ModelSpec,
        batches: Mapping[str, Sequence[Path]],
        declared: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]],
        window: tuple[datetime, datetime],
    ) -> Frame:
        """Return the rows whose entity time lies in [from, until), ordered by time and key."""
        ...


class Trainer(Protocol):
    """Fits, calibrates, measures and converts a model."""

    def train(self, model: ModelSpec, frame: Frame, windows: Windows) -> Trained:
        """Train on one frame.

        Raises:
            BadInput: a window holds no labelled row, or the frame lacks a declared column.
            DependencyFailed: the model's own code failed, or the converted model disagrees beyond tolerance.
        """
        ...

    def reference(self, artifact_digest: str, digest: str) -> Frame:
        """Find the validation rows that were kept with an artifact under this digest (``Trained.reference``).

        They are not verified here: whoever reads them does.

        Raises:
            DependencyFailed: the rows are gone or damaged.
        """
        ...

    def compare(self, model: ModelSpec, reference: Frame, champion: Path, champion_digest: str) -> Measure:
        """Return by how much the candidate's Brier score is lower than the champion's; positive is better.

        Measured on the validation rows kept when the candidate was trained (its ``Trained.reference``), paired
        row by row, with a 95 % interval over whole days.

        Raises:
            DependencyFailed: the champion's bytes or the reference rows no longer have their digest, or are gone.
        """
        ...


class Registry(Protocol):
    """The model registry every client of the team sees."""

    @property
    def tool(self) -> str: ...

    def register(
        self, model: ModelSpec, trained: Trained, training_key: str, facts: Mapping[str, str]
    ) -> Registered:
        """Log run and artifact, create the version; the same ``training_key`` again returns the same version."""
        ...

    def fetch(self, model: str, number: int, artifact_digest: str) -> Path:
        """Return the version's artifact, verified.

        Raises:
            DependencyFailed: the registry is down, or what it holds no longer has this digest.
        """
        ...

    def project(self, model: str, stages: Mapping[int, str]) -> tuple[str, ...]:
        """Make aliases and stage tags say what ``stages`` says; return a sentence per difference found."""
        ...


class Scorer(Protocol):
    """Scores rows with a verified artifact in a safe format."""

    def score(
        self, artifact: Path, artifact_digest: str, model: ModelSpec, frame: Frame, into: Path
    ) -> Segment:
        """Write one decision per row of ``frame`` (in its order) as Parquet under ``into``.

        Raises:
            DependencyFailed: the artifact's bytes do not have this digest, or it cannot be loaded.
        """
        ...


# ── monitoring and policy ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class MonitorResult:
    """What a monitor saw in one period: binding evidence, and drift that is only information."""

    evidence: tuple[Evidence, ...]
    information: tuple[Evidence, ...]
    report: Path
    report_digest: str

    @property
    def verdict(self) -> Verdict:
        """Return the worst verdict of the binding evidence."""
        from tidegate.domain.evidence import worst

        return worst(evidence.verdict for evidence in self.evidence)


class Monitors(Protocol):
    """Compares a period of decisions and their outcomes with the reference a version was judged on."""

    @property
    def tool(self) -> str: ...

    def run(
        self,
        model: ModelSpec,
        decisions: Segment,
        reference: Frame,
        outcomes: Frame,
        known_by: datetime,
        name: str,
    ) -> MonitorResult:
        """Run ``monitoring/MODEL.yaml`` on one period.

        Raises:
            BadInput: the monitor's file breaks the format, or a column is missing.
            DependencyFailed: decisions, reference or outcomes are gone, or no longer have their root or digest.
        """
        ...


class Policies(Protocol):
    """Policy files."""

    def load(self) -> Policy:
        """Read the policy on disk.

        Raises:
            BadInput: it breaks the format, an expression does not compile, or a policy test fails;
                all faults at once, each with its line.
        """
        ...

    def parse(self, body: str) -> Policy:
        """Read a policy back from the body that the ledger keeps."""
        ...


@runtime_checkable
class Expressions(Protocol):
    """Evaluates the policy's expressions over facts."""

    def holds(self, expression: str, facts: Mapping[str, object]) -> bool:
        """Return what a boolean expression says.

        Raises:
            BadInput: it does not compile, fails on these facts, or yields anything but a boolean.
        """
        ...


@dataclass(frozen=True)
class Faults:
    """Every fault found in one file, each with its line."""

    path: str
    lines: tuple[tuple[int, str], ...] = field(default_factory=tuple)
