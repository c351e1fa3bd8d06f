"""What every feature store serves: a window of what was known, what was pushed beside it, and how old both are.

A part of `FeaturesContract`, which gives ``subject`` and ``built``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tidegate.application.ports import Features, Materialized, Pushes
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.testing.shops import DECLARED, KEYS, SALES, at, pushes, served, write_batch


def brought(found: Materialized) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """Return how many rows are online of each view, and which views were written."""
    return found.rows, found.written


class OnlineFeatures:
    """Windows, pushes, and the pairs of what is served and what was known."""

    # ── online ────────────────────────────────────────────────────────────────────────────────────

    def test_before_the_first_materialization_the_store_says_that_it_is_empty(self, built: Features) -> None:
        assert built.windows() == {}
        with pytest.raises(DependencyFailed) as failed:
            built.online("demand", KEYS[:1], at(50))
        assert failed.value.code == "online-empty"
        assert failed.value.sentence.startswith("got nothing of shop_sales")

    def test_online_is_what_was_known_at_the_moment(self, built: Features) -> None:
        assert built.materialize(at(40)).rows == {"shop_sales": 2, "item_price": 2}
        assert list(built.online("demand", KEYS, at(40))) == [
            {"sold": 20, "rate": None, "price": 2.5},
            {"sold": None, "rate": 0.5, "price": 3.0},
            {"sold": None, "rate": None, "price": None},
        ]
        built.materialize(at(50))
        assert built.online("demand", KEYS[:1], at(50)) == [{"sold": 21, "rate": 0.21, "price": 2.5}]

    def test_an_older_moment_never_overwrites_a_newer_one(self, built: Features) -> None:
        built.materialize(at(50))
        before = built.windows()
        assert brought(built.materialize(at(8))) == ({"shop_sales": 0, "item_price": 0}, ())
        assert built.windows() == before
        assert built.online("demand", KEYS[:1], at(50)) == [{"sold": 21, "rate": 0.21, "price": 2.5}]

    def test_the_same_window_twice_is_recognised_and_writes_nothing(self, built: Features) -> None:
        first = built.materialize(at(50))
        assert set(first.written) == {"shop_sales", "item_price"}
        before = built.windows()
        assert {view: window.until for view, window in before.items()} == dict.fromkeys(first.rows, at(50))
        assert brought(built.materialize(at(50))) == (first.rows, ())
        assert built.windows() == before

    def test_the_same_moment_of_another_source_is_another_window(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(50))
        fewer = write_batch(tmp_path / "batches" / "restated.parquet", SALES[:1])
        built.build({"sales": [fewer]}, DECLARED)
        assert built.materialize(at(47)).rows == {"shop_sales": 0, "item_price": 0}
        again = built.materialize(at(50))
        assert brought(again) == ({"shop_sales": 0, "item_price": 2}, ("shop_sales",))
        # What was restated away is gone, although what is left happened earlier.
        assert built.online("demand", KEYS[:2], at(50)) == [
            {"sold": None, "rate": None, "price": 2.5},
            {"sold": None, "rate": None, "price": 3.0},
        ]

    def test_a_value_past_its_ttl_is_not_served(self, built: Features) -> None:
        built.materialize(at(72))
        assert built.online("demand", KEYS[:1], at(72))[0]["sold"] == 21
        built.materialize(at(72.5))
        assert built.online("demand", KEYS[:1], at(72.5)) == [{"sold": None, "rate": None, "price": 2.5}]

    def test_a_value_expires_although_nobody_materializes(self, built: Features) -> None:
        built.materialize(at(50))
        assert built.online("demand", KEYS[:1], at(72))[0]["sold"] == 21
        expired = built.online("demand", KEYS[:1], at(72.01))
        assert expired == [{"sold": None, "rate": None, "price": 2.5}]

    def test_a_clock_that_jumped_back_brings_no_expired_value_back(self, built: Features) -> None:
        built.materialize(at(72.5))
        assert built.online("demand", KEYS[:1], at(50))[0]["sold"] is None

    def test_a_time_without_a_zone_is_refused(self, built: Features) -> None:
        with pytest.raises(BadInput) as refused:
            built.materialize(datetime(2024, 1, 2))  # noqa: DTZ001 - that is the point
        assert refused.value.code == "naive-time"

    def test_a_key_that_lacks_a_part_is_refused(self, built: Features) -> None:
        built.materialize(at(50))
        with pytest.raises(BadInput) as refused:
            built.online("demand", [{"shop": "north"}], at(50))
        assert refused.value.code == "missing-key"

    # ── how old ───────────────────────────────────────────────────────────────────────────────────

    def test_a_materialization_tells_when_the_newest_of_what_was_known_happened(
        self, built: Features
    ) -> None:
        """What happened at 36 was known at 90 alone; what is past its ttl is old, and known all the same."""
        assert built.materialize(at(-1)).newest == {"shop_sales": None, "item_price": None}
        assert built.materialize(at(5)).newest["shop_sales"] is None
        for moment, newest in ((6, 0), (23, 0), (24, 24), (50, 24), (89, 24), (90, 36), (500, 36)):
            assert built.materialize(at(moment)).newest == {"shop_sales": at(newest), "item_price": at(0)}
        assert built.materialize(at(50)).newest["shop_sales"] == at(36), "it stays online as known later"

    def test_what_is_served_says_how_old_it_is(self, built: Features) -> None:
        built.materialize(at(50))
        north, south, west = built.answers("demand", KEYS, at(60))
        assert [each.values for each in (north, south, west)] == list(built.online("demand", KEYS, at(60)))
        assert dict(north.ages) == {"shop_sales": timedelta(hours=36), "item_price": timedelta(hours=60)}
        assert dict(south.ages) == {"shop_sales": timedelta(hours=36), "item_price": timedelta(hours=60)}
        assert dict(west.ages) == {"shop_sales": None, "item_price": None}
        (expired,) = built.answers("demand", KEYS[:1], at(72.01))
        assert (expired.ages["shop_sales"], expired.values["sold"]) == (None, None)
        (back,) = built.answers("demand", KEYS[:1], at(10))
        assert back.ages["shop_sales"] == timedelta(hours=26), (
            "a clock that jumped back makes nothing younger"
        )

    # ── pushed ────────────────────────────────────────────────────────────────────────────────────

    def test_a_view_with_a_push_source_takes_pushes_of_what_its_query_reads(self, subject: Features) -> None:
        assert subject.streams() == {"shop_sales": frozenset({"sales"})}

    def test_what_is_pushed_is_served_beside_what_was_known(self, built: Features, tmp_path: Path) -> None:
        built.materialize(at(40))
        pushed = pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4), ("west", 40, 40, 6, None)]))
        assert built.push(pushed) == {"shop_sales": 2}
        assert built.windows()["shop_sales"].pushed == 7
        assert served(built, 41) == [5, None, 6]
        assert built.windows()["item_price"].pushed == 0

    def test_the_same_push_again_is_recognised_and_writes_nothing(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(40))
        pushed = pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4)]))
        built.push(pushed)
        before = built.windows()
        assert built.push(pushed) == {}
        assert built.windows() == before

    def test_an_older_pushed_row_never_replaces_a_newer_one(self, built: Features, tmp_path: Path) -> None:
        built.materialize(at(40))
        one, other = (7, 41, [("north", 41, 41, 5, 0.4)]), (8, 42, [("north", 39, 39, 9, 0.9)])
        built.push(pushes(tmp_path, one))
        assert built.push(pushes(tmp_path, one, other)) == {"shop_sales": 1}
        assert served(built, 42)[0] == 5
        built.push(pushes(tmp_path, one, other, (9, 43, [("north", 23, 23, 1, 0.1)])))
        assert (served(built, 43)[0], built.windows()["shop_sales"].pushed) == (5, 9)

    def test_a_row_pushed_again_is_corrected_whatever_its_query_says_it_was_known(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(40))
        one, other = (7, 41, [("north", 41, 41, 5, 0.4)]), (8, 42, [("north", 41, 41, 6, 0.6)])
        built.push(pushes(tmp_path, one, other))
        assert served(built, 42)[0] == 6

    def test_of_two_pushes_in_one_second_the_one_recorded_last_counts(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(40))
        both = pushes(tmp_path, *((event, 41, [("north", 41, 41, event, 0.5)]) for event in (7, 8)))
        built.push(both)
        assert served(built, 41)[0] == 8
        built.materialize(at(50), lambda: both)
        assert served(built, 50)[0] == 8
        assert {pair.known for pair in built.paired("shop_sales", 1, both) if pair.feature == "sold"} == {8}

    def test_what_is_not_known_yet_by_its_query_waits_for_a_window(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(40))
        pushed = pushes(tmp_path, (7, 41, [("north", 41, 44, 5, 0.4)]))
        built.push(pushed)
        assert (served(built, 41)[0], built.windows()["shop_sales"].pushed) == (20, 7)
        built.materialize(at(44), lambda: pushed)
        assert served(built, 44)[0] == 5

    def test_a_later_window_holds_what_still_stands_and_drops_the_rest(
        self, built: Features, tmp_path: Path
    ) -> None:
        built.materialize(at(40))
        one, other = (7, 41, [("north", 41, 41, 5, 0.4)]), (8, 42, [("west", 41, 41, 6, 0.6)])
        built.push(pushes(tmp_path, one, other))
        assert built.materialize(at(50), lambda: pushes(tmp_path, one, other)).rows["shop_sales"] == 3
        assert served(built, 50) == [5, None, 6]
        # The drop of the first one came, and has no row of hour 41.
        built.materialize(at(51), lambda: pushes(tmp_path, other))
        assert (served(built, 51), built.windows()["shop_sales"].pushed) == ([21, None, 6], 8)

    def test_the_same_window_with_the_same_pushes_writes_nothing(
        self, built: Features, tmp_path: Path
    ) -> None:
        pushed = pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4)]))
        built.materialize(at(40), lambda: pushed)
        assert served(built, 41)[0] == 5
        assert built.push(pushed) == {}
        before = built.windows()
        assert built.materialize(at(40), lambda: pushed).written == ()
        assert built.windows() == before

    def test_a_view_that_is_not_online_is_not_pushed_to(self, built: Features, tmp_path: Path) -> None:
        assert built.push(pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4)]))) == {}
        assert built.windows() == {}

    def test_what_was_pushed_was_known_and_is_no_skew(self, built: Features, tmp_path: Path) -> None:
        built.materialize(at(40))
        pushed = pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4), ("west", 40, 40, 6, None)]))
        built.push(pushed)
        found = {
            (pair.key.split("=")[-1], pair.feature): pair for pair in built.paired("shop_sales", 9, pushed)
        }
        assert {place: (pair.online, pair.known) for place, pair in found.items()} == {
            ("north", "sold"): (5, 5),
            ("north", "rate"): (0.4, 0.4),
            ("south", "sold"): (None, None),
            ("south", "rate"): (0.5, 0.5),
            ("west", "sold"): (6, 6),
            ("west", "rate"): (None, None),
        }
        (skewed, *_) = [pair for pair in built.paired("shop_sales", 9) if pair.feature == "sold"]
        assert (skewed.online, skewed.known) == (5, 20)  # where nobody says what was pushed

    def test_pushed_rows_are_tried_alone_and_beside_what_came_before(
        self, built: Features, tmp_path: Path
    ) -> None:
        before = [write_batch(tmp_path / "before.parquet", SALES)]
        (one,) = pushes(tmp_path, (7, 41, [("north", 41, 41, 5, 0.4)])).rows
        assert built.derived(one, Pushes(declared=DECLARED), before) == {"shop_sales": 1}
        assert built.derived(one, Pushes(declared=DECLARED), []) == {"shop_sales": 1}

    # ── served beside known ───────────────────────────────────────────────────────────────────────

    def test_each_feature_of_a_key_is_paired_with_what_was_known_at_its_moment(self, built: Features) -> None:
        built.materialize(at(50))
        pairs = {(pair.key.split("=")[-1], pair.feature): pair for pair in built.paired("shop_sales", 10)}
        assert {
            place: (pair.kind, pair.online, pair.known) for place, pair in pairs.items() if pair.online
        } == {
            ("north", "sold"): ("integer", 21, 21),
            ("north", "rate"): ("double", 0.21, 0.21),
            ("south", "rate"): ("double", 0.5, 0.5),
        }
        assert [pair for pair in pairs.values() if (pair.online is None) != (pair.known is None)] == []
        assert len(pairs) == 4

    def test_the_same_window_gives_the_same_sample(self, built: Features) -> None:
        built.materialize(at(50))
        few = built.paired("shop_sales", 1)
        assert len({pair.key for pair in few}) == 1
        assert built.paired("shop_sales", 1) == few

    def test_what_is_not_online_has_no_pair(self, built: Features) -> None:
        with pytest.raises(DependencyFailed) as failed:
            built.paired("shop_sales", 1)
        assert failed.value.code == "online-empty"
