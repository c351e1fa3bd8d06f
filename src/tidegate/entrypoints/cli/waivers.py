"""Commands about waivers: checks of a dataset that do not count for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.application.people import names
from tidegate.application.waive import end_waiver, waive
from tidegate.bootstrap import Tidegate
from tidegate.domain.canonical import utc_time
from tidegate.domain.lifecycle import time_for
from tidegate.domain.state import WaiverRow
from tidegate.entrypoints.cli.common import (
    As,
    AsJson,
    Key,
    Reason,
    acting,
    out,
    platform,
    reading,
    say,
    table,
)

waiver = typer.Typer(no_args_is_help=True, help="Let one check of a dataset not count, for a while.")


@waiver.command("add")
def add(
    dataset: Annotated[str, typer.Argument(help="A dataset under contract.")],
    check: Annotated[
        str, typer.Argument(help="A rule of its suite, or volume, freshness or quarantine-share.")
    ],
    until: Annotated[str, typer.Option(metavar="TIME", help="Until when, like 2026-12-24T00:00:00Z.")],
    reason: Reason,
    period: Annotated[str, typer.Option(help="Only for this period, like 2013-01.")] = "",
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let a check not count: what it finds neither stops a drop nor sets rows aside, and is counted as a use."""
    here = platform()
    who = acting(here, as_user, key)
    _say(here, [waive(here, who, dataset, check, utc_time(until), reason, period)], as_json)


@waiver.command("end")
def end(
    name: Annotated[str, typer.Argument(help="A waiver's id.")], as_user: As = None, as_json: AsJson = False
) -> None:
    """End a waiver before its time. What it let through stands."""
    here = platform()
    _say(here, [end_waiver(here, acting(here, as_user), name)], as_json)


@waiver.command("list")
def list_(as_user: As = None, as_json: AsJson = False) -> None:
    """List all waivers, with what they let through."""
    here = platform()
    reading(here, as_user)
    _say(here, list(here.ledger.state().select(WaiverRow)), as_json)


def _say(here: Tidegate, rows: list[WaiverRow], as_json: bool) -> None:
    marks, now, called = here.ledger.state().marks(), here.clock.now(), names(here.ledger)

    def state(row: WaiverRow) -> str:
        if row.ended:
            return "ended"
        return "in force" if time_for(marks, row.sequence, now) < utc_time(row.until) else "over"

    def render() -> None:
        shown = table("waiver", "check", "period", "by", "until", "state", "uses", "rows let through")
        for row in rows:
            who = called.get(row.given_by, row.given_by)
            shown.add_row(
                row.id,
                f"{row.dataset} {row.check}",
                row.period or "all",
                who,
                row.until,
                state(row),
                str(row.uses),
                f"{row.rows:,}",
            )
        out.print(shown if rows else "no waiver was given yet")

    told = [
        {**{name: getattr(row, name) for name in _SHOWN}, "by": row.given_by, "state": state(row)}
        for row in rows
    ]
    say(told, as_json, render)


_SHOWN = ("id", "dataset", "check", "period", "until", "uses", "rows")
