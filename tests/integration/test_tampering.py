"""Whoever may write to the database may change anything in it. Here they do, and are found out."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from tidegate.adapters.ed25519_signer import Ed25519Signer
from tidegate.adapters.git_notes import GitNotes
from tidegate.adapters.sql_record import SqlLedger, tables
from tidegate.adapters.sql_record.cipher import opened, sealed
from tidegate.adapters.sql_record.ledger import put
from tidegate.application import audit
from tidegate.application.platform import Acting
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.events import Draft
from tidegate.domain.fold import StateView, replay
from tidegate.domain.state import ROWS, ActorRow, TextRow, VersionRow
from tidegate.testing.databases import emptied, new_database
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import Story, whole_story

UNGUARD = {
    "sqlite": (
        "DROP TRIGGER events_refuse_update",
        "DROP TRIGGER events_refuse_delete",
        "DROP TRIGGER events_refuse_replace",
    ),
    "postgresql": (
        "DROP TRIGGER events_refuse_change ON events",
        "DROP TRIGGER events_refuse_truncate ON events",
        "ALTER TABLE head DROP CONSTRAINT one_head",
    ),
}


class Attacker:
    """Somebody with the database's own password, and none of our code in the way."""

    def __init__(self, url):
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)

    def run(self, *statements, **values):
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
            for statement in statements:
                done = connection.execute(
                    sa.text(statement) if isinstance(statement, str) else statement, values
                )
            return done.mappings().all() if done.returns_rows else done.rowcount

    def unguard(self):
        self.run(*UNGUARD[self._engine.dialect.name])

    def resealed(self, old, text=None, salt=None):
        """Put another text in the place of one, or another salt, encrypted with the key that lies there."""
        keys = {row["subject"]: row["key"] for row in self.run(sa.select(tables.text_keys))}
        owners = {row["commitment"]: row["subject"] for row in self.run(sa.select(tables.STATE[TextRow]))}
        for row in self.run(sa.select(tables.texts)):
            key, commitment = keys[owners[row["commitment"]]], row["commitment"]
            was, said = opened(key, commitment, row["sealed"])
            if said == old:
                new = sealed(key, commitment, salt(was) if salt else was, text or said)
                assert self.run("UPDATE texts SET sealed = :new WHERE commitment = :c", new=new, c=commitment)
                return commitment
        raise AssertionError(f"nobody said {old}")

    @contextmanager
    def altering(self, table, column):
        """Change ``column`` in the newest row of ``table``, and change it back."""
        order = table.c.sequence.desc() if "sequence" in table.c else next(iter(table.primary_key))
        # Of the events one in the middle: the last one has nobody behind it who would notice.
        offset = 40 if table is tables.events else 0
        before = dict(self.run(sa.select(table).order_by(order).limit(1).offset(offset))[0])
        after = {**before, column: other(before[column])}
        keys = [each.name for each in table.primary_key]

        def change(old, new):
            where = [table.c[name] == old[name] for name in keys]
            assert self.run(sa.update(table).where(*where).values({column: new[column]})) == 1

        change(before, after)
        yield before
        change(after, before)


def other(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1000
    return f"{value}x"


def told_on(url):
    ledger = SqlLedger(url, TickingClock(), CountingEntropy())
    whole_story(ledger)
    ledger.advance("aliases", 7)
    assert ledger.verify() == ()
    attacker = Attacker(url)
    attacker.unguard()
    return SimpleNamespace(ledger=ledger, attacker=attacker, noise=set(ledger.verify()))


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory):
    told = told_on(f"sqlite:///{tmp_path_factory.mktemp('told')}/record.db")
    yield told
    assert set(told.ledger.verify()) == told.noise, "a test did not clean up behind itself"


@pytest.fixture(scope="module")
def on_postgres(postgres_url):
    with new_database(postgres_url) as url:  # of its own: the other tests empty theirs
        told = told_on(url)
        yield told
        assert set(told.ledger.verify()) == told.noise, "a test did not clean up behind itself"


@pytest.fixture
def platform(url, tmp_path):
    """As much of a platform as an audit needs, with a short story told."""
    ledger = SqlLedger(url, TickingClock(), CountingEntropy())
    Story(ledger).opened().with_data("2020-01").with_version().refused()
    signer = Ed25519Signer(tmp_path / "keys" / "ledger.pem")
    return SimpleNamespace(
        url=url, ledger=ledger, clock=TickingClock(), signer=signer, assurance="local", attacker=Attacker(url)
    )


