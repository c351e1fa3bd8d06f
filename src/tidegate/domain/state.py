"""The folded state, as rows.

Each class is one table. ``KEY`` names its primary key. Fields in ``VOLATILE`` name things of one
installation (a random token's digest, another tool's run id): they are folded and verified like all
others, but left out of the fingerprint, which two runs of the same story share. ``WORDS`` has the words of those
fields that are one of a few; any other word there was written by nobody of ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tidegate.domain.evidence import Verdict
from tidegate.domain.keeping import KINDS
from tidegate.domain.policy import Stage, Tier
from tidegate.domain.rollout import Standing
from tidegate.domain.schedule import Outcome


@dataclass(frozen=True)
class Row:
    """A row of folded state."""

    TABLE: ClassVar[str]
    KEY: ClassVar[tuple[str, ...]]
    VOLATILE: ClassVar[tuple[str, ...]] = ()
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {}

    @property
    def key(self) -> tuple[str | int, ...]:
        """Return the primary key's values."""
        return tuple(getattr(self, name) for name in self.KEY)


@dataclass(frozen=True)
class ActorRow(Row):
    """A person or a service. ``subject`` groups accounts of one person; names live beside the ledger."""

    TABLE: ClassVar[str] = "actors"
    KEY: ClassVar[tuple[str, ...]] = ("id",)
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"kind": ("person", "service")}

    id: str
    kind: str
    subject: str
    roles: tuple[str, ...]
    sequence: int


@dataclass(frozen=True)
class CredentialRow(Row):
    """A bearer token, by its digest. ``revoked_at`` is empty while it is good."""

    TABLE: ClassVar[str] = "credentials"
    KEY: ClassVar[tuple[str, ...]] = ("id",)
    VOLATILE: ClassVar[tuple[str, ...]] = ("token_digest",)

    id: str
    actor: str
    token_digest: str
    revoked: bool
    revoked_at: str
    sequence: int


@dataclass(frozen=True)
class PolicyRow(Row):
    """A policy that is or was in force. ``body`` is its whole text."""

    TABLE: ClassVar[str] = "policies"
    KEY: ClassVar[tuple[str, ...]] = ("digest",)

    digest: str
    name: str
    version: str
    body: str
    in_force: bool
    sequence: int


@dataclass(frozen=True)
class ProposalRow(Row):
    """A policy that somebody asks to be put in force. ``status`` is open, adopted, rejected or superseded."""

    TABLE: ClassVar[str] = "policy_proposals"
    KEY: ClassVar[tuple[str, ...]] = ("id",)
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"status": ("open", "adopted", "rejected", "superseded")}

    id: str
    digest: str
    name: str
    version: str
    body: str
    base: str
    proposer: str
    status: str
    sequence: int


@dataclass(frozen=True)
class ProposalDecisionRow(Row):
    """A person's decision on a proposed policy; it is bound to that text and to the policy it would replace."""

    TABLE: ClassVar[str] = "policy_decisions"
    KEY: ClassVar[tuple[str, ...]] = ("proposal", "actor")
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"outcome": ("approve", "reject")}

    proposal: str
    actor: str
    role: str
    outcome: str
    sequence: int


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


@dataclass(frozen=True)
class TrainingSetRow(Row):
    """The exact rows a version was fitted, calibrated and judged on, named by full content."""

    TABLE: ClassVar[str] = "training_sets"
    KEY: ClassVar[tuple[str, ...]] = ("digest",)

    digest: str
    model: str
    service: str
    entities: str
    rows: int
    batches: tuple[str, ...]
    windows: Mapping[str, Any]
    sequence: int


@dataclass(frozen=True)
class ModelRow(Row):
    """A registered name."""

    TABLE: ClassVar[str] = "models"
    KEY: ClassVar[tuple[str, ...]] = ("name",)
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"tier": tuple(Tier)}

    name: str
    owner: str
    purpose: str
    tier: str
    fallback: str
    promotions: int
    sequence: int


@dataclass(frozen=True)
class VersionRow(Row):
    """One registered artifact of a model, and where it stands.

    ``prod_sequence`` is the sequence of the event that last put it into prod by approval (0: never);
    a rollback restores the highest one below the version that leaves. ``conditions`` are those under which it
    was let into prod, and ``certified_until`` says until when that holds (empty: without end);
    ``certified_sequence`` is the event that said so last, by letting it in or by certifying it again.
    """

    TABLE: ClassVar[str] = "versions"
    KEY: ClassVar[tuple[str, ...]] = ("model", "number")
    VOLATILE: ClassVar[tuple[str, ...]] = ("links",)
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"stage": tuple(Stage)}

    model: str
    number: int
    stage: str
    artifact: str
    training_set: str
    trainer: str
    registrar: str
    on_behalf_of: str
    source: str
    facts: Mapping[str, Any]
    packet: str
    prod_sequence: int
    conditions: Mapping[str, Any]
    certified_until: str
    certified_sequence: int
    links: Mapping[str, Any]
    sequence: int


