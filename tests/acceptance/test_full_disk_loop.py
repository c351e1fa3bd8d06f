"""The disk fills up later in the loop: while features are built, a version is trained, a period scored or monitored.

The small project of docs/new-team.md lives through four months on a file system in memory. Before each of the four
commands that disk is filled, up to a little more each time, so that each attempt gets a little further.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate.entrypoints.flow_server import FlowServer
from tidegate.entrypoints.scaffolding.project import make_project
from tidegate.testing.disks import files, fill, small_disk
from tidegate.testing.pages import File, steps
from tidegate.testing.shell import Shell

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "new-team.md"
DISK, KIB = 64 * 2**20, 1024
MODEL = "hour_count"
SCORE = ("run", "score", f"model={MODEL}", "period=2026-05", "--as", "svc-score")
#: Each command, and the KiB that its attempts find.
FULL: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "materialize": (("run", "materialize", "--as", "svc-features"), (44, 124)),
    "train": (("train", MODEL, "--as", "dana"), (80, 200)),
    "score": (SCORE, (40, 76)),
    "monitor": (("run", "monitor", f"model={MODEL}", "period=2026-05", "--as", "svc-monitor"), (2000,)),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's project with its model of numbers; nothing is ingested yet."""
    folder = tmp_path_factory.mktemp("team") / "counting"
    make_project(folder)
    given = [
        step for step in steps(PAGE.read_text()) if isinstance(step, File) and "busy_hour" not in step.path
    ]
    (drops,) = [step for step in given if step.path == "drops.py"]
    subprocess.run([sys.executable, "-c", drops.body], cwd=folder, check=True, timeout=60)
    dataset = ["dataset", "new", "readings", "--from", "drops/readings-2026-01.csv"]
    about = ["--key", "station,hour_start", "--owner", "City counters", "--purpose", "One row an hour"]
    model = ["model", "new", MODEL, "--prediction", "number", "--dataset", "readings"]
    Shell(folder / "unused", folder).several(([*dataset, *about], {}), (model, {}))
    for step in given:
        (folder / step.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / step.path).write_text(step.body)
    return folder


