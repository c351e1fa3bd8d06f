"""Which batches count at a moment, and sources that were altered since they were built: no use case joins them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application import features, score, train
from tidegate.application.ingest import ingest
from tidegate.application.ports import Frame, Pushes
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.domain.contract import Check, Column, Contract, OnRow, Severity
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import BatchRow, FeatureViewRow
from tidegate.testing import shops
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.fakes.views import FakeView


class Rows:
    """Entities of one row, whatever is asked for."""

    def frame(self, *_: object) -> Frame:
        return Frame("tg1:rows", Path("rows.parquet"), 1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world whose one view's source was altered after the ledger had its digest."""
    world = FakePlatform(tmp_path)
    world.add_actor("s-9", "feature_service", "scoring_service")
    store = FakeFeatures(tmp_path / "home", {"shop_sales": VIEW}, {})
    frames = store.build({"sales": [shops.write_batch(tmp_path / "a.parquet", shops.SALES)]}, {})
    built = frames["shop_sales"]
    view = {"definition": "d", "source": built.digest, "rows": built.rows, "objective": {}}
    world.open_views("shop_sales")
    world.write(EventType.FEATURES_BUILT, {"views": {"shop_sales": view}, "batches": []}, stream="features")
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
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, "Evidence looks sound to me.")
    with pytest.raises(DependencyFailed) as failed:
        score.score(world, world.acting("s-9"), MODEL, "2024-01")
    refused(failed.value, world)


