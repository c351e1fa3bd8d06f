"""Judge what the record says of promotions, and of ways down (see `lawfulness`).

P1  a version moves as `domain.promotion.decide` says, and no other moves with it
P2  what was found in the packet then is what the policy finds in it today
P3  a request, its approvals and what is applied speak of one version, artifact, packet and policy
P4  whoever asks is named as who asked; a role decides that its holder has
P8  nothing that the policy asks for before prod is left unsaid
P9  what is applied is of the kind that was requested
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tidegate.application.denying import denied_by_policy
from tidegate.application.judgement import findings
from tidegate.application.lawful_freshness import applied as of_views
from tidegate.application.lawful_policy import Ground
from tidegate.application.lower import UNASKED
from tidegate.application.moments import at_once
from tidegate.application.packet import packet_digest
from tidegate.application.predating import dated
from tidegate.application.promote import ASKED_AS
from tidegate.application.resolve import stated_conditions
from tidegate.application.standing import lifecycle
from tidegate.application.weighing import agreed, certified_until, gate_asked
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import (
    Act,
    Action,
    Allowed,
    Decision,
    Dossier,
    Lifecycle,
    Precondition,
    WayBack,
)
from tidegate.domain.policy import Finding, Stage, Tier
from tidegate.domain.promotion import TRANSITIONS, decide
from tidegate.domain.state import ActorRow, ApprovalRow, PacketRow, PromotionRow, VersionRow

Breaches = Iterator[tuple[str, str]]

#: Which action each event of a way down records.
DOWN: Mapping[EventType, Action] = {
    EventType.MODEL_ROLLED_BACK: Action.ROLL_BACK,
    EventType.MODEL_STOPPED: Action.STOP,
    EventType.VERSION_DEMOTED: Action.DEMOTE,
    EventType.VERSION_RETIRED: Action.RETIRE,
}
#: Which decision each event of an approver records.
DECISIONS: Mapping[EventType, Action] = {
    EventType.PROMOTION_APPROVED: Action.APPROVE,
    EventType.PROMOTION_REJECTED: Action.REJECT,
}

_BOUND = ("model", "version", "artifact", "packet", "policy")


def breaches(ground: Ground, event: Event) -> Breaches:
    """Yield (rule, sentence) of each breach by an event of these kinds; of others, nothing."""
    judge = JUDGES.get(event.type)
    return judge(ground, event) if judge else iter(())


def _lowered(ground: Ground, event: Event) -> Breaches:
    own = event.payload["moves"][0]
    life = lifecycle(ground.view, event.payload["model"], own["version"])
    act = Act(DOWN[event.type], own["version"], Stage(own["to"]))
    nothing = Dossier("", (), None)
    decision = decide(life, act, _actor(ground, event), nothing, (), UNASKED, _when(event))
    # Whether this actor may at all was said already.
    yield from ((rule, told) for rule, told in _outcome(event, decision) if rule != "A1")


def _requested(ground: Ground, event: Event) -> Breaches:
    asked = event.payload
    life = lifecycle(ground.view, asked["model"], asked["version"])
    version, name = life.versions[asked["version"]], asked["id"]
    targets = TRANSITIONS.get((Stage(version.stage), Action.PROMOTE), ())
    if asked["source"] != version.stage or asked["target"] not in targets:
        way = f"{asked['source']} → {asked['target']}"
        yield "P1", f"{name} asks for {way} while version {version.number} stands in {version.stage}"
    if ground.view.get(PromotionRow, name):
        yield "P3", f"{name} is requested again under the same name"
    if (asked["requester"], asked["on_behalf_of"]) != (event.actor, event.on_behalf_of or ""):
        yield "P4", f"{name} names {asked['requester']} as requester, but {event.actor} requested it"
    if asked["artifact"] != version.artifact:
        yield "P3", f"{name} names another artifact than version {version.number} has"
    if asked["policy"] != ground.in_force.digest:
        yield "P3", f"{name} names another policy than the one in force"
    act = Act(ASKED_AS.get(asked["kind"], Action.PROMOTE), version.number)
    yield from _barred(ground, event, life, act, asked["target"])
    yield from _due(ground, event, life)
    yield from _sealed(ground, asked["packet"], version, name)


def _barred(ground: Ground, event: Event, life: Lifecycle, act: Act, to: str) -> Breaches:
    """Nobody does what the policy in force denies them, whatever their roles permit."""
    actor = _actor(ground, event)
    for reason in denied_by_policy(ground.in_force, ground.expressions, life, act, actor, to):
        yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"


def _due(ground: Ground, event: Event, life: Lifecycle) -> Breaches:
    """By when people decide is what the gate's deadline says: a later time would never lapse."""
    asked = event.payload
    if event.schema_version < 2:  # noqa: PLR2004  # before there were kinds and deadlines
        return
    if asked["kind"] not in ASKED_AS:
        yield "P9", f"{asked['id']} is requested as {asked['kind']}, which is no kind of request"
        return
    gate = gate_asked(ground.in_force, life, asked["version"], ASKED_AS[asked["kind"]])
    deadline = gate.deadline if gate else None
    due = utc_text(_when(event) + timedelta(days=deadline.due)) if deadline else ""
    if not at_once(asked["due_at"], due):
        yield "P3", f"{asked['id']} is due {asked['due_at'] or 'never'}, expected {due or 'no due time'}"


