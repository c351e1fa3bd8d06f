"""Commands about feature definitions."""

from __future__ import annotations

import typer

from tidegate.application import held
from tidegate.entrypoints.cli.common import As, AsJson, out, platform, reading, say, table

features = typer.Typer(no_args_is_help=True, help="Feature definitions: what an edit of them would change.")

_DOES = {
    "nothing": "nothing differs from what was registered last",
    "apply": "the next `tidegate run materialize` applies this",
    "refuse": "the next `tidegate run materialize` is refused, and nothing of it is applied:",
}


@features.command()
def plan(as_user: As = None, as_json: AsJson = False) -> None:
    """Show what the files define otherwise than was registered last, who consumes it, and what applying would do.

    Nothing is written, and the exit code is 0 whether something differs or not. A change of meaning that a version
    in prod or canary consumes would be refused (F1); words alone, and what is new, would be applied.
    """
    here = platform()
    reading(here, as_user)
    state = here.ledger.state()
    found = held.plan(here, state)
    held.tried(here, state)
    say(found.as_dict(), as_json, lambda: _told(found))


def _told(found: held.Plan) -> None:
    shown = table("", "name", "change", "what differs", "consumed by")
    for each in found.edits:
        using = [f"{by.model} {by.number} ({by.stage})" for by in each.consumers]
        told = "; ".join(one.sentence for one in each.differences)
        shown.add_row(str(each.of), each.name, str(each.change), told, ", ".join(using) or "nobody")
    if found.edits:
        out.print(shown)
    out.print(_DOES[found.does], markup=False)
    for each in found.held:
        reason = each.reason()
        out.print(f"  {reason.rule}  {reason.sentence}", markup=False)
        out.print(f"      next: {reason.next_step}", markup=False)
