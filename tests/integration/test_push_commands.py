"""`tidegate push` as people and streams use it: real commands, real gate, real record, real Feast."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegate.testing.harbour import write_harbour
from tidegate.testing.shell import BIN, Shell
from tidegate.testing.tides import HEADER

ROOT = Path(__file__).parents[2]
JANUARY = "2013-02-01T06:00:00Z"
#: An hour after which each push comes.
NOW = {"TIDEGATE_NOW": "2013-02-01T07:30:00Z"}


def opened(folder: Path, online: str = "", **more: str) -> Shell:
    """Return a project of which January is accepted and online."""
    project = write_harbour(folder / "harbour", ROOT, online)
    shell = Shell(folder / "home", project)
    drop = folder / "tides-2013-01.csv"
    drop.write_text(
        "\n".join([HEADER, *(f"{name},2013-01-31T20:00:00Z,1,1," for name in ("ABC", "BCD")), ""])
    )
    shell.json("ingest", "tides", str(drop), "--as", "svc-ingest", TIDEGATE_NOW=JANUARY, **more)
    shell.json("run", "materialize", "--as", "svc-features", TIDEGATE_NOW=JANUARY, **more)
    return shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Shared: what one test pushes is older than what the next one does."""
    return opened(tmp_path_factory.mktemp("pushes"))


def row(station: str = "ABC", hour: int = 7, level: object = 2.5) -> dict[str, object]:
    return {
        "station": station,
        "at": f"2013-02-01T{hour:02}:00:00Z",
        "level": level,
        "reading": 1,
        "note": None,
    }


def written(shell: Shell, *rows: dict[str, object], name: str = "rows.jsonl") -> str:
    path = shell.project / name
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return str(path)