@dataclass(frozen=True)
class PacketRow(Row):
    """A sealed packet: all evidence about a version, under one digest.

    ``envelope`` is its signed attestation (DSSE over an in-toto statement); another key signs otherwise.
    """

    TABLE: ClassVar[str] = "packets"
    KEY: ClassVar[tuple[str, ...]] = ("digest",)
    VOLATILE: ClassVar[tuple[str, ...]] = ("envelope",)

    digest: str
    model: str
    version: int
    body: Mapping[str, Any]
    envelope: Mapping[str, Any]
    sequence: int


@dataclass(frozen=True)
class PromotionRow(Row):
    """A request to move a version one stage up. ``status`` is open, applied, rejected, superseded or lapsed.

    ``kind`` is ``regular`` or ``break_glass``. ``due_at`` says by when people should decide (empty: whenever),
    ``chased`` what was done about their not deciding: reminded, then escalated to the role ``escalated_to``.
    """

    TABLE: ClassVar[str] = "promotions"
    KEY: ClassVar[tuple[str, ...]] = ("id",)
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {
        "source": tuple(Stage),
        "target": tuple(Stage),
        "kind": ("regular", "break_glass"),
        "chased": ("", "reminded", "escalated"),
        "status": ("open", "applied", "rejected", "superseded", "lapsed"),
    }

    id: str
    model: str
    version: int
    source: str
    target: str
    requester: str
    on_behalf_of: str
    artifact: str
    packet: str
    policy: str
    kind: str
    due_at: str
    chased: str
    escalated_to: str
    status: str
    sequence: int


@dataclass(frozen=True)
class ApprovalRow(Row):
    """A person's recorded decision on a promotion, and exactly what it was about.

    ``for_whom`` names the person who delegated it, empty where somebody spoke for themselves. ``conditions``
    are what was demanded beside the yes. ``revoked`` says that it was taken back.
    """

    TABLE: ClassVar[str] = "approvals"
    KEY: ClassVar[tuple[str, ...]] = ("promotion", "actor")
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"outcome": ("approve", "reject")}

    promotion: str
    actor: str
    role: str
    outcome: str
    model: str
    version: int
    artifact: str
    packet: str
    policy: str
    for_whom: str
    conditions: Mapping[str, Any]
    revoked: bool
    occurred_at: str
    sequence: int


@dataclass(frozen=True)
class DelegationRow(Row):
    """A person lets another decide in one role, for one model or (``model`` empty) for all, until a moment."""

    TABLE: ClassVar[str] = "delegations"
    KEY: ClassVar[tuple[str, ...]] = ("id",)

    id: str
    principal: str
    delegate: str
    role: str
    model: str
    until: str
    ended: bool
    sequence: int


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


@dataclass(frozen=True)
class TextRow(Row):
    """A personal text that an event commits to: whom it is about (``subject``), and since when.

    ``kind`` is the text's name beside the event, and so its class of record: name, reason, comment. The text
    itself lies outside the folded state, and may be erased; this row stays.
    """

    TABLE: ClassVar[str] = "commitments"
    KEY: ClassVar[tuple[str, ...]] = ("commitment",)
    VOLATILE: ClassVar[tuple[str, ...]] = ("commitment",)

    commitment: str
    subject: str
    kind: str
    occurred_at: str
    sequence: int


@dataclass(frozen=True)
class ErasureRow(Row):
    """A personal text that was erased, by its commitment: ``cause`` is subject (a person's) or retention."""

    TABLE: ClassVar[str] = "erasures"
    KEY: ClassVar[tuple[str, ...]] = ("commitment",)
    VOLATILE: ClassVar[tuple[str, ...]] = ("commitment",)
    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"cause": ("subject", "retention")}

    commitment: str
    cause: str
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


ROWS: tuple[type[Row], ...] = (
    ActorRow,
    CredentialRow,
    PolicyRow,
    ProposalRow,
    ProposalDecisionRow,
    BatchRow,
    PushRow,
    WaiverRow,
    FeatureViewRow,
    AccessRow,
    ReadSegmentRow,
    StatisticsRow,
    DriftRow,
    ParityRow,
    TrainingSetRow,
    ModelRow,
    VersionRow,
    PacketRow,
    PromotionRow,
    ApprovalRow,
    DelegationRow,
    ScoringRow,
    CanaryRow,
    MonitorRow,
    ReviewRow,
    RunRow,
    IncidentRow,
    TextRow,
    ErasureRow,
    ErasedFileRow,
    ErasedSubjectRow,
)


@dataclass
class State:
    """Folded state in memory: what the SQL tables hold, as dictionaries.

    ``marks`` are the high-water marks of the record's time: (sequence, occurred_at) of each event after which all
    occurred earlier. The last is the newest event's; there are others only where a clock went back.
    """

    tables: dict[str, dict[tuple[str | int, ...], Row]] = field(
        default_factory=lambda: {row.TABLE: {} for row in ROWS}
    )
    marks: list[tuple[int, str]] = field(default_factory=list)

    def mark(self, sequence: int, occurred_at: str) -> None:
        """Note when the newest event occurred. Times compare as their texts do, as in a database: to the second."""
        while self.marks and self.marks[-1][1] <= occurred_at:
            self.marks.pop()
        self.marks.append((sequence, occurred_at))

    def put(self, row: Row) -> None:
        """Insert or replace a row."""
        self.tables[row.TABLE][row.key] = row
