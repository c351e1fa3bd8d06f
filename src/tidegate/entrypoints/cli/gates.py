"""Commands that try a gate on what is on record, and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.application.shadow import Tried, facts, findings, shadow
from tidegate.entrypoints.cli.common import As, AsJson, out, platform, reading, say, table

gate = typer.Typer(no_args_is_help=True, help="Try a data gate on what is on record; nothing is changed.")

#: How a drop's outcome would change, in words.
_FLIPS = {
    "blocked": "WOULD BE BLOCKED",
    "opened": "would be let in",
    "rows": "more or fewer rows set aside",
    "": "as it was",
}


@gate.command("backtest")
def backtest(
    dataset: Annotated[str, typer.Argument(help="A dataset of which something came.")],
    contract: Annotated[
        Path | None, typer.Option(help="A contract to try in the place of the dataset's own.")
    ] = None,
    suite: Annotated[Path | None, typer.Option(help="A suite to try in the place of its own.")] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Run a new or changed suite over every drop on record: what it would have blocked or set aside, and why.

    Each drop is judged whole (rows accepted and rows held back), as of when it came, against what other datasets list
    today and without waivers. Nothing is written, and nothing enters the ledger.
    """
    here = platform()
    reading(here, as_user)
    proposed, tried = shadow(here, dataset, contract, suite)
    shown = [facts(each) for each in tried]

    def render() -> None:
        told = table("period", "then", "rows", "aside", "now", "aside", "what changes")
        for each, fact in zip(tried, shown, strict=True):
            told.add_row(*_line(each, fact))
        out.print(told)
        for each in tried:
            for line in _reasons(each):
                out.print(line, markup=False)
        out.print(_sum(tried, len(proposed.checks)), markup=False)

    count = {kind: sum(1 for each in tried if each.flips == kind) for kind in ("blocked", "opened", "rows")}
    unread = sum(1 for each in tried if each.fault)
    found = {"dataset": dataset, "contract": proposed.digest, "drops": shown, **count, "unread": unread}
    say(found, as_json, render)


def _line(tried: Tried, fact: dict[str, Any]) -> tuple[str, ...]:
    row, now = tried.row, fact["now"]
    name = row.period + (f" revision {row.revision}" if row.revision else "")
    then = (row.verdict, f"{row.read:,}", f"{row.quarantined:,}")
    if now is None:
        return (name, *then, "not told", "", "its rows cannot be read")
    return (name, *then, now["verdict"], f"{now['quarantined']:,}", _FLIPS[tried.flips])


def _reasons(tried: Tried) -> list[str]:
    """Say why a drop would be stopped, and what each check that does not pass would find."""
    name = f"{tried.row.dataset} {tried.row.period}"
    if tried.report is None:
        return [f"{name}: {tried.fault}"]
    lines = [f"  stopped by {stop.rule}: {stop.sentence}" for stop in tried.report.stops]
    for check in findings(tried):
        then = f", then {check['then']}" if check["then"] else ", not asked then"
        lines.append(
            f"  {check['id']} ({check['severity']}, {check['on_row']}) {check['verdict']}{then}: {check['sentence']}"
        )
    return [f"{name}:", *lines] if lines else []


def _sum(tried: tuple[Tried, ...], checks: int) -> str:
    count = {kind: sum(1 for each in tried if each.flips == kind) for kind in _FLIPS}
    return (
        f"{checks} checks on {len(tried)} drops: {count['blocked']} would be blocked, {count['opened']} let in, "
        f"{count['rows']} with more or fewer rows set aside, {sum(1 for each in tried if each.fault)} unread; "
        "nothing was changed"
    )
