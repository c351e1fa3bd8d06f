"""Features and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from tidegate.application.ports.rows import Segment
from tidegate.domain.evidence import Evidence, Measure


@dataclass(frozen=True)
class Frame:
    """A table written as Parquet and named by content."""

    digest: str
    path: Path
    rows: int
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelSpec:
    """What ``models/NAME/model.yaml`` says.

    ``prediction`` is ``probability`` (of ``label`` being true) or ``number`` (of ``label`` itself). What is lost by
    a wrong prediction is the Brier score for the one and the absolute error for the other. ``risks`` are what its
    owner knows to be open, ``consumers`` who acts on its predictions, in sentences.
    """

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
    source_digest: str
    folder: Path
    risks: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()


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
class Untested:
    """The slices that too few rows speak for, of those that the values of the column ``by`` make.

    A slice counts where any row of the frame belongs to it. It is untested with fewer than ``least_rows`` rows
    whose label is known in the validation window, or with rows of one day alone: ``slices`` says how many it has.
    """

    by: str
    least_rows: int
    slices: Mapping[str, int]


@dataclass(frozen=True)
class Trained:
    """A fitted, calibrated and converted model, with what was measured on it.

    ``reference`` holds the rows it was judged on (time, keys, inputs, what slices are made by, score, and the
    label where known): a frame, so that whoever compares with them later knows that they are the same.
    ``base_rate`` is the mean label of the training window: what the declared fallback says of every row.
    ``untested`` is None where the model declares no slices.
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
    base_rate: float
    untested: Untested | None = None


@dataclass(frozen=True)
class Gains:
    """By how much a candidate's loss is lower than the champion's, overall and by slice; positive is better."""

    overall: Measure
    slices: Mapping[str, Measure] = field(default_factory=dict)


@dataclass(frozen=True)
class Registered:
    """Where the registry keeps a version: its number and where any client finds it."""

    number: int
    run_id: str
    uri: str


@dataclass(frozen=True)
class Marks:
    """What the feature store's own tools find a training run by: ``tags``, and ``files`` as text by their names."""

    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """Something that the registry says and the ledger does not.

    ``alias`` is the alias it is about and ``version`` what that pointed at (0: it was gone). Where it is a
    version's stage tag, ``alias`` is empty and ``version`` the one that carries it.
    """

    alias: str
    version: int
    sentence: str


class Models(Protocol):
    """The team's model folders."""

    def names(self) -> tuple[str, ...]: ...

    def spec(self, model: str) -> ModelSpec:
        """Return the model's declaration.

        Raises:
            BadInput: no such model, or its file breaks the format (all faults at once).
        """
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

    def outcomes(
        self,
        model: ModelSpec,
        batches: Mapping[str, Sequence[Path]],
        declared: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]],
        window: tuple[datetime, datetime],
        known_by: datetime,
    ) -> Frame:
        """Return time, keys, label and label time of the same rows; the last two are null where not known by then.

        Two moments between which no outcome of these rows came, left or changed give the same digest.
        """
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

    def compare(self, model: ModelSpec, reference: Frame, champion: Path, champion_digest: str) -> Gains:
        """Return by how much the candidate's loss is lower than the champion's, overall and by declared slice.

        The loss is the Brier score of probabilities and the mean absolute error of numbers. Measured on the
        validation rows kept when the candidate was trained (its ``Trained.reference``), paired row by row, with
        95 % intervals over whole days.

        Raises:
            DependencyFailed: the champion's bytes or the reference rows no longer have their digest, or are gone.
            BadInput: the rows lack an input that the champion asks for.
        """
        ...

    def replay(self, model: ModelSpec, reference: Frame, artifact: Path, artifact_digest: str) -> Evidence:
        """Score a fixed sample of the rows that an artifact was judged on again, and compare with what is kept there.

        The verdict is ``failed`` where a prediction differs by more than is allowed between an artifact and its
        estimator.

        Raises:
            DependencyFailed: the bytes or the reference rows no longer have their digest, or are gone, or the
                artifact cannot be loaded. BadInput: the rows lack an input that the artifact asks for.
        """
        ...


class Registry(Protocol):
    """The model registry every client of the team sees."""

    @property
    def tool(self) -> str: ...

    def register(
        self,
        model: ModelSpec,
        trained: Trained,
        training_key: str,
        facts: Mapping[str, str],
        marks: Marks | None = None,
    ) -> Registered:
        """Log run and artifact, create the version; the same ``training_key`` again returns the same version.

        The run and the version carry ``marks`` as they are, beside ``facts``.
        """
        ...

    def fetch(self, model: str, number: int, artifact_digest: str) -> Path:
        """Return the version's artifact, verified.

        Raises:
            DependencyFailed: the registry is down, or what it holds no longer has this digest.
        """
        ...

    def differences(self, model: str, known: Sequence[Mapping[int, str]]) -> tuple[Difference, ...]:
        """Return every alias and stage tag that says what none of ``known`` says; change nothing.

        ``known`` are the model's stages by version as the ledger had them, one after the other; the last is now.

        Raises:
            DependencyFailed: the registry is down, or lacks a version that is known now.
        """
        ...

    def project(
        self, model: str, stages: Mapping[int, str], known: Sequence[Mapping[int, str]] = ()
    ) -> tuple[Difference, ...]:
        """Make aliases and stage tags say what ``stages`` says; return what said neither that nor any of ``known``.

        Raises:
            DependencyFailed: the registry is down, or lacks a version that ``stages`` names.
        """
        ...


@dataclass(frozen=True)
class Part:
    """Some of a frame's rows: those ``rows`` whose names (time and keys) have the lowest SHA-256; or all others.

    Whoever draws the same number from the same rows draws the same ones, and the inputs have no say in it.
    """

    rows: int
    others: bool = False


@dataclass(frozen=True)
class Marking:
    """By what decisions are marked: how old each view's value is by row, and the age up to which it is fresh.

    ``ages`` has the rows of the frame that is scored, in its order, and a column of microseconds by view; null where
    nothing was known.
    """

    ages: Frame
    objectives: Mapping[str, timedelta]


class Scorer(Protocol):
    """Scores rows with a verified artifact in a safe format."""

    def score(
        self,
        artifact: Path,
        artifact_digest: str,
        model: ModelSpec,
        frame: Frame,
        into: Path,
        part: Part | None = None,
        marking: Marking | None = None,
    ) -> Segment:
        """Write one decision per row of ``frame``, or of a ``part`` of it (in its order), as Parquet under ``into``.

        With ``marking`` each row says of which views it rests on a value that is not fresh (`domain.freshness`).

        Raises:
            DependencyFailed: the artifact's bytes do not have this digest, or it cannot be loaded.
        """
        ...
