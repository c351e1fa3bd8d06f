"""Waivers as people use them: given, used, shown, used up. Real commands, real gate, real record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.testing.harbour import write_project
from tidegate.testing.shell import Shell
from tidegate.testing.tides import HEADER

ROOT = Path(__file__).parents[2]
NOW = "2013-02-01T06:00:00Z"
WHY = ("--reason", "The gauge at the lock was replaced that week.")


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A project with one dataset."""
    folder = write_project(tmp_path_factory.mktemp("harbour"), ROOT)
    return Shell(folder / "home", folder)


def drop(shell: Shell, day: int, *levels: float) -> str:
    """Write a drop of one day."""
    lines = [f"ABC,2013-01-{day}T0{hour}:00:00Z,{level},1," for hour, level in enumerate(levels)]
    path = shell.project / f"tides-2013-01-{day}.csv"
    path.write_text("\n".join([HEADER, *lines, ""]))
    return str(path)


def test_what_a_waiver_lets_through_is_shown_and_what_comes_after_its_last_use_is_blocked(
    shell: Shell,
) -> None:
    def run(*words: str):
        return shell.run(*words, TIDEGATE_NOW=NOW)

    bad = drop(shell, 30, 99, 98, 1)
    held = run("ingest", "tides", bad, "--as", "svc-ingest")
    assert held.returncode == 1, held.stdout + held.stderr
    assert "stopped by G3" in held.stdout
    until = ("--until", "2013-02-08T00:00:00Z")
    denied = run("waiver", "add", "tides", "quarantine-share", *until, *WHY, "--as", "dana")
    assert denied.returncode == 1
    assert "A1" in denied.stderr
    unknown = run("waiver", "add", "tides", "X99", *until, *WHY, "--as", "amir")
    assert unknown.returncode == 2
    assert "got the check `X99`, expected one of tides:" in unknown.stderr
    given = run("waiver", "add", "tides", "quarantine-share", *until, *WHY, "--as", "amir")
    assert given.returncode == 0, given.stderr
    assert "0 of 1" in given.stdout
    taken = run("ingest", "tides", bad, "--as", "svc-ingest")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert "let through by W-1: quarantine-share: 2 of 3 rows" in taken.stdout
    told = run("status").stdout
    assert "waivers that are over were used once: `tidegate waiver list`" in told
    shown = run("waiver", "list").stdout
    assert "1 of 1" in shown
    assert "W-1, which let quarantine-share through, is used up (1 of 1)" in shown
    again = run("ingest", "tides", drop(shell, 31, 97, 96, 2), "--as", "svc-ingest")
    assert again.returncode == 1
    assert "W-1, which let quarantine-share through, is used up (1 of 1)" in again.stderr
    (row,) = shell.json("status", TIDEGATE_NOW=NOW)["waivers"]
    assert (row["uses"], row["most"], row["left"]) == (1, 1, 0)
    sound = run("audit", "verify")
    assert sound.returncode == 0, sound.stdout + sound.stderr
