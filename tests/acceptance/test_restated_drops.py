"""Drops out of order, twice, for a month superseded since, in a lower or a forged revision: on the real thing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.application.collect import collect
from tidegate.application.features import accepted
from tidegate.application.ingest import ingest
from tidegate.application.revisions import in_force
from tidegate.bootstrap import Tidegate
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.state import BatchRow
from tidegate.settings import load
from tidegate.testing.harbour import write_project
from tidegate.testing.shell import Shell
from tidegate.testing.tides import HEADER

ROOT = Path(__file__).parents[2]
NOW = "2013-04-01T06:00:00Z"
Open = Callable[[str], Tidegate]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one dataset, which may come a year late."""
    folder = write_project(tmp_path_factory.mktemp("harbour"), ROOT, hours=9000)
    shutil.copy(ROOT / "pipelines" / "collect.py", folder / "pipelines")
    return folder


@pytest.fixture
def at(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open a platform on one home, at a moment."""
    home = tmp_path / "home"
    for name, value in {"TIDEGATE_HOME": home, "PREFECT_HOME": home / "prefect"}.items():
        monkeypatch.setenv(name, str(value))
    return lambda now: Tidegate(load(project, {"TIDEGATE_HOME": str(home), "TIDEGATE_NOW": now}))


def lands(folder: Path, name: str, level: float, month: str = "01", note: str = "") -> Path:
    """Write a drop of three rows, the last of them out of bounds."""
    levels = (level, level + 1, 99)
    lines = [f"ABC,2013-{month}-01T0{hour}:00:00Z,{each},1,{note}" for hour, each in enumerate(levels)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([HEADER, *lines, ""]))
    return folder / name


def levels(here: Tidegate) -> list[float]:
    import pyarrow.parquet as pq

    files, _ = accepted(here, here.ledger.state(), None)
    return sorted(each for path in files["tides"] for each in pq.read_table(path).column("level").to_pylist())


def test_whatever_order_drops_come_in_what_counts_is_the_highest_revision_of_each_month(
    at: Open, tmp_path: Path
) -> None:
    here = at(NOW)
    who = here.act("svc-ingest")
    folder = tmp_path / "drops"

    def feed(path: Path) -> BatchRow:
        return ingest(here, who, "tides", path)

    march = feed(lands(folder, "tides-2013-03.csv", 3, "03"))
    feed(lands(folder, "tides-2013-01.csv", 1))
    feed(lands(folder, "tides-2013-02.csv", 2, "02"))
    assert levels(here) == [1, 2, 2, 3, 3, 4]
    path = folder / "tides-2013-03.csv"
    assert feed(path) == march
    restated = feed(lands(folder, "tides-2013-03.r1.csv", 5, "03"))
    assert (restated.supersedes, restated.quarantined) == (march.batch, 1)
    assert levels(here) == [1, 2, 2, 3, 5, 6]
    assert feed(path).superseded_by == restated.batch
    before = len(list(here.ledger.events()))
    turned = {
        "tides-2013-03.csv": "superseded-drop",  # other bytes than as first delivered
        "late-2013-03.r1.csv": "period-taken",
        "tides-2013-01.r-1.csv": "bad-revision",
        "tides-2013-01.r999999999999.csv": "bad-revision",
        "tides-2013-01.r01.csv": "bad-revision",
    }
    for number, (name, code) in enumerate(turned.items()):
        drop = lands(folder, name, 7 + number, "03")
        for _ in range(2):
            with pytest.raises(BadInput) as caught:
                feed(drop)
            assert (caught.value.code, caught.value.exit_code) == (code, 2)
    events = list(here.ledger.events())[before:]
    assert [(event.type, event.payload["code"]) for event in events] == [
        (EventType.DROP_REFUSED, code) for code in turned.values()
    ]
    assert levels(here) == [1, 2, 2, 3, 5, 6]
    assert here.ledger.verify() == ()
    for row in here.ledger.state().select(BatchRow):  # nothing was overwritten
        assert here.batches.path("tides", row.batch).is_file()


def test_what_landed_is_collected_once_and_a_clock_set_back_hides_none_of_it(
    at: Open, tmp_path: Path
) -> None:
    landing = tmp_path / "landing"
    lands(landing / "tides", "tides-2013-02.csv", 2, "02")
    lands(landing / "tides", "tides-2013-01.r1.csv", 5)
    lands(landing / "tides", "tides-2013-01.csv", 1)
    lands(landing / "tides", ".part-tides-2013-03.csv", 3, "03")
    (landing / "tides" / "tides-2012-12.csv").write_text("no such columns\n1\n")
    for now, fresh in ((NOW, 3), ("2013-03-01T00:00:00Z", 0)):
        here = at(now)
        found = collect(here, here.act("svc-ingest"), landing)
        assert [(each.name, each.code) for each in found] == [
            ("tides-2012-12.csv", "columns"),
            ("tides-2013-01.csv", ""),
            ("tides-2013-01.r1.csv", ""),
            ("tides-2013-02.csv", ""),
        ]
        assert sum(each.fresh for each in found) == fresh
        assert levels(here) == [2, 3, 5, 6]
        assert [row.revision for row in in_force(here.ledger.state())] == [1, 0]


def test_the_commands_tell_what_is_restated_and_show_what_is_in_force(project: Path, tmp_path: Path) -> None:
    shell, landing = Shell(tmp_path / "home", project), tmp_path / "home" / "landing" / "tides"

    def run(*words: str) -> tuple[int, str]:
        done = shell.run(*words, TIDEGATE_NOW=NOW)
        return done.returncode, done.stdout + done.stderr

    first = lands(landing, "tides-2013-01.csv", 1)
    (told,) = shell.json("run", "collect", "--as", "svc-ingest", TIDEGATE_NOW=NOW)
    assert (told["drop"], told["fresh"], told["verdict"], told["accepted"]) == (first.name, True, "passed", 2)
    again = lands(landing, "tides-2013-01.r1.csv", 2)
    code, said = run("ingest", "tides", str(again), "--as", "svc-ingest")
    assert code == 0
    assert (
        "tides 2013-01 revision 1: passed; 3 rows in, 2 accepted, 1 quarantined\n  it restates 2013-01: "
        in said
    )
    assert "which nothing was trained on" in said
    code, said = run("ingest", "tides", str(first), "--as", "svc-ingest")
    assert code == 0
    assert "superseded since by" in said
    assert "nothing changed" in said
    code, said = run("ingest", "tides", str(lands(tmp_path, "tides-2013-01.csv", 3)), "--as", "svc-ingest")
    assert code == 2
    assert (
        "not usable: got tides 2013-01 in revision 0 with other bytes than accepted, expected a revision above 1"
        in said
    )
    assert "name it tides-2013-01.r2.csv" in said
    code, said = run("quarantine", "tides", "--as", "aude")
    assert code == 0
    assert "1 row of tides in quarantine\nnot shown: 1 of tides 2013-01, superseded since" in said
    held = shell.json("quarantine", "tides", "--as", "aude", TIDEGATE_NOW=NOW)
    assert [(item["revision"], item["row"]) for item in held] == [(1, 2)]
    mine, other = tmp_path / "held.csv", tmp_path / "other.jsonl"
    assert run("quarantine", "tides", "--export", str(mine), "--as", "aude")[0] == 0
    header, line = mine.read_text().splitlines()
    assert header == '_period,_revision,_row,_reasons,"station","at","level","reading","note"'
    assert line == '"2013-01",1,2,"T05","ABC","2013-01-01T02:00:00Z",99,1,'
    code, said = run("quarantine", "tides", "--export", str(mine), "--as", "aude")
    assert code == 2
    assert "got held.csv, which is there already, expected a new file" in said
    code, said = run("quarantine", "tides", "--export", str(tmp_path / "held.xls"), "--as", "aude")
    assert code == 2
    assert "got the file name held.xls, expected one in .csv or .jsonl" in said
    reasons = held[0]["reasons"]
    assert shell.json(
        "quarantine", "tides", "--reason", "T99", "--export", str(other), "--as", "aude", TIDEGATE_NOW=NOW
    ) == {"file": str(other), "rows": 0}
    named = shell.json("quarantine", "tides", "--reason", reasons[0], "--as", "aude", TIDEGATE_NOW=NOW)
    assert named == held


def test_rows_are_exported_mended_and_put_back_at_the_command_line(project: Path, tmp_path: Path) -> None:
    shell, held, lines = Shell(tmp_path / "home", project), tmp_path / "held.csv", [HEADER]
    lines += [
        'ABC,2013-01-01T00:00:00Z,99,9007199254740993,"NA"',
        'ABC,2013-01-01T01:00:00Z,98,,"a ""b"", c"',
    ]
    lines += [
        'ABC,2013-01-01T02:00:00Z,97,3,""',
        *(f"ABC,2013-01-01T0{hour}:00:00Z,1,1," for hour in range(3, 8)),
    ]
    (drop := tmp_path / "tides-2013-01.csv").write_text("\n".join([*lines, ""]))
    at = {"TIDEGATE_NOW": NOW}
    shell.json("ingest", "tides", str(drop), "--as", "svc-ingest", **at)
    shell.json("quarantine", "tides", "--period", "2013-01", "--export", str(held), "--as", "aude", **at)
    header, first, second, third = held.read_text().splitlines()
    held.write_text("\n".join([header, first.replace(",99,", ",9.5,"), third.replace(",97,", ",9.7,"), ""]))
    done = shell.run("replay", "tides", str(held), "--as", "svc-ingest", **at)
    assert done.returncode == 0, done.stderr
    assert "tides 2013-01: passed; 8 rows in, 7 accepted, 1 quarantined" in done.stdout
    assert "it puts mended rows of 2013-01 back, 2 in all" in done.stdout
    (left,) = shell.json("quarantine", "tides", "--as", "aude", **at)
    assert (left["row"], left["values"]["note"]) == (1, 'a "b", c')
    lines[1], lines[3] = lines[1].replace("99", "9.5", 1), lines[3].replace("97", "9.7")
    (asif := tmp_path / "tides-2013-01.r1.csv").write_text("\n".join([*lines, ""]))
    restated = shell.json("ingest", "tides", str(asif), "--as", "svc-ingest", **at)
    assert restated["supersedes"] == "", (
        "the very same rows are in force: what was put back is what was mended"
    )
    again = shell.run("replay", "tides", str(held), "--as", "svc-ingest", **at)
    assert "these bytes were recorded before" in again.stdout
    late = tmp_path / "late.csv"
    late.write_text(f"{header}\n{second}\n")
    done = shell.run("replay", "tides", str(late), "--as", "svc-ingest", **at)
    assert done.returncode == 2
    assert "it was restated, or rows of it were put back, since they were exported" in done.stderr
    assert shell.json("audit", "verify", "--as", "aude", **at)["faults"] == []


def test_mended_rows_that_were_stopped_are_not_held_back_twice(project: Path, tmp_path: Path) -> None:
    shell, held, at = Shell(tmp_path / "home", project), tmp_path / "held.csv", {"TIDEGATE_NOW": NOW}
    lines = [
        HEADER,
        *(f"ABC,2013-01-01T0{hour}:00:00Z,{level},1," for hour, level in enumerate((1, 99, 1, 1))),
    ]
    (drop := tmp_path / "tides-2013-01.csv").write_text("\n".join([*lines, ""]))
    shell.json("ingest", "tides", str(drop), "--as", "svc-ingest", **at)
    shell.json("quarantine", "tides", "--export", str(held), "--as", "aude", **at)
    whole = held.read_text()
    # A key that is there three times more holds more than half of the rows back: the whole is stopped.
    held.write_text(whole.replace(",99,", ",1,").replace("T01:", "T00:"))
    contract = project / "expectations" / "contracts" / "tides.yaml"
    text = contract.read_text()
    try:
        contract.write_text(text.replace("value: 0.5\n", "value: 0.4\n"))
        done = shell.run("replay", "tides", str(held), "--as", "svc-ingest", **at)
    finally:
        contract.write_text(text)
    assert done.returncode == 1
    assert "G3" in done.stdout
    (left,) = shell.json("quarantine", "tides", "--as", "aude", **at)
    assert (left["row"], left["reasons"]) == (1, ["T05"])
    again = tmp_path / "again.csv"
    shell.json("quarantine", "tides", "--export", str(again), "--as", "aude", **at)
    assert again.read_text() == whole
    again.write_text(whole.replace(",99,", ",1,"))
    assert shell.json("replay", "tides", str(again), "--as", "svc-ingest", **at)["accepted"] == 4


def test_a_file_whose_name_is_no_text_is_told_in_json_too(project: Path, tmp_path: Path) -> None:
    drop = tmp_path / os.fsdecode(b"tides-\xff-2013-01.csv")
    drop.write_text("what,is,this\n1,2,3\n")
    told = {"TIDEGATE_NOW": NOW, "PYTHONIOENCODING": "utf-8:strict"}
    done = Shell(tmp_path / "home", project).run(
        "ingest", "tides", str(drop), "--as", "svc-ingest", "--json", **told
    )
    assert (done.returncode, json.loads(done.stdout)["code"]) == (2, "columns"), done.stderr
