"""A writer that is killed halfway: its part is never read, and is swept once it is surely nobody's."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.adapters.ed25519_signer import Ed25519Signer
from tidegate.adapters.mlflow_registry import MlflowRegistry
from tidegate.adapters.shared.files import DEAD_AFTER, partials, sweep, write_whole
from tidegate.application.ports import Registry
from tidegate.testing.shell import Shell

ROOT = Path(__file__).parents[2]
#: Runs the writer and is killed when it has written its bytes, before the file gets its name.
KILLED = """
import os, signal, sys
from pathlib import Path
{first}
os.{call} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
{write}
"""


def killed(write, call="fsync", first=""):
    """Run ``write`` and kill it at its first ``os.CALL``."""
    code = KILLED.format(write=write, call=call, first=first)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def age(path, by=DEAD_AFTER):
    """Make a file look ``by`` older, and a minute."""
    moment = path.stat().st_mtime - by.total_seconds() - 60
    os.utime(path, (moment, moment))


def whole(path, body=b"all of it"):
    killed(
        f"write_whole(Path({str(path)!r}), {body!r})", first="from tidegate.adapters.shared.files import *"
    )


def test_a_killed_writer_leaves_the_file_as_it_was_and_a_part_that_nobody_reads(tmp_path):
    path = tmp_path / "frames" / "month.parquet"
    write_whole(path, b"as it was")
    whole(path)
    assert path.read_bytes() == b"as it was"
    (part,) = partials(tmp_path)
    assert part.name.startswith(".month.parquet.")
    assert part.name.endswith(".part")
    assert write_whole(path, b"all of it").read_bytes() == b"all of it"


def test_a_part_is_swept_an_hour_later_and_whatever_is_whole_stays(tmp_path):
    path, now = tmp_path / "below" / "month.parquet", datetime.now(UTC)
    whole(path)
    write_whole(path, b"all of it")
    for name in ("kept.part", ".hidden", ".part"):
        write_whole(tmp_path / name, b"not ours")
        age(tmp_path / name)
    (part,) = partials(tmp_path)
    age(path)
    assert sweep(tmp_path, now) == (), "its writer may be alive"
    age(part)
    assert sweep(tmp_path, now) == (part,)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        ".hidden", ".part", "kept.part", "month.parquet"
    ]  # fmt: skip
    assert sweep(tmp_path, now) == ()


def test_a_key_that_was_half_made_is_no_key(tmp_path):
    make = f"Ed25519Signer(Path({str(tmp_path / 'ledger.pem')!r})).public_key"
    killed(make, first="from tidegate.adapters.ed25519_signer import Ed25519Signer")
    assert not (tmp_path / "ledger.pem").exists()
    assert len(partials(tmp_path)) == 1
    assert Ed25519Signer(tmp_path / "ledger.pem").public_key.startswith("-----BEGIN PUBLIC KEY-----")


@pytest.mark.filterwarnings("ignore:The ``noload``")
def test_a_registry_that_was_half_made_is_no_registry(tmp_path):
    store = f"MlflowStore('sqlite:///{tmp_path}/mlflow.db', '{tmp_path}/artifacts')._create"
    first = "from tidegate.adapters.mlflow_registry.client import MlflowStore; import mlflow"
    killed(f"{store}(Path({str(tmp_path / 'mlflow.db')!r}))", call="replace", first=first)
    assert not (tmp_path / "mlflow.db").exists()
    assert len(partials(tmp_path)) == 1
    registry: Registry = MlflowRegistry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts")
    assert registry.project("nobody", {}) == ()
    for left in partials(tmp_path):
        age(left)
    assert len(sweep(tmp_path, datetime.now(UTC))) == 1


def test_an_account_is_not_named_by_half_a_token(tmp_path):
    shell = Shell(tmp_path / "home", ROOT)
    assert shell.run("open").returncode == 0
    before = shell.json("user", "list")
    whole(shell.home / "tokens" / "dana", b"half")
    assert len(partials(shell.home)) == 1
    assert shell.json("user", "list") == before
    unknown = shell.run("user", "add", "eve", "--as", "nobody")
    assert unknown.returncode != 0
    assert ".part" not in unknown.stdout + unknown.stderr


def test_doctor_tells_of_parts_and_removes_the_old_ones(tmp_path):
    shell = Shell(tmp_path / "home", ROOT)
    assert shell.run("open").returncode == 0

    def told():
        (found,) = [each for each in shell.json("doctor") if each["what"] == "files"]
        assert found["ok"]
        return found["sentence"]

    assert told() == "none is half-written"
    whole(shell.home / "frames" / "month.parquet")
    assert told() == "none is half-written; 1 being written, or removed in an hour"
    age(*partials(shell.home))
    assert told() == "removed 1 that killed commands had left half-written"
    assert partials(shell.home) == []


@pytest.mark.slow
def test_every_flow_sweeps_first(tmp_path):
    shell = Shell(tmp_path / "home", ROOT)
    assert shell.run("open").returncode == 0
    for name in ("old", "young"):
        whole(shell.home / "frames" / name)
    age(next(path for path in partials(shell.home) if path.name.startswith(".old.")))
    shell.json("run", "collect", "--as", "svc-ingest")
    assert [path.name.split(".")[1] for path in partials(shell.home)] == ["young"]