@pytest.fixture
def anchored(platform, tmp_path):
    """An anchor and a public key, taken away before anything happens."""
    admin = Acting(ActorRow("p-1", "person", "p-1", ("administrator",), 1))
    anchor, key = tmp_path / "anchor.json", tmp_path / "ledger.pub"
    anchor.write_text(json.dumps(audit.anchor(platform, admin)))
    key.write_text(platform.signer.public_key)
    return anchor, key


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


# ── what SQLite alone lets one store ──────────────────────────────────────────────────────────────


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


# ── bodies that nobody of ours wrote ──────────────────────────────────────────────────────────────


def rehashed(change):
    """A change of a body that recomputes the hash, as an attacker would."""

    def apply(body):
        changed = change(body)
        return changed, sha256(changed.encode())

    return apply


def within(**fields):
    return rehashed(lambda body: canonical({**json.loads(body), **fields}).decode())


BODIES = {
    "nothing": lambda _: ("", sha256(b"")),
    "no object": rehashed(lambda _: "[]"),
    "null": rehashed(lambda _: "null"),
    "an empty object": rehashed(lambda _: "{}"),
    "half a body": rehashed(lambda body: body[:100]),
    "deep nesting": rehashed(lambda _: "[" * 100_000),
    "a newer envelope": within(envelope="tg.event/2"),
    "a newer type": within(type="model.cloned"),
    "a newer payload": within(schema_version=99),
    "a sequence of text": within(sequence="30"),
    "a sequence of an earlier event": within(sequence=1),
    "another stream's number": within(stream_sequence=77),
    "a payload of text": within(payload="text"),
    "an empty payload": within(payload={}),
    "texts that are a number": within(payload={"texts": 5}),
    "texts that are objects": within(payload={"texts": {"name": {}}}),
    "another actor": within(actor="p-9"),
    "added space": rehashed(lambda body: body.replace(",", ", ", 1)),
    "a repeated field": rehashed(lambda body: body.replace('{"actor":', '{"actor":"p-9","actor":', 1)),
    "half a character": rehashed(lambda body: body.replace('"clock":', '"\\ud800":1,"clock":', 1)),
}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # what reads a body is the same on both
@pytest.mark.parametrize("how", BODIES)
def test_a_body_that_nobody_of_ours_wrote_is_named_and_ends_no_search(platform, anchored, how):
    platform.attacker.unguard()
    victim = list(platform.ledger.events())[9]
    body, digest = BODIES[how](victim.body)
    platform.attacker.run(
        "UPDATE events SET body = :body, hash = :hash WHERE sequence = 10", body=body, hash=digest
    )
    platform.attacker.resealed("Ada Winter", "also")
    _, found = audit.verify(platform, *anchored)
    assert any(fault.startswith(("event 10:", "event 1: expected", "event 30:")) for fault in found), found
    assert any("not the text that was committed to" in fault for fault in found), "the search went on"


def test_a_body_that_is_no_text_at_all_is_named(on_sqlite):
    before = on_sqlite.attacker.run("SELECT body FROM events WHERE sequence = 12")[0]["body"]
    on_sqlite.attacker.run("UPDATE events SET body = x'ff00' WHERE sequence = 12")
    found = on_sqlite.ledger.verify()
    on_sqlite.attacker.run("UPDATE events SET body = :body WHERE sequence = 12", body=before)
    assert any(fault.startswith("event 12: its body cannot be read") for fault in found), found


# ── rows that come and go ─────────────────────────────────────────────────────────────────────────


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


# ── what only an anchor finds ─────────────────────────────────────────────────────────────────────


def test_an_anchored_ledger_that_only_grew_is_sound(platform, anchored):
    Story(platform.ledger).refused()
    assert audit.verify(platform, *anchored) == (len(list(platform.ledger.events())), ())


