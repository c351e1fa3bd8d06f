"""Ask a version up: stage by stage, in the regular way or by break-glass.

Every act is decided by ``domain.promotion.decide`` in the transaction that records it, for the actor as the
ledger has them there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tidegate.application.denying import denied_by_policy
from tidegate.application.packet import gather
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Transaction
from tidegate.application.recording import again, draft, reason_text, record_refusal, refused
from tidegate.application.standing import itself, lifecycle, policy_in_force, stream
from tidegate.application.weighing import (
    Outcome,
    apply,
    approvals_on,
    denied_by,
    gate_asked,
    next_stage,
    outcome_of,
    seal,
    still,
    subject,
    weigh,
)
from tidegate.domain.approval import counted
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Act, Action, Allowed, Decision, Dossier, Lifecycle, Reason
from tidegate.domain.lifecycle import Refused as Denied
from tidegate.domain.policy import Policy, Stage
from tidegate.domain.promotion import decide

LADDER = (Stage.STAGING, Stage.CANARY, Stage.PROD)


def climb(platform: Platform, acting: Acting, model: str, version: int, to: Stage | None = None) -> Outcome:
    """Ask for one stage after the other up to ``to``, until one waits for people or is refused.

    Without ``to`` a version goes as far as canary, and one that stands there is asked into prod: between the
    two lies the period that it scores beside the live version.

    Raises:
        Refused: with all reasons; the refusal is recorded. BadInput: no such model, version or stage.
    """
    if to is not None and to not in LADDER:
        raise BadInput("bad-stage", f"got the stage `{to}`, expected staging, canary or prod", "pick one")
    stage = lifecycle(platform.ledger.state(), model, version).versions[version].stage
    steps = [(step, replace(acting, key=acting.key and f"{acting.key}:{step}")) for step in LADDER]
    begun = _begun(
        platform, model, version, [keyed for _, keyed in steps[: LADDER.index(to or Stage.PROD) + 1]]
    )
    if to is None:  # a repeat goes where the act went, not on from where that led
        up = Stage.PROD if stage == Stage.CANARY else Stage.CANARY
        to = up if begun is None else LADDER[max(begun, LADDER.index(Stage.CANARY))]
    outcome = Outcome(model, version, stage, "")
    for step, keyed in steps[begun or 0 : LADDER.index(to) + 1]:
        if _height(outcome.stage) >= _height(step):
            continue
        outcome = request(platform, keyed, model, version, step)
        if _height(outcome.stage) < _height(step):
            break
    return outcome


def _begun(platform: Platform, model: str, version: int, steps: Sequence[Acting]) -> int | None:
    """Return the last step that was asked for under its key: a climb goes on there, and repeats none below.

    None: none was, or there is no key.

    A version that climbed and was rolled back does not climb again because somebody repeats the same act.
    """
    keys = [keyed.scoped_key(_promoting(model, version)) for keyed in steps]
    if not any(keys):
        return None
    with platform.ledger.transaction() as tx:
        return max((index for index, key in enumerate(keys) if key and tx.recorded(key)), default=None)


def _height(stage: str) -> int:
    return LADDER.index(Stage(stage)) if stage in LADDER else -1


def _promoting(model: str, version: int, action: Action = Action.PROMOTE) -> str:
    return f"{action}:{model}:{version}"


def request(
    platform: Platform,
    acting: Acting,
    model: str,
    version: int,
    to: Stage | None = None,
    action: Action = Action.PROMOTE,
    reason: str = "",
) -> Outcome:
    """Ask for the next stage up. Allowed: it is applied at once. Waiting: the request stays open for people.

    Whoever may ask again after an answer was lost names the stage in ``to``: "the next one" may be another
    then. A version that stands there already, or above, is left alone. ``action`` may be break-glass, which
    takes a reason (P9).

    Raises:
        Refused: with all reasons; the refusal is recorded. BadInput: no such model or version, no reason for
            break-glass.
    """
    texts = {"reason": reason_text(reason)} if action is Action.BREAK_GLASS else {}
    key = acting.scoped_key(_promoting(model, version, action))
    state = platform.ledger.state()
    life = lifecycle(state, model, version)
    if repeated := repeated_outcome(platform, key, model, version):
        return repeated
    gathered = gather(platform, state, life, life.versions[version])
    denied: tuple[Reason, ...] = ()
    with platform.ledger.transaction() as tx:
        if again(tx.recorded(key) if key else None):
            return outcome_of(tx, model, version)
        life = lifecycle(tx, model, version)
        if to is not None and _height(life.versions[version].stage) >= _height(to):
            return outcome_of(tx, model, version)  # somebody else was faster
        actor, untrue = itself(tx, acting)
        gathered = still(platform, tx, life, version, gathered)
        policy = policy_in_force(platform, tx)
        dossier = weigh(platform, tx, policy, life, version, gathered, action)
        now = platform.clock.now()
        # What was decided on a request of the other kind is about another gate.
        approvals = approvals_on(tx, life) if life.promotion and life.promotion.kind == _KIND[action] else ()
        act, target = Act(action, version, to), str(to or next_stage(life, version, action) or "")
        untrue += denied_by_policy(policy, platform.expressions, life, act, actor, target)
        decision = decide(life, act, actor, dossier, approvals, policy, now)
        denied = denied_by(untrue, decision)
        if denied:
            if any(each.rule not in {"A1", "A2"} for each in denied):
                seal(platform, tx, acting, life.versions[version], gathered.facts, dossier)
            record_refusal(
                tx, acting, stream(model), str(action), subject(version, dossier, policy), denied, key
            )
        else:
            seal(platform, tx, acting, life.versions[version], gathered.facts, dossier)
            asked, opened = _open(tx, acting, life, version, dossier, policy, action, texts, now, key)
            if isinstance(decision, Allowed):
                apply(platform, tx, acting, asked, decision, dossier, policy, None if opened else key)
        outcome = outcome_of(tx, model, version, decision)
    if denied:
        raise refused(str(action), denied, model=model, version=version)
    return outcome


#: What kind of request an act opens, and the act that a request of a kind is applied as.
_KIND = {Action.PROMOTE: "regular", Action.BREAK_GLASS: "break_glass"}
ASKED_AS = {kind: action for action, kind in _KIND.items()}


def preview(
    platform: Platform, model: str, version: int, policy: Policy | None = None
) -> tuple[Decision, Dossier, Policy]:
    """Return what asking for the next stage would yield now, without writing anything.

    It is asked for whoever requested the promotion, or registered the version: who reads is not who asks.
    ``policy``: as if that one were in force.

    Raises:
        BadInput: no such model or version.
    """
    state = platform.ledger.state()
    life = lifecycle(state, model, version)
    policy = policy or policy_in_force(platform, state)
    gathered = gather(platform, state, life, life.versions[version])
    action = ASKED_AS[life.promotion.kind] if life.promotion else Action.PROMOTE
    dossier = weigh(platform, state, policy, life, version, gathered, action)
    asker = life.promotion.requester if life.promotion else life.versions[version].registrar
    actor = life.people[asker]
    act, now = Act(action, version), platform.clock.now()
    decision = decide(life, act, actor, dossier, approvals_on(state, life), policy, now)
    target = str(next_stage(life, version, action) or "")
    if barred := denied_by_policy(policy, platform.expressions, life, act, actor, target):
        decision = Denied(denied_by(barred, decision))
    return decision, dossier, policy


def void_approvals(
    platform: Platform, model: str, version: int, dossier: Dossier, policy: Policy
) -> tuple[Reason, ...]:
    """Return why approvals of the open promotion count no more, whatever else stands in its way (P3, P4)."""
    state = platform.ledger.state()
    life = lifecycle(state, model, version)
    given, now = approvals_on(state, life), platform.clock.now()
    return tuple(counted(life, life.versions[version], dossier, given, policy, now)[1])


def repeated_outcome(platform: Platform, key: str | None, model: str, version: int) -> Outcome | None:
    """Return where a version stands, and what it still waits for, if this key's act has happened already.

    Raises:
        Refused: what happened was a refusal.
    """
    if key is None:
        return None
    with platform.ledger.transaction() as tx:
        if again(tx.recorded(key)) is None:
            return None
        outcome = outcome_of(tx, model, version)
    if not outcome.promotion:
        return outcome
    decision, _, _ = preview(platform, model, version)
    return outcome_of(platform.ledger.state(), model, version, decision)


def _open(
    tx: Transaction,
    acting: Acting,
    life: Lifecycle,
    version: int,
    dossier: Dossier,
    policy: Policy,
    action: Action,
    texts: dict[str, str],
    now: datetime,
    key: str | None,
) -> tuple[Lifecycle, bool]:
    """Open the request, unless the very same one is open already."""
    row, target = life.versions[version], str(next_stage(life, version, action))
    before, asked = life.promotion, (dossier.packet, policy.digest, target, _KIND[action])
    if opened := before is None or (before.packet, before.policy, before.target, before.kind) != asked:
        gate = gate_asked(policy, life, version, action)
        deadline = gate.deadline if gate else None
        payload: dict[str, Any] = {
            "id": f"{row.model}-P{life.model.promotions + 1}",
            "model": row.model,
            "version": version,
            "source": row.stage,
            "target": target,
            "requester": acting.actor.id,
            "on_behalf_of": acting.on_behalf_of or "",
            "artifact": row.artifact,
            "packet": dossier.packet,
            "policy": policy.digest,
            "kind": _KIND[action],
            "due_at": utc_text(now + timedelta(days=deadline.due)) if deadline else "",
        }
        tx.append(draft(acting, EventType.PROMOTION_REQUESTED, stream(row.model), payload, texts, key))
    return lifecycle(tx, row.model, version), opened
