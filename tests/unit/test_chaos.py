"""Where the chaos tests kill: over the whole story, and nowhere twice as often as elsewhere."""

import random
import sqlite3
import subprocess
import sys
from collections import Counter

import pytest

from tidegate.testing.chaos import START_SECONDS, Moment, Story, kill_at, on_record, whole_files

STEPS = [
    {"at": "2013-01-01T12:00:00Z", "step": "Cut", "seconds": 2.0},  # writes nothing
    {"at": "2013-01-01T12:01:00Z", "step": "Open", "seconds": 1.0},
    {"at": "2013-02-01T09:30:00Z", "step": "Look", "seconds": 4.0},  # writes nothing
    {"at": "2013-02-04T09:30:00Z", "step": "Train", "seconds": 8.0},
    {"at": "2013-02-04T09:30:00Z", "step": "Anchor", "seconds": 1.0},  # the same moment, nothing more
]
EVENTS = [{"occurred_at": at} for at in ("2013-01-01T12:01:00Z",) * 3 + ("2013-02-04T09:30:00Z",) * 2]


@pytest.fixture
def story():
    return Story(STEPS, EVENTS)


def test_a_moment_is_seconds_after_what_was_on_record_when_its_step_began(story):
    assert story.moment(0.5) == Moment(0, 0, (START_SECONDS + 2.0) / 2)
    assert story.moment(1.5) == Moment(1, 0, START_SECONDS + 2.0 + 0.5)
    assert story.moment(2.25) == Moment(2, 3, 1.0)
    assert story.moment(3.5) == Moment(3, 3, 4.0 + 4.0)
    assert story.moment(4.5) == Moment(4, 5, 0.5)
    assert story.moment(5.0) == Moment(4, 5, 1.0)


def test_moments_cover_the_whole_story_in_its_order(story):
    chance = random.Random(7)
    for count in (1, 3, 5, 25):
        drawn = story.moments(count, chance)
        assert [moment.step for moment in drawn] == sorted(moment.step for moment in drawn)
        if count >= len(STEPS):
            assert {moment.step for moment in drawn} == set(range(len(STEPS)))
    often = Counter(story.moments(1, chance)[0].step for _ in range(5000))
    assert set(often) == set(range(len(STEPS)))
    assert all(800 < hits < 1200 for hits in often.values())


def test_where_a_run_was_killed_is_told_by_what_it_printed_else_by_the_record(story):
    printed = "2013-01-01  Open (1.0 s)\n            12 accounts\n2013-02-01  Look (4.2 s)\n"
    assert story.place(3, printed) == 3
    assert story.place(5, "2013-02-04  Train (8.0 s)\n2013-02-04  Anchor (1.0 s)\n") == 4
    assert story.place(0, "") == 0
    assert story.place(2, "") == 1
    assert story.place(4, "") == 3
    assert story.named(3) == "step 4 of 5, 2013-02-04 Train"


def test_a_process_is_killed_only_when_the_record_has_come_so_far(tmp_path):
    with sqlite3.connect(tmp_path / "record.db") as ledger:
        ledger.execute("CREATE TABLE head (sequence)")
        ledger.execute("INSERT INTO head VALUES (7)")
    ledger.close()
    assert on_record(tmp_path) == 7
    assert on_record(tmp_path / "nowhere") == 0
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(sleeper)
    with pytest.raises(AssertionError, match="waited 0 s for 8 events in vain"):
        kill_at(process, tmp_path, Moment(0, 8, 0.0), patience=0.2)
    assert process.poll() is None
    assert kill_at(process, tmp_path, Moment(0, 7, 0.1))
    assert process.returncode == -9
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not kill_at(ended, tmp_path, Moment(0, 7, 0.1))


def test_parts_are_no_whole_files(tmp_path):
    (tmp_path / "frames").mkdir()
    for name in ("a.parquet", ".b.parquet.x1.part", ".hidden"):
        (tmp_path / "frames" / name).write_bytes(b"x")
    (tmp_path / "record.db").write_bytes(b"x")
    assert list(whole_files(tmp_path)) == ["frames/.hidden", "frames/a.parquet"]
