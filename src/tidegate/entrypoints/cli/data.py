"""Commands for data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from tidegate.application import ingest as use_case
from tidegate.application import replay as mending
from tidegate.application.references import unlisted
from tidegate.application.revisions import spans
from tidegate.bootstrap import Tidegate
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.state import BatchRow, PushRow
from tidegate.entrypoints.cli.common import (
    As,
    AsJson,
    acting,
    after,
    out,
    platform,
    printable,
    reading,
    say,
    table,
)
from tidegate.entrypoints.cli.exporting import write_held

#: How many stops are printed; a gate that cannot measure at all stops once per check.
MOST_STOPS = 3


def ingest(
    dataset: Annotated[str, typer.Argument(help="A dataset under contract.")],
    drop: Annotated[
        Path,
        typer.Argument(help="A CSV file, or one CSV in a zip, named DATASET-PERIOD or DATASET-PERIOD.rN."),
    ],
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Put one drop through its gate. The same drop twice changes nothing.

    A name like readings-2026-01.r1.zip restates a period: what is accepted supersedes the batch in force.
    """
    here = platform()
    who = acting(here, as_user)
    before = here.ledger.state().get(BatchRow, dataset, here.batches.drop_digest(drop))
    row = use_case.ingest(here, who, dataset, drop)
    after(here)

    say(_shown(row), as_json, lambda: _told(row, before))
    if not row.batch:
        hint = f"tidegate quarantine {row.dataset} --period {row.period}"
        if missing := unlisted(here, here.ledger.state(), here.contracts.load(dataset)):
            hint = f"it is compared with {', '.join(missing)}, of which nothing came yet: ingest that first, then this"
        raise Refused(
            "batch-held-back",
            f"the gate held back {_named(row)} whole: {row.report['stops'][0]['sentence']}",
            hint,
        )


