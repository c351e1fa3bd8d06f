"""Folders for what does not fit in memory: they go with their work, and those of the killed with the next one's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tidegate.adapters.shared import scratch as folders
from tidegate.adapters.shared.scratch import PREFIX, scratch, sweep

HOLD = """
import sys, time
from tidegate.adapters.shared.scratch import scratch
with scratch(sys.argv[1]) as place:
    (place / "spilled").write_text("much")
    print(place, flush=True)
    time.sleep(600)
"""


def holder(below: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that works in a folder of its own, and return it once it does."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(below)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_goes_with_its_work_and_is_for_this_account_only(tmp_path: Path) -> None:
    with scratch(str(tmp_path)) as place:
        (place / "spilled").write_text("much")
        assert place.stat().st_mode & 0o077 == 0
        with scratch(str(tmp_path)) as other:
            assert (place / "spilled").exists(), "a second one of the same process left the first alone"
            assert other != place
    assert list(tmp_path.iterdir()) == []


def test_a_folder_goes_also_where_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch(str(tmp_path)):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_folder_and_what_a_living_one_has_stays(
    tmp_path: Path,
) -> None:
    (living, theirs), (killed, left) = holder(tmp_path), holder(tmp_path)
    try:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert (left / "spilled").exists()
        with scratch(str(tmp_path)):
            assert not left.exists()
            assert (theirs / "spilled").exists()
        assert sweep(str(tmp_path)) == ()
    finally:
        living.kill()
        living.communicate()
    assert sweep(str(tmp_path)) == (theirs,)


def test_only_folders_of_this_name_and_of_this_account_are_swept_and_no_link_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    (tmp_path / f"{PREFIX}link").symlink_to(kept)
    (tmp_path / f"{PREFIX}file").write_text("no folder")
    foreign = tmp_path / f"{PREFIX}foreign"
    foreign.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: foreign.stat().st_uid + 1)
    assert sweep(str(tmp_path)) == ()
    monkeypatch.undo()
    assert sweep(str(tmp_path)) == (foreign,)
    assert (kept / "file").read_text() == "mine"


def test_a_folder_that_was_swept_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def swept_at_once(**given: str) -> str:
        made.append(real(**given))
        if len(made) < 3:
            Path(made[-1]).rmdir()
        return made[-1]

    real = tempfile.mkdtemp
    monkeypatch.setattr(folders.tempfile, "mkdtemp", swept_at_once)
    with scratch(str(tmp_path)) as place:
        assert place == Path(made[2])
        assert place.is_dir()
