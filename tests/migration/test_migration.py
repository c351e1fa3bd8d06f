"""The schema that migrations make is the schema that the code expects, and no other is touched."""

from __future__ import annotations

import re
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tidegate.adapters.sql_record import SqlLedger, tables
from tidegate.adapters.sql_record.cipher import opened as opened_text
from tidegate.adapters.sql_record.engine import KNOWN, REVISION, revision
from tidegate.adapters.sql_record.ledger import SqlTransaction
from tidegate.adapters.sql_record.structure import RECORD, recorded, structure
from tidegate.application.ports import Delivery
from tidegate.domain import events
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.events import EventType
from tidegate.domain.state import CredentialRow, MonitorRow, RunRow
from tidegate.testing.databases import emptied, new_database
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import Story

#: What a database says of its own schema, a line each.
DDL = {
    "sqlite": """
        SELECT type || ' ' || sql FROM sqlite_master
        WHERE sql IS NOT NULL AND name <> 'alembic_version' AND type <> 'trigger'
    """,
    "postgresql": """
        SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        UNION ALL SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' ||
            coalesce(column_default, '') FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name <> 'alembic_version'
        UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            AND conrelid::regclass::text <> 'alembic_version'
    """,
}


def opened(url):
    return SqlLedger(url, TickingClock(), CountingEntropy(), busy_seconds=2)


def schema(engine):
    """What the database says, a line each; SQLite repeats the words of whoever made a table."""
    with engine.connect() as connection:
        lines = connection.scalars(sa.text(DDL[engine.dialect.name])).all()
    if engine.dialect.name == "sqlite":
        lines = [" ".join(sorted(re.findall(r"[^\s,()\"]+", line))) for line in lines]
    return sorted(lines)


def test_a_fresh_schema_by_migration_is_the_one_the_code_declares(url):
    ledger = opened(url)
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, tables.metadata) == []


def test_it_is_so_to_the_last_index_and_constraint(url, tmp_path, request):
    ledger = opened(url)
    migrated = ledger.engine
    if migrated.dialect.name == "sqlite":
        declared = sa.create_engine(f"sqlite:///{tmp_path}/declared.db", poolclass=sa.NullPool)
        tables.metadata.create_all(declared)
        assert schema(migrated) == schema(declared)
    else:
        with new_database(request.getfixturevalue("postgres_url")) as other:
            declared = sa.create_engine(other, poolclass=sa.NullPool)
            for index in (index for table in tables.metadata.tables.values() for index in table.indexes):
                # The tables say it once, in SQLite's words: PostgreSQL's would import its dialect.
                index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
            tables.metadata.create_all(declared)
            assert schema(migrated) == schema(declared)


def test_it_is_what_verification_holds_every_database_against(url):
    ledger = opened(url)
    with ledger.engine.connect() as connection:
        made = structure(connection)
    assert made == recorded(ledger.engine.dialect.name), f"write {RECORD.name} anew: its module says how"


def test_the_database_is_at_the_revision_the_code_knows(url):
    ledger = opened(url)
    assert revision(ledger.engine) == REVISION == KNOWN[-1]
    opened(url)
    assert revision(ledger.engine) == REVISION


def test_the_database_itself_refuses_a_second_prod_version_policy_and_request(url):
    ledger = opened(url)
    story = Story(ledger).opened().with_version().in_prod(1).with_version()
    story.with_policy("2").requested(2, "staging")
    for statement in (
        "UPDATE versions SET stage = 'prod' WHERE number = 2",
        "UPDATE policies SET in_force = (1 = 1)",
        """
        INSERT INTO promotions SELECT id || 'x', model, version, source, target, requester, on_behalf_of,
        artifact, packet, policy, status, sequence, kind, due_at, chased, escalated_to
        FROM promotions WHERE status = 'open'
        """,
        "UPDATE head SET id = 2",
    ):
        with pytest.raises(sa.exc.IntegrityError), ledger.engine.begin() as connection:
            connection.exec_driver_sql(statement)
    for statement in (
        "UPDATE versions SET stage = 'prod' WHERE number = 1",
        "UPDATE versions SET stage = 'staging'",
        "UPDATE policies SET in_force = (1 = 0)",
    ):
        with ledger.engine.begin() as connection:
            connection.exec_driver_sql(statement)


