"""What the command line says of itself and of what went wrong, before it has looked at any project."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tidegate.adapters.shared.yaml_reader import Reader
from tidegate.domain.errors import BadInput
from tidegate.entrypoints.cli import app as cli


def said(monkeypatch: pytest.MonkeyPatch, *words: str, columns: int = 200) -> int:
    """Run the command line; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["somewhere/tidegate", *words])
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


# ── help fills the terminal ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_a_paragraph_of_help_breaks_where_the_terminal_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", columns)
    assert said(monkeypatch, "features", "drift", "--help", columns=columns) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    first = next(number for number, line in enumerate(lines) if line.startswith("The file is monitoring/"))
    last = lines.index("", first)
    assert lines[last - 1].endswith("(F2).")
    for line, after in zip(lines[first : last - 1], lines[first + 1 : last], strict=True):
        assert len(line) + len(" ") + len(after.split()[0]) > columns - 2  # a margin on both sides


def test_paragraphs_of_help_stay_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said(monkeypatch, "rehearse", "--help")
    told = capsys.readouterr().out
    assert "exits 1 if it fails." in told
    assert "\n\n The earlier version must load" in "\n".join(line.rstrip() for line in told.splitlines())


# ── what was typed wrong ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["promote"], "tidegate promote --help"),
        (["promote", "delay", "two"], "tidegate promote --help"),
        (["features", "drift", "v", "--windo", "2013-10"], "tidegate features drift --help"),
        (["features", "drfit"], "tidegate features --help"),
        (["promotee"], "tidegate --help"),
    ],
)
def test_what_cannot_be_understood_points_to_the_help_of_its_own_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], hint: str
) -> None:
    assert said(monkeypatch, *words) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("not usable: ")
    assert told[1:] == [f"  next: {hint}"]


# ── files with several faults ─────────────────────────────────────────────────────────────────────


def faults(*sentences: str) -> BadInput:
    reader = Reader("a: 1\n", "policy.yaml", "policy")
    for line, sentence in enumerate(sentences, 1):
        reader.fault(line, sentence)
    with pytest.raises(BadInput) as error:
        reader.close()
    return error.value


def explained(capsys: pytest.CaptureFixture[str], error: BadInput) -> list[str]:
    cli._explain(error)
    return capsys.readouterr().err.splitlines()


def test_a_file_with_several_faults_tells_each_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(capsys, faults("got a moon", "got a sun")) == [
        "not usable: policy.yaml has 2 faults:",
        "  line 1: got a moon",
        "  line 2: got a sun",
        "  next: correct every line named; nothing was loaded",
    ]


def test_a_file_with_one_fault_tells_it_in_the_same_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(capsys, faults("got a moon"))[0] == (
        "not usable: policy.yaml has one fault: line 1: got a moon"
    )


def test_a_contract_s_faults_name_contract_or_suite_each(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from tidegate.adapters.contract_files.files import _breaks

    two = [{"file": name, "line": 3, "sentence": "got a moon"} for name in ("a.odcs.yaml", "a.suite.json")]
    assert explained(capsys, _breaks("a", two))[:3] == [
        "not usable: the contract of `a` has 2 faults:",
        "  a.odcs.yaml line 3: got a moon",
        "  a.suite.json line 3: got a moon",
    ]


def test_for_scripts_faults_are_a_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tidegate", "x", "--json"])
    cli._explain(faults("got a moon", "got a sun"))
    told = json.loads(capsys.readouterr().out)
    assert told["error"].startswith("policy.yaml has 2 faults: line 1: got a moon; line 2")
    assert told["data"]["faults"] == [
        {"line": 1, "sentence": "got a moon"},
        {"line": 2, "sentence": "got a sun"},
    ]
