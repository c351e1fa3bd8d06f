"""What every place that holds rows does when some of them go: batches, held-back rows, and copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.ports import Batches, Copies, Features, Frame, Table, Whose
from tidegate.domain.contract import Column
from tidegate.domain.errors import BadInput
from tidegate.domain.keeping import Without, counted
from tidegate.domain.masking import Mask, Treatment
from tidegate.testing.drops import read, report, write_drop
from tidegate.testing.shops import DECLARED, SALES, at, write_batch, write_entities
from tidegate.testing.shops import read as joined
from tidegate.testing.tides import TIDES

#: Tides whose rows are about who wrote the note.
NOTED = replace(TIDES, subject="note")
LINES = (
    "ABC,2013-01-01T00:00:00Z,1,1,Ann",
    "ABC,2013-01-01T01:00:00Z,2,1,Bob",
    "ABC,2013-01-01T02:00:00Z,3,1,Ann",
    "ABC,2013-01-01T03:00:00Z,4,1,",
    "BCD,2013-01-01T00:00:00Z,5,1,Ann",
)


class ThinningContract:
    """Subclass it and give ``subject``, which keeps its files below a new folder."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Batches:
        raise NotImplementedError

    @pytest.fixture
    def kept(self, subject: Batches, tmp_path: Path) -> tuple[str, str]:
        """Accept the drop but for two rows, one of Ann's and one of Bob's; return batch and root."""
        table, held = read(subject, write_drop(tmp_path, LINES)), {1: ("T05",), 2: ("T05",)}
        root = subject.quarantine(NOTED, table, report(table, held)).root
        return subject.accept(NOTED, table, held)[0], root

    def test_what_is_left_has_every_row_but_a_subjects(self, subject: Batches, kept: tuple[str, str]) -> None:
        thinned = subject.thinned(NOTED, subject.whose(NOTED, "Ann"))
        batch, held = sorted(thinned.files, key=lambda each: each.kind)
        assert (batch.kind, batch.place, batch.digest, batch.rows) == ("batch", "tides", kept[0], 2)
        assert (held.kind, held.place, held.digest, held.rows) == ("quarantine", "tides", kept[1], 1)
        assert counted(thinned.files) == 3
        assert subject.values("tides", [batch.successor], "station") == ("ABC",)
        assert [row["row"] for row in subject.held("tides", held.successor)] == [1]
        assert subject.whole(NOTED, batch.successor, held.successor).num_rows == 2

    def test_the_keys_of_accepted_rows_that_went_are_told(
        self, subject: Batches, kept: tuple[str, str]
    ) -> None:
        assert kept
        keys = subject.thinned(NOTED, subject.whose(NOTED, "Ann")).keys
        assert (list(keys.column_names), keys.num_rows) == (["station", "at"], 2)

    def test_nothing_is_removed_before_it_is_discarded(self, subject: Batches, kept: tuple[str, str]) -> None:
        files = subject.thinned(NOTED, subject.whose(NOTED, "Ann")).files
        assert subject.left(files) == files
        assert subject.path("tides", kept[0]).exists()
        subject.discard(files)
        subject.discard(files)
        assert subject.left(files) == ()
        assert subject.thinned(NOTED, subject.whose(NOTED, "Ann")).files == ()

    def test_trying_it_names_the_same_files_and_writes_none(
        self, subject: Batches, kept: tuple[str, str], tmp_path: Path
    ) -> None:
        assert kept
        before = sorted(tmp_path.rglob("*"))
        tried = subject.thinned(NOTED, subject.whose(NOTED, "Ann"), write=False)
        assert sorted(tmp_path.rglob("*")) == before
        assert tried.files == subject.thinned(NOTED, subject.whose(NOTED, "Ann")).files

    def test_with_nobody_named_every_row_of_the_named_files_goes(
        self, subject: Batches, kept: tuple[str, str]
    ) -> None:
        thinned = subject.thinned(NOTED, None, only={kept[0]})
        assert [(each.digest, each.rows) for each in thinned.files] == [(kept[0], 3)]
        assert subject.values("tides", [thinned.files[0].successor], "station") == ()
        assert subject.thinned(NOTED, None, only=set()).files == ()

    def test_nobody_of_that_name_changes_nothing(self, subject: Batches, kept: tuple[str, str]) -> None:
        assert kept
        assert subject.thinned(NOTED, subject.whose(NOTED, "Zoe")).files == ()

    def test_a_table_is_spared_the_rows_of_the_marked(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path, LINES))
        marks = {subject.mark(subject.whose(NOTED, name)) for name in ("Ann", "Zoe")}
        assert subject.spared(NOTED, table, marks).num_rows == 2
        assert subject.spared(NOTED, table, ()).num_rows == 5

    def test_a_mark_says_nothing_of_the_name_and_is_the_same_each_time(self, subject: Batches) -> None:
        ann, bob = (subject.mark(subject.whose(NOTED, name)) for name in ("Ann", "Bob"))
        assert ann == subject.mark(subject.whose(NOTED, "Ann")) != bob
        assert "Ann" not in ann

    def test_who_is_masked_is_found_by_what_stands_there(self, subject: Batches, tmp_path: Path) -> None:
        note = Column("note", "string", treatment=Treatment(Mask.HASH))
        delivered = tuple(note if column.name == "note" else column for column in TIDES.columns)
        masked = replace(NOTED, delivered=delivered)
        drop = write_drop(tmp_path, LINES)
        table = subject.read(drop, masked, subject.drop_digest(drop)).table
        subject.accept(masked, table, {})
        (file,) = subject.thinned(masked, subject.whose(masked, "Ann")).files
        assert file.rows == 3

    def test_a_number_is_a_subject_however_it_is_written(
        self, subject: Batches, kept: tuple[str, str]
    ) -> None:
        numbered = replace(TIDES, subject="reading")
        assert counted(subject.thinned(numbered, subject.whose(numbered, "01")).files) == 5
        assert subject.whose(numbered, "1").anywhere is False
        assert kept

    @pytest.mark.parametrize(
        ("column", "name", "code"),
        [("", "Ann", "no-subject"), ("note", "  ", "bad-subject"), ("reading", "Annabel", "bad-subject")],
    )
    def test_who_cannot_be_a_subject_is_bad_input_that_repeats_nothing(
        self, subject: Batches, column: str, name: str, code: str
    ) -> None:
        with pytest.raises(BadInput) as caught:
            subject.whose(replace(TIDES, subject=column), name)
        assert caught.value.code == code
        assert "Annabel" not in caught.value.sentence + caught.value.hint
        assert "expected" in caught.value.sentence


