"""Judge what the record says of deciding beside promotions themselves (see `lawfulness`).

P3  people are reminded, others asked and a request lapses only when the policy's time has come, each once; a
    certificate ends by age or by drift that is on record; a live version is certified again, and for its term
P4  who delegates holds the role, and for no longer than a quarter; an approval is taken back by whom it was given; who
    certifies is fit, in the role that the policy names
P5  where an approval taken back carried a live version, the version goes with it, and not else
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from tidegate.application.delegate import MOST_DAYS
from tidegate.application.moments import APART, at_once
from tidegate.application.resolve import carrying
from tidegate.application.standing import lifecycle
from tidegate.application.tend import (
    asked_again,
    certified_days,
    certifier,
    certifying_rule,
    deadline_of,
    drifted,
    ended,
    term_end,
)
from tidegate.domain.actors import Permission, roles_that
from tidegate.domain.approval import gave, unfit
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView
from tidegate.domain.lifecycle import Act, Action, Allowed, Dossier, time_for
from tidegate.domain.policy import Policy, Stage
from tidegate.domain.promotion import decide
from tidegate.domain.state import ActorRow, ApprovalRow, DelegationRow, ModelRow, PromotionRow, VersionRow
from tidegate.domain.texts import barred

Breaches = Iterator[tuple[str, str]]


def breaches(view: StateView, event: Event, policy: Policy) -> Breaches:
    """Yield (rule, sentence) of each breach by an event of these kinds; of others, nothing."""
    judge = JUDGES.get(event.type)
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
    until, now = utc_time(said["until"]), utc_time(event.occurred_at)
    if not now - APART < until or (until - now).days > MOST_DAYS:
        yield (
            "P4",
            f"{said['id']} is delegated until {said['until']}, expected an end within {MOST_DAYS} days",
        )
    if said["model"] and view.get(ModelRow, said["model"]) is None:
        yield "P4", f"{said['id']} is delegated for {said['model']}, which nobody registered"
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
    elif row.ended:
        yield "P4", f"{row.id} is ended again"


def _recertified(view: StateView, event: Event, policy: Policy) -> Breaches:
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
    rule = certifying_rule(view, policy, version)
    if said["role"] != certifier(rule) or (actor and said["role"] not in actor.roles):
        by = f"by {event.actor} as `{said['role']}`, where role `{certifier(rule)}` is asked"
        yield "P4", f"version {version.number} is certified again {by}"
    approved = life.promotion.packet if life.promotion else ""
    if (said["artifact"], said["packet"], said["policy"]) != (version.artifact, approved, policy.digest):
        yield "P3", f"version {version.number} is certified again for something else than is live"
    days = certified_days(rule, version)
    if days is None and not asked_again(view, version):
        yield "P3", f"version {version.number} is certified again, where no policy and no review asks for it"
    if not at_once(said["until"], term_end(days, utc_time(event.occurred_at))):
        yield (
            "P3",
            f"version {version.number} is certified again until {said['until'] or 'ever'}, not for its term",
        )


def _ended_certificate(view: StateView, event: Event, policy: Policy) -> Breaches:
    said, now = event.payload, utc_time(event.occurred_at)
    version = view.get(VersionRow, said["model"], said["version"])
    about = f"the certificate of version {said['version']} of {said['model']}"
    if version is None or version.stage != Stage.PROD:
        yield "P3", f"{about} ends, which is not live"
        return
    if asked_again(view, version):
        yield "P3", f"{about} ends again, while somebody is asked about it already"
    rule = certifying_rule(view, policy, version)
    by_age = ended(view, rule, version, now) == "age" and said["since"] == version.certified_until
    by_drift = drifted(view, rule, version) and at_once(said["since"], event.occurred_at)
    if not {"age": by_age, "drift": by_drift}.get(said["because"], False):
        yield "P3", f"{about} ends by {said['because']} since {said['since']}, which is not so"


def _chased(view: StateView, event: Event, policy: Policy) -> Breaches:
    """People are reminded, then others asked, then the request lapses: each when its time has come, and once."""
    name, verb = event.payload["promotion"], _CHASED[event.type]
    asked = view.get(PromotionRow, name)
    deadline = deadline_of(view, policy, asked) if asked else None
    if asked is None or asked.status != "open" or deadline is None or not asked.due_at:
        yield "P3", f"{name} {verb}, which is not open or has no due time"
        return
    if (event.payload["model"], event.payload["version"]) != (asked.model, asked.version):
        yield "P3", f"{name} {verb} as if it were of another version"
    if event.type is EventType.PROMOTION_ESCALATED and event.payload["role"] != deadline.escalate_to:
        yield "P3", f"{name} {verb} to `{event.payload['role']}`, not to the role that the policy names"
    # The step that is at its end, or further, before this event; and after how many days it comes.
    done, days = {
        EventType.PROMOTION_REMINDED: ({"reminded", "escalated"}, deadline.remind_after),
        EventType.PROMOTION_ESCALATED: ({"escalated"}, deadline.due if deadline.escalate_to else 0),
        EventType.PROMOTION_LAPSED: (set[str](), deadline.lapse_after),
    }[event.type]
    if asked.chased in done:
        yield "P3", f"{name} {verb} again"
    opened = utc_time(asked.due_at) - timedelta(days=deadline.due)
    time = time_for(view.marks(), asked.sequence, utc_time(event.occurred_at))
    if not days or time < opened + timedelta(days=days):
        yield "P3", f"{name} {verb} before its time"


_CHASED = {
    EventType.PROMOTION_REMINDED: "is reminded of",
    EventType.PROMOTION_ESCALATED: "is escalated",
    EventType.PROMOTION_LAPSED: "lapses",
}
JUDGES: Mapping[EventType, Callable[[StateView, Event, Policy], Breaches]] = {
    EventType.APPROVAL_REVOKED: _revoked,
    EventType.APPROVAL_DELEGATED: _delegated,
    EventType.DELEGATION_ENDED: _ended,
    EventType.VERSION_RECERTIFIED: _recertified,
    EventType.CERTIFICATION_LAPSED: _ended_certificate,
    EventType.PROMOTION_REMINDED: _chased,
    EventType.PROMOTION_ESCALATED: _chased,
    EventType.PROMOTION_LAPSED: _chased,
}
