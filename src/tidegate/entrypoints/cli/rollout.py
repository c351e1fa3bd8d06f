"""What stands on both sides of going live: canaries before it, and the way back after."""

from __future__ import annotations

from typing import Any

import typer

from tidegate.application.ports import StateReader
from tidegate.application.rehearse import rehearsed
from tidegate.application.standing import lifecycle, scored_in_canary
from tidegate.domain.counting import many
from tidegate.domain.policy import Stage
from tidegate.domain.state import CanaryRow
from tidegate.entrypoints.cli.common import As, AsJson, out, platform, printable, reading, say, table
from tidegate.entrypoints.cli.models import Model


def canary(model: Model, as_user: As = None, as_json: AsJson = False) -> None:
    """Show a model's canaries: each analysis with what it was compared with, its verdict and why."""
    here = platform()
    reading(here, as_user)
    rows = shown(here.ledger.state(), model)

    def render() -> None:
        told = table("version", "period", "beside", "verdict", "in words")
        for row in rows:
            words = f"{row['sentence']} ({row['review']})" if row["review"] else row["sentence"]
            told.add_row(row["version"], row["period"], row["beside"], row["verdict"], words)
        if rows:
            out.print(told)
        else:
            out.print(f"no version of {model} has stood in canary and scored there")

    say(rows, as_json, render)


def rehearse(model: Model, as_user: As = None, as_json: AsJson = False) -> None:
    """Try the way back of what is live, or of the newest version while nothing is; exits 1 if it fails.

    The earlier version must load by its digest, find its features and predict as it did. Nothing is written and
    nothing is moved: `tidegate rollback` does.
    """
    here = platform()
    reading(here, as_user)
    version, way_back = rehearsed(here, model)
    data = {
        "model": model,
        "version": version.number,
        "stage": version.stage,
        "kind": way_back.kind,
        "name": way_back.name,
        "verified": way_back.verified,
        "steps": list(way_back.steps),
        "at": way_back.at,
    }

    def render() -> None:
        to = way_back.name if way_back.kind == "version" else "the declared fallback"
        out.print(
            f"{model} version {version.number} stands in {version.stage}; its way back is {to}", markup=False
        )
        for number, step in enumerate(way_back.steps, 1):
            failed = not way_back.verified and number == len(way_back.steps)
            out.print(f"  {'✕' if failed else '✓'} {printable(step)}", markup=False)
        if not way_back.verified:
            out.print("prod could not be left this way (P8)")

    say(data, as_json, render)
    if not way_back.verified:
        raise typer.Exit(1)


def shown(state: StateReader, model: str) -> list[dict[str, Any]]:
    """Return every analysis of a model's canaries by version and period, and what scored and was not analysed.

    Raises:
        BadInput: no such model.
    """
    versions = lifecycle(state, model).versions
    analysed = {(row.version, row.period): row for row in state.select(CanaryRow, model=model)}
    rows = {place: _analysed(row, versions[row.version].stage) for place, row in analysed.items()}
    for version in versions.values():
        if version.stage == Stage.CANARY:
            for scoring in scored_in_canary(state, version):
                row = analysed.get((version.number, scoring.period))
                if row is None or row.sequence < scoring.sequence:
                    rows[version.number, scoring.period] = _scored(
                        version.number, scoring.period, scoring.rows
                    )
    return [row for _, row in sorted(rows.items())]


def _analysed(row: CanaryRow, stage: str) -> dict[str, Any]:
    return {
        "version": row.version,
        "stage": stage,
        "period": row.period,
        "baseline": row.baseline,
        "beside": f"version {row.baseline}" if row.baseline else "the fallback",
        "verdict": row.verdict,
        "standing": row.standing,
        "sentence": row.sentence,
        "review": row.review,
        "occurred_at": row.occurred_at,
        "analysis": row.analysis,
    }


def _scored(version: int, period: str, rows: int) -> dict[str, Any]:
    """Nothing was concluded yet: that is no verdict."""
    return {
        "version": version,
        "stage": str(Stage.CANARY),
        "period": period,
        "baseline": None,
        "beside": "—",
        "verdict": "none yet",
        "standing": "waits",
        "sentence": f"{many(rows, 'row')} scored and not compared yet: `tidegate run canary` does",
        "review": "",
        "occurred_at": "",
        "analysis": {},
    }
