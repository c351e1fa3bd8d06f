"""Open promotions: what the gate found in the sealed packet, what it waits for, and who may decide.

Nothing is decided here. What a request waits for, whose approval counts and who may give one is asked of
``domain.promotion``, on the evidence that was sealed; the way back is named, and tried when somebody decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tidegate.application.judgement import findings
from tidegate.application.ports import Expressions, Policies
from tidegate.application.promote import ASKED_AS
from tidegate.application.rehearse import way_back_of
from tidegate.application.standing import lifecycle
from tidegate.domain.approval import counted
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import TidegateError
from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import (
    Act,
    Action,
    Allowed,
    Dossier,
    Lifecycle,
    Reason,
    Refused,
    Waiting,
    time_for,
)
from tidegate.domain.policy import Finding, Policy, Stage, Tier
from tidegate.domain.promotion import DOUBT, decide
from tidegate.domain.state import ActorRow, ApprovalRow, PacketRow, PolicyRow, PromotionRow
from tidegate.entrypoints.web.evidence import Demanded, Opened, demanded, opened
from tidegate.entrypoints.web.record import Note, Record


@dataclass(frozen=True)
class Decider:
    """Somebody whose role permits to approve; ``reasons`` say why this request is not theirs to approve."""

    name: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Request:
    """An open promotion.

    ``waits`` and ``blocked`` are the rules' own reasons, without those that only repeat a demand. ``stale``
    says that another policy has come into force; ``fault`` why nothing could be judged; ``sealed`` what its packet
    says beside that. ``due_at`` is by when people should decide (empty: whenever), ``escalated_to`` the role that may
    stand in by now.
    """

    id: str
    model: str
    version: int
    source: str
    target: str
    kind: str
    due_at: str
    overdue: bool
    escalated_to: str
    asked: Note
    artifact: str
    packet: str
    policy: str
    policy_name: str
    demands: tuple[Demanded, ...]
    waits: tuple[Reason, ...]
    blocked: tuple[Reason, ...]
    approved: tuple[Note, ...]
    deciders: tuple[Decider, ...]
    stale: bool
    fault: str
    sealed: Opened

    @property
    def able(self) -> tuple[Decider, ...]:
        """Return those who may approve it."""
        return tuple(each for each in self.deciders if not each.reasons)


class Reading:
    """Reads sealed packets by the policies that requests are bound to, both from the ledger."""

    def __init__(self, policies: Policies, expressions: Expressions, record: Record) -> None:
        self._policies, self._expressions, self._record = policies, expressions, record
        self._parsed: dict[str, Policy] = {}

    def policy(self, digest: str) -> Policy:
        """Return a policy that is or was in force.

        Raises:
            TidegateError: it is not on the record, or this code cannot read it.
        """
        if digest not in self._parsed:
            row = self._record.state.get(PolicyRow, digest)
            if row is None:
                raise TidegateError("no-policy", f"the policy {digest} is not on the record")
            self._parsed[digest] = self._policies.parse(row.body)
        return self._parsed[digest]

    def findings(self, policy: Policy, row: PromotionRow, tier: str) -> tuple[Finding, ...]:
        """Return what the gate that a request stands before finds in its packet."""
        packet = self._record.state.get(PacketRow, row.packet)
        gate = policy.gate_of(row.kind, Tier(tier), Stage(row.target))
        facts: Mapping[str, object] = {"packet": dict(packet.body) if packet else {}}
        return findings(gate, facts, self._expressions) if gate else ()


def requests(record: Record, reading: Reading, now: datetime | None) -> tuple[Request, ...]:
    """Return every open promotion, oldest first. ``now`` tells which are overdue."""
    rows = sorted(record.state.select(PromotionRow, status="open"), key=lambda row: row.sequence)
    return tuple(_request(record, reading, row, now) for row in rows)


def _overdue(record: Record, row: PromotionRow, now: datetime | None) -> bool:
    if not row.due_at or now is None:
        return False
    return utc_time(row.due_at) < time_for(record.state.marks(), row.sequence, now)


def _request(record: Record, reading: Reading, row: PromotionRow, now: datetime | None) -> Request:
    in_force = record.state.select(PolicyRow, in_force=True)
    packet = record.state.get(PacketRow, row.packet)
    bare = Request(
        id=row.id,
        model=row.model,
        version=row.version,
        source=row.source,
        target=row.target,
        kind=row.kind,
        due_at=row.due_at,
        overdue=_overdue(record, row, now),
        escalated_to=row.escalated_to,
        asked=record.note(record.at(row.sequence)),
        artifact=row.artifact,
        packet=row.packet,
        policy=row.policy,
        policy_name="",
        demands=(),
        waits=(),
        blocked=(),
        approved=(),
        deciders=(),
        stale=bool(in_force) and in_force[0].digest != row.policy,
        fault="",
        sealed=opened(packet.body if packet else {}),
    )
    life = lifecycle(record.state, row.model, row.version)
    try:
        policy = reading.policy(row.policy)
    except TidegateError as error:  # a page that shows everything else is worth more than no page
        return replace(bare, fault=error.sentence)
    found = reading.findings(policy, row, life.model.tier)
    gate = policy.gate_of(row.kind, Tier(life.model.tier), Stage(row.target))
    asks = {need.role for need in (gate.approvals if gate else ())} or {DOUBT.role}
    return _judged(record, bare, life, policy, found, asks | {row.escalated_to})


def _judged(
    record: Record, bare: Request, life: Lifecycle, policy: Policy, found: tuple[Finding, ...], asks: set[str]
) -> Request:
    version = life.versions[bare.version]
    named = way_back_of(life, version)
    dossier = Dossier(bare.packet, found, replace(named, verified=bool(named.name)))
    approvals = record.state.select(ApprovalRow, promotion=bare.id)
    now = utc_time(record.events[-1].occurred_at)

    def asked(action: Action, actor: ActorRow) -> tuple[Reason, ...]:
        decision = decide(life, Act(action, bare.version), actor, dossier, approvals, policy, now)
        return () if isinstance(decision, Allowed) else decision.reasons

    requester = life.people[bare.asked.actor]
    going_up = decide(
        life, Act(ASKED_AS[bare.kind], bare.version), requester, dossier, approvals, policy, now
    )
    valid, _ = counted(life, version, dossier, approvals, policy, now)
    may = [actor for actor in life.people.values() if asks & set(actor.roles)]
    return replace(
        bare,
        policy_name=f"{policy.name} {policy.version}",
        demands=tuple(demanded(each.demand, str(each.verdict), each.sentence) for each in found),
        waits=_rules(going_up.reasons) if isinstance(going_up, Waiting) else (),
        blocked=_rules(going_up.reasons) if isinstance(going_up, Refused) else (),
        approved=tuple(record.note(record.at(each.sequence)) for each in valid),
        deciders=tuple(Decider(record.name(actor.id), asked(Action.APPROVE, actor)) for actor in may),
    )


def _rules(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """Leave out what the table of demands says already."""
    shown = {f"evidence-{verdict}" for verdict in Verdict}
    return tuple(each for each in reasons if each.code not in shown)
