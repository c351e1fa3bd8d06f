"""What waits for people: open promotions with what was found, and open reviews with their causes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tidegate.application.judgement import findings
from tidegate.application.ports import Expressions, Policies
from tidegate.application.promote import lifecycle
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import TidegateError
from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import Dossier
from tidegate.domain.policy import Finding, Gate, Policy, Stage, Tier
from tidegate.domain.promotion import DOUBT, counted
from tidegate.domain.state import ApprovalRow, PacketRow, PolicyRow, PromotionRow, ReviewRow
from tidegate.entrypoints.web.monitors import Found, Run
from tidegate.entrypoints.web.record import Note, Record

Judge = Callable[[PromotionRow, str], tuple[Policy | None, Gate | None, tuple[Finding, ...], str]]


@dataclass(frozen=True)
class Demanded:
    """One demand of a gate and what was found."""

    demand: str
    verdict: str
    demanded: str
    found: str


@dataclass(frozen=True)
class Needed:
    """How many approvals a role still owes, and who holds it."""

    role: str
    count: int
    given: int
    holders: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """An open promotion. ``stale`` says, by name, what changed since it was requested."""

    id: str
    model: str
    version: int
    source: str
    target: str
    asked: Note | None
    artifact: str
    packet: str
    policy: str
    policy_name: str
    demands: tuple[Demanded, ...]
    needs: tuple[Needed, ...]
    approved: tuple[Note, ...]
    void: tuple[str, ...]
    stale: tuple[str, ...]
    fault: str


@dataclass(frozen=True)
class OpenReview:
    """A review nobody has decided yet."""

    id: str
    model: str
    version: int
    period: str
    causes: tuple[Found, ...]
    cause: str
    role: str
    holders: tuple[str, ...]
    due_at: str
    overdue: bool
    opened: Note | None
    report: str


def judge(policies: Policies, expressions: Expressions, record: Record) -> Judge:
    """Return how a sealed packet is judged again: by the policy that its request is bound to, read from the ledger."""
    parsed: dict[str, Policy] = {}

    def found(row: PromotionRow, tier: str) -> tuple[Policy | None, Gate | None, tuple[Finding, ...], str]:
        bound, packet = record.state.get(PolicyRow, row.policy), record.state.get(PacketRow, row.packet)
        if bound is None or packet is None:
            return None, None, (), "its policy or its packet is not on the record"
        try:
            policy = parsed.setdefault(row.policy, policies.parse(bound.body))
        except TidegateError as error:  # a page that shows everything else is worth more than no page
            return None, None, (), error.sentence
        gate = policy.gate(Tier(tier), Stage(row.target))
        if gate is None:
            return policy, None, (), f"policy {policy.name} {policy.version} has no gate into {row.target}"
        return policy, gate, findings(gate, {"packet": dict(packet.body)}, expressions), ""

    return found


def requests(record: Record, judged: Judge) -> tuple[Request, ...]:
    """Return every open promotion, oldest first."""
    rows = sorted(record.state.select(PromotionRow, status="open"), key=lambda row: row.sequence)
    return tuple(_request(record, judged, row) for row in rows)


def reviews(record: Record, runs: tuple[Run, ...], now: datetime | None) -> tuple[OpenReview, ...]:
    """Return every open review, the most urgent first. ``now`` tells which are overdue."""
    by_review = {run.review: run for run in runs if run.review}
    rows = sorted(record.state.select(ReviewRow, status="open"), key=lambda row: (row.due_at, row.sequence))
    return tuple(_review(record, by_review.get(row.id), row, now) for row in rows)


def split_finding(demand: str, verdict: str, told: str) -> Demanded:
    """Take a finding's sentence apart: what was demanded, and what was found."""
    found, _, demanded = told.rpartition("; demanded: ")
    return Demanded(demand, verdict, demanded, found)


def _request(record: Record, judged: Judge, row: PromotionRow) -> Request:
    life = lifecycle(record.state, row.model, row.version)
    policy, gate, found, fault = judged(row, life.model.tier)
    dossier = Dossier(row.packet, found, None)
    valid: list[ApprovalRow] = []
    void: list[str] = []
    if policy is not None:
        version = life.versions[row.version]
        approvals = record.state.select(ApprovalRow, promotion=row.id)
        valid, reasons = counted(life, version, dossier, approvals, policy)
        void = [f"{reason.rule}: {reason.sentence}" for reason in reasons]
    asked = record.at(row.sequence)
    in_force = record.state.select(PolicyRow, in_force=True)
    return Request(
        id=row.id,
        model=row.model,
        version=row.version,
        source=row.source,
        target=row.target,
        asked=record.note(asked) if asked else None,
        artifact=row.artifact,
        packet=row.packet,
        policy=row.policy,
        policy_name=f"{policy.name} {policy.version}" if policy else "",
        demands=tuple(split_finding(each.demand, str(each.verdict), each.sentence) for each in found),
        needs=_needs(record, gate, found, valid),
        approved=tuple(record.note(event) for each in valid if (event := record.at(each.sequence))),
        void=tuple(void),
        stale=("the policy",) if in_force and in_force[0].digest != row.policy else (),
        fault=fault,
    )


def _needs(
    record: Record, gate: Gate | None, found: tuple[Finding, ...], valid: list[ApprovalRow]
) -> tuple[Needed, ...]:
    if gate is None:
        return ()
    doubts = any(each.verdict is Verdict.INCONCLUSIVE for each in found)
    needs = gate.approvals or ((DOUBT,) if doubts else ())
    return tuple(
        Needed(
            need.role,
            need.count,
            len({each.actor for each in valid if each.role == need.role}),
            record.holders(need.role),
        )
        for need in needs
    )


def _review(record: Record, run: Run | None, row: ReviewRow, now: datetime | None) -> OpenReview:
    opened = record.at(row.sequence)
    causes = tuple(each for each in run.binding if each.verdict != Verdict.PASSED) if run else ()
    return OpenReview(
        id=row.id,
        model=row.model,
        version=row.version,
        period=row.period,
        causes=causes,
        cause=row.cause,
        role=row.role,
        holders=record.holders(row.role),
        due_at=row.due_at,
        overdue=now is not None and utc_time(row.due_at) < now,
        opened=record.note(opened) if opened else None,
        report=run.report if run else "",
    )