def _decided(ground: Ground, event: Event) -> Breaches:
    said, action, actor = event.payload, DECISIONS[event.type], _actor(ground, event)
    life = lifecycle(ground.view, said["model"], said["version"])
    asked = life.promotion
    if asked is None or asked.id != said["promotion"]:
        yield "P3", f"{event.type} of {said['promotion']}, which is not open"
        return
    other = [name for name in _BOUND if said[name] != getattr(asked, name)]
    if other:
        yield "P3", f"{event.type} of {asked.id} speaks of another {', another '.join(other)}"
    yield from _conditioned(event)
    if said["outcome"] != str(action):
        yield "P3", f"{event.type} of {asked.id} says `{said['outcome']}`"
    speaker = ground.view.get(ActorRow, said["for_whom"]) if said["for_whom"] else actor
    if speaker is None or said["role"] not in speaker.roles:
        whose = said["for_whom"] or actor.id
        yield "P4", f"{event.type} in the name of {whose}, who does not hold the role `{said['role']}`"
    dossier = Dossier(said["packet"], (), None)
    act = Act(action, asked.version, role=said["role"], for_whom=said["for_whom"])
    yield from _barred(ground, event, life, act, asked.target)
    decision = decide(life, act, actor, dossier, _approvals(ground, asked), ground.in_force, _when(event))
    for reason in () if isinstance(decision, Allowed) else decision.reasons:
        if reason.rule != "A1":
            yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"


def _applied(ground: Ground, event: Event) -> Breaches:
    done = event.payload
    asked = ground.view.get(PromotionRow, done["promotion"])
    if asked is None or asked.status != "open" or asked.model != done["model"]:
        yield "P3", f"{done['promotion']} is applied, which is not open for {done['model']}"
        return
    if (done["packet"], done["policy"]) != (asked.packet, asked.policy):
        yield "P3", f"{asked.id} is applied on another packet or policy than it was requested for"
    if done["policy"] != ground.in_force.digest:
        yield "P3", f"{asked.id} is applied under another policy than the one in force"
    life = lifecycle(ground.view, asked.model, asked.version)
    if asked.artifact != life.versions[asked.version].artifact:
        yield "P3", f"{asked.id} was requested for another artifact than the version has"
    yield from _sealed(ground, done["packet"], life.versions[asked.version], asked.id)
    dossier = _dossier(done)
    version = life.versions[asked.version]
    gate = gate_asked(ground.in_force, life, asked.version, ASKED_AS[asked.kind])
    demands = gate.demands if gate else ()
    known = dated(ground.view, ground.policies, ground.in_force, version, demands, dossier.findings)
    dossier = replace(dossier, findings=known)
    yield from _refound(ground, asked, life, dossier)
    requester = life.people.get(asked.requester)
    if requester is None:
        yield "A1", f"{asked.id} was requested by {asked.requester}, whom no earlier event made an actor"
        return
    if done["kind"] != asked.kind:
        yield "P9", f"{asked.id} is applied as {done['kind']}, but was requested as {asked.kind}"
    act = Act(ASKED_AS[asked.kind], asked.version, Stage(asked.target))
    approvals = _approvals(ground, asked)
    yield from _terms(ground, event, asked, life, approvals)
    decision = decide(life, act, requester, dossier, approvals, ground.in_force, _when(event))
    yield from _outcome(event, decision)


