"""What every decision about a version is weighed on, and how what was decided is written.

What an act needs from outside (evidence, a tried way back) is gathered before the transaction, and bound by
digest; where the champion changed in between, it is gathered again. The rest is read in the transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.application.attest import signed
from tidegate.application.judgement import findings
from tidegate.application.packet import Gathered, differences, gather, packet_digest
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader, Transaction
from tidegate.application.preconditions import preconditions
from tidegate.application.predating import dated
from tidegate.application.recording import draft
from tidegate.application.standing import stream
from tidegate.domain.attestation import packet_statement
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import TidegateError
from tidegate.domain.events import Event, EventType
from tidegate.domain.lifecycle import (
    Action,
    Allowed,
    Decision,
    Dossier,
    Lifecycle,
    Precondition,
    Reason,
    Waiting,
)
from tidegate.domain.lifecycle import Refused as Denied
from tidegate.domain.policy import Gate, Policy, Stage, Tier
from tidegate.domain.promotion import TRANSITIONS
from tidegate.domain.state import ApprovalRow, PacketRow, PromotionRow, ReviewRow, VersionRow


@dataclass(frozen=True)
class Outcome:
    """What came of an act: where the version stands, and what it waits for or is held back by."""

    model: str
    version: int
    stage: str
    promotion: str
    waits: tuple[Reason, ...] = ()


def denied_by(untrue: Sequence[Reason], decision: Decision) -> tuple[Reason, ...]:
    """Return all reasons why an act may not happen; waiting for people is none."""
    return (*untrue, *(decision.reasons if isinstance(decision, Denied) else ()))


def still(platform: Platform, tx: Transaction, life: Lifecycle, version: int, gathered: Gathered) -> Gathered:
    """Return what was gathered, or gather again where it was measured against what is there no more.

    Then the lock is held while other tools answer: rare, and the only way to decide on what is true now.
    """
    row = life.versions[version]
    return gathered if gathered.fits(tx, life, row) else gather(platform, tx, life, row)


def next_stage(life: Lifecycle, version: int, action: Action = Action.PROMOTE) -> Stage | None:
    """Return where an act would take a version, None where it leads nowhere."""
    targets = TRANSITIONS.get((Stage(life.versions[version].stage), action))
    return targets[0] if targets else None


def gate_asked(policy: Policy, life: Lifecycle, version: int, action: Action = Action.PROMOTE) -> Gate | None:
    """Return the gate that an act is asked by; break-glass has one of its own."""
    target = next_stage(life, version, action)
    if target is None:
        return None
    kind = "break_glass" if action is Action.BREAK_GLASS else "regular"
    return policy.gate_of(kind, Tier(life.model.tier), target)


def weigh(
    platform: Platform,
    state: StateReader,
    policy: Policy,
    life: Lifecycle,
    version: int,
    gathered: Gathered,
    action: Action = Action.PROMOTE,
) -> Dossier:
    """Return the evidence as the policy reads it, what holds at this moment, and what changed since."""
    row = life.versions[version]
    gate = gate_asked(policy, life, version, action)
    found = findings(gate, {"packet": gathered.facts}, platform.expressions) if gate else ()
    held: tuple[Precondition, ...] = ()
    if gate is not None and gate.to is Stage.PROD and action is Action.PROMOTE:
        now = platform.clock.now()
        held = preconditions(
            state, policy, row, gathered.datasets, gathered.way_back, gathered.taken_out, now
        )
    return Dossier(
        packet_digest(gathered.facts),
        dated(state, platform.policies, policy, row, gate.demands, found) if gate else (),
        gathered.way_back,
        held,
        _changed(state, life, gathered.facts),
    )


def _changed(state: StateReader, life: Lifecycle, facts: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """Return, per packet that somebody is bound to, in which sections it differs from what is there now."""
    bound = {life.promotion.packet} if life.promotion else set()
    bound |= {row.packet for row in approvals_on(state, life)}
    packets = [packet for digest in sorted(bound) if (packet := state.get(PacketRow, digest))]
    return {packet.digest: differences(packet.body, facts) for packet in packets}


def approvals_on(state: StateReader, life: Lifecycle) -> tuple[ApprovalRow, ...]:
    """Return what was decided on the open promotion."""
    return state.select(ApprovalRow, promotion=life.promotion.id) if life.promotion else ()


def seal(
    platform: Platform,
    tx: Transaction,
    acting: Acting,
    row: VersionRow,
    facts: dict[str, Any],
    dossier: Dossier,
) -> None:
    """Seal the packet, and sign it, if it is new. What a refusal speaks of is sealed too: an auditor must read it.

    Raises:
        DependencyFailed: the signing key cannot be used.
    """
    if tx.get(PacketRow, dossier.packet) is None:
        stated = packet_statement(row.model, row.number, row.artifact, dossier.packet, facts)
        payload = {
            "digest": dossier.packet,
            "model": row.model,
            "version": row.number,
            "body": facts,
            "envelope": signed(platform.signer, stated),
        }
        tx.append(draft(acting, EventType.PACKET_SEALED, stream(row.model), payload))


def apply(
    platform: Platform,
    tx: Transaction,
    acting: Acting,
    life: Lifecycle,
    decision: Allowed,
    dossier: Dossier,
    policy: Policy,
    key: str | None = None,
) -> Event:
    """Write that a promotion happened: its moves, what held at that moment, and under which conditions."""
    promotion = life.promotion
    assert promotion is not None  # opened in this transaction, or open when it was approved
    now = platform.clock.now()
    conditions, until = {}, ""
    if promotion.target == Stage.PROD:
        conditions = agreed([row.conditions for row in approvals_on(tx, life) if not row.revoked])
        until = certified_until(policy, Tier(life.model.tier), conditions, now, promotion.kind)
    way_back = dossier.way_back
    payload = {
        "model": life.model.name,
        "promotion": promotion.id,
        "kind": promotion.kind,
        "moves": [move.as_dict() for move in decision.moves],
        "packet": dossier.packet,
        "policy": policy.digest,
        "conditions": conditions,
        "certified_until": until,
        "preconditions": {
            "way_back": {
                "kind": way_back.kind,
                "name": way_back.name,
                "verified": way_back.verified,
                "steps": list(way_back.steps),
                "at": way_back.at,
            }
            if way_back
            else None,
            "asked": [each.as_dict() for each in dossier.preconditions],
            "views": {name: dict(of) for each in dossier.preconditions for name, of in each.views.items()},
        },
        "findings": [
            {"demand": each.demand, "verdict": str(each.verdict), "sentence": each.sentence}
            for each in dossier.findings
        ],
    }
    event = tx.append(
        draft(
            acting,
            EventType.PROMOTION_APPLIED,
            stream(life.model.name),
            payload,
            key=key,
            causation=promotion.sequence,
        )
    )
    _review_after(tx, acting, promotion, policy, conditions, now, event)
    return event


def agreed(stated: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the conditions of several approvals together: of each kind the strictest, which is the least."""
    names = sorted({name for each in stated for name in each})
    return {name: min(each[name] for each in stated if name in each) for name in names}