def test_nothing_altered_between_building_and_bringing_online_goes_online(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = {"shop_sales": Frame(world.ledger.state().select(FeatureViewRow)[0].source, Path("x"), 5)}

    def as_before(*given: Any) -> Mapping[str, Frame]:
        *_, ready = given
        ready()
        return built

    monkeypatch.setattr(world.features, "build", as_before)
    clock(world).moment = datetime(2024, 2, 1, tzinfo=UTC)
    with pytest.raises(DependencyFailed) as failed:
        features.materialize(world, world.acting("s-9"), datetime(2024, 2, 1, tzinfo=UTC))
    refused(failed.value, world)
    assert not world.ledger.state().select(FeatureViewRow)[0].online_until


# ── which batches count ───────────────────────────────────────────────────────────────────────────

NOON = datetime(2024, 2, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
_CHECK = Check("S01", "expect_column_values_to_not_be_null", Severity.INFO, OnRow.KEEP, True, "sold is given")
SALES = Contract(
    dataset="sales", version="1", owner="shops", columns=(Column("shop", "integer"), Column("sold", "integer")),
    key=("shop",), checks=(_CHECK,), min_rows=1, max_rows=9, max_age=None, quarantine_limit=0.0, digest="sha256:c",
)  # fmt: skip


def sold(batches: Mapping[str, Sequence[Path]], _: object) -> Sequence[Mapping[str, Any]]:
    """Every row of every batch, known from the day before on."""
    rows = [json.loads(line) for path in batches["sales"] for line in path.read_text().splitlines()]
    day = NOON - timedelta(days=1)
    return [{**row, "event_timestamp": day, "created_timestamp": day} for row in rows]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world with two datasets under contract, of which nothing has come."""
    world = FakePlatform(tmp_path)
    world.contracts = FakeContracts(SALES, replace(SALES, dataset="refunds"))
    world.gate = FakeDataGate({"S01": EachValue("sold", lambda _: True)})
    store = FakeFeatures(tmp_path / "home", {"shop_sales": FakeView(("shop",), ("sold",), None, sold)}, {})
    monkeypatch.setitem(world.__dict__, "features", store)
    clock(world).moment = NOON
    return world


def clock(world: FakePlatform) -> FixedClock:
    assert isinstance(world.clock, FixedClock)
    return world.clock


def came(world: FakePlatform, name: str, *sold: str) -> BatchRow:
    path = world.frames / name
    path.write_text("shop,sold\n" + "".join(f"{number},{each}\n" for number, each in enumerate(sold)))
    return ingest(world, world.acting("s-3"), "sales", path)


def counted(world: FakePlatform, known_by: datetime | None = None) -> list[str]:
    files, digests = features.accepted(world, world.ledger.state(), known_by)
    assert sorted(f"tg1:{path.stem}" for path in files["sales"]) == digests
    return digests


def views(world: FakePlatform) -> FeatureViewRow:
    (row,) = features.materialize(world, world.acting("s-5")).views
    return row


def test_a_batch_that_was_superseded_counts_up_to_the_moment_that_was_known(shop: FakePlatform) -> None:
    first, other = came(shop, "sales-2024-01.csv", "1"), came(shop, "sales-2023-12.csv", "5")
    clock(shop).moment = NOON + 2 * HOUR
    second = came(shop, "sales-2024-01.r1.csv", "2")
    assert counted(shop) == sorted([second.batch, other.batch])
    assert counted(shop, NOON + 2 * HOUR) == sorted([second.batch, other.batch])
    assert counted(shop, NOON + HOUR) == sorted([first.batch, other.batch])
    with pytest.raises(Refused, match="got no accepted batch, expected at least one"):
        counted(shop, NOON - HOUR)


def test_a_batch_that_two_drops_brought_counts_once(shop: FakePlatform) -> None:
    first = came(shop, "sales-2024-01.csv", "1")
    came(shop, "sales-2024-01.r1.csv", "01")
    assert counted(shop) == [first.batch]


def test_a_dataset_of_which_nothing_has_come_is_there_without_a_row(shop: FakePlatform) -> None:
    came(shop, "sales-2024-01.csv", "1")
    files, digests = features.accepted(shop, shop.ledger.state(), None)
    assert sorted(files) == ["refunds", "sales"]
    assert [path.read_text() for path in files["refunds"]] == [""]
    assert len(digests) == 1


def test_nothing_is_built_where_nothing_was_accepted(shop: FakePlatform) -> None:
    with pytest.raises(Refused) as caught:
        views(shop)
    assert caught.value.code == "no-data"


def test_a_clock_that_jumped_back_hides_nothing_that_was_accepted_from_features(shop: FakePlatform) -> None:
    came(shop, "sales-2024-01.csv", "1")
    clock(shop).moment = NOON - 6 * HOUR
    assert views(shop).rows == 1
    came(shop, "sales-2024-02.csv", "2", "3")
    clock(shop).moment = NOON - 9 * HOUR
    built = views(shop)
    assert built.rows == 3
    assert built.online_until == "2024-02-01T06:00:00Z"  # what is online never goes back
    assert shop.features.materialize(NOON - 6 * HOUR).rows == {"shop_sales": 2}
    assert views(shop) == built


def test_a_clock_that_jumped_back_hides_nothing_that_was_accepted_from_training(shop: FakePlatform) -> None:
    class Asked:
        given: Mapping[str, Sequence[Path]]

        def frame(self, _: object, batches: Mapping[str, Sequence[Path]], *__: object) -> Frame:
            self.given = batches
            raise BadInput("seen", "got what training is given, expected no more", "")

    rows = [came(shop, f"sales-2024-{month}.csv", month) for month in ("01", "02")]
    views(shop)
    clock(shop).moment = NOON - 30 * 24 * HOUR
    shop.entities = asked = Asked()
    with pytest.raises(BadInput, match="got what training is given"):
        train.train(shop, shop.acting("s-1", on_behalf_of="p-2"), MODEL)
    assert [f"tg1:{path.stem}" for path in asked.given["sales"]] == [row.batch for row in rows]


def test_what_was_accepted_since_is_built_though_the_clock_stood_still(shop: FakePlatform) -> None:
    came(shop, "sales-2024-01.csv", "1")
    first = views(shop)
    assert views(shop) == first
    came(shop, "sales-2024-01.r1.csv", "4")
    second = views(shop)
    assert (second.rows, second.online_until) == (1, first.online_until)
    assert second.source != first.source
    count = len(list(shop.ledger.events()))
    assert views(shop) == second
    assert len(list(shop.ledger.events())) == count


def test_a_moment_in_the_past_is_built_from_what_was_known_then(shop: FakePlatform) -> None:
    came(shop, "sales-2024-01.csv", "1")
    clock(shop).moment = NOON + 2 * HOUR
    came(shop, "sales-2024-02.csv", "2", "3")
    (row,) = features.materialize(shop, shop.acting("s-5"), NOON + HOUR).views
    assert (row.rows, row.online_until) == (1, "2024-02-01T13:00:00Z")
    assert views(shop).rows == 3


# ── what is online, and what the record says of it ────────────────────────────────────────────────


def emptied(store: FakeFeatures) -> FakeFeatures:
    """Return the same store after its online store lost everything."""
    store._windows.clear()
    store._online.clear()
    return store


def told(world: FakePlatform) -> list[str]:
    """Return the moments that were recorded as brought online."""
    return [e.payload["until"] for e in world.ledger.events() if e.type is EventType.FEATURES_MATERIALIZED]


def test_an_online_store_that_was_emptied_is_brought_to_what_the_record_says(shop: FakePlatform) -> None:
    came(shop, "sales-2024-01.csv", "1")
    before = views(shop)
    windows = shop.features.windows()
    emptied(shop.features)
    clock(shop).moment = NOON - HOUR
    count = len(list(shop.ledger.events()))
    brought = features.materialize(shop, shop.acting("s-5"))
    assert (brought.views, brought.written) == ((before,), ("shop_sales",))
    assert shop.features.windows() == windows
    assert len(list(shop.ledger.events())) == count  # nothing was brought that the record did not say


def test_what_is_online_already_is_reported_as_that(shop: FakePlatform) -> None:
    came(shop, "sales-2024-01.csv", "1")
    first = features.materialize(shop, shop.acting("s-5"))
    assert first.written == ("shop_sales",)
    again = features.materialize(shop, shop.acting("s-5"))
    assert (again.views, again.written) == (first.views, ())


@pytest.mark.parametrize("passed", [-HOUR, timedelta(0), HOUR], ids=["earlier", "the-same", "later"])
def test_one_who_was_killed_between_the_store_and_the_record_is_made_good_by_the_next(
    shop: FakePlatform, monkeypatch: pytest.MonkeyPatch, passed: timedelta
) -> None:
    came(shop, "sales-2024-01.csv", "1")
    views(shop)
    came(shop, "sales-2024-02.csv", "2", "3")
    clock(shop).moment = NOON + 2 * HOUR
    with monkeypatch.context() as killing:
        bring = shop.features.materialize

        def killed(until: datetime, pushes: Callable[[], Pushes]) -> None:
            bring(until, pushes)
            raise KeyboardInterrupt

        killing.setattr(shop.features, "materialize", killed)
        with pytest.raises(KeyboardInterrupt):
            views(shop)
    assert told(shop) == ["2024-02-01T12:00:00Z"]
    clock(shop).moment += passed
    made_good = views(shop)
    moment = max(NOON + 2 * HOUR, clock(shop).moment)
    assert told(shop) == ["2024-02-01T12:00:00Z", made_good.online_until]
    window = shop.features.windows()["shop_sales"]
    assert (window.until, window.source, window.rows) == (moment, made_good.source, 2)
    assert views(shop) == made_good


def test_a_moment_ahead_is_refused_for_what_is_online_would_age_by_it_until_then(shop: FakePlatform) -> None:
    came(shop, "sales-2024-01.csv", "1")
    views(shop)
    before = shop.features.windows()
    with pytest.raises(BadInput) as ahead:
        features.materialize(shop, shop.acting("s-5"), shop.clock.now() + timedelta(microseconds=1))
    assert ahead.value.code == "lies-ahead"
    assert shop.features.windows() == before
