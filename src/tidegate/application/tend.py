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
from tidegate.application.standing import itself, lifecycle, policy_in_force, stream
from tidegate.application.weighing import open_review
from tidegate.domain.actors import Permission, permits
from tidegate.domain.approval import unfit
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.events import Draft, Event, EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import Reason, time_for
from tidegate.domain.policy import Certification, Deadline, Policy, Stage, Tier
from tidegate.domain.reviewing import RECERTIFICATION
from tidegate.domain.state import ModelRow, MonitorRow, PromotionRow, ReviewRow, VersionRow

#: How long a certificate may be owed where only a condition, and no policy, had set its term.
REVIEW_DAYS = 14


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
    deadline = deadline_of(tx, policy, asked)
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


def deadline_of(state: StateReader, policy: Policy, asked: PromotionRow) -> Deadline | None:
    """Return the deadline of the gate that a request asks to pass, None where the policy in force has none."""
    model = state.get(ModelRow, asked.model)
    gate = policy.gate_of(asked.kind, Tier(model.tier), Stage(asked.target)) if model else None
    return gate.deadline if gate else None


def _certificate(
    tx: Transaction, acting: Acting, policy: Policy, version: VersionRow, now: datetime
) -> list[Event]:
    """End a certificate that is over or that drift has ended, and ask for another one."""
    rule = certifying_rule(tx, policy, version)
    because = ended(tx, rule, version, now)
    about = {"model": version.model, "version": version.number}
    if not because or asked_again(tx, version):
        return []
    since = version.certified_until if because == "age" else utc_text(now)
    payload = {**about, "because": because, "since": since}
    event = tx.append(draft(acting, EventType.CERTIFICATION_LAPSED, stream(version.model), payload))
    cause = f"the approval of version {version.number} lapsed by {because}"
    days = rule.review_days if rule else REVIEW_DAYS
    open_review(tx, acting, version, RECERTIFICATION, cause, certifier(rule), now, days, event)
    return [event]


def certifying_rule(state: StateReader, policy: Policy, version: VersionRow) -> Certification | None:
    """Return the policy's term for a version's tier, None where it has none."""
    model = state.get(ModelRow, version.model)
    return policy.certification.get(Tier(model.tier)) if model else None


def ended(state: StateReader, rule: Certification | None, version: VersionRow, now: datetime) -> str:
    """Return what ended a certificate: age, drift, or nothing."""
    time = time_for(state.marks(), version.certified_sequence, now)
    if version.certified_until and utc_time(version.certified_until) <= time:
        return "age"
    return "drift" if drifted(state, rule, version) else ""


def drifted(state: StateReader, rule: Certification | None, version: VersionRow) -> bool:
    """Say whether a monitor failed since a version was certified, where that ends its certificate."""
    if rule is None or not rule.on_drift:
        return False
    runs = state.select(MonitorRow, model=version.model, version=version.number, verdict=str(Verdict.FAILED))
    return any(row.sequence > version.certified_sequence for row in runs)


def recertify(platform: Platform, acting: Acting, model: str, version: int, reason: str) -> VersionRow:
    """Say that a live version's approval holds for another term; it closes the review that asked for it.

    Raises:
        Refused: rules A1, A2 and P4, or the version is not in prod, or neither its policy has a term nor a
            review asks for it; recorded.
        BadInput: no reason, no such version.
    """
    text, key = reason_text(reason), acting.scoped_key(f"recertify:{model}:{version}")
    with platform.ledger.transaction() as tx:
        life = replace(lifecycle(tx, model, version), promotion=carrying(tx, model, version))
        row = life.versions[version]
        if again(tx.recorded(key) if key else None):
            return row
        actor, denied = itself(tx, acting)
        policy, asked = policy_in_force(platform, tx), asked_again(tx, row)
        rule = certifying_rule(tx, policy, row)
        role, term = certifier(rule), certified_days(rule, row)
        if not permits(actor, Permission.APPROVE):
            sentence = f"{actor.id} holds no role that permits `{Permission.APPROVE}`"
            denied.append(Reason("not-permitted", "A1", sentence, "ask an approver"))
        elif role not in actor.roles:
            sentence = f"the policy asks for the role `{role}`, which {actor.id} does not hold"
            denied.append(Reason("wrong-role", "P4", sentence, "ask somebody who holds that role"))
        denied += unfit(life, row, actor, ())
        if row.stage != Stage.PROD or (term is None and not asked):
            live = row.stage == Stage.PROD
            got = (
                "the policy has no term for its tier" if live else f"version {version} stands in {row.stage}"
            )
            denied.append(Reason("nothing-to-certify", "P3", got, "only a live version is certified again"))
        if denied:
            record_refusal(tx, acting, stream(model), "recertify", {"version": version}, denied, key)
        else:
            approved = life.promotion
            assert approved is not None  # whatever is live was let in by a promotion
            payload = {
                "model": model,
                "version": version,
                "role": role,
                "artifact": row.artifact,
                "packet": approved.packet,
                "policy": policy.digest,
                "until": term_end(term, platform.clock.now()),
            }
            done = EventType.VERSION_RECERTIFIED
            tx.append(draft(acting, done, stream(model), payload, {"reason": text}, key))
            row = tx.get(VersionRow, model, version) or row
    if denied:
        raise refused("recertify", denied, model=model, version=version)
    return row


def asked_again(state: StateReader, version: VersionRow) -> tuple[ReviewRow, ...]:
    """Return the open reviews that ask for a version to be certified again."""
    about = {"model": version.model, "version": version.number}
    return state.select(ReviewRow, **about, kind=RECERTIFICATION, status="open")


def certifier(rule: Certification | None) -> str:
    """Return the role that certifies again: the policy's, else that of the first approval."""
    return rule.role if rule else "approver"


def certified_days(rule: Certification | None, version: VersionRow) -> int | None:
    """Return for how many days a version is certified again: the policy's term, else the approval's; None: no term."""
    return rule.days if rule else version.conditions.get("lapses_in_days")


def term_end(term: int | None, now: datetime) -> str:
    """Return until when a new certificate holds; without end where no policy has a term any more."""
    return utc_text(now + timedelta(days=term)) if term is not None else ""
