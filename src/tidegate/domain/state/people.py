"""Rows of people: accounts and tokens, who lends whom a role, and the texts that are about somebody."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

from tidegate.domain.state.row import Row


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
