"""A Prefect server and a worker of our own, for tests that kill them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tidegate.bootstrap import QUIET, Tidegate
from tidegate.domain.events import Event, EventType
from tidegate.settings import load
from tidegate.testing.shell import BIN, Shell

POOL = "tidegate"
_OPENING = {
    EventType.LEDGER_OPENED, EventType.ACTOR_ADDED, EventType.CREDENTIAL_ISSUED, EventType.POLICY_ADOPTED
}  # fmt: skip
_BUSY = 503
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

T = TypeVar("T")


class Orchestra:
    """A server and a worker with their state below ``base``, on a free port; all ends within ``seconds``."""

    def __init__(self, base: Path, project: Path, seconds: float) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.base, self.project, self.until = base, project, time.monotonic() + seconds
        self.shell = Shell(base / "home", project)
        (base / "tmp").mkdir(parents=True)
        self.environment = self.shell.environment(
            **QUIET,
            PREFECT_HOME=str(base / "prefect"),
            PREFECT_API_URL=f"http://127.0.0.1:{self.port}/api",
            PREFECT_SERVER_UI_ENABLED="false",
            PREFECT_WORKER_QUERY_SECONDS="2",
            TIDEGATE_PROJECT=str(project),
            TMPDIR=str(base / "tmp"),  # a killed worker leaves its working folders
            PATH=f"{BIN}:{os.environ['PATH']}",  # the worker starts flows with the `python` it finds
        )
        self.deployments: dict[str, dict[str, Any]] = {}
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    # ── server and worker ─────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Start both, and deploy everything that ``prefect.yaml`` declares."""
        self.start("server")
        self.api("/work_pools/", {"name": POOL, "type": "process"})
        self.start("worker")
        self.prefect("deploy", "--all")
        self.deployments = {each["name"]: each for each in self.api("/deployments/filter", {})}

    def start(self, name: str) -> None:
        """Start ``server`` or ``worker``; return when the server answers."""
        words = {
            "server": ["server", "start", "--host", "127.0.0.1", "--port", str(self.port)],
            "worker": ["worker", "start", "--pool", POOL, "--type", "process"],
        }[name]
        with (self.base / f"{name}.log").open("ab") as log:
            self._started[name] = subprocess.Popen(
                [str(BIN / "prefect"), *words],
                cwd=self.project / "pipelines",
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        if name == "server":
            self.wait("the server", lambda: self.api("/health"))

    def kill(self, *names: str) -> None:
        """Kill these with SIGKILL at the same instant."""
        for name in names:
            self._started[name].send_signal(signal.SIGKILL)
        for name in names:
            self._started[name].wait()

    def lives(self, name: str) -> bool:
        """Say whether it still runs."""
        return self._started[name].poll() is None

    def stop(self) -> None:
        """End both, the worker first."""
        processes = [self._started[name] for name in ("worker", "server") if name in self._started]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()  # a worker whose server is gone has been seen to stay
                process.wait()

    def prefect(self, *words: str) -> None:
        """Run a command of Prefect's that must succeed."""
        done = subprocess.run(
            [str(BIN / "prefect"), "--no-prompt", *words],
            cwd=self.project / "pipelines",
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=self.until - time.monotonic(),
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def api(self, path: str, body: object = None, method: str | None = None) -> Any:
        """Call the server."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(  # our own loopback address
            f"http://127.0.0.1:{self.port}/api{path}",
            data,
            {"Content-Type": "application/json"},
            method=method,
        )
        while True:
            try:
                with urlopen(request, timeout=30) as answer:  # noqa: S310  # the same
                    text = answer.read()
            except HTTPError as error:
                if error.code != _BUSY or time.monotonic() > self.until:  # Prefect's own client waits too
                    raise
                time.sleep(0.5)
            else:
                return json.loads(text) if text else None

    def wait(self, what: str, look: Callable[[], T]) -> T:
        """Look until something is found, and return it."""
        while time.monotonic() < self.until:
            try:
                if found := look():
                    return found
            except (URLError, ConnectionError, TimeoutError):
                pass  # it is down, or on its way up
            time.sleep(0.2)
        logs = "\n".join(f"{file.name}: {file.read_text()[-2000:]}" for file in self.base.glob("*.log"))
        raise AssertionError(f"waited for {what} in vain; {logs}")

    # ── runs ──────────────────────────────────────────────────────────────────────────────────────

    def ask(self, deployment: str, slot: str, **environment: str) -> str:
        """Make a run for a slot, as Prefect's scheduler makes it, and return its id."""
        details = {"type": "SCHEDULED", "state_details": {"scheduled_time": slot}}
        wanted = {
            "state": details,
            "tags": ["auto-scheduled"],
            "job_variables": {"env": environment},
        }
        made = self.api(f"/deployments/{self.deployments[deployment]['id']}/create_flow_run", wanted)
        return str(made["id"])

    def ended(self, run: str) -> bool:
        """Say whether a run came to an end, of whatever kind."""
        return self.api(f"/flow_runs/{run}")["state_type"] in _FINAL

    def runs(self, deployment: str, *states: str) -> list[dict[str, Any]]:
        """Return the deployment's auto-scheduled runs in these states that were to start by now, oldest first."""
        wanted = {
            "deployment_id": {"any_": [self.deployments[deployment]["id"]]},
            "state": {"type": {"any_": list(states)}},
            "expected_start_time": {"before_": datetime.now(UTC).isoformat()},
        }
        body = {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_ASC"}
        return list(self.api("/flow_runs/filter", body))

    def rest(self, *names: str) -> None:
        """Switch off the schedules of these deployments; without a name, all of them."""
        for name in names or self.deployments:
            path = f"/deployments/{self.deployments[name]['id']}/schedules"
            for each in self.api(path):
                self.api(f"{path}/{each['id']}", {"active": False}, "PATCH")

    def flows(self) -> set[int]:
        """Return the numbers of the processes that run flows now."""
        return {
            number
            for number, words in self.shell.running().items()
            if "_engine" in words or "prefect.engine" in words or "_workspace" in words
        }

    # ── the ledger ────────────────────────────────────────────────────────────────────────────────

    def events(self) -> list[Event]:
        """Return what is in the ledger beyond its opening."""
        settings = load(self.project, {"TIDEGATE_HOME": str(self.shell.home)})
        return [event for event in Tidegate(settings).ledger.events() if event.type not in _OPENING]

    def finished(self) -> list[str]:
        """Return the slots that are on record."""
        return [event.payload["slot"] for event in self.events() if event.type is EventType.RUN_FINISHED]
