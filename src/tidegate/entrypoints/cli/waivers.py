"""Commands about waivers: checks of a dataset that do not count for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.application.people import names
from tidegate.application.waive import end_waiver, shown, waive
from tidegate.bootstrap import Tidegate
from tidegate.domain.canonical import utc_time
from tidegate.entrypoints.cli.common import (
    As,
    AsJson,
    Key,
    Reason,
    acting,
    after,
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
    uses: Annotated[int, typer.Option(help="For how many batches at most.")] = 1,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let a check not count: what it finds neither stops a drop nor sets rows aside, and is counted as a use.

    It opens no drop that was brought for whoever gives it, and nothing that could not be measured. A drop that was
    held back goes through when it is ingested again.
    """
    here = platform()
    who = acting(here, as_user, key)
    row = waive(here, who, dataset, check, utc_time(until), reason, period, uses)
    after(here)
    _say(here, as_json, row.id)


@waiver.command("end")
def end(
    name: Annotated[str, typer.Argument(help="A waiver's id.")],
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """End a waiver before its time. What it let through stands."""
    here = platform()
    row = end_waiver(here, acting(here, as_user, key), name)
    after(here)
    _say(here, as_json, row.id)


@waiver.command("list")
def list_(as_user: As = None, as_json: AsJson = False) -> None:
    """List all waivers, with what they let through, how often, and why they count no more."""
    here = platform()
    reading(here, as_user)
    _say(here, as_json)


def _say(here: Tidegate, as_json: bool, only: str = "") -> None:
    rows = [row for row in shown(here) if only in {"", row["id"]}]
    called = names(here.ledger)

    def render() -> None:
        told = table("waiver", "check", "period", "by", "until", "uses", "rows let through")
        for row in rows:
            told.add_row(
                row["id"],
                f"{row['dataset']} {row['check']}",
                row["period"] or "all",
                called.get(row["given_by"], row["given_by"]),
                row["until"],
                f"{row['uses']} of {row['most']}",
                f"{row['rows']:,}",
            )
        out.print(told if rows else "no waiver was given yet")
        for row in rows:
            if row["over"]:
                out.print(f"  {row['over']}", markup=False)

    say(rows, as_json, render)
