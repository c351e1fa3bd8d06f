"""Commands about feature definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from tidegate.application import held
from tidegate.application import reading as reading_use_case
from tidegate.application.feature_drift import feature_drift
from tidegate.application.lineage import of_feature, of_version
from tidegate.application.people import names
from tidegate.application.revisions import spans
from tidegate.application.standing import lifecycle
from tidegate.application.statistics import statistics as take_statistics
from tidegate.domain.canonical import utc_time
from tidegate.domain.counting import many, times
from tidegate.domain.errors import BadInput
from tidegate.domain.feature_drift import Shift
from tidegate.domain.freshness import stated
from tidegate.entrypoints.cli.common import As, AsJson, acting, after, out, platform, reading, say, table

features = typer.Typer(
    no_args_is_help=True, help="Feature views: what they are built from, and what an edit would change."
)

Batches = Annotated[
    bool,
    typer.Option("--batches", help="Name each batch by its digest, not by dataset how many; so does --json."),
]

_DOES = {
    "nothing": "nothing differs from what was registered last",
    "apply": "the next `tidegate run materialize` applies this",
    "refuse": "the next `tidegate run materialize` is refused, and nothing of it is applied:",
}


@features.command()
def plan(as_user: As = None, as_json: AsJson = False) -> None:
    """Show what the files define otherwise than was registered last, who consumes it, and what applying would do.

    Nothing is written, and the exit code is 0 whether something differs or not. A change of meaning that a version
    in prod or canary consumes would be refused (F1); words alone, and what is new, would be applied. So would what
    the permissions open and close to roles (F2), whatever else is held.
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
    batches: Batches = False,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Show the view of a feature: its definition and source by digest, its batches, consumers, and who may read it."""
    here = platform()
    reading(here, as_user)
    found = of_feature(here, here.ledger.state(), name)

    def render() -> None:
        for each in found:
            out.print(f"{each['view']}: {', '.join(each['fields'])}", markup=False)
            out.print(f"  definition {each['definition']}", markup=False)
            out.print(f"  source {each['source']}, {many(each['rows'], 'row')}", markup=False)
            newest, asked = each["newest"] or "none", stated(each["objective"])
            out.print(
                f"  newest data {newest}; " + (asked or "how fresh it must be is not stated"), markup=False
            )
            _built_from(each["built_from"], "  ", batches)
            for by in each["consumers"]:
                other = (
                    ""
                    if by["definition"] == each["definition"]
                    else ", which learned from another definition"
                )
                where = f"{by['model']} version {by['version']} ({by['stage']})"
                out.print(f"  consumed by {where} through {by['service']}{other}", markup=False)
            for access, roles in each["open"].items():
                out.print(f"  open for {access} to {', '.join(roles)}", markup=False)
            if not each["open"]:
                out.print("  open to nobody (F2)")
            if not each["consumers"]:
                out.print("  consumed by nobody")

    say(found, as_json, render)


@features.command()
def statistics(
    view: Annotated[str, typer.Argument(help="A view that is built.")],
    window: Annotated[
        str, typer.Option("--window", metavar="PERIOD", help="A year, month or day, like 2013-10.")
    ],
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="PERIOD", help="Another period, to see beside it.")
    ] = "",
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Show the statistics of a view's features over a period, beside a baseline if one is named, by Feast's calculator.

    They are computed once for each source and period, and recorded with the view's definition and source by digest.
    Whoever asks must be admitted to read the view offline (F2). No verdict follows from them.
    """
    here = platform()
    who = acting(here, as_user)
    found = [take_statistics(here, who, view, each) for each in (window, baseline) if each]
    after(here)

    def render() -> None:
        for row in found:
            out.print(f"{row.window}: definition {row.definition}, source {row.source}", markup=False)
        for feature in found[0].figures:
            out.print(feature, markup=False)
            for row in found:
                out.print(f"  {row.window:10}  {_figures(row.figures.get(feature))}", markup=False)

    say([asdict(each) for each in found], as_json, render)


def _figures(said: Mapping[str, Any] | None) -> str:
    """Say the figures of a feature in a line; of one that the view did not have then, that."""
    if said is None:
        return "the view had no such feature"
    if not said["row_count"]:
        return "no row happened"
    told = [many(said["row_count"], "row"), f"{said['null_rate']:.1%} missing"]
    told += [f"{said['not_finite']} that are no finite number"] if said["not_finite"] else []
    if said["kind"] == "categorical" and said["histogram"]:
        told.append(f"{said['histogram']['unique_count']} distinct")
    named = {
        "mean": "mean",
        "stddev": "stddev",
        "min": "min_val",
        "p50": "p50",
        "p99": "p99",
        "max": "max_val",
    }
    told += [f"{word} {said[name]:.4g}" for word, name in named.items() if said[name] is not None]
    return ", ".join(told)


