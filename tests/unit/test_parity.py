"""Parity: what is served online is what was known, within its type's tolerance; every verdict is recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application import features
from tidegate.application.ingest import ingest
from tidegate.application.parity import parity
from tidegate.domain.contract import Check, Column, Contract, OnRow, Severity
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.parity import TOLERANCES, Pair, judged, same, tolerances
from tidegate.domain.state import ParityRow
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate
from tidegate.testing.fakes.features import FakeFeatures
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.fakes.views import FakeView

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
SALES = Contract(
    dataset="sales", version="1", owner="shops", columns=(Column("shop", "integer"), Column("sold", "integer")),
    key=("shop",), checks=(Check("S01", "expect_column_values_to_not_be_null", Severity.INFO, OnRow.KEEP, True, "s"),),
    min_rows=1, max_rows=9, max_age=None, quarantine_limit=0.0, digest="sha256:c",
)  # fmt: skip


def sold(batches: Mapping[str, Sequence[Path]], _: object) -> Sequence[Mapping[str, Any]]:
    """Every row of every batch, known from the start on."""
    rows = [json.loads(line) for path in batches["sales"] for line in path.read_text().splitlines()]
    return [{**row, "event_timestamp": MOMENT, "created_timestamp": MOMENT} for row in rows]


@pytest.mark.parametrize(
    ("kind", "online", "known", "expected"),
    [
        ("integer", 3, 3, True),
        ("integer", 3, 4, False),
        ("integer", 2**60, 2**60 + 1, False),
        ("double", 0.1 + 0.2, 0.3, True),
        ("double", 0.3001, 0.3, False),
        ("double", 1e12, 1e12 + 1, True),
        ("double", 0.0, 1e-12, False),  # of nothing, nothing is a small part
        ("float", 0.30000001, 0.3, True),
        ("time", MOMENT, MOMENT + timedelta(microseconds=1), False),
        ("other", "a", "a", True),
        ("other", "a", "b", False),
        ("other", True, False, False),
        ("double", None, None, True),
        ("double", None, 0.0, False),
        ("integer", 0, None, False),
        ("integer", "3", 3, False),
        ("double", math.inf, math.inf, True),
        ("double", math.inf, 1.0, False),
        ("float", -math.inf, math.inf, False),
    ],
)
def test_a_value_is_the_same_within_the_tolerance_of_its_type(
    kind: str, online: object, known: object, expected: bool
) -> None:
    assert same(Pair("k", "f", kind, online, known), TOLERANCES) is expected


def test_one_value_that_differs_is_a_skew_with_its_feature_named() -> None:
    pairs = [Pair(f"shop={key}", "sold", "integer", key, key or 9) for key in range(3)]
    found = judged([*pairs, Pair("shop=0", "rate", "double", 0.5, 0.5)], TOLERANCES)
    assert found.verdict is Verdict.FAILED
    assert found.sentence == "served otherwise than it was known: 1 of 4 values of 3 keys: sold once"
    assert (found.skewed, found.examples) == ({"sold": 1}, (pairs[0],))
    assert judged(pairs[1:], TOLERANCES).verdict is Verdict.PASSED


def test_where_part_was_unknown_it_is_said_on_what_the_verdict_rests() -> None:
    pairs = [Pair("shop=0", "sold", "integer", 5, 5), Pair("shop=1", "sold", "integer", None, None)]
    assert judged(pairs, TOLERANCES).sentence == (
        "served as it was known: 2 values of 2 keys (1 known, 1 unknown)"
    )
    assert judged(pairs[1:], TOLERANCES).sentence == (
        "served as it was known: 1 value of 1 key (0 known, 1 unknown)"
    )
    assert judged([*pairs, Pair("shop=2", "sold", "integer", 7, None)], TOLERANCES).sentence == (
        "served otherwise than it was known: 1 of 3 values of 3 keys (1 known, 2 unknown): sold once"
    )


def test_a_view_without_a_key_cannot_be_told() -> None:
    assert judged([], TOLERANCES).verdict is Verdict.INCONCLUSIVE


def test_tolerances_are_given_by_kind_and_nothing_else() -> None:
    assert tolerances({"double": 0.5})["double"] == 0.5
    for wrong in ({"other": 1.0}, {"double": -1.0}, {"double": float("nan")}, {"double": float("inf")}):
        with pytest.raises(BadInput) as refused:
            tolerances(wrong)
        assert refused.value.code == "bad-tolerance"
        assert "integer, double, float, time" in refused.value.sentence


# ── the use case ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """Return a world whose one view is built and online."""
    world = FakePlatform(tmp_path)
    world.contracts = FakeContracts(SALES)
    world.gate = FakeDataGate({"S01": EachValue("sold", lambda _: True)})
    store = FakeFeatures(tmp_path / "home", {"shop_sales": FakeView(("shop",), ("sold",), None, sold)}, {})
    monkeypatch.setitem(world.__dict__, "features", store)
    assert isinstance(world.clock, FixedClock)
    world.clock.moment = MOMENT + timedelta(hours=12)
    drop = world.frames / "sales-2024-01.csv"
    drop.write_text("shop,sold\n0,1\n1,2\n")
    ingest(world, world.acting("s-3"), "sales", drop)
    features.materialize(world, world.acting("s-5"))
    return world


def skew(world: FakePlatform) -> None:
    """Serve something else of one key than was known."""
    online: dict[str, Sequence[Mapping[str, Any]]] = world.features._online
    first, *others = online["shop_sales"]
    online["shop_sales"] = [{**first, "sold": 77}, *others]


def recorded(world: FakePlatform) -> ParityRow:
    (row,) = world.ledger.state().select(ParityRow)
    return row


def test_what_is_served_as_it_was_known_passes_and_is_recorded(shop: FakePlatform) -> None:
    found = parity(shop, shop.acting("s-5"))["shop_sales"]
    assert (found.verdict, found.sampled) == (Verdict.PASSED, 2)
    row = recorded(shop)
    told = "served as it was known: 2 values of 2 keys"
    assert (row.verdict, row.sentence) == ("passed", told)
    assert row.until == shop.features.windows()["shop_sales"].until.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_planted_skew_is_found_and_its_key_stays_out_of_the_record(shop: FakePlatform) -> None:
    skew(shop)
    found = parity(shop, shop.acting("s-5"))["shop_sales"]
    assert found.verdict is Verdict.FAILED
    assert [(pair.online, pair.known) for pair in found.examples] == [(77, 1)]
    *_, event = shop.ledger.events()
    assert event.type is EventType.FEATURES_COMPARED
    assert event.payload["views"]["shop_sales"]["skewed"] == {"sold": 1}
    assert set(event.payload["views"]["shop_sales"]) == {
        "source", "until", "verdict", "sampled", "skewed", "sentence"
    }  # fmt: skip
    assert recorded(shop).verdict == "failed"
    features.materialize(shop, shop.acting("s-5"))
    assert parity(shop, shop.acting("s-5"), given={"integer": 100.0})["shop_sales"].verdict is Verdict.PASSED


def test_what_is_not_online_as_recorded_cannot_be_compared(shop: FakePlatform) -> None:
    shop.features._windows.clear()
    found = parity(shop, shop.acting("s-5"))["shop_sales"]
    assert found.verdict is Verdict.ERROR
    assert found.sentence.startswith("what is online is not the window that the record says")
    assert recorded(shop).verdict == "error"


def test_a_store_that_fails_is_an_error_without_its_address(
    shop: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise DependencyFailed("online-store-gone", "got no answer from Redis at redis://inner:6379", "")

    monkeypatch.setattr(shop.features, "paired", gone)
    assert parity(shop, shop.acting("s-5"))["shop_sales"].verdict is Verdict.ERROR
    assert recorded(shop).sentence == "it could not be compared (online-store-gone)"


def test_nothing_online_is_refused_and_so_is_who_may_not(tmp_path: Path, shop: FakePlatform) -> None:
    with pytest.raises(Refused) as refused:
        parity(shop, shop.acting("s-1"))
    assert "holds no role that permits `features:view:materialize`" in refused.value.sentence
    with pytest.raises(Refused) as refused:
        parity(FakePlatform(tmp_path), FakePlatform(tmp_path).acting("s-5"))
    assert refused.value.code == "nothing-online"


@pytest.mark.parametrize("sample", [0, -1, 10_001])
def test_a_sample_that_is_none_is_refused(shop: FakePlatform, sample: int) -> None:
    with pytest.raises(BadInput) as refused:
        parity(shop, shop.acting("s-5"), sample)
    assert refused.value.code == "bad-sample"
