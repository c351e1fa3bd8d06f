"""Rows that come and go are named: of the chain, of the state, and of what lies beside."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from tidegate.adapters.sql_record import tables
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.events import Draft
from tidegate.domain.state import TextRow


def test_an_event_deleted_from_the_middle_is_named(platform):
    platform.attacker.unguard()
    platform.attacker.run("DELETE FROM events WHERE sequence = 10")
    found = platform.ledger.verify()
    assert "event 11: expected sequence 10; events are missing or out of order" in found
    assert "event 11: it does not follow the hash of event 9" in found
    assert "event 12: expected sequence 10; events are missing or out of order" not in found, (
        "one hole, named once"
    )


def test_an_event_deleted_from_the_middle_and_the_rest_renumbered_is_named(platform):
    platform.attacker.unguard()
    platform.attacker.run(
        "DELETE FROM events WHERE sequence = 10",
        "UPDATE events SET sequence = -sequence WHERE sequence > 10",
        "UPDATE events SET sequence = -sequence - 1 WHERE sequence < 0",
    )
    assert any(
        fault.startswith("event 11: column sequence says 10, the hashed body says 11")
        for fault in platform.ledger.verify()
    )


def test_an_inserted_event_is_named(platform):
    last = list(platform.ledger.events())[-1]
    forged = canonical({**json.loads(last.body), "sequence": last.sequence + 1, "actor": "p-9"}).decode()
    platform.attacker.run(
        "INSERT INTO events SELECT sequence + 1, stream, stream_sequence + 1, type, 'p-9', NULL, "
        "occurred_at, :previous, :hash, :body FROM events WHERE sequence = :last",
        previous="sha256:forged", hash=sha256(forged.encode()), body=forged, last=last.sequence,
    )  # fmt: skip
    found = platform.ledger.verify()
    assert f"event {last.sequence + 1}: it does not follow the hash of event {last.sequence}" in found
    assert any(fault.startswith("head: column sequence says") for fault in found)


@pytest.mark.parametrize("table", [table.name for table in tables.STATE.values()])
def test_a_deleted_row_of_state_is_named(on_sqlite, table):
    rows = on_sqlite.attacker.run(f"SELECT * FROM {table}")
    on_sqlite.attacker.run(f"DELETE FROM {table}")
    found = on_sqlite.ledger.verify()
    for row in rows:
        on_sqlite.attacker.run(sa.insert(tables.metadata.tables[table]).values(dict(row)))
    gone = [fault for fault in found if fault.startswith(f"{table} ") and "but it is gone" in fault]
    assert len(gone) == len(rows)


def test_a_missing_text_and_one_too_many_are_named(platform):
    name = next(event for event in platform.ledger.events() if event.payload.get("id") == "p-3")
    gone = name.payload["texts"]["name"]
    platform.attacker.run("DELETE FROM texts WHERE commitment = :gone", gone=gone)
    platform.attacker.run("INSERT INTO texts VALUES ('sha256:forged', '00')")
    assert set(platform.ledger.verify()) == {
        f"texts {gone[:19]}…: an event commits to it, but it is gone",
        "texts sha256:forged…: no event commits to it",
        "text_keys p-3: no text is kept under this key, but it is still there",
    }


@pytest.mark.parametrize("salt", [str.upper, "{} ".format, lambda _: "zz", lambda _: ""])
def test_a_salt_is_what_it_was_to_the_letter(platform, salt):
    changed = platform.attacker.resealed("Amir Spring", salt=salt)
    assert platform.ledger.verify() == (
        f"texts {changed[:19]}…: it is not the text that was committed to, or not under this key",
    )


def test_a_text_in_anothers_place_is_named_and_read_by_nobody(platform):
    events = [event for event in platform.ledger.events() if event.type == "actor.added"]
    one, other = (event.payload["texts"]["name"] for event in events[:2])
    platform.attacker.run(
        "UPDATE texts SET sealed = (SELECT sealed FROM texts WHERE commitment = :other) WHERE commitment = :one",
        one=one, other=other,
    )  # fmt: skip
    (found,) = platform.ledger.verify()
    assert found.startswith(f"texts {one[:19]}…: it is not the text that was committed to")
    with pytest.raises(DependencyFailed) as caught:
        platform.ledger.text(one)
    assert caught.value.code == "text-unreadable"


def test_a_key_that_is_gone_and_one_that_is_still_there_are_named(platform):
    (name,) = platform.ledger.state().select(TextRow, subject="p-3")
    (before,) = platform.attacker.run("SELECT * FROM text_keys WHERE subject = 'p-3'")
    platform.attacker.run("DELETE FROM text_keys WHERE subject = 'p-3'")
    assert platform.ledger.verify() == ("text_keys p-3: texts are kept under this key, but it is gone",)
    with pytest.raises(DependencyFailed, match="its key does not open"):
        platform.ledger.text(name.commitment)
    platform.attacker.run("INSERT INTO text_keys VALUES (:subject, :key)", **before)
    gone = {"subject": "p-3", "commitments": [name.commitment]}
    with platform.ledger.transaction() as tx:
        tx.append(Draft("text.erased", "ledger", "p-1", gone, {"reason": "He asked for it."}))
    assert platform.ledger.verify() == ()
    platform.attacker.run("INSERT INTO text_keys VALUES (:subject, :key)", **before)
    assert platform.ledger.verify() == (
        "text_keys p-3: no text is kept under this key, but it is still there",
    )


def test_a_text_that_was_erased_and_is_back_is_named(platform):
    (name,) = platform.ledger.state().select(TextRow, subject="p-3")
    kept = [platform.attacker.run(f"SELECT * FROM {table}") for table in ("texts", "text_keys")]
    gone = {"subject": "p-3", "commitments": [name.commitment]}
    with platform.ledger.transaction() as tx:
        tx.append(Draft("text.erased", "ledger", "p-1", gone, {"reason": "He asked for it."}))
    sealed_then = next(row["sealed"] for row in kept[0] if row["commitment"] == name.commitment)
    key_then = next(row["key"] for row in kept[1] if row["subject"] == "p-3")
    platform.attacker.run("INSERT INTO texts VALUES (:c, :s)", c=name.commitment, s=sealed_then)
    platform.attacker.run("INSERT INTO text_keys VALUES ('p-3', :k)", k=key_then)
    assert platform.ledger.verify() == (
        f"texts {name.commitment[:19]}…: an event erased it, but it is still there",
    )


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("texts", "sealed = sealed || ' '"),
        ("texts", "sealed = ''"),
        ("text_keys", "key = upper(key)"),
        ("text_keys", "key = key || '00'"),
        ("text_keys", "key = ''"),
        ("text_keys", "key = 'zz'"),
    ],
)
def test_what_is_sealed_and_its_key_are_what_they_were_to_the_letter(platform, table, change):
    platform.attacker.run(f"UPDATE {table} SET {change}")
    found = platform.ledger.verify()
    assert len(found) == len(platform.attacker.run("SELECT * FROM texts"))
    assert all("not the text that was committed to" in fault for fault in found)


def test_a_second_head_and_none_are_named(platform):
    platform.attacker.unguard()
    platform.attacker.run("INSERT INTO head SELECT 2, sequence, hash, clock FROM head")
    found = platform.ledger.verify()
    assert "head: there are 2 of them, expected one" in found
    assert "head: column id says 2, the chain says 1" in found
    platform.attacker.run("DELETE FROM head")
    assert "head: there are 0 of them, expected one" in platform.ledger.verify()
    with pytest.raises(DependencyFailed) as caught, platform.ledger.transaction():
        pass
    assert caught.value.code == "ledger-headless"
