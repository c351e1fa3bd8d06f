"""A flow's process ends with the one that started it, which may have been killed."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tidegate.entrypoints.worker import GRACE_SECONDS

#: A worker: starts a flow whose output it reads, says which process that is, and waits.
WORKER = """
import subprocess, sys, time
flow = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
print(flow.pid, flow.stdout.readline().decode().strip(), flush=True)
time.sleep(600)
"""
FLOW = """
import signal, time
from tidegate.entrypoints.worker import end_with_worker
{before}
end_with_worker()
{after}
time.sleep(600)
"""
SAYS = "print('works', flush=True)"
RUN = {"PREFECT__FLOW_RUN_ID": "5e8b66e4-58b5-4b7f-b2f6-4e4c7d7f3a11"}


@pytest.fixture
def start():
    """Start a worker with one flow; return the worker and the flow's process id."""
    started = []

    def started_with(before="", after=SAYS, environment=RUN):
        code = FLOW.format(before=before, after=after)
        plain = {name: value for name, value in os.environ.items() if name not in RUN}
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, code],
            stdout=subprocess.PIPE,
            text=True,
            env={**plain, **environment},
        )
        number, said = worker.stdout.readline().split()
        assert said == "works"
        started.extend([worker.pid, int(number)])
        return worker, int(number)

    yield started_with
    for number in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def kill(worker):
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()


def lives(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def seconds_until_it_ends(number, at_most):
    began = time.monotonic()
    while lives(number) and time.monotonic() < began + at_most:
        time.sleep(0.05)
    assert not lives(number)
    return time.monotonic() - began


def test_a_flow_ends_at_once_when_its_worker_is_killed(start):
    worker, flow = start()
    assert lives(flow)
    kill(worker)
    assert seconds_until_it_ends(flow, 5) < GRACE_SECONDS / 2


def test_a_flow_whose_worker_was_killed_before_it_looked_ends_too(start):
    worker, flow = start(before=f"{SAYS}; time.sleep(2)", after="")
    kill(worker)
    assert lives(flow), "it has not looked yet"
    seconds_until_it_ends(flow, 20)


def test_a_flow_that_does_not_end_when_told_to_is_ended(start):
    worker, flow = start(before="signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    kill(worker)
    assert seconds_until_it_ends(flow, GRACE_SECONDS + 5) > GRACE_SECONDS / 2


def test_a_process_that_no_worker_started_outlives_its_parent(start):
    """A person's `tidegate run … | tee log` does not end because the terminal did."""
    parent, process = start(environment={})
    kill(parent)
    time.sleep(2)
    assert lives(process)
