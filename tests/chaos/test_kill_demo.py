"""kill -9 anywhere in the demo, then run it again: the same state, no orphan, nothing half."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tidegate.testing.shell import Shell

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: How many times one demo is killed before it may end. `TIDEGATE_KILLS=25` for a long run.
KILLS = int(os.environ.get("TIDEGATE_KILLS", "3"))


def test_a_killed_demo_run_again_ends_in_the_same_state(played, tmp_path):
    uninterrupted, steps = played
    longest = sum(step["seconds"] for step in steps)
    shell = Shell(tmp_path / "home", ROOT)
    chance = random.Random(os.environ.get("TIDEGATE_SEED", "7"))
    killed = 0
    for _ in range(KILLS):
        demo = shell.start("demo")
        time.sleep(chance.uniform(1.0, longest * 0.6))
        killed += demo.poll() is None
        demo.send_signal(signal.SIGKILL)
        demo.wait()
        time.sleep(1)
        assert shell.processes() == [], "the killed demo left processes behind"
    assert killed, "every run ended before it was killed"
    shell.json("demo", timeout=900)
    assert shell.json("audit", "fingerprint") == uninterrupted.json("audit", "fingerprint")
    assert shell.json("audit", "verify")["faults"] == []
    assert all(finding["ok"] for finding in shell.json("doctor"))
