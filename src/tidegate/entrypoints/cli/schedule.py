"""Commands about schedules: what they ask for and when, and running what is due without a server."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tidegate.application.runs import schedule_status
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import Refused
from tidegate.entrypoints.cli.common import As, AsJson, out, platform, reading, say, table

schedule = typer.Typer(
    no_args_is_help=True, help="What runs on a clock: the schedules of pipelines/prefect.yaml."
)


@schedule.command("list")
def list_(as_user: As = None, as_json: AsJson = False) -> None:
    """List the schedules: when each asks for a run, its last one, what was missed, what comes next."""
    here = platform()
    reading(here, as_user)
    found = schedule_status(here, here.clock.now())

    def render() -> None:
        rows = table("schedule", "cron", "time zone", "last slot", "outcome", "missed", "next")
        for row in found:
            last = row["last"] or {"slot": "—", "outcome": "—"}
            cells = (last["slot"][:16], last["outcome"], str(len(row["missed"])), (row["next"] or "—")[:16])
            rows.add_row(row["name"], row["cron"], row["timezone"], *cells)
        out.print(rows)
        for row in found:
            if row["last"]:
                out.print(f"{row['name']}: {row['last']['summary']}", markup=False)

    say(found, as_json, render)


@schedule.command("run")
def run(
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Run what was due by then, like 2013-02-01T12:00:00Z; default: now."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run everything that is due, in this process, oldest slot first; each flow acts as its own service.

    This is what a crontab or a timer calls where no Prefect server runs. It stops at the first slot whose
    tools fail, or that has to wait: that slot stays due, and the next call goes on there.
    """
    from tidegate.entrypoints.slots import run_due

    here = platform()
    if here.assurance == "local":
        here.open()
    ran: list[dict[str, Any]] = []

    def note(found: dict[str, Any]) -> None:
        for each in found["runs"]:
            row = {"schedule": found["schedule"], **each}
            ran.append(row)
            if not as_json:
                covers = f" (and {each['covers']} before it)" if each["covers"] else ""
                out.print(
                    f"{each['slot'][:16]}  {found['schedule']}{covers}  {each['outcome']}: {each['said']}",
                    markup=False,
                )

    try:
        run_due(here, utc_time(until) if until else None, note)
    except Refused as refusal:
        raise Refused(refusal.code, refusal.sentence, refusal.hint, ran=ran) from refusal
    say(ran, as_json, lambda: None if ran else out.print("nothing is due"))
