"""Errors carry what happened, also across a process."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

import tidegate
from tidegate.domain.errors import BadInput, DependencyFailed, Refused


@pytest.mark.parametrize("kind", [BadInput, DependencyFailed, Refused])
def test_an_error_crosses_a_process_whole(kind: type[Refused]) -> None:
    error = kind("no-drop", "got no drop, expected one", "ingest it", rows=3, reasons=[{"rule": "P4"}])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again.as_dict() == error.as_dict()
    assert str(again) == "got no drop, expected one"
    assert again.exit_code == kind.exit_code


def test_no_hint_only_says_that_something_must_be_mended() -> None:
    """A hint says what to mend, and where."""
    source = Path(tidegate.__file__).parent
    vague = [
        f"{path.relative_to(source)}:{node.lineno}"
        for path in sorted(source.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and node.value in {"mend it", "mend them", "fix it", "correct it", "check it"}
    ]
    assert vague == []
