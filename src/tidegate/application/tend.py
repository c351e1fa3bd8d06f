"""What is due because time has passed: reminders, escalations, lapsed requests, and certificates that end.

Called by a clock. Each thing is written once, in the transaction that finds it due; called twice it does
nothing twice. Certifying again is a person's act.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader, Transaction
from tidegate.application.recording import again, draft, permit, reason_text, record_refusal, refused
from tidegate.application.resolve import carrying
from tidegate.application.standing import itself, lifecycle, policy_in_force
from tidegate.application.weighing import open_review, stream
from tidegate.domain.actors import Permission, permits
from tidegate.domain.approval import unfit
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.events import Draft, Event, EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import Reason, time_for
from tidegate.domain.policy import Certification, Deadline, Policy, Stage, Tier
from tidegate.domain.state import ModelRow, MonitorRow, PromotionRow, ReviewRow, VersionRow


def tend(platform: Platform, acting: Acting) -> tuple[Event, ...]:
    """Write everything that has become due; return what was written.

    Raises:
        Refused: rule A1, or no policy is in force.
    """
    permit(platform, acting, Permission.TEND, "approvals")
    written: list[Event] = []
    with platform.ledger.transaction() as tx:
        policy, now = policy_in_force(platform, tx), platform.clock.now()
        for asked in tx.select(PromotionRow, status="open"):
            time = time_for(tx.marks(), asked.sequence, now)
            written += [tx.append(each) for each in _chased(tx, acting, policy, asked, time)]
        for version in tx.select(VersionRow, stage=str(Stage.PROD)):
            written += _certificate(tx, acting, policy, version, now)
    return tuple(written)


def _chased(
    tx: StateReader, acting: Acting, policy: Policy, asked: PromotionRow, now: datetime
) -> Iterator[Draft]:
    """Yield what to do about people who have not decided yet: one step at a time, in this order."""
    deadline = _deadline(tx, policy, asked)
    if deadline is None or not asked.due_at:
        return
    due = utc_time(asked.due_at)
    opened = due - timedelta(days=deadline.due)
    about = {"promotion": asked.id, "model": asked.model, "version": asked.version}
    where = stream(asked.model)
    if deadline.lapse_after and now >= opened + timedelta(days=deadline.lapse_after):
        yield draft(acting, EventType.PROMOTION_LAPSED, where, about, causation=asked.sequence)
    elif deadline.escalate_to and now >= due and asked.chased != "escalated":
        told = {**about, "role": deadline.escalate_to}
        yield draft(acting, EventType.PROMOTION_ESCALATED, where, told, causation=asked.sequence)
    elif deadline.remind_after and now >= opened + timedelta(days=deadline.remind_after) and not asked.chased:
        yield draft(acting, EventType.PROMOTION_REMINDED, where, about, causation=asked.sequence)


def _deadline(state: StateReader, policy: Policy, asked: PromotionRow) -> Deadline | None:
    model = state.get(ModelRow, asked.model)
    gate = policy.gate(Tier(model.tier), Stage(asked.target)) if model else None
    return gate.deadline if gate else None


def _certificate(
    tx: Transaction, acting: Acting, policy: Policy, version: VersionRow, now: datetime
) -> list[Event]:
    """End a certificate that is over or that drift has ended, and ask for another one."""
    rule = _rule(tx, policy, version)
    because = _ended(tx, rule, version, now)
    about = {"model": version.model, "version": version.number}
    if not because or tx.select(ReviewRow, **about, kind="recertification", status="open"):
        return []
    since = version.certified_until if because == "age" else utc_text(now)
    payload = {**about, "because": because, "since": since}
    event = tx.append(draft(acting, EventType.CERTIFICATION_LAPSED, stream(version.model), payload))
    cause = f"the approval of version {version.number} lapsed by {because}"
    days, role = (rule.review_days, rule.role) if rule else (14, "approver")
    open_review(tx, acting, version, "recertification", cause, role, now, days, event)
    return [event]


def _rule(state: StateReader, policy: Policy, version: VersionRow) -> Certification | None:
    model = state.get(ModelRow, version.model)
    return policy.certification.get(Tier(model.tier)) if model else None


def _ended(state: StateReader, rule: Certification | None, version: VersionRow, now: datetime) -> str:
    """Return what ended a certificate: age, drift, or nothing."""
    certified = _certified_at(state, version)
    if version.certified_until and utc_time(version.certified_until) <= time_for(
        state.marks(), certified, now
    ):
        return "age"
    if rule is None or not rule.on_drift:
        return ""
    runs = state.select(MonitorRow, model=version.model, version=version.number, verdict=str(Verdict.FAILED))
    return "drift" if any(row.sequence > certified for row in runs) else ""


def _certified_at(state: StateReader, version: VersionRow) -> int:
    """Return the sequence since which a version is certified: it went live, or was certified again."""
    again_at = [
        row.sequence
        for row in state.select(
            ReviewRow, model=version.model, version=version.number, kind="recertification", status="decided"
        )
    ]
    return max([version.prod_sequence, *again_at])


def recertify(platform: Platform, acting: Acting, model: str, version: int, reason: str) -> VersionRow:
    """Say that a live version's approval holds for another term; it closes the review that asked for it.

    Raises:
        Refused: rules A1, A2 and P4, or the version is not in prod, or its policy has no term; recorded.
        BadInput: no reason, no such version.
    """
    text, key = reason_text(reason), acting.scoped_key(f"recertify:{model}:{version}")
    with platform.ledger.transaction() as tx:
        life = replace(lifecycle(tx, model, version), promotion=carrying(tx, model, version))
        row = life.versions[version]
        if again(tx.recorded(key) if key else None):
            return row
        actor, denied = itself(tx, acting)
        if not permits(actor, Permission.APPROVE):
            sentence = f"{actor.id} holds no role that permits `{Permission.APPROVE}`"
            denied.append(Reason("not-permitted", "A1", sentence, "ask an approver"))
        denied += unfit(life, row, actor, ())
        rule = _rule(tx, policy_in_force(platform, tx), row)
        term = rule.days if rule else row.conditions.get("lapses_in_days")
        if row.stage != Stage.PROD or term is None:
            got = (
                f"version {version} stands in {row.stage}" if term else "the policy has no term for its tier"
            )
            denied.append(Reason("nothing-to-certify", "P3", got, "only a live version is certified again"))
        if denied:
            record_refusal(tx, acting, stream(model), "recertify", {"version": version}, denied, key)
        elif term is not None:
            until = utc_text(platform.clock.now() + timedelta(days=term))
            payload = {"model": model, "version": version, "until": until}
            done = EventType.VERSION_RECERTIFIED
            tx.append(draft(acting, done, stream(model), payload, {"reason": text}, key))
            row = tx.get(VersionRow, model, version) or row
    if denied:
        raise refused("recertify", denied, model=model, version=version)
    return row


def overdue(state: StateReader, now: datetime) -> tuple[ReviewRow, ...]:
    """Return the open reviews whose time is over, the oldest first."""
    marks = state.marks()
    late = [
        row
        for row in state.select(ReviewRow, status="open")
        if utc_time(row.due_at) < time_for(marks, row.sequence, now)
    ]
    return tuple(sorted(late, key=lambda row: row.due_at))
