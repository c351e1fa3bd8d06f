"""Policies: what each tier demands before a stage, as typed data.

A policy is a versioned file. Here it is already parsed; expressions stay text, because only an adapter
can evaluate them, and the verdicts they yield come back as `Finding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tidegate.domain.evidence import Verdict
from tidegate.domain.rollout import CanaryRule


class Tier(StrEnum):
    """How much a wrong decision of the model costs."""

    LOW = "low"
    STANDARD = "standard"
    HIGH = "high"


class Stage(StrEnum):
    """Where a version stands."""

    CANDIDATE = "candidate"
    STAGING = "staging"
    CANARY = "canary"
    PROD = "prod"
    RETIRED = "retired"


@dataclass(frozen=True)
class Demand:
    """One thing a gate demands of the packet.

    ``passes`` is the CEL expression that must hold; where it does not and ``unclear`` does, the verdict
    is inconclusive; otherwise failed. Anything but a boolean is an error.
    """

    id: str
    sentence: str
    passes: str
    unclear: str = ""
    line: int = 0


@dataclass(frozen=True)
class Need:
    """How many distinct people of a role must approve."""

    role: str
    count: int


@dataclass(frozen=True)
class Gate:
    """What opens the way into one stage."""

    to: Stage
    demands: tuple[Demand, ...]
    approvals: tuple[Need, ...] = ()


@dataclass(frozen=True)
class PolicyTest:
    """One example the policy must judge as stated: packet facts in, the expected verdict per demand out."""

    name: str
    tier: Tier
    to: Stage
    facts: Mapping[str, object]
    expect: Mapping[str, Verdict]
    line: int = 0


@dataclass(frozen=True)
class ReviewRule:
    """Which outcomes a review of this monitor verdict may have, and how many days it may wait."""

    on: tuple[Verdict, ...]
    due_days: int
    role: str


@dataclass(frozen=True)
class Policy:
    """A policy in full. ``body`` is the file's text and ``digest`` its SHA-256: the identity approvals bind to."""

    name: str
    version: str
    digest: str
    body: str
    gates: Mapping[Tier, Mapping[Stage, Gate]]
    review: ReviewRule
    tests: Sequence[PolicyTest] = field(default_factory=tuple)
    rollout: Mapping[Tier, CanaryRule] = field(default_factory=dict)

    def gate(self, tier: Tier, to: Stage) -> Gate | None:
        """Return the gate into ``to`` for this tier, or None: then nothing may pass."""
        return self.gates.get(tier, {}).get(to)


@dataclass(frozen=True)
class Finding:
    """What the policy's demand found in the packet."""

    demand: str
    verdict: Verdict
    sentence: str
