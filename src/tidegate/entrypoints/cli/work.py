"""Commands for the whole: where everything stands, what happened, what is broken, running flows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tidegate.application.people import names
from tidegate.application.runs import ran_ahead
from tidegate.application.standing import lifecycle
from tidegate.application.status import status as read_status
from tidegate.application.timeline import sentence, stale_rows
from tidegate.domain.counting import many, times
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.entrypoints.cli.common import (
    As,
    AsJson,
    acting,
    out,
    platform,
    printable,
    reading,
    say,
    table,
)
from tidegate.entrypoints.cli.results import in_words

#: How many incidents `status` names.
LATEST = 3


def open_(as_json: AsJson = False) -> None:
    """Open the ledger: its clock, its accounts and the first policy. Acting commands do it where people are local."""
    here = platform()
    tokens: dict[str, str] = {}

    def keep(name: str, token: str) -> None:
        if here.assurance == "local":
            here.keep_token(name, token)
        else:
            tokens[name] = token

    fresh = here.open(keep)
    found = {"opened": fresh, "policy": read_status(here)["policy"], "tokens": tokens}

    def render() -> None:
        out.print("the ledger is open" if fresh else "the ledger was open already; nothing changed")
        out.print(f"policy in force: {found['policy']}")
        for name, token in tokens.items():
            out.print(f"token of {name}, shown once: {token}", markup=False)

    say(found, as_json, render)


def status(as_user: As = None, as_json: AsJson = False) -> None:
    """Show what stands where, and what waits for whom."""
    here = platform()
    reading(here, as_user)
    found = read_status(here)

    def render() -> None:
        out.print(f"policy in force: {found['policy']} ({found['policy_digest'].split(':')[-1][:12]})")
        for line in _data(found):
            out.print(line)
        models = table("model", "tier", "versions", "staging", "canary", "prod")
        for name, model in found["models"].items():
            stages = [str(model["stages"].get(stage, "—")) for stage in ("staging", "canary", "prod")]
            models.add_row(name, model["tier"], str(model["versions"]), *stages)
        if models.row_count:
            out.print(models)
        for line in _waiting(found["waiting"]):
            out.print(line, markup=False)
        for model in found["held"]:
            out.print(f"held: {model}: a review that must not be missed is overdue, nothing goes up (P9)")
        if not any(found["waiting"].values()):
            out.print("nothing waits for anybody")
        for line in (*_stale(found), *_waived(found), *_gaps(found), *_clockwork(found), *_outside(found)):
            out.print(printable(line), markup=False)

    say(found, as_json, render)


def _data(found: dict[str, Any]) -> list[str]:
    """Return what people are told of drops, and of pushes where there are some."""
    drops, pushes = found["batches"], found["pushes"]
    told = (
        f"data: {many(drops['accepted'], 'batch')}, {many(drops['rows'], 'row')}; "
        f"{many(drops['quarantined'], 'row')} quarantined, {many(drops['held_back'], 'drop')} held back, "
        f"{many(drops['restated'], 'batch')} restated"
    )
    if not pushes["accepted"] and not pushes["held_back"]:
        return [told]
    beside = (
        f"pushed: {many(pushes['accepted'], 'push')}, {many(pushes['rows'], 'row')}; "
        f"{many(pushes['quarantined'], 'row')} quarantined, {many(pushes['held_back'], 'push')} held back"
    )
    return [told, beside]


def _waiting(waiting: dict[str, Any]) -> Iterator[str]:
    """Yield what waits for people, and for whom."""
    for item in waiting["approvals"]:
        way = " BY BREAK-GLASS" if item["kind"] == "break_glass" else ""
        what = f"{item['promotion']}, {item['model']} version {item['version']}"
        yield f"waits for an approver: {what} to {item['to']}{way}{_due(item)}"
    for item in waiting["policies"]:
        yield f"waits for approvers: policy {item['proposal']}, {item['name']} {item['version']}"
    for item in waiting["reviews"]:
        about = item["period"] or item["kind"].replace("_", " ")
        yield f"waits for a reviewer: {item['review']}, {item['model']} {about}{_due(item)}"


def _due(item: dict[str, Any]) -> str:
    """Return by when somebody should decide, and what was done about their not deciding."""
    if not item["due_at"]:
        return ""
    told = f", {'OVERDUE since' if item['overdue'] else 'due'} {item['due_at']}"
    return told + (f", escalated to {item['escalated_to']}" if item.get("escalated_to") else "")


def _clockwork(found: dict[str, Any]) -> list[str]:
    """Return what people are told of schedules: what was missed, what does not count, and what comes next."""
    if found["schedules_fault"]:
        return [f"schedules cannot be read: {found['schedules_fault']}"]
    lines = []
    for item in found["schedules"]:
        if item["missed"]:
            more = f" and {len(item['missed']) - 1} more" if len(item["missed"]) > 1 else ""
            lines.append(
                f"missed: {item['name']} of {item['missed'][0]}{more}; `tidegate schedule run` catches up"
            )
        if item["ahead"]:
            lines.append(f"ahead of the clock: {ran_ahead(item)}")
    coming = min(((item["next"], item["name"]) for item in found["schedules"] if item["next"]), default=None)
    return lines + ([f"next run: {coming[1]} at {coming[0]}"] if coming else [])


def _stale(found: dict[str, Any]) -> list[str]:
    """Return what people are told of views that are older than they may be, and of decisions that rest on such."""
    lines = [f"stale: {each['sentence']}" for each in found["features"] if not each["fresh"]]
    return lines + [
        f"{each['model']} {each['period']}, {many(each['rows'], 'decision', ',')} of version {each['version']}: {told}"
        for each in found["scorings"]
        for told in stale_rows(each["freshness"])
    ]


def _waived(found: dict[str, Any]) -> list[str]:
    """Return what people are told of checks that do not count now, and of what was let through before."""
    lines = [
        f"waived: {row['dataset']} {row['check']} for {row['period'] or 'every period'} until {row['until']}, "
        f"used {row['uses']} of {many(row['most'], 'time')}, {many(row['rows'], 'row', ',')} let through ({row['id']})"
        for row in found["waivers"]
        if not row["over"]
    ]
    past = [row for row in found["waivers"] if row["over"] and row["uses"]]
    if past:
        uses = sum(row["uses"] for row in past)
        lines.append(f"waivers that are over were used {times(uses)}: `tidegate waiver list`")
    return lines


def _gaps(found: dict[str, Any]) -> list[str]:
    """Return what people are told of periods that are over and were not scored, or not monitored."""
    if found["gaps_fault"] and found["gaps_fault"] != found["schedules_fault"]:
        return [f"gaps cannot be told: {found['gaps_fault']}"]
    return [f"{item['model']} {item['period']}: {item['gap']}" for item in found["gaps"]]


def _outside(found: dict[str, Any]) -> list[str]:
    """Return what people are told of the world outside: who was not told, and what was changed by another hand."""
    lines = [
        f"not told to {each['sink']} yet: {many(each['behind'], 'event')}; {each['error']}"
        for each in found["sinks"]
        if each["error"]
    ]
    latest = found["incidents"][:LATEST]
    lines += [
        f"incident {each['id']} on {each['occurred_at'][:10]}: {'; '.join(each['facts'])}" for each in latest
    ]
    more = len(found["incidents"]) - len(latest)
    return lines + (
        [f"and {many(more, 'incident')} before; `tidegate status --json` has all"] if more else []
    )


def log(
    model: Annotated[str | None, typer.Option(help="Only what happened to this model.")] = None,
    last: Annotated[int, typer.Option(min=0, help="Only the last N events; 0 prints all.")] = 0,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Print the timeline: one sentence per event, with who and when."""
    here = platform()
    reading(here, as_user)
    if model is not None:
        lifecycle(here.ledger.state(), model)
    called = names(here.ledger)
    events = list(here.ledger.events(stream=f"model/{model}" if model else None))[-last:]
    rows: list[dict[str, Any]] = [
        {
            "sequence": event.sequence,
            "occurred_at": event.occurred_at,
            "type": str(event.type),
            "actor": event.actor,
            "sentence": sentence(event, lambda actor: called.get(actor, actor)),
            "reason": here.ledger.text(event.payload.get("texts", {}).get("reason", "")),
            "idempotency_key": event.idempotency_key,
            "hash": event.hash,
        }
        for event in events
    ]

    def render() -> None:
        for row in rows:
            out.print(
                f"{row['sequence']:>4}  {row['occurred_at'][:16].replace('T', ' ')}  {row['sentence']}",
                markup=False,
            )
            if row["reason"]:
                out.print(f"{'':24}“{row['reason']}”", markup=False)

    say(rows, as_json, render)