def push(shell: Shell, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return shell.run("push", "tides", *words, "--as", "svc-ingest", **{**NOW, **more})


def piped(shell: Shell, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Push what comes by standard input."""
    return subprocess.run(
        [str(BIN / "tidegate"), "push", "tides", *words, "--as", "svc-ingest"],
        cwd=shell.project,
        env=shell.environment(**NOW),
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
    )


def online(shell: Shell) -> dict[str, int]:
    """Return how many keys of the view are online, and the event of the last push that is."""
    with closing(sqlite3.connect(shell.home / "feast" / "o.db")) as store:
        ((count,),) = store.execute("SELECT count(*) FROM newest_harbour_gauge_hour").fetchall()
        ((pushed,),) = store.execute("SELECT pushed FROM tidegate_windows").fetchall()
    return {"keys": count, "pushed": pushed}


@pytest.mark.slow
def test_bad_input_is_one_sentence_with_exit_code_2_and_changes_nothing(shell: Shell) -> None:
    before = online(shell)
    for text, said in (
        ("", "got stdin without a row"),
        ('{"station": "ABC"\n', "got line 1 of stdin, which is no JSON object"),
        ('{"station": "ABC"}\n', "got no 'at', 'level', 'reading', 'note' on line 1 of stdin"),
        (json.dumps(row(level="high")), "got 'high' in `level` on line 1 of stdin, expected type number"),
        ("".join(json.dumps(row(f"A{n}")) + "\n" for n in range(51)), "more than 50 rows, expected 1 to 50"),
    ):
        done = piped(shell, text)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
        assert "Traceback" not in done.stderr
    unknown = shell.run("push", "nothing", written(shell, row()), "--as", "svc-ingest", **NOW)
    assert (unknown.returncode, "expected one under contract: tides" in unknown.stderr) == (2, True)
    denied = shell.run("push", "tides", written(shell, row()), "--as", "dana", **NOW)
    assert (denied.returncode, "A1" in denied.stderr) == (1, True)
    assert online(shell) == before
    contract = shell.project / "expectations" / "contracts" / "tides.yaml"
    promised = contract.read_text()
    contract.write_text(promised.replace("  - property: pushRows\n    value: [1, 50]\n", ""))
    unpushed = push(shell, written(shell, row()))
    contract.write_text(promised)
    assert (
        unpushed.returncode,
        "whose contract says how many rows one push may have" in unpushed.stderr,
    ) == (2, True)


@pytest.mark.slow
def test_a_stream_pushes_by_standard_input_and_in_columns(shell: Shell) -> None:
    for words in ((), ("-",)):
        done = piped(shell, json.dumps(row(hour=5 + len(words))) + "\n", *words)
        assert (done.returncode, "1 row pushed, 1 accepted" in done.stdout) == (0, True), done.stderr
    lines = [json.dumps(row(hour=6, level=level)) + "\n" for level in (1.5, 2.5, 99, 3.5)]
    streamed = piped(shell, "".join((*lines, "\n", lines[0], '{"station": 1')), "--each", "1", "--json")
    assert streamed.returncode == 2  # what cannot be read ends a stream, what a gate holds back does not
    told = [json.loads(line) for line in streamed.stdout.splitlines()[:5]]
    assert [each["accepted"] for each in told] == [1, 1, 0, 1, 1]
    assert (told[4]["event"], told[4]["fresh"]) == (told[0]["event"], False)
    assert "got line 1 of stdin from row 6, which is no JSON object" in streamed.stdout
    over = piped(shell, "".join(lines), "--each", "1")
    assert (over.returncode, "held back a push of tides whole" in over.stderr) == (1, True)
    rows = [{**row(hour=7), "at": None}]
    table = pa.Table.from_pylist(rows, pa.schema([
        ("station", pa.string()), ("at", pa.timestamp("us", "UTC")), ("level", pa.float64()),
        ("reading", pa.int64()), ("note", pa.string()),
    ]))  # fmt: skip
    pq.write_table(table, shell.project / "rows.parquet")
    done = push(shell, str(shell.project / "rows.parquet"))
    assert (done.returncode, "T03: 1" in done.stderr, "push:no-period: 1" in done.stderr) == (1, True, True)


@pytest.mark.slow
def test_a_push_is_served_told_reconciled_with_its_drop_and_sound_throughout(tmp_path: Path) -> None:
    shell = opened(tmp_path)
    file = written(shell, row(), row("CDE", level=99), row("EFG"))
    told = push(shell, file)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "tides 2013-02-01: passed; 3 rows pushed, 2 accepted, 1 quarantined" in told.stdout
    assert "online: 2 rows of gauge_hour" in told.stdout
    before = shell.json("log", "--as", "aude", **NOW)
    assert online(shell) == {"keys": 3, "pushed": before[-1]["sequence"]}

    again = push(shell, file, "--json")
    assert again.returncode == 0
    said = json.loads(again.stdout)
    assert (said["fresh"], said["online"], said["event"]) == (False, {}, before[-1]["sequence"])
    assert shell.json("log", "--as", "aude", **NOW) == before

    parity = shell.run("features", "parity", "--as", "svc-features", **NOW)
    assert parity.returncode == 0, parity.stdout
    held = shell.json("quarantine", "tides", "--pushed", "--as", "aude", **NOW)
    assert (held[-1]["reasons"], held[-1]["values"]["station"]) == (["T05"], "CDE")

    drop = shell.project / "tides-2013-02-01.csv"
    drop.write_text(f"{HEADER}\nABC,2013-02-01T07:00:00Z,2.5,1,\nCDE,2013-02-01T07:00:00Z,9,1,\n")
    later = {"TIDEGATE_NOW": "2013-02-02T06:00:00Z"}
    told = shell.run("ingest", "tides", str(drop), "--as", "svc-ingest", **later)
    assert (
        "of 2 rows pushed in 1 part, 1 are in it as they were pushed, 0 otherwise, 1 not at all"
        in told.stdout
    )
    late = push(shell, written(shell, row(hour=8)), **later)
    assert late.returncode == 1
    assert "nothing of its 1 row may go on (push:delivered: 1)" in late.stderr
    shell.json("run", "materialize", "--as", "svc-features", **later)
    assert online(shell) == {"keys": 3, "pushed": 0}  # EFG went with the push that its drop did not bear out
    assert shell.run("features", "parity", "--as", "svc-features", **later).returncode == 0
    assert shell.json("audit", "verify", "--as", "aude", **later)["faults"] == []


@pytest.mark.slow
def test_a_redis_that_is_away_ends_with_exit_code_3_and_the_same_push_completes(
    tmp_path: Path, redis_address: str
) -> None:
    there, away = {"SHOP_REDIS": redis_address}, {"SHOP_REDIS": "redis://127.0.0.1:1/0"}
    shell = opened(tmp_path, "${SHOP_REDIS}", **there)
    file = written(shell, row())
    gone = push(shell, file, **away)
    assert (gone.returncode, "got ConnectionError from Redis" in gone.stderr) == (3, True), gone.stderr
    taken = shell.json("log", "--as", "aude", **NOW, **there)[-1]
    assert taken["type"] == "push.accepted"
    done = push(shell, file, "--json", **there)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["fresh"], said["online"], said["event"]) == (False, {"gauge_hour": 1}, taken["sequence"])
    assert shell.run("features", "parity", "--as", "svc-features", **NOW, **there).returncode == 0
