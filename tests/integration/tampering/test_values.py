"""Values that no column of ours can hold, and what the commands say of them."""

from __future__ import annotations

import pytest

from tidegate.adapters.sql_record import SqlLedger
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.state import ROWS, ActorRow, VersionRow
from tidegate.testing.attacker import Attacker
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import Story

# ── values that no column of ours can hold ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("table", "column", "value", "expected"),
    [
        ("actors", "roles", "[", "got '[' in column roles of actors p-1, expected a JSON list of texts"),
        ("actors", "roles", "[1]", "got '[1]' in column roles of actors p-1, expected a JSON list of texts"),
        ("actors", "roles", '{"a":"b"}', "in column roles of actors p-1, expected a JSON list of texts"),
        ("actors", "kind", "robot", "got 'robot' in column kind of actors p-1, expected one of `person`, `service`"),
        ("versions", "stage", "Prod", "got 'Prod' in column stage of versions tides/1, expected one of `candidate`"),
        ("versions", "facts", "[]", "got '[]' in column facts of versions tides/1, expected a JSON object"),
        ("versions", "facts", "[" * 9_999, "in column facts of versions tides/1, expected a JSON object"),
        ("models", "tier", "", "got '' in column tier of models tides, expected one of `low`, `standard`, `high`"),
        ("batches", "verdict", "fine", "got 'fine' in column verdict of batches gauges/sha256:"),
    ],
)  # fmt: skip
def test_a_value_that_a_column_cannot_hold_is_a_sentence_and_verification_names_it(
    platform, table, column, value, expected
):
    platform.attacker.run(f"UPDATE {table} SET {column} = :value", value=value)
    kind = next(kind for kind in ROWS if table == kind.TABLE)
    with pytest.raises(DependencyFailed) as caught:
        platform.ledger.state().select(kind)
    assert caught.value.code == "state-unreadable"
    assert expected in caught.value.sentence
    assert "run `tidegate audit verify`" in caught.value.hint
    assert len(str(caught.value)) < 300
    found = platform.ledger.verify()
    assert found != ()
    assert all(fault.startswith(f"{table} ") and f": column {column} says " in fault for fault in found), (
        found
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("number = 'one'", "got 'one' in column number of versions tides/one, expected a whole number"),
        (
            "stage = CAST(stage AS BLOB)",
            "got b'candidate' in column stage of versions tides/1, expected one of",
        ),
        ("facts = x'ff'", r"got b'\xff' in column facts of versions tides/1, expected a JSON object"),
    ],
)
def test_a_value_of_another_type_than_its_columns_is_a_sentence(tmp_path, change, expected):
    url = f"sqlite:///{tmp_path}/record.db"
    ledger = SqlLedger(url, TickingClock(), CountingEntropy())
    Story(ledger).opened().with_data("2020-01").with_version()
    Attacker(url).run(f"UPDATE versions SET {change}")
    with pytest.raises(DependencyFailed) as caught:
        ledger.state().select(VersionRow)
    assert caught.value.code == "state-unreadable"
    assert caught.value.sentence.startswith(expected)


def test_bytes_that_are_no_text_are_named(tmp_path):
    url = f"sqlite:///{tmp_path}/record.db"
    ledger = SqlLedger(url, TickingClock(), CountingEntropy())
    Story(ledger).opened()
    Attacker(url).run("UPDATE actors SET kind = CAST(x'ff41' AS TEXT) WHERE id = 'p-3'")
    assert ledger.verify() == (r"actors p-3: column kind says '\udcffA', the ledger says 'person'",)
    with pytest.raises(DependencyFailed) as caught:
        ledger.state().select(ActorRow)
    assert caught.value.code == "ledger-unusable"


# ── at the command line ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def home(empty):
    """A home whose ledger is open, and a function that alters its database."""
    empty.json("user", "add", "Zoe Marlowe", "--role", "approver", "--as", "ada")
    return empty, Attacker(f"sqlite:///{empty.home}/record.db")


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["UPDATE actors SET roles = '['"], "actors p-1: column roles says '[', the ledger says"),
        (["DELETE FROM actors"], "actors p-1: the events wrote this row, but it is gone"),
        (["UPDATE credentials SET revoked = 1"], "credentials c-p-1: column revoked says 1, the ledger says 0"),
        (["ALTER TABLE actors RENAME COLUMN roles TO rolls"], "column actors.rolls: no migration made it"),
        (["ALTER TABLE head RENAME COLUMN clock TO tide"], "column head.tide: no migration made it"),
        (["ALTER TABLE events RENAME COLUMN body TO text"], "events: it cannot be read (no such column: events.body)"),
        (["DROP TABLE erasures"], "table erasures: it is gone"),
    ],
)  # fmt: skip
def test_whoever_alters_what_says_who_asks_keeps_nobody_from_verifying(home, statements, named):
    shell, attacker = home
    attacker.run(*statements)
    done = shell.run("audit", "verify")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"  {named}" in done.stdout
    assert done.stderr.startswith("refused: the ledger is not sound: ")


def test_a_stranger_is_refused_by_the_chain_too(home):
    shell, _ = home
    done = shell.run("audit", "verify", TIDEGATE_TOKEN="nobody's")
    assert done.returncode == 1
    assert "A2: got a token that belongs to no actor" in done.stderr


def test_a_value_that_cannot_be_read_is_one_sentence_and_the_way_on(home):
    shell, attacker = home
    attacker.run("UPDATE actors SET roles = '[' WHERE id = 'p-3'")
    done = shell.run("user", "list")
    assert done.returncode == 3
    assert done.stderr == (
        "failed: got '[' in column roles of actors p-3, expected a JSON list of texts\n"
        "  next: somebody altered the record: run `tidegate audit verify`, which names every row that was; "
        "restore a backup\n"
    )


def test_a_chain_whose_accounts_were_removed_gets_no_second_genesis(home):
    shell, attacker = home
    before = attacker.run("SELECT count(*) AS n FROM events")
    attacker.run("DELETE FROM actors", "DELETE FROM credentials")
    done = shell.run("user", "add", "Max", "--role", "approver", "--as", "ada")
    assert done.returncode == 1
    assert "A2: got a token that belongs to no actor" in done.stderr
    assert attacker.run("SELECT count(*) AS n FROM events") == before
