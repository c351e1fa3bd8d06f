"""Rows of models: what they learned from, their versions, and the way of these through the stages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tidegate.domain.policy import Stage, Tier
from tidegate.domain.state.row import Row


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
