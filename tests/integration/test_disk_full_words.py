"""A full disk is told from other failures, also where a tool hides it behind one of its own."""

import errno
import sqlite3

import pytest

from tidegate.adapters.shared.disk import disk_full
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.entrypoints import flow_server
from tidegate.entrypoints.flows import worth_retrying


def masked():
    try:
        try:
            raise sqlite3.OperationalError("database or disk is full")
        except sqlite3.OperationalError:
            raise RuntimeError("no such savepoint: sa_savepoint_1")  # noqa: B904  # as SQLAlchemy does it
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("write failed: [Errno 28] No space left on device"),
        masked(),
    ],
    ids=str,
)
def test_a_full_disk_is_seen_in_each_form(error):
    found = disk_full(error, "the feature store")
    assert (found.code, found.exit_code) == ("disk-full", 3)
    assert found.sentence == "got no space left on the disk of the feature store, expected room to write"


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), RuntimeError("disk I/O error")]
)
def test_another_failure_is_none(error):
    assert disk_full(error, "the feature store") is None


def test_a_server_that_failed_for_another_reason_does_not_speak_of_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(flow_server, "SCARCE", 0)
    failed = flow_server.server_failed(tmp_path, "it answered 500")
    assert failed.code == "no-flow-server"
    assert failed.sentence == "got Prefect's server failing (it answered 500), expected it to answer"


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (DependencyFailed("registry-locked", "got a lock", "wait"), True),
        (DependencyFailed("disk-full", "got no space", "free some"), False),
        (BadInput("bad", "got a typo", "mend it"), False),
    ],
)
def test_a_step_is_tried_again_where_waiting_may_help(error, again):
    class Failed:
        def result(self):
            raise error

    assert worth_retrying(None, None, Failed()) is again
