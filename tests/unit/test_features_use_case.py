"""Sources that were altered since they were built: no use case joins them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.application import features, score, train
from tidegate.application.ports import Frame
from tidegate.application.promote import climb, resolve
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.state import FeatureViewRow
from tidegate.testing.cases import MODEL
from tidegate.testing.contracts import features as shops
from tidegate.testing.fakes.features import FakeFeatures, FakeView
from tidegate.testing.fakes.platform import FakePlatform


class Rows:
    """Entities of one row, whatever is asked for."""

    def frame(self, *_: object) -> Frame:
        return Frame("tg1:rows", Path("rows.parquet"), 1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world whose one view's source was altered after the ledger had its digest."""
    world = FakePlatform(tmp_path)
    world.add_actor("s-9", "ingest_service", "scoring_service")
    store = FakeFeatures(tmp_path / "home", {"shop_sales": VIEW}, {})
    frames = store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, {})
    built = frames["shop_sales"]
    view = {"definition": "d", "source": built.digest, "rows": built.rows}
    world.write(EventType.FEATURES_BUILT, {"views": {"shop_sales": view}}, stream="features")
    monkeypatch.setitem(world.__dict__, "features", store)
    world.entities = Rows()
    for module in (features, train, score):
        monkeypatch.setattr(module, "accepted", lambda *_: ({}, []))
        monkeypatch.setattr(module, "declared", lambda _: {})
    features.trusted(world, world.ledger.state())
    shops.write_batch(built.path, shops.SALES[:1])
    return world


VIEW = FakeView(("shop",), ("sold", "rate"), None, shops.sales_rows)


def refused(error: DependencyFailed, world: FakePlatform) -> None:
    source = world.ledger.state().select(FeatureViewRow)[0].source
    assert error.code == "frame-altered"
    assert error.sentence.startswith("got the source of shop_sales with the content tg1:")
    assert error.sentence.endswith(f"expected {source}")


def test_nothing_is_trained_on_an_altered_source(world: FakePlatform) -> None:
    before = len(list(world.ledger.events()))
    with pytest.raises(DependencyFailed) as failed:
        train.train(world, world.acting("s-1", on_behalf_of="p-2"), MODEL, datetime(2024, 2, 1, tzinfo=UTC))
    refused(failed.value, world)
    assert len(list(world.ledger.events())) == before


def test_nothing_is_scored_on_an_altered_source(world: FakePlatform) -> None:
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, "Evidence looks sound to me.")
    with pytest.raises(DependencyFailed) as failed:
        score.score(world, world.acting("s-9"), MODEL, "2024-01")
    refused(failed.value, world)


def test_nothing_altered_between_building_and_bringing_online_goes_online(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = {"shop_sales": Frame(world.ledger.state().select(FeatureViewRow)[0].source, Path("x"), 5)}

    def as_before(*_: object) -> Mapping[str, Frame]:
        return built

    monkeypatch.setattr(world.features, "build", as_before)
    with pytest.raises(DependencyFailed) as failed:
        features.materialize(world, world.acting("s-9"), datetime(2024, 2, 1, tzinfo=UTC))
    refused(failed.value, world)
    assert not world.ledger.state().select(FeatureViewRow)[0].online_until
