"""Judge what the record says of decisions, canaries, reviews and scheduled runs (see `lawfulness`).

    P1  what scored or was analysed stood where the event says, and scored with its own artifact, once
    P8  decisions are marked by what the views said of how fresh they must be
    P5  a canary was compared with what was live then, else with the fallback
    V1…V5  a canary's verdict is what its own figures come to under the rule in force (`domain.rollout`)
    R1  a review is opened and decided once, by a person who holds its role, and followed once, for that person;
        what was let in by break-glass, or on condition, is reviewed by nobody who had a part in it
    S1  a slot of a schedule counts once; again only where the clock has gone back behind the run that counted
    I1  an incident is recorded once, under its own name, and says what differed

That the figures were measured is not shown: whoever can write past the use cases can write figures too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import nan
from typing import Any

from tidegate.application.follow import DOING
from tidegate.application.lawful_freshness import marked
from tidegate.application.review import impartial
from tidegate.application.standing import entered_canary, lifecycle
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.fold import StateView
from tidegate.domain.policy import Policy, Stage, Tier
from tidegate.domain.reviewing import RECERTIFICATION
from tidegate.domain.rollout import MAX_SHARE, allotted, judge_canary
from tidegate.domain.state import (
    ActorRow,
    IncidentRow,
    ReviewRow,
    RunRow,
    ScoringRow,
    VersionRow,
)

Breaches = Iterator[tuple[str, str]]


def breaches(view: StateView, event: Event, policy: Policy) -> Breaches:
    """Yield (rule, sentence) of each breach by an event of these kinds; of others, nothing."""
    judge = JUDGES.get(event.type)
    return judge(view, event, policy) if judge else iter(())


def _scored(view: StateView, event: Event, _: Policy) -> Breaches:
    said = event.payload
    version = view.get(VersionRow, said["model"], said["version"])
    about = f"version {said['version']} of {said['model']}"
    life = lifecycle(view, said["model"])
    scores = version is not None and (
        version.stage in {Stage.PROD, Stage.CANARY} or version == life.stands_in()
    )
    if version is None or said["stage"] != version.stage or not scores:
        stands = version.stage if version else "nowhere"
        yield (
            "P1",
            f"{about} scored {said['period']} as if it stood in {said['stage']}; it stands in {stands}",
        )
    elif said["artifact"] != version.artifact:
        yield "P1", f"{about} scored {said['period']} with another artifact than it has"
    live = life.in_prod()
    most = live.conditions.get(MAX_SHARE, 1) if live else 1
    share = allotted(said["of"], most)
    shares = {Stage.PROD: share, Stage.CANARY: said["of"]}
    due = shares.get(Stage(said["stage"]), said["of"] - share)
    if said["rows"] != due:
        rows = f"{said['rows']} of {said['of']} rows of {said['period']}"
        yield "P3", f"{about} decided {rows}, and was to decide {due} on the conditions of what is live"
    if view.get(ScoringRow, said["model"], said["period"], said["version"]):
        yield "P1", f"{about} scored {said['period']} again, which replaces decisions on record"
    if version is not None:
        yield from marked(view, event, version, about)


def _analysed(view: StateView, event: Event, policy: Policy) -> Breaches:
    said, found = event.payload, event.payload["analysis"]
    life = lifecycle(view, said["model"], said["version"])
    scoring = view.get(ScoringRow, said["model"], said["period"], said["version"])
    about = f"the canary of version {said['version']} of {said['model']} on {said['period']}"
    since = entered_canary(view, life.versions[said["version"]])
    if scoring is None or scoring.stage != Stage.CANARY or scoring.sequence < since:
        yield "P1", f"{about} was analysed, and it scored nothing then in canary"
    live = life.in_prod()
    beside = view.get(ScoringRow, said["model"], said["period"], live.number) if live else None
    compared = beside.rows if scoring and beside and beside.entities == scoring.entities else None
    if scoring is not None and found["decisions"] != scoring.root:
        yield "P1", f"{about} was analysed on other decisions than it made"
    elif scoring is not None and found["rows"] not in {scoring.rows, compared}:
        yield "P1", f"{about} was analysed on {found['rows']} rows, of {scoring.rows} that it decided"
    if said["baseline"] != (live.number if live else 0):
        told = f"version {live.number} is live" if live else "no version is live"
        yield "P5", f"{about} was compared with version {said['baseline']}, while {told}"
    rule = policy.rollout.get(Tier(life.model.tier))
    asked = {name: getattr(rule, name) for name in ("labelled_share", "days", "may_lose")} if rule else {}
    if rule is None or found["asked"] != asked:
        yield found["rule"], f"{about} was judged by another rule than the policy in force has"
        return
    due = judge_canary(
        rule,
        found["rows"],
        found["labelled"],
        found["days"],
        _measure(found["gain"]),
        _measure(found["baseline_loss"]),
    )
    if (said["verdict"], said["standing"], found["rule"]) != (due.verdict, due.standing, due.rule):
        yield due.rule, f"{about} is recorded as {said['verdict']}; its own figures say {due.verdict}"


def _measure(shown: Mapping[str, Any] | None) -> Measure | None:
    """Read a recorded measure back; what was no finite number then is none now."""
    if shown is None:
        return None
    value = nan if shown["value"] is None or not shown["finite"] else shown["value"]
    return Measure(value, shown["n"], shown["low"], shown["high"], shown["method"])


def _opened(view: StateView, event: Event, _: Policy) -> Breaches:
    if view.get(ReviewRow, event.payload["id"]):
        yield "R1", f"{event.payload['id']} is opened again, which takes back what was decided"


def _decided(view: StateView, event: Event, _: Policy) -> Breaches:
    review, actor = view.get(ReviewRow, event.payload["id"]), view.get(ActorRow, event.actor)
    if review is None or review.status != "open":
        yield "R1", f"{event.payload['id']} is decided, which is not open"
    elif review.kind == RECERTIFICATION:
        yield "R1", f"{review.id} is decided, which only certifying again answers"
    elif actor is not None and (actor.kind != "person" or review.role not in actor.roles):
        yield "R1", f"{review.id} is decided by {actor.id}, who is no person with the role `{review.role}`"
    elif actor is not None:
        for reason in impartial(view, review, actor):
            yield reason.rule, f"{event.type} was not allowed: {reason.sentence}"


def _followed(view: StateView, event: Event, _: Policy) -> Breaches:
    review = view.get(ReviewRow, event.payload["id"])
    if review is None or review.status != "decided" or review.outcome not in DOING:
        yield "R1", f"{event.payload['id']} is followed, and nobody decided that anything be done"
        return
    if review.followed:
        yield "R1", f"{review.id} is followed again"
    if event.on_behalf_of != review.decided_by:
        behind = event.on_behalf_of or "nobody"
        yield "R1", f"{review.id} is followed on behalf of {behind}, but {review.decided_by} decided it"


def _ran(view: StateView, event: Event, _: Policy) -> Breaches:
    said = event.payload
    before = view.get(RunRow, said["schedule"], said["slot"])
    if before is not None and utc_time(before.occurred_at) <= utc_time(event.occurred_at):
        yield "S1", f"the slot {said['slot']} of {said['schedule']} is run again"


def _repaired(view: StateView, event: Event, _: Policy) -> Breaches:
    said = event.payload
    if view.get(IncidentRow, said["id"]):
        yield "I1", f"{said['id']} is recorded again, which replaces what was found before"
    if not said["facts"]:
        yield "I1", f"{said['id']} says of nothing that it differed"


JUDGES: Mapping[EventType, Callable[[StateView, Event, Policy], Breaches]] = {
    EventType.DECISIONS_SCORED: _scored,
    EventType.CANARY_ANALYSED: _analysed,
    EventType.REVIEW_OPENED: _opened,
    EventType.REVIEW_DECIDED: _decided,
    EventType.REVIEW_FOLLOWED: _followed,
    EventType.RUN_FINISHED: _ran,
    EventType.REGISTRY_REPAIRED: _repaired,
}
