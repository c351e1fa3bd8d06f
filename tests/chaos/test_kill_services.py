"""kill -9 of the worker and of Prefect's server at random moments: the record of an uninterrupted twin.

Slots of early 2013 are run on a simulated clock, which each run is given (`TIDEGATE_NOW`): only so can two
fingerprints be compared. The twin runs the same slots on the same drops, one after the other in processes of
its own, without server, worker or kill. In the other home Prefect's worker runs them, as made by its scheduler;
whoever was killed is started again, and a run that came to nothing is asked for once more.
"""

import os
import random
import secrets
import time
from pathlib import Path

import pytest

from tidegate.adapters.shared.files import DEAD_AFTER, partials
from tidegate.entrypoints.flows import load_file
from tidegate.entrypoints.worker import GRACE_SECONDS
from tidegate.testing.chaos import on_record, whole_files
from tidegate.testing.orchestra import Orchestra
from tidegate.testing.shell import Shell

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: As many as the demo's runs are killed all together.
KILLS = int(os.environ.get("TIDEGATE_KILLS", "3")) * int(os.environ.get("TIDEGATE_RUNS", "1"))
SEED = os.environ.get("TIDEGATE_SEED") or secrets.token_hex(4)
OPENED = "2013-01-01T12:01:00Z"
#: Schedule, slot, and the moment at which it is run, for every drop that has arrived by then.
STORY = (
    ("collect", "2013-01-04T05:30:00Z", "2013-01-04T09:30:00Z"),
    ("collect", "2013-02-01T05:30:00Z", "2013-02-01T09:30:00Z"),
    ("materialize", "2013-02-01T06:00:00Z", "2013-02-01T09:30:00Z"),
    ("collect", "2013-02-04T05:30:00Z", "2013-02-04T09:30:00Z"),
)
#: Who is killed, in turn.
VICTIMS = (("worker",), ("server",), ("worker", "server"))
#: A run that nobody works on for so long is asked for again.
PATIENCE = 20


def test_worker_and_server_killed_anywhere_come_to_the_record_of_an_uninterrupted_twin(tmp_path):
    twin = Shell(tmp_path / "twin" / "home", ROOT)
    seconds = played_without_prefect(twin)
    orchestra = Orchestra(tmp_path / "killed", ROOT, seconds=400 + 60 * KILLS)
    shell, chance = orchestra.shell, random.Random(SEED)
    assert shell.run("open", TIDEGATE_NOW=OPENED).returncode == 0
    print(f"{KILLS} kills, seed {SEED}")
    kills = drawn(seconds, chance)
    doomed = set()
    try:
        orchestra.begin()
        orchestra.rest()  # Prefect's own scheduler: its slots are of today
        for number, (schedule, slot, now) in enumerate(STORY):
            arrive(shell.home, now)
            run = orchestra.ask(schedule, slot, TIDEGATE_NOW=now)
            since = f"{schedule} of {slot[:10]} was asked for"
            for victims, delay in kills[number]:
                time.sleep(delay)
                flows = orchestra.flows()
                stands = f"{len(flows)} flows at work, {on_record(shell.home)} events on record"
                print(f"  {' and '.join(victims)} killed {delay:.1f} s after {since}: {stands}")
                orchestra.kill(*victims)
                doomed |= flows if "worker" in victims else set()
                for victim in reversed(victims):  # the server first: a worker without one is no use
                    orchestra.start(victim)
                since = "that"
            until_recorded(orchestra, run, schedule, slot, now)
        orchestra.wait("the flows of killed workers to end", lambda: not doomed & orchestra.flows())
    finally:
        orchestra.stop()
    until = time.monotonic() + GRACE_SECONDS
    while (left := shell.processes()) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == [], "processes outlived worker and server"
    print(f"  fingerprint {shell.json('audit', 'fingerprint')['fingerprint']}")
    assert shell.json("audit", "fingerprint") == twin.json("audit", "fingerprint")
    assert len(shell.json("log")) == len(twin.json("log"))
    assert shell.json("audit", "verify")["faults"] == []
    assert whole_files(shell.home) == whole_files(twin.home), "a part passed for a whole file"
    for part in partials(shell.home):
        moment = part.stat().st_mtime - DEAD_AFTER.total_seconds() - 60
        os.utime(part, (moment, moment))
    assert all(finding["ok"] for finding in shell.json("doctor"))
    assert partials(shell.home) == []


def played_without_prefect(twin):
    """Play the story uninterrupted; return how many seconds each slot took."""
    assert twin.run("open", TIDEGATE_NOW=OPENED).returncode == 0
    seconds = []
    for schedule, slot, now in STORY:
        arrive(twin.home, now)
        began = time.monotonic()
        (done,) = twin.json(
            "run", schedule, f"slot={schedule}/{slot}", "--as", "svc-ingest", TIDEGATE_NOW=now
        )["runs"]
        assert done["outcome"] == "done"
        seconds.append(time.monotonic() - began)
    return seconds


def arrive(home, now):
    """Have every drop lie in the landing folder that arrives by then."""
    feed = load_file(ROOT / "pipelines" / "feed.py")
    feed.deliver([each for each in feed.calendar() if each.arrives <= now[:10]], home / "landing")


def drawn(seconds, chance):
    """Return, for each slot, who is killed and how long after it was asked for: kills cover the story evenly."""
    kills = [[] for _ in STORY]
    share, first = len(STORY) / KILLS, chance.randrange(len(VICTIMS))
    for number in range(KILLS):
        slot, place = divmod(chance.uniform(number * share, (number + 1) * share), 1)
        slot = min(int(slot), len(STORY) - 1)
        kills[slot].append((VICTIMS[(first + number) % len(VICTIMS)], place * seconds[slot]))
    return kills


def until_recorded(orchestra, run, schedule, slot, now):
    """Wait until a slot is on record; do meanwhile what a supervisor and an operator would do."""
    idle = time.monotonic()

    def recorded():
        nonlocal run, idle
        if any(moment.startswith(slot[:19]) for moment in orchestra.finished()):
            return True
        if not orchestra.lives("worker"):
            orchestra.start("worker")
        if orchestra.flows():
            idle = time.monotonic()
        if orchestra.ended(run) or time.monotonic() > idle + PATIENCE:
            run, idle = orchestra.ask(schedule, slot, TIDEGATE_NOW=now), time.monotonic()
        return False

    orchestra.wait(f"{schedule}/{slot} to be recorded", recorded)
