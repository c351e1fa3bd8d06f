from __future__ import annotations

import pytest

from tidegate.adapters.sql_record import SqlLedger
from tidegate.testing.contracts.ledger import LedgerContract
from tidegate.testing.databases import emptied
from tidegate.testing.fakes.ledger import MemoryLedger, Store
from tidegate.testing.fakes.small import CountingEntropy


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def opener(self):
        store, entropy = Store(), CountingEntropy()
        return lambda clock, busy_seconds: MemoryLedger(clock, entropy, store, busy_seconds)


class TestSqlLedgerOnSqlite(LedgerContract):
    @pytest.fixture
    def opener(self, tmp_path):
        url, entropy = f"sqlite:///{tmp_path}/record.db", CountingEntropy()
        return lambda clock, busy_seconds: SqlLedger(url, clock, entropy, busy_seconds)


class TestSqlLedgerOnPostgres(LedgerContract):
    @pytest.fixture
    def opener(self, postgres_url):
        url, entropy = emptied(postgres_url), CountingEntropy()
        return lambda clock, busy_seconds: SqlLedger(url, clock, entropy, busy_seconds)
