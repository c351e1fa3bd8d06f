"""The Prefect sink against a real Prefect server: what happened here is an event there, once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from tidegate.adapters.prefect_sink import PrefectSink, as_prefect
from tidegate.bootstrap import QUIET
from tidegate.testing.contracts.sinks import told

pytestmark = pytest.mark.slow
SECONDS = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server of our own, as a team runs one: its services persist what comes in."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        **QUIET,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_ENABLED": "false",
        # The events told here occurred years ago: the server's hourly clearing would take them from under us.
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": str(timedelta(days=36500)),
    }
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "prefect"), "server", "start", "--port", str(port)],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}/api"
    try:
        wait(lambda: asked(f"{url}/health"), home / "server.log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def asked(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"content-type": "application/json"}), timeout=30) as answer:
        return json.loads(answer.read())


def wait(look, log=None):
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            if found := look():
                return found
        except (URLError, ConnectionError, TimeoutError):
            pass  # on its way up
        time.sleep(0.2)
    return pytest.fail(f"waited in vain; {log.read_text()[-2000:] if log else look}")


def kept(url, *events):
    """What the server has of these events, in the order in which they occurred."""
    wanted = {
        "filter": {
            "occurred": {"since": "2019-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z"},
            "id": {"id": [as_prefect(each)["id"] for each in events]},
            "order": "ASC",
        }
    }
    return asked(f"{url}/events/filter", wanted)["events"]


def test_events_are_there_once_however_often_they_are_told(server):
    events = told()[:20]
    sink = PrefectSink("flows", server)
    for event in (*events, *events[:5]):
        sink.deliver(event, 15.0)
    found = wait(lambda: (seen := kept(server, *events)) and len(seen) == len(events) and seen)
    assert [each["payload"] for each in found] == events
    first = found[1]
    assert (first["event"], first["resource"]["prefect.resource.id"]) == (
        "tidegate.actor.added",
        "tidegate.actors",
    )
    # Whatever the server did with the repeated ones, it has done it once this one is there.
    last = told()[20]
    sink.deliver(last, 15.0)
    wait(lambda: kept(server, last))
    assert len(kept(server, *events)) == len(events)


def test_what_the_server_cannot_take_is_said_and_kept(server):
    from tidegate.domain.errors import DependencyFailed

    sink = PrefectSink("flows", server)
    with pytest.raises(DependencyFailed) as failure:
        sink.deliver({**told()[0], "time": "no time at all"}, 15.0)
    assert failure.value.sentence == "got status 422 from 127.0.0.1, expected 2xx"
