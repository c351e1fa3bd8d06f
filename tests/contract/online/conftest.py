"""Our online stores behind Feast's own interface, on SQLite and on a real Redis."""

from __future__ import annotations

import pytest

from tidegate.testing import shops
from tidegate.testing.online import REDIS, SQLITE, ours


@pytest.fixture(params=["sqlite", "redis"])
def kind(request):
    return request.param


@pytest.fixture
def place(kind, request, tmp_path):
    """The configuration of an online store of ours, for Feast."""
    if kind == "sqlite":
        return {"type": SQLITE, "path": str(tmp_path / "online.db"), "expiry": "materialized"}
    return {"type": REDIS, "url": request.getfixturevalue("redis_address"), "expiry": "materialized"}


@pytest.fixture
def built(tmp_path, place):
    store = ours(tmp_path, place)
    batch = shops.write_batch(tmp_path / "batches" / "a.parquet", shops.SALES)
    store.build({"sales": [batch]}, shops.DECLARED)
    store.apply()
    return store
