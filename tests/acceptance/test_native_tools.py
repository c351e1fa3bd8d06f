"""Each tool works on its own folder without Tidegate."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tidegate.entrypoints.flow_server import FlowServer

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

FLOWS = ["ingest", "materialize", "monitor", "promote", "score", "train"]


@pytest.mark.slow
def test_prefect_deploys_every_flow_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    server = FlowServer(tmp_path / "prefect")
    try:
        server.wait()
        environment = {**os.environ, "PREFECT_API_URL": server.url, "TIDEGATE_PROJECT": str(ROOT)}

        def prefect(*words):
            done = subprocess.run(
                [str(BIN / "prefect"), "--no-prompt", *words],
                cwd=ROOT / "pipelines",
                env=environment,
                capture_output=True,
                text=True,
                timeout=240,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        prefect("work-pool", "create", "tidegate", "--type", "process")
        prefect("deploy", "--all")
        listed = prefect("deployment", "ls")
    finally:
        server.stop()
    assert all(f"{flow}/" in listed for flow in FLOWS)


@pytest.mark.slow
def test_the_flow_server_ends_with_its_parent(tmp_path):
    program = (
        "import os, sys, pathlib; from tidegate.entrypoints.flow_server import FlowServer; "
        "server = FlowServer(pathlib.Path(sys.argv[1])); print(server._process.pid, flush=True); "
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    child = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{child}").exists():
            return
        state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the server outlived its parent by ten seconds")