#: Puts rows as a file of a kind and place; returns its digest.
Plant = Callable[[str, str, Sequence[Mapping[str, Any]]], str]
ARTIFACT = "a" * 64


def nobodys(_: str) -> None:
    """Say of a segment of decisions that it is on no record."""


class CopiesContract:
    """Subclass it and give ``subject``, ``plant``, and ``keys``, which makes what batches tell of rows that went."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Copies:
        raise NotImplementedError

    @pytest.fixture
    def plant(self, subject: Copies, tmp_path: Path) -> Plant:
        raise NotImplementedError

    def keys(self, *rows: Mapping[str, str]) -> Table:
        raise NotImplementedError

    @pytest.mark.parametrize(
        ("kind", "place"),
        [("entities", ""), ("frame", ""), ("source", "keepers"), ("reference", ARTIFACT)],
    )
    def test_rows_go_that_say_the_name_or_have_a_key_that_went(
        self, subject: Copies, plant: Plant, kind: str, place: str
    ) -> None:
        rows: list[dict[str, Any]] = [
            {"trip": "1", "who": "Ann"},
            {"trip": "2", "who": "Bob"},
            {"trip": "3", "who": None},
        ]
        digest = plant(kind, place, rows)
        (file,) = subject.thinned(Whose("keeper", ("Ann",), anywhere=True), self.keys({"trip": "3"}), nobodys)
        assert (file.kind, file.place, file.digest, file.rows) == (kind, place, digest, 2)
        assert file.successor == plant(kind, place, rows[1:2])
        assert subject.left((file,)) == (file,)
        subject.discard((file,))
        assert subject.left((file,)) == ()

    def test_a_number_that_is_somebodys_name_counts_in_its_own_column_alone(
        self, subject: Copies, plant: Plant
    ) -> None:
        plant("frame", "", [{"keeper": 7, "load": 1}, {"keeper": 8, "load": 7}])
        (file,) = subject.thinned(Whose("keeper", ("7",), anywhere=False), self.keys(), nobodys)
        assert file.rows == 1

    def test_a_file_without_the_whole_key_is_not_searched_by_it(self, subject: Copies, plant: Plant) -> None:
        plant("frame", "", [{"trip": "1", "load": 1}])
        keys = self.keys({"trip": "1", "leg": "2"})
        assert subject.thinned(None, keys, nobodys) == ()

    def test_a_segment_that_is_on_no_record_goes_whole(self, subject: Copies, plant: Plant) -> None:
        digest = plant("decisions", "", [{"trip": "1", "who": "Ann", "score": 0.5}])
        (file,) = subject.thinned(Whose("who", ("Ann",), anywhere=True), self.keys(), nobodys)
        assert (file.digest, file.successor, file.rows) == (digest, "", 1)

    def test_trying_it_writes_nothing(self, subject: Copies, plant: Plant) -> None:
        plant("frame", "", [{"who": "Ann"}, {"who": "Bob"}])
        whose = Whose("who", ("Ann",), anywhere=True)
        (tried,) = subject.thinned(whose, self.keys(), nobodys, write=False)
        assert subject.left((replace(tried, digest=tried.successor),)) == ()
        assert subject.thinned(whose, self.keys(), nobodys) == (tried,)

    def test_what_lies_beside_a_file_is_every_other_one_of_its_place(
        self, subject: Copies, plant: Plant
    ) -> None:
        old, new, elsewhere = (
            plant("source", place, [{"trip": trip}])
            for place, trip in (("keepers", "1"), ("keepers", "2"), ("stations", "1"))
        )
        assert [each.digest for each in subject.beside("source", "keepers", new)] == [old]
        assert subject.beside("source", "stations", elsewhere) == ()

    def test_what_batches_hold_is_none_of_its_files(self, subject: Copies) -> None:
        batch = Without("batch", "tides", f"tg1:{ARTIFACT}", f"tg1:{ARTIFACT}", 1)
        assert subject.left((batch,)) == ()
        subject.discard((batch,))


class ForgettingContract:
    """Subclass it and give ``subject``, a store over the shops, and ``keys``; a shop is who is asked about."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Features:
        raise NotImplementedError

    def keys(self, *rows: Mapping[str, str]) -> Table:
        raise NotImplementedError

    @pytest.fixture
    def built(self, subject: Features, tmp_path: Path) -> Mapping[str, Frame]:
        """Build both views and bring them online; return their sources."""
        sources = subject.build({"sales": [write_batch(tmp_path / "a.parquet", SALES)]}, DECLARED)
        subject.apply()
        subject.materialize(at(40))
        return sources

    @staticmethod
    def served(store: Features) -> list[tuple[object, object]]:
        keys = [{"shop": shop, "item": 1} for shop in ("north", "south")]
        return [(row["rate"], row["price"]) for row in store.online("demand", keys, at(40))]

    def test_an_entity_is_forgotten_in_every_view_at_once_and_no_other_is(
        self, subject: Features, built: Mapping[str, Frame]
    ) -> None:
        assert built
        assert self.served(subject) == [(None, 2.5), (0.5, 3.0)]
        assert subject.forget(Whose("whoever", ("south",), anywhere=True), self.keys()) > 0
        assert self.served(subject) == [(None, 2.5), (None, None)]
        assert subject.forget(Whose("whoever", ("south",), anywhere=True), self.keys()) == 0

    def test_an_entity_with_a_key_that_went_is_forgotten(
        self, subject: Features, built: Mapping[str, Frame]
    ) -> None:
        assert built
        assert subject.forget(None, self.keys({"shop": "north", "item": "1"})) > 0
        assert self.served(subject)[0][1] is None
        assert self.served(subject)[1] == (0.5, 3.0)

    def test_before_anything_is_online_there_is_nothing_to_forget(self, subject: Features) -> None:
        assert subject.forget(Whose("whoever", ("south",), anywhere=True), self.keys()) == 0

    def test_what_is_left_of_a_source_takes_its_place_offline_and_online(
        self, subject: Features, built: Mapping[str, Frame], tmp_path: Path
    ) -> None:
        left = without(built["shop_sales"], "south")
        named = {"shop_sales": (built["shop_sales"].digest, left.digest)}
        subject.replaced(named)
        subject.replaced(named)
        subject.verify({"shop_sales": left.digest, "item_price": built["item_price"].digest})
        windows = subject.windows()
        assert windows["shop_sales"].source == left.digest
        assert {each.until for each in windows.values()} == {at(40)}
        assert self.served(subject) == [(None, 2.5), (None, 3.0)]
        asked = write_entities(tmp_path / "entities", [("north", 31), ("south", 31)])
        assert [row["sold"] for row in joined(subject.training_frame(asked, "demand", ["note"]))] == [
            20,
            None,
        ]
        assert subject.materialize(at(40)).written == ()

    def test_a_source_that_is_another_by_now_stays_as_it_is(
        self, subject: Features, built: Mapping[str, Frame]
    ) -> None:
        other = f"tg1:{ARTIFACT}"
        subject.replaced({"shop_sales": (other, other)})
        subject.verify({name: frame.digest for name, frame in built.items()})


def without(source: Frame, shop: str) -> Frame:
    """Write what is left of a source without a shop, where builds of it lie."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from tidegate.adapters.shared.sql import write_frame

    rows = pq.ParquetFile(source.path).read()
    return write_frame(rows.filter(pc.not_equal(rows.column("shop"), shop)), source.path.parent)
