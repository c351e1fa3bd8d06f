"""Decide on what waits: approve, reject, take an approval back; delegate, and certify again.

Every decision is a person's, for one promotion and exactly what it was about (rules P3 and P4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.application.denying import denied_by_policy
from tidegate.application.packet import gather
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader, Transaction
from tidegate.application.promote import ASKED_AS, repeated_outcome
from tidegate.application.recording import again, draft, reason_text, record_refusal, refused
from tidegate.application.standing import itself, lifecycle, policy_in_force, stream
from tidegate.application.weighing import (
    Outcome,
    apply,
    approvals_on,
    denied_by,
    gate_asked,
    outcome_of,
    still,
    subject,
    weigh,
)
from tidegate.domain.actors import Permission, roles_that
from tidegate.domain.approval import gave
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Act, Action, Allowed, Dossier, Lifecycle, Reason
from tidegate.domain.lifecycle import Refused as Denied
from tidegate.domain.policy import Policy, Stage
from tidegate.domain.promotion import decide
from tidegate.domain.rollout import MAX_SHARE
from tidegate.domain.state import ActorRow, ApprovalRow, PromotionRow

#: What an approval may demand, and the least and most it may be.
CONDITIONS: Mapping[str, tuple[float, float]] = {
    MAX_SHARE: (0.01, 1.0),  # of the rows of a period that the version may decide
    "review_in_days": (1, 365),
    "lapses_in_days": (1, 3650),
}


@dataclass(frozen=True)
class Say:
    """How a person decides: in which role (empty: the one that the gate still lacks), for whom, on what conditions."""

    role: str = ""
    for_whom: str = ""
    conditions: Mapping[str, float] = field(default_factory=dict)


def resolve(
    platform: Platform,
    acting: Acting,
    model: str,
    version: int,
    action: Action,
    reason: str,
    say: Say | None = None,
) -> Outcome:
    """Record an approver's decision on the open promotion; where it was the last one needed, apply it.

    An approval stands even where applying is refused; that refusal is recorded beside it and told.

    Raises:
        Refused: with all reasons; the refusal is recorded. BadInput: no reason, no such version, an action that
            decides nothing, or a condition that nothing can enforce.
    """
    if action not in {Action.APPROVE, Action.REJECT}:
        raise BadInput("bad-action", f"got `{action}` as a decision, expected approve or reject", "pick one")
    said = say or Say()
    conditions = stated_conditions(said.conditions)
    text, key = reason_text(reason), acting.scoped_key(f"{action}:{model}:{version}")
    state = platform.ledger.state()
    life = lifecycle(state, model, version)
    if repeated := repeated_outcome(platform, key, model, version):
        return repeated
    # Gathered afresh: whatever differs from the packet that was requested makes that request stale (P3).
    # Rejecting needs no evidence, so that it works while a tool is down.
    gathered = gather(platform, state, life, life.versions[version]) if action is Action.APPROVE else None
    denied: tuple[Reason, ...] = ()
    with platform.ledger.transaction() as tx:
        if again(tx.recorded(key) if key else None):
            return outcome_of(tx, model, version)
        actor, untrue = itself(tx, acting)
        life = lifecycle(tx, model, version)
        policy = policy_in_force(platform, tx)
        dossier = Dossier(life.promotion.packet if life.promotion else "", (), None)
        asked_as = ASKED_AS[life.promotion.kind] if life.promotion else Action.PROMOTE
        if gathered is not None:
            gathered = still(platform, tx, life, version, gathered)
            dossier = weigh(platform, tx, policy, life, version, gathered, asked_as)
        before = approvals_on(tx, life)
        now = platform.clock.now()
        role = said.role or _role(life, policy, actor, said.for_whom, version, before)
        act = Act(action, version, role=role, for_whom=said.for_whom)
        target = life.promotion.target if life.promotion else ""
        untrue += denied_by_policy(policy, platform.expressions, life, act, actor, target)
        decision = decide(life, act, actor, dossier, before, policy, now)
        denied = denied_by(untrue, decision)
        if denied:
            about = subject(version, dossier, policy)
            record_refusal(tx, acting, stream(model), str(action), about, denied, key)
        else:
            _record(tx, acting, life, act, conditions, text, key)
            if action is Action.APPROVE and life.promotion is not None:
                requester = life.people[life.promotion.requester]
                asked = Act(asked_as, version, Stage(life.promotion.target))
                decision = decide(life, asked, requester, dossier, approvals_on(tx, life), policy, now)
                if isinstance(decision, Allowed):
                    apply(platform, tx, acting, life, decision, dossier, policy)
                elif isinstance(decision, Denied):
                    about = subject(version, dossier, policy)
                    record_refusal(tx, acting, stream(model), str(asked_as), about, decision.reasons)
        outcome = outcome_of(tx, model, version, decision)
    if denied:
        raise refused(str(action), denied, model=model, version=version)
    return outcome


def revoke(platform: Platform, acting: Acting, model: str, version: int, reason: str) -> Outcome:
    """Take one's approval back. A live version that it carried goes, and the last approved one comes back (P5).

    Raises:
        Refused: with all reasons; the refusal is recorded. BadInput: no reason, no such version.
    """
    text, key = reason_text(reason), acting.scoped_key(f"revoke:{model}:{version}")
    with platform.ledger.transaction() as tx:
        if again(tx.recorded(key) if key else None):
            return outcome_of(tx, model, version)
        actor, untrue = itself(tx, acting)
        life = _carrying(tx, lifecycle(tx, model, version), version)
        before, policy = approvals_on(tx, life), policy_in_force(platform, tx)
        nothing = Dossier("", (), None)
        now = platform.clock.now()
        decision = decide(life, Act(Action.REVOKE, version), actor, nothing, before, policy, now)
        denied = denied_by(untrue, decision)
        if denied:
            record_refusal(tx, acting, stream(model), "revoke", {"version": version}, denied, key)
        elif isinstance(decision, Allowed):
            own = next(row for row in before if gave(row, actor) and not row.revoked)
            payload = {
                "model": model,
                "version": version,
                "promotion": own.promotion,
                "approver": own.actor,
                "moves": [move.as_dict() for move in decision.moves],
            }
            revoked = EventType.APPROVAL_REVOKED
            tx.append(draft(acting, revoked, stream(model), payload, {"reason": text}, key, own.sequence))
        outcome = outcome_of(tx, model, version, decision)
    if denied:
        raise refused("revoke", denied, model=model, version=version)
    return outcome


def _carrying(state: StateReader, life: Lifecycle, version: int) -> Lifecycle:
    """Return the lifecycle with the promotion that a version's approvals were given on.

    It is the open one; of a version in prod, the one that took it there.
    """
    if life.promotion is not None and life.versions[version].stage != Stage.PROD:
        return life
    return replace(life, promotion=carrying(state, life.model.name, version))


def carrying(state: StateReader, model: str, version: int) -> PromotionRow | None:
    """Return the promotion that took a version into prod last."""
    rows = state.select(PromotionRow, model=model, version=version, target=str(Stage.PROD), status="applied")
    return max(rows, key=lambda row: row.sequence, default=None)


def _role(
    life: Lifecycle,
    policy: Policy,
    actor: ActorRow,
    for_whom: str,
    version: int,
    before: tuple[ApprovalRow, ...],
) -> str:
    """Return the role a decision is given in where nobody said: one that the gate still lacks, else any held."""
    speaker = life.people.get(for_whom, actor) if for_whom else actor
    held = [role for role in roles_that(Permission.APPROVE) if role in speaker.roles]
    asked_as = ASKED_AS[life.promotion.kind] if life.promotion else Action.PROMOTE
    gate = gate_asked(policy, life, version, asked_as)
    given = [row.role for row in before if row.outcome == "approve" and not row.revoked]
    lacking = [need.role for need in (gate.approvals if gate else ()) if given.count(need.role) < need.count]
    return next((role for role in (*lacking, *held) if role in held), "")


def _record(
    tx: Transaction,
    acting: Acting,
    life: Lifecycle,
    act: Act,
    conditions: Mapping[str, float],
    text: str,
    key: str | None,
) -> None:
    promotion = life.promotion
    assert promotion is not None  # deciding where nothing is open was refused before
    payload: dict[str, Any] = {
        "promotion": promotion.id,
        "role": act.role,
        "outcome": str(act.action),
        "model": promotion.model,
        "version": act.version,
        "artifact": promotion.artifact,
        "packet": promotion.packet,
        "policy": promotion.policy,
        "for_whom": act.for_whom,
        "conditions": dict(conditions),
    }
    kind = EventType.PROMOTION_APPROVED if act.action is Action.APPROVE else EventType.PROMOTION_REJECTED
    tx.append(
        draft(acting, kind, stream(promotion.model), payload, {"reason": text}, key, promotion.sequence)
    )


def stated_conditions(stated: Mapping[str, float]) -> dict[str, float]:
    """Return the conditions of an approval as they are recorded.

    Raises:
        BadInput: a condition that is not known, or not within what it may be.
    """
    for name, value in stated.items():
        if name not in CONDITIONS:
            known = ", ".join(CONDITIONS)
            raise BadInput("unknown-condition", f"got the condition `{name}`, expected one of: {known}", "")
        least, most = CONDITIONS[name]
        if not least <= value <= most or (name.endswith("_days") and value != int(value)):
            raise BadInput(
                "bad-condition",
                f"got {name} = {value:g}, expected {'a whole number' if name.endswith('_days') else 'a share'} "
                f"from {least:g} to {most:g}",
                "state another one",
            )
    return {name: int(value) if name.endswith("_days") else value for name, value in sorted(stated.items())}