@features.command()
def drift(
    view: Annotated[str, typer.Argument(help="A view that is built.")],
    window: Annotated[
        str, typer.Option("--window", metavar="PERIOD", help="A year, month or day, like 2013-10.")
    ],
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Judge how far a view's features moved in a period, beside the baseline and under the limits its file declares.

    The file is monitoring/features/VIEW.yaml; without one there is no verdict. Verdicts are recorded with limits,
    definition and source by digest. They are information: no gate asks for them, and the exit code is 0 whatever they
    are. Whoever asks must be admitted to read the view offline (F2).
    """
    here = platform()
    row = feature_drift(here, acting(here, as_user), view, window)
    after(here)

    def render() -> None:
        limits = row.declared["limits"]
        out.print(f"{view} {row.window} beside {row.declared['baseline']}: {row.verdict}", markup=False)
        out.print(f"  definition {row.definition}, source {row.source}, limits {row.limits}", markup=False)
        for feature, measures in row.found.items():
            out.print(feature, markup=False)
            for measure in (each for each in Shift if each in limits):
                said = measures.get(measure)
                told = (
                    f"{said['verdict']:12}  {said['sentence']}" if said else "no verdict    it is no number"
                )
                out.print(f"  {measure:13}  {told}", markup=False)
        for measure in (each for each in Shift if each not in limits):
            out.print(f"no limit is declared for {measure}: no verdict on it", markup=False)

    say(asdict(row), as_json, render)


@features.command()
def reads(
    view: Annotated[str, typer.Option("--view", metavar="VIEW", help="Reads of this view alone.")] = "",
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="From this time on, like 2013-02-01T06:00:00Z."),
    ] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Show who read features when, and for whom: what was learned from, scored on, compared, and read online.

    Reads online are sealed in segments, at the latest with a read an hour later or the next materialization. The
    segments shown are verified by their roots; exits 3 where one was altered or is gone.
    """
    here = platform()
    reading(here, as_user)
    found = reading_use_case.reads(here, view, utc_time(since) if since else None)

    called = names(here.ledger)

    def render() -> None:
        for each in found:
            who = called.get(each.actor, each.actor)
            whom = f" for {called.get(each.on_behalf_of, each.on_behalf_of)}" if each.on_behalf_of else ""
            service = f" of {each.service}" if each.service else ""
            often = f"{times(each.reads, ',')}, " if each.reads > 1 else ""
            place = f"#{each.sequence}" if each.sequence else "not sealed yet"
            out.print(
                f"{each.last[:16].replace('T', ' ')}  {who}{whom}: {each.why}{service}, {often}"
                f"{many(each.rows, 'row', ',')} of {', '.join(each.views)} ({', '.join(each.access)}) {place}",
                markup=False,
                soft_wrap=True,
            )
        if not found:
            out.print("no read is on record")

    say([asdict(each) for each in found], as_json, render)
    for fault in reading_use_case.altered(here, [each.root for each in found if each.root]):
        raise fault


def lineage(
    model: Annotated[str, typer.Argument(help="A registered model.")],
    version: Annotated[int | None, typer.Argument(help="Its version; else what is live.")] = None,
    batches: Batches = False,
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
        out.print(f"  training set {rows['digest']}, {many(rows['rows'], 'row')}", markup=False)
        out.print(f"  entity frame {rows['entities']}", markup=False)
        out.print(f"  feature service {rows['service']}", markup=False)
        for view, each in found["features"].items():
            fields = (
                "its fields are not on record" if each["selected"] is None else ", ".join(each["selected"])
            )
            out.print(f"  view {view}: {fields}", markup=False)
            out.print(f"    definition {each['definition']}", markup=False)
            out.print(f"    source {each['source']}", markup=False)
            _built_from(each["built_from"], "    ", batches)
        out.print(f"  rows from {many(len(found['batches']), 'batch')}:", markup=False)
        for line in _named(found["batches"], batches):
            out.print(f"    {line}", markup=False)

    say(found, as_json, render)


def _built_from(those: Sequence[Mapping[str, str]], indent: str, whole: bool) -> None:
    if not those:
        out.print(f"{indent}from which batches it was built is not on record", markup=False)
    for line in _named(those, whole):
        out.print(f"{indent}built from {line}", markup=False)


def _named(those: Sequence[Mapping[str, str]], whole: bool) -> list[str]:
    """Return batches for people: by dataset which periods and how many, or as a ``whole`` each by its digest."""
    if whole:
        return [f"{each['dataset']} {each['period']} {each['batch']}" for each in those]
    periods: dict[str, list[str]] = {}
    for each in those:
        periods.setdefault(each["dataset"], []).append(each["period"])
    return [f"{dataset} {spans(named)}: {many(len(named), 'batch')}" for dataset, named in periods.items()]


def _told(found: held.Plan) -> None:
    shown = table("", "name", "change", "what differs", "consumed by")
    for each in found.edits:
        using = [f"{by.model} {by.number} ({by.stage})" for by in each.consumers]
        told = "; ".join(one.sentence for one in each.differences)
        shown.add_row(str(each.of), each.name, str(each.change), told, ", ".join(using) or "nobody")
    if found.edits:
        out.print(shown)
    for sentence in found.access:
        out.print(sentence, markup=False)
    out.print(_DOES[found.does], markup=False)
    for each in found.held:
        reason = each.reason()
        out.print(f"  {reason.rule}  {reason.sentence}", markup=False)
        out.print(f"      next: {reason.next_step}", markup=False)
