"""A suite that is tried on what is on record: real drops, the real gate, and nothing changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tidegate.testing.harbour import write_project
from tidegate.testing.shell import Shell
from tidegate.testing.tides import HEADER

ROOT = Path(__file__).parents[2]
NOW = "2013-01-31T12:00:00Z"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A project of which three days came: a clean one, one with a row held back, and one held back whole."""
    folder = write_project(tmp_path_factory.mktemp("harbour"), ROOT)
    shell = Shell(folder / "home", folder)
    for day, levels in ((29, (1, 2, 3)), (30, (1, 4, 99)), (31, (98, 97, 1))):
        lines = [f"ABC,2013-01-{day}T0{hour}:00:00Z,{level},1," for hour, level in enumerate(levels)]
        path = folder / f"tides-2013-01-{day}.csv"
        path.write_text("\n".join([HEADER, *lines, ""]))
        done = shell.run("ingest", "tides", str(path), "--as", "svc-ingest", TIDEGATE_NOW=NOW)
        assert done.returncode == (1 if day == 31 else 0), done.stdout + done.stderr
    return shell


def kept(shell: Shell) -> dict[str, bytes]:
    """Everything that is kept of data and record, byte by byte."""
    files = [
        path for path in shell.home.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    ]
    return {str(path): path.read_bytes() for path in files}


def suite(shell: Shell, name: str, **levels: Any) -> str:
    """Write the suite with other bounds for the levels, and return where."""
    own = json.loads((shell.project / "expectations" / "suites" / "tides.json").read_text())
    for each in own["expectations"]:
        if each["meta"]["rule"] == "T05":
            each["kwargs"] |= levels
    path = shell.project / name
    path.write_text(json.dumps(own, indent=2))
    return name


def tried(shell: Shell, *words: str) -> Any:
    # Long after: drops are judged as of when they came.
    return shell.json("gate", "backtest", *words, "tides", TIDEGATE_NOW="2014-06-01T06:00:00Z")


def test_its_own_suite_finds_what_was_found(shell: Shell) -> None:
    found = tried(shell, "--suite", "expectations/suites/tides.json")
    assert [(each["period"], each["then"]["verdict"], each["now"]["verdict"]) for each in found["drops"]] == [
        ("2013-01-29", "passed", "passed"),
        ("2013-01-30", "passed", "passed"),
        ("2013-01-31", "failed", "failed"),
    ]
    assert [each["now"]["quarantined"] for each in found["drops"]] == [0, 1, 3]
    assert [stop["code"] for stop in found["drops"][2]["stops"]] == ["quarantine-share"]
    assert (found["blocked"], found["opened"], found["rows"], found["unread"]) == (0, 0, 0, 0)


def test_a_stricter_suite_says_per_drop_what_it_would_have_blocked_and_why(shell: Shell) -> None:
    before, head = kept(shell), shell.json("log")
    path = suite(shell, "strict.json", max_value=2)
    found = tried(shell, "--suite", path)
    assert [each["flips"] for each in found["drops"]] == ["rows", "blocked", ""]
    blocked = found["drops"][1]
    assert (blocked["now"]["read"], blocked["now"]["quarantined"]) == (3, 3)
    assert blocked["stops"] == [
        {
            "rule": "G3",
            "code": "quarantine-share",
            "sentence": "2 of 3 rows (66.67%) would be quarantined, the contract allows 50.00%",
        }
    ]
    (check,) = [each for each in blocked["checks"] if each["id"] == "T05"]
    assert (check["verdict"], check["then"], check["failing"], check["evaluated"]) == (
        "failed",
        "failed",
        2,
        3,
    )
    told = shell.run("gate", "backtest", "--suite", path, "tides")
    assert told.returncode == 0, told.stderr
    assert "WOULD BE BLOCKED" in told.stdout
    assert (
        "T05 (warning, quarantine) failed now, passed then: Levels are -5 to 15 m: 1 of 3 rows fail"
        in told.stdout
    )
    assert (
        "6 checks on 3 drops: 1 would be blocked, 0 let in, 1 blocked as before, 1 with other rows set aside"
        in told.stdout
    )
    assert shell.json("log") == head
    assert kept(shell) == before


