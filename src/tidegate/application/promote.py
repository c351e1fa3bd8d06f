"""Request, approve, reject and apply promotions; roll back, stop, demote and retire.

Every act is decided by ``domain.promotion.decide`` in the transaction that records it, for the actor as the
ledger has them there. What an act needs from outside (evidence, a tried way back) is gathered before, and
bound by digest; where the champion changed in between, it is gathered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tidegate.application.judgement import findings
from tidegate.application.packet import Gathered, gather, packet_digest
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader, Transaction
from tidegate.application.recording import again, draft, reason_text, record_refusal, refused
from tidegate.application.standing import itself, lifecycle, policy_in_force
from tidegate.domain.errors import BadInput, TidegateError
from tidegate.domain.events import Event, EventType
from tidegate.domain.lifecycle import Act, Action, Allowed, Decision, Dossier, Lifecycle, Reason, Waiting
from tidegate.domain.lifecycle import Refused as Denied
from tidegate.domain.policy import Policy, ReviewRule, Stage, Tier
from tidegate.domain.promotion import TRANSITIONS, decide
from tidegate.domain.state import (
    ApprovalRow,
    PacketRow,
    PromotionRow,
    VersionRow,
)

__all__ = [
    "LADDER",
    "Outcome",
    "climb",
    "lifecycle",
    "lower",
    "policy_in_force",
    "preview",
    "request",
    "resolve",
]


@dataclass(frozen=True)
class Outcome:
    """What came of an act: where the version stands, and what it waits for or is held back by."""

    model: str
    version: int
    stage: str
    promotion: str
    waits: tuple[Reason, ...] = ()


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


def _promoting(model: str, version: int) -> str:
    return f"promote:{model}:{version}"


def request(platform: Platform, acting: Acting, model: str, version: int, to: Stage | None = None) -> Outcome:
    """Ask for the next stage up. Allowed: it is applied at once. Waiting: the request stays open for people.

    Whoever may ask again after an answer was lost names the stage in ``to``: "the next one" may be another
    then. A version that stands there already, or above, is left alone.

    Raises:
        Refused: with all reasons; the refusal is recorded. BadInput: no such model or version.
    """
    key = acting.scoped_key(_promoting(model, version))
    state = platform.ledger.state()
    life = lifecycle(state, model, version)
    if repeated := _repeated(platform, key, model, version):
        return repeated
    gathered = gather(platform, state, life, life.versions[version])
    denied: tuple[Reason, ...] = ()
    with platform.ledger.transaction() as tx:
        if again(tx.recorded(key) if key else None):
            return _outcome(tx, model, version)
        life = lifecycle(tx, model, version)
        if to is not None and _height(life.versions[version].stage) >= _height(to):
            return _outcome(tx, model, version)  # somebody else was faster
        actor, untrue = itself(tx, acting)
        gathered = _still(platform, tx, life, version, gathered)
        policy = policy_in_force(platform, tx)
        dossier = _dossier(platform, policy, life, version, gathered)
        approvals = _approvals(tx, life)
        decision = decide(
            life, Act(Action.PROMOTE, version, to), actor, dossier, approvals, policy, platform.clock.now()
        )
        denied = _denied(untrue, decision)
        if denied:
            if any(reason.rule not in {"A1", "A2"} for reason in denied):
                _seal(tx, acting, life.versions[version], gathered.facts, dossier)
            record_refusal(
                tx, acting, _stream(model), "promote", _subject(version, dossier, policy), denied, key
            )
        else:
            asked, opened = _open(tx, acting, life, version, gathered.facts, dossier, policy, key)
            if isinstance(decision, Allowed):
                _apply(tx, acting, asked, decision, dossier, policy, None if opened else key)
        outcome = _outcome(tx, model, version, decision)
    if denied:
        raise refused("promote", denied, model=model, version=version)
    return outcome


def resolve(
    platform: Platform, acting: Acting, model: str, version: int, action: Action, reason: str
) -> Outcome:
    """Record an approver's decision on the open promotion; where it was the last one needed, apply it.

    An approval stands even where applying is refused; that refusal is recorded beside it and told.

    Raises:
        Refused: with all reasons; the refusal is recorded. BadInput: no reason, no such version, or an
            action that decides nothing.
    """
    if action not in {Action.APPROVE, Action.REJECT}:
        raise BadInput("bad-action", f"got `{action}` as a decision, expected approve or reject", "pick one")
    text, key = reason_text(reason), acting.scoped_key(f"{action}:{model}:{version}")
    state = platform.ledger.state()
    life = lifecycle(state, model, version)
    if repeated := _repeated(platform, key, model, version):
        return repeated
    # Gathered afresh: whatever differs from the packet that was requested makes that request stale (P3).
    # Rejecting needs no evidence, so that it works while a tool is down.
    gathered = gather(platform, state, life, life.versions[version]) if action is Action.APPROVE else None
    denied: tuple[Reason, ...] = ()
    with platform.ledger.transaction() as tx:
        if again(tx.recorded(key) if key else None):
            return _outcome(tx, model, version)
        actor, untrue = itself(tx, acting)
        life = lifecycle(tx, model, version)
        policy = policy_in_force(platform, tx)
        dossier = Dossier(life.promotion.packet if life.promotion else "", (), None)
        if gathered is not None:
            gathered = _still(platform, tx, life, version, gathered)
            dossier = _dossier(platform, policy, life, version, gathered)
        before = _approvals(tx, life)
        now = platform.clock.now()
        decision = decide(life, Act(action, version), actor, dossier, before, policy, now)
        denied = _denied(untrue, decision)
        subject = _subject(version, dossier, policy)
        if denied:
            record_refusal(tx, acting, _stream(model), str(action), subject, denied, key)
        else:
            _record_decision(tx, acting, life, version, action, text, key)
            if action is Action.APPROVE and life.promotion is not None:
                requester = life.people[life.promotion.requester]
                asked = Act(Action.PROMOTE, version, Stage(life.promotion.target))
                decision = decide(life, asked, requester, dossier, _approvals(tx, life), policy, now)
                if isinstance(decision, Allowed):
                    _apply(tx, acting, life, decision, dossier, policy)
                elif isinstance(decision, Denied):
                    record_refusal(tx, acting, _stream(model), "promote", subject, decision.reasons)
        outcome = _outcome(tx, model, version, decision)
    if denied:
        raise refused(str(action), denied, model=model, version=version)
    return outcome


#: What goes down asks no policy: neither a missing nor a broken one may stand in the way of a rollback (P5).
_UNASKED = Policy("none", "0", "", "", {}, ReviewRule((), 1, ""))

_DOWN = {
    Action.ROLL_BACK: EventType.MODEL_ROLLED_BACK,
    Action.STOP: EventType.MODEL_STOPPED,
    Action.DEMOTE: EventType.VERSION_DEMOTED,
    Action.RETIRE: EventType.VERSION_RETIRED,
}


def lower(
    platform: Platform,
    acting: Acting,
    model: str,
    action: Action,
    reason: str,
    version: int | None = None,
    to: Stage | None = None,
) -> Outcome:
    """Roll back or stop what is in prod, or demote or retire a version. It waits for nobody (rule P5).

    Raises:
        Refused: with all reasons; the refusal is recorded. BadInput: no reason, no such version, or an
            action that takes nothing down.
    """
    if action not in _DOWN:
        raise BadInput("bad-action", f"got `{action}`, expected one of: {', '.join(_DOWN)}", "pick one")
    text = reason_text(reason)
    # Scoped by what was asked for, not by what was in prod then: repeated, it must not reach the next one.
    key = acting.scoped_key(f"{action}:{model}:{version or 'prod'}")
    denied: tuple[Reason, ...] = ()
    with platform.ledger.transaction() as tx:
        life = lifecycle(tx, model, version)
        earlier = again(tx.recorded(key) if key else None)
        if earlier is not None:
            return _outcome(tx, model, int(earlier.payload["moves"][-1]["version"]))
        actor, untrue = itself(tx, acting)
        current = life.in_prod()
        number = version or (current.number if current else 0)
        nothing = Dossier("", (), None)
        if number == 0:
            sentence = f"{model} has no version in prod"
            denied = (*untrue, Reason("nothing-in-prod", "P1", sentence, f"see `tidegate versions {model}`"))
        else:
            now = platform.clock.now()
            decision = decide(life, Act(action, number, to), actor, nothing, (), _UNASKED, now)
            denied = _denied(untrue, decision)
        if denied:
            record_refusal(tx, acting, _stream(model), str(action), {"version": number}, denied, key)
            outcome = Outcome(model, number, "", "")
        elif isinstance(decision, Allowed):
            moves = [move.as_dict() for move in decision.moves]
            payload = {"model": model, "moves": moves}
            tx.append(draft(acting, _DOWN[action], _stream(model), payload, {"reason": text}, key))
            outcome = _outcome(tx, model, int(moves[-1]["version"]))
    if denied:
        raise refused(str(action), denied, model=model, version=number)
    return outcome


def preview(platform: Platform, model: str, version: int) -> tuple[Decision, Dossier, Policy]:
    """Return what asking for the next stage would yield now, without writing anything.

    It is asked for whoever requested the promotion, or registered the version: who reads is not who asks.

    Raises:
        BadInput: no such model or version.
    """
    return _look(platform, model, version)


def _look(platform: Platform, model: str, version: int) -> tuple[Decision, Dossier, Policy]:
    """Decide on the next stage for whoever requested it, or registered the version, and write nothing."""
    state = platform.ledger.state()
    life = lifecycle(state, model, version)
    policy = policy_in_force(platform, state)
    gathered = gather(platform, state, life, life.versions[version])
    dossier = _dossier(platform, policy, life, version, gathered)
    asker = life.promotion.requester if life.promotion else life.versions[version].registrar
    actor = life.people[asker]
    act, now = Act(Action.PROMOTE, version), platform.clock.now()
    return decide(life, act, actor, dossier, _approvals(state, life), policy, now), dossier, policy


def _repeated(platform: Platform, key: str | None, model: str, version: int) -> Outcome | None:
    """Return where a version stands, and what it still waits for, if this key's act has happened already.

    Raises:
        Refused: what happened was a refusal.
    """
    if key is None:
        return None
    with platform.ledger.transaction() as tx:
        if again(tx.recorded(key)) is None:
            return None
        outcome = _outcome(tx, model, version)
    if not outcome.promotion:
        return outcome
    decision, _, _ = _look(platform, model, version)
    return _outcome(platform.ledger.state(), model, version, decision)


def _denied(untrue: Sequence[Reason], decision: Decision) -> tuple[Reason, ...]:
    """Return all reasons why an act may not happen; waiting for people is none."""
    return (*untrue, *(decision.reasons if isinstance(decision, Denied) else ()))


def _still(
    platform: Platform, tx: Transaction, life: Lifecycle, version: int, gathered: Gathered
) -> Gathered:
    """Return what was gathered, or gather again where it was measured against what is there no more.

    Then the lock is held while other tools answer: rare, and the only way to decide on what is true now.
    """
    row = life.versions[version]
    return gathered if gathered.fits(tx, life, row) else gather(platform, tx, life, row)


def _next(life: Lifecycle, version: int) -> Stage | None:
    targets = TRANSITIONS.get((Stage(life.versions[version].stage), Action.PROMOTE))
    return targets[0] if targets else None


def _dossier(
    platform: Platform, policy: Policy, life: Lifecycle, version: int, gathered: Gathered
) -> Dossier:
    target = _next(life, version)
    gate = policy.gate(Tier(life.model.tier), target) if target else None
    found = findings(gate, {"packet": gathered.facts}, platform.expressions) if gate else ()
    return Dossier(packet_digest(gathered.facts), found, gathered.way_back)


def _open(
    tx: Transaction,
    acting: Acting,
    life: Lifecycle,
    version: int,
    facts: dict[str, Any],
    dossier: Dossier,
    policy: Policy,
    key: str | None,
) -> tuple[Lifecycle, bool]:
    """Seal the packet, and open the request, unless the very same one is open already."""
    row, target = life.versions[version], str(_next(life, version))
    _seal(tx, acting, row, facts, dossier)
    now = (dossier.packet, policy.digest, target)
    before = life.promotion
    if opened := before is None or (before.packet, before.policy, before.target) != now:
        payload = {
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
        }
        tx.append(draft(acting, EventType.PROMOTION_REQUESTED, _stream(row.model), payload, key=key))
    return lifecycle(tx, row.model, version), opened


def _seal(tx: Transaction, acting: Acting, row: VersionRow, facts: dict[str, Any], dossier: Dossier) -> None:
    """Seal the packet if it is new. What a refusal speaks of is sealed too: an auditor must be able to read it."""
    if tx.get(PacketRow, dossier.packet) is None:
        payload = {"digest": dossier.packet, "model": row.model, "version": row.number, "body": facts}
        tx.append(draft(acting, EventType.PACKET_SEALED, _stream(row.model), payload))


def _apply(
    tx: Transaction,
    acting: Acting,
    life: Lifecycle,
    decision: Allowed,
    dossier: Dossier,
    policy: Policy,
    key: str | None = None,
) -> Event:
    promotion = life.promotion
    assert promotion is not None  # opened in this transaction, or open when it was approved
    way_back = dossier.way_back
    payload = {
        "model": life.model.name,
        "promotion": promotion.id,
        "moves": [move.as_dict() for move in decision.moves],
        "packet": dossier.packet,
        "policy": policy.digest,
        "preconditions": {
            "way_back": {"kind": way_back.kind, "name": way_back.name, "verified": way_back.verified}
            if way_back
            else None
        },
        "findings": [
            {"demand": each.demand, "verdict": str(each.verdict), "sentence": each.sentence}
            for each in dossier.findings
        ],
    }
    stream = _stream(life.model.name)
    return tx.append(
        draft(acting, EventType.PROMOTION_APPLIED, stream, payload, key=key, causation=promotion.sequence)
    )


def _record_decision(
    tx: Transaction, acting: Acting, life: Lifecycle, version: int, action: Action, text: str, key: str | None
) -> None:
    promotion = life.promotion
    assert promotion is not None  # deciding where nothing is open was refused above
    payload = {
        "promotion": promotion.id,
        "role": "approver",
        "outcome": str(action),
        "model": promotion.model,
        "version": version,
        "artifact": promotion.artifact,
        "packet": promotion.packet,
        "policy": promotion.policy,
    }
    kind = EventType.PROMOTION_APPROVED if action is Action.APPROVE else EventType.PROMOTION_REJECTED
    tx.append(
        draft(
            acting,
            kind,
            _stream(promotion.model),
            payload,
            {"reason": text},
            key,
            causation=promotion.sequence,
        )
    )


def _approvals(state: StateReader, life: Lifecycle) -> tuple[ApprovalRow, ...]:
    return state.select(ApprovalRow, promotion=life.promotion.id) if life.promotion else ()


def _outcome(state: StateReader, model: str, version: int, decision: Decision | None = None) -> Outcome:
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


def _subject(version: int, dossier: Dossier, policy: Policy) -> dict[str, Any]:
    return {"version": version, "packet": dossier.packet, "policy": policy.digest}


def _stream(model: str) -> str:
    return f"model/{model}"
