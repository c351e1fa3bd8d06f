"""kill -9 while a drop goes through its gate, or mended rows go back: run again, it ends as if nothing had happened."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tidegate.testing.chaos import whole_files
from tidegate.testing.harbour import write_project
from tidegate.testing.shell import Shell
from tidegate.testing.tides import HEADER

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOW = {"TIDEGATE_NOW": "2013-02-01T06:00:00Z"}
KILLS = 6


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "harbour", ROOT, hours=9000)


@pytest.fixture
def ready(project, tmp_path):
    """Return a function that opens a home; both words for a drop and for mended rows then run on it."""
    lines = [f"ABC,2013-01-{day:02}T{hour:02}:00:00Z,{99 if hour == 5 else 1},1," for day in range(1, 29) for hour in range(24)]  # fmt: skip  # noqa: E501
    drop = tmp_path / "tides-2013-01.csv"
    drop.write_text("\n".join([HEADER, *lines, ""]))
    held = tmp_path / "held.csv"

    def opened(name):
        shell = Shell(tmp_path / name, project)
        shell.json("open", **NOW)
        return shell, ("ingest", "tides", str(drop), "--as", "svc-ingest"), held

    return opened


def mend(shell, held):
    if not held.exists():
        shell.json("quarantine", "tides", "--export", str(held), "--as", "aude", **NOW)
        held.write_text(held.read_text().replace(",99,", ",1.5,"))
    return ("replay", "tides", str(held), "--as", "svc-ingest")


def killed_over_and_over(shell, words):
    """Start the same act again and again, each time with a little longer to live."""
    started = time.monotonic()
    shell.run("status", "--as", "aude", **NOW)
    least = time.monotonic() - started  # before that nothing but imports happens
    for number in range(KILLS):
        process = shell.start(*words, **NOW)
        time.sleep(least * (0.6 + 0.4 * number))
        process.kill()
        process.wait()


def state(shell):
    found = shell.json("quarantine", "tides", "--as", "aude", **NOW)
    assert shell.json("audit", "verify", "--as", "aude", **NOW)["faults"] == []
    return (
        shell.json("audit", "fingerprint", "--as", "aude", **NOW)["fingerprint"],
        found,
        whole_files(shell.home),
    )


def test_a_drop_and_mended_rows_that_were_killed_on_their_way_end_where_others_end(ready):
    (calm, ingest, held), (shaken, _, _) = ready("calm"), ready("shaken")
    calm.json(*ingest, **NOW)
    killed_over_and_over(shaken, ingest)
    shaken.json(*ingest, **NOW)
    assert state(shaken) == state(calm)
    replay = mend(calm, held)
    calm.json(*replay, **NOW)
    killed_over_and_over(shaken, replay)
    row = shaken.json(*replay, **NOW)
    assert (row["read"], row["accepted"], row["quarantined"]) == (672, 672, 0)
    assert state(shaken) == state(calm)


def test_two_that_bring_the_same_at_once_bring_it_once(ready):
    shell, ingest, held = ready("both")
    for words in (ingest, None):
        act = words or mend(shell, held)
        both = [shell.start(*act, **NOW) for _ in range(2)]
        assert [process.wait(timeout=120) for process in both] == [0, 0]
    batches = [
        event for event in shell.json("log", "--as", "aude", **NOW) if event["type"] == "batch.accepted"
    ]
    assert len(batches) == 2
