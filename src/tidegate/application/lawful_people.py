"""Judge what the record says of accounts and their roles (see `lawfulness`).

A2  an account is made once, for a person of its own or for one who is there
A3  nobody gives roles to themselves, under whichever account; an administrator who can act always remains
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tidegate.application.identity import administrators
from tidegate.domain.actors import check_roles, may_add, may_change
from tidegate.domain.errors import BadInput
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView
from tidegate.domain.state import ActorRow

Breaches = Iterator[tuple[str, str]]


def breaches(view: StateView, event: Event) -> Breaches:
    """Yield (rule, sentence) of each breach by an event of these kinds; of others, nothing."""
    judge = JUDGES.get(event.type)
    return judge(view, event) if judge else iter(())


def _added(view: StateView, event: Event) -> Breaches:
    said, actor = event.payload, view.get(ActorRow, event.actor)
    if view.get(ActorRow, said["id"]):
        yield "A2", f"{said['id']} is added again"
    if said["subject"] == said["id"]:
        return
    others = view.select(ActorRow, subject=said["subject"], kind="person")
    if not others or said["kind"] != "person":
        yield (
            "A2",
            f"{said['id']} is added as another account of {said['subject']}, who is no person on record",
        )
    for reason in may_add(actor, said["subject"]) if actor else ():
        yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"


def _changed(view: StateView, event: Event) -> Breaches:
    said, actor = event.payload, view.get(ActorRow, event.actor)
    account, roles = view.get(ActorRow, said["id"]), tuple(said["roles"])
    if account is None:
        yield "A2", f"{said['id']} gets other roles, whom no earlier event made an actor"
        return
    try:
        check_roles(account.kind, roles)
    except BadInput as fault:
        yield "A1", f"{said['id']} gets roles that it cannot hold: {fault.sentence}"
    for reason in may_change(actor, account, roles, administrators(view)) if actor else ():
        yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"


JUDGES: Mapping[EventType, Callable[[StateView, Event], Breaches]] = {
    EventType.ACTOR_ADDED: _added,
    EventType.ROLES_CHANGED: _changed,
}
