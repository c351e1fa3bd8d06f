"""The database itself: its guards refuse, and every altered part of its structure is named."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tidegate.adapters.sql_record import SqlLedger
from tidegate.testing.attacker import UNGUARD, Attacker
from tidegate.testing.databases import emptied
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import Story


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'p-9' WHERE sequence = 3",
        "UPDATE events SET sequence = 999 WHERE sequence = 3",
        "UPDATE events SET actor = actor",
        "DELETE FROM events WHERE sequence = 3",
        "DELETE FROM events",
    ],
)
def test_the_database_itself_refuses_to_change_or_remove_events(platform, statement):
    with pytest.raises(sa.exc.DBAPIError, match="the ledger is append-only"):
        platform.attacker.run(statement)
    assert platform.ledger.verify() == ()


@pytest.mark.parametrize("statement", ["TRUNCATE events", "TRUNCATE events CASCADE"])
def test_postgres_refuses_to_truncate(postgres_url, statement):
    ledger = SqlLedger(emptied(postgres_url), TickingClock(), CountingEntropy())
    Story(ledger).opened()
    with pytest.raises(sa.exc.DBAPIError, match="the ledger is append-only"):
        Attacker(postgres_url).run(statement)
    assert ledger.verify() == ()


@pytest.mark.parametrize(
    "unique", ["sequence", "hash", "previous", "stream, stream_sequence", "idempotency_key"]
)
def test_sqlite_refuses_to_replace_by_any_unique_key(tmp_path, unique):
    url = f"sqlite:///{tmp_path}/record.db"
    ledger = SqlLedger(url, TickingClock(), CountingEntropy())
    Story(ledger).opened().with_unreadable_drop("2020-01")
    row = dict(Attacker(url).run("SELECT * FROM events WHERE idempotency_key IS NOT NULL")[0])
    fresh = {name: 999 if isinstance(value, int) else f"{value}x" for name, value in row.items()}
    same = {name: row[name] for name in unique.split(", ")}
    columns = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    with pytest.raises(sa.exc.DBAPIError, match="the ledger is append-only"):
        Attacker(url).run(f"INSERT OR REPLACE INTO events ({columns}) VALUES ({values})", **{**fresh, **same})
    assert ledger.verify() == ()


HOLLOW = {
    "sqlite": (
        "DROP TRIGGER events_refuse_update",
        "CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events BEGIN SELECT 'the ledger is append-only'; END",
    ),
    "postgresql": (
        """
        CREATE OR REPLACE FUNCTION events_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RETURN NEW; END $$
        """,
    ),
}
#: On both databases: what is done to the structure, and all that verification then says (how each begins).
RESTRUCTURED = {
    "an extra trigger": (
        {
            "sqlite": ("CREATE TRIGGER helpful AFTER INSERT ON actors BEGIN DELETE FROM approvals; END",),
            "postgresql": (
                "CREATE TRIGGER helpful AFTER INSERT ON actors FOR EACH ROW EXECUTE FUNCTION events_refuse()",
            ),
        },
        ["trigger actors.helpful: no migration made it, got `CREATE TRIGGER helpful AFTER INSERT ON actors"],
    ),
    "a dropped unique index": (
        ("DROP INDEX one_prod_version",),
        ["index versions.one_prod_version: it is gone, expected `CREATE UNIQUE INDEX one_prod_version ON versions"],
    ),
    "an index that is unique no more": (
        ("DROP INDEX one_prod_version", "CREATE INDEX one_prod_version ON versions (model) WHERE stage = 'prod'"),
        ["index versions.one_prod_version: it was altered, got `CREATE INDEX one_prod_version ON versions"],
    ),
    "an index over fewer rows": (
        (
            "DROP INDEX one_prod_version",
            "CREATE UNIQUE INDEX one_prod_version ON versions (model) WHERE stage = 'prod' AND number > 9",
        ),
        ["index versions.one_prod_version: it was altered, got `CREATE UNIQUE INDEX one_prod_version ON versions"],
    ),
    "an extra column": (
        ("ALTER TABLE actors ADD COLUMN note TEXT",),
        ["column actors.note: no migration made it, got `"],
    ),
    "an extra table": (
        ("CREATE TABLE notes (id BIGINT)",),
        ["table notes: no migration made it, got `table`"],
    ),
    "an extra view": (
        ("CREATE VIEW everybody AS SELECT id FROM actors",),
        ["view everybody: no migration made it, got `view"],
    ),
    "a table that is gone": (("DROP TABLE runs",), ["table runs: it is gone", "runs: it cannot be read ("]),
    "texts that are a view": (
        ("ALTER TABLE texts RENAME TO kept", "CREATE VIEW texts AS SELECT commitment, sealed FROM kept"),
        ["table texts: it was altered, got `view ", "table kept: no migration made it"],
    ),
    "a view without the columns": (
        ("DROP TABLE text_keys", "CREATE VIEW text_keys AS SELECT 1 AS one"),
        ["table text_keys: it was altered, got `view", "texts: it cannot be read ("],
    ),
    "events that are a view": (
        ("ALTER TABLE events RENAME TO kept", "CREATE VIEW events AS SELECT hash FROM kept"),
        ["table events: it was altered, got `view", "index events.events_by_", "trigger events.",
         "table kept: ", "index kept.", "trigger kept.",
         "events: it cannot be read ("],
    ),
    "another column's name": (
        ("ALTER TABLE head RENAME COLUMN clock TO tide",),
        ["column head.clock: it is gone", "column head.tide: no migration made it", "head: it cannot be read ("],
    ),
}  # fmt: skip


@pytest.fixture
def restructured(platform):
    """A function that has an attacker alter the structure, and returns what verification says of it."""

    def altered(statements):
        dialect = platform.ledger.engine.dialect.name
        platform.attacker.run(*(statements[dialect] if isinstance(statements, dict) else statements))
        return platform.ledger.verify()

    return altered


@pytest.mark.parametrize("how", RESTRUCTURED)
def test_every_altered_part_of_the_structure_is_named_and_nothing_else(restructured, how):
    statements, expected = RESTRUCTURED[how]
    found = restructured(statements)
    unnamed = [each for each in expected if not any(fault.startswith(each) for fault in found)]
    assert unnamed == [], found
    assert [fault for fault in found if not fault.startswith(tuple(expected))] == []


def test_a_guard_that_is_gone_is_named(restructured, platform):
    assert platform.ledger.verify() == ()
    (found,) = restructured({name: statements[:1] for name, statements in UNGUARD.items()})
    assert found.startswith("trigger events.events_refuse_")
    assert "it is gone, expected `CREATE TRIGGER events_refuse_" in found


def test_a_guard_that_guards_nothing_any_more_is_named(restructured, platform):
    (found,) = restructured(HOLLOW)
    part = {"sqlite": "trigger events.events_refuse_update", "postgresql": "function events_refuse()"}
    assert found.startswith(f"{part[platform.ledger.engine.dialect.name]}: it was altered, got `CREATE ")
    platform.attacker.run("UPDATE events SET actor = 'p-9' WHERE sequence = 3")
    assert "event 3: column actor says 'p-9', the hashed body says 'p-1'" in platform.ledger.verify()


def test_the_search_goes_on_behind_an_altered_structure(restructured, platform):
    platform.attacker.run("UPDATE versions SET stage = 'prod'")
    found = restructured(("ALTER TABLE head RENAME COLUMN clock TO tide", "DROP TABLE runs"))
    assert {fault.split(" (")[0] for fault in found if "cannot be read" in fault} == {
        "head: it cannot be read",
        "runs: it cannot be read",
    }
    assert "versions tides/1: column stage says 'prod', the ledger says 'candidate'" in found


def test_a_database_that_somebody_analysed_is_sound(restructured):
    assert restructured(("ANALYZE",)) == ()


POSTGRES_ALONE = {
    "a guard that is switched off": (
        "ALTER TABLE events DISABLE TRIGGER USER",
        ["trigger events.events_refuse_change: it was altered, got", "trigger events.events_refuse_truncate: it was"],
    ),
    "a guard for replicas": (
        "ALTER TABLE events ENABLE REPLICA TRIGGER events_refuse_change",
        ["trigger events.events_refuse_change: it was altered"],
    ),
    "a rule": (
        "CREATE RULE quietly AS ON INSERT TO approvals DO INSTEAD NOTHING",
        ["rule approvals.quietly: no migration made it, got `CREATE RULE quietly"],
    ),
    "rows that are hidden": (
        "ALTER TABLE approvals ENABLE ROW LEVEL SECURITY",
        ["table approvals: it was altered, got `table ROW LEVEL SECURITY`, expected `table`"],
    ),
    "rows of another table": (
        "CREATE TABLE more () INHERITS (events)",
        ["table events: it was altered, got `table INHERITED BY more`", "table more: no migration made it"],
    ),
    "a table that no crash survives": (
        "ALTER TABLE approvals SET UNLOGGED",
        ["table approvals: it was altered, got `table UNLOGGED`, expected `table`"],
    ),
    "another type": (
        "ALTER TABLE versions ALTER COLUMN number TYPE INTEGER",
        ["column versions.number: it was altered, got `integer NOT NULL`, expected `bigint NOT NULL`"],
    ),
    "a default": (
        "ALTER TABLE approvals ALTER COLUMN revoked SET DEFAULT false",
        ["column approvals.revoked: it was altered, got `boolean NOT NULL DEFAULT false`"],
    ),
    "a fork": (
        "ALTER TABLE events DROP CONSTRAINT events_previous_key",
        ["constraint events.events_previous_key: it is gone, expected `UNIQUE (previous)`"],
    ),
    "a second head": (
        "ALTER TABLE head DROP CONSTRAINT one_head",
        ["constraint head.one_head: it is gone, expected `CHECK (id = 1)`"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", POSTGRES_ALONE)
def test_what_postgres_alone_can_alter_is_named(postgres_url, how):
    statement, expected = POSTGRES_ALONE[how]
    ledger = SqlLedger(emptied(postgres_url), TickingClock(), CountingEntropy())
    Story(ledger).opened()
    Attacker(postgres_url).run(statement)
    found = ledger.verify()
    assert len(found) == len(expected), found
    assert [each for each in expected if not any(fault.startswith(each) for fault in found)] == []


def test_what_an_extension_brought_is_nobodys_alteration(postgres_url):
    ledger = SqlLedger(emptied(postgres_url), TickingClock(), CountingEntropy())
    Attacker(postgres_url).run("CREATE EXTENSION IF NOT EXISTS pgcrypto")
    assert ledger.verify() == ()


def test_sqlite_tables_that_only_spell_the_same_otherwise_are_sound(tmp_path):
    url = f"sqlite:///{tmp_path}/record.db"
    ledger = SqlLedger(url, TickingClock(), CountingEntropy())
    Attacker(url).run(
        "DROP TABLE texts",
        'CREATE TABLE "texts" (sealed TEXT NOT NULL, -- text\n"commitment" TEXT  NOT NULL, PRIMARY KEY(commitment))',
    )
    assert ledger.verify() == ()
