"""Drift of features: judged once for a source, a period and limits, on record with all three; nothing follows."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application import features, reading
from tidegate.application.feature_drift import feature_drift
from tidegate.application.lawfulness import unlawful
from tidegate.application.timeline import sentence
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.feature_drift import Limits
from tidegate.domain.state import DriftRow, StatisticsRow
from tidegate.testing import shops
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.monitors import FakeMonitors
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.views import FakeView

VIEW, JANUARY, FEBRUARY = "shop_sales", "2024-01", "2024-02"
ALLOWED = Limits(JANUARY, 4, {"missing_shift": 0.1, "psi": 5.0})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world in which a view has January and February, and drift of it is limited."""
    world = FakePlatform(tmp_path)
    view = FakeView(("shop",), ("sold", "rate"), None, shops.sales_rows)
    monkeypatch.setitem(world.__dict__, "features", WithBins(tmp_path / "home", {VIEW: view}, {}))
    world.monitors = FakeMonitors(tmp_path / "reports", allowed={VIEW: ALLOWED})
    build(world, monkeypatch, tmp_path, 30)
    return world


class WithBins(FakeFeatures):
    """A store whose statistics have bins, the same for every feature."""

    def statistics(self, view: str, window: tuple[datetime, datetime]) -> dict[str, dict[str, Any]]:  # type: ignore[override]
        told = super().statistics(view, window)
        counted = super().counts(view, window, {name: [5.0] for name in told})
        return {
            name: {**said, "histogram": {"bins": [0.0, 5.0, 10.0], "counts": counted[name]}}
            for name, said in told.items()
        }


def build(world: FakePlatform, monkeypatch: pytest.MonkeyPatch, folder: Path, many: int) -> None:
    """Build the view from so many rows a month, sold 1 to 9 in January and half as much or nothing known later."""
    rows = [
        ("north", 31 * 24 * month + 12 * day, 31 * 24 * month + 12 * day, sold, 0.5)
        for month in (0, 1)
        for day in range(many)
        for sold in [None if month and day % 3 == 0 else day % 9 + 1]
    ]
    batch = shops.write_batch(folder / f"{many}.parquet", rows)  # type: ignore[arg-type]
    monkeypatch.setattr(features, "accepted", lambda *_: ({"sales": [batch]}, [f"tg1:{many}"]))
    monkeypatch.setattr(features, "declared", lambda _: {})
    before = world.clock.now()
    world.clock.moment = max(before, datetime(2024, 3, 1, tzinfo=UTC)) + timedelta(days=1)  # type: ignore[attr-defined]
    features.materialize(world, world.acting("s-5"))


def judged(world: FakePlatform) -> int:
    return [event.type for event in world.ledger.events()].count(EventType.FEATURES_JUDGED)


def test_each_feature_is_judged_beside_the_baseline_and_the_whole_is_its_worst(world: FakePlatform) -> None:
    row = feature_drift(world, world.acting("s-5"), VIEW, FEBRUARY)
    told = {name: {key: said["verdict"] for key, said in found.items()} for name, found in row.found.items()}
    assert told == {
        "rate": {"missing_shift": "passed", "psi": "passed"},
        "sold": {"missing_shift": "failed", "psi": "passed"},
    }
    assert row.found["sold"]["missing_shift"]["sentence"] == (
        "33.33% missing, 0.00% in the baseline; at most 0.1 is allowed"
    )
    assert row.verdict == "failed"
    assert sum(row.counts["sold"]) == 20, "in the bins of January"
    assert unlawful(world) == ()


def test_it_is_recorded_with_limits_and_source_and_seen_in_the_log(world: FakePlatform) -> None:
    row = feature_drift(world, world.acting("s-5"), VIEW, FEBRUARY)
    measured = world.ledger.state().select(StatisticsRow)
    assert {each.window for each in measured} == {JANUARY, FEBRUARY}
    assert {(each.source, each.definition) for each in measured} == {(row.source, row.definition)}
    assert (dict(row.declared), row.limits) == (ALLOWED.as_dict(), ALLOWED.digest)
    told = [sentence(event) for event in world.ledger.events() if event.type is EventType.FEATURES_JUDGED]
    assert told == [
        "s-5 judged the drift of shop_sales over 2024-02 beside 2024-01: failed (1 of 2 features)"
    ]