def _terms(
    ground: Ground, event: Event, asked: PromotionRow, life: Lifecycle, approvals: Sequence[ApprovalRow]
) -> Breaches:
    """A version goes live on the conditions of its approvals, and until its policy's term ends."""
    done, due, until = event.payload, {}, ""
    if asked.target == Stage.PROD:
        due = agreed([row.conditions for row in approvals if not row.revoked])
        until = certified_until(ground.in_force, Tier(life.model.tier), due, _when(event), asked.kind)
    if event.schema_version < 2:  # noqa: PLR2004  # before there were terms
        return
    if dict(done["conditions"]) != due or not at_once(done["certified_until"], until):
        yield "P3", f"{asked.id} is applied on other conditions than it was approved on"
    told = {each["name"] for each in done["preconditions"].get("asked", ())}
    regular = asked.target == Stage.PROD and asked.kind == "regular"
    if missing := sorted(ground.in_force.preconditions.asked() - told if regular else ()):
        yield "P8", f"{asked.id} is applied without a word on {', '.join(missing)}"
    if regular and ground.in_force.preconditions.fresh_views:
        yield from of_views(ground.view, event, life.versions[asked.version])


def _sealed(ground: Ground, digest: str, version: VersionRow, name: str) -> Breaches:
    packet = ground.view.get(PacketRow, digest)
    if packet is None or (packet.model, packet.version) != (version.model, version.number):
        yield "P3", f"{name} rests on a packet that was never sealed for version {version.number}"
    elif packet_digest(dict(packet.body)) != packet.digest:
        yield "P3", f"{name} rests on a packet that does not have its digest"


def _refound(ground: Ground, asked: PromotionRow, life: Lifecycle, dossier: Dossier) -> Breaches:
    """What the policy finds in the sealed packet today must be what was found in it then."""
    packet = ground.view.get(PacketRow, asked.packet)
    gate = gate_asked(ground.in_force, life, asked.version, ASKED_AS[asked.kind])
    if packet is None or gate is None:
        return  # said elsewhere
    recorded = {each.demand: each.verdict for each in dossier.findings}
    for found in findings(gate, {"packet": dict(packet.body)}, ground.expressions):
        said = recorded.get(found.demand)
        if said is not None and said is not found.verdict:
            yield "P2", f"{asked.id} records {found.demand} as {said}; its packet says {found.verdict}"


def _actor(ground: Ground, event: Event) -> ActorRow:
    actor = ground.view.get(ActorRow, event.actor)
    assert actor is not None  # or nothing else was asked of this event
    return actor


def _approvals(ground: Ground, asked: PromotionRow) -> tuple[ApprovalRow, ...]:
    return ground.view.select(ApprovalRow, promotion=asked.id)


def _outcome(event: Event, decision: Decision) -> Breaches:
    """Yield why the moves of an event are not what the rules allow."""
    if not isinstance(decision, Allowed):
        for reason in decision.reasons:
            yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"
        return
    expected = [move.as_dict() for move in decision.moves]
    if [dict(move) for move in event.payload["moves"]] != expected:
        yield "P1", f"{event.type} moved {_way(event.payload['moves'])}, expected {_way(expected)}"


def _conditioned(event: Event) -> Breaches:
    """An approval demands only what is known and can be enforced."""
    said = dict(event.payload["conditions"])
    try:
        lawful = (
            all(type(value) in {int, float} for value in said.values()) and stated_conditions(said) == said
        )
    except BadInput:
        lawful = False
    if not lawful:
        stated = ", ".join(f"{name} {value}" for name, value in said.items())
        yield "P3", f"{event.type} is on conditions that nothing can hold: {stated}"


def _dossier(done: Mapping[str, Any]) -> Dossier:
    """Return the evidence as it was recorded when a promotion was applied."""
    found = tuple(
        Finding(each["demand"], Verdict(each["verdict"]), each["sentence"]) for each in done["findings"]
    )
    way = done["preconditions"]["way_back"]
    back = WayBack(way["kind"], way["name"], way["verified"] is True) if way else None
    asked = done["preconditions"].get("asked", ())
    held = tuple(Precondition(each["name"], each["rule"], each["holds"], each["sentence"]) for each in asked)
    return Dossier(done["packet"], found, back, held)


def _way(moves: Any) -> str:
    return ", ".join(f"{move['version']}: {move['from']} → {move['to']}" for move in moves)


def _when(event: Event) -> datetime:
    return datetime.fromisoformat(event.occurred_at)


JUDGES: Mapping[EventType, Callable[[Ground, Event], Breaches]] = {
    **dict.fromkeys(DOWN, _lowered),
    **dict.fromkeys(DECISIONS, _decided),
    EventType.PROMOTION_REQUESTED: _requested,
    EventType.PROMOTION_APPLIED: _applied,
}
