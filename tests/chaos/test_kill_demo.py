"""kill -9 anywhere in the year, then run it again: the same state, no orphan, nothing half.

A *run* is one home, played from nothing to its end however often it was killed. `make chaos` plays
TIDEGATE_RUNS of them and kills each TIDEGATE_KILLS times; all kills together cover the whole story evenly.
"""

import os
import random
import secrets
import time
from pathlib import Path

import pytest

from tidegate.adapters.shared.files import DEAD_AFTER, partials
from tidegate.testing.chaos import Story, kill_at, on_record, whole_files
from tidegate.testing.shell import Shell

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUNS = int(os.environ.get("TIDEGATE_RUNS", "1"))
KILLS = int(os.environ.get("TIDEGATE_KILLS", "3"))
#: Other moments every time; whoever wants those of an earlier time gives its seed.
SEED = os.environ.get("TIDEGATE_SEED") or secrets.token_hex(4)
#: A moment may lie behind the story's end, where this machine is faster now than it was.
ATTEMPTS = 10


@pytest.fixture(scope="module")
def story(played):
    """The uninterrupted run's steps and events."""
    return Story(played[1], played[0].json("log"))


@pytest.mark.parametrize("run", range(1, RUNS + 1))
def test_a_killed_demo_run_again_ends_in_the_same_state(played, story, tmp_path, run):
    uninterrupted, shell = played[0], Shell(tmp_path / "home", ROOT)
    moments = story.moments(RUNS * KILLS, random.Random(SEED))[run - 1 :: RUNS]
    print(f"run {run} of {RUNS}, {KILLS} kills, seed {SEED}")
    for number, moment in enumerate(moments, 1):
        hit, events = killed(shell, story, moment, tmp_path / "printed")
        print(f"  kill {number}: in {story.named(hit)}; {events} events on record")
        assert events >= moment.events
        wait_for_the_end_of_all(shell)
    shell.json("demo", timeout=1800)
    fingerprint = shell.json("audit", "fingerprint")["fingerprint"]
    print(f"  fingerprint {fingerprint}")
    assert fingerprint == uninterrupted.json("audit", "fingerprint")["fingerprint"]
    assert shell.json("audit", "verify")["faults"] == []
    assert whole_files(shell.home) == whole_files(uninterrupted.home), "a part passed for a whole file"
    for left in partials(shell.home):  # whatever the kills left is found, and swept when it is old enough
        moment = left.stat().st_mtime - DEAD_AFTER.total_seconds() - 60
        os.utime(left, (moment, moment))
    assert all(finding["ok"] for finding in shell.json("doctor"))
    assert partials(shell.home) == []
    wait_for_the_end_of_all(shell)


def killed(shell, story, moment, printed):
    """Start the demo and kill it there; return the step it was in and how many events were on record."""
    for _ in range(ATTEMPTS):
        with printed.open("wb") as out:
            demo = shell.start("demo", out=out)
            if kill_at(demo, shell.home, moment):
                events = on_record(shell.home)
                return story.place(events, printed.read_text()), events
        assert demo.returncode == 0
    return pytest.fail(f"the demo ended {ATTEMPTS} times before {moment}")


def wait_for_the_end_of_all(shell):
    until = time.monotonic() + 10
    while (left := shell.processes()) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == [], "the demo left processes behind"
