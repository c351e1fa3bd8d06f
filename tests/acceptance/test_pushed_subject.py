"""Somebody is pushed, then erased; they are looked for everywhere, pushed again, and looked for again."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import redis

from tidegate.testing.harbour import write_harbour
from tidegate.testing.shell import BIN, Shell

ROOT = Path(__file__).parents[2]
JANUARY = {"TIDEGATE_NOW": "2013-02-01T06:00:00Z"}
NOW = {"TIDEGATE_NOW": "2013-02-01T09:30:00Z"}
LATER = {"TIDEGATE_NOW": "2013-02-01T10:30:00Z"}
SUBJECT = "Wilhelmine Quast"
#: What stands in her rows alone: who she is, and what only she said, in a good row and in one that is held back.
PLANTED = (SUBJECT, "remark-of-hers-7731", "remark-of-hers-8842")
COLUMNS = """
      - name: keeper
        logicalType: string
        classification: restricted
        customProperties: [{property: treatment, value: hash}, {property: subject, value: true}]
      - {name: remark, logicalType: string, classification: confidential}
"""
KEEPERS = """\
keeper = Entity(name="keeper", join_keys=["keeper"], value_type=ValueType.STRING)
keepers = FeatureView(
    name="keepers",
    entities=[keeper],
    ttl=None,
    schema=[Field(name="said", dtype=String)],
    source=PushSource(
        name="keepers_push",
        batch_source=FileSource(
            name="keepers_history",
            path=str(HOME / "features" / "keepers.parquet"),
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        ),
    ),
)
"""
SQL = """\
SELECT keeper, "at"::TIMESTAMPTZ AS event_timestamp, event_timestamp AS created_timestamp, remark AS said FROM tides
"""


@pytest.fixture(params=["sqlite", "redis"])
def online(request):
    """Return the address of a Redis, or nothing."""
    return request.getfixturevalue("redis_address") if request.param == "redis" else ""


@pytest.fixture
def shell(tmp_path, online):
    """Return a project of which January is online, with a view of keepers that takes pushes."""
    project = write_harbour(tmp_path / "harbour", ROOT, online, more=COLUMNS.removeprefix("\n"))
    definitions = project / "features" / "definitions.py"
    text = definitions.read_text().replace("import Float64", "import Float64, String")
    definitions.write_text(text + KEEPERS)
    (project / "features" / "sources" / "keepers.sql").write_text(SQL)
    shell = Shell(tmp_path / "home", project)
    drop = tmp_path / "tides-2013-01.csv"
    lines = [
        f"{station},2013-01-31T20:00:00Z,1,1,,{keeper},calm then"
        for station, keeper in (("ABC", "Bob"), ("BCD", "Cid"))
    ]
    drop.write_text("\n".join(["station,at,level,reading,note,keeper,remark", *lines, ""]))
    shell.json("ingest", "tides", str(drop), "--as", "svc-ingest", **JANUARY)
    shell.json("run", "materialize", "--as", "svc-features", **JANUARY)
    return shell


def row(hour, station, level, keeper, remark):
    at = f"2013-02-01T{hour:02}:00:00Z"
    return {
        "station": station, "at": at, "level": level, "reading": 1, "note": None, "keeper": keeper, "remark": remark,
    }  # fmt: skip


ROWS = (
    row(7, "ABC", 1.5, SUBJECT, PLANTED[1]), row(8, "CDE", 99, SUBJECT, PLANTED[2]),
    row(7, "BCD", 2.5, "Bob", "all calm"), row(8, "BCD", 99, "Bob", "a wave"),
)  # fmt: skip


def pushed(shell, *rows, **now):
    told = "".join(json.dumps(each) + "\n" for each in rows)
    return subprocess.run(
        [str(BIN / "tidegate"), "push", "tides", "--as", "svc-ingest"], cwd=shell.project, text=True, input=told,
        env=shell.environment(**(now or NOW)), capture_output=True, check=False,
    )  # fmt: skip


def found(shell, online, needles):
    """Return the needles that stand in any file, Parquet, database or key of Redis."""
    data = [online_rows(online)] if online else []
    for path in sorted(each for each in shell.home.rglob("*") if each.is_file()):
        data.append(path.read_bytes())
        if path.suffix == ".parquet":
            data.append(str(pq.read_table(path, partitioning=None).to_pylist()).encode())
        if data[-1].startswith(b"SQLite format 3"):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                data.append("\n".join(database.iterdump()).encode())
    return {needle for needle in needles if any(needle.encode() in each for each in data)}


def online_rows(address):
    server, _, prefix = address.partition("?prefix=")
    client = redis.Redis.from_url(server)
    told = [
        client.dump(key) if client.type(key) != b"hash" else str(client.hgetall(key)).encode()
        for key in client.scan_iter(f"{prefix}:*")
    ]
    client.close()
    return b"".join(told)


def masked(shell):
    """Return what the subject is called in what is kept."""
    rows = [
        each
        for path in (shell.home / "batches" / "tides").glob("*.parquet")
        for each in pq.read_table(path, partitioning=None).to_pylist()
    ]
    return next(each["keeper"] for each in rows if each["remark"] == PLANTED[1])


@pytest.mark.slow
def test_nothing_of_who_was_pushed_is_found_after_they_are_erased_and_pushed_again(shell, online):
    first = pushed(shell, *ROWS)
    assert first.returncode == 0, first.stderr
    assert "4 rows pushed, 2 accepted, 2 quarantined" in first.stdout
    hers = (*PLANTED, masked(shell))
    assert found(shell, online, hers) == set(hers[1:]), "the search can find what is there"

    words = ("subject", "erase", "tides", SUBJECT, "--reason", "Article 17", "--as", "ada")
    done = shell.json(*words, **NOW)
    assert (done["rows"], done["online"]) == (2, 1)
    assert found(shell, online, hers) == set()
    held = shell.json("quarantine", "tides", "--pushed", "--as", "aude", **NOW)
    assert [each["values"]["remark"] for each in held] == ["a wave"]

    again = pushed(shell, *ROWS)
    assert (again.returncode, "these bytes were recorded before" in again.stdout) == (0, True)
    other = pushed(shell, *ROWS[:3], row(9, "BCD", 3.5, "Bob", "calm again"))
    assert (other.returncode, "4 rows pushed, 2 accepted, 0 quarantined, 2 erased" in other.stdout) == (
        0,
        True,
    )
    alone = pushed(shell, ROWS[0])
    assert (alone.returncode, "whoever they are about was erased" in alone.stderr) == (1, True)
    assert found(shell, online, hers) == set()

    # A gauge's level says nothing of whom it is about: it goes with the next materialization, as an average does.
    shell.json("run", "materialize", "--as", "svc-features", **LATER)
    parity = shell.run("features", "parity", "--as", "svc-features", **LATER)
    assert parity.returncode == 0, parity.stdout
    drop = shell.project / "tides-2013-02-01.csv"
    lines = [",".join(str(each[name] or "") for name in each) for each in ROWS]
    drop.write_text("\n".join([",".join(ROWS[0]), *lines, ""]))
    told = shell.run("ingest", "tides", str(drop), "--as", "svc-ingest", TIDEGATE_NOW="2013-02-02T06:00:00Z")
    assert "4 rows in, 1 accepted, 1 quarantined, 2 erased" in told.stdout
    assert "of 2 rows pushed in 2 parts, 1 are in it as they were pushed" in told.stdout
    assert found(shell, online, hers) == set()
    assert found(shell, online, ["all calm"]), "nothing of others is lost"
    assert shell.json("audit", "verify", "--as", "aude", **LATER)["faults"] == []
    doctor = shell.run("doctor", "--as", "aude", **LATER)
    assert "no erased file is there" in doctor.stdout, doctor.stdout + doctor.stderr
