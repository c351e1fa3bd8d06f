"""The port `Batches`: the fake, and Arrow with Parquet."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tidegate.adapters.arrow_batches import ArrowBatches
from tidegate.application.ports import Batches
from tidegate.domain.errors import BadInput
from tidegate.testing.contracts.batches import BatchesContract, report, write_drop
from tidegate.testing.fakes.batches import FakeBatches
from tidegate.testing.tides import HEADER, LINES, TIDES


class TestFakeBatches(BatchesContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Batches:
        return FakeBatches(tmp_path / "home")


class TestArrowBatches(BatchesContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Batches:
        return ArrowBatches(tmp_path / "home")


def test_a_batch_is_parquet_in_the_order_of_the_key_with_times_in_utc(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    table = batches.read(write_drop(tmp_path), TIDES)
    _, path = batches.accept(TIDES, table, {})
    kept = pq.read_table(path)
    assert str(kept.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert kept.schema.metadata is None
    keys = [(row["station"], row["at"].hour) for row in kept.to_pylist()]
    assert keys == [("ABC", 0), ("ABC", 1), ("ABC", 2), ("BCD", 1)]


def test_rows_that_share_a_key_are_ordered_by_the_rest_of_their_values(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    twins = ["ABC,2013-01-01T00:00:00Z,1,1,", "ABC,2013-01-01T00:00:00Z,2,1,"]
    first = batches.accept(TIDES, batches.read(write_drop(tmp_path, twins), TIDES), {})
    second = batches.accept(TIDES, batches.read(write_drop(tmp_path, twins[::-1], name="b.csv"), TIDES), {})
    assert first == second


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    table = batches.read(write_drop(tmp_path), TIDES)
    header = "note,reading,level,at,station"
    lines = [
        ",2,0.5,2013-01-01T01:00:00Z,BCD", "calm,1,,2013-01-01T01:00:00Z,ABC",
        '"slack, then ebb",,-1.25,2013-01-01T00:00:00Z,ABC',
        "Föhn,9007199254740993,2.0,2013-01-01T02:00:00Z,ABC",
    ]  # fmt: skip
    assert batches.read(write_drop(tmp_path, lines, header, "other.csv"), TIDES).equals(table)


def test_a_mistyped_value_is_named_in_the_right_column_when_columns_are_reordered(tmp_path: Path) -> None:
    drop = write_drop(tmp_path, [",2,high,2013-01-01T01:00:00Z,BCD"], "note,reading,level,at,station")
    with pytest.raises(BadInput) as caught:
        ArrowBatches(tmp_path).read(drop, TIDES)
    assert caught.value.sentence == "got 'high' in `level` on line 2 of tides.csv, expected type number"


def test_nulls_are_the_spellings_given_and_never_texts_in_quotes(tmp_path: Path) -> None:
    drop = write_drop(tmp_path, ['ABC,2013-01-01T00:00:00Z,NA,,"NA"', 'ABC,2013-01-01T01:00:00Z,1,1,""'])
    table = ArrowBatches(tmp_path).read(drop, TIDES)
    assert table.column("level").to_pylist() == [None, 1.0]
    assert table.column("note").to_pylist() == ["NA", ""]
    with pytest.raises(BadInput, match="'NA' in `level` on line 2"):
        ArrowBatches(tmp_path, nulls=("",)).read(drop, TIDES)


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    drop = write_drop(tmp_path, header="\ufeff" + HEADER)
    assert ArrowBatches(tmp_path).read(drop, TIDES).num_rows == len(LINES)


def test_line_ends_inside_quotes_belong_to_the_value(tmp_path: Path) -> None:
    drop = write_drop(tmp_path, ['ABC,2013-01-01T00:00:00Z,1,1,"two\nlines"'])
    assert ArrowBatches(tmp_path).read(drop, TIDES).column("note").to_pylist() == ["two\nlines"]


def test_no_part_of_a_file_is_left_behind(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    drop = write_drop(tmp_path)
    table = batches.read(drop, TIDES)
    batches.accept(TIDES, table, {})
    batches.quarantine(TIDES, table, report(table, {0: ("T05",)}))
    names = [name for _, _, files in os.walk(tmp_path / "home") for name in files]
    assert sorted(Path(name).suffix for name in names) == [".jsonl", ".parquet"]
    assert not any(name.startswith(".") for name in names)
