"""The main job: the reference project through the year 2013, on real data.

Every step is a scheduled flow of ``pipelines/`` or a public command, called as anybody would call it; nothing
here writes state. Only the clock, the people and three documented faults of the feeds are simulated. Acts
carry idempotency keys, so a demo that was stopped anywhere goes on from there when run again.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings

from rich.console import Console

from tidegate.bootstrap import Tidegate
from tidegate.entrypoints.demo.stage import Stage, Step
from tidegate.entrypoints.demo.totals import totals
from tidegate.entrypoints.demo.year import LAST_ACT, START, calendar, story
from tidegate.entrypoints.flow_server import flow_server
from tidegate.settings import load


def play(*, as_json: bool) -> None:
    """Play the story from wherever it stands to its end."""
    stage = Stage(load(), Console(highlight=False, soft_wrap=True), quiet=as_json)
    before = os.environ.get("TIDEGATE_NOW")
    try:
        if not as_json:
            for line in calendar(stage):
                stage.console.print(line, markup=False)
        if not stage.ended(LAST_ACT):
            _warm(stage)
            for step in story(stage):
                stage.play(step)
        elif not as_json:
            stage.console.print("The story was played to its end; the record is left as it is.\n")
        closing = stage.last()
        now = closing.occurred_at if closing else START
        stage.play(Step(now, "The record in figures", lambda: "\n".join(totals(stage.events))))
        stage.play(Step(now, "The auditor anchors and verifies", lambda: _audited(stage)))
        stage.play(Step(now, "The desk", lambda: _desk(stage)))
    finally:
        os.environ.pop("TIDEGATE_NOW", None)
        if before is not None:
            os.environ["TIDEGATE_NOW"] = before
    if as_json:
        sys.stdout.write(json.dumps(stage.took, indent=2, ensure_ascii=False) + "\n")


def _warm(stage: Stage) -> None:
    """Start Prefect's server, and import the largest tools while it starts on the other core."""
    Tidegate(stage.settings)  # telemetry off, before any of them is imported
    stage.settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    flow_server(stage.settings.home / "prefect")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their own, told where they are used
        for name in ("great_expectations", "prefect", "duckdb", "sklearn.ensemble"):
            importlib.import_module(name)


def _audited(stage: Stage) -> str:
    folder = stage.settings.project / "anchors"
    if stage.settings.home.parent != stage.settings.project:
        folder = stage.settings.home.parent / f"{stage.settings.home.name}-anchors"
    stage.command("audit", "anchor", "--to", str(folder), "--as", "aude")
    found = stage.command(
        "audit", "verify", "--anchor", str(folder / "head.json"), "--key", str(folder / "ledger.pub")
    )
    fingerprint = stage.command("audit", "fingerprint")["fingerprint"]
    return (
        f"{found['events']} events rehashed, state refolded and equal, head held against {folder / 'head.json'}\n"
        f"fingerprint {fingerprint}"
    )


def _desk(stage: Stage) -> str:
    from tidegate.entrypoints.web.desk import write

    page = write(load())
    home, project = stage.settings.home, stage.settings.project
    lines = ['export PATH="$PWD/.venv/bin:$PATH"'] if (project / ".venv").exists() else []
    feast = "feast -c features feature-views list"
    if home != project / ".tidegate":
        lines.append(f"export TIDEGATE_HOME={home}")
        feast = f"feast -f {home / 'feast' / 'feature_store.yaml'} -c features feature-views list"
    lines += [
        "tidegate status",
        "tidegate canary flight_delay",
        "tidegate log --last 20",
        feast,
        f"mlflow ui --backend-store-uri sqlite:///{home / 'mlflow' / 'mlflow.db'}",
    ]
    return "\n".join(
        ["look around:", *(f"  {line}" for line in lines), f"state: {home}", f"the desk: {page.as_uri()}"]
    )
