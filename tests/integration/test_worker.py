"""Under a real Prefect server and worker: schedules arrive, a scheduled run counts once, crashes converge."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from tidegate.adapters.prefect_schedules import PrefectSchedules
from tidegate.bootstrap import QUIET, Tidegate
from tidegate.domain.events import EventType
from tidegate.entrypoints.flows import load_file
from tidegate.settings import load
from tidegate.testing.shell import Shell

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
#: The whole story ends within this, whatever happens.
SECONDS = 300
SEED = int(os.environ.get("TIDEGATE_SEED", "7"))


class Orchestra:
    """A Prefect server and a worker of our own, with their state below ``base``, on a free port."""

    def __init__(self, base):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.base, self.until = base, time.monotonic() + SECONDS
        self.shell = Shell(base / "home", ROOT)
        self.environment = self.shell.environment(
            **QUIET,
            PREFECT_HOME=str(base / "prefect"),
            PREFECT_API_URL=f"http://127.0.0.1:{self.port}/api",
            PREFECT_SERVER_UI_ENABLED="false",
            PREFECT_WORKER_QUERY_SECONDS="2",
            TIDEGATE_PROJECT=str(ROOT),
            PATH=f"{BIN}:{os.environ['PATH']}",  # the worker starts flows with the `python` it finds
        )
        self.started = []

    def start(self, *words):
        with (self.base / f"{words[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(BIN / "prefect"), *words],
                cwd=ROOT / "pipelines",
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        return process

    def server(self):
        process = self.start("server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        self.wait("the server", lambda: self.api("/health"))
        return process

    def worker(self):
        return self.start("worker", "start", "--pool", "tidegate", "--type", "process")

    def prefect(self, *words):
        done = subprocess.run(
            [str(BIN / "prefect"), "--no-prompt", *words],
            cwd=ROOT / "pipelines",
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=self.until - time.monotonic(),
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def api(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = Request(
            f"http://127.0.0.1:{self.port}/api{path}",
            data,
            {"Content-Type": "application/json"},
            method=method,
        )
        while True:
            try:
                with urlopen(request, timeout=30) as answer:
                    text = answer.read()
            except HTTPError as error:
                if error.code != 503 or time.monotonic() > self.until:  # busy: Prefect's own client waits too
                    raise
                time.sleep(0.5)
            else:
                return json.loads(text) if text else None

    def wait(self, what, look):
        while time.monotonic() < self.until:
            try:
                if found := look():
                    return found
            except (URLError, ConnectionError, TimeoutError):
                pass  # it is down, or on its way up
            time.sleep(0.2)
        logs = "\n".join(f"{file.name}: {file.read_text()[-2000:]}" for file in self.base.glob("*.log"))
        return pytest.fail(f"waited for {what} in vain; {logs}")

    def runs(self, deployment, *states):
        """Return the deployment's auto-scheduled runs in these states that were to start by now, oldest first."""
        wanted = {
            "deployment_id": {"any_": [deployment]},
            "state": {"type": {"any_": list(states)}},
            "expected_start_time": {"before_": datetime.now(UTC).isoformat()},
        }
        return self.api("/flow_runs/filter", {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_ASC"})

    def events(self):
        """Return what is in the ledger beyond its opening."""
        settings = load(ROOT, {"TIDEGATE_HOME": str(self.shell.home)})
        genesis = {
            EventType.LEDGER_OPENED, EventType.ACTOR_ADDED, EventType.CREDENTIAL_ISSUED, EventType.POLICY_ADOPTED
        }  # fmt: skip
        return [event for event in Tidegate(settings).ledger.events() if event.type not in genesis]

    def gated(self):
        """Return the datasets whose drops are through their gate, in the order of their names."""
        kinds = {EventType.BATCH_ACCEPTED, EventType.BATCH_REFUSED}
        return sorted(event.payload["dataset"] for event in self.events() if event.type in kinds)

    def work(self):
        """Return what was done, without when: every event but those that tell of slots."""
        return sorted(
            (str(event.type), event.actor, json.dumps(event.payload, sort_keys=True))
            for event in self.events()
            if event.type is not EventType.RUN_FINISHED
        )

    def finished(self):
        return [event.payload["slot"] for event in self.events() if event.type is EventType.RUN_FINISHED]

    def stop(self):
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()  # a worker whose server is gone has been seen to stay
                process.wait()


def deliver(dataset, landing):
    feed = load_file(ROOT / "pipelines" / "feed.py")
    feed.deliver([delivery for delivery in feed.calendar() if delivery.dataset == dataset], landing)


def undisturbed(base):
    """The same two drops, collected in process, where nobody is killed."""
    base.mkdir()
    twin = Orchestra(base)
    assert twin.shell.run("open").returncode == 0
    for dataset in ("airports", "planes"):
        deliver(dataset, twin.shell.home / "landing")
        twin.shell.json("run", "collect", "--as", "svc-ingest")
    return twin


@pytest.fixture
def orchestra(tmp_path):
    found = Orchestra(tmp_path)
    yield found
    found.stop()


@pytest.mark.slow
def test_scheduled_runs_arrive_count_once_and_converge_after_kill_9_of_worker_and_server(orchestra, tmp_path):
    chance, landing = random.Random(SEED), orchestra.shell.home / "landing"
    deliver("airports", landing)
    assert orchestra.shell.run("open").returncode == 0

    server = orchestra.server()
    orchestra.api("/work_pools/", {"name": "tidegate", "type": "process"})
    worker = orchestra.worker()
    orchestra.prefect("deploy", "--all")
    deployed = {each["name"]: each for each in orchestra.api("/deployments/filter", {})}
    arrived = {
        (name, each["schedule"]["cron"], each["schedule"]["timezone"])
        for name, deployment in deployed.items()
        for each in deployment["schedules"]
    }
    declared = PrefectSchedules(ROOT / "pipelines" / "prefect.yaml").all()
    assert arrived == {(schedule.name, schedule.cron, schedule.timezone) for schedule in declared}
    assert {"ingest", "train", "promote"} <= set(deployed), "without a schedule, on request"

    # A schedule that does not let us wait for the first of a month.
    collect, soon = deployed["collect"]["id"], datetime.now(UTC) + timedelta(seconds=8)
    often = {"interval": 20, "anchor_date": soon.replace(microsecond=0).isoformat()}
    orchestra.api(f"/deployments/{collect}/schedules", [{"schedule": often, "active": True}])

    def counted():
        """A completed run that is on record; one that found another under way completes as skipped, and is not."""
        slots = orchestra.finished()
        return [run for run in orchestra.runs(collect, "COMPLETED") if run["expected_start_time"] in slots]

    # A run is under way and its worker is killed: the run ends with it, and is made good for by another.
    orchestra.wait("the first run", lambda: orchestra.runs(collect, "RUNNING"))
    time.sleep(chance.uniform(0, 6))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    orchestra.worker()
    orchestra.wait("the first drop to be through its gate", lambda: orchestra.gated() == ["airports"])
    orchestra.wait("a run to count", counted)

    # Another drop comes; the server is killed while a run is under way. The run fails, and the next makes good for it.
    deliver("planes", landing)
    orchestra.wait("a run with both", lambda: orchestra.runs(collect, "RUNNING"))
    time.sleep(chance.uniform(0, 6))
    server.send_signal(signal.SIGKILL)
    server.wait()
    orchestra.server()
    orchestra.wait(
        "the second drop to be through its gate", lambda: orchestra.gated() == ["airports", "planes"]
    )
    before = len(orchestra.finished())
    orchestra.wait("another run to count", lambda: len(orchestra.finished()) > before)
    done = orchestra.wait("a run to count", counted)[-1]
    for each in orchestra.api(f"/deployments/{collect}/schedules"):
        orchestra.api(f"/deployments/{collect}/schedules/{each['id']}", {"active": False}, "PATCH")
    events = orchestra.events()
    slot = done["expected_start_time"]
    ours = next(event for event in events if event.payload.get("slot") == slot)
    assert {event.actor for event in events} == {"s-1"}, "svc-ingest, and nobody else"
    assert (ours.stream, ours.payload["outcome"] in {"done", "nothing"}) == ("schedule/collect", True)
    assert done["tags"] == ["auto-scheduled"]

    # The orchestrator executes the same run again.
    count = done["run_count"]
    again = {"state": {"type": "SCHEDULED", "name": "Scheduled"}, "force": True}
    orchestra.api(f"/flow_runs/{done['id']}/set_state", again)

    def repeated():
        run = orchestra.api(f"/flow_runs/{done['id']}")
        return run["run_count"] > count and run["state_type"] == "COMPLETED" and run

    assert orchestra.wait("the same run again", repeated)["expected_start_time"] == slot
    slots = orchestra.finished()
    assert slots.count(slot) == 1
    assert len(slots) == len(set(slots))
    assert orchestra.gated() == ["airports", "planes"], "each drop counts once, whoever was killed"

    orchestra.stop()
    orchestra.wait("every process to end", lambda: orchestra.shell.processes() == [])
    assert Tidegate(load(ROOT, {"TIDEGATE_HOME": str(orchestra.shell.home)})).ledger.verify() == ()
    assert orchestra.work() == undisturbed(tmp_path / "twin").work(), (
        "but for when, as if nobody had been killed"
    )
