"""Judge the record: would each event have been allowed, given the events before it?

A chain that rehashes and refolds may still tell of an act that nobody was allowed to do, if somebody wrote
it past the use cases. Here the events are folded again in memory, and before each is folded the rules are
asked about it: the same ``decide`` that the use cases ask, on what the record itself holds.

Not shown here: that an actor is who the event says (whoever can write past the use cases can sign with any
lawful actor), and that what a packet states was measured. Against a forger only a signed head kept outside
helps (see `audit.anchor`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tidegate.application import (
    lawful_deciding,
    lawful_erasing,
    lawful_people,
    lawful_policy,
    lawful_reading,
    lawful_watching,
)
from tidegate.application.denying import denied_by_policy
from tidegate.application.judgement import findings
from tidegate.application.lawful_deciding import breaches as deciding
from tidegate.application.lawful_erasing import breaches as erasing
from tidegate.application.lawful_owing import Debts, owed_after
from tidegate.application.lawful_people import breaches as of_people
from tidegate.application.lawful_policy import Ground
from tidegate.application.lawful_policy import breaches as changing
from tidegate.application.lawful_reading import breaches as reading
from tidegate.application.lawful_watching import breaches as watching
from tidegate.application.lower import UNASKED
from tidegate.application.moments import at_once
from tidegate.application.packet import packet_digest
from tidegate.application.platform import Platform
from tidegate.application.ports import Expressions, Policies
from tidegate.application.predating import dated
from tidegate.application.promote import ASKED_AS
from tidegate.application.resolve import stated_conditions
from tidegate.application.standing import lifecycle
from tidegate.application.weighing import agreed, certified_until, gate_asked
from tidegate.domain.actors import Permission, permits
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import UNFIT, BadInput, DependencyFailed, TidegateError
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.fold import StateView, take
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
from tidegate.domain.policy import Finding, Policy, Stage, Tier
from tidegate.domain.promotion import TRANSITIONS, decide
from tidegate.domain.state import (
    ActorRow,
    ApprovalRow,
    ModelRow,
    PacketRow,
    PolicyRow,
    PromotionRow,
    State,
    VersionRow,
)

#: Which permissions let an actor write an event: any one suffices. A refusal is written for
#: anybody, and before it the packet that it speaks of: both only say what was, and move nothing.
WRITERS: Mapping[EventType, tuple[Permission, ...]] = {
    EventType.ACTOR_ADDED: (Permission.MANAGE_ACTORS,),
    EventType.ROLES_CHANGED: (Permission.MANAGE_ACTORS,),
    EventType.CREDENTIAL_ISSUED: (Permission.MANAGE_ACTORS,),
    EventType.CREDENTIAL_REVOKED: (Permission.MANAGE_ACTORS,),
    EventType.POLICY_PROPOSED: (Permission.PROPOSE_POLICY,),
    EventType.POLICY_APPROVED: (Permission.APPROVE_POLICY,),
    EventType.POLICY_REJECTED: (Permission.APPROVE_POLICY,),
    EventType.POLICY_ADOPTED: (Permission.APPROVE_POLICY,),
    EventType.DROP_REFUSED: (Permission.INGEST,),
    EventType.BATCH_ACCEPTED: (Permission.INGEST,),
    EventType.BATCH_REFUSED: (Permission.INGEST,),
    EventType.WAIVER_GIVEN: (Permission.WAIVE,),
    EventType.WAIVER_ENDED: (Permission.WAIVE,),
    EventType.ACCESS_DECLARED: (Permission.MATERIALIZE,),
    EventType.FEATURES_BUILT: (Permission.MATERIALIZE,),
    EventType.FEATURES_MATERIALIZED: (Permission.MATERIALIZE,),
    EventType.FEATURES_COMPARED: (Permission.MATERIALIZE,),
    EventType.MODEL_REGISTERED: (Permission.REGISTER,),
    EventType.TRAINING_SET_BUILT: (Permission.REGISTER,),
    EventType.VERSION_REGISTERED: (Permission.REGISTER,),
    EventType.PROMOTION_REQUESTED: (Permission.REQUEST, Permission.BREAK_GLASS),
    EventType.PROMOTION_APPROVED: (Permission.APPROVE,),
    EventType.PROMOTION_REJECTED: (Permission.APPROVE,),
    # Applied by whoever came last: the requester where nobody had to approve, else the last approver.
    EventType.PROMOTION_APPLIED: (Permission.REQUEST, Permission.APPROVE, Permission.BREAK_GLASS),
    EventType.PROMOTION_REMINDED: (Permission.TEND,),
    EventType.PROMOTION_ESCALATED: (Permission.TEND,),
    EventType.PROMOTION_LAPSED: (Permission.TEND,),
    EventType.APPROVAL_REVOKED: (Permission.APPROVE,),
    EventType.APPROVAL_DELEGATED: (Permission.APPROVE,),
    EventType.DELEGATION_ENDED: (),  # of those between whom it is, whatever they may do by then
    EventType.CERTIFICATION_LAPSED: (Permission.TEND,),
    EventType.VERSION_RECERTIFIED: (Permission.APPROVE,),
    EventType.MODEL_ROLLED_BACK: (Permission.ROLL_BACK,),
    EventType.MODEL_STOPPED: (Permission.STOP,),
    EventType.VERSION_DEMOTED: (Permission.DEMOTE,),
    EventType.VERSION_RETIRED: (Permission.DEMOTE,),
    EventType.DECISIONS_SCORED: (Permission.SCORE,),
    EventType.MONITOR_RAN: (Permission.MONITOR,),
    EventType.CANARY_ANALYSED: (Permission.ANALYSE,),
    # By what found something, or with whatever made a review mandatory.
    EventType.REVIEW_OPENED: (
        Permission.MONITOR,
        Permission.ANALYSE,
        Permission.TEND,
        Permission.REQUEST,
        Permission.APPROVE,
        Permission.BREAK_GLASS,
    ),
    EventType.REVIEW_DECIDED: (Permission.REVIEW,),
    EventType.REVIEW_FOLLOWED: (Permission.FOLLOW,),
    EventType.RUN_FINISHED: (Permission.RUN,),
    EventType.FEATURES_MEASURED: (),  # of whoever a view is open to (F2)
    EventType.FEATURES_READ: (),  # of whoever's command sealed it
    EventType.REGISTRY_REPAIRED: (),  # of whoever's command found it
    EventType.TEXT_ERASED: (Permission.ERASE,),
    EventType.RETENTION_APPLIED: (Permission.ERASE,),
}

#: What the administrator named at the opening may write before any policy is in force.
_GENESIS = {
    EventType.LEDGER_OPENED,
    EventType.ACTOR_ADDED,
    EventType.CREDENTIAL_ISSUED,
    EventType.POLICY_ADOPTED,
}
_DOWN: Mapping[EventType, Action] = {
    EventType.MODEL_ROLLED_BACK: Action.ROLL_BACK,
    EventType.MODEL_STOPPED: Action.STOP,
    EventType.VERSION_DEMOTED: Action.DEMOTE,
    EventType.VERSION_RETIRED: Action.RETIRE,
}
_DECISIONS: Mapping[EventType, Action] = {
    EventType.PROMOTION_APPROVED: Action.APPROVE,
    EventType.PROMOTION_REJECTED: Action.REJECT,
}
_MADE = {EventType.ACTOR_ADDED, EventType.MODEL_REGISTERED, EventType.VERSION_REGISTERED}
#: What has a judge, beside the question whether its actor may write it at all.
JUDGED = frozenset(
    {
        *_GENESIS - {EventType.CREDENTIAL_ISSUED},
        *_MADE,
        *_DOWN,
        *_DECISIONS,
        EventType.PROMOTION_REQUESTED,
        EventType.PROMOTION_APPLIED,
        *lawful_watching.JUDGES,
        *lawful_deciding.JUDGES,
        *lawful_policy.JUDGES,
        *lawful_erasing.JUDGES,
        *lawful_people.JUDGES,
        *lawful_reading.JUDGES,
    }
)
#: What has none, and why it needs none: only who wrote it is asked.
UNJUDGED: Mapping[EventType, str] = {
    EventType.CREDENTIAL_ISSUED: "an administrator's word; it permits nothing that roles do not",
    EventType.CREDENTIAL_REVOKED: "an administrator's word; it takes away",
    EventType.DROP_REFUSED: "it says what came and moves nothing",
    EventType.BATCH_REFUSED: "it says what came and moves nothing",
    EventType.FEATURES_READ: "who read what is not in the record; its records are verified by their root",
    EventType.PACKET_SEALED: "it is judged where a promotion rests on it",
    EventType.ACTION_REFUSED: "it moves nothing",
    EventType.MONITOR_RAN: "what was measured is not in the record; that its review follows is judged",
}
_FOR_ANYBODY = {EventType.ACTION_REFUSED, EventType.PACKET_SEALED}
_BOUND = ("model", "version", "artifact", "packet", "policy")

_Breaches = Iterator[tuple[str, str]]


class Breach(NamedTuple):
    """What one event was not allowed, and by which rule; no rule where it cannot be folded at all."""

    event: int
    rule: str
    told: str

    def __str__(self) -> str:
        return f"event {self.event}: {self.told}" + (f", rule {self.rule}" if self.rule else "")


def unlawful(platform: Platform) -> tuple[str, ...]:
    """Return one sentence per breach of a rule in the record, each with its event and its rule."""
    return tuple(map(str, judged(platform.ledger.events(), platform.policies, platform.expressions)))


def judged(events: Iterable[Event], policies: Policies, expressions: Expressions) -> tuple[Breach, ...]:
    """Return each breach of a rule by these events, which begin with the first of their chain.

    It stops at the first event that cannot be read or folded: what stands behind it has no ground.
    """
    judge, found = _Judge(policies, expressions), []
    try:
        for event in events:
            try:
                found += [Breach(event.sequence, rule, told) for rule, told in judge.breaches(event)]
                judge.fold(event)
            except UNFIT:
                told = f"its {event.type} speaks of what no earlier event wrote"
                found.append(Breach(event.sequence, "", told))
                return tuple(found)
    except DependencyFailed:  # `Ledger.verify` names the event that cannot be read
        return tuple(found)
    return (*found, *judge.owing())


class _Judge:
    """The state folded so far, and what the rules say about the next event. A breach is (rule, sentence)."""

    def __init__(self, policies: Policies, expressions: Expressions) -> None:
        self._parser, self._expressions = policies, expressions
        self._state = State()
        self._view = StateView(self._state)
        self._administrator = ""
        self._policies: dict[str, Policy] = {}
        self._debts = Debts()

    def fold(self, event: Event) -> None:
        """Take the event into the state."""
        if event.sequence == 1:
            self._administrator = str(event.payload.get("administrator", ""))
        if self._view.select(PolicyRow, in_force=True):
            self._debts.incur(owed_after(self._view, event, self._policy()))
        take(self._state, self._view, event)

    def owing(self) -> tuple[Breach, ...]:
        """Return what the record owes at its end."""
        return tuple(
            Breach(each.event, each.rule, f"it owes {each}, and none followed") for each in self._debts.left()
        )

    def breaches(self, event: Event) -> _Breaches:
        """Yield why the event was not allowed."""
        if not self._view.select(PolicyRow) and event.type in _GENESIS:
            yield from self._genesis(event)
            return
        if event.type is EventType.LEDGER_OPENED:
            yield "A1", f"{event.type} where the ledger is open already"
            return
        actor = self._view.get(ActorRow, event.actor)
        if actor is None:
            yield "A1", f"{event.type} by {event.actor}, whom no earlier event made an actor"
            return
        yield from self._permitted(event, actor)
        yield from self._added(event)
        try:
            yield from self._debts.settle(event)
            if event.type in _DOWN:
                yield from self._lowered(event, actor)
            elif event.type in _DECISIONS:
                yield from self._decided(event, actor)
            elif event.type is EventType.PROMOTION_REQUESTED:
                yield from self._requested(event)
            elif event.type is EventType.PROMOTION_APPLIED:
                yield from self._applied(event)
            else:
                yield from watching(self._view, event, self._policy())
                yield from of_people(self._view, event)
                yield from reading(self._view, event)
                yield from deciding(self._view, event, self._policy())
                yield from changing(self._ground(), event)
                yield from erasing(self._view, event, self._policy())
        except TidegateError as error:
            yield "P3", f"{event.type} cannot be judged: {error.sentence}"

    def _genesis(self, event: Event) -> _Breaches:
        opens = event.type is EventType.LEDGER_OPENED
        if opens != (event.sequence == 1):
            yield "A1", f"{event.type} where the ledger is {'open already' if opens else 'not open yet'}"
        named = str(event.payload["administrator"]) if opens else self._administrator
        if event.actor != named:
            yield "A1", f"{event.type} by {event.actor} before a policy, when only {named or 'nobody'} may"

    def _permitted(self, event: Event, actor: ActorRow) -> _Breaches:
        if event.type in _FOR_ANYBODY:
            return  # that somebody was refused, also for acting as somebody else, is what it says
        needed = WRITERS[event.type]
        if needed and not self._deputy(event) and not any(permits(actor, each) for each in needed):
            wanted = " or ".join(f"`{each}`" for each in needed)
            yield "A1", f"{event.type} by {actor.id}, who holds no role that permits {wanted}"
        if event.on_behalf_of:
            behind = self._view.get(ActorRow, event.on_behalf_of)
            if behind is None or behind.kind != "person" or actor.kind != "service":
                yield (
                    "A2",
                    f"{event.type} by {actor.id} on behalf of {event.on_behalf_of}, for whom it cannot act",
                )

    def _deputy(self, event: Event) -> bool:
        """Say whether a person decides in the place of one whose permission it is, or takes that back.

        That it was delegated is P4.

        What their decision led to at once is theirs too.
        """
        if event.type in _DECISIONS:
            behind = self._view.get(ActorRow, str(event.payload["for_whom"]))
            return behind is not None and permits(behind, Permission.APPROVE)
        if event.type is EventType.APPROVAL_REVOKED:
            taken = self._view.get(ApprovalRow, event.payload["promotion"], event.payload["approver"])
            return taken is not None and event.actor in {taken.actor, taken.for_whom}
        if event.type is EventType.PROMOTION_APPLIED:
            given = self._view.get(ApprovalRow, event.payload["promotion"], event.actor)
            return given is not None and bool(given.for_whom)
        if event.type is EventType.REVIEW_OPENED and event.payload["kind"] != "finding":
            about = {"model": event.payload["model"], "version": event.payload["version"]}
            return any(row.for_whom for row in self._view.select(ApprovalRow, actor=event.actor, **about))
        return False

    def _added(self, event: Event) -> _Breaches:
        """Nothing is made again: it would be another, with what the first earned. No tier is ever lowered."""
        payload = event.payload
        if event.type is EventType.MODEL_REGISTERED:
            model, tiers = self._view.get(ModelRow, payload["name"]), list(Tier)
            if model is not None and tiers.index(Tier(payload["tier"])) < tiers.index(Tier(model.tier)):
                yield (
                    "P4",
                    f"{model.name} goes from {model.tier} to {payload['tier']}, which asks for fewer people",
                )
        if event.type is EventType.VERSION_REGISTERED:
            if self._view.get(VersionRow, payload["model"], payload["number"]):
                yield "P1", f"version {payload['number']} of {payload['model']} is registered again"
            if payload["registrar"] != event.actor:
                yield "P4", f"it names {payload['registrar']} as registrar, but {event.actor} registered it"

    def _lowered(self, event: Event, actor: ActorRow) -> _Breaches:
        own = event.payload["moves"][0]
        life = lifecycle(self._view, event.payload["model"], own["version"])
        act = Act(_DOWN[event.type], own["version"], Stage(own["to"]))
        nothing = Dossier("", (), None)
        decision = decide(life, act, actor, nothing, (), UNASKED, _when(event))
        # Whether this actor may at all was said already.
        yield from ((rule, told) for rule, told in _outcome(event, decision) if rule != "A1")

    def _requested(self, event: Event) -> _Breaches:
        asked = event.payload
        life = lifecycle(self._view, asked["model"], asked["version"])
        version, name = life.versions[asked["version"]], asked["id"]
        targets = TRANSITIONS.get((Stage(version.stage), Action.PROMOTE), ())
        if asked["source"] != version.stage or asked["target"] not in targets:
            way = f"{asked['source']} → {asked['target']}"
            yield "P1", f"{name} asks for {way} while version {version.number} stands in {version.stage}"
        if self._view.get(PromotionRow, name):
            yield "P3", f"{name} is requested again under the same name"
        if (asked["requester"], asked["on_behalf_of"]) != (event.actor, event.on_behalf_of or ""):
            yield "P4", f"{name} names {asked['requester']} as requester, but {event.actor} requested it"
        if asked["artifact"] != version.artifact:
            yield "P3", f"{name} names another artifact than version {version.number} has"
        if asked["policy"] != self._policy().digest:
            yield "P3", f"{name} names another policy than the one in force"
        act = Act(ASKED_AS.get(asked["kind"], Action.PROMOTE), version.number)
        yield from self._barred(event, life, act, asked["target"])
        yield from self._due(event, life)
        yield from self._sealed(asked["packet"], version, name)

    def _barred(self, event: Event, life: Lifecycle, act: Act, to: str) -> _Breaches:
        """Nobody does what the policy in force denies them, whatever their roles permit."""
        actor = self._view.get(ActorRow, event.actor)
        assert actor is not None  # or nothing else was asked of this event
        for reason in denied_by_policy(self._policy(), self._expressions, life, act, actor, to):
            yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"

    def _due(self, event: Event, life: Lifecycle) -> _Breaches:
        """By when people decide is what the gate's deadline says: a later time would never lapse."""
        asked = event.payload
        if event.schema_version < 2:  # noqa: PLR2004  # before there were kinds and deadlines
            return
        if asked["kind"] not in ASKED_AS:
            yield "P9", f"{asked['id']} is requested as {asked['kind']}, which is no kind of request"
            return
        gate = gate_asked(self._policy(), life, asked["version"], ASKED_AS[asked["kind"]])
        deadline = gate.deadline if gate else None
        due = utc_text(_when(event) + timedelta(days=deadline.due)) if deadline else ""
        if not at_once(asked["due_at"], due):
            yield "P3", f"{asked['id']} is due {asked['due_at'] or 'never'}, expected {due or 'no due time'}"

    def _decided(self, event: Event, actor: ActorRow) -> _Breaches:
        said, action = event.payload, _DECISIONS[event.type]
        life = lifecycle(self._view, said["model"], said["version"])
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
        speaker = self._view.get(ActorRow, said["for_whom"]) if said["for_whom"] else actor
        if speaker is None or said["role"] not in speaker.roles:
            whose = said["for_whom"] or actor.id
            yield "P4", f"{event.type} in the name of {whose}, who does not hold the role `{said['role']}`"
        dossier = Dossier(said["packet"], (), None)
        act = Act(action, asked.version, role=said["role"], for_whom=said["for_whom"])
        yield from self._barred(event, life, act, asked.target)
        decision = decide(life, act, actor, dossier, self._approvals(asked), self._policy(), _when(event))
        for reason in () if isinstance(decision, Allowed) else decision.reasons:
            if reason.rule != "A1":
                yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"

    def _applied(self, event: Event) -> _Breaches:
        done = event.payload
        asked = self._view.get(PromotionRow, done["promotion"])
        if asked is None or asked.status != "open" or asked.model != done["model"]:
            yield "P3", f"{done['promotion']} is applied, which is not open for {done['model']}"
            return
        if (done["packet"], done["policy"]) != (asked.packet, asked.policy):
            yield "P3", f"{asked.id} is applied on another packet or policy than it was requested for"
        if done["policy"] != self._policy().digest:
            yield "P3", f"{asked.id} is applied under another policy than the one in force"
        life = lifecycle(self._view, asked.model, asked.version)
        if asked.artifact != life.versions[asked.version].artifact:
            yield "P3", f"{asked.id} was requested for another artifact than the version has"
        yield from self._sealed(done["packet"], life.versions[asked.version], asked.id)
        dossier = _dossier(done)
        version = life.versions[asked.version]
        gate = gate_asked(self._policy(), life, asked.version, ASKED_AS[asked.kind])
        demands = gate.demands if gate else ()
        known = dated(self._view, self._parser, self._policy(), version, demands, dossier.findings)
        dossier = replace(dossier, findings=known)
        yield from self._refound(asked, life, dossier)
        requester = life.people.get(asked.requester)
        if requester is None:
            yield "A1", f"{asked.id} was requested by {asked.requester}, whom no earlier event made an actor"
            return
        if done["kind"] != asked.kind:
            yield "P9", f"{asked.id} is applied as {done['kind']}, but was requested as {asked.kind}"
        act = Act(ASKED_AS[asked.kind], asked.version, Stage(asked.target))
        approvals = self._approvals(asked)
        yield from self._terms(event, asked, life, approvals)
        decision = decide(life, act, requester, dossier, approvals, self._policy(), _when(event))
        yield from _outcome(event, decision)

    def _terms(
        self, event: Event, asked: PromotionRow, life: Lifecycle, approvals: Sequence[ApprovalRow]
    ) -> _Breaches:
        """A version goes live on the conditions of its approvals, and until its policy's term ends."""
        done, due, until = event.payload, {}, ""
        if asked.target == Stage.PROD:
            due = agreed([row.conditions for row in approvals if not row.revoked])
            until = certified_until(self._policy(), Tier(life.model.tier), due, _when(event), asked.kind)
        if event.schema_version < 2:  # noqa: PLR2004  # before there were terms
            return
        if dict(done["conditions"]) != due or not at_once(done["certified_until"], until):
            yield "P3", f"{asked.id} is applied on other conditions than it was approved on"
        told = {each["name"] for each in done["preconditions"].get("asked", ())}
        regular = asked.target == Stage.PROD and asked.kind == "regular"
        if missing := sorted(self._policy().preconditions.asked() - told if regular else ()):
            yield "P8", f"{asked.id} is applied without a word on {', '.join(missing)}"

    def _sealed(self, digest: str, version: VersionRow, name: str) -> _Breaches:
        packet = self._view.get(PacketRow, digest)
        if packet is None or (packet.model, packet.version) != (version.model, version.number):
            yield "P3", f"{name} rests on a packet that was never sealed for version {version.number}"
        elif packet_digest(dict(packet.body)) != packet.digest:
            yield "P3", f"{name} rests on a packet that does not have its digest"

    def _refound(self, asked: PromotionRow, life: Lifecycle, dossier: Dossier) -> _Breaches:
        """What the policy finds in the sealed packet today must be what was found in it then."""
        packet = self._view.get(PacketRow, asked.packet)
        gate = gate_asked(self._policy(), life, asked.version, ASKED_AS[asked.kind])
        if packet is None or gate is None:
            return  # said elsewhere
        recorded = {each.demand: each.verdict for each in dossier.findings}
        for found in findings(gate, {"packet": dict(packet.body)}, self._expressions):
            said = recorded.get(found.demand)
            if said is not None and said is not found.verdict:
                yield "P2", f"{asked.id} records {found.demand} as {said}; its packet says {found.verdict}"

    def _approvals(self, asked: PromotionRow) -> tuple[ApprovalRow, ...]:
        return self._view.select(ApprovalRow, promotion=asked.id)

    def _ground(self) -> Ground:
        return Ground(self._view, self._policy(), self._parser, self._expressions)

    def _policy(self) -> Policy:
        row = self._view.select(PolicyRow, in_force=True)[0]
        if row.digest not in self._policies:
            self._policies[row.digest] = self._parser.parse(row.body)
        return self._policies[row.digest]


def _outcome(event: Event, decision: Decision) -> _Breaches:
    """Yield why the moves of an event are not what the rules allow."""
    if not isinstance(decision, Allowed):
        for reason in decision.reasons:
            yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"
        return
    expected = [move.as_dict() for move in decision.moves]
    if [dict(move) for move in event.payload["moves"]] != expected:
        yield "P1", f"{event.type} moved {_way(event.payload['moves'])}, expected {_way(expected)}"


def _conditioned(event: Event) -> _Breaches:
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
