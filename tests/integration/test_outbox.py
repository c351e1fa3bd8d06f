"""The outbox over real processes, a real database and a real receiver: once each, in order, and in nobody's way."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tidegate.adapters.clocks import SystemClock
from tidegate.adapters.sql_record import SqlLedger
from tidegate.adapters.system_entropy import SystemEntropy
from tidegate.domain.events import Draft, EventType
from tidegate.testing.shell import Shell
from tidegate.testing.stories import whole_story

ROOT = Path(__file__).parents[2]

#: A process that tells the log until there is nothing left to tell. Its arguments: address, log, locks, bound.
TELLER = """
import pathlib, sys
from types import SimpleNamespace
from tidegate.adapters.clocks import SystemClock
from tidegate.adapters.log_sink import LogSink
from tidegate.adapters.sql_record import SqlLedger
from tidegate.adapters.system_entropy import SystemEntropy
from tidegate.adapters.turns import FileTurns, PostgresTurns
from tidegate.application.outbox import Bounds, tell

url, log, locks = sys.argv[1:4]
turns = FileTurns(pathlib.Path(locks)) if url.startswith("sqlite") else PostgresTurns(url)
here = SimpleNamespace(
    clock=SystemClock(), ledger=SqlLedger(url, SystemClock(), SystemEntropy()), turns=turns,
    sinks=(LogSink("log", log),),
)
print("ready", flush=True)
sys.stdin.readline()
while True:
    (told,) = tell(here, Bounds(events=int(sys.argv[4]), seconds=60, attempts=1, patience=5))
    assert not told.error, told
    if not told.events and here.ledger.cursor("log") == here.ledger.head().sequence:
        break
"""


def opened(url):
    return SqlLedger(url, SystemClock(), SystemEntropy())


def logged(file):
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def start(url, tmp_path, bound=7):
    words = [sys.executable, "-c", TELLER, url, str(tmp_path / "log"), str(tmp_path / "locks"), str(bound)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline().strip() == b"ready", process.stderr.read()
    return process


def go(*processes):
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()


def test_two_processes_that_tell_at_once_tell_each_event_once_and_in_order(url, tmp_path):
    ledger = opened(url)
    whole_story(ledger)
    tellers = [start(url, tmp_path) for _ in range(2)]
    go(*tellers)
    for number in range(20):  # and somebody goes on writing meanwhile
        with ledger.transaction() as tx:
            payload = {"action": "x", "subject": {"n": number}, "reasons": []}
            tx.append(Draft(EventType.ACTION_REFUSED, "model/tides", "p-1", payload))
    for teller in tellers:
        _, err = teller.communicate(timeout=60)
        assert teller.returncode == 0, err.decode()
    told = [int(each["sequence"]) for each in logged(tmp_path / "log")]
    assert told == list(range(1, len(told) + 1))
    assert len(told) >= ledger.head().sequence - 20


def test_a_process_killed_while_telling_loses_nothing_and_repeats_at_most_its_batch(url, tmp_path):
    ledger = opened(url)
    whole_story(ledger)
    last = ledger.head().sequence
    for _ in range(3):
        teller = start(url, tmp_path, bound=50)
        before = len(logged(tmp_path / "log")) if (tmp_path / "log").exists() else 0
        go(teller)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and teller.poll() is None:
            if (tmp_path / "log").exists() and (tmp_path / "log").read_bytes().count(b"\n") >= before + 5:
                break
        teller.kill()
        teller.communicate()
    finisher = start(url, tmp_path)
    go(finisher)
    _, err = finisher.communicate(timeout=60)
    assert finisher.returncode == 0, err.decode()
    events = logged(tmp_path / "log")
    numbers = [int(each["sequence"]) for each in events]
    assert set(numbers) == set(range(1, last + 1)), "none lost"
    assert ledger.cursor("log") == last
    by_id = {}
    for each in events:
        assert by_id.setdefault(each["id"], each) == each, "told again as it was told before"
    first_told = list(dict.fromkeys(numbers))
    assert first_told == sorted(first_told), "nothing was told before what happened before it"


# ── the commands ──────────────────────────────────────────────────────────────────────────────────


class Receiver(BaseHTTPRequestHandler):
    """Answers with the server's ``answer``, after its ``delay``."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.heard.append(json.loads(body))
        time.sleep(self.server.delay)
        self.send_response(self.server.answer)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    server.heard, server.answer, server.delay = [], 204, 0
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def opened_team(tmp_path_factory):
    """A project whose profile tells a log and a webhook, with an open ledger that nobody was told of."""
    project = tmp_path_factory.mktemp("team") / "project"
    for folder in ("models", "infra"):
        shutil.copytree(ROOT / folder, project / folder)
    shutil.copy(ROOT / "pyproject.toml", project)
    profile = project / "infra" / "profiles" / "embedded.toml"
    text = profile.read_text()
    line = next(each for each in text.splitlines() if each.startswith("sinks = "))
    hook = '{ name = "pager", kind = "webhook", url = "${PAGER_URL}", secret = "${PAGER_SECRET}" }'
    profile.write_text(text.replace(line, line.removesuffix("]") + f", {hook}]"))
    shell = Shell(project.parent / "home", project)
    shell.json("open")
    return shell


