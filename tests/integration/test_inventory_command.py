"""`tidegate model list` on a home: every model, in words and in JSON, whatever texts stand in the record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.bootstrap import Tidegate
from tidegate.settings import load
from tidegate.testing.shell import Shell
from tidegate.testing.town import MODEL, SWELL, Town

ROOT = Path(__file__).parents[2]
NOW = "2013-05-12T09:00:00Z"
HOSTILE = "[bold]fine[/bold]\n  live: version 9\x1b[2J"


def home(folder: Path) -> tuple[Shell, Town]:
    environment = {"TIDEGATE_PROJECT": str(ROOT), "TIDEGATE_HOME": str(folder), "TIDEGATE_NOW": NOW}
    here = Tidegate(load(ROOT, environment))
    here.open()
    return Shell(folder, ROOT), Town(here.ledger, here.policies.load(), HOSTILE)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A home in which everything has happened, told in hostile words."""
    shell, town = home(tmp_path_factory.mktemp("inventory") / "home")
    town.lived()
    return shell


def test_it_lists_every_model_and_no_text_poses_as_a_line_of_its_own(lived: Shell) -> None:
    said = lived.run("model", "list")
    assert said.returncode == 0, said.stderr
    words = r"[bold]fine[/bold]   live: version 9\x1b[2J"
    assert said.stdout.splitlines() == [
        f"{SWELL}: tier low, owner {words}, predicts a number",
        f"  purpose: {words}",
        "  live: —",
        f"  consumers: {words}",
        "  next review: —",
        f"{MODEL}: tier standard, owner {words}, predicts a probability",
        f"  purpose: {words}",
        "  live: —",
        f"  consumers: {words}; the harbour office",
        "  next review: 2013-05-08T07:00:00Z (R-2), OVERDUE",
    ]


def test_as_json_it_keeps_every_text_as_it_is(lived: Shell) -> None:
    swell, tides = lived.json("model", "list")
    assert (swell["model"], swell["consumers"], swell["next_review"]) == (SWELL, [HOSTILE], "")
    assert (tides["live"], tides["next_review"], tides["overdue"]) == (0, "2013-05-08T07:00:00Z", True)
    assert tides["review"] == "R-2"


def test_without_a_model_it_says_so(tmp_path: Path) -> None:
    shell, _ = home(tmp_path / "home")
    assert "no model is registered yet" in shell.run("model", "list").stdout
    assert shell.json("model", "list") == []


def test_without_a_ledger_there_is_nothing_to_list(tmp_path: Path) -> None:
    said = Shell(tmp_path / "home", ROOT).run("model", "list")
    assert said.returncode == 2
    assert "got no ledger" in said.stderr
