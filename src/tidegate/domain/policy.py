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
class Deadline:
    """By when people decide on a request, in days from it, and what follows if they do not.

    After ``remind_after`` they are reminded once; at ``due`` days it is escalated to the role ``escalate_to``
    (empty: to nobody), whose holders may then decide in the place of any role asked for; at ``lapse_after`` the
    request lapses (0: it waits for ever).
    """

    due: int
    remind_after: int = 0
    escalate_to: str = ""
    lapse_after: int = 0


@dataclass(frozen=True)
class Gate:
    """What opens the way into one stage.

    ``requires`` names the sections of the packet that must be there; one that nobody supplied is a named gap.
    """

    to: Stage
    demands: tuple[Demand, ...]
    approvals: tuple[Need, ...] = ()
    requires: tuple[str, ...] = ()
    deadline: Deadline | None = None
    line: int = 0

    def rules(self) -> tuple[str, ...]:
        """Return what it asks of the evidence, each by its name: its demands, then the sections it requires."""
        return (*(demand.id for demand in self.demands), *(f"section {name}" for name in self.requires))


@dataclass(frozen=True)
class BreakGlass:
    """The smaller policy for emergencies (P9): its own floor of demands and people, and a review that must follow."""

    demands: tuple[Demand, ...]
    approvals: tuple[Need, ...]
    review_days: int
    role: str

    def gate(self, to: Stage) -> Gate:
        """Return its gate. What nobody decided by the time its review would be due was no emergency, and lapses."""
        return Gate(
            to, self.demands, self.approvals, deadline=Deadline(self.review_days, 0, "", self.review_days)
        )


@dataclass(frozen=True)
class Preconditions:
    """What must hold at the moment a version enters prod, and is asked again there. None: not asked.

    ``fresh_days``: the newest batch of each of the model's datasets is at most this old. ``rehearsed_hours``: the
    way back was tried at most this long ago. ``approved_days``: an approval older than this no longer counts.
    ``failed_changes``: at most so many of the model's versions were taken out of prod, within so many days.
    ``fresh_views``: the newest data of each view that the version consumes are within the view's own objective.
    """

    fresh_days: int | None = None
    rehearsed_hours: int | None = None
    approved_days: int | None = None
    failed_changes: tuple[int, int] | None = None
    fresh_views: bool = False

    def asked(self) -> set[str]:
        """Return the names of the preconditions that are asked, as `Precondition` calls them."""
        names = {
            "fresh": self.fresh_days,
            "rehearsed": self.rehearsed_hours,
            "failed_changes": self.failed_changes,
            "fresh_views": self.fresh_views or None,
        }
        return {name for name, value in names.items() if value is not None}


@dataclass(frozen=True)
class Certification:
    """How long an approval into prod holds, and who must look when it has lapsed.

    ``on_drift``: a monitor's ``failed`` verdict ends it too.
    """

    days: int
    review_days: int
    role: str
    on_drift: bool = False


@dataclass(frozen=True)
class Deny:
    """What nobody may do while ``when`` holds, whatever their roles permit (A4)."""

    id: str
    sentence: str
    when: str
    line: int = 0


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
    preconditions: Preconditions = field(default_factory=Preconditions)
    certification: Mapping[Tier, Certification] = field(default_factory=dict)
    break_glass: BreakGlass | None = None
    deny: tuple[Deny, ...] = ()
    changes: tuple[Need, ...] = (Need("approver", 1),)

    def gate(self, tier: Tier, to: Stage) -> Gate | None:
        """Return the gate into ``to`` for this tier, or None: then nothing may pass."""
        return self.gates.get(tier, {}).get(to)

    def gate_of(self, kind: str, tier: Tier, to: Stage) -> Gate | None:
        """Return the gate that a request of this kind stands before; break-glass has one of its own."""
        if kind == "break_glass":
            return self.break_glass.gate(to) if self.break_glass else None
        return self.gate(tier, to)

    def demands(self) -> Mapping[str, Demand]:
        """Return every demand that some gate, or break-glass, makes, by its id."""
        gates = [gate for gates in self.gates.values() for gate in gates.values()]
        made = [demand for gate in gates for demand in gate.demands]
        return {
            demand.id: demand for demand in (*made, *(self.break_glass.demands if self.break_glass else ()))
        }


@dataclass(frozen=True)
class Finding:
    """What the policy's demand found in the packet.

    ``since`` is the sequence at which the demand, word for word, came into force, ``measured`` that of the
    evaluation it judges (P7); 0 where it judges no evaluation. ``step`` is what would let it pass, where that is
    known and is not another version.
    """

    demand: str
    verdict: Verdict
    sentence: str
    since: int = 0
    measured: int = 0
    step: str = ""
