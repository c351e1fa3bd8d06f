"""Checks suggested from a baseline: a difference that a person reads, applies and tries."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tidegate.testing.harbour import write_project
from tidegate.testing.shell import Shell
from tidegate.testing.tides import HEADER

ROOT = Path(__file__).parents[2]


def test_a_baseline_becomes_a_difference_that_is_applied_and_tried(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home", write_project(tmp_path, ROOT))
    for day, levels in ((30, (1, 2, 3)), (31, (2, 3, 4))):
        path = tmp_path / f"tides-2013-01-{day}.csv"
        lines = [
            f"ABC,2013-01-{day}T0{hour}:00:00Z,{level},{hour + day - 30},"
            for hour, level in enumerate(levels)
        ]
        path.write_text("\n".join([HEADER, *lines, ""]))
        done = shell.run(
            "ingest", "tides", str(path), "--as", "svc-ingest", TIDEGATE_NOW="2013-02-01T06:00:00Z"
        )
        assert done.returncode == 0, done.stdout + done.stderr
    suite = tmp_path / "expectations" / "suites" / "tides.json"
    before, head = suite.read_bytes(), shell.json("log")

    found = shell.run("gate", "suggest", "tides", "--baseline", "2013-01-30")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(
        "--- a/expectations/suites/tides.json\n+++ b/expectations/suites/tides.json\n"
    )
    removed = [line for line in found.stdout.splitlines() if line.startswith("-") and line[:3] != "---"]
    assert set(removed) <= {"-    }", "-        mustBeBetween: [2, 1000]"}
    assert "reading lies between 0 and 2, as in 2013-01-30" in found.stdout
    assert '"column": "note"' not in found.stdout  # of a column without a value nothing is learned
    assert (suite.read_bytes(), shell.json("log")) == (before, head)

    applied = subprocess.run(
        ["git", "apply", "--verbose", "-"], input=found.stdout, text=True, cwd=tmp_path, capture_output=True
    )
    assert applied.returncode == 0, applied.stderr
    assert suite.read_bytes() != before
    assert "tides could promise 2 to 4 rows a drop: 2013-01-30 had 3, give or take a quarter" in found.stderr
    assert "+        mustBeBetween: [2, 4]" in found.stdout
    told = shell.json("gate", "backtest", "--suite", "expectations/suites/tides.json", "tides")
    assert [each["now"]["verdict"] for each in told["drops"]] == ["passed", "passed"]
    findings = [
        (drop["period"], check["sentence"])
        for drop in told["drops"]
        for check in drop["checks"]
        if check["then"] is None and check["verdict"] != "passed"
    ]
    # The baseline bears all of it; the day after has a reading that was not seen then.
    assert findings == [("2013-01-31", "reading lies between 0 and 2, as in 2013-01-30: 1 of 3 rows fail")]
    again = shell.json("gate", "suggest", "tides", "--baseline", "2013-01-30")
    assert (again["suggestions"], again["promises"], again["diff"]) == ([], [], "")

    unknown = shell.run("gate", "suggest", "tides", "--baseline", "2012-12")
    assert unknown.returncode == 2
    assert (
        "got the baseline 2012-12 of tides, expected an accepted period: 2013-01-30, 2013-01-31"
        in unknown.stderr
    )