def test_a_ledger_newer_than_the_code_is_refused_and_left_alone(url):
    ledger = opened(url)
    Story(ledger).opened()
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DependencyFailed) as caught:
        opened(url)
    assert caught.value.code == "ledger-newer"
    assert caught.value.sentence == f"got a ledger at schema 9999, expected at most {REVISION}"
    assert revision(ledger.engine) == "9999"
    assert ledger.verify() == ()


@pytest.mark.parametrize("content", [b"not a database\n" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path, content):
    file = tmp_path / "record.db"
    file.write_bytes(content)
    with pytest.raises(DependencyFailed) as caught:
        opened(f"sqlite:///{file}")
    assert caught.value.code == "ledger-unusable"
    assert "file is not a database" in caught.value.sentence
    assert file.read_bytes() == content


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(DependencyFailed) as caught:
        opened(f"sqlite:///{tmp_path}/nowhere/record.db")
    assert caught.value.code == "ledger-unusable"
    assert "unable to open database file" in caught.value.sentence


def test_a_database_of_somebody_else_is_refused_and_left_alone(tmp_path):
    import sqlite3

    with closing(sqlite3.connect(tmp_path / "record.db")) as theirs:
        theirs.execute("CREATE TABLE events (id TEXT)")
        theirs.commit()
    with pytest.raises(DependencyFailed) as caught:
        opened(f"sqlite:///{tmp_path}/record.db")
    assert caught.value.code == "ledger-unusable"
    with closing(sqlite3.connect(tmp_path / "record.db")) as theirs:
        assert theirs.execute("SELECT name FROM sqlite_master").fetchall() == [("events",)]


def test_a_server_that_is_not_there_is_a_sentence_without_its_password():
    with pytest.raises(DependencyFailed) as caught:
        opened("postgresql+psycopg://ada:hunter2@127.0.0.1:1/nothing")
    assert caught.value.code == "ledger-unusable"
    assert "hunter2" not in str(caught.value.as_dict())


@pytest.mark.parametrize(
    "address", ["mysql://ada:hunter2@host/x", "not an address hunter2", "", "oracle://x"]
)
def test_an_address_of_another_kind_is_bad_input_and_not_repeated(address):
    with pytest.raises(BadInput) as caught:
        opened(address)
    assert caught.value.code == "bad-address"
    assert "hunter2" not in str(caught.value.as_dict())


def test_an_address_without_a_driver_uses_ours(postgres_url):
    assert opened(emptied(postgres_url).replace("+psycopg", "")).verify() == ()


#: What the first cut of an event's payload did not have, per type; and what its tables did not.
YOUNGER = {
    "batch.accepted": ("revision", "supersedes", "touches"),
    "features.built": ("batches",),
    "features.materialized": ("newest",),
    "training_set.built": ("read",),
    "decisions.scored": ("stage", "of", "freshness", "read"),
    "monitor.ran": ("outcomes",),
    "packet.sealed": ("envelope",),
    "promotion.requested": ("kind", "due_at"),
    "promotion.approved": ("for_whom", "conditions"),
    "promotion.applied": ("kind", "conditions", "certified_until"),
    "review.opened": ("kind",),
}
THIRD_CUT = """
    ALTER TABLE versions DROP COLUMN conditions; ALTER TABLE versions DROP COLUMN certified_until;
    ALTER TABLE versions DROP COLUMN certified_sequence;
    ALTER TABLE feature_views DROP COLUMN batches; ALTER TABLE feature_views DROP COLUMN objective;
    ALTER TABLE feature_views DROP COLUMN newest; ALTER TABLE scorings DROP COLUMN freshness;
    ALTER TABLE packets DROP COLUMN envelope; ALTER TABLE reviews DROP COLUMN kind;
    ALTER TABLE promotions DROP COLUMN kind; ALTER TABLE promotions DROP COLUMN due_at;
    ALTER TABLE promotions DROP COLUMN chased; ALTER TABLE promotions DROP COLUMN escalated_to;
    ALTER TABLE approvals DROP COLUMN for_whom; ALTER TABLE approvals DROP COLUMN conditions;
    ALTER TABLE approvals DROP COLUMN revoked; DROP TABLE policy_proposals; DROP TABLE policy_decisions;
    DROP TABLE delegations; DROP TABLE waivers; DROP TABLE parities; DROP TABLE incidents; DROP TABLE erasures;
    DROP TABLE commitments; DROP TABLE feature_access; DROP TABLE read_segments; DROP TABLE pushes;
    DROP TABLE feature_statistics; DROP TABLE feature_drifts;
    DROP TABLE erased_files; DROP TABLE erased_subjects;
    ALTER TABLE batches DROP COLUMN erased;
    ALTER TABLE credentials DROP COLUMN revoked_at;
    ALTER TABLE cursors DROP COLUMN failures; ALTER TABLE cursors DROP COLUMN error;
    ALTER TABLE cursors DROP COLUMN retry_at; ALTER TABLE scorings DROP COLUMN "of"; DROP INDEX events_by_time;
    UPDATE alembic_version SET version_num = '0003'
"""
FIRST_CUT = """
    ALTER TABLE batches DROP COLUMN revision; ALTER TABLE batches DROP COLUMN supersedes;
    ALTER TABLE batches DROP COLUMN touches; ALTER TABLE batches DROP COLUMN superseded_by;
    ALTER TABLE scorings DROP COLUMN stage; ALTER TABLE monitor_runs DROP COLUMN outcomes;
    ALTER TABLE monitor_runs DROP COLUMN occurred_at;
    ALTER TABLE reviews DROP COLUMN followed; DROP TABLE canary_analyses; DROP TABLE runs;
    UPDATE alembic_version SET version_num = '0001'
"""


def with_plain_texts(connection):
    """Before they were encrypted, texts lay there with their salts."""
    keys = dict(connection.exec_driver_sql("SELECT subject, key FROM text_keys").all())
    owners = dict(connection.exec_driver_sql("SELECT commitment, subject FROM commitments").all())
    kept = connection.exec_driver_sql("SELECT commitment, sealed FROM texts").all()
    for table in ("texts", "text_keys"):
        connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql("CREATE TABLE texts (commitment TEXT PRIMARY KEY, salt TEXT, body TEXT)")
    for commitment, sealed in kept:
        salt, body = opened_text(keys[owners[commitment]], commitment, sealed)
        plain = {"commitment": commitment, "salt": salt, "body": body}
        connection.execute(sa.text("INSERT INTO texts VALUES (:commitment, :salt, :body)"), plain)


@contextmanager
def first_cut(monkeypatch):
    """Write events as the first cut did."""

    def first(drafted):
        payload = {
            name: value
            for name, value in drafted.payload.items()
            if name not in YOUNGER.get(drafted.type, ())
        }
        if drafted.type == "version.registered":
            facts = {
                name: value
                for name, value in payload["facts"].items()
                if name not in {"prediction", "base_rate"}
            }
            payload["facts"] = facts
        return replace(drafted, payload=payload)

    with monkeypatch.context() as then:
        # While it is written every event is read as what it will be read as later.
        then.setattr(events, "open_body", lifted(events.open_body))
        then.setattr(events, "SCHEMA_VERSIONS", dict.fromkeys(EventType, 1))
        append = SqlTransaction.append
        then.setattr(SqlTransaction, "append", lambda tx, drafted: append(tx, first(drafted)))
        yield


def test_a_ledger_of_the_first_cut_is_migrated_and_is_still_what_it_folds_to(url, monkeypatch):
    ledger = opened(url)
    with first_cut(monkeypatch):
        story = Story(ledger).opened().with_data("2020-01").with_features("2020-02-01T00:00:00Z")
        story.with_version().in_prod(1)
        story.scored("2020-02", 1).monitored("2020-02", 1, "failed")
    ledger.advance("registry", 3)
    with ledger.engine.begin() as connection:
        with_plain_texts(connection)
        for statement in (*THIRD_CUT.split(";"), *FIRST_CUT.split(";")):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(
            "UPDATE versions SET facts = replace(facts, ',\"prediction\":\"probability\"', '')"
        )
        connection.exec_driver_sql("UPDATE versions SET facts = replace(facts, '\"base_rate\":null,', '')")
    ledger.engine.dispose()
    migrated = opened(url)
    assert revision(migrated.engine) == REVISION
    assert {event.schema_version for event in migrated.events()} == {1}
    assert migrated.delivery("registry") == Delivery(3)
    assert migrated.verify() == ()


def test_rows_that_did_not_say_when_they_were_recorded_have_it_from_the_chain(url, monkeypatch):
    ledger = opened(url)
    with first_cut(monkeypatch):
        story = Story(ledger).opened().with_data("2020-01").with_version().in_prod(1)
        story.scored("2020-02", 1).monitored("2020-02", 1).ran("score", "2020-03-01T06:30:00Z")
    with ledger.engine.begin() as connection:
        with_plain_texts(connection)
        for statement in (
            *THIRD_CUT.split(";"),
            "ALTER TABLE monitor_runs DROP COLUMN occurred_at",
            "ALTER TABLE runs DROP COLUMN occurred_at",
            "UPDATE alembic_version SET version_num = '0002'",
        ):
            connection.exec_driver_sql(statement)
    ledger.engine.dispose()
    migrated = opened(url)
    assert revision(migrated.engine) == REVISION
    assert migrated.verify() == ()
    moments = {event.sequence: event.occurred_at for event in migrated.events()}
    rows = [*migrated.state().select(MonitorRow), *migrated.state().select(RunRow)]
    assert [row.occurred_at for row in rows] == [moments[row.sequence] for row in rows]
    assert len(rows) == 2


def test_a_ledger_of_the_third_cut_has_its_texts_encrypted_and_nothing_of_them_left_in_plain(url, tmp_path):
    ledger = opened(url)
    note = {"action": "approve", "subject": {}, "reasons": []}
    Story(ledger).opened()._append("action.refused", "n", "p-3", note, {"reason": "Sandbanks\nshift"})
    Story(ledger).with_revoked("p-4")
    told = list(ledger.events())
    with ledger.engine.begin() as connection:
        with_plain_texts(connection)
        orphan = {"c": "sha256:" + "0" * 64, "s": "00", "b": "Nobody Knows"}
        connection.execute(sa.text("INSERT INTO texts VALUES (:c, :s, :b)"), orphan)
        for statement in THIRD_CUT.split(";"):
            connection.exec_driver_sql(statement)
    ledger.engine.dispose()
    migrated = opened(url)
    assert migrated.verify() == ()
    assert list(migrated.events()) == told
    names = {
        event.payload["id"]: migrated.text(event.payload["texts"]["name"])
        for event in told
        if event.type == "actor.added"
    }
    assert (names["p-3"], names["s-6"]) == ("Amir Spring", "svc-rollout")
    assert migrated.text(told[-2].payload["texts"]["reason"]) == "Sandbanks\nshift"
    revoked = {row.id: row.revoked_at for row in migrated.state().select(CredentialRow)}
    assert (revoked["c-p-4"], revoked["c-p-3"]) == (told[-1].occurred_at, "")
    assert migrated.text(orphan["c"]) is None, "no event commits to it: nobody can say whose it is"
    if migrated.engine.dialect.name == "sqlite":
        found = b"".join(path.read_bytes() for path in tmp_path.glob("record.db*"))
        assert told[0].hash.encode() in found, "these are the right bytes"
        assert not any(word in found for word in (b"Amir Spring", b"Sandbanks", b"Nobody Knows"))


def lifted(open_body):
    """Read a body with the catalogue of today, whatever version is being written."""
    today = dict(events.SCHEMA_VERSIONS)

    def read(body):
        written = events.SCHEMA_VERSIONS
        events.SCHEMA_VERSIONS = today
        try:
            return open_body(body)
        finally:
            events.SCHEMA_VERSIONS = written

    return read
