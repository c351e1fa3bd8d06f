"""Rows of features: what is built and online, who may read it and did, what it came to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tidegate.domain.evidence import Verdict
from tidegate.domain.state.row import Row


@dataclass(frozen=True)
class FeatureViewRow(Row):
    """The latest build of a view: its definition, its source table, and up to when it is online.

    ``batches`` are those in force when this very source was first built; none where that is not on record.
    ``objective`` says how fresh it must be, in seconds (`domain.freshness`). ``newest`` is when the newest of what
    was known at ``online_until`` happened; empty where nothing was.
    """

    TABLE: ClassVar[str] = "feature_views"
    KEY: ClassVar[tuple[str, ...]] = ("view",)

    view: str
    definition: str
    source: str
    rows: int
    objective: Mapping[str, int]
    batches: tuple[str, ...]
    online_until: str
    newest: str
    sequence: int


@dataclass(frozen=True)
class AccessRow(Row):
    """To which roles a view is open for one access (rule F2). Open to none: a permission that once named it is gone."""

    TABLE: ClassVar[str] = "feature_access"
    KEY: ClassVar[tuple[str, ...]] = ("view", "access")
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {
        "access": ("read_online", "read_offline", "write_online", "write_offline")
    }

    view: str
    access: str
    roles: tuple[str, ...]
    sequence: int


@dataclass(frozen=True)
class ReadSegmentRow(Row):
    """A sealed segment of the log of reads, by its Merkle root: how many records it has, between which moments."""

    TABLE: ClassVar[str] = "read_segments"
    KEY: ClassVar[tuple[str, ...]] = ("root",)
    VOLATILE: ClassVar[tuple[str, ...]] = ("root",)

    root: str
    records: int
    first: str
    last: str
    sequence: int


@dataclass(frozen=True)
class StatisticsRow(Row):
    """Figures of each feature of a view over a window, taken from a source by a definition; both named by digest."""

    TABLE: ClassVar[str] = "feature_statistics"
    KEY: ClassVar[tuple[str, ...]] = ("view", "window", "source", "definition")

    view: str
    window: str
    source: str
    definition: str
    first: str
    until: str
    figures: Mapping[str, Any]
    sequence: int


@dataclass(frozen=True)
class DriftRow(Row):
    """What a view's features came to over a window, beside a baseline, under limits that are named by digest.

    ``counts`` are the window's values in the bins of the baseline's histogram, ``found`` the verdicts; both by feature.
    """

    TABLE: ClassVar[str] = "feature_drifts"
    KEY: ClassVar[tuple[str, ...]] = ("view", "window", "source", "definition", "limits")

    view: str
    window: str
    source: str
    definition: str
    limits: str
    declared: Mapping[str, Any]
    counts: Mapping[str, Any]
    found: Mapping[str, Any]
    verdict: str
    sequence: int


@dataclass(frozen=True)
class ParityRow(Row):
    """The latest comparison of a view's online values with those that were known at its moment."""

    TABLE: ClassVar[str] = "parities"
    KEY: ClassVar[tuple[str, ...]] = ("view",)
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"verdict": tuple(Verdict)}

    view: str
    source: str
    until: str
    verdict: str
    sentence: str
    sequence: int
