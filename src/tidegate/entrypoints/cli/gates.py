"""Commands that try a gate on what is on record, and change nothing."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.application.shadow import Tried, facts, findings, shadow
from tidegate.application.suggesting import suggested
from tidegate.domain.counting import many
from tidegate.entrypoints.cli.common import As, AsJson, err, out, platform, reading, say, table

gate = typer.Typer(no_args_is_help=True, help="Try a data gate on what is on record; nothing is changed.")

#: How a drop's outcome would change, in words.
_FLIPS = {
    "blocked": "WOULD BE BLOCKED",
    "opened": "would be let in",
    "rows": "other rows set aside",
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
        then = f" now, {check['then']} then" if check["then"] else " now, not asked then"
        lines.append(
            f"  {check['id']} ({check['severity']}, {check['on_row']}) {check['verdict']}{then}: {check['sentence']}"
        )
    return [f"{name}:", *lines] if lines else []


def _still(tried: tuple[Tried, ...]) -> int:
    return sum(1 for each in tried if each.report and each.report.stops and not each.row.batch)


def _sum(tried: tuple[Tried, ...], checks: int) -> str:
    count = {kind: sum(1 for each in tried if each.flips == kind) for kind in _FLIPS}
    return (
        f"{many(checks, 'check')} on {many(len(tried), 'drop')}: {count['blocked']} would be blocked, "
        f"{count['opened']} let in, {_still(tried)} blocked as before, {count['rows']} with other rows set aside, "
        f"{sum(1 for each in tried if each.fault)} unread; nothing was changed"
    )


@gate.command("suggest")
def suggest(
    dataset: Annotated[str, typer.Argument(help="A dataset under contract.")],
    baseline: Annotated[
        str, typer.Option(metavar="PERIOD", help="An accepted period that is good, like 2013-01.")
    ],
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Suggest checks, volume and freshness from an accepted period, as a difference that a person reads and applies.

    Nothing is written. A suggested check warns and keeps its rows; a promise of volume or freshness stops a drop that
    breaks it. `tidegate gate backtest` says what they would find.
    """
    here = platform()
    reading(here, as_user)
    found = suggested(here, dataset, baseline)
    names = [os.path.relpath(each.file) for each in found.files]
    difference = "".join(
        _difference(name, each.before, each.after) for name, each in zip(names, found.files, strict=True)
    )
    checks = [
        {"type": each.expectation, "kwargs": dict(each.kwargs), "sentence": each.sentence}
        for each in found.checks
    ]
    promises = [
        {"property": str(each.about), "value": list(each.value), "sentence": each.sentence}
        for each in found.promises
    ]

    def render() -> None:
        sys.stdout.write(difference)  # as it is: it is read by `git apply` too
        for each in found.promises:
            err.print(f"{dataset} could promise {each.sentence}", markup=False)
        if not difference:
            err.print(f"the contract of {dataset} asks all that {baseline} bears already", markup=False)

    told = {"files": names, "baseline": baseline, "diff": difference}
    say({**told, "suggestions": checks, "promises": promises}, as_json, render)


def _difference(name: str, before: str, after: str) -> str:
    """Return a unified diff as `git apply` takes it, also of a text that does not end with its line."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
