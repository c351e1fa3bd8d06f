"""Every ``console`` block of the README and the docs is run as it stands; ``sh`` blocks start servers or make."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BIN = Path(sys.executable).parent


def blocks(page):
    return re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def script(block):
    """Turn a block into a shell script that stops at the first command that does not end as it says."""
    lines = ["set -u"]
    for line in block.splitlines():
        assert line.startswith("$ "), line
        command, _, wanted = line[2:].partition("# exit ")
        code = int(wanted or 0)
        lines.append(
            f"{command.strip()}\ncode=$?\n[ $code = {code} ] || {{ echo ended with $code: '{code} wanted'; exit 99; }}"
        )
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "number"), [(page, number) for page in PAGES for number in range(len(blocks(page)))],
    ids=lambda value: value.name if isinstance(value, Path) else str(value),
)  # fmt: skip
def test_the_commands_of_a_page_do_what_it_says(page, number, shell, played, empty):
    fresh = page.name == "running.md"
    home = (empty if fresh else shell).home
    block = blocks(page)[number]
    anchors = played[0].home.parent / f"{played[0].home.name}-anchors"
    shutil.copytree(anchors, home.parent / "anchors")
    options = r"(--anchor|--key|--to|-o|verify-bundle|verify_bundle\.py) anchors"
    block = re.sub(options, rf"\1 {home.parent}/anchors", block)
    environment = (empty if fresh else shell).environment(PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    done = subprocess.run(
        ["bash", "-c", script(block)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stderr


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
        "why", "review", "log", "audit", "user", "doctor", "run", "open", "desk", "demote", "retire",
        "canary", "schedule", "init", "model", "dataset", "packet",
    ):  # fmt: skip
        assert re.search(rf"^│ {name}\s", done.stdout, re.MULTILINE), name