def replay(
    dataset: Annotated[str, typer.Argument(help="A dataset under contract.")],
    file: Annotated[
        Path, typer.Argument(help="Mended rows: a CSV as `tidegate quarantine --export` writes it.")
    ],
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Put mended rows through the gate again, with the rest of their drop. The same file twice changes nothing.

    Leave out the rows that nobody mended, and leave the columns that begin with _ as they are: they say where a row
    belongs. What passes joins the batch in force, what fails stays held back.
    """
    here = platform()
    who = acting(here, as_user)
    before = here.ledger.state().get(BatchRow, dataset, here.batches.drop_digest(file))
    row = mending.replay(here, who, dataset, file)
    after(here)

    say(_shown(row), as_json, lambda: _told(row, before))
    if not row.batch:
        raise Refused(
            "batch-held-back",
            f"the gate held back {_named(row)} with its mended rows: {row.report['stops'][0]['sentence']}",
            "the batch in force stays as it is; mend the rows otherwise",
        )


def quarantine(
    dataset: Annotated[str, typer.Argument(help="A dataset under contract.")],
    period: Annotated[str | None, typer.Option(help="Only this period, like 2013-01.")] = None,
    limit: Annotated[int, typer.Option(help="How many rows to print; --json prints all.")] = 10,
    reason: Annotated[str | None, typer.Option(help="Only rows held back by this check, like F31.")] = None,
    pushed: Annotated[
        bool, typer.Option("--pushed", help="Rows that were pushed, not those of drops.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write all of them to this new file, .csv or .jsonl, and print a count."),
    ] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Show the rows a gate kept back, each with all its reasons; of a restated period, those of what is in force.

    An exported CSV has _period, _revision, _row and _reasons before the columns of the drop: mend its values, and
    `tidegate replay` puts them back. A text in it that a spreadsheet would run (=, +, -, @) has an apostrophe before
    it, which replay takes off. Pushed rows are mended in their ``values``, and pushed again.
    """
    here = platform()
    reading(here, as_user)
    asked = _pushes(here, dataset, period) if pushed else _batches(here, dataset, period)
    found: Iterator[dict[str, Any]] = (
        {**({"push": row.sequence} if pushed else {}), "period": each, "revision": revision, **item}
        for row, each, revision in asked
        for item in here.batches.held(dataset, row.quarantine_root)
        if reason in (None, *cast("list[str]", item["reasons"]))
    )
    if export is not None:
        count = write_held(export, here.contracts.load(dataset).columns, found)
        told = f"{many(count, 'quarantined row')} of {dataset} in {export}"
        say({"file": str(export), "rows": count}, as_json, lambda: out.print(told, markup=False))
        return
    held = list(found)

    def render() -> None:
        reasons: Counter[str] = Counter()
        for item in held:
            reasons.update(item["reasons"])
        out.print(f"{many(len(held), 'pushed row' if pushed else 'row')} of {dataset} in quarantine")
        rows = here.ledger.state().select(BatchRow, dataset=dataset)
        restated = [row for row in rows if row.superseded_by and period in (None, row.period) and not pushed]
        if restated:
            left = sum(row.quarantined for row in restated)
            out.print(f"not shown: {left} of {', '.join(_named(row) for row in restated)}, superseded since")
        marks = ("push",) if pushed else ("period", "revision")
        shown = table(*marks, "row", "reasons", "values")
        for item in held[:limit]:
            shown.add_row(
                *(str(item[mark]) for mark in marks),
                str(item["row"]),
                ", ".join(item["reasons"]),
                ", ".join(f"{name}={value}" for name, value in item["values"].items()),
            )
        out.print(shown)
        for each, count in reasons.most_common():
            out.print(f"  {each}: {many(count, 'row')}")

    say(held, as_json, render)


def _stopped_replay(row: BatchRow) -> bool:
    """Say whether these are mended rows that the gate stopped: their drop has all of its rows, as before."""
    return not row.batch and "replays" in row.report


def _batches(here: Tidegate, dataset: str, period: str | None) -> list[tuple[BatchRow, str, int]]:
    """Return what is in force of a dataset, or of one period of it.

    Raises:
        BadInput: nothing of it is on record.
    """
    rows = here.ledger.state().select(BatchRow, dataset=dataset)
    if not rows:
        known = sorted({row.dataset for row in here.ledger.state().select(BatchRow)})
        raise BadInput(
            "unknown-batch",
            f"got the dataset `{dataset}`, expected one with a drop on record: {', '.join(known) or 'none yet'}",
            _first(here, dataset, "ingest"),
        )
    periods = {row.period for row in rows}
    if period is not None and period not in periods:
        raise BadInput(
            "unknown-batch",
            f"got {dataset} {period}, expected a period on record: {spans(periods)}",
            f"tidegate ingest {dataset} DROP, if one of that period is there",
        )
    asked = [
        row
        for row in rows
        if period in (None, row.period) and not row.superseded_by and not _stopped_replay(row)
    ]
    return [
        (row, row.period, row.revision) for row in sorted(asked, key=lambda row: (row.period, row.sequence))
    ]


def _pushes(here: Tidegate, dataset: str, period: str | None) -> list[tuple[PushRow, str, int]]:
    """Return the pushes of a dataset, or those with rows of one period alone.

    Raises:
        BadInput: none is on record.
    """
    rows = here.ledger.state().select(PushRow, dataset=dataset)
    if not rows:
        known = ", ".join(sorted({row.dataset for row in here.ledger.state().select(PushRow)})) or "none yet"
        raise BadInput(
            "unknown-push",
            f"got the dataset `{dataset}`, expected one that was pushed: {known}",
            _first(here, dataset, "push"),
        )
    asked = [row for row in rows if period in (None, row.report.get("period"))]
    if not asked:
        periods = {row.report["period"] for row in rows if row.report.get("period")}
        raise BadInput(
            "unknown-push",
            f"got {dataset} {period}, expected a period of which rows were pushed: {spans(periods) or 'none yet'}",
            f"`tidegate quarantine {dataset} --pushed` shows all of them",
        )
    return [(row, row.report.get("period", ""), 0) for row in sorted(asked, key=lambda row: row.sequence)]


def _first(here: Tidegate, dataset: str, command: str) -> str:
    """Return what comes before anything of a dataset is on record."""
    if dataset in here.contracts.datasets():
        return f"tidegate {command} {dataset} …: nothing of it came that way yet"
    return "name one of them; another one begins with `tidegate dataset new`"


def _told(row: BatchRow, before: BatchRow | None) -> None:
    """Print what became of a drop; ``before`` is what was recorded of it before."""
    if before is not None and before.sequence == row.sequence:
        since = f", and superseded since by {_short(row.superseded_by)}" if row.superseded_by else ""
        out.print(f"these bytes were recorded before (event {row.sequence}){since}; nothing changed")
    out.print(
        f"{_named(row)}: {row.verdict}; {many(row.read, 'row')} in, {row.accepted} accepted, "
        f"{row.quarantined} quarantined" + (f", {row.erased} erased" if row.erased else "")
    )
    for line in (
        *_restated(row),
        *_reconciled(row),
        *(f"  note: {printable(each)}" for each in row.report.get("notes", ())),
    ):
        out.print(line, markup=False)
    stops = row.report["stops"]
    for stop in stops[:MOST_STOPS]:
        out.print(f"  stopped by {stop['rule']}: {stop['sentence']}", markup=False)
    if len(stops) > MOST_STOPS:
        out.print(f"  … and {len(stops) - MOST_STOPS} more; --json prints all")
    for line in _waived(row):
        out.print(f"  {line}", markup=False)
    failing = table("check", "severity", "rows", "what it found")
    for check in row.report["checks"]:
        if check["verdict"] in {"failed", "inconclusive"}:
            failing.add_row(check["id"], check["severity"], str(check["failing"]), check["sentence"])
    if failing.row_count:
        out.print(failing)


def _waived(row: BatchRow) -> list[str]:
    """Return what waivers let through, let in before, and let through no more."""
    let, stays, lapsed = (row.report.get(name, ()) for name in ("waived", "stays", "lapsed"))
    return [
        *(f"let through by {use['waiver']}: {use['check']}: {use['sentence']}" for use in let),
        *(f"stays in, let through by {use['waiver']} before: {use['check']}" for use in stays),
        *(f"{lapsed[check]}: its rows are quarantined again" for check in lapsed),
    ]


def _named(row: BatchRow) -> str:
    revision = f" revision {row.revision}" if row.revision else ""
    return f"{row.dataset} {row.period}{revision}"


def _restated(row: BatchRow) -> list[str]:
    """Say what a drop that restates a period replaces, and what had been learned from that."""
    if not row.batch or not (row.revision or "replays" in row.report):
        return []
    if not row.supersedes:
        return ["  it supersedes no batch: none other was in force, or one with these very rows"]
    sets, versions = row.touches["training_sets"], row.touches["versions"]
    learned = many(len(sets), "training set")
    names = f"; trained on them: {', '.join(versions)}" if versions else ""
    return [
        f"  {_does(row)}: {_short(row.batch)} is in force instead of {_short(row.supersedes)}",
        f"  which is part of {learned}{names}" if sets else "  which nothing was trained on",
    ]


def _reconciled(row: BatchRow) -> list[str]:
    """Say what a drop makes of what was pushed before it."""
    if not (said := row.report.get("pushed")):
        return []
    told = f"{said['same']} are in it as they were pushed, {said['other']} otherwise, {said['absent']} not at all"
    return [f"  of {many(said['rows'], 'row')} pushed in {many(said['pushes'], 'part')}, {told}"]


def _does(row: BatchRow) -> str:
    if (replays := row.report.get("replays")) is None:
        return f"it restates {row.period}"
    return f"it puts mended rows of {row.period} back, {replays['rows']} in all"


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:12]


def _shown(row: BatchRow) -> dict[str, object]:
    return {
        "dataset": row.dataset,
        "period": row.period,
        "revision": row.revision,
        "supersedes": row.supersedes,
        "superseded_by": row.superseded_by,
        "touches": dict(row.touches),
        "verdict": row.verdict,
        "read": row.read,
        "accepted": row.accepted,
        "quarantined": row.quarantined,
        "erased": row.erased,
        "batch": row.batch,
        "drop": row.drop,
        "report": dict(row.report),
    }
