"""A disk that is really full, at every place where an ingest writes: one sentence, and nothing half-written.

A small file system in memory stands for the disk. It is mounted in a user and mount namespace of its own, which
ends with the process that this file starts of itself (Linux).
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.adapters.arrow_batches import ArrowBatches
from tidegate.testing.disks import PAGE, files, fill, small_disk
from tidegate.testing.harbour import write_project
from tidegate.testing.shell import Shell
from tidegate.testing.tides import HEADER, TIDES

ROOT = Path(__file__).parents[2]
DISK = 4 * 2**20
#: How a file ends that says of another one that it is on no record yet.
MARK = ".unrecorded"
INGEST = ("ingest", "tides", "tides-2013-01.csv", "--as", "svc-ingest")
NOW = {"TIDEGATE_NOW": "2013-02-01T06:00:00Z"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one dataset, and a drop of it that does not compress."""
    folder = write_project(tmp_path_factory.mktemp("harbour"), ROOT)
    chance, start = random.Random(7), datetime(2013, 1, 1, tzinfo=UTC)
    times = ((start + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ") for minute in range(900))
    lines = [f"ABC,{time},1.5,{number},{chance.randbytes(150).hex()}" for number, time in enumerate(times)]
    (folder / "tides-2013-01.csv").write_text("\n".join([HEADER, *lines, ""]))
    return folder


def test_a_full_disk_is_one_sentence_nothing_half_written_and_the_same_command_later(
    project: Path, tmp_path: Path, play: Callable[..., Any]
) -> None:
    batch, size = kept(project, tmp_path / "roomy")
    # No room to open the ledger; for its log, not for the batch; for the batch, not for its event.
    told = play(tmp_path / "disk", INGEST, [0, size // 2, size + 48 * 1024])
    for step in told["full"]:
        assert (step["code"], step["said"]) == (3, ""), step
        assert step["error"].startswith("failed: ")
        assert "got no space left on the disk" in step["error"]
        assert step["error"].count("\n") == 2  # the sentence, and what to do next
        assert "\n  next: free some space and run the same again" in step["error"]
        # What was written is whole: named by its content, or SQLite's own files beside its database; or it is a mark.
        written = {each for each in step["written"] if not each.endswith(MARK)}
        assert written <= {*told["after"], "record.db-wal", "record.db-shm"}
    assert not [each for each in told["after"] if each.endswith(MARK)], "all is on record"
    places = ("could not read the ledger", f"for tides/{batch}", "could not write to the ledger")
    assert [place in step["error"] for place, step in zip(places, told["full"], strict=True)] == [True] * 3
    assert told["verified"] == [0, 0]
    assert told["again"]["code"] == 0, told["again"]
    assert "900 rows in, 900 accepted" in told["again"]["said"]
    assert f"batches/tides/{batch}" in told["after"]


def test_a_ledger_is_not_half_opened_on_a_full_disk(tmp_path: Path, play: Callable[..., Any]) -> None:
    told = play(tmp_path, ("open",), [0, 350_000])
    for step in told["full"]:
        assert step["code"] == 3, step
        assert "got no space left on the disk" in step["error"]
        assert step["error"].count("\n") == 2
    assert told["again"]["code"] == 0, told["again"]
    assert told["verified"][-1] == 0


def kept(project: Path, home: Path) -> tuple[str, int]:
    """Return the name of the batch that the drop becomes where there is room, and its size on a disk."""
    drop, batches = project / INGEST[2], ArrowBatches(home)
    _, path = batches.accept(TIDES, batches.read(drop, TIDES, batches.drop_digest(drop)).table, {})
    return path.name, -(-path.stat().st_size // PAGE) * PAGE


@pytest.fixture
def play(in_namespace: Callable[[str, dict[str, Any]], Any], project: Path) -> Callable[..., Any]:
    """Return a function that runs a command on a disk with so little room left."""

    def played(home: Path, words: tuple[str, ...], leave: list[int]) -> Any:
        home.mkdir(exist_ok=True)
        given = {"home": str(home), "project": str(project), "words": words, "leave": leave}
        return in_namespace(__file__, given)

    return played


# ── inside the namespace ──────────────────────────────────────────────────────────────────────────


def main(home: Path, project: Path, words: list[str], leave: list[int]) -> None:
    """Fill the disk up to so many bytes, run the command, free it again; print what was seen."""
    small_disk(home, DISK)
    shell, full, verified = Shell(home, project), [], []
    if words != ["open"]:
        assert shell.run("open", **NOW).returncode == 0
    for room in leave:
        before = files(home)
        fill(home / "filler", room)
        step = _run(shell, *words)
        step["written"] = sorted(files(home) - before - {"filler"})
        full.append(step)
        (home / "filler").unlink()
    verified.append(shell.run("audit", "verify").returncode)
    again = _run(shell, *words)
    verified.append(shell.run("audit", "verify").returncode)
    told = {"full": full, "again": again, "verified": verified, "after": sorted(files(home))}
    sys.stdout.write(json.dumps(told))


def _run(shell: Shell, *words: str) -> dict[str, object]:
    done = shell.run(*words, **NOW)
    return {"code": done.returncode, "said": done.stdout, "error": done.stderr}


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    main(Path(told["home"]), Path(told["project"]), told["words"], told["leave"])
