"""Commands for data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.application import ingest as use_case
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.state import BatchRow
from tidegate.entrypoints.cli.common import As, AsJson, acting, after, out, platform, reading, say, table

#: How many stops are printed; a gate that cannot measure at all stops once per check.
MOST_STOPS = 3


def ingest(
    dataset: Annotated[str, typer.Argument(help="A dataset under contract.")],
    drop: Annotated[Path, typer.Argument(help="A CSV file, or one CSV in a zip, named DATASET-PERIOD.")],
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Put one drop through its gate. The same drop twice changes nothing."""
    here = platform()
    who = acting(here, as_user)
    before = here.ledger.state().get(BatchRow, dataset, here.batches.drop_digest(drop))
    row = use_case.ingest(here, who, dataset, drop)
    after(here)

    def render() -> None:
        if before == row:
            out.print(f"these bytes were recorded before (event {row.sequence}); nothing changed")
        out.print(
            f"{row.dataset} {row.period}: {row.verdict}; {row.read} rows in, {row.accepted} accepted, "
            f"{row.quarantined} quarantined"
        )
        stops = row.report["stops"]
        for stop in stops[:MOST_STOPS]:
            out.print(f"  stopped by {stop['rule']}: {stop['sentence']}", markup=False)
        if len(stops) > MOST_STOPS:
            out.print(f"  … and {len(stops) - MOST_STOPS} more; --json prints all")
        failing = table("check", "severity", "rows", "what it found")
        for check in row.report["checks"]:
            if check["verdict"] in {"failed", "inconclusive"}:
                failing.add_row(check["id"], check["severity"], str(check["failing"]), check["sentence"])
        if failing.row_count:
            out.print(failing)

    say(_shown(row), as_json, render)
    if not row.batch:
        raise Refused(
            "batch-held-back",
            f"the gate held back {row.dataset} {row.period} whole: {row.report['stops'][0]['sentence']}",
            f"tidegate quarantine {row.dataset} --period {row.period}",
        )


def quarantine(
    dataset: Annotated[str, typer.Argument(help="A dataset under contract.")],
    period: Annotated[str | None, typer.Option(help="Only this period, like 2013-01.")] = None,
    limit: Annotated[int, typer.Option(help="How many rows to print; --json prints all.")] = 10,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Show the rows a gate kept back, each with all its reasons."""
    here = platform()
    reading(here, as_user)
    rows = here.ledger.state().select(BatchRow, dataset=dataset)
    if not rows or (period and period not in {row.period for row in rows}):
        known = ", ".join(
            sorted({f"{row.dataset} {row.period}" for row in here.ledger.state().select(BatchRow)})
        )
        raise BadInput(
            "unknown-batch",
            f"got {dataset}{f' {period}' if period else ''}, expected one of: {known or 'none yet'}",
            "ingest it first",
        )
    held: list[dict[str, Any]] = [
        {"period": row.period, **item}
        for row in sorted(rows, key=lambda row: row.period)
        if period in (None, row.period)
        for item in here.batches.quarantined(dataset, row.quarantine_root)
    ]

    def render() -> None:
        reasons: Counter[str] = Counter()
        for item in held:
            reasons.update(item["reasons"])
        out.print(f"{len(held)} rows of {dataset} are quarantined")
        shown = table("period", "row", "reasons", "values")
        for item in held[:limit]:
            shown.add_row(
                str(item["period"]),
                str(item["row"]),
                ", ".join(item["reasons"]),
                ", ".join(f"{name}={value}" for name, value in item["values"].items()),
            )
        out.print(shown)
        for reason, count in reasons.most_common():
            out.print(f"  {reason}: {count} rows")

    say(held, as_json, render)


def _shown(row: BatchRow) -> dict[str, object]:
    return {
        "dataset": row.dataset,
        "period": row.period,
        "verdict": row.verdict,
        "read": row.read,
        "accepted": row.accepted,
        "quarantined": row.quarantined,
        "batch": row.batch,
        "drop": row.drop,
        "report": dict(row.report),
    }
