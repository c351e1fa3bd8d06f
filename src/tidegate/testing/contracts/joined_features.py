"""What every feature store joins: for each row what was known at its moment, and how old that was.

A part of `FeaturesContract`, which gives ``subject`` and ``built``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.application.ports import Features
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.testing.material import altered
from tidegate.testing.shops import DECLARED, random_sales, read, write_batch, write_entities


class JoinedFeatures:
    """Training frames, and the ages of what they hold."""

    @staticmethod
    def sold(store: Features, folder: Path, *asked: tuple[str | None, float]) -> list[int | None]:
        frame = store.training_frame(write_entities(folder / "entities", asked), "demand", ["note"])
        return [row["sold"] for row in read(frame)]

    # ── point in time ─────────────────────────────────────────────────────────────────────────────

    def test_a_row_is_joined_from_the_moment_it_was_known(self, built: Features, tmp_path: Path) -> None:
        asked = [("north", 5.9), ("north", 6), ("north", 29), ("north", 30)]
        assert self.sold(built, tmp_path, *asked) == [None, 10, 10, 20]

    def test_a_correction_counts_only_once_it_is_known(self, built: Features, tmp_path: Path) -> None:
        assert self.sold(built, tmp_path, ("north", 47.9), ("north", 48)) == [20, 21]

    def test_a_row_past_its_ttl_is_unknown_and_the_bound_is_inclusive(
        self, built: Features, tmp_path: Path
    ) -> None:
        asked = [("north", 72), ("north", 72.01), ("north", 84), ("north", 90)]
        assert self.sold(built, tmp_path, *asked) == [21, None, None, None]

    def test_rows_keep_their_order_and_their_repeats(self, built: Features, tmp_path: Path) -> None:
        asked = [("north", 48.0), ("south", 30.0), ("west", 30.0), ("north", 48.0), ("north", 1.0)]
        frame = built.training_frame(write_entities(tmp_path / "e", asked), "demand", ["note", "shop"])
        rows = read(frame)
        assert [row["note"] for row in rows] == [0, 1, 2, 3, 4]
        assert [row["price"] for row in rows] == [2.5, 3.0, None, 2.5, 2.5]
        assert [row["rate"] for row in rows] == [0.21, 0.5, None, 0.21, None]
        assert list(rows[0]) == ["event_timestamp", "item", "shop", "note", "sold", "rate", "price"]
        assert (
            built.training_frame(write_entities(tmp_path / "e", asked), "demand", ["note", "shop"]) == frame
        )

    def test_before_anything_was_known_every_feature_is_unknown(
        self, built: Features, tmp_path: Path
    ) -> None:
        frame = built.training_frame(write_entities(tmp_path / "e", [("north", -1)]), "demand", [])
        (row,) = read(frame)
        assert (row["sold"], row["rate"], row["price"]) == (None, None, None)

    def test_a_row_without_a_key_is_unknown_and_stays(self, built: Features, tmp_path: Path) -> None:
        assert self.sold(built, tmp_path, (None, 48), ("north", 48), (None, 48)) == [None, 21, None]

    def test_a_training_frame_is_read_again_in_full_whatever_became_of_it(
        self, built: Features, tmp_path: Path
    ) -> None:
        asked = [("north", 30.0 + number) for number in range(3)]
        frame = built.training_frame(write_entities(tmp_path / "e", asked), "demand", ["note"])
        assert built.reread(frame.digest) == frame.digest
        found = altered(frame.path, "note", 2)
        assert built.reread(frame.digest) == found != frame.digest
        frame.path.write_bytes(b"not Parquet")
        for _ in ("damaged", "gone"):
            with pytest.raises(DependencyFailed) as failure:
                built.reread(frame.digest)
            assert failure.value.code == "frame-unreadable"
            assert f"expected the training set {frame.digest}" in failure.value.sentence
            frame.path.unlink(missing_ok=True)

    @pytest.mark.parametrize("digest", ["", "tg1:../../secrets", "tg1:abc", "sha256:" + "0" * 64])
    def test_what_is_no_digest_of_a_frame_never_becomes_a_path(self, built: Features, digest: str) -> None:
        with pytest.raises(BadInput) as refusal:
            built.reread(digest)
        assert refusal.value.code == "not-a-digest"

    def test_a_run_is_marked_with_the_service_that_it_learned_from(self, built: Features) -> None:
        marks = built.marks("demand", 42)
        assert {"demand", "42"} <= set(marks.tags.values())
        with pytest.raises(BadInput) as refused:
            built.marks("nothing", 42)
        assert refused.value.code == "no-such-service"

    def test_no_row_asked_gives_no_row(self, built: Features, tmp_path: Path) -> None:
        frame = built.training_frame(write_entities(tmp_path / "e", []), "demand", ["note"])
        assert frame.rows == 0
        assert frame.columns == ("event_timestamp", "item", "shop", "note", "sold", "rate", "price")

    def test_a_column_that_is_not_there_is_refused(self, built: Features, tmp_path: Path) -> None:
        with pytest.raises(BadInput) as refused:
            built.training_frame(write_entities(tmp_path / "e", [("north", 1)]), "demand", ["color"])
        assert refused.value.code == "missing-column"
        assert "color" in refused.value.sentence

    def test_a_store_that_was_never_built_says_so(self, subject: Features, tmp_path: Path) -> None:
        subject.apply()
        with pytest.raises(DependencyFailed) as failed:
            subject.training_frame(write_entities(tmp_path / "e", [("north", 1)]), "demand", [])
        assert failed.value.code == "features-not-built"

    # ── how old ───────────────────────────────────────────────────────────────────────────────────

    def test_a_value_is_as_old_as_the_row_that_is_joined(self, built: Features, tmp_path: Path) -> None:
        """A correction is no younger than what it corrects; one past its ttl, and no value at all, has no age."""
        asked = [("north", 5.9), ("north", 6), ("north", 48), ("north", 72), ("north", 72.01), ("west", 48)]
        frame = built.ages(write_entities(tmp_path / "e", asked), "demand", ["shop_sales", "item_price"])
        hour = 3600 * 1_000_000
        rows = read(frame)
        assert [row["shop_sales"] for row in rows] == [None, 6 * hour, 24 * hour, 48 * hour, None, None]
        assert [row["item_price"] and row["item_price"] / hour for row in rows] == [
            *(pytest.approx(hours) for hours in (5.9, 6, 48, 72, 72.01)),
            None,
        ]
        assert built.ages(write_entities(tmp_path / "e", asked), "demand", ["shop_sales"]).columns == (
            "shop_sales",
        )

    def test_ages_are_of_the_rows_that_are_joined(self, subject: Features, tmp_path: Path) -> None:
        """Each joined row carries when it happened as its value: what was added up must come out."""
        sales = random_sales(7, 60)
        marked = [(shop, event, known, round(event), rate) for shop, event, known, _, rate in sales]
        subject.build({"sales": [write_batch(tmp_path / "batches" / "m.parquet", marked)]}, DECLARED)
        subject.apply()
        asked = [(shop, hour + 0.5) for shop in ("north", "south", "west") for hour in range(0, 150, 3)]
        entities = write_entities(tmp_path / "e", asked)
        joined = read(subject.training_frame(entities, "demand", ["note"]))
        ages = read(subject.ages(entities, "demand", ["shop_sales"]))
        assert any(row["sold"] is None for row in joined)
        assert any(row["sold"] is not None for row in joined)
        for (_, hour), row, age in zip(asked, joined, ages, strict=True):
            old = age["shop_sales"]
            assert (row["sold"] is None) == (old is None)
            assert old is None or row["sold"] + old / 3_600_000_000 == pytest.approx(hour)

    def test_a_view_that_the_service_does_not_select_has_no_ages(
        self, built: Features, tmp_path: Path
    ) -> None:
        with pytest.raises(BadInput) as refused:
            built.ages(write_entities(tmp_path / "e", [("north", 1)]), "demand", ["shop_sales", "wages"])
        assert refused.value.code == "not-selected"
        assert refused.value.sentence.startswith("got wages, expected views that demand selects: item_price")

    def test_no_row_asked_has_no_age(self, built: Features, tmp_path: Path) -> None:
        frame = built.ages(write_entities(tmp_path / "e", []), "demand", ["shop_sales"])
        assert (frame.rows, frame.columns) == (0, ("shop_sales",))
