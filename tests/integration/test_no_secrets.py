"""Tokens are nowhere in the record; names only encrypted, and what was erased is not even in the free bytes."""

from __future__ import annotations

from contextlib import closing
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from tidegate.adapters.clocks import SystemClock
from tidegate.adapters.sql_record import SqlLedger, tables
from tidegate.adapters.sql_record.cipher import opened as opened_text
from tidegate.adapters.system_entropy import SystemEntropy
from tidegate.application import people
from tidegate.application.identity import Account, add_account, authenticate, open_ledger
from tidegate.application.platform import Acting
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.events import Draft, EventType
from tidegate.domain.policy import Policy, ReviewRule
from tidegate.domain.state import TextRow
from tidegate.testing.fakes.policies import FakePolicies

NAMES = {"Ada Winterbottom": "administrator", "Amir Springfield": "approver", "Rita Autumnal": "reviewer"}
LATE = "Otto Middaymann"


@pytest.fixture
def opened(url):
    """A ledger after its genesis and one more account, and every token that was handed out."""
    clock, entropy = SystemClock(), SystemEntropy()
    body = "name: harbour\n"
    platform = SimpleNamespace(
        clock=clock,
        entropy=entropy,
        ledger=SqlLedger(url, clock, entropy),
        policies=FakePolicies(
            Policy("harbour", "1", sha256(body.encode()), body, {}, ReviewRule((), 7, "reviewer"))
        ),
        assurance="local",
    )
    tokens = {}
    open_ledger(
        platform, [Account(name, "person", (role,)) for name, role in NAMES.items()], tokens.__setitem__
    )
    ada = authenticate(platform.ledger.state(), tokens["Ada Winterbottom"])
    _, tokens[LATE] = add_account(platform, Acting(ada), Account(LATE, "person", ("operator",)))
    return platform.ledger, tokens


def everything(ledger):
    """Every value of every column of every table that the database holds, ours or not."""
    with ledger.engine.connect() as connection:
        for table in sa.inspect(connection).get_table_names():
            for row in connection.exec_driver_sql(f'SELECT * FROM "{table}"').mappings():
                for column, value in row.items():
                    yield f"{table}.{column}", str(value)


def test_no_token_is_in_any_column(opened):
    ledger, tokens = opened
    for token in tokens.values():
        secret = token.removeprefix("tg_")
        assert [place for place, value in everything(ledger) if secret in value] == []


def test_names_are_in_no_column_in_plain(opened):
    ledger, tokens = opened
    for name in tokens:
        for part in (name, name.split()[1]):
            assert [place for place, value in everything(ledger) if part in value] == []
    assert sorted(people.names(ledger).values()) == sorted(tokens), "and are read all the same"


def test_every_table_was_looked_at(opened):
    ledger, _ = opened
    looked = {place.split(".")[0] for place, _ in everything(ledger)}
    assert {
        "events",
        "head",
        "texts",
        "text_keys",
        "actors",
        "credentials",
        "policies",
        "alembic_version",
    } <= looked
    with ledger.engine.connect() as connection:
        assert set(tables.metadata.tables) <= set(sa.inspect(connection).get_table_names())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # a server's files are its own
def test_no_token_and_no_name_is_in_the_database_files_bytes(opened, tmp_path):
    ledger, tokens = opened
    ledger.engine.dispose()
    found = bytes_of(tmp_path)
    assert ledger.head().hash.encode() in found, "these are the right bytes"
    assert not any(token.removeprefix("tg_").encode() in found for token in tokens.values())
    assert not any(name.split()[1].encode() in found for name in tokens)


def bytes_of(folder):
    return b"".join(path.read_bytes() for path in folder.glob("record.db*"))


def erase_amir(ledger):
    """Erase what there is about p-2, and return what lay there: the key and what it opened."""
    with ledger.engine.connect() as connection:
        key = connection.scalar(sa.select(tables.text_keys.c.key).where(tables.text_keys.c.subject == "p-2"))
        (row,) = ledger.state().select(TextRow, subject="p-2")
        sealed = connection.scalar(
            sa.select(tables.texts.c.sealed).where(tables.texts.c.commitment == row.commitment)
        )
    assert opened_text(key, row.commitment, sealed)[1] == "Amir Springfield"
    with ledger.transaction() as tx:
        gone = {"subject": "p-2", "commitments": [row.commitment]}
        tx.append(Draft(EventType.TEXT_ERASED, "ledger", "p-1", gone, {"reason": "He asked for it."}))
    return key, sealed


def test_a_name_erased_leaves_nothing_to_guess_it_back_from_and_no_key_for_older_copies(opened):
    ledger, _ = opened
    key, sealed = erase_amir(ledger)
    left = {value for _, value in everything(ledger)}
    assert sha256(b"Amir Springfield") not in left, "a digest without a salt would be guessed"
    assert not any(word in value for value in left for word in ("Springfield", key, sealed))
    assert ledger.verify() == ()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_the_key_is_not_even_in_the_free_bytes_of_sqlites_files(opened, tmp_path):
    ledger, _ = opened
    with closing(ledger.engine.connect()):  # somebody else is there: the log is not removed by a last one
        key, sealed = erase_amir(ledger)
        found = bytes_of(tmp_path)
    assert ledger.head().hash.encode() in found, "these are the right bytes"
    assert key.encode() not in found
    assert sealed.encode() not in found


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_where_a_reader_keeps_sqlites_log_the_erasure_stands_and_says_so(opened, url, tmp_path):
    ledger, _ = opened
    impatient = SqlLedger(url, SystemClock(), SystemEntropy(), busy_seconds=0.2)
    with ledger.engine.connect() as reader:
        reader.execute(sa.select(tables.head)).all()
        with pytest.raises(DependencyFailed) as caught:
            erase_amir(impatient)
    assert caught.value.code == "log-not-emptied"
    assert "it is done and recorded" in caught.value.sentence
    assert people.names(ledger)["p-2"] == "p-2"
    assert ledger.verify() == ()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_the_key_is_not_in_a_dead_row_of_postgres_either(opened):
    ledger, _ = opened
    with ledger.engine.connect() as connection:
        file = connection.scalar(sa.text("SELECT pg_relation_filepath('text_keys')"))
    key, _ = erase_amir(ledger)
    with ledger.engine.connect() as connection:
        now = connection.scalar(sa.text("SELECT pg_relation_filepath('text_keys')"))
        connection.exec_driver_sql("CHECKPOINT")
        bytes_now = connection.scalar(sa.text("SELECT pg_read_binary_file(:now)"), {"now": now})
    assert now != file, "the table of keys was written anew"
    assert key.encode() not in bytes(bytes_now)
    assert bytes(bytes_now).count(b"p-1") == 1, "these are the right bytes"
