"""Tokens are nowhere in the record, and names only where they can be erased."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from tidegate.adapters.clocks import SystemClock
from tidegate.adapters.sql_record import SqlLedger, tables
from tidegate.adapters.system_entropy import SystemEntropy
from tidegate.application.identity import Account, add_account, authenticate, open_ledger
from tidegate.application.platform import Acting
from tidegate.domain.canonical import sha256
from tidegate.domain.policy import Policy, ReviewRule
from tidegate.testing.databases import emptied
from tidegate.testing.fakes.policies import FakePolicies

NAMES = {"Ada Winterbottom": "administrator", "Amir Springfield": "approver", "Rita Autumnal": "reviewer"}
LATE = "Otto Middaymann"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/record.db"
    return emptied(request.getfixturevalue("postgres_url"))


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


def test_names_are_only_among_the_erasable_texts(opened):
    ledger, tokens = opened
    for name in tokens:
        for part in (name, name.split()[1]):
            assert [place for place, value in everything(ledger) if part in value] == ["texts.body"]


def test_every_table_was_looked_at(opened):
    ledger, _ = opened
    looked = {place.split(".")[0] for place, _ in everything(ledger)}
    assert {"events", "head", "texts", "actors", "credentials", "policies", "alembic_version"} <= looked
    with ledger.engine.connect() as connection:
        assert set(tables.metadata.tables) <= set(sa.inspect(connection).get_table_names())


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # a server's files are its own
def test_no_token_is_in_the_database_files_bytes(opened, tmp_path):
    ledger, tokens = opened
    ledger.engine.dispose()
    found = b"".join(path.read_bytes() for path in tmp_path.glob("record.db*"))
    assert b"Winterbottom" in found, "these are the right bytes"
    assert not any(token.removeprefix("tg_").encode() in found for token in tokens.values())


def test_a_name_erased_leaves_nothing_to_guess_it_back_from(opened):
    ledger, _ = opened
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM texts WHERE body = 'Amir Springfield'")
    left = {value for _, value in everything(ledger)}
    assert sha256(b"Amir Springfield") not in left, "a digest without a salt would be guessed"
    assert not any("Springfield" in value for value in left)
