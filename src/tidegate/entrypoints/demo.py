"""The main job: the reference project from January to April 2013.

Every step is a flow of ``pipelines/`` or a public command, called as anybody would call it; nothing here
writes state. Only the clock and the people are simulated: each step says what time it is and who acts.
Acts carry idempotency keys, so a demo that was stopped anywhere goes on from there when run again.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from tidegate.domain.canonical import sha256
from tidegate.domain.errors import Refused, TidegateError
from tidegate.settings import Settings, load

MODEL = "flight_delay"
#: The key of the story's last act. Once it is recorded, nothing is played again: people may have gone on.
LAST_ACT = "rollback-2"
MONTHS = ("2013-01", "2013-02", "2013-03", "2013-04")


@dataclass
class Stage:
    """Where the story plays: settings, the console, and what each step took."""

    settings: Settings
    console: Console
    quiet: bool
    took: list[dict[str, Any]] = field(default_factory=list)

    def command(self, *words: str) -> Any:
        """Run a public command in this process and return what it printed with ``--json``."""
        from tidegate.entrypoints.cli.app import app

        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            app([*words, "--json"], standalone_mode=False)
        return json.loads(printed.getvalue())

    def flow(self, name: str, starter: str, **parameters: object) -> Any:
        """Run a flow of ``pipelines/`` in this process, started by somebody."""
        pairs = [f"{key}={value}" for key, value in parameters.items()]
        return self.command("run", name, *pairs, "--as", starter)

    def step(self, now: str, title: str, act: Callable[[], str], *, writes: bool) -> None:
        """Play one step at a simulated moment and say in a sentence what came of it.

        A step that ``writes`` and wrote nothing was recorded by an earlier run; what it would say now is of
        today's state and not of that moment, so it says only that.
        """
        os.environ["TIDEGATE_NOW"] = now
        started, cpu = time.perf_counter(), time.process_time()
        before = self.last_event()
        with self.console.status(f"{title} …") if self.console.is_terminal else contextlib.nullcontext():
            sentence = act()
        if writes and self.last_event() == before:
            sentence = "recorded by an earlier run; nothing changed"
        seconds = time.perf_counter() - started
        self.took.append(
            {
                "step": title,
                # Kilobytes on Linux; a high-water mark, so a step that adds nothing repeats the one before.
                "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "seconds": round(seconds, 2),
                "cpu": round(time.process_time() - cpu, 2),
                "said": sentence,
            }
        )
        if not self.quiet:
            self.console.print(f"[dim]{now[:10]}[/dim]  [bold]{title}[/bold] [dim]({seconds:.1f} s)[/dim]")
            for line in sentence.splitlines():
                self.console.print(f"            {line}", markup=False)

    def last_event(self) -> int:
        """Return the sequence of the last event, 0 where there is no ledger yet."""
        from tidegate.bootstrap import Tidegate

        if not Tidegate(load()).opened():
            return 0
        return int(self.command("log", "--last", "1")[-1]["sequence"])

    def ended(self) -> bool:
        """Say whether the story was played to its end, whatever people did afterwards."""
        if not self.last_event():
            return False
        keys = {row["idempotency_key"] or "" for row in self.command("log")}
        return any(key.endswith(sha256(f"demo/{LAST_ACT}".encode())) for key in keys)


#: Steps that write nothing into the ledger.
READS = frozenset({"The feed delivers"})


def play(*, as_json: bool) -> None:
    """Play the story from wherever it stands to its end."""
    settings = load()
    stage = Stage(settings, Console(highlight=False, soft_wrap=True), quiet=as_json)
    landing = settings.home / "landing"
    if not as_json:
        stage.console.print(
            "Tidegate: January to April 2013, New York's flights. Only the clock and the people are simulated.\n"
        )
    before = os.environ.get("TIDEGATE_NOW")
    try:
        story = [] if stage.ended() else _story(stage, landing)
        if not story and not as_json:
            stage.console.print("The story was played to its end; the record is left as it is.\n")
        for now, title, act in story:
            stage.step(now, title, act, writes=title not in READS)
        closing = story[-1][0] if story else stage.command("log", "--last", "1")[-1]["occurred_at"]
        stage.step(closing, "The auditor anchors and verifies", lambda: _audited(stage), writes=False)
        stage.step(closing, "The desk", lambda: _desk(stage), writes=False)
    finally:
        os.environ.pop("TIDEGATE_NOW", None)
        if before is not None:
            os.environ["TIDEGATE_NOW"] = before
    if as_json:
        sys.stdout.write(json.dumps(stage.took, indent=2, ensure_ascii=False) + "\n")


def _story(stage: Stage, landing: Path) -> Sequence[tuple[str, str, Callable[[], str]]]:
    def drop(dataset: str, period: str) -> Callable[[], str]:
        name = f"{dataset}-{period}.zip"
        return lambda: _gated(
            stage.flow("ingest", "svc-ingest", dataset=dataset, drop=str(landing / dataset / name))
        )

    def as_person(name: str, *words: str, key: str) -> Any:
        return stage.command(*words, "--as", name, "--idempotency-key", f"demo/{key}")

    def trained(known_by: str) -> str:
        return _trained(stage.flow("train", "dana", model=MODEL, known_by=known_by))

    def asked(version: int) -> str:
        return _waiting(stage.flow("promote", "dana", model=MODEL, version=version, key=f"demo/up-{version}"))

    def refused() -> str:
        words = ("approve", MODEL, "1", "--reason", "I trained it, it is fine")
        try:
            as_person("dana", *words, key="own-work")
        except Refused as error:
            reasons: Any = error.data["reasons"]
            return "\n".join(f"refused by {each['rule']}: {each['sentence']}" for each in reasons)
        raise TidegateError(
            "demo-broken", "got an approval of one's own work, expected a refusal", "report this"
        )

    def approved(version: int, reason: str) -> str:
        words = ("approve", MODEL, str(version), "--reason", reason)
        found = as_person("amir", *words, key=f"approve-{version}")
        return f"amir: “{reason}”\nversion {version} now stands in {found['stage']}"

    def reviewed() -> str:
        reason = (
            "April ran later than the model promised, perhaps by more than we tolerate; train on April too."
        )
        rows = as_person("rita", "review", "R-1", "--outcome", "retrain", "--reason", reason, key="review-1")
        return f"rita: “{reason}”\n{rows[0]['id']} decided: {rows[0]['outcome']}"

    def rolled_back() -> str:
        reason = "The desk reports odd scores for two airlines; back to what we know while we look."
        found = as_person("otto", "rollback", MODEL, "--reason", reason, key=LAST_ACT)
        back = f"version {found['version']} is back in {found['stage']}; nobody had to approve that (P5)"
        return f"otto: “{reason}”\n{back}"

    return (
        ("2013-01-01T12:00:00Z", "The feed delivers", lambda: _delivered(stage, landing)),
        ("2013-01-01T12:00:00Z", "The ledger is opened", lambda: _opened(stage)),
        ("2013-01-02T06:00:00Z", "Airports through the gate", drop("airports", "2013")),
        ("2013-02-01T05:30:00Z", "January through the gate", drop("flights", "2013-01")),
        ("2013-03-01T05:30:00Z", "February through the gate", drop("flights", "2013-02")),
        ("2013-04-01T05:30:00Z", "March through the gate", drop("flights", "2013-03")),
        (
            "2013-04-01T06:00:00Z",
            "Features as known at the end of March",
            lambda: _online(stage.flow("materialize", "svc-ingest", until="2013-04-01T06:00:00Z")),
        ),
        ("2013-04-01T07:00:00Z", "Version 1 is trained for dana", lambda: trained("2013-04-01T06:00:00Z")),
        ("2013-04-01T08:00:00Z", "Its promotion is requested", lambda: asked(1)),
        ("2013-04-01T09:00:00Z", "Its own trainer tries to approve it", refused),
        (
            "2013-04-01T10:00:00Z",
            "An approver decides",
            lambda: approved(1, "Calibrated, parity proved, and the fallback is declared. Go."),
        ),
        ("2013-05-01T05:30:00Z", "April through the gate", drop("flights", "2013-04")),
        (
            "2013-05-01T06:00:00Z",
            "Features as known at the end of April",
            lambda: _online(stage.flow("materialize", "svc-ingest", until="2013-05-01T06:00:00Z")),
        ),
        (
            "2013-05-01T06:30:00Z",
            "April is scored by the version in prod",
            lambda: _scored(stage.flow("score", "svc-score", model=MODEL, period="2013-04")),
        ),
        (
            "2013-05-01T07:00:00Z",
            "The monitor looks at April",
            lambda: _monitored(stage.flow("monitor", "svc-monitor", model=MODEL, period="2013-04")),
        ),
        ("2013-05-02T09:00:00Z", "The reviewer decides", reviewed),
        ("2013-05-02T10:00:00Z", "Version 2 is trained for dana", lambda: trained("2013-05-01T06:00:00Z")),
        ("2013-05-02T11:00:00Z", "Its promotion is requested", lambda: asked(2)),
        (
            "2013-05-02T14:00:00Z",
            "An approver decides",
            lambda: approved(2, "Not worse where it can be told, and it has seen the spring. Go."),
        ),
        ("2013-05-04T16:00:00Z", "An operator rolls it back", rolled_back),
    )


def _delivered(stage: Stage, landing: Path) -> str:
    from tidegate.entrypoints.flows import load_file

    feed = load_file(stage.settings.folder("pipelines") / "feed.py")
    drops = feed.deliver(MONTHS, landing)
    return f"{len(drops)} drops lie in {landing}"


def _opened(stage: Stage) -> str:
    found = stage.command("open")
    people = stage.command("user", "list")
    return f"policy {found['policy']} is in force; {len(people)} accounts, each with a token of its own"


def _gated(found: Mapping[str, Any]) -> str:
    lines = [
        f"{found['read']:,} rows in, {found['accepted']:,} accepted, {found['quarantined']:,} quarantined"
    ]
    lines += [
        f"{check['id']} {check['verdict']} ({check['severity']}, {check['on_row']}): {check['sentence']}"
        for check in found["checks"]
        if check["verdict"] != "passed"
    ]
    lines += [f"stopped by {stop['rule']}: {stop['sentence']}" for stop in found["stops"]]
    return "\n".join(lines)


def _online(found: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {view['rows']:,} rows" for name, view in found.items())


def _measure(measure: Mapping[str, Any]) -> str:
    interval = "" if measure["low"] is None else f" [{measure['low']:.4f}, {measure['high']:.4f}]"
    return f"{measure['value']:.4f}{interval}"


def _trained(found: Mapping[str, Any]) -> str:
    metrics = found["metrics"]
    shown = [
        f"{name} {_measure(metrics[name])}"
        for name in ("roc_auc", "brier", "calibration_gap")
        if name in metrics
    ]
    return (
        f"version {found['version']} on {found['rows']:,} rows: {', '.join(shown)} (95 % over whole days)\n"
        f"ONNX parity: {found['parity']['sentence']}"
    )


def _waiting(found: Mapping[str, Any]) -> str:
    if not found["waits"]:
        return f"version {found['version']} stands in {found['stage']}; nothing waits"
    lines = [f"version {found['version']} rose to {found['stage']} on evidence alone"]
    lines += [f"{found['promotion']} waits, {each['rule']}: {each['sentence']}" for each in found["waits"]]
    return "\n".join(lines)


def _scored(found: Mapping[str, Any]) -> str:
    return f"{found['rows']:,} decisions by version {found['version']}, Merkle root {found['root'][:23]}… in the chain"


def _monitored(found: Mapping[str, Any]) -> str:
    lines = [f"{each['kind']} {each['verdict']}: {each['sentence']}" for each in found["binding"]]
    drifted = [each["kind"] for each in found["information"] if each["verdict"] == "failed"]
    lines.append(f"drift, for information: {', '.join(drifted) or 'none'}")
    lines.append(f"verdict {found['verdict']}" + (f": {found['review']} is open" if found["review"] else ""))
    return "\n".join(lines)


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
        "tidegate log",
        f"tidegate why {MODEL} 2",
        "tidegate quarantine flights",
        feast,
        f"mlflow ui --backend-store-uri sqlite:///{home / 'mlflow' / 'mlflow.db'}",
    ]
    return "\n".join(
        ["look around:", *(f"  {line}" for line in lines), f"state: {home}", f"the desk: {page.as_uri()}"]
    )
