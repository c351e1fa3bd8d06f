"""Whoever may write to the database may change anything in it. Here they do, and are found out."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tidegate.adapters.ed25519_signer import Ed25519Signer
from tidegate.adapters.sql_record import SqlLedger
from tidegate.application import audit
from tidegate.application.platform import Acting
from tidegate.domain.state import ActorRow
from tidegate.testing.attacker import Attacker, told_on
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import Story


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory):
    told = told_on(f"sqlite:///{tmp_path_factory.mktemp('told')}/record.db")
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
