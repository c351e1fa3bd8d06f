"""The command that pushes."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.application import push as use_case
from tidegate.domain.errors import DependencyFailed, Refused
from tidegate.domain.state import PushRow
from tidegate.entrypoints.cli.common import As, AsJson, acting, after, out, platform, printable, say, table

_STDIN = Path("-")


def push(
    dataset: Annotated[str, typer.Argument(help="A dataset whose contract lets rows be pushed (pushRows).")],
    file: Annotated[
        Path,
        typer.Argument(
            help="Rows as JSON lines, Parquet or Arrow; - or nothing: standard input.", allow_dash=True
        ),
    ] = _STDIN,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Put rows through their dataset's gate and serve the good ones at once. The same bytes twice change nothing.

    Rows are judged one by one: what the contract promises of a whole period waits for its drop, which has the last word
    on what was pushed.
    """
    here = platform()
    who = acting(here, as_user)
    with _landed(file) as landed:
        done = use_case.push(here, who, dataset, landed)
    after(here)

    say(_shown(done), as_json, lambda: _told(done))
    if not done.row.parts:
        raise Refused(
            "push-held-back",
            f"the gate held back this push of {dataset} whole: {done.row.report['stops'][0]['sentence']}",
            f"tidegate quarantine {dataset} --pushed",
        )


@contextmanager
def _landed(file: Path) -> Iterator[Path]:
    """Yield the file, or standard input as one: what is pushed is named by its bytes before any of it is read."""
    if file != _STDIN:
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="tidegate-push-") as folder:
        landed = Path(folder, "stdin")
        try:
            with landed.open("wb") as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy)
        except OSError as error:
            raise DependencyFailed(
                "unwritable",
                f"got no room for a temporary copy of standard input ({error.strerror}), expected some to read it from",
                "free some space where temporary files go, or set TMPDIR, and push it again",
            ) from error
        yield landed


def _told(done: use_case.Outcome) -> None:
    row = done.row
    if not done.fresh:
        out.print(f"these bytes were recorded before (event {row.sequence}); nothing changed")
    of = f"{row.dataset} {', '.join(sorted(row.parts))}".rstrip()
    out.print(
        f"{of}: {row.verdict}; {row.read} rows pushed, {row.accepted} accepted, {row.quarantined} quarantined"
    )
    for note in row.report.get("notes", ()):
        out.print(f"  note: {printable(note)}", markup=False)
    for stop in row.report["stops"]:
        out.print(f"  stopped by {stop['rule']}: {stop['sentence']}", markup=False)
    for use in row.report.get("waived", ()):
        out.print(f"  let through by {use['waiver']}: {use['check']}: {use['sentence']}", markup=False)
    failing = table("check", "severity", "rows", "what it found")
    for check in row.report["checks"]:
        if check["verdict"] == "failed":
            failing.add_row(check["id"], check["severity"], str(check["failing"]), check["sentence"])
    if failing.row_count:
        out.print(failing)
    for view, count in sorted(done.online.items()):
        out.print(f"  online: {count} rows of {view}")
    for view in done.waiting:
        out.print(f"  {view} was never online: it serves this from the first `tidegate run materialize`")


def _shown(done: use_case.Outcome) -> dict[str, Any]:
    return {**_row(done.row), "fresh": done.fresh, "online": dict(done.online), "waiting": list(done.waiting)}


def _row(row: PushRow) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        "push": row.drop,
        "parts": dict(row.parts),
        "verdict": row.verdict,
        "read": row.read,
        "accepted": row.accepted,
        "quarantined": row.quarantined,
        "event": row.sequence,
        "report": dict(row.report),
    }
