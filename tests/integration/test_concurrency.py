"""However many write at once: one chain, no gap, nothing lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tidegate.adapters.clocks import SystemClock
from tidegate.adapters.sql_record import SqlLedger
from tidegate.adapters.system_entropy import SystemEntropy
from tidegate.domain.canonical import NO_DIGEST
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.events import Draft, EventType
from tidegate.testing.databases import emptied

#: A process that opens the ledger and appends, once it is told to. Its arguments: address, name, events.
WRITER = """
import sys
from tidegate.adapters.clocks import SystemClock
from tidegate.adapters.sql_record import SqlLedger
from tidegate.adapters.system_entropy import SystemEntropy
from tidegate.domain.events import Draft, EventType

url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
ledger = SqlLedger(url, SystemClock(), SystemEntropy())
for number in range(count):
    with ledger.transaction() as tx:
        for stream in ("shared", name):
            texts = {"reason": f"{name} {number}"}
            tx.append(Draft(EventType.ACTION_REFUSED, stream, name, {"n": number}, texts))
"""


def opened(url, busy_seconds=30.0):
    return SqlLedger(url, SystemClock(), SystemEntropy(), busy_seconds)


def append(ledger, name, count):
    for number in range(count):
        with ledger.transaction() as tx:
            for stream in ("shared", name):
                tx.append(
                    Draft(
                        EventType.ACTION_REFUSED, stream, name, {"n": number}, {"reason": f"{name} {number}"}
                    )
                )


def one_sound_chain(url, writers, count):
    """Assert that ``writers`` wrote ``count`` events each to a shared stream and to one of their own."""
    ledger = opened(url)
    events = list(ledger.events())
    assert [event.sequence for event in events] == list(range(1, 2 * writers * count + 1)), (
        "no gap, none lost"
    )
    assert [event.previous for event in events] == [NO_DIGEST, *(event.hash for event in events[:-1])], (
        "no fork"
    )
    for stream, length in Counter(event.stream for event in events).items():
        numbers = [event.stream_sequence for event in events if event.stream == stream]
        assert numbers == list(range(1, length + 1))
    for name in {event.actor for event in events}:
        mine = [event.payload["n"] for event in events if event.actor == name and event.stream == name]
        assert mine == list(range(count)), "in the order in which they were written"
    assert len({event.actor for event in events}) == writers
    reasons = {ledger.text(event.payload["texts"]["reason"]) for event in events}
    assert len(reasons) == writers * count
    assert ledger.verify() == ()


def test_threads_on_one_ledger_write_one_chain(url):
    ledger = opened(url)
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(append, ledger, f"t-{each}", 8) for each in range(6)]:
            done.result()
    one_sound_chain(url, writers=6, count=8)


def test_more_threads_than_connections_wait_for_each_other(url):
    ledger = opened(url)
    with ThreadPoolExecutor(24) as pool:
        for done in [pool.submit(append, ledger, f"t-{each}", 2) for each in range(24)]:
            done.result()
    one_sound_chain(url, writers=24, count=2)


def test_threads_that_create_the_ledger_at_once_write_one_chain(url):
    with ThreadPoolExecutor(5) as pool:
        work = [pool.submit(lambda name: append(opened(url), name, 2), f"t-{each}") for each in range(5)]
        for done in work:
            done.result()
    one_sound_chain(url, writers=5, count=2)


def at_once(url, writers, count):
    """Run ``writers`` processes that begin together on a database that none has made."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, f"w-{each}", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in range(writers)
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [(process.communicate(timeout=60)[1], process.returncode) for process in running]


def test_four_processes_that_create_one_new_database_at_once_all_succeed(url):
    assert at_once(url, writers=4, count=10) == [("", 0)] * 4
    one_sound_chain(url, writers=4, count=10)


def test_a_reader_sees_whole_transactions_only(url):
    ledger = opened(url)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(append, ledger, "t-0", 25)
        while not writing.done():
            assert len(list(ledger.events())) % 2 == 0, "two events a transaction"
    writing.result()


def test_verification_finds_no_fault_in_a_ledger_that_is_written_meanwhile(url):
    ledger = opened(url)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(append, ledger, "t-0", 40)
        looks = 0
        while not writing.done():
            assert ledger.verify() == ()
            looks += 1
    writing.result()
    assert looks > 1


def test_a_cursor_moved_by_many_at_once_ends_at_the_furthest(url):
    ledger = opened(url)
    append(ledger, "t-0", 10)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda step: ledger.advance("aliases", step), [20, *range(1, 20)]))
    assert ledger.cursor("aliases") == 20


def test_a_locked_sqlite_file_is_a_sentence_in_bounded_time(tmp_path):
    ledger = opened(f"sqlite:///{tmp_path}/record.db", busy_seconds=0.3)
    append(ledger, "t-0", 1)
    with closing(sqlite3.connect(tmp_path / "record.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(DependencyFailed) as caught:
            append(ledger, "t-0", 1)
        assert time.monotonic() - began < 3
        assert caught.value.code == "ledger-locked"
        assert len(list(ledger.events())) == 2, "readers go on"
        other.execute("ROLLBACK")
    append(ledger, "t-0", 1)
    assert ledger.verify() == ()


def test_a_locked_postgres_head_is_a_sentence_in_bounded_time(postgres_url):
    url = emptied(postgres_url)
    ledger, other = opened(url, busy_seconds=0.3), opened(url)
    append(ledger, "t-0", 1)
    with other.transaction():
        began = time.monotonic()
        with pytest.raises(DependencyFailed) as caught:
            append(ledger, "t-0", 1)
        assert time.monotonic() - began < 3
        assert caught.value.code == "ledger-locked"
        assert len(list(ledger.events())) == 2, "readers go on"
    append(ledger, "t-0", 1)
    assert ledger.verify() == ()


def test_a_locked_file_cannot_be_opened_as_new_and_says_so(tmp_path):
    with closing(sqlite3.connect(tmp_path / "record.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        with pytest.raises(DependencyFailed) as caught:
            opened(f"sqlite:///{tmp_path}/record.db", busy_seconds=0.3)
        assert time.monotonic() - began < 5
        assert caught.value.code == "ledger-locked"


def test_while_texts_are_erased_every_reader_finds_a_sound_record_and_the_texts_that_are_left(url):
    ledger, other = opened(url), opened(url)
    note = {"action": "approve", "subject": {}, "reasons": []}
    said = {}
    with ledger.transaction() as tx:
        for name in (f"p-{each}" for each in range(12)):
            event = tx.append(Draft(EventType.ACTION_REFUSED, "n", name, note, {"reason": f"{name} was ill"}))
            said[name] = event.payload["texts"]["reason"]

    def erase():
        for name in list(said)[1:]:
            gone = {"subject": name, "commitments": [said[name]]}
            with other.transaction() as tx:
                tx.append(Draft(EventType.TEXT_ERASED, "ledger", "p-0", gone, {"reason": "They asked."}))

    with ThreadPoolExecutor(1) as pool:
        work, rounds = pool.submit(erase), 0
        while rounds < 3 or not work.done():
            assert ledger.verify() == ()
            assert ledger.text(said["p-0"]) == "p-0 was ill"
            assert ledger.text(said["p-11"]) in {"p-11 was ill", None}
            rounds += 1
        work.result()
    assert [ledger.text(each) for each in said.values()] == ["p-0 was ill", *[None] * 11]
    assert ledger.verify() == ()
