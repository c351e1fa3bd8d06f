"""Commands about feature definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from tidegate.application import held
from tidegate.application.lineage import of_feature, of_version
from tidegate.application.standing import lifecycle
from tidegate.domain.errors import BadInput
from tidegate.domain.freshness import stated
from tidegate.entrypoints.cli.common import As, AsJson, out, platform, reading, say, table

features = typer.Typer(
    no_args_is_help=True, help="Feature views: what they are built from, and what an edit would change."
)

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


@features.command()
def show(
    name: Annotated[str, typer.Argument(help="A view, or a field of one.")],
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Show the view of a feature: its definition and source by digest, its batches, and who consumes it."""
    here = platform()
    reading(here, as_user)
    found = of_feature(here, here.ledger.state(), name)

    def render() -> None:
        for each in found:
            out.print(f"{each['view']}: {', '.join(each['fields'])}", markup=False)
            out.print(f"  definition {each['definition']}", markup=False)
            out.print(f"  source {each['source']}, {each['rows']} rows", markup=False)
            newest, asked = each["newest"] or "none", stated(each["objective"])
            out.print(
                f"  newest data {newest}; " + (asked or "how fresh it must be is not stated"), markup=False
            )
            _batches(each["built_from"])
            for by in each["consumers"]:
                other = (
                    ""
                    if by["definition"] == each["definition"]
                    else ", which learned from another definition"
                )
                where = f"{by['model']} version {by['version']} ({by['stage']})"
                out.print(f"  consumed by {where} through {by['service']}{other}", markup=False)
            if not each["consumers"]:
                out.print("  consumed by nobody")

    say(found, as_json, render)


def lineage(
    model: Annotated[str, typer.Argument(help="A registered model.")],
    version: Annotated[int | None, typer.Argument(help="Its version; else what is live.")] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Show where a version comes from: batches, feature views, service, entity frame, training set; all by digest."""
    here = platform()
    reading(here, as_user)
    state = here.ledger.state()
    life = lifecycle(state, model, version)
    row = life.versions[version] if version is not None else life.in_prod()
    if row is None:
        known = ", ".join(map(str, life.versions)) or "none yet"
        raise BadInput(
            "nothing-in-prod", f"got no version of `{model}` in prod, expected one of: {known}", "name it"
        )
    found = of_version(here, state, row)

    def render() -> None:
        made, rows = found["version"], found["training_set"]
        out.print(f"{model} version {made['number']}, artifact {made['artifact']}", markup=False)
        out.print(f"  training set {rows['digest']}, {rows['rows']} rows", markup=False)
        out.print(f"  entity frame {rows['entities']}", markup=False)
        out.print(f"  feature service {rows['service']}", markup=False)
        for view, each in found["features"].items():
            fields = (
                "its fields are not on record" if each["selected"] is None else ", ".join(each["selected"])
            )
            out.print(f"  view {view}: {fields}", markup=False)
            out.print(f"    definition {each['definition']}", markup=False)
            out.print(f"    source {each['source']}", markup=False)
            _batches(each["built_from"], "    ")
        out.print(f"  rows from {len(found['batches'])} batches:", markup=False)
        for each in found["batches"]:
            out.print(f"    {each['dataset']} {each['period']} {each['batch']}", markup=False)

    say(found, as_json, render)


def _batches(those: Sequence[Mapping[str, str]], indent: str = "  ") -> None:
    if not those:
        out.print(f"{indent}from which batches it was built is not on record", markup=False)
    for each in those:
        out.print(f"{indent}built from {each['dataset']} {each['period']} {each['batch']}", markup=False)


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