@pytest.fixture(scope="module")
def told(in_namespace: Callable[..., Any], project: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What every attempt on a full disk said and left, and what came of it with room."""
    folder = tmp_path_factory.mktemp("disk")
    (folder / "home").mkdir()
    return in_namespace(__file__, {"project": str(project), "folder": str(folder)})


def one_sentence(step: dict[str, Any]) -> None:
    assert (step["code"], step["said"]) == (3, ""), step
    lines = [line for line in step["error"].splitlines() if not line.startswith("training ")]
    assert len(lines) == 2, step["error"]
    assert lines[0].startswith(("failed: got ", "failed: could not "))
    assert "no space left on the disk" in lines[0]
    assert lines[1].startswith("  next: free some space and run the same again; ")


@pytest.mark.parametrize("command", FULL)
def test_a_full_disk_is_one_sentence_and_nothing_accepted_is_lost(told: Any, command: str) -> None:
    attempts = told[command]["full"]
    assert len(attempts) == len(FULL[command][1])
    for step in attempts:
        one_sentence(step)
        assert step["verified"]["faults"] == []
        assert step["verified"]["events"] >= told[command]["events"], "what was recorded stays"
        assert step["gone"] == [], "no file that was there before is lost"


@pytest.mark.parametrize(
    ("command", "places"),
    [
        ("materialize", ("the ledger", "the feature store")),
        ("train", (".parquet", "MLflow's store")),
        ("score", (".parquet", "the ledger")),
        ("monitor", ("reports/", "reports/")),
    ],
)
def test_it_was_full_at_the_first_and_at_the_last_place_where_it_writes(
    told: Any, command: str, places: tuple[str, str]
) -> None:
    attempts = told[command]["full"]
    assert places[0] in attempts[0]["error"]
    assert places[1] in attempts[-1]["error"]


@pytest.mark.parametrize("command", FULL)
def test_the_same_command_succeeds_once_there_is_room(told: Any, command: str) -> None:
    assert told[command]["again"] is not None


def test_prefects_own_database_without_room_is_named(told: Any) -> None:
    one_sentence(told["prefect"])
    assert "got Prefect's server failing (it ended with " in told["prefect"]["error"]
    assert "KiB left" in told["prefect"]["error"]


def test_the_loop_went_to_its_end_and_left_nothing_half_written(told: Any) -> None:
    assert told["status"]["models"][MODEL]["stages"] == {"prod": 1}
    assert told["monitor"]["again"]["verdict"] == "passed"
    assert all(finding["ok"] for finding in told["doctor"]), told["doctor"]
    assert [name for name in told["files"] if ".part" in name] == []


# ── inside the namespace ──────────────────────────────────────────────────────────────────────────


class Loop:
    """The project on a small disk, month after month."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.home = folder / "home"
        small_disk(self.home, DISK)
        self.shell = Shell(self.home, project)
        # Prefect's server has a disk of its own here: its database would take whatever room is left.
        os.environ |= {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        self.server = FlowServer(folder / "prefect")
        del os.environ["PREFECT_HOME"]
        self.outside = {"PREFECT_API_URL": self.server.url}
        self.told: dict[str, Any] = {}

    def play(self) -> None:
        """Live through it."""
        materialize, score, promote = FULL["materialize"][0], FULL["score"][0], ("promote", MODEL, "1")
        months = [self.arrives(month) for month in ("01", "02", "03", "04", "05")]
        self.does((("open",), "2026-01-01T00:00:00Z"), *months[:3])
        now = months[2][1]
        self.told["prefect"] = self.attempt(materialize, now, 1000, {})
        self.server.wait()
        self.fills("materialize", now)
        april = tuple(word.replace("2026-05", "2026-04") for word in score)
        canary = ("run", "canary", f"model={MODEL}", "--as", "svc-rollout")
        self.fills(
            "train",
            now,
            ((*promote, "--to", "canary", "--as", "dana"), now),
            months[3],
            *((words, months[3][1]) for words in (materialize, april, canary)),
            months[4],
            (materialize, months[4][1]),
        )
        self.fills("score", months[4][1])
        self.told["status"], self.told["doctor"] = self.fills(
            "monitor", months[4][1], (("status",), months[4][1]), (("doctor",), months[4][1])
        )
        self.told["files"] = sorted(files(self.home))

    def arrives(self, month: str) -> tuple[tuple[str, ...], str]:
        words = ("ingest", "readings", f"drops/readings-2026-{month}.csv", "--as", "svc-ingest")
        return words, f"2026-{int(month) + 1:02}-01T06:00:00Z"

    def does(self, *commands: tuple[tuple[str, ...], str]) -> list[Any]:
        return self.shell.several(
            *((words, {"TIDEGATE_NOW": moment, **self.outside}) for words, moment in commands)
        )

    def fills(self, command: str, moment: str, *then: tuple[tuple[str, ...], str]) -> list[Any]:
        """Try a command on a full disk, do it with room, and go on to what comes then."""
        words, rooms = FULL[command]
        events = self.verified()["events"]
        full = [self.attempt(words, moment, room, self.outside) for room in rooms]
        again, *after = self.does((words, moment), *then)
        self.told[command] = {"events": events, "full": full, "again": again}
        return after

    def attempt(self, words: tuple[str, ...], moment: str, room: int, more: dict[str, str]) -> dict[str, Any]:
        before = files(self.home)
        fill(self.home / "filler", room * KIB)
        done = self.shell.run(*words, TIDEGATE_NOW=moment, **more)
        (self.home / "filler").unlink()
        # A database in WAL mode writes its journal beside it, and takes it away when it is closed.
        gone = [name for name in before - files(self.home) if not name.endswith(("-wal", "-shm", "-journal"))]
        said = {"code": done.returncode, "said": done.stdout, "error": done.stderr}
        return {**said, "gone": gone, "verified": self.verified()}

    def verified(self) -> Any:
        return self.shell.json("audit", "verify")


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    loop = Loop(Path(given["project"]), Path(given["folder"]))
    loop.play()
    sys.stdout.write(json.dumps(loop.told))
