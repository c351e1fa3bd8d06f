"""The nouns of the lifecycle: actions, what is known about a model, reasons, moves and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tidegate.domain.canonical import utc_time
from tidegate.domain.policy import Finding, Stage
from tidegate.domain.rollout import MAX_SHARE
from tidegate.domain.state import ActorRow, DelegationRow, ModelRow, PromotionRow, ReviewRow, VersionRow


class Action(StrEnum):
    """What somebody asks for."""

    PROMOTE = "promote"
    APPROVE = "approve"
    REJECT = "reject"
    REVOKE = "revoke"
    BREAK_GLASS = "break_glass"
    ROLL_BACK = "roll_back"
    STOP = "stop"
    DEMOTE = "demote"
    RETIRE = "retire"


@dataclass(frozen=True)
class Act:
    """An action on one version. ``to`` names the stage where the table leaves a choice.

    Who decides says in which ``role``, and for whom if somebody delegated it to them.
    """

    action: Action
    version: int
    to: Stage | None = None
    role: str = ""
    for_whom: str = ""


@dataclass(frozen=True)
class WayBack:
    """What prod returns to if this version must go. ``verified`` says that it was tried, not only named.

    ``steps`` says what was tried and what came of it, ``at`` when (RFC 3339, UTC).
    """

    kind: str  # "version" or "fallback"
    name: str
    verified: bool
    steps: tuple[str, ...] = ()
    at: str = ""


@dataclass(frozen=True)
class Precondition:
    """Something that changes by the hour, as it stood when it was asked. ``holds`` None: it could not be told.

    It is asked again in the transaction that applies, and recorded there; it never voids an approval. ``views`` is
    what was measured of each view, where it is about views.
    """

    name: str
    rule: str
    holds: bool | None
    sentence: str
    next_step: str = ""
    views: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, str | bool | None]:
        """Return the precondition as a payload."""
        return {"name": self.name, "rule": self.rule, "holds": self.holds, "sentence": self.sentence}


@dataclass(frozen=True)
class Dossier:
    """The evidence at hand: the sealed packet's digest, what each demand found in it, and the way back.

    ``changed`` names, per earlier packet that an approval or the request is bound to, what differs in this one.
    """

    packet: str
    findings: tuple[Finding, ...]
    way_back: WayBack | None
    preconditions: tuple[Precondition, ...] = ()
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lifecycle:
    """One model as the ledger has it.

    ``promotion`` is the version's open request (where an approval is taken back: the one it was given on),
    ``people`` holds all actors by id, ``taken_out`` the numbers of the versions that a rollback or a stop took
    out of prod, ``delegations`` those that have not been ended, and ``mandatory`` the open reviews that must
    not be missed. ``requesters`` holds who ever requested a promotion of the version in question, and for whom;
    ``marks`` the high-water marks of the record's time (see `time_for`).
    """

    model: ModelRow
    versions: Mapping[int, VersionRow]
    promotion: PromotionRow | None
    people: Mapping[str, ActorRow]
    taken_out: frozenset[int] = frozenset()
    delegations: tuple[DelegationRow, ...] = ()
    mandatory: tuple[ReviewRow, ...] = ()
    requesters: frozenset[str] = frozenset()
    marks: tuple[tuple[int, str], ...] = ()

    def in_prod(self) -> VersionRow | None:
        """Return the version in prod, if there is one."""
        return next((row for row in self.versions.values() if row.stage == Stage.PROD), None)

    def previous(self) -> VersionRow | None:
        """Return what a rollback restores: of the replaced versions, the last that was approved into prod."""
        replaced = [row for row in self.versions.values() if row.stage == Stage.RETIRED and row.prod_sequence]
        return max(replaced, key=lambda row: row.prod_sequence, default=None)

    def stands_in(self) -> VersionRow | None:
        """Return what decides the rows that the live version may not, where a condition allows it a share only."""
        live = self.in_prod()
        return self.previous() if live is not None and live.conditions.get(MAX_SHARE, 1) < 1 else None


def time_for(marks: Sequence[tuple[int, str]], sequence: int, now: datetime) -> datetime:
    """Return what time it is for what was written at an event: the later of ``now`` and any told after it.

    What has ended stays ended when a clock is set back. What is written after that lives by the clock again: one that
    was ahead by mistake ends what stood then, and nothing that comes once it is right.
    """
    return max([now, *(utc_time(occurred_at) for at, occurred_at in marks if at > sequence)])


@dataclass(frozen=True)
class Reason:
    """One reason: a code for machines, a rule, a sentence for people, and what to do next."""

    code: str
    rule: str
    sentence: str
    next_step: str

    def as_dict(self) -> dict[str, str]:
        """Return the reason as a payload."""
        return {"code": self.code, "rule": self.rule, "sentence": self.sentence, "next_step": self.next_step}


@dataclass(frozen=True)
class Move:
    """One version's change of stage."""

    version: int
    source: Stage
    target: Stage

    def as_dict(self) -> dict[str, str | int]:
        """Return the move as a payload."""
        return {"version": self.version, "from": str(self.source), "to": str(self.target)}


@dataclass(frozen=True)
class Allowed:
    """It may happen, now, as these moves in this order (whoever leaves prod leaves first)."""

    moves: tuple[Move, ...]
    at: datetime


@dataclass(frozen=True)
class Waiting:
    """It may happen once people have done what the reasons say."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Refused:
    """It may not happen; these are all the reasons."""

    reasons: tuple[Reason, ...]


Decision = Allowed | Waiting | Refused
