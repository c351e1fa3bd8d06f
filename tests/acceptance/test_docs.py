"""Every ``console`` block of the README and the docs is run as it stands, and shows what it says it shows.

``sh`` blocks start servers or make.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.testing.pages import Command, commands, steps

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BIN = Path(sys.executable).parent
#: What is said to lie in a folder `anchors`, which each test has elsewhere.
OUTSIDE = r"--anchor|--key|--to|-o|verify-bundle|verify_bundle\.py"


def typed(page):
    return [step for step in steps(page.read_text()) if isinstance(step, Command)]


def script(page, folder):
    """Return what a shell would be given: each command with its output kept, until one ends otherwise than said."""
    lines = ["set -u"]
    for number, command in enumerate(page):
        lines += [f"{{ {command.line}", f"}} >{folder}/{number} 2>&1", "code=$?"]
        lines.append(f"[ $code = {command.code} ] || exit 99")
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if typed(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_do_and_show_what_it_says(page, shell, played, empty, tmp_path):
    """From its top to its end, in one shell, on a copy of what the year left."""
    where = empty if page.name == "running.md" else shell
    shutil.copytree(played[0].home.parent / f"{played[0].home.name}-anchors", tmp_path / "anchors")
    page = [
        replace(each, line=re.sub(rf"({OUTSIDE}) anchors", rf"\1 {tmp_path}/anchors", each.line))
        for each in typed(page)
    ]
    (tmp_path / "printed").mkdir()
    subprocess.run(
        ["bash", "-c", script(page, tmp_path / "printed")],
        cwd=ROOT,
        env=where.environment(PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}"),
        timeout=600,
    )
    printed = [(tmp_path / "printed" / str(number)) for number in range(len(page))]
    ran = [(command, file.read_text()) for command, file in zip(page, printed, strict=True) if file.exists()]
    for command, output in ran:
        assert "Traceback" not in output, command
        assert command.missing(output) is None, f"{command}\n{output[-3000:]}"
    assert len(ran) == len(page), f"{ran[-1][0]}\n{ran[-1][1][-3000:]}"


def test_output_that_a_page_does_not_keep_to_is_seen():
    """The comparison can fail: by a word, by the order, by a figure."""
    (command,) = commands("$ tidegate status\nwaits for an approver: P-1\nwaits for a reviewer: R-7\n")
    assert command.missing("x\nwaits for  an approver: P-1, a 1\nwaits for a reviewer: R-7, due") is None
    assert command.missing("waits for an approver: P-2\nwaits for a reviewer: R-7") is not None
    assert command.missing("waits for a reviewer: R-7\nwaits for an approver: P-1") is not None
    with pytest.raises(ValueError, match="expected a command"):
        commands("waits for nobody\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_variable_that_is_read_is_documented():
    read = set()
    for path in (ROOT / "src").rglob("*.py"):
        if "testing" not in path.parts:
            read |= set(re.findall(r"TIDEGATE_[A-Z_]+", path.read_text()))
    documented = set(re.findall(r"TIDEGATE_[A-Z_]+", (ROOT / "docs" / "running.md").read_text()))
    assert read <= documented


def test_every_command_is_shown_by_help():
    done = subprocess.run([str(BIN / "tidegate"), "--help"], capture_output=True, text=True, timeout=60)
    for name in (
        "demo", "status", "ingest", "quarantine", "train", "versions", "promote", "approve", "reject", "rollback",
        "why", "review", "subject", "log", "audit", "user", "doctor", "run", "open", "desk", "demote", "retire",
        "canary", "rehearse", "schedule", "init", "model", "dataset", "policy", "erase", "retention", "packet",
    ):  # fmt: skip
        assert re.search(rf"^│ {name}\s", done.stdout, re.MULTILINE), name
