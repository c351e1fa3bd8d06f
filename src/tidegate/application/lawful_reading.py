"""Judge what the record says of reading and writing features (see `lawfulness`).

    F2  whoever built, brought online, compared, measured, learned from or scored on a view held a role that it was
        open to then
    D1  what is said of a feature's drift is what its figures on record come to under the limits it names

Before anything was declared on a record nothing of it is judged: there was no such rule. That nothing else was read is
not shown: whoever can write past the use cases can leave out what they read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tidegate.domain.access import Access, closed
from tidegate.domain.actors import ROLES
from tidegate.domain.events import Event, EventType
from tidegate.domain.feature_drift import Limits, as_dict, drift, overall
from tidegate.domain.fold import StateView
from tidegate.domain.state import AccessRow, ActorRow, StatisticsRow

Breaches = Iterator[tuple[str, str]]


def breaches(view: StateView, event: Event) -> Breaches:
    """Yield (rule, sentence) of each breach by an event of these kinds; of others, nothing."""
    if event.type is EventType.ACCESS_DECLARED:
        yield from _declared(event)
    elif event.type in JUDGES:
        accesses, views = JUDGES[event.type]
        rows, actor = view.select(AccessRow), view.get(ActorRow, event.actor)
        if rows and actor is not None:
            opened = {(row.view, row.access): row.roles for row in rows}
            for reason in closed(opened, actor.id, actor.roles, views(event.payload), accesses):
                yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"
    if event.type is EventType.FEATURES_JUDGED:
        yield from _judged(view, event)


def _declared(event: Event) -> Breaches:
    for name, said in event.payload["permissions"].items():
        if unknown := sorted({*said["roles"]} - set(ROLES)) + sorted({*said["opens"]} - set(Access)):
            yield "F2", f"the permission {name} opens features by what there is not: {', '.join(unknown)}"


def _judged(view: StateView, event: Event) -> Breaches:
    said = event.payload
    about = f"the drift of {said['view']} over {said['window']}"
    limits, of = Limits(**said["declared"]), (said["source"], said["definition"])
    now, then = (
        view.get(StatisticsRow, said["view"], window, *of) for window in (said["window"], limits.baseline)
    )
    if limits.digest != said["limits"]:
        yield "D1", f"{about} names other limits than it was judged by"
    if now is None or then is None:
        yield "D1", f"{about} was judged without figures of it on record"
        return
    found = drift(limits, then.figures, now.figures, said["counts"])
    if (as_dict(found), overall(found)) != (said["found"], said["verdict"]):
        yield "D1", f"{about} is recorded as {said['verdict']}; its figures on record say {overall(found)}"


def _read(said: Mapping[str, Any]) -> list[str]:
    return sorted({view for views in said["read"].values() for view in views})


#: What each kind of event did, and to which views.
JUDGES: Mapping[EventType, tuple[tuple[Access, ...], Callable[[Mapping[str, Any]], list[str]]]] = {
    EventType.ACCESS_DECLARED: ((), lambda _: []),
    EventType.FEATURES_BUILT: ((Access.WRITE_OFFLINE,), lambda said: list(said["views"])),
    EventType.FEATURES_MATERIALIZED: ((Access.WRITE_ONLINE,), lambda said: list(said["rows"])),
    EventType.FEATURES_COMPARED: (
        (Access.READ_ONLINE, Access.READ_OFFLINE),
        lambda said: list(said["views"]),
    ),
    EventType.FEATURES_MEASURED: ((Access.READ_OFFLINE,), lambda said: [said["view"]]),
    EventType.FEATURES_JUDGED: ((Access.READ_OFFLINE,), lambda said: [said["view"]]),
    EventType.TRAINING_SET_BUILT: ((Access.READ_OFFLINE,), _read),
    EventType.DECISIONS_SCORED: ((Access.READ_OFFLINE,), _read),
}
