"""Commands about the outbox: where each sink stands, telling it what it was not told, telling it again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tidegate.application import outbox as use_case
from tidegate.domain.counting import many
from tidegate.domain.errors import DependencyFailed
from tidegate.entrypoints.cli.common import As, AsJson, acting, out, platform, reading, say, table

outbox = typer.Typer(help="Who is told what happened: where each sink stands, and telling it again.")

Sink = Annotated[str, typer.Argument(metavar="SINK", help="A sink's name in the profile.")]


@outbox.callback(invoke_without_command=True)
def show(context: typer.Context, as_user: As = None, as_json: AsJson = False) -> None:
    """Show where each sink stands: up to which event it was told, how many it still has to be told, what went wrong.

    Each command tells the sinks what it did, and leaves one that is down alone for a while.
    """
    if context.invoked_subcommand is not None:
        return
    here = platform()
    reading(here, as_user)
    rows = use_case.standings(here)

    def render() -> None:
        told = table("sink", "told up to", "behind", "last error", "again from")
        for row in rows:
            again = "when you say so" if row.retry_at == use_case.NEVER else row.retry_at
            told.add_row(row.sink, str(row.sequence), str(row.behind), row.error or "—", again or "—")
        out.print(told)

    say([asdict(row) for row in rows], as_json, render)


@outbox.command()
def drain(
    sink: Annotated[
        str | None, typer.Argument(metavar="[SINK]", help="Only this one, also while it would be left alone.")
    ] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Tell the sinks what they were not told yet: for a clock, or once a sink that was down is up again."""
    here = platform()
    acting(here, as_user)
    told = use_case.tell(here, use_case.ASKED, sink)

    def render() -> None:
        for each in told:
            stopped = each.error or each.left_alone
            out.print(
                f"{each.sink}: told {many(each.events, 'event')}{f'; {stopped}' if stopped else ''}",
                markup=False,
            )
        if not told:
            out.print("this profile has no sink")

    say([asdict(each) for each in told], as_json, render)
    failed = [each for each in told if each.error]
    if failed:
        raise DependencyFailed(
            "sink-down", f"{failed[0].sink} was not told all: {failed[0].error}", "see `tidegate outbox`"
        )


@outbox.command()
def replay(
    sink: Sink,
    first: Annotated[
        int, typer.Option("--from", metavar="SEQUENCE", help="The first event it is told again.")
    ],
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Have a sink told again from an event on; the events are the same, under the same ids.

    For operators. The record says nothing of it: nothing happened.
    """
    here = platform()
    at = use_case.replay(here, acting(here, as_user), sink, first)
    say(
        {"sink": sink, **asdict(at)},
        as_json,
        lambda: out.print(f"{sink} is told again from event {at.sequence + 1} on", markup=False),
    )