def certified_until(
    policy: Policy, tier: Tier, conditions: Mapping[str, Any], now: datetime, kind: str = "regular"
) -> str:
    """Return until when an approval into prod holds: the policy's term, or a shorter one that was demanded.

    What went live by break-glass holds no longer than until its review is due.
    """
    rule = policy.certification.get(tier)
    terms = [rule.days] if rule else []
    terms += [policy.break_glass.review_days] if kind == "break_glass" and policy.break_glass else []
    terms += [conditions["lapses_in_days"]] if "lapses_in_days" in conditions else []
    return utc_text(now + timedelta(days=min(terms))) if terms else ""


def _review_after(
    tx: Transaction,
    acting: Acting,
    promotion: PromotionRow,
    policy: Policy,
    conditions: Mapping[str, Any],
    now: datetime,
    event: Event,
) -> None:
    """Open the reviews that must follow: after break-glass, and where an approval was given on that condition."""
    glass = policy.break_glass
    if promotion.kind == "break_glass" and glass is not None:
        cause = f"{promotion.id} went live by break-glass"
        open_review(tx, acting, promotion, "break_glass", cause, glass.role, now, glass.review_days, event)
    if days := conditions.get("review_in_days"):
        cause = f"{promotion.id} was approved on condition of a review within {days} days"
        open_review(tx, acting, promotion, "condition", cause, policy.review.role, now, days, event)


def open_review(
    tx: Transaction,
    acting: Acting,
    about: PromotionRow | VersionRow,
    kind: str,
    cause: str,
    role: str,
    now: datetime,
    days: int,
    event: Event,
) -> str:
    """Ask a person to look at a version for a reason other than a finding; return the review's id."""
    opened = {
        "id": f"R-{len(tx.select(ReviewRow)) + 1}",
        "model": about.model,
        "period": "",
        "version": about.version if isinstance(about, PromotionRow) else about.number,
        "kind": kind,
        "cause": cause,
        "role": role,
        "due_at": utc_text(now + timedelta(days=days)),
    }
    tx.append(draft(acting, EventType.REVIEW_OPENED, stream(about.model), opened, causation=event.sequence))
    return str(opened["id"])


def outcome_of(state: StateReader, model: str, version: int, decision: Decision | None = None) -> Outcome:
    """Return where a version stands now, and what it waits for or is held back by."""
    row = state.get(VersionRow, model, version)
    if row is None:
        raise TidegateError(
            "lost-version",
            f"got no version {version} of `{model}` in the state",
            "run `tidegate audit verify`",
        )
    open_now = state.select(PromotionRow, model=model, version=version, status="open")
    waits = decision.reasons if isinstance(decision, Waiting | Denied) else ()
    return Outcome(model, version, row.stage, open_now[0].id if open_now else "", waits)


def subject(version: int, dossier: Dossier, policy: Policy) -> dict[str, Any]:
    """Return what a refusal is about."""
    return {"version": version, "packet": dossier.packet, "policy": policy.digest}
