"""Judge what the record says of batches, pushes and waivers (see `lawfulness`).

    G6  what a gate let through was waived then, by a person whose drop it was not, and not more often than they said,
        or had been so in the batch in which rows were put back; nothing else that stops a batch (G1, G2) is on record
        of an accepted one
    G7  what was pushed adds up, and no row of it is of a period whose drop had been accepted

That a report is of the rows that came is not shown: whoever can write past the use cases can write reports too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from tidegate.application.gating import let_in
from tidegate.application.ingest import accounts_of
from tidegate.application.moments import APART
from tidegate.application.revisions import in_force
from tidegate.domain.canonical import utc_time
from tidegate.domain.contract import OnRow, Severity
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.fold import StateView
from tidegate.domain.push import delivered
from tidegate.domain.state import ActorRow, BatchRow, PushRow, WaiverRow
from tidegate.domain.waiver import MOST_DAYS, MOST_USES, Moment, Use, against, covers

Breaches = Iterator[tuple[str, str]]


def breaches(view: StateView, event: Event) -> Breaches:
    """Yield (rule, sentence) of each breach by an event of these kinds; of others, nothing."""
    judge = JUDGES.get(event.type)
    return judge(view, event) if judge else iter(())


def _accepted(view: StateView, event: Event) -> Breaches:
    said = event.payload
    known = view.get(BatchRow, said["dataset"], said["drop"])
    about = f"{said['dataset']} {said['period']}"
    yield from _let_in(view, event, known, said["period"], about)
    yield from _stays(view, event, about)


def _stays(view: StateView, event: Event, about: str) -> Breaches:
    """What waivers let in before is what the batch says in which rows were put back."""
    said = event.payload
    base = view.get(BatchRow, said["dataset"], said["report"].get("replays", {}).get("drop", ""))
    before = let_in(base.report) if base is not None and base.batch == said["supersedes"] else ()
    for use in said["report"].get("stays", ()):
        if Use(**use) not in before:
            yield (
                "G6",
                f"{use['check']} of {about} is said to stay by {use['waiver']}, which had not let it in",
            )


def _pushed(view: StateView, event: Event) -> Breaches:
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


def _waived(view: StateView, event: Event) -> Breaches:
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


def _waiver_ended(view: StateView, event: Event) -> Breaches:
    row = view.get(WaiverRow, event.payload["id"])
    if row is None or row.ended:
        yield "G6", f"{event.payload['id']} is ended, which is not there or was ended before"


JUDGES: Mapping[EventType, Callable[[StateView, Event], Breaches]] = {
    EventType.BATCH_ACCEPTED: _accepted,
    EventType.PUSH_ACCEPTED: _pushed,
    EventType.WAIVER_GIVEN: _waived,
    EventType.WAIVER_ENDED: _waiver_ended,
}