def test_the_same_source_period_and_limits_are_judged_once_and_others_again(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = feature_drift(world, world.acting("s-5"), VIEW, FEBRUARY)
    assert feature_drift(world, world.acting("p-2"), VIEW, FEBRUARY) == first
    assert judged(world) == 1
    wide = replace(ALLOWED, limits={"missing_shift": 0.5})
    world.monitors = FakeMonitors(tmp_path, allowed={VIEW: wide})
    second = feature_drift(world, world.acting("s-5"), VIEW, FEBRUARY)
    assert (second.verdict, second.limits != first.limits, dict(second.counts)) == ("passed", True, {})
    build(world, monkeypatch, tmp_path, 31)
    third = feature_drift(world, world.acting("s-5"), VIEW, FEBRUARY)
    assert third.source != second.source
    assert judged(world) == len(world.ledger.state().select(DriftRow)) == 3
    assert unlawful(world) == ()


def test_drift_moves_nothing_and_opens_no_review(world: FakePlatform) -> None:
    last = len(list(world.ledger.events()))
    feature_drift(world, world.acting("s-5"), VIEW, FEBRUARY)
    assert [event.type for event in world.ledger.events()][last:] == [
        EventType.FEATURES_MEASURED,
        EventType.FEATURES_MEASURED,
        EventType.FEATURES_JUDGED,
    ]


def test_without_declared_limits_there_is_no_verdict(world: FakePlatform, tmp_path: Path) -> None:
    world.monitors = FakeMonitors(tmp_path)
    with pytest.raises(BadInput) as refused:
        feature_drift(world, world.acting("s-5"), VIEW, FEBRUARY)
    assert refused.value.code == "feature-limits"
    assert judged(world) == 0


def test_a_period_without_rows_is_inconclusive(world: FakePlatform) -> None:
    row = feature_drift(world, world.acting("s-5"), VIEW, "2025")
    assert row.verdict == "inconclusive"
    assert (
        row.found["sold"]["missing_shift"]["sentence"] == "got 0 rows beside 30, expected at least 4 of each"
    )


@pytest.mark.parametrize(
    ("view", "window", "code"),
    [
        ("shop", FEBRUARY, "no-such-view"),
        (VIEW, "February", "bad-period"),
        (VIEW, JANUARY, "overlapping-periods"),
        (VIEW, "2024", "overlapping-periods"),
        (VIEW, "2024-01-31", "overlapping-periods"),
    ],
)
def test_what_is_no_view_no_period_or_no_other_period_is_bad_input(
    world: FakePlatform, view: str, window: str, code: str
) -> None:
    with pytest.raises(BadInput) as refused:
        feature_drift(world, world.acting("s-5"), view, window)
    assert refused.value.code == code
    assert judged(world) == 0


def test_who_may_not_read_the_view_is_told_nothing_of_it(world: FakePlatform) -> None:
    feature_drift(world, world.acting("s-5"), VIEW, FEBRUARY)
    with pytest.raises(Refused) as refused:
        feature_drift(world, world.acting("p-3"), VIEW, FEBRUARY)
    assert refused.value.data["rule"] == "F2"


def test_counting_values_is_a_read_on_record(world: FakePlatform) -> None:
    feature_drift(world, world.acting("p-2"), VIEW, FEBRUARY)
    assert [(read.why, read.actor, read.rows) for read in reading.reads(world)] == [
        ("measuring", "p-2", 30),
        ("measuring", "p-2", 30),
        ("judging", "p-2", 30),
    ]


def test_a_source_that_is_replaced_meanwhile_is_not_judged(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    count = world.features.counts

    def meanwhile(*asked: Any) -> Any:
        build(world, monkeypatch, tmp_path, 31)
        return count(*asked)

    world.features.counts = meanwhile  # type: ignore[method-assign]
    with pytest.raises(DependencyFailed) as failed:
        feature_drift(world, world.acting("s-5"), VIEW, FEBRUARY)
    assert failed.value.code == "source-replaced"
    assert judged(world) == 0


@pytest.mark.parametrize(
    ("forged", "told"),
    [
        ({"verdict": "passed"}, "is recorded as passed; its figures on record say failed"),
        ({"limits": "sha256:other"}, "names other limits than it was judged by"),
        ({"window": "2024-03"}, "was judged without figures of it on record"),
        ({"counts": {}}, "is recorded as failed; its figures on record say error"),
    ],
)
def test_a_verdict_that_its_figures_do_not_bear_is_a_breach(
    world: FakePlatform, forged: dict[str, Any], told: str
) -> None:
    row = feature_drift(world, world.acting("s-5"), VIEW, FEBRUARY)
    payload = {name: value for name, value in asdict(row).items() if name != "sequence"}
    world.write(EventType.FEATURES_JUDGED, {**payload, **forged}, "s-5", "features")
    (breach,) = unlawful(world)
    assert breach.endswith(f"{told}, rule D1")
