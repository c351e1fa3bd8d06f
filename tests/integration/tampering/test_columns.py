"""Every column of every table is altered once, and named."""

from __future__ import annotations

import pytest

from tidegate.adapters.sql_record import tables
from tidegate.testing.attacker import other, told_on
from tidegate.testing.databases import new_database


@pytest.fixture(scope="module")
def on_postgres(postgres_url):
    with new_database(postgres_url) as url:  # of its own: the other tests empty theirs
        told = told_on(url)
        yield told
        assert set(told.ledger.verify()) == told.noise, "a test did not clean up behind itself"


STATE = [(table, column.name) for table in tables.STATE.values() for column in table.columns]
EVENTS = [(tables.events, column.name) for column in tables.events.columns]
BESIDE = [
    (table, column.name)
    for table in (tables.head, tables.texts, tables.text_keys)
    for column in table.columns
]
EVERYTHING = [*STATE, *EVENTS, *BESIDE, (tables.cursors, "sequence")]
#: On PostgreSQL: everything of the chain, and of each table of state the first column and the last but one.
SAMPLE = [
    *((table, [*table.columns][at].name) for table in tables.STATE.values() for at in (0, -2)),
    *EVENTS,
    *BESIDE,
    (tables.cursors, "sequence"),
]


def names(told, table, column):
    """Alter, verify, and say what is wrong with what verification says."""
    with told.attacker.altering(table, column) as before:
        found = [fault for fault in told.ledger.verify() if fault not in told.noise]
    key = [before[each.name] for each in table.primary_key]
    if table is tables.events:
        told_so = any(fault.startswith((f"event {key[0]}:", f"event {other(key[0])}:")) for fault in found)
    elif column in {each.name for each in table.primary_key} and table is not tables.head:
        none = "no text" if table is tables.text_keys else "no event"
        told_so = any(fault.startswith(f"{table.name} ") and none in fault for fault in found)
    elif table in {tables.texts, tables.text_keys}:
        told_so = any(fault.startswith("texts ") and "not the text" in fault for fault in found)
    else:
        told_so = any(fault.startswith(table.name) and f"column {column} says" in fault for fault in found)
    return None if told_so else f"{table.name}.{column}: {found}"


def ids(cases):
    return [f"{table.name}.{column}" for table, column in cases]


@pytest.mark.parametrize(("table", "column"), EVERYTHING, ids=ids(EVERYTHING))
def test_every_altered_column_is_named_on_sqlite(on_sqlite, table, column):
    assert names(on_sqlite, table, column) is None


@pytest.mark.parametrize(("table", "column"), SAMPLE, ids=ids(SAMPLE))
def test_every_altered_column_is_named_on_postgres(on_postgres, table, column):
    assert names(on_postgres, table, column) is None


def test_every_table_is_among_those_altered():
    covered = {table.name for table, _ in EVERYTHING}
    assert covered == set(tables.metadata.tables)


def test_a_renamed_cursor_only_repeats_effects_so_the_chain_does_not_hold_it(on_sqlite):
    with on_sqlite.attacker.altering(tables.cursors, "sink"):
        assert on_sqlite.ledger.cursor("aliases") == 0
        assert set(on_sqlite.ledger.verify()) == on_sqlite.noise


@pytest.mark.parametrize(
    ("table", "column", "value", "undo"),
    [
        ("policies", "in_force", "in_force * 2", "in_force / 2"),  # true to a reader, and to no query
        ("credentials", "revoked", "revoked + 1", "revoked - 1"),
        ("versions", "prod_sequence", "prod_sequence + 0.5", "CAST(prod_sequence AS INTEGER)"),
        ("versions", "stage", "CAST(stage AS BLOB)", "CAST(stage AS TEXT)"),
        ("models", "owner", "owner || char(0) || 'x'", "'harbour-office'"),
    ],
)
def test_a_value_of_another_type_is_named(on_sqlite, table, column, value, undo):
    on_sqlite.attacker.run(f"UPDATE {table} SET {column} = {value}")
    found = on_sqlite.ledger.verify()
    on_sqlite.attacker.run(f"UPDATE {table} SET {column} = {undo}")
    assert any(fault.startswith(f"{table} ") and f"column {column} says" in fault for fault in found), found


def test_a_repeated_row_is_named_where_the_key_was_dropped(platform):
    if not platform.url.startswith("sqlite"):
        platform.attacker.run("ALTER TABLE actors DROP CONSTRAINT actors_pkey")
    else:
        platform.attacker.run(
            "ALTER TABLE actors RENAME TO old", "CREATE TABLE actors AS SELECT * FROM old", "DROP TABLE old"
        )
    platform.attacker.run("INSERT INTO actors SELECT * FROM actors WHERE id = 'p-3'")
    *structure, repeated = platform.ledger.verify()
    assert repeated == "actors: 1 rows repeat the key of another"
    assert any(fault.startswith("constraint actors.") and "it is gone" in fault for fault in structure)
