"""Commands that a team starts with: a project, a dataset under contract, a model."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tidegate.application.inventory import inventory
from tidegate.application.timeline import stated
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput, TidegateError
from tidegate.entrypoints.cli.common import As, AsJson, out, platform, printable, reading, say

model = typer.Typer(no_args_is_help=True, help="List the models, or start one.")
dataset = typer.Typer(no_args_is_help=True, help="Start a dataset's contract and suite.")

#: How many blanks are printed; the files have them all marked.
MOST_BLANKS = 12


class Prediction(StrEnum):
    """What a model answers with."""

    PROBABILITY = "probability"
    NUMBER = "number"


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The project's folder; made if it is not there.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make a new project: the folders, the flows, a policy with its tests, profiles. Overwrites nothing."""
    from tidegate.entrypoints.scaffolding.project import make_project

    written = make_project(folder)

    def render() -> None:
        if not written:
            out.print(f"{folder} is a whole project already; nothing changed", markup=False)
            return
        out.print(f"wrote {many(len(written), 'file')} to {folder}", markup=False)
        out.print("next:")
        for step in (
            f"cd {folder}",
            "tidegate dataset new NAME --from SAMPLE.csv     a contract and a suite, drawn from your data",
            "tidegate model new NAME                         a model's folder, to be filled in",
            "tidegate open                                   the ledger: accounts, and the policy in force",
        ):
            out.print(f"  {step}", markup=False)
        out.print("README.md goes on from there")

    say({"project": str(folder.absolute()), "written": list(written)}, as_json, render)


@model.command("list")
def list_models(as_user: As = None, as_json: AsJson = False) -> None:
    """List the models: whose, what for, how risky, who acts on them, what is live, when somebody looks again."""
    here = platform()
    reading(here, as_user)
    found = inventory(here.ledger.state())

    def render() -> None:
        for each in found:
            live = f"version {each.live}" if each.live else "nothing"
            live += " BY BREAK-GLASS" if each.by_break_glass else ""
            live += f", on condition of {stated(each.conditions)}" if each.conditions else ""
            out.print(f"[bold]{escape(each.name)}[/bold]  tier {each.tier}, owner {escape(each.owner)}")
            for line in (
                f"for: {each.purpose}",
                f"in prod: {live}",
                f"next review: {each.next_review or '—'}",
                f"acted on by: {' '.join(each.consumers) or 'nobody that its owner names'}",
            ):
                out.print(f"  {printable(line)}", markup=False)
        if not found:
            out.print("no model is registered yet; next: tidegate train MODEL --as …")

    say([asdict(each) for each in found], as_json, render)


@model.command("new")
def new_model(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and underscores.")],
    prediction: Annotated[
        Prediction, typer.Option(help="What it answers with: a probability, or a number.")
    ] = Prediction.PROBABILITY,
    reads: Annotated[
        str, typer.Option("--dataset", metavar="NAME", help="A dataset under contract that it reads.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write a model's folder and its monitor. What only you know is left empty and marked FILL IN."""
    from tidegate.entrypoints.scaffolding.model import blanks, make_model

    here = platform()
    folders = here.settings.folder
    if reads:
        here.contracts.load(reads)
    written = make_model(
        here.settings.project, folders("models"), folders("monitoring"), name, prediction, reads
    )
    left = blanks(written, here.settings.project)
    shown = [str(path.relative_to(here.settings.project)) for path in written]

    def render() -> None:
        for path in shown:
            out.print(f"wrote {path}", markup=False)
        _say_blanks([(blank.file, blank.line, blank.text) for blank in left])
        out.print("next: fill them in, and give features/definitions.py a service of this name")

    say({"written": shown, "blanks": [blank.__dict__ for blank in left]}, as_json, render)


@dataset.command("new")
def new_dataset(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and underscores.")],
    sample: Annotated[Path, typer.Option("--from", metavar="SAMPLE.csv", help="A drop you have.")],
    key: Annotated[str, typer.Option(metavar="A,B", help="The columns that tell rows apart.")] = "",
    period: Annotated[
        str, typer.Option("--period-columns", metavar="A,B", help="The columns that tell a drop's period.")
    ] = "",
    owner: Annotated[str, typer.Option(metavar="TEAM", help="Who answers for the data.")] = "",
    purpose: Annotated[str, typer.Option(metavar="TEXT", help="What a row is, in a sentence.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write a contract and a suite for a dataset, as one drop of it looks, and say what was assumed."""
    from tidegate.entrypoints.scaffolding.dataset import make_dataset
    from tidegate.entrypoints.scaffolding.model import blanks
    from tidegate.entrypoints.scaffolding.names import checked

    checked("dataset", name)
    here = platform()
    folder = here.settings.folder("expectations")
    made = make_dataset(folder, name, here.sample(sample), _list(key), _list(period), owner, purpose)
    files = tuple(folder / path for path in made.files)
    left = blanks(files, here.settings.project)
    shown = [str(path.relative_to(here.settings.project)) for path in files]
    if not left:
        _must_load(name)

    def render() -> None:
        for path in shown:
            out.print(f"wrote {path}", markup=False)
        out.print("assumed, from what the sample shows:")
        for sentence in made.assumed:
            out.print(f"  {sentence}", markup=False)
        _say_blanks([(blank.file, blank.line, blank.text) for blank in left])
        out.print(
            f"next: read both, then tidegate ingest {name} {name}-PERIOD.csv --as svc-ingest", markup=False
        )

    told = {"written": shown, "assumed": list(made.assumed), "blanks": [blank.__dict__ for blank in left]}
    say(told, as_json, render)


def _must_load(name: str) -> None:
    """Hold a scaffold without blanks against the loader: what it refuses is our fault, and said at once."""
    try:
        platform().contracts.load(name)
    except TidegateError as error:
        raise BadInput(
            "contract",
            f"the contract was written, but does not load: {error.sentence}",
            "mend the lines named by hand, in the folder that they were written to",
        ) from error


def _say_blanks(left: list[tuple[str, int, str]]) -> None:
    if not left:
        return
    out.print("still to be filled in:")
    for file, line, text in left[:MOST_BLANKS]:
        out.print(f"  {file} line {line}: {text}", markup=False)
    if len(left) > MOST_BLANKS:
        out.print(f"  … and {len(left) - MOST_BLANKS} more, all marked FILL IN")


def _list(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())
