"""Rows of what runs and is watched: decisions and their judges, reviews, runs on a clock, incidents."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import Stage
from tidegate.domain.rollout import Standing
from tidegate.domain.schedule import Outcome
from tidegate.domain.state.row import Row


@dataclass(frozen=True)
class ScoringRow(Row):
    """One batch of decisions by one version over one period. ``stage`` is where the version stood then.

    ``entities`` names the rows by time, keys and inputs, and by nothing that came of them; ``rows`` of these ``of``
    rows it decided: fewer than all where a condition allows a share only. ``freshness`` says of each view with an
    objective how many of them rested on a value that was not fresh (``stale``), or on none (``unknown`` of these).
    """

    TABLE: ClassVar[str] = "scorings"
    KEY: ClassVar[tuple[str, ...]] = ("model", "period", "version")
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"stage": tuple(Stage)}

    model: str
    period: str
    version: int
    artifact: str
    entities: str
    rows: int
    of: int
    root: str
    file: str
    stage: str
    freshness: Mapping[str, Mapping[str, int]]
    sequence: int


@dataclass(frozen=True)
class CanaryRow(Row):
    """The latest analysis of a canary over one period.

    ``baseline`` is the live version it was compared with, 0 for the declared fallback. ``analysis`` holds rows,
    labels, days, the measures and the rule that was applied.
    """

    TABLE: ClassVar[str] = "canary_analyses"
    KEY: ClassVar[tuple[str, ...]] = ("model", "version", "period")
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"verdict": tuple(Verdict), "standing": tuple(Standing)}

    model: str
    version: int
    period: str
    baseline: int
    verdict: str
    standing: str
    sentence: str
    analysis: Mapping[str, Any]
    review: str
    occurred_at: str
    sequence: int


@dataclass(frozen=True)
class MonitorRow(Row):
    """The latest run of a monitor over one period's decisions, on the outcomes it names, as known then."""

    TABLE: ClassVar[str] = "monitor_runs"
    KEY: ClassVar[tuple[str, ...]] = ("model", "period", "version")
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"verdict": tuple(Verdict)}

    model: str
    period: str
    version: int
    verdict: str
    evidence: Mapping[str, Any]
    report: str
    outcomes: str
    review: str
    occurred_at: str
    sequence: int


@dataclass(frozen=True)
class ReviewRow(Row):
    """A person is asked to look at something. ``status`` is open, decided or superseded.

    ``kind`` is ``finding`` (of a monitor or a canary) or one that must not be missed: ``break_glass``,
    ``recertification``, ``condition``; one of those that is overdue holds the model's promotions (P9). A
    ``recertification`` is superseded when its version leaves prod: then there is nothing left to certify.
    ``followed`` says in a few words what was done about the outcome, empty until it was.
    """

    TABLE: ClassVar[str] = "reviews"
    KEY: ClassVar[tuple[str, ...]] = ("id",)
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {
        "kind": ("finding", "break_glass", "recertification", "condition"),
        "status": ("open", "decided", "superseded"),
    }

    id: str
    model: str
    period: str
    version: int
    kind: str
    cause: str
    role: str
    status: str
    outcome: str
    decided_by: str
    followed: str
    due_at: str
    sequence: int


@dataclass(frozen=True)
class RunRow(Row):
    """One slot of a schedule that was run. ``outcome`` is done, nothing or refused; ``covers`` earlier slots.

    A slot that was run on a clock ahead of a later one is run again: ``occurred_at`` tells.
    """

    TABLE: ClassVar[str] = "runs"
    KEY: ClassVar[tuple[str, ...]] = ("schedule", "slot")
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"outcome": tuple(Outcome)}

    schedule: str
    slot: str
    outcome: str
    summary: str
    covers: int
    occurred_at: str
    sequence: int


@dataclass(frozen=True)
class IncidentRow(Row):
    """Something was changed behind the ledger's back, was found and put right. ``facts`` says what differed."""

    TABLE: ClassVar[str] = "incidents"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    model: str
    kind: str
    facts: tuple[str, ...]
    occurred_at: str
    sequence: int