def cut(platform, keep):
    """Remove the tail and everything that tells of it: events, state, texts, head."""
    platform.attacker.unguard()
    kept = list(platform.ledger.events())[:keep]
    state = replay(kept)
    subjects = {row.subject for row in StateView(state).select(TextRow)}
    texts = {each for event in kept for each in event.payload.get("texts", {}).values()}
    platform.attacker.run(f"DELETE FROM events WHERE sequence > {keep}")
    platform.attacker.run(sa.delete(tables.texts).where(tables.texts.c.commitment.not_in(texts)))
    platform.attacker.run(sa.delete(tables.text_keys).where(tables.text_keys.c.subject.not_in(subjects)))
    with platform.ledger.engine.begin() as connection:
        for table in tables.STATE.values():
            connection.execute(sa.delete(table))
        for rows in state.tables.values():
            for row in rows.values():
                put(connection, row)
    return kept[-1]


def besides_structure(found):
    return [fault for fault in found if not fault.startswith(("trigger ", "constraint "))]


def test_a_cut_tail_is_named_by_the_head(platform):
    last = cut(platform, keep=15)
    found = besides_structure(platform.ledger.verify())
    assert any(fault.endswith("the chain says 15") for fault in found)
    assert all(fault.startswith("head: ") for fault in found), "everything else was tidied away"
    assert last.sequence == 15


def test_a_cut_tail_with_a_mended_head_is_found_by_the_anchor_alone(platform, anchored):
    length = len(list(platform.ledger.events()))
    last = cut(platform, keep=15)
    platform.attacker.run("UPDATE head SET sequence = 15, hash = :hash", hash=last.hash)
    assert besides_structure(platform.ledger.verify()) == []
    count, found = audit.verify(platform, *anchored)
    assert count == 15
    assert besides_structure(found) == [
        f"anchor anchor.json: it was signed at event {length}; the chain ends at 15: its tail was cut"
    ]


def rewrite(platform, tmp_path):
    """Tell the whole chain again with another approver of everything, every hash made anew."""
    told = [(event, platform.ledger.text) for event in platform.ledger.events()]
    drafts = []
    for event, text in told:
        payload = dict(event.payload)
        texts = {name: text(each) for name, each in payload.pop("texts", {}).items()}
        if payload.get("id") == "p-3":
            payload["roles"] = ["approver", "administrator"]
        drafts.append(
            Draft(
                event.type, event.stream, event.actor, payload, texts, event.on_behalf_of, event.correlation
            )
        )
    if platform.url.startswith("sqlite"):
        url = f"sqlite:///{tmp_path}/rewritten.db"
    else:
        platform.ledger.engine.dispose()
        url = emptied(platform.url)
    ledger = SqlLedger(url, TickingClock(), CountingEntropy())
    with ledger.transaction() as tx:
        for draft in drafts:
            tx.append(draft)
    return SimpleNamespace(**{**vars(platform), "ledger": ledger})


def test_a_chain_rewritten_from_the_first_event_is_found_by_the_anchor_alone(platform, anchored, tmp_path):
    rewritten = rewrite(platform, tmp_path)
    length = len(list(rewritten.ledger.events()))
    assert rewritten.ledger.state().get(ActorRow, "p-3").roles == ("approver", "administrator")
    assert rewritten.ledger.verify() == ()
    assert audit.verify(rewritten, None, None) == (length, ())
    assert audit.verify(rewritten, *anchored) == (
        length,
        (f"anchor anchor.json: event {length} had another hash when it was signed: the chain was rewritten",),
    )


def test_an_anchor_that_the_attacker_signed_does_not_belong_to_the_key(platform, anchored, tmp_path):
    anchor, key = anchored
    rewritten = rewrite(platform, tmp_path)
    rewritten.signer = Ed25519Signer(tmp_path / "attacker.pem")
    admin = Acting(ActorRow("p-1", "person", "p-1", ("administrator",), 1))
    anchor.write_text(json.dumps(audit.anchor(rewritten, admin)))
    _, found = audit.verify(rewritten, anchor, key)
    assert found == ("anchor anchor.json: its signature does not belong to this key",)


def signed_by_the_attacker(platform, tmp_path):
    """Rebuild the chain, put another key in the place of the ledger's, and sign the new head with it."""
    rewritten = rewrite(platform, tmp_path)
    rewritten.signer = Ed25519Signer(tmp_path / "attacker.pem")
    admin = Acting(ActorRow("p-1", "person", "p-1", ("administrator",), 1))
    anchor, key = tmp_path / "theirs.json", tmp_path / "theirs.pub"
    anchor.write_text(json.dumps(audit.anchor(rewritten, admin)))
    key.write_text(rewritten.signer.public_key)
    return rewritten, anchor, key


