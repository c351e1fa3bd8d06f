"""kill -9 anywhere in the year, then run it again: the same state, no orphan, nothing half."""

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tidegate.testing.shell import Shell

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: How many times one demo is killed before it may end; `make chaos` says 25.
KILLS = int(os.environ.get("TIDEGATE_KILLS", "3"))
SEED = os.environ.get("TIDEGATE_SEED", "7")


def test_a_killed_demo_run_again_ends_in_the_same_state(played, tmp_path):
    uninterrupted, steps = played
    whole = sum(step["seconds"] for step in steps)
    shell = Shell(tmp_path / "home", ROOT)
    chance = random.Random(SEED)
    killed = []
    for _ in range(KILLS):
        # A run goes on where the last one was killed: few kills lie far apart, and all fall within the year.
        seconds = chance.uniform(2.0, max(whole / KILLS * 0.9, 20.0))
        demo = shell.start("demo")
        with contextlib.suppress(subprocess.TimeoutExpired):
            demo.wait(seconds)
        if demo.poll() is None:
            demo.send_signal(signal.SIGKILL)
            killed.append(round(seconds, 1))
        demo.wait()
        time.sleep(1)
        assert shell.processes() == [], "the killed demo left processes behind"
    assert len(killed) == KILLS, f"killed after {killed} seconds only: the year ended before (seed {SEED})"
    shell.json("demo", timeout=1800)
    assert shell.json("audit", "fingerprint") == uninterrupted.json("audit", "fingerprint")
    assert shell.json("audit", "verify")["faults"] == []
    assert all(finding["ok"] for finding in shell.json("doctor"))
    assert [path.name for path in shell.home.rglob(".part-*")] == []
