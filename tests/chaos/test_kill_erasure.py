"""kill -9 around every step of an erasure: done again, nothing of the subject is there and nothing else is lost."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tidegate.adapters.sql_record import ledger as sql_ledger
from tidegate.entrypoints.cli.app import app
from tidegate.testing.chaos import mortal
from tidegate.testing.harbour import write_project
from tidegate.testing.shell import Shell
from tidegate.testing.tides import HEADER

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FORK = multiprocessing.get_context("fork")
NOW = {"TIDEGATE_NOW": "2013-02-01T06:00:00Z"}
SUBJECT = "Wilhelmine Quast"
ERASE = ("subject", "erase", "tides", SUBJECT, "--reason", "Article 17", "--as", "ada")
LINES = (
    f"ABC,2013-01-01T00:00:00Z,1,1,{SUBJECT}",
    f"ABC,2013-01-01T01:00:00Z,99,1,{SUBJECT}",
    "ABC,2013-01-01T02:00:00Z,1,1,Bob",
    "ABC,2013-01-01T03:00:00Z,99,1,Bob",
)


@pytest.fixture
def ready(tmp_path):
    """A home to which a drop came, and its project: the note says whom a row is about."""
    project = write_project(tmp_path / "harbour", ROOT, hours=9000)
    contract, note = project / "expectations" / "contracts" / "tides.yaml", "      - name: note\n"
    marked = "        customProperties: [{property: subject, value: true}]\n"
    contract.write_text(contract.read_text().replace(note, note + marked))
    drop = tmp_path / "tides-2013-01.csv"
    drop.write_text("\n".join([HEADER, *LINES, ""]))
    shell = Shell(tmp_path / "ready", project)
    shell.json("ingest", "tides", str(drop), "--as", "svc-ingest", **NOW)
    return shell


def erased(shell, step):
    """Erase in a process of its own that is killed around its acts on the outside: before one, or after it."""
    os.chdir(shell.project)
    os.environ.update(shell.environment(**NOW))
    counted = mortal(step)
    Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)
    sql_ledger.SqlLedger.transaction = counted(sql_ledger.SqlLedger.transaction)
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - the process ends
    app([*ERASE], standalone_mode=False)
    os._exit(0)


def printed(shell, *commands):
    """Run commands in a process of their own that has imported everything; return what each printed as JSON."""
    ours, theirs = FORK.Pipe(duplex=False)
    child = FORK.Process(target=run, args=(shell, commands, theirs))
    child.start()
    found = [json.loads(ours.recv()) for _ in commands]
    child.join(120)
    return found


def run(shell, commands, told):
    os.chdir(shell.project)
    os.environ.update(shell.environment(**NOW))
    for words in commands:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            app([*words, "--json"], standalone_mode=False)
        told.send(said.getvalue())


def bytes_below(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def rows_of(home):
    """Return the names of batches and held-back files: each is what is in it. What is half-written has none yet."""
    return sorted(
        path.name
        for folder in ("batches", "quarantine")
        for path in (home / folder).rglob("[0-9a-f]*.*")
        if path.is_file()
    )


def test_killed_around_any_step_and_done_again_comes_to_the_same(ready, tmp_path):
    calm = Shell(tmp_path / "calm", ready.project)
    shutil.copytree(ready.home, calm.home)
    calm.json(*ERASE, **NOW)
    step, exitcode, before, after = 0, None, 0, 0
    while exitcode != 0:
        shaken = Shell(tmp_path / f"shaken-{step}", ready.project)
        shutil.copytree(ready.home, shaken.home)
        child = FORK.Process(target=erased, args=(shaken, step))
        child.start()
        child.join(120)
        exitcode = child.exitcode
        assert exitcode in (0, -signal.SIGKILL)
        words = (("log",), ERASE, ("quarantine", "tides"), ("log",), ("audit", "verify"))
        left, _, (kept,), log, verified = printed(shaken, *words)
        done = left[-1]["type"] == "rows.erased"
        before, after = before + (not done), after + done
        assert SUBJECT.encode() not in bytes_below(shaken.home)
        assert rows_of(shaken.home) == rows_of(calm.home)
        assert (kept["row"], kept["values"]["note"]) == (3, "Bob")
        assert [each["type"] for each in log].count("rows.erased") == 1
        assert verified["faults"] == []
        shutil.rmtree(shaken.home)
        step += 1
    assert step > 8  # there were that many points to be killed at
    assert before > 2  # some before the event was there
    assert after > 2  # and some after it
