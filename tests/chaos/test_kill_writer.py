"""A writer that is killed takes nothing with it but its own unfinished work."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from tidegate.adapters.clocks import SystemClock
from tidegate.adapters.sql_record import SqlLedger
from tidegate.adapters.system_entropy import SystemEntropy
from tidegate.domain.events import Draft, EventType

OPEN = """
import sys, time
from tidegate.adapters.clocks import SystemClock
from tidegate.adapters.sql_record import SqlLedger
from tidegate.adapters.system_entropy import SystemEntropy
from tidegate.domain.events import Draft, EventType

ledger = SqlLedger(sys.argv[1], SystemClock(), SystemEntropy())

def actor(tx, name):
    payload = {"id": name, "kind": "person", "subject": name, "roles": ["approver"]}
    return tx.append(Draft(EventType.ACTOR_ADDED, "actors", "p-1", payload, {"name": f"Somebody {name}"}))
"""

#: Appends three events in a transaction that never ends.
HALFWAY = (
    OPEN
    + """
with ledger.transaction() as tx:
    for number in range(3):
        actor(tx, f"lost-{number}")
    print("halfway", flush=True)
    time.sleep(600)
"""
)

#: Appends two events a transaction, forever, and says so after each commit.
BUSY = (
    OPEN
    + """
number = 0
while True:
    with ledger.transaction() as tx:
        actor(tx, f"a-{number}")
        last = actor(tx, f"b-{number}")
    number += 1
    print(last.sequence, flush=True)
"""
)


def start(code, url):
    return subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True)


def kill(process):
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=30) == -signal.SIGKILL
    process.stdout.close()


def add(ledger, name):
    payload = {"id": name, "kind": "person", "subject": name, "roles": ["approver"]}
    with ledger.transaction() as tx:
        return tx.append(Draft(EventType.ACTOR_ADDED, "actors", "p-1", payload, {"name": f"Somebody {name}"}))


def test_a_writer_killed_halfway_leaves_what_was_there_before(url):
    ledger = SqlLedger(url, SystemClock(), SystemEntropy(), busy_seconds=10)
    before = [add(ledger, f"p-{number}") for number in range(3)]
    writer = start(HALFWAY, url)
    assert writer.stdout.readline() == "halfway\n"
    assert list(ledger.events()) == before, "nobody sees half a transaction"
    kill(writer)
    assert ledger.verify() == ()
    began = time.monotonic()
    after = add(ledger, "p-3")
    assert time.monotonic() - began < 10, "the lock went with the writer"
    assert (after.sequence, after.previous) == (4, before[-1].hash)
    assert ledger.verify() == ()


def test_a_writer_killed_anywhere_loses_nothing_it_was_told_is_kept(url):
    committed = 0
    for after in (1, 4, 9):
        writer = start(BUSY, url)
        for _ in range(after):
            committed = int(writer.stdout.readline())
        kill(writer)  # somewhere in the transactions that follow
        ledger = SqlLedger(url, SystemClock(), SystemEntropy(), busy_seconds=10)
        events = list(ledger.events())
        assert ledger.verify() == ()
        assert len(events) >= committed, "what was said to be kept is kept"
        assert len(events) % 2 == 0, "a transaction is there whole or not at all"
        assert events[-1].sequence == len(events)


def test_a_process_killed_while_it_creates_the_ledger_is_no_hindrance(url):
    code = OPEN.replace("ledger = SqlLedger", "print('now', flush=True)\nledger = SqlLedger")
    for delay in (0.0, 0.05, 0.15):
        creator = start(code, url)
        assert creator.stdout.readline() == "now\n"
        time.sleep(delay)
        creator.kill()
        creator.wait(timeout=30)
        creator.stdout.close()
    ledger = SqlLedger(url, SystemClock(), SystemEntropy(), busy_seconds=10)
    assert add(ledger, "p-1").sequence == 1
    assert ledger.verify() == ()
