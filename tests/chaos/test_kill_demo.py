"""kill -9 anywhere in the year, then run it again: the same state, no orphan, nothing half."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.adapters.shared.files import partials, sweep
from tidegate.testing.shell import Shell

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: How many years are played, each from nothing, and how often each is killed on its way to the end.
RUNS = int(os.environ.get("TIDEGATE_RUNS", "1"))
KILLS = int(os.environ.get("TIDEGATE_KILLS", "3"))
SEED = int(os.environ.get("TIDEGATE_SEED", "7"))


def recorded(home):
    """Return how many events are committed, and the type of the last; (0, "nothing") before there are any."""
    database = home / "record.db"
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.05)) as ledger,
    ):
        row = ledger.execute("SELECT sequence, type FROM events ORDER BY sequence DESC LIMIT 1").fetchone()
        return row or (0, "nothing")
    return 0, "nothing"


def killed_after(demo, home, sequence, delay):
    """Kill the demo ``delay`` seconds after it has recorded event ``sequence``; return the type it had come to.

    None: it ended before.
    """
    while demo.poll() is None and recorded(home)[0] < sequence:
        time.sleep(0.01)
    with contextlib.suppress(subprocess.TimeoutExpired):
        demo.wait(delay)
    if demo.poll() is not None:
        return None
    demo.send_signal(signal.SIGKILL)
    demo.wait()
    return "{} ({})".format(*recorded(home))


@pytest.mark.parametrize("run", range(RUNS))
def test_a_killed_demo_run_again_ends_in_the_same_state(run, played, tmp_path):
    """Moments are drawn over the whole record: each kill hits wherever the year then is, or just after."""
    uninterrupted, _ = played
    length = len(uninterrupted.json("log"))
    shell, chance = Shell(tmp_path / "home", ROOT), random.Random(SEED + run)
    hit = []
    for sequence in sorted(chance.randrange(length - 5) for _ in range(KILLS)):
        # Before the first event there is only time to draw: the feeds are written, the tools imported.
        delay = chance.uniform(0, 5) if sequence == 0 else chance.uniform(0, 0.5)
        hit.append(killed_after(shell.start("demo"), shell.home, sequence, delay))
        time.sleep(1)
        assert shell.processes() == [], "the killed demo left processes behind"
    print(f"killed at events {', '.join(map(str, hit))} of {length} (seed {SEED + run})")  # noqa: T201  # `make chaos` shows it
    assert None not in hit
    shell.json("demo", timeout=1800)
    assert shell.json("audit", "fingerprint") == uninterrupted.json("audit", "fingerprint")
    assert shell.json("audit", "verify")["faults"] == []
    assert all(finding["ok"] for finding in shell.json("doctor"))
    # What a killed writer left is nobody's, lies under a name that nobody reads, and goes with time.
    left = partials(shell.home)
    for path in left:
        os.utime(path, (0, 0))
    sweep(shell.home, datetime.now(UTC))
    assert partials(shell.home) == []
