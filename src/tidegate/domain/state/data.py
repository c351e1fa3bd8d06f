"""Rows of data: what came, what was waived for it, and what was erased from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tidegate.domain.evidence import Verdict
from tidegate.domain.keeping import KINDS
from tidegate.domain.state.row import Row


@dataclass(frozen=True)
class BatchRow(Row):
    """What a gate made of one drop. ``batch`` is empty where the gate held everything back.

    ``revision`` counts the restatements of a period (0: as first delivered), ``supersedes`` names the batch this
    one replaces, and ``touches`` what had been learned from that one: training sets and versions. A batch
    that was replaced keeps its row: ``superseded_by`` then names its successor. ``erased`` counts the rows that are
    neither in the batch nor held back any more, or never were because their subject was erased before they came.
    """

    TABLE: ClassVar[str] = "batches"
    KEY: ClassVar[tuple[str, ...]] = ("dataset", "drop")
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"verdict": tuple(Verdict)}

    dataset: str
    drop: str
    period: str
    batch: str
    verdict: str
    read: int
    accepted: int
    quarantined: int
    erased: int
    quarantine_root: str
    contract: str
    report: Mapping[str, Any]
    revision: int
    supersedes: str
    touches: Mapping[str, Any]
    superseded_by: str
    occurred_at: str
    sequence: int


@dataclass(frozen=True)
class PushRow(Row):
    """What a gate made of one push.

    ``parts`` holds by period the accepted rows as a batch, and how many; none where the gate held everything back. A
    part stands until its period's drop is accepted: no row says so, for the batches do. ``erased`` counts the rows that
    are in no part and not held back any more, or never were because their subject was erased before they came.
    """

    TABLE: ClassVar[str] = "pushes"
    KEY: ClassVar[tuple[str, ...]] = ("dataset", "drop")
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"verdict": tuple(Verdict)}

    dataset: str
    drop: str
    parts: Mapping[str, Any]
    verdict: str
    read: int
    accepted: int
    quarantined: int
    erased: int
    quarantine_root: str
    contract: str
    report: Mapping[str, Any]
    occurred_at: str
    sequence: int


@dataclass(frozen=True)
class WaiverRow(Row):
    """A check of a dataset that somebody lets not count until ``until``; ``period`` empty: for every period.

    ``uses`` counts the batches that it let through, of at most ``most``; ``rows`` the rows that its check had found
    in them.
    """

    TABLE: ClassVar[str] = "waivers"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    dataset: str
    check: str
    period: str
    given_by: str
    until: str
    ended: bool
    most: int
    uses: int
    rows: int
    sequence: int


@dataclass(frozen=True)
class ErasedFileRow(Row):
    """A file of rows that is no more, by its content: what is left of it, and how many rows fewer that has.

    ``kind`` and ``place`` say where it lay (`keeping.KINDS`). It may be erased from again: then its successor has a
    row of its own.
    """

    TABLE: ClassVar[str] = "erased_files"
    KEY: ClassVar[tuple[str, ...]] = ("kind", "place", "digest")
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"kind": tuple(KINDS)}

    kind: str
    place: str
    digest: str
    successor: str
    rows: int
    sequence: int


@dataclass(frozen=True)
class ErasedSubjectRow(Row):
    """Somebody whose rows were erased from a dataset, by a keyed hash of what they are called there."""

    TABLE: ClassVar[str] = "erased_subjects"
    KEY: ClassVar[tuple[str, ...]] = ("dataset", "subject")
    VOLATILE: ClassVar[tuple[str, ...]] = ("subject",)

    dataset: str
    subject: str
    sequence: int