@pytest.fixture
def team(opened_team, tmp_path):
    shutil.copytree(opened_team.home, tmp_path / "home")
    return Shell(tmp_path / "home", opened_team.project)


@pytest.fixture
def pager(receiver):
    secret = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
    return {"PAGER_URL": f"http://127.0.0.1:{receiver.server_address[1]}/", "PAGER_SECRET": secret}


def act(shell, name="zoe", who="ada", **environment):
    """Do something that is recorded and needs no tool."""
    return shell.run("user", "add", name, "--role", "approver", "--as", who, **environment)


def stands(shell, sink):
    """Where a sink stands, from the database itself: a command takes a second."""
    ledger = opened(f"sqlite:///{shell.home}/record.db")
    return ledger.delivery(sink)


def test_an_act_is_told_to_every_sink_at_its_end(team, receiver, pager):
    done = act(team, **pager)
    assert done.returncode == 0, done.stderr
    assert "told" not in done.stderr
    assert receiver.heard == logged(team.home / "events.jsonl")
    assert [int(each["sequence"]) for each in receiver.heard] == list(range(1, len(receiver.heard) + 1))
    assert receiver.heard[-2]["type"] == "tidegate.actor.added"
    assert "zoe" not in json.dumps(receiver.heard)
    at = {each["sink"]: each for each in team.json("outbox")}
    fine = {"behind": 0, "failures": 0, "error": "", "retry_at": ""}
    assert at["pager"] == {"sink": "pager", "sequence": len(receiver.heard), **fine}
    assert list(at) == ["registry", "log", "pager"]


def test_a_refusal_is_told_too(team, receiver, pager):
    done = act(team, who="dana", **pager)
    assert done.returncode == 1
    assert receiver.heard[-1]["type"] == "tidegate.action.refused"


def test_while_a_sink_is_down_the_act_stands_and_is_told_later(team, receiver, pager):
    receiver.answer = 503
    done = act(team, **pager)
    assert done.returncode == 0
    assert (
        "recorded, but not told to pager yet: event 1: got status 503 from 127.0.0.1, expected 2xx"
        in done.stderr
    )
    assert (stands(team, "pager").sequence, stands(team, "pager").failures) == (0, 1)
    assert stands(team, "log").sequence == len(logged(team.home / "events.jsonl"))
    heard = len(receiver.heard)
    again = act(team, "yara", **pager)
    assert again.returncode == 0
    assert "pager" not in again.stderr, "it is left alone for a while, and that is no news"
    assert len(receiver.heard) == heard
    receiver.answer, receiver.heard[:] = 204, []
    drained = team.run("outbox", "drain", "pager", "--as", "otto", **pager)
    assert drained.returncode == 0, drained.stderr
    assert [each["sequence"] for each in receiver.heard] == [
        each["sequence"] for each in logged(team.home / "events.jsonl")
    ]


