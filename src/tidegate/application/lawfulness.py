"""Judge the record: would each event have been allowed, given the events before it?

A chain that rehashes and refolds may still tell of an act that nobody was allowed to do, if somebody wrote
it past the use cases. Here the events are folded again in memory, and before each is folded the rules are
asked about it: the same ``decide`` that the use cases ask, on what the record itself holds.

Not shown here: that an actor is who the event says (whoever can write past the use cases can sign with any
lawful actor), and that what a packet states was measured. Against a forger only a signed head kept outside
helps (see `audit.anchor`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tidegate.application import (
    lawful_data,
    lawful_deciding,
    lawful_erasing,
    lawful_people,
    lawful_policy,
    lawful_promoting,
    lawful_reading,
    lawful_watching,
)
from tidegate.application.lawful_data import breaches as of_data
from tidegate.application.lawful_deciding import breaches as deciding
from tidegate.application.lawful_erasing import breaches as erasing
from tidegate.application.lawful_owing import Debts, owed_after
from tidegate.application.lawful_people import breaches as of_people
from tidegate.application.lawful_policy import Ground
from tidegate.application.lawful_policy import breaches as changing
from tidegate.application.lawful_promoting import DECISIONS
from tidegate.application.lawful_promoting import breaches as promoting
from tidegate.application.lawful_reading import breaches as reading
from tidegate.application.lawful_watching import breaches as watching
from tidegate.application.platform import Platform
from tidegate.application.ports import Expressions, Policies
from tidegate.domain.actors import Permission, permits
from tidegate.domain.errors import UNFIT, DependencyFailed, TidegateError
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView, take
from tidegate.domain.policy import Policy, Tier
from tidegate.domain.state import (
    ActorRow,
    ApprovalRow,
    ModelRow,
    PolicyRow,
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
    EventType.PUSH_ACCEPTED: (Permission.INGEST,),
    EventType.PUSH_REFUSED: (Permission.INGEST,),
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
    EventType.FEATURES_JUDGED: (),  # likewise
    EventType.FEATURES_READ: (),  # of whoever's command sealed it
    EventType.REGISTRY_REPAIRED: (),  # of whoever's command found it
    EventType.TEXT_ERASED: (Permission.ERASE,),
    EventType.RETENTION_APPLIED: (Permission.ERASE,),
    EventType.ROWS_ERASED: (Permission.ERASE,),
}

#: What the administrator named at the opening may write before any policy is in force.
_GENESIS = {
    EventType.LEDGER_OPENED,
    EventType.ACTOR_ADDED,
    EventType.CREDENTIAL_ISSUED,
    EventType.POLICY_ADOPTED,
}
_MADE = {EventType.ACTOR_ADDED, EventType.MODEL_REGISTERED, EventType.VERSION_REGISTERED}
#: What has a judge, beside the question whether its actor may write it at all.
JUDGED = frozenset(
    {
        *_GENESIS - {EventType.CREDENTIAL_ISSUED},
        *_MADE,
        *lawful_promoting.JUDGES,
        *lawful_watching.JUDGES,
        *lawful_data.JUDGES,
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
    EventType.PUSH_REFUSED: "it says what came and moves nothing",
    EventType.FEATURES_READ: "who read what is not in the record; its records are verified by their root",
    EventType.PACKET_SEALED: "it is judged where a promotion rests on it",
    EventType.ACTION_REFUSED: "it moves nothing",
    EventType.MONITOR_RAN: "what was measured is not in the record; that its review follows is judged",
}
_FOR_ANYBODY = {EventType.ACTION_REFUSED, EventType.PACKET_SEALED}

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
            ground = Ground(self._view, self._policy(), self._parser, self._expressions)
            yield from promoting(ground, event)
            yield from watching(self._view, event, ground.in_force)
            yield from of_data(self._view, event)
            yield from of_people(self._view, event)
            yield from reading(self._view, event)
            yield from deciding(self._view, event, ground.in_force)
            yield from changing(ground, event)
            yield from erasing(self._view, event, ground.in_force)
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
        if event.type in DECISIONS:
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

    def _policy(self) -> Policy:
        row = self._view.select(PolicyRow, in_force=True)[0]
        if row.digest not in self._policies:
            self._policies[row.digest] = self._parser.parse(row.body)
        return self._policies[row.digest]