def test_a_rewrite_signed_anew_is_found_by_whoever_holds_only_the_anchor_and_the_key(
    platform, anchored, tmp_path
):
    anchor, key = anchored
    rewritten, theirs, their_key = signed_by_the_attacker(platform, tmp_path)
    length = rewritten.ledger.head().sequence
    assert audit.verify(rewritten, theirs, their_key) == (length, ()), "to whom takes both from the server"
    assert audit.verify(rewritten, anchor, key)[1] == (
        f"anchor anchor.json: event {length} had another hash when it was signed: the chain was rewritten",
    )
    assert audit.verify(rewritten, theirs, key)[1] == (
        "anchor theirs.json: its signature does not belong to this key",
    )


@pytest.fixture
def noted(platform, anchored, tmp_path):
    """The same anchor, noted on a commit of a repository that the attacker does not have."""
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "work"]):
        who = ["-c", "user.name=Aude", "-c", "user.email=aude@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True)
    notes = GitNotes(tmp_path)
    commit = notes.append(canonical(json.loads(anchored[0].read_text())).decode())
    return notes, anchored[1], f"anchor in the note on {commit[:10]}"


def test_a_rewrite_signed_anew_is_found_by_the_note_on_a_commit(platform, noted, tmp_path):
    notes, key, name = noted
    assert audit.verify(platform, None, key, notes.lines())[1] == ()
    rewritten, theirs, _ = signed_by_the_attacker(platform, tmp_path)
    length = rewritten.ledger.head().sequence
    notes.append(theirs.read_text())  # and noted, behind the first
    assert audit.verify(rewritten, None, key, notes.lines())[1] == (
        f"{name}: event {length} had another hash when it was signed: the chain was rewritten",
        f"{name}: its signature does not belong to this key",
    )


def edited(platform, _):
    platform.attacker.unguard()
    victim = list(platform.ledger.events())[9]
    body = canonical({**json.loads(victim.body), "actor": "p-9"}).decode()
    platform.attacker.run("UPDATE events SET body = :body WHERE sequence = 10", body=body)
    return platform


def inserted(platform, _):
    last = list(platform.ledger.events())[-1]
    forged = canonical(
        {**json.loads(last.body), "sequence": last.sequence + 1, "previous": last.hash}
    ).decode()
    platform.attacker.run(
        "INSERT INTO events SELECT sequence + 1, stream, stream_sequence + 1, type, actor, NULL, "
        "occurred_at, :previous, :hash, :body FROM events WHERE sequence = :last",
        previous=last.hash, hash=sha256(forged.encode()), body=forged, last=last.sequence,
    )  # fmt: skip
    return platform


def deleted(platform, _):
    platform.attacker.unguard()
    platform.attacker.run("DELETE FROM events WHERE sequence = 10")
    return platform


def tail_cut(platform, _):
    last = cut(platform, keep=15)
    platform.attacker.run("UPDATE head SET sequence = 15, hash = :hash", hash=last.hash)
    return platform


ATTACKS = {
    "edit": (edited, "event 10: its bytes no longer have the hash they were recorded with"),
    "insert": (inserted, "head: column sequence says 29, the chain says 30"),
    "delete from the middle": (deleted, "event 11: expected sequence 10; events are missing or out of order"),
    "cut the tail": (tail_cut, "it was signed at event 29; the chain ends at 15: its tail was cut"),
    "rewrite all": (rewrite, "event 29 had another hash when it was signed: the chain was rewritten"),
}


@pytest.mark.parametrize("how", ATTACKS)
def test_every_way_to_falsify_the_record_is_named_to_whoever_holds_anchor_and_key(
    platform, anchored, noted, tmp_path, how
):
    attack, said = ATTACKS[how]
    assert platform.ledger.head().sequence == 29
    notes, key, _ = noted
    attacked = attack(platform, tmp_path)
    for kept in ((anchored[0], key), (None, key, notes.lines())):
        _, found = audit.verify(attacked, *kept)
        assert any(fault.endswith(said) for fault in found), found


def test_an_anchor_without_a_key_proves_nothing_and_is_refused(platform, anchored):
    with pytest.raises(BadInput) as caught:
        audit.verify(platform, anchored[0], None)
    assert caught.value.code == "no-key"


# ── the database itself ───────────────────────────────────────────────────────────────────────────


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
