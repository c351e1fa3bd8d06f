"""Errors carry what happened, also across a process."""

from __future__ import annotations

import pickle

import pytest

from tidegate.domain.errors import BadInput, DependencyFailed, Refused


@pytest.mark.parametrize("kind", [BadInput, DependencyFailed, Refused])
def test_an_error_crosses_a_process_whole(kind: type[Refused]) -> None:
    error = kind("no-drop", "got no drop, expected one", "ingest it", rows=3, reasons=[{"rule": "P4"}])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again.as_dict() == error.as_dict()
    assert str(again) == "got no drop, expected one"
    assert again.exit_code == kind.exit_code
