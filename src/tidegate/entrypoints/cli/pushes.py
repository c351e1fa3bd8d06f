"""The command that pushes."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.application import push as use_case
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.state import PushRow
from tidegate.entrypoints.cli.common import As, AsJson, acting, after, out, platform, printable, say, table

_STDIN = Path("-")
#: A piece of what is copied; and what is more than any push may have, so that what never ends is not copied whole.
_CHUNK, _LONGEST = 2**20, 2**30 + 1


def push(
    dataset: Annotated[str, typer.Argument(help="A dataset whose contract lets rows be pushed (pushRows).")],
    file: Annotated[
        Path,
        typer.Argument(
            help="Rows as JSON lines, Parquet or Arrow; - or nothing: standard input.", allow_dash=True
        ),
    ] = _STDIN,
    each: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="LINES",
            help="Push each so many lines, as soon as they are there, as a push of its own.",
        ),
    ] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Put rows through their dataset's gate and serve the good ones at once. The same bytes twice change nothing.

    Rows are judged one by one: what the contract promises of a whole period waits for its drop, which has the last word
    on what was pushed. With --each a stream goes on over pushes that the gate holds back, and ends at one that cannot
    be read; --json then prints a line for each push.
    """
    here = platform()
    who = acting(here, as_user)
    held = None
    for landed in _landed(file, each):
        done = use_case.push(here, who, dataset, landed)
        after(here)
        if each and as_json:
            sys.stdout.write(json.dumps(_shown(done), ensure_ascii=False, default=str) + "\n")
        else:
            say(_shown(done), as_json, partial(_told, done))
        sys.stdout.flush()
        held = held if done.row.parts else done.row
    if held:
        which, why = "a" if each else "this", held.report["stops"][0]["sentence"]
        raise Refused(
            "push-held-back",
            f"the gate held back {which} push of {dataset} whole: {why}",
            f"tidegate quarantine {dataset} --pushed",
        )


def _landed(file: Path, each: int | None) -> Iterator[Path]:
    """Yield each push as a file: it is named by its bytes before any of it is read.

    Raises:
        BadInput: there is no such file. DependencyFailed: there is no room for a copy.
    """
    if file != _STDIN and each is None:
        yield file
        return
    try:
        source = sys.stdin.buffer if file == _STDIN else file.open("rb")
    except OSError as error:
        raise BadInput(
            "no-drop", f"got no readable file {file} ({error.strerror}), expected rows", "check the path"
        ) from error
    name = "stdin" if file == _STDIN else file.name
    with tempfile.TemporaryDirectory(prefix="tidegate-push-") as folder:
        if each is None:
            yield _copied(Path(folder, name), iter(partial(source.read, _CHUNK), b""))
            return
        lines = (line for line in iter(partial(source.readline, _LONGEST), b"") if line.strip())
        first = 1
        while some := list(islice(lines, each)):
            yield _copied(Path(folder, f"{name} from row {first}"), some)
            first += len(some)


def _copied(path: Path, parts: Iterable[bytes]) -> Path:
    """Write what came to a file, up to more than any push may have."""
    left = _LONGEST
    try:
        with path.open("wb") as copy:
            for part in parts:
                copy.write(part)
                left -= len(part)
                if left < 0:
                    break  # it is refused for its size
    except OSError as error:
        raise DependencyFailed(
            "unwritable",
            f"got no room for a temporary copy of {path.name} ({error.strerror}), expected some to read it from",
            "free some space where temporary files go, or set TMPDIR, and push it again",
        ) from error
    return path


def _told(done: use_case.Outcome) -> None:
    row = done.row
    if not done.fresh:
        out.print(f"these bytes were recorded before (event {row.sequence}); nothing changed")
    of = f"{row.dataset} {', '.join(sorted(row.parts))}".rstrip()
    out.print(
        f"{of}: {row.verdict}; {many(row.read, 'row')} pushed, {row.accepted} accepted, {row.quarantined} quarantined"
        + (f", {row.erased} erased" if row.erased else "")
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
        out.print(f"  online: {many(count, 'row')} of {view}")
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
        "erased": row.erased,
        "event": row.sequence,
        "report": dict(row.report),
    }
