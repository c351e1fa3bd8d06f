"""Rows of policies: those that were in force, and those that somebody asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

from tidegate.domain.state.row import Row


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
