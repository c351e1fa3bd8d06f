"""Judge what the record says of deciding beside promotions themselves (see `lawfulness`).

P3  a request lapses only when its policy's time is over; a live version is certified again, no other
P4  who delegates holds the role; an approval is taken back by whom it was given; who certifies is fit
P5  where an approval taken back carried a live version, the version goes with it, and not else
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.application.resolve import carrying
from tidegate.application.standing import lifecycle
from tidegate.domain.actors import Permission, roles_that
from tidegate.domain.approval import gave, unfit
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView
from tidegate.domain.lifecycle import Act, Action, Allowed, Dossier, time_for
from tidegate.domain.policy import Policy, Stage, Tier
from tidegate.domain.promotion import decide
from tidegate.domain.state import ActorRow, ApprovalRow, DelegationRow, ModelRow, PromotionRow
from tidegate.domain.texts import barred

Breaches = Iterator[tuple[str, str]]


def breaches(view: StateView, event: Event, policy: Policy) -> Breaches:
    """Yield (rule, sentence) of each breach by an event of these kinds; of others, nothing."""
    judge = _JUDGES.get(event.type)
    return judge(view, event, policy) if judge else iter(())


def _revoked(view: StateView, event: Event, policy: Policy) -> Breaches:
    said = event.payload
    approval = view.get(ApprovalRow, said["promotion"], said["approver"])
    asked, actor = view.get(PromotionRow, said["promotion"]), view.get(ActorRow, event.actor)
    if approval is None or asked is None or actor is None or not gave(approval, actor) or approval.revoked:
        yield "P4", f"{event.actor} takes an approval back that is not there, or not theirs"
        return
    life = lifecycle(view, said["model"], said["version"])
    if life.versions[said["version"]].stage == Stage.PROD:
        life = replace(life, promotion=carrying(view, said["model"], said["version"]))
    else:
        life = replace(life, promotion=asked)
    given = view.select(ApprovalRow, promotion=asked.id)
    act = Act(Action.REVOKE, said["version"])
    decision = decide(life, act, actor, Dossier("", (), None), given, policy, utc_time(event.occurred_at))
    due = [move.as_dict() for move in decision.moves] if isinstance(decision, Allowed) else None
    if due != [dict(move) for move in said["moves"]]:
        yield "P5", f"the approval of {asked.id} is taken back, and the versions do not move as they must"


def _delegated(view: StateView, event: Event, _: Policy) -> Breaches:
    said, actor = event.payload, view.get(ActorRow, event.actor)
    other = view.get(ActorRow, said["delegate"])
    if said["principal"] != event.actor:
        yield "P4", f"{event.actor} delegates in the name of {said['principal']}"
    if actor and (said["role"] not in actor.roles or said["role"] not in roles_that(Permission.APPROVE)):
        yield "P4", f"{event.actor} delegates `{said['role']}` without holding it as a role that approves"
    if other is None or other.kind != "person" or (actor and other.subject == actor.subject):
        yield "P4", f"{said['id']} is delegated to {said['delegate']}, who is nobody else"
    for each in (event.actor, said["delegate"]):
        if barred(view, each):
            yield (
                "P4",
                f"{said['id']} is delegated from {event.actor} to {said['delegate']}; {each} has no good token",
            )
    if view.get(DelegationRow, said["id"]):
        yield "P4", f"{said['id']} is delegated again under the same name"


def _ended(view: StateView, event: Event, _: Policy) -> Breaches:
    row = view.get(DelegationRow, event.payload["id"])
    if row is None or event.actor not in {row.principal, row.delegate}:
        yield "P4", f"{event.actor} ends {event.payload['id']}, which is not theirs"


def _recertified(view: StateView, event: Event, _: Policy) -> Breaches:
    said, actor = event.payload, view.get(ActorRow, event.actor)
    life = replace(
        lifecycle(view, said["model"], said["version"]),
        promotion=carrying(view, said["model"], said["version"]),
    )
    version = life.versions[said["version"]]
    if version.stage != Stage.PROD:
        yield "P3", f"version {version.number} is certified again while it stands in {version.stage}"
    for reason in unfit(life, version, actor, ()) if actor else ():
        yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"


def _lapsed(view: StateView, event: Event, policy: Policy) -> Breaches:
    asked = view.get(PromotionRow, event.payload["promotion"])
    model = view.get(ModelRow, asked.model) if asked else None
    gate = policy.gate(Tier(model.tier), Stage(asked.target)) if asked and model else None
    deadline = gate.deadline if gate else None
    if asked is None or asked.status != "open" or deadline is None or not asked.due_at:
        yield "P3", f"{event.payload['promotion']} lapses, which is not open or has no due time"
        return
    over = utc_time(asked.due_at) + timedelta(days=deadline.lapse_after - deadline.due)
    if not deadline.lapse_after or _time(view, asked, event) < over:
        yield "P3", f"{asked.id} lapses before its time"


def _escalated(view: StateView, event: Event, policy: Policy) -> Breaches:
    asked = view.get(PromotionRow, event.payload["promotion"])
    model = view.get(ModelRow, asked.model) if asked else None
    gate = policy.gate(Tier(model.tier), Stage(asked.target)) if asked and model else None
    deadline = gate.deadline if gate else None
    if (
        asked is None
        or deadline is None
        or event.payload["role"] != deadline.escalate_to
        or not asked.due_at
        or _time(view, asked, event) < utc_time(asked.due_at)
    ):
        yield "P3", f"{event.payload['promotion']} is escalated before its time, or to another role"


def _time(view: StateView, asked: PromotionRow, event: Event) -> datetime:
    """Return what time it was for a request when something was done about it."""
    return time_for(view.marks(), asked.sequence, utc_time(event.occurred_at))


_JUDGES: Mapping[EventType, Callable[[StateView, Event, Policy], Breaches]] = {
    EventType.APPROVAL_REVOKED: _revoked,
    EventType.APPROVAL_DELEGATED: _delegated,
    EventType.DELEGATION_ENDED: _ended,
    EventType.VERSION_RECERTIFIED: _recertified,
    EventType.PROMOTION_LAPSED: _lapsed,
    EventType.PROMOTION_ESCALATED: _escalated,
}
