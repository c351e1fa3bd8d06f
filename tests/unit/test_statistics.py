"""Statistics of features: once for a source and a window, for whom the view is open to, bound to both digests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.application import features, reading
from tidegate.application.lawfulness import unlawful
from tidegate.application.statistics import statistics
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.state import FeatureViewRow
from tidegate.testing import shops
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.fakes.views import FakeView

MONTH = "2024-01"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world in which one view is built, open to every role that works with features."""
    world = FakePlatform(tmp_path)
    world.clock = world.ledger._clock = FixedClock(datetime(2024, 3, 1, tzinfo=UTC))
    view = FakeView(("shop",), ("sold", "rate"), None, shops.sales_rows)
    monkeypatch.setitem(world.__dict__, "features", FakeFeatures(tmp_path / "home", {"shop_sales": view}, {}))
    bring(world, monkeypatch, tmp_path, shops.SALES)
    return world


def bring(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch, folder: Path, sales: tuple[object, ...]
) -> None:
    batch = shops.write_batch(folder / f"{len(sales)}.parquet", sales)  # type: ignore[arg-type]
    monkeypatch.setattr(features, "accepted", lambda *_: ({"sales": [batch]}, [f"tg1:{len(sales)}"]))
    monkeypatch.setattr(features, "declared", lambda _: {})
    world.clock.moment = datetime(2024, 2, len(sales), tzinfo=UTC)  # type: ignore[attr-defined]
    features.materialize(world, world.acting("s-5"))


def taken(world: FakePlatform) -> int:
    return [event.type for event in world.ledger.events()].count(EventType.FEATURES_MEASURED)


def test_figures_are_recorded_with_the_definition_and_the_source_they_are_of(world: FakePlatform) -> None:
    row = statistics(world, world.acting("s-5"), "shop_sales", MONTH)
    (view,) = world.ledger.state().select(FeatureViewRow)
    assert (row.definition, row.source) == (view.definition, view.source)
    assert (row.first, row.until) == ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z")
    assert dict(row.figures["sold"]) == {"kind": "numeric", "row_count": 5, "null_count": 1, "mean": 37.5}
    assert unlawful(world) == ()


def test_the_same_source_and_window_are_measured_once_and_another_source_again(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = statistics(world, world.acting("s-5"), "shop_sales", MONTH)
    assert statistics(world, world.acting("p-2"), "shop_sales", MONTH) == first
    assert taken(world) == 1
    more = (*shops.SALES, ("south", 48, 48, 3, 0.5))
    bring(world, monkeypatch, tmp_path, more)
    second = statistics(world, world.acting("s-5"), "shop_sales", MONTH)
    assert second.source != first.source
    assert second.figures["sold"]["row_count"] == 6
    assert taken(world) == 2


def test_who_may_not_read_the_view_is_told_nothing_of_it(world: FakePlatform) -> None:
    statistics(world, world.acting("s-5"), "shop_sales", MONTH)
    with pytest.raises(Refused) as refused:
        statistics(world, world.acting("p-3"), "shop_sales", MONTH)
    assert refused.value.data["rule"] == "F2"
    assert (
        "p-3 holds `approver`, and the view shop_sales is open for read_offline to" in refused.value.sentence
    )


def test_taking_them_is_a_read_on_record(world: FakePlatform) -> None:
    statistics(world, world.acting("p-2"), "shop_sales", MONTH)
    (read,) = reading.reads(world)
    assert (read.why, read.actor, read.views, read.rows) == ("measuring", "p-2", ("shop_sales",), 5)


def test_an_altered_source_is_not_measured(world: FakePlatform) -> None:
    frames = world.features._frames  # type: ignore[attr-defined]
    shops.write_batch(frames["shop_sales"].path, shops.SALES[:1])
    with pytest.raises(DependencyFailed) as failed:
        statistics(world, world.acting("s-5"), "shop_sales", MONTH)
    assert failed.value.code == "frame-altered"
    assert taken(world) == 0


@pytest.mark.parametrize(
    ("view", "window", "code"), [("shop", MONTH, "no-such-view"), ("shop_sales", "x", "bad-period")]
)
def test_what_is_no_view_or_no_period_is_bad_input(
    world: FakePlatform, view: str, window: str, code: str
) -> None:
    with pytest.raises(BadInput) as refused:
        statistics(world, world.acting("s-5"), view, window)
    assert refused.value.code == code
