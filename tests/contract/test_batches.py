"""The port `Batches`: the fake, and Arrow with Parquet."""

from __future__ import annotations

import errno
import io
import json
import os
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.adapters.arrow_batches import ArrowBatches, delimited
from tidegate.adapters.arrow_batches import drop as drop_files
from tidegate.adapters.shared import pieces
from tidegate.adapters.shared.pieces import Stored
from tidegate.adapters.shared.sql import run_sql
from tidegate.application.ports import Batches, Table
from tidegate.domain.contract import Column
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.masking import Mask, Treatment, kept
from tidegate.testing.contracts.batches import BatchesContract
from tidegate.testing.drops import PUSHED, read, report, treated, write_drop
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


class TestArrowBatchesOnDisk(BatchesContract):
    """Every drop as if it were too large for memory: read in parts, kept aside, sorted on disk."""

    @pytest.fixture(autouse=True)
    def _large(self, on_disk: None) -> None:
        """Take every drop for a large one."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Batches:
        return ArrowBatches(tmp_path / "home")


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_LARGE", -1)
    monkeypatch.setattr(delimited, "_BLOCK", 100)
    monkeypatch.setattr(pieces, "IN_MEMORY", -1)
    monkeypatch.setattr(pieces, "AT_ONCE", 3)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "station": st.sampled_from(["ABC", "BCD", "", "é", "e\u0301"]) | st.none(),
            "at": st.sampled_from(
                [datetime(2013, 1, 1, tzinfo=UTC), datetime(1969, 7, 1, 0, 0, 0, 5, tzinfo=UTC)]
            ),
            "level": st.sampled_from([0.0, -0.0, 1.5, -2.0, 1e300]) | st.none(),
            "reading": st.sampled_from([1, -(2**63), 2**63 - 1]) | st.none(),
            "note": st.sampled_from(["", "calm", "日本"]) | st.none(),
        }
    ),
    min_size=1,
    max_size=20,
)


def test_on_disk_as_in_memory_the_same_rows_make_the_same_batch_and_the_same_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "AT_ONCE", 3)
    schema = pa.schema([(column.name, delimited.arrow_type(column.type)) for column in TIDES.columns])
    here, there = ArrowBatches(tmp_path / "here"), ArrowBatches(tmp_path / "there")

    @settings(deadline=None, max_examples=40)
    @given(ROWS, st.sets(st.integers(0, 19)))
    def same(rows: list[dict[str, object]], bad: set[int]) -> None:
        table = pa.Table.from_pylist(rows, schema=schema)
        file = io.BytesIO()
        pq.write_table(table, file, row_group_size=4)
        held = {place: ("T01",) for place in sorted(bad) if place < len(rows)}
        found = [
            (batches.accept(TIDES, rows, held), batches.quarantine(TIDES, rows, report(rows, held)))
            for batches, rows in ((here, cast(Table, table)), (there, Stored(file)))
        ]
        (batch, one), (other, two) = ((digest, pq.read_table(path)) for (digest, path), _ in found)
        assert batch == other
        assert one.equals(two)
        assert one.schema.equals(two.schema, check_metadata=True)
        assert found[0][1].root == found[1][1].root
        assert found[0][1].path.read_bytes() == found[1][1].path.read_bytes()

    same()
    assert not list(tmp_path.rglob("*.part"))


def test_a_large_drop_is_kept_aside_on_disk_and_what_is_wrong_in_it_is_named_by_its_line(
    tmp_path: Path, on_disk: None
) -> None:
    batches = ArrowBatches(tmp_path / "home")
    table = read(batches, write_drop(tmp_path))
    assert isinstance(table, Stored)
    assert table.num_rows == len(LINES)
    assert table.column_names == [column.name for column in TIDES.columns]
    many = [f"ABC,2013-01-01T00:{minute:02}:00Z,1,1,calm" for minute in range(50)]
    for line, said in (
        (
            "ABC,2013-01-01T01:00:00Z,high,1,",
            "got 'high' in `level` on line 52 of tides.csv, expected type number",
        ),
        ("ABC,2013-01-01T01:00:00Z,inf,1,", "got no finite number in `level` on line 52 of tides.csv"),
        ("ABC,2013-01-01T01:00:00Z,1,1", "got 4 fields on line 52 of tides.csv, expected 5"),
    ):
        with pytest.raises(BadInput) as caught:
            read(batches, write_drop(tmp_path, [*many, line, many[0]]))
        assert caught.value.sentence.startswith(said)


def test_a_disk_without_room_for_a_large_drop_is_said_and_leaves_nothing(
    tmp_path: Path, on_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    drop, batches = write_drop(tmp_path), ArrowBatches(tmp_path / "home")
    named = batches.drop_digest(drop)
    monkeypatch.setattr(pieces.tempfile, "TemporaryFile", full)
    with pytest.raises(DependencyFailed) as caught:
        batches.read(drop, TIDES, named)
    assert caught.value.code == "disk-full"
    assert not (tmp_path / "home").exists()


def test_a_batch_is_parquet_in_the_order_of_the_key_with_times_in_utc(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    table = read(batches, write_drop(tmp_path))
    _, path = batches.accept(TIDES, table, {})
    there = pq.read_table(path)
    assert str(there.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert there.schema.metadata is None
    keys = [(row["station"], row["at"].hour) for row in there.to_pylist()]
    assert keys == [("ABC", 0), ("ABC", 1), ("ABC", 2), ("BCD", 1)]


def test_rows_that_share_a_key_are_ordered_by_the_rest_of_their_values(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    twins = ["ABC,2013-01-01T00:00:00Z,1,1,", "ABC,2013-01-01T00:00:00Z,2,1,"]
    first = batches.accept(TIDES, read(batches, write_drop(tmp_path, twins)), {})
    second = batches.accept(TIDES, read(batches, write_drop(tmp_path, twins[::-1], name="b.csv")), {})
    assert first == second


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    table = read(batches, write_drop(tmp_path))
    header = "note,reading,level,at,station"
    lines = [
        ",2,0.5,2013-01-01T01:00:00Z,BCD", "calm,1,,2013-01-01T01:00:00Z,ABC",
        '"slack, then ebb",,-1.25,2013-01-01T00:00:00Z,ABC',
        "Föhn,9007199254740993,2.0,2013-01-01T02:00:00Z,ABC",
    ]  # fmt: skip
    assert read(batches, write_drop(tmp_path, lines, header, "other.csv")).equals(table)


def test_a_mistyped_value_is_named_in_the_right_column_when_columns_are_reordered(tmp_path: Path) -> None:
    drop = write_drop(tmp_path, [",2,high,2013-01-01T01:00:00Z,BCD"], "note,reading,level,at,station")
    with pytest.raises(BadInput) as caught:
        read(ArrowBatches(tmp_path), drop)
    assert caught.value.sentence == "got 'high' in `level` on line 2 of tides.csv, expected type number"


@pytest.mark.parametrize("at", ["0000-12-31T23:59:59Z", "9999-12-31T23:59:59-05:00"])
def test_a_time_that_no_reader_of_the_batch_could_say_is_refused_with_its_line(
    tmp_path: Path, at: str
) -> None:
    with pytest.raises(BadInput) as caught:
        read(ArrowBatches(tmp_path / "home"), write_drop(tmp_path, [*LINES, f"CDE,{at},1,1,"]))
    assert (caught.value.code, caught.value.data["line"]) == ("mistyped-column", 6)
    assert "got no year from 1 to 9999 in UTC in `at` on line 6" in caught.value.sentence


def test_the_first_and_the_last_moment_are_kept_as_they_are(tmp_path: Path) -> None:
    batches, ends = ArrowBatches(tmp_path / "home"), ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")
    table = read(batches, write_drop(tmp_path, [f"ABC,{at},1,1," for at in ends]))
    held = batches.quarantine(TIDES, table, report(table, {0: ("T02",), 1: ("T02",)}))
    assert [each["values"]["at"] for each in batches.quarantined("tides", held.root)] == list(ends)  # type: ignore[index]
    assert batches.whole(TIDES, "", held.root) == table


def test_what_arrow_says_of_a_value_is_no_cause_that_a_log_could_show(tmp_path: Path) -> None:
    secret = tuple(replace(column, classification="restricted") for column in TIDES.columns)
    drop = write_drop(tmp_path, ["ABC,2013-01-01T00:00:00Z,0170-9981273,1,"])
    batches = ArrowBatches(tmp_path / "home")
    with pytest.raises(BadInput) as caught:
        batches.read(drop, replace(TIDES, columns=secret), batches.drop_digest(drop))
    assert "got a value in `level` on line 2" in caught.value.sentence
    assert "0170" not in "".join(traceback.format_exception(caught.value))


def test_a_treated_column_is_not_quoted_whatever_its_classification(tmp_path: Path) -> None:
    contract, batches = treated(reading=Treatment(Mask.HASH)), ArrowBatches(tmp_path / "home")
    drop = write_drop(tmp_path, ["ABC,2013-01-01T00:00:00Z,1,Wilhelmine,"])
    with pytest.raises(BadInput) as caught:
        batches.read(drop, contract, batches.drop_digest(drop))
    assert caught.value.sentence.startswith("got a value in `reading` on line 2")


def test_another_masking_key_than_before_is_refused_until_somebody_says_that_it_is_meant(
    tmp_path: Path,
) -> None:
    contract, drop, home = (
        treated(note=Treatment(Mask.HASH)),
        write_drop(tmp_path),
        tmp_path / "home",
    )
    digest = ArrowBatches(home).drop_digest(drop)
    before = ArrowBatches(home).read(drop, contract, digest).table
    assert ArrowBatches(home).read(drop, contract, digest).table == before
    (home / "keys" / "masking.key").unlink()  # a home restored without its keys
    for other in (None, "ab" * 32):
        with pytest.raises(DependencyFailed) as failed:
            ArrowBatches(home, masking_key=other).read(drop, contract, digest)
        assert failed.value.code == "another-key"
        assert "batches/masked-with" in failed.value.hint
        assert not (home / "keys" / "masking.key").exists(), "that is where the right one will be put"
    (home / "batches" / "masked-with").unlink()
    assert ArrowBatches(home).read(drop, contract, digest).table != before


def test_a_drop_without_a_header_does_not_have_its_first_row_repeated(tmp_path: Path) -> None:
    (tmp_path / "tides.csv").write_text("Wilhelmine,2013-01-01T00:00:00Z,1,1,0170-9981273\n")
    with pytest.raises(BadInput) as caught:
        read(ArrowBatches(tmp_path / "home"), tmp_path / "tides.csv")
    assert caught.value.code == "columns"
    assert "whose first line has none of the 5 columns" in caught.value.sentence
    assert "Wilhelmine" not in str(caught.value.as_dict())


def test_nulls_are_the_spellings_given_and_never_texts_in_quotes(tmp_path: Path) -> None:
    drop = write_drop(tmp_path, ['ABC,2013-01-01T00:00:00Z,NA,,"NA"', 'ABC,2013-01-01T01:00:00Z,1,1,""'])
    table = read(ArrowBatches(tmp_path), drop)
    assert table.column("level").to_pylist() == [None, 1.0]
    assert table.column("note").to_pylist() == ["NA", ""]
    with pytest.raises(BadInput, match="'NA' in `level` on line 2"):
        read(ArrowBatches(tmp_path, nulls=("",)), drop)


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    drop = write_drop(tmp_path, header="\ufeff" + HEADER)
    assert read(ArrowBatches(tmp_path), drop).num_rows == len(LINES)


def test_a_csv_whose_first_column_begins_like_a_zip_is_a_csv(tmp_path: Path) -> None:
    batches, wide = ArrowBatches(tmp_path / "home"), (Column("PKEY", "integer"), *TIDES.columns)
    drop = write_drop(tmp_path, [f"{at},{line}" for at, line in enumerate(LINES)], f"PKEY,{HEADER}")
    assert batches.read(drop, replace(TIDES, columns=wide), batches.drop_digest(drop)).table.num_rows == 4


def test_line_ends_inside_quotes_belong_to_the_value(tmp_path: Path) -> None:
    drop = write_drop(tmp_path, ['ABC,2013-01-01T00:00:00Z,1,1,"two\nlines"'])
    assert read(ArrowBatches(tmp_path), drop).column("note").to_pylist() == ["two\nlines"]


def test_no_part_of_a_file_is_left_behind(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    drop = write_drop(tmp_path)
    table = read(batches, drop)
    batch, _ = batches.accept(TIDES, table, {})
    held = batches.quarantine(TIDES, table, report(table, {0: ("T05",)}))
    batches.settle("tides", (batch, held.root))
    names = [name for _, _, files in os.walk(tmp_path / "home") for name in files]
    assert sorted(Path(name).suffix for name in names) == [".jsonl", ".parquet"]
    assert not any(name.startswith(".") for name in names)


def test_an_empty_dataset_has_the_contracts_columns_and_types(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    nothing = pq.read_table(batches.empty(TIDES))
    _, path = batches.accept(TIDES, read(batches, write_drop(tmp_path)), {})
    assert nothing.num_rows == 0
    assert nothing.schema == pq.read_table(path).schema


def test_a_query_may_join_a_dataset_of_which_nothing_has_come(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    _, path = batches.accept(TIDES, read(batches, write_drop(tmp_path)), {})
    query = (
        "SELECT count(*) AS gauged, count(f.level) AS known FROM tides t "
        'LEFT JOIN floods f ON f.station = t.station AND f."at" = t."at"'
    )
    empty = batches.empty(replace(TIDES, dataset="floods"))
    rows = run_sql(query, {"tides": [path], "floods": [empty]}, {})
    assert rows.to_pylist() == [{"gauged": 4, "known": 0}]


@pytest.mark.parametrize(
    ("datasets", "declared"),
    [(("tides", "Tides"), {}), (("tides", "tides_datums"), {"tides": {"datums": [{"x": 1}]}})],
)
def test_two_datasets_of_one_name_are_refused_and_never_read_for_each_other(
    tmp_path: Path, datasets, declared
) -> None:
    batches = ArrowBatches(tmp_path / "home")
    files = {name: [batches.accept(TIDES, read(batches, write_drop(tmp_path)), {})[1]] for name in datasets}
    with pytest.raises(BadInput) as caught:
        run_sql("SELECT 1", files, declared)
    assert caught.value.code == "view-name"


def test_values_of_a_column_that_no_contract_has_are_bad_input(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    digest, _ = batches.accept(TIDES, read(batches, write_drop(tmp_path)), {})
    with pytest.raises(BadInput, match="got no column depth in tides, expected one of station, at"):
        batches.values("tides", [digest], "depth")


@pytest.mark.parametrize("name", ["tides.csv", "tides.zip"])
@pytest.mark.parametrize("spooled", [2**24, 1], ids=["in memory", "on disk"])
def test_a_drop_is_read_as_it_was_named_whoever_writes_to_it_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, spooled: int
) -> None:
    batches, path = ArrowBatches(tmp_path / "home"), write_drop(tmp_path, name=name)
    named, checked = batches.drop_digest(path), delimited._check_columns

    def meanwhile(*given: object) -> None:
        checked(*given)
        path.write_bytes(b"something else altogether")

    monkeypatch.setattr(drop_files, "_IN_MEMORY", spooled)
    monkeypatch.setattr(delimited, "_check_columns", meanwhile)
    assert batches.read(path, TIDES, named).table.num_rows == len(LINES)
    with pytest.raises(BadInput, match=f"got {name} with other bytes"):
        batches.read(path, TIDES, named)


def test_no_room_for_the_temporary_copy_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    batches, path = ArrowBatches(tmp_path / "home"), write_drop(tmp_path)
    monkeypatch.setattr(drop_files.tempfile, "SpooledTemporaryFile", lambda _: Full())
    with pytest.raises(DependencyFailed) as caught:
        read(batches, path)
    assert caught.value.code == "disk-full"
    assert caught.value.sentence.startswith("got no room for a temporary copy of tides.csv (No space left")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_when_the_last_byte_goes_out_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    batches = ArrowBatches(tmp_path / "home")
    table = read(batches, write_drop(tmp_path))
    monkeypatch.setattr(os, "fsync", full)
    acts = (
        lambda: batches.accept(TIDES, table, {}),
        lambda: batches.quarantine(TIDES, table, report(table, {})),
    )
    for act in acts:
        with pytest.raises(DependencyFailed) as caught:
            act()
        assert caught.value.code == "disk-full"
        assert caught.value.sentence.startswith("got no space left on the disk for tides/")
    assert not [name for _, _, files in os.walk(tmp_path / "home") for name in files]
    monkeypatch.undo()
    digest, path = batches.accept(TIDES, table, {})
    assert batches.path("tides", digest) == path


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    batches = ArrowBatches(tmp_path / "home")
    table = read(batches, write_drop(tmp_path))
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(DependencyFailed) as caught:
        batches.accept(TIDES, table, {})
    assert caught.value.code == "unwritable"
    assert "Not a directory" in caught.value.sentence


# ── pushed ────────────────────────────────────────────────────────────────────────────────────────

SOUND = {
    "station": ["BCD", "ABC"],
    "at": [datetime(2013, 1, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC)],
    "level": [0.5, None],
    "reading": [2, None],
    "note": ["Föhn", None],
}
_TYPES = (pa.string(), pa.timestamp("us", "UTC"), pa.float64(), pa.int64(), pa.string())
COLUMNS = {name: pa.array(values, kind) for (name, values), kind in zip(SOUND.items(), _TYPES, strict=True)}


def as_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path)


def as_arrow_file(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)


def as_arrow_stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as file:
        file.write_table(table)


def as_lines(table: pa.Table, path: Path) -> None:
    rows = ({**row, "at": row["at"].isoformat()} for row in table.to_pylist())
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def pushed(path: Path) -> pa.Table:
    batches = ArrowBatches(path.parent / "home")
    return batches.pushed(path, PUSHED, batches.drop_digest(path)).table


@pytest.mark.parametrize("write", [as_parquet, as_arrow_file, as_arrow_stream, as_lines])
def test_the_same_rows_pushed_in_any_format_are_the_same(tmp_path: Path, write) -> None:
    write(pa.table(COLUMNS), tmp_path / "rows")
    assert pushed(tmp_path / "rows").equals(pa.table(COLUMNS))


def test_columns_of_a_wider_or_narrower_kind_are_cast_where_nothing_is_lost(tmp_path: Path) -> None:
    kinds = {
        "station": pa.dictionary(pa.int32(), pa.large_string()),
        "at": pa.timestamp("s", "America/New_York"),
        "level": pa.float32(),
        "reading": pa.int16(),
        "note": pa.null(),
    }
    columns = {**COLUMNS, "note": pa.nulls(2)}
    as_parquet(pa.table({name: columns[name].cast(kind) for name, kind in kinds.items()}), tmp_path / "rows")
    assert pushed(tmp_path / "rows").equals(pa.table({**COLUMNS, "note": pa.nulls(2, pa.string())}))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("at", pa.array([datetime(2013, 1, 1)] * 2, pa.timestamp("us"))),  # noqa: DTZ001 - that is the point
        ("at", pa.array(["2013-01-01T00:00:00Z"] * 2)),
        ("reading", pa.array([1.0, 2.0])),
        ("reading", pa.array([1, 2**63], pa.uint64())),
        ("level", pa.array([1.0, float("nan")])),
        ("level", pa.array(["1", "2"])),
        ("station", pa.array([1, 2])),
    ],
)
def test_a_column_of_another_kind_is_refused_by_name(tmp_path: Path, column: str, values: pa.Array) -> None:
    as_parquet(pa.table({**COLUMNS, column: values}), tmp_path / "rows")
    with pytest.raises(BadInput) as refused:
        pushed(tmp_path / "rows")
    assert refused.value.code == "mistyped-column"
    assert refused.value.sentence.startswith(f"got `{column}` as ")


@pytest.mark.parametrize("write", [as_parquet, as_arrow_file, as_arrow_stream])
def test_a_file_that_was_cut_short_is_one_sentence(tmp_path: Path, write) -> None:
    write(pa.table(COLUMNS), tmp_path / "rows")
    whole = (tmp_path / "rows").read_bytes()
    for length in range(8, len(whole) - 8, 37):
        (tmp_path / "rows").write_bytes(whole[:length])
        with pytest.raises(BadInput) as refused:
            pushed(tmp_path / "rows")
        assert refused.value.code in {"malformed-push", "empty-push"}
        assert "\n" not in refused.value.sentence


@pytest.mark.parametrize("write", [as_parquet, as_arrow_file, as_arrow_stream])
def test_rows_in_columns_are_bounded_and_never_none(tmp_path: Path, write) -> None:
    for count, code in ((0, "empty-push"), (5, "push-size")):
        write(
            pa.table({name: pa.nulls(count, column.type) for name, column in COLUMNS.items()}),
            tmp_path / "rows",
        )
        with pytest.raises(BadInput) as refused:
            pushed(tmp_path / "rows")
        assert refused.value.code == code


LINES_OF = json.dumps({**dict.fromkeys(SOUND), "station": "ABC"})


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (LINES_OF.replace('"level": null', '"level": NaN'), "malformed-push"),
        (LINES_OF.replace('"level": null', '"level": 1e999'), "mistyped-column"),
        (LINES_OF.replace('"level": null', '"level": 1, "level": 2'), "malformed-push"),
        (LINES_OF.replace('"reading": null', f'"reading": {2**63}'), "mistyped-column"),
        (LINES_OF.replace('"reading": null', f'"reading": {"9" * 5000}'), "malformed-push"),
        (LINES_OF.replace('"ABC"', '"\\ud800"'), "mistyped-column"),
        (LINES_OF.replace('"note": null', '"note": ["a"]'), "mistyped-column"),
        ("[" * 100_000, "malformed-push"),
        ("\0", "malformed-push"),
    ],
)
def test_lines_that_are_no_rows_are_one_sentence_with_their_line(
    tmp_path: Path, line: str, code: str
) -> None:
    (tmp_path / "rows").write_text(f"{LINES_OF}\n\n{line}\n")
    with pytest.raises(BadInput) as refused:
        pushed(tmp_path / "rows")
    assert refused.value.code == code
    assert "line 3" in refused.value.sentence
    assert "\n" not in refused.value.sentence
    assert len(refused.value.sentence) < 400


def test_lines_that_are_no_utf_8_are_named(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(LINES_OF.encode() + b'\n{"station": "\xff"}\n')
    with pytest.raises(BadInput, match="on line 2") as refused:
        pushed(tmp_path / "rows")
    assert refused.value.code == "wrong-encoding"


def test_a_value_of_a_column_that_is_not_public_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text(LINES_OF.replace('"note": null', '"note": 4711'))
    with pytest.raises(BadInput) as refused:
        pushed(tmp_path / "rows")
    assert refused.value.sentence == "got a value in `note` on line 1 of rows, expected type string"


def test_classified_columns_are_treated_before_anything_of_a_push_is_kept(tmp_path: Path) -> None:
    note = Column("note", "string", classification="restricted", treatment=Treatment(Mask.HASH))
    delivered = (*TIDES.columns[:-1], note)
    contract = replace(PUSHED, columns=kept(delivered), delivered=delivered)
    batches = ArrowBatches(tmp_path / "home")
    (tmp_path / "rows").write_text(LINES_OF.replace('"note": null', '"note": "Ada Lovelace"'))
    table = batches.pushed(tmp_path / "rows", contract, batches.drop_digest(tmp_path / "rows")).table
    (value,) = table.column("note").to_pylist()
    assert value.startswith("hash:")
    assert "Ada" not in value
