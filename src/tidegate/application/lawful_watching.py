"""Judge what the record says of decisions, canaries, reviews and scheduled runs (see `lawfulness`).

    P1  what scored or was analysed stood where the event says, and scored with its own artifact, once
    P8  decisions are marked by what the views said of how fresh they must be
    P5  a canary was compared with what was live then, else with the fallback
    V1…V5  a canary's verdict is what its own figures come to under the rule in force (`domain.rollout`)
    R1  a review is opened and decided once, by a person who holds its role, and followed once, for that person;
        what was let in by break-glass, or on condition, is reviewed by nobody who had a part in it
    S1  a slot of a schedule counts once; again only where the clock has gone back behind the run that counted
    G6  what a gate let through was waived then, by a person whose drop it was not, and not more often than they said;
        nothing else that stops a batch (G1, G2) is on record of an accepted one
    G7  what was pushed adds up, and no row of it is of a period whose drop had been accepted
    I1  an incident is recorded once, under its own name, and says what differed

That the figures were measured is not shown: whoever can write past the use cases can write figures too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from math import nan
from typing import Any

from tidegate.application.follow import DOING
from tidegate.application.ingest import accounts_of
from tidegate.application.lawful_freshness import marked
from tidegate.application.moments import APART
from tidegate.application.review import impartial
from tidegate.application.revisions import in_force
from tidegate.application.standing import entered_canary, lifecycle
from tidegate.domain.canonical import utc_time
from tidegate.domain.contract import OnRow, Severity
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Measure, Verdict
from tidegate.domain.fold import StateView
from tidegate.domain.policy import Policy, Stage, Tier
from tidegate.domain.push import delivered
from tidegate.domain.reviewing import RECERTIFICATION
from tidegate.domain.rollout import MAX_SHARE, allotted, judge_canary
from tidegate.domain.state import (
    ActorRow,
    BatchRow,
    IncidentRow,
    PushRow,
    ReviewRow,
    RunRow,
    ScoringRow,
    VersionRow,
    WaiverRow,
)
from tidegate.domain.waiver import MOST_DAYS, MOST_USES, Moment, against, covers

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


def _accepted(view: StateView, event: Event, _: Policy) -> Breaches:
    said = event.payload
    known = view.get(BatchRow, said["dataset"], said["drop"])
    yield from _let_in(view, event, known, said["period"], f"{said['dataset']} {said['period']}")


def _pushed(view: StateView, event: Event, _: Policy) -> Breaches:
    """What was pushed adds up, and came before the drops of its periods."""
    said = event.payload
    about = f"a push of {said['dataset']}"
    known = view.get(PushRow, said["dataset"], said["drop"])
    yield from _let_in(view, event, known, said["report"].get("period", ""), about)
    rows = sum(part["rows"] for part in said["parts"].values())
    if (
        not said["parts"]
        or rows != said["accepted"]
        or said["accepted"] + said["quarantined"] + said["report"].get("erased", 0) != said["read"]
    ):
        yield "G7", f"{about} was accepted with {rows} rows in its parts, of {said['read']} that were read"
    there = {row.period for row in in_force(view, said["dataset"])}
    for period in sorted(said["parts"]):
        if delivered(period, there):
            yield "G7", f"{about} was accepted for {period}, whose drop was accepted before"


def _let_in(
    view: StateView, event: Event, known: BatchRow | PushRow | None, period: str, about: str
) -> Breaches:
    """What its checks found stops nothing that was accepted, but for what was waived then, for it, by somebody else."""
    said, report = event.payload, event.payload["report"]
    earlier = known.report.get("brought_for", ()) if known is not None else ()
    own = accounts_of(view, {*earlier, event.actor, *([event.on_behalf_of] if event.on_behalf_of else [])})
    moment = Moment(utc_time(event.occurred_at) - APART, view.marks(), own)
    waived = {use["check"]: use["waiver"] for use in report.get("waived", ())}
    for check, name in waived.items():
        row, told = view.get(WaiverRow, name), f"{check} of {about} was let through by {name}"
        if row is None or row.check != check or not covers(row, said["dataset"], period):
            yield "G6", f"{told}, which is no waiver of it"
        elif fault := against(row, moment):
            yield "G6", f"{told}: {fault}"
    for check in report.get("checks", ()):
        found = Verdict(check.get("verdict", Verdict.PASSED))
        if found is Verdict.ERROR:
            yield "G1", f"{about} was accepted, and {check['id']} could not measure"
        elif event.type is EventType.PUSH_ACCEPTED and found is Verdict.INCONCLUSIVE:
            continue  # of a few rows, none that it looks at says nothing
        elif found is not Verdict.PASSED and _stops(check) and check["id"] not in waived:
            yield "G2", f"{about} was accepted, and {check['id']} is {found}, which nobody waived"


def _stops(check: Mapping[str, Any]) -> bool:
    return bool(check.get("severity") == Severity.CRITICAL and check.get("on_row") == OnRow.KEEP)


def _waived(view: StateView, event: Event, _: Policy) -> Breaches:
    said, now = event.payload, utc_time(event.occurred_at)
    actor = view.get(ActorRow, event.actor)
    if view.get(WaiverRow, said["id"]):
        yield "G6", f"{said['id']} is given again under the same name"
    if actor is not None and actor.kind != "person":
        yield "G6", f"{said['id']} is given by {actor.id}, who is no person"
    if not 1 <= said["most"] <= MOST_USES:
        yield "G6", f"{said['id']} is given for {said['most']} batches, expected 1 to {MOST_USES}"
    if not now - APART < utc_time(said["until"]) <= now + timedelta(days=MOST_DAYS) + APART:
        yield "G6", f"{said['id']} is given until {said['until']}, expected an end within {MOST_DAYS} days"


def _waiver_ended(view: StateView, event: Event, _: Policy) -> Breaches:
    row = view.get(WaiverRow, event.payload["id"])
    if row is None or row.ended:
        yield "G6", f"{event.payload['id']} is ended, which is not there or was ended before"


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
    EventType.BATCH_ACCEPTED: _accepted,
    EventType.PUSH_ACCEPTED: _pushed,
    EventType.WAIVER_GIVEN: _waived,
    EventType.WAIVER_ENDED: _waiver_ended,
    EventType.DECISIONS_SCORED: _scored,
    EventType.CANARY_ANALYSED: _analysed,
    EventType.REVIEW_OPENED: _opened,
    EventType.REVIEW_DECIDED: _decided,
    EventType.REVIEW_FOLLOWED: _followed,
    EventType.RUN_FINISHED: _ran,
    EventType.REGISTRY_REPAIRED: _repaired,
}
