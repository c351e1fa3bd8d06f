"""What every feature store does: it builds, registers, measures, joins and serves the shops' features.

What it joins is in `joined_features`, what it serves in `online_features`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.application.ports import Features
from tidegate.domain.access import opened
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.feature_change import differences
from tidegate.testing.contracts.joined_features import JoinedFeatures
from tidegate.testing.contracts.online_features import OnlineFeatures
from tidegate.testing.shops import DECLARED, DECLARES, SALES, at, write_batch, write_entities


class FeaturesContract(JoinedFeatures, OnlineFeatures):
    """Override ``subject`` with an empty store over the shops' definitions."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Features:
        raise NotImplementedError

    @pytest.fixture
    def built(self, subject: Features, tmp_path: Path) -> Features:
        batch = write_batch(tmp_path / "batches" / "a.parquet", SALES)
        subject.build({"sales": [batch]}, DECLARED)
        subject.apply()
        return subject

    # ── building ──────────────────────────────────────────────────────────────────────────────────

    def test_each_view_says_what_it_reads_from(self, subject: Features) -> None:
        assert subject.reads() == {
            "shop_sales": frozenset({"sales"}),
            "item_price": frozenset({"sales_prices"}),
        }

    def test_a_build_is_named_by_its_content(self, subject: Features, tmp_path: Path) -> None:
        batch = write_batch(tmp_path / "batches" / "a.parquet", SALES)
        frames = subject.build({"sales": [batch]}, DECLARED)
        assert {name: frame.rows for name, frame in frames.items()} == {"shop_sales": 5, "item_price": 2}
        again = subject.build({"sales": [batch]}, DECLARED)
        assert {name: frame.digest for name, frame in again.items()} == {
            name: frame.digest for name, frame in frames.items()
        }

    def test_nothing_is_swapped_before_somebody_is_ready(self, subject: Features, tmp_path: Path) -> None:
        first = subject.build({"sales": [write_batch(tmp_path / "batches" / "a.parquet", SALES)]}, DECLARED)
        fewer = {"sales": [write_batch(tmp_path / "batches" / "b.parquet", SALES[:3])]}
        subject.apply()

        def looks() -> None:
            subject.verify({name: frame.digest for name, frame in first.items()})
            raise LookupError

        with pytest.raises(LookupError):
            subject.build(fewer, DECLARED, looks)
        subject.verify({name: frame.digest for name, frame in first.items()})
        ready: list[str] = []
        second = subject.build(fewer, DECLARED, lambda: ready.append("once"))
        subject.verify({name: frame.digest for name, frame in second.items()})
        assert ready == ["once"]
        assert second["shop_sales"].digest != first["shop_sales"].digest

    def test_the_same_rows_in_other_batches_give_the_same_build(
        self, subject: Features, tmp_path: Path
    ) -> None:
        whole = write_batch(tmp_path / "batches" / "a.parquet", SALES)
        one = write_batch(tmp_path / "batches" / "b.parquet", SALES[3:])
        two = write_batch(tmp_path / "batches" / "c.parquet", SALES[:3])
        first = subject.build({"sales": [whole]}, DECLARED)
        second = subject.build({"sales": [two, one]}, DECLARED)
        assert first["shop_sales"].digest == second["shop_sales"].digest

    def test_a_source_with_its_digest_is_verified(self, subject: Features, tmp_path: Path) -> None:
        batch = write_batch(tmp_path / "batches" / "a.parquet", SALES)
        frames = subject.build({"sales": [batch]}, DECLARED)
        subject.verify({name: frame.digest for name, frame in frames.items()})
        subject.verify({})

    def test_a_source_with_another_digest_is_refused(self, built: Features) -> None:
        with pytest.raises(DependencyFailed) as failed:
            built.verify({"shop_sales": "tg1:" + "0" * 64})
        assert failed.value.code == "frame-altered"
        assert failed.value.sentence.startswith("got the source of shop_sales with the content tg1:")

    def test_a_source_that_is_not_there_is_refused(self, subject: Features) -> None:
        with pytest.raises(DependencyFailed):
            subject.verify({"shop_sales": "tg1:" + "0" * 64})

    def test_registering_twice_gives_the_same_digests(self, built: Features) -> None:
        digests = built.apply()
        assert set(digests) == {"shop_sales", "item_price", "demand"}
        assert len(set(digests.values())) == 3
        assert built.apply() == digests

    # ── definitions ───────────────────────────────────────────────────────────────────────────────

    def test_what_is_defined_is_what_will_be_registered(self, subject: Features) -> None:
        assert subject.registered({}).views == {}
        defined = subject.defined()
        assert subject.registered({}).views == {}
        assert set(defined.views) == {"shop_sales", "item_price"}
        assert dict(defined.services["demand"].selects) == {
            "shop_sales": ("sold", "rate"),
            "item_price": ("price",),
        }
        digests = subject.apply()
        assert {name: view.digest for name, view in defined.views.items()} == {
            name: digests[name] for name in defined.views
        }
        assert differences(subject.registered(digests), subject.defined()) == ()
        assert set(subject.registered(digests).views["item_price"].keys) == {"item", "shop"}

    def test_a_permission_opens_the_views_that_it_names_and_no_other(self, subject: Features) -> None:
        declared = {each.name: each.as_dict() for each in subject.defined().permissions}
        assert declared == {each.name: each.as_dict() for each in DECLARES}
        roles = opened(declared)
        assert roles["shop_sales", "read_online"] == (
            "feature_service",
            "scoring_service",
            "training_service",
        )
        assert roles["item_price", "read_online"] == ("feature_service",)
        assert subject.registered({}).permissions == (), "the record says what is in force"

    def test_queries_that_fit_their_views_are_tried_without_building_anything(
        self, subject: Features, tmp_path: Path
    ) -> None:
        subject.check({"sales": [write_batch(tmp_path / "a.parquet", SALES)]}, DECLARED)
        with pytest.raises(DependencyFailed):
            subject.verify({"shop_sales": "tg1:" + "0" * 64})

    def test_a_definition_is_found_again_by_its_digest_and_no_other_is(self, built: Features) -> None:
        now = built.apply()["shop_sales"]
        other = "sha256:" + "0" * 64
        (found,) = built.kept({"shop_sales": now}).values()
        (gone,) = built.kept({"shop_sales": other}).values()
        assert (found.digest, found.kept, set(found.fields)) == (now, True, {"sold", "rate"})
        assert (gone.digest, gone.kept, set(gone.fields)) == (other, False, set())
        assert built.registered({"shop_sales": other}).views["shop_sales"] == gone

    def test_a_view_says_how_fresh_it_must_be_and_another_need_not(self, built: Features) -> None:
        digests = built.apply()
        for found in (built.defined(), built.registered(digests)):
            assert {name: dict(view.objective) for name, view in found.views.items()} == {
                "shop_sales": {"freshness": 24 * 3600, "lag": 3 * 24 * 3600},
                "item_price": {},
            }

    def test_definitions_that_are_no_longer_what_was_planned_are_not_registered(
        self, built: Features
    ) -> None:
        planned = built.defined()
        digests = built.apply(planned)
        with pytest.raises(BadInput) as refused:
            built.apply(replace(planned, services={}))
        assert refused.value.code == "definitions-edited"
        assert built.apply(planned) == digests

    def test_an_unknown_service_is_refused(self, built: Features, tmp_path: Path) -> None:
        with pytest.raises(BadInput) as refused:
            built.training_frame(write_entities(tmp_path / "e", [("north", 1)]), "nothing", [])
        assert refused.value.code == "no-such-service"
        with pytest.raises(BadInput) as refused:
            built.online("nothing", [], at(1))
        assert refused.value.code == "no-such-service"

    # ── statistics ────────────────────────────────────────────────────────────────────────────────

    def test_the_figures_of_a_window_are_those_of_the_rows_that_happened_in_it(self, built: Features) -> None:
        told = built.statistics("shop_sales", (at(0), at(36)))
        assert set(told) == {"sold", "rate"}
        sold = told["sold"]
        assert (sold["kind"], sold["row_count"], sold["null_count"], sold["mean"]) == ("numeric", 4, 1, 17)
        assert built.statistics("shop_sales", (at(36), at(37)))["sold"]["mean"] == 99

    def test_a_window_without_rows_has_figures_without_values(self, built: Features) -> None:
        sold = built.statistics("shop_sales", (at(900), at(901)))["sold"]
        assert (sold["row_count"], sold["null_count"], sold["mean"]) == (0, 0, None)

    def test_a_view_that_is_not_defined_has_no_figures(self, built: Features) -> None:
        with pytest.raises(BadInput) as refused:
            built.statistics("nothing", (at(0), at(36)))
        assert refused.value.code == "no-such-view"

    def test_values_are_counted_between_cuts_and_one_on_a_cut_lies_above_it(self, built: Features) -> None:
        window = (at(0), at(36))
        told = built.counts("shop_sales", window, {"sold": [20, 21]})
        figures = built.statistics("shop_sales", window)["sold"]
        assert list(told) == ["sold"]
        assert sum(told["sold"]) == figures["row_count"] - figures["null_count"] == 3
        assert list(told["sold"]) == [1, 1, 1]
        assert list(built.counts("shop_sales", window, {"sold": [1000]})["sold"]) == [3, 0]
        assert list(built.counts("shop_sales", (at(900), at(901)), {"sold": [5]})["sold"]) == [0, 0]

    def test_nothing_is_counted_of_what_is_no_view_or_no_feature(self, built: Features) -> None:
        for view, name, code in (("nothing", "sold", "no-such-view"), ("shop_sales", "x", "no-such-feature")):
            with pytest.raises(BadInput) as refused:
                built.counts(view, (at(0), at(36)), {name: [1.0]})
            assert refused.value.code == code