def desk(as_user: As = None, as_json: AsJson = False) -> None:
    """Write the desk: one page with what waits, where models stand, and what happened."""
    from tidegate.entrypoints.web.desk import write

    here = platform()
    reading(here, as_user)
    page = write(here.settings)
    say({"desk": page.as_uri()}, as_json, lambda: out.print(page.as_uri(), markup=False))


def doctor(as_user: As = None, as_json: AsJson = False) -> None:
    """Examine everything Tidegate stands on, and say what is wrong and what to do."""
    from tidegate.entrypoints.examination import examine

    here = platform()
    reading(here, as_user)
    findings = examine(here)

    def render() -> None:
        for finding in findings:
            out.print(f"{'ok  ' if finding.ok else 'BAD '} {finding.what}: {finding.sentence}", markup=False)
            if finding.hint:
                out.print(f"      next: {finding.hint}", markup=False)

    say([finding.__dict__ for finding in findings], as_json, render)
    bad = [finding for finding in findings if not finding.ok]
    if bad:
        raise DependencyFailed(
            "unwell", f"{len(bad)} of {many(len(findings), 'examination')} found a fault", bad[0].hint
        )


def run(
    flow: Annotated[str, typer.Argument(help="A flow of pipelines/: ingest, materialize, train, …")],
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]…", help="Its parameters.")
    ] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Run a flow of pipelines/ in this process, under Prefect and the flow's own service account.

    If a person starts it, it works on their behalf, and they cannot approve what comes of it.
    """
    from tidegate.entrypoints.flows import run_flow

    given: dict[str, Any] = {}
    for pair in parameters or []:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise BadInput("bad-parameters", f"got `{pair}`, expected NAME=VALUE", "like period=2026-01")
        given[name] = value
    here = platform()
    found = run_flow(here.settings, flow, given, acting(here, as_user).actor)

    def render() -> None:
        for line in in_words(found):
            out.print(printable(line), markup=False)

    say(found, as_json, render)


def demo(as_json: AsJson = False) -> None:
    """Play the reference project through the year 2013, on real data. Safe to stop and run again."""
    from tidegate.entrypoints.demo import play

    play(as_json=as_json)
