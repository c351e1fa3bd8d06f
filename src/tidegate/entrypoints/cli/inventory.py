"""The command that lists every model: whose it is, what it is for, who acts on it, when to look at it next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from tidegate.application.inventory import CERTIFICATE, Entry, inventory
from tidegate.application.timeline import stated
from tidegate.entrypoints.cli.common import As, AsJson, out, platform, printable, reading, say

_PREDICTS = {"probability": "a probability", "number": "a number", "": "—"}


def list_models(as_user: As = None, as_json: AsJson = False) -> None:
    """List every model: owner, purpose, tier, what is live, who acts on it, and when its next review is due."""
    here = platform()
    reading(here, as_user)
    found = inventory(here.ledger.state(), here.clock.now())

    def render() -> None:
        for entry in found:
            for line in lines(entry):
                out.print(line, markup=False)
        if not found:
            out.print("no model is registered yet; `tidegate train MODEL` registers the first version")

    say([asdict(entry) for entry in found], as_json, render)


def lines(entry: Entry) -> Iterator[str]:
    """Yield one model's entry, a line each; what a terminal would obey is spelled out, and no text has two lines."""
    predicts = _PREDICTS.get(entry.prediction, entry.prediction)
    told = (
        f"{entry.model}: tier {entry.tier}, owner {entry.owner}, predicts {predicts}",
        f"  purpose: {entry.purpose}",
        f"  live: {_live(entry)}",
        f"  consumers: {'; '.join(entry.consumers) or '—'}",
        f"  next review: {_next(entry)}",
    )
    for line in told:
        yield printable(line.replace("\n", " "))


def _live(entry: Entry) -> str:
    if not entry.live:
        return "—"
    way = " BY BREAK-GLASS" if entry.by_break_glass else ""
    asked = f", on condition of {stated(entry.conditions)}" if entry.conditions else ""
    return f"version {entry.live}{way}{asked}"


def _next(entry: Entry) -> str:
    if not entry.next_review:
        return "—"
    why = "its approval ends" if entry.review == CERTIFICATE else entry.review
    return f"{entry.next_review} ({why}){', OVERDUE' if entry.overdue else ''}"