def test_a_wider_suite_says_what_it_would_have_let_in(shell: Shell) -> None:
    found = tried(shell, "--suite", suite(shell, "wide.json", max_value=100))
    assert [each["flips"] for each in found["drops"]] == ["", "rows", "opened"]
    assert [each["now"]["quarantined"] for each in found["drops"]] == [0, 0, 0]


def test_as_many_rows_set_aside_but_others_is_no_less_a_change(shell: Shell) -> None:
    found = tried(shell, "--suite", suite(shell, "other.json", min_value=2, max_value=100))
    (drop,) = [each for each in found["drops"] if each["period"] == "2013-01-30"]
    assert (drop["then"]["quarantined"], drop["now"]["quarantined"], drop["flips"]) == (1, 1, "rows")


def test_a_contract_is_tried_with_its_own_limits(shell: Shell) -> None:
    own = (shell.project / "expectations" / "contracts" / "tides.yaml").read_text()
    assert own.count("value: 0.5\n") == 1
    (shell.project / "limit.yaml").write_text(own.replace("value: 0.5\n", "value: 0.1\n"))
    found = tried(shell, "--contract", "limit.yaml")
    assert [each["flips"] for each in found["drops"]] == ["", "blocked", ""]


def test_an_expectation_that_great_expectations_itself_evaluates_is_tried_too(shell: Shell) -> None:
    own = json.loads((shell.project / "expectations" / "suites" / "tides.json").read_text())
    added = {
        "type": "expect_column_stdev_to_be_between",
        "kwargs": {"column": "level", "max_value": 10},
        "severity": "critical",
        "meta": {"rule": "T07", "on_row": "keep", "sentence": "Levels vary by at most 10 m"},
    }
    own["expectations"].append(added)
    (shell.project / "more.json").write_text(json.dumps(own))
    found = tried(shell, "--suite", "more.json")
    checks = [next(each for each in drop["checks"] if each["id"] == "T07") for drop in found["drops"]]
    assert [each["verdict"] for each in checks] == ["passed", "failed", "failed"]
    assert {(each["then"], each["executor"]) for each in checks} == {(None, "great_expectations")}
    assert [each["flips"] for each in found["drops"]] == ["", "blocked", ""]


def test_a_suite_that_does_not_parse_names_every_mistake_with_its_line(shell: Shell) -> None:
    path = shell.project / suite(shell, "broken.json")
    text = path.read_text()
    broken = text.replace('"severity": "info"', '"severity": "mild"').replace(
        '"column": "level"', '"column": "depth"'
    )
    path.write_text(broken)
    lines = [
        number for number, line in enumerate(broken.splitlines(), 1) if '"mild"' in line or '"depth"' in line
    ]
    done = shell.run("gate", "backtest", "--suite", "broken.json", "tides")
    assert done.returncode == 2
    assert "has 2 faults" in done.stderr
    for line in lines:
        assert f"broken.json line {line}: " in done.stderr
    assert "'mild', expected a severity" in done.stderr
    assert "'depth', expected a column of the contract" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tides",), "got neither a contract nor a suite, expected a file to try"),
        (("--suite", "gone.json", "tides"), "gone.json"),
        (("--suite", "strict.json", "ships"), "ships"),
    ],
)
def test_what_cannot_be_tried_is_bad_input(shell: Shell, words: tuple[str, ...], said: str) -> None:
    done = shell.run("gate", "backtest", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr


def test_a_drop_whose_rows_are_gone_is_told_and_the_others_are_tried(shell: Shell, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(shell.home, home)
    row = tried(shell, "--suite", "expectations/suites/tides.json")["drops"][0]
    (home / "batches" / "tides" / f"{row['batch'][4:]}.parquet").unlink()
    found = tried(Shell(home, shell.project), "--suite", "expectations/suites/tides.json")
    assert found["unread"] == 1
    assert "got no file for the batch" in found["drops"][0]["fault"]
    assert [each["now"] is None for each in found["drops"]] == [True, False, False]