def test_a_sink_that_hangs_delays_a_command_by_seconds_once_and_then_not_at_all(team, receiver, pager):
    begun = time.monotonic()
    act(team, **pager)
    usual = time.monotonic() - begun
    receiver.delay = 30
    begun = time.monotonic()
    done = act(team, "yara", **pager)
    assert done.returncode == 0
    assert time.monotonic() - begun < usual + 6
    assert "within 2 seconds" in done.stderr
    begun = time.monotonic()
    assert act(team, "xeno", **pager).returncode == 0
    assert time.monotonic() - begun < usual + 2


def test_a_sink_without_its_variables_is_one_that_cannot_be_told(team):
    done = act(team)
    assert done.returncode == 0
    assert "not told to pager yet: event 1: got no address for the webhook pager" in done.stderr
    assert stands(team, "pager").sequence == 0
    assert stands(team, "log").sequence == len(logged(team.home / "events.jsonl")) > 0


def test_draining_a_sink_that_is_down_fails_as_a_dependency_does(team, receiver, pager):
    receiver.answer = 500
    done = team.run("outbox", "drain", "--as", "otto", **pager)
    assert done.returncode == 3
    assert "pager was not told all: event 1: got status 500" in done.stderr
    assert len(receiver.heard) == 3, "it was tried three times"


def test_a_sink_is_told_again_from_where_an_operator_says(team, receiver, pager):
    act(team, **pager)
    count, before = len(receiver.heard), receiver.heard[:]
    done = team.run("outbox", "replay", "pager", "--from", str(count - 2), "--as", "otto", **pager)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"pager is told again from event {count - 2} on\n"
    assert receiver.heard[count:] == before[-3:], "at once, at the command's end"
    assert stands(team, "pager").sequence == count


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ["replay", "fax", "--from", "1", "--as", "otto"],
            2,
            "got the sink `fax`, expected one of: log, pager",
        ),
        (["replay", "registry", "--from", "1", "--as", "otto"], 2, "tidegate reconcile"),
        (
            ["replay", "log", "--from", "9999", "--as", "otto"],
            2,
            "got --from 9999, expected an event that log was told",
        ),
        (
            ["replay", "log", "--from", "1", "--as", "dana"],
            1,
            "holds no role that permits `outbox:sink:replay`",
        ),
        (["replay", "log", "--from", "one", "--as", "otto"], 2, "Invalid value for '--from'"),
        (["replay", "log", "--as", "otto"], 2, "--from"),
        (["drain", "fax", "--as", "otto"], 2, "got the sink `fax`"),
        (["drain"], 2, "got nobody to act as"),
    ],
)
def test_bad_input_is_one_sentence_and_moves_no_cursor(team, words, code, said):
    ledger = opened(f"sqlite:///{team.home}/record.db")
    ledger.advance("log", before := ledger.head().sequence)
    done = team.run("outbox", *words)
    assert done.returncode == code
    assert said in " ".join((done.stdout + done.stderr).split())
    assert stands(team, "log").sequence >= before


def test_status_says_that_a_sink_was_not_told_and_is_silent_of_those_that_were(team, receiver, pager):
    act(team, **pager)
    assert "not told" not in team.run("status").stdout
    receiver.answer = 503
    act(team, "yara", **pager)
    end = len(logged(team.home / "events.jsonl"))
    wanted = f"not told to pager yet: 2 events; event {end - 1}: got status 503 from 127.0.0.1, expected 2xx"
    assert wanted in team.run("status").stdout
    at = {each["sink"]: each["behind"] for each in team.json("status")["sinks"]}
    assert at["log"] == 0
    assert at["pager"] == 2
