"""kill -9 while rows are pushed: pushed again, it ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tidegate.testing.chaos import whole_files
from tidegate.testing.harbour import write_harbour
from tidegate.testing.shell import Shell
from tidegate.testing.tides import HEADER

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOW = {"TIDEGATE_NOW": "2013-02-01T07:30:00Z"}
KILLS = 8


@pytest.fixture
def ready(tmp_path):
    """Return a function that opens a home in which January is online; words that push then run on it."""
    project = write_harbour(tmp_path / "harbour", ROOT)
    drop, rows = tmp_path / "tides-2013-01.csv", tmp_path / "rows.jsonl"
    drop.write_text(
        "\n".join([HEADER, *(f"{name},2013-01-31T20:00:00Z,1,1," for name in ("ABC", "BCD")), ""])
    )
    told = [
        {"station": name, "at": f"2013-02-01T{hour:02}:00:00Z", "level": level, "reading": 1, "note": None}
        for name in ("ABC", "CDE")
        for hour, level in enumerate((1.5, 99, 2.5))
    ]
    rows.write_text("".join(json.dumps(each) + "\n" for each in told))

    def opened(name):
        shell = Shell(tmp_path / name, project)
        shell.json("ingest", "tides", str(drop), "--as", "svc-ingest", **NOW)
        shell.json("run", "materialize", "--as", "svc-features", **NOW)
        return shell, ("push", "tides", str(rows), "--as", "svc-ingest")

    return opened


def state(shell):
    assert shell.json("audit", "verify", "--as", "aude", **NOW)["faults"] == []
    assert shell.run("features", "parity", "--as", "svc-features", **NOW).returncode == 0
    files = {
        name: body
        for name, body in whole_files(shell.home).items()
        if name.startswith(("batches", "quarantine"))
    }
    with closing(sqlite3.connect(shell.home / "feast" / "o.db")) as store:
        rows = store.execute(
            "SELECT entity_key, event, created, body FROM newest_harbour_gauge_hour ORDER BY 1"
        ).fetchall()
    events = [event["type"] for event in shell.json("log", "--as", "aude", **NOW)]
    return shell.json("audit", "fingerprint", "--as", "aude", **NOW)["fingerprint"], files, rows, events


def test_a_push_that_was_killed_on_its_way_ends_where_others_end(ready):
    (calm, words), (shaken, _) = ready("calm"), ready("shaken")
    calm.json(*words, **NOW)
    started = time.monotonic()
    shaken.run("status", "--as", "aude", **NOW)
    least = time.monotonic() - started  # before that nothing but imports happens
    for number in range(KILLS):
        process = shaken.start(*words, **NOW)
        time.sleep(least * (0.8 + 0.3 * number))
        process.kill()
        process.wait()
    shaken.json(*words, **NOW)
    said = shaken.json(*words, **NOW)
    assert (said["read"], said["accepted"], said["quarantined"], said["online"]) == (6, 4, 2, {})
    assert state(shaken) == state(calm)


#: Runs a command that is killed when its files are written, before they are recorded.
KILLED = """
import os, signal, sys
from tidegate.application import push
push.come_back = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from tidegate.entrypoints.cli.app import main
sys.argv = ["tidegate", *sys.argv[1:]]
main()
"""


def test_files_of_a_push_that_was_killed_before_it_was_recorded_are_swept_an_hour_later(ready):
    (calm, words), (shaken, _) = ready("calm"), ready("shaken")
    done = subprocess.run(
        [sys.executable, "-P", "-c", KILLED, *words],
        cwd=shaken.project,
        env=shaken.environment(**NOW),
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = sorted(path for path in shaken.home.rglob("*.unrecorded"))
    files = [path.with_name(path.name.removeprefix(".").removesuffix(".unrecorded")) for path in left]
    assert sorted(path.parent.parent.name for path in files) == ["batches", "quarantine"]
    assert "had not recorded" not in shaken.run("doctor", "--as", "ada", **NOW).stdout
    assert all(path.exists() for path in files)
    for path in (*left, *files):
        os.utime(path, (0, 0))
    said = shaken.run("doctor", "--as", "ada", **NOW).stdout
    assert "removed 2 with rows that killed commands had not recorded" in said
    assert not any(path.exists() for path in (*left, *files))
    calm.json(*words, **NOW)
    shaken.json(*words, **NOW)
    assert state(shaken) == state(calm)
    assert not list(shaken.home.rglob("*.unrecorded")), "recorded is recorded"


def test_two_that_push_the_same_at_once_push_it_once_and_say_the_same(ready, tmp_path):
    shell, words = ready("both")
    told = []
    with (tmp_path / "one").open("wb") as one, (tmp_path / "two").open("wb") as two:
        both = [shell.start(*words, "--json", out=file.fileno(), **NOW) for file in (one, two)]
        assert [process.wait(timeout=120) for process in both] == [0, 0]
    for name in ("one", "two"):
        said = json.loads((tmp_path / name).read_text())
        told.append({key: said[key] for key in ("push", "event", "parts", "verdict", "read", "accepted")})
    assert told[0] == told[1]
    events = [event["type"] for event in shell.json("log", "--as", "aude", **NOW)]
    assert events.count("push.accepted") == 1
