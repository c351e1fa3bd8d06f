"""What every implementation of the port `Batches` does."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from tidegate.application.ports import EXPORTED, Batches, Contents, Kept, Table
from tidegate.domain.canonical import canonical
from tidegate.domain.contract import Column, Contract, GateReport
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.evidence import Verdict
from tidegate.domain.masking import Mask, Treatment, kept
from tidegate.domain.merkle import merkle_root
from tidegate.domain.suggestion import Profile
from tidegate.testing.tides import HEADER, LINES, TIDES

#: A digest that no drop in these tests has.
SOME = "sha256:" + "7" * 64


def write_drop(
    folder: Path, lines: Sequence[str] = LINES, header: str = HEADER, name: str = "tides.csv"
) -> Path:
    """Write a drop as CSV, or as one CSV in a zip where the name says so."""
    text = "\n".join([header, *lines, ""]).encode()
    path = folder / name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("tides.csv", text)
    else:
        path.write_bytes(text)
    return path


def read(subject: Batches, drop: Path) -> Table:
    """Read a drop of tides under the name its bytes have now."""
    return subject.read(drop, TIDES, subject.drop_digest(drop)).table


def report(table: Table, reasons: Mapping[int, tuple[str, ...]]) -> GateReport:
    """Return a judgement that holds these rows back."""
    return GateReport(Verdict.PASSED, table.num_rows, reasons, (), ())


PUSHED = replace(TIDES, push=(1, 4))


def write_push(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    """Write rows as JSON lines; a text is a line as it stands."""
    path = folder / name
    lines = (each if isinstance(each, str) else json.dumps(each) for each in rows)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def a_row(station: object = "ABC", hour: int = 0, **more: object) -> dict[str, object]:
    """Return one row of tides as JSON has it."""
    values = {"level": 1.5, "reading": 1, "note": None}
    return {"station": station, "at": f"2013-01-01T{hour:02}:00:00Z", **values, **more}


def aged(path: Path, hours: int = 2) -> None:
    """Make a file, and what says of it that it is not recorded, some hours older."""
    for each in (path, path.with_name(f".{path.name}.unrecorded")):
        if each.exists():
            old = each.stat().st_mtime - hours * 3600
            os.utime(each, (old, old))


class BatchesContract:
    """Subclass it and give ``subject``, which keeps its files below a new folder."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Batches:
        raise NotImplementedError

    # ── pushed ────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def pushed(subject: Batches, path: Path, contract: Contract = PUSHED) -> Contents:
        return subject.pushed(path, contract, subject.drop_digest(path))

    def test_pushed_rows_are_read_in_their_order_and_the_contracts_types(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        rows = [a_row("BCD", 1, note="Föhn"), a_row("ABC", level=2), a_row(None, reading=2**60)]
        found = self.pushed(subject, write_push(tmp_path, *rows))
        assert (found.table.num_rows, found.unpromised) == (3, ())
        assert found.table.column_names == [column.name for column in TIDES.columns]
        digest, path = subject.accept(PUSHED, found.table, {2: ("T02",)})
        assert subject.path("tides", digest) == path
        as_drop = read(subject, write_drop(tmp_path, [
            "BCD,2013-01-01T01:00:00Z,1.5,1,Föhn", "ABC,2013-01-01T00:00:00Z,2.0,1,",
        ]))  # fmt: skip
        assert (
            subject.accept(TIDES, as_drop, {})[0] == digest
        )  # the same rows are the same batch, however they came

    def test_pushed_columns_that_nobody_promised_are_left_out_and_named(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        found = self.pushed(subject, write_push(tmp_path, a_row(), a_row(hour=1, tide="ebb", age=3)))
        assert found.unpromised == ("age", "tide")
        assert found.table.column_names == [column.name for column in TIDES.columns]

    @pytest.mark.parametrize(
        ("rows", "code", "said"),
        [
            ((), "empty-push", "without a row"),
            ((a_row(), "{"), "malformed-push", "line 2"),
            (("[1, 2]",), "malformed-push", "line 1"),
            (({"station": "ABC"},), "columns", "line 1"),
            ((a_row(level="1.5"),), "mistyped-column", "`level`"),
            ((a_row(reading=1.5),), "mistyped-column", "`reading`"),
            ((a_row(reading=True),), "mistyped-column", "`reading`"),
            ((a_row(station=7),), "mistyped-column", "`station`"),
            ((a_row(at="2013-01-01T00:00:00"),), "mistyped-column", "`at`"),
            ((a_row(at="yesterday"),), "mistyped-column", "`at`"),
            (
                tuple(a_row(hour=hour) for hour in range(5)),
                "push-size",
                "expected 1 to 4 in one push of tides",
            ),
        ],
    )
    def test_what_is_no_push_is_one_sentence(
        self, subject: Batches, tmp_path: Path, rows: tuple[object, ...], code: str, said: str
    ) -> None:
        with pytest.raises(BadInput) as refused:
            self.pushed(subject, write_push(tmp_path, *rows))
        assert refused.value.code == code
        assert said in refused.value.sentence
        assert "\n" not in refused.value.sentence

    def test_a_push_whose_bytes_changed_is_refused(self, subject: Batches, tmp_path: Path) -> None:
        with pytest.raises(BadInput) as refused:
            subject.pushed(write_push(tmp_path, a_row()), PUSHED, SOME)
        assert refused.value.code == "drop-changed"

    def test_each_row_names_its_period(self, subject: Batches, tmp_path: Path) -> None:
        rows = a_row(), a_row(at="2013-01-01T23:30:00-02:00"), a_row(at=None)
        table = self.pushed(subject, write_push(tmp_path, *rows)).table
        assert subject.periods(PUSHED, table) == ("2013-01-01", "2013-01-02", "")

    @pytest.mark.parametrize(
        ("period", "expected"),
        [("2013-01-01", (1, 2, 3)), ("2013-01", (2, 3)), ("2013", (3,)), ("2014", (0, 1, 2, 3))],
    )
    def test_rows_that_name_another_period_than_their_drop_stray(
        self, subject: Batches, tmp_path: Path, period: str, expected: tuple[int, ...]
    ) -> None:
        rows = (
            a_row(),
            a_row(at="2013-01-01T23:30:00-02:00"),
            a_row(at="2013-02-01T00:00:00Z"),
            a_row(at=None),
        )
        table = self.pushed(subject, write_push(tmp_path, *rows)).table
        assert subject.strays(PUSHED, table, period) == expected
        assert subject.strays(replace(PUSHED, period_columns=()), table, period) == ()

    @pytest.mark.parametrize(
        ("columns", "period", "expected"),
        [
            (("reading",), "0001", (1, 2)),
            (("reading",), "0001-02", (1, 2)),  # the column is coarser than the drop
        ],
    )
    def test_a_period_may_be_told_by_whole_numbers(
        self,
        subject: Batches,
        tmp_path: Path,
        columns: tuple[str, ...],
        period: str,
        expected: tuple[int, ...],
    ) -> None:
        rows = a_row(), a_row(reading=2), a_row(reading=None)
        table = self.pushed(subject, write_push(tmp_path, *rows)).table
        assert subject.strays(replace(PUSHED, period_columns=columns), table, period) == expected

    def test_pushed_rows_are_looked_up_in_a_batch_by_key_and_the_last_one_counts(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        def batch(*rows: object) -> str:
            path = write_push(tmp_path, *rows)
            return subject.accept(PUSHED, self.pushed(subject, path).table, {})[0]

        first = batch(a_row(), a_row(hour=1), a_row(hour=2))
        again = batch(a_row(hour=1, level=9.0), a_row(hour=3))
        drop = batch(a_row(), a_row(hour=1, level=9.0), a_row(hour=3, note="calm"))
        assert subject.compared(PUSHED, drop, [first, again]) == Kept(4, 2, 1, 1)
        assert subject.compared(PUSHED, drop, [again, first]) == Kept(4, 1, 2, 1)

    # ── drops ─────────────────────────────────────────────────────────────────────────────────────

    def test_a_drop_is_named_by_its_bytes(self, subject: Batches, tmp_path: Path) -> None:
        drop = write_drop(tmp_path)
        same = write_drop(tmp_path, name="again.csv")
        other = write_drop(tmp_path, LINES[:3], name="other.csv")
        assert subject.drop_digest(drop) == subject.drop_digest(same)
        assert subject.drop_digest(drop) != subject.drop_digest(other)
        assert subject.drop_digest(drop).startswith("sha256:")

    def test_a_drop_that_is_not_there_is_bad_input(self, subject: Batches, tmp_path: Path) -> None:
        for act in (subject.drop_digest, lambda path: subject.read(path, TIDES, SOME)):
            with pytest.raises(BadInput) as caught:
                act(tmp_path / "nowhere.csv")
            assert caught.value.code == "no-drop"
            assert "nowhere.csv" in caught.value.sentence

    @pytest.mark.parametrize("name", ["tides.csv", "tides.zip"])
    def test_rows_are_read_in_the_drops_order(self, subject: Batches, tmp_path: Path, name: str) -> None:
        table = read(subject, write_drop(tmp_path, name=name))
        assert table.num_rows == 4
        assert table.column_names == [column.name for column in TIDES.columns]

    @pytest.mark.parametrize(
        ("header", "line", "code", "named"),
        [
            ("station,at,level,reading", "ABC,2013-01-01T00:00:00Z,1,1", "columns", "'note'"),
            (f"{HEADER},note", "ABC,2013-01-01T00:00:00Z,1,1,,x", "columns", "twice"),
            (HEADER, "ABC,2013-01-01T00:00:00Z,high,1,", "mistyped-column", "`level`"),
            (HEADER, "ABC,2013-01-01T00:00:00Z,nan,1,", "mistyped-column", "`level`"),
            (HEADER, "ABC,2013-01-01T00:00:00Z,1,1.5,", "mistyped-column", "`reading`"),
            (HEADER, "ABC,2013-01-01T00:00:00,1,1,", "mistyped-column", "`at`"),
            (HEADER, "ABC,2013-01-01T00:00:00Z,1", "malformed-csv", "3"),
        ],
    )
    def test_a_drop_that_breaks_the_schema_is_bad_input(
        self, subject: Batches, tmp_path: Path, header: str, line: str, code: str, named: str
    ) -> None:
        with pytest.raises(BadInput) as caught:
            read(subject, write_drop(tmp_path, [line], header))
        assert caught.value.code == code
        assert named in caught.value.sentence
        assert "expected" in caught.value.sentence

    def test_a_column_that_nobody_promised_is_named_and_left_out(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        lines = ["x," + LINES[0] + ",y", "x," + LINES[1] + ",y"]
        drop = write_drop(tmp_path, lines, f"zeal,{HEADER},extra")
        contents = subject.read(drop, TIDES, subject.drop_digest(drop))
        assert contents.unpromised == ("extra", "zeal")
        without = read(subject, write_drop(tmp_path, LINES[:2], name="without.csv"))
        assert subject.accept(TIDES, contents.table, {})[0] == subject.accept(TIDES, without, {})[0]

    @pytest.mark.parametrize("text", ["", HEADER + "\n"])
    def test_a_drop_without_rows_is_bad_input(self, subject: Batches, tmp_path: Path, text: str) -> None:
        (tmp_path / "empty.csv").write_text(text)
        with pytest.raises(BadInput) as caught:
            read(subject, tmp_path / "empty.csv")
        assert caught.value.code == "empty-drop"

    def test_a_batch_is_named_by_its_rows_whatever_their_order(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        table = read(subject, write_drop(tmp_path))
        turned = read(subject, write_drop(tmp_path, LINES[::-1], name="turned.csv"))
        digest, path = subject.accept(TIDES, table, {})
        assert digest.startswith("tg1:")
        assert path.is_file()
        assert subject.accept(TIDES, turned, {}) == (digest, path)

    def test_accepting_what_is_on_record_leaves_the_file_as_it_was(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        table = read(subject, write_drop(tmp_path))
        batch, path = subject.accept(TIDES, table, {})
        subject.settle("tides", (batch,))
        before = (path.read_bytes(), path.stat().st_mtime_ns)
        subject.accept(TIDES, table, {})
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before

    def test_held_rows_stay_out_of_the_batch(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        without = read(subject, write_drop(tmp_path, [LINES[0], LINES[2]], name="less.csv"))
        digest, _ = subject.accept(TIDES, table, {1: ("T02",), 3: ("T05",)})
        assert digest == subject.accept(TIDES, without, {})[0]
        assert digest != subject.accept(TIDES, table, {})[0]

    def test_held_rows_are_kept_with_all_their_reasons(self, subject: Batches, tmp_path: Path) -> None:
        drop = write_drop(tmp_path)
        table = read(subject, drop)
        subject.drop_digest(drop)
        segment = subject.quarantine(TIDES, table, report(table, {3: ("T05",), 1: ("T02", "T06")}))
        rows = subject.quarantined("tides", segment.root)
        assert [(row["row"], row["reasons"]) for row in rows] == [(1, ["T02", "T06"]), (3, ["T05"])]
        assert rows[0]["values"] == {
            "station": "ABC", "at": "2013-01-01T01:00:00Z", "level": None, "reading": 1, "note": "calm",
        }  # fmt: skip
        assert rows[1]["values"] == {
            "station": "ABC", "at": "2013-01-01T02:00:00Z", "level": 2,
            "reading": "9007199254740993", "note": "Föhn",
        }  # fmt: skip
        assert (segment.records, segment.root) == (2, merkle_root(canonical(row) for row in rows))

    @pytest.mark.parametrize("held", [{}, {1: ("T02",)}, {3: ("T05",), 1: ("T02", "T06")}])
    def test_a_drop_is_whole_again_from_its_batch_and_what_was_held_back(
        self, subject: Batches, tmp_path: Path, held: Mapping[int, tuple[str, ...]]
    ) -> None:
        table = read(subject, write_drop(tmp_path))
        segment = subject.quarantine(TIDES, table, report(table, held))
        digest, _ = subject.accept(TIDES, table, held)
        again = subject.whole(TIDES, digest, segment.root)
        assert (again.num_rows, again.column_names) == (table.num_rows, table.column_names)
        assert subject.accept(TIDES, again, {})[0] == subject.accept(TIDES, table, {})[0]
        assert subject.accept(TIDES, again, held)[0] == digest  # those held back stand where they stood

    def test_a_drop_that_was_held_back_whole_is_whole_again(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        everything = dict.fromkeys(range(table.num_rows), ("batch:volume",))
        segment = subject.quarantine(TIDES, table, report(table, everything))
        again = subject.whole(TIDES, "", segment.root)
        assert again.column_names == table.column_names
        assert subject.accept(TIDES, again, {})[0] == subject.accept(TIDES, table, {})[0]

    def test_a_batch_is_profiled_by_column(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        digest, _ = subject.accept(TIDES, table, {3: ("T05",)})
        found = {each.column: each for each in subject.profile("tides", digest)}
        assert set(found) == set(table.column_names)
        assert found["station"] == Profile("station", 3, 0, values=("ABC", "BCD"))
        assert found["level"] == Profile("level", 3, 1, -1.25, 0.5)
        assert found["reading"] == Profile("reading", 3, 1, 1, 2)
        assert (found["at"].rows, found["at"].nulls, found["at"].low) == (3, 0, None)
        assert found["note"].nulls == 1

    def test_the_segments_root_is_that_of_its_lines(self, subject: Batches, tmp_path: Path) -> None:
        drop = write_drop(tmp_path)
        table = read(subject, drop)
        segment = subject.quarantine(TIDES, table, report(table, {0: ("T05",)}))
        assert merkle_root(segment.path.read_bytes().splitlines()) == segment.root
        assert segment.path.stem == segment.root.removeprefix("sha256:")

    def test_gating_a_drop_again_keeps_what_was_held_back_before(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        drop = write_drop(tmp_path)
        table, _digest = read(subject, drop), subject.drop_digest(drop)
        first = subject.quarantine(TIDES, table, report(table, {0: ("T05",), 1: ("T02",)}))
        before = first.path.read_bytes()
        mended = subject.quarantine(TIDES, table, report(table, {1: ("T02",)}))
        assert mended.root != first.root
        assert first.path.read_bytes() == before
        assert [row["row"] for row in subject.quarantined("tides", first.root)] == [0, 1]
        assert [row["row"] for row in subject.quarantined("tides", mended.root)] == [1]

    @pytest.mark.parametrize(
        "alter",
        [
            lambda body: body.replace(b"T05", b"T06"),
            lambda body: body.splitlines(keepends=True)[0],
            lambda body: body + body.splitlines(keepends=True)[0],
            lambda body: b"".join(reversed(body.splitlines(keepends=True))),
            lambda body: b"",
            lambda body: b"\xff no JSON\n",
        ],
        ids=["a reason", "a row less", "a row more", "another order", "emptied", "overwritten"],
    )
    def test_an_altered_quarantine_is_noticed(
        self, subject: Batches, tmp_path: Path, alter: Callable[[bytes], bytes]
    ) -> None:
        drop = write_drop(tmp_path)
        table, _digest = read(subject, drop), subject.drop_digest(drop)
        held = report(table, {0: ("T05",), 1: ("T02",)})
        segment = subject.quarantine(TIDES, table, held)
        body = segment.path.read_bytes()
        segment.path.write_bytes(alter(body))
        found = merkle_root(alter(body).splitlines())
        with pytest.raises(DependencyFailed) as caught:
            subject.quarantined("tides", segment.root)
        assert caught.value.code == "quarantine-altered"
        assert caught.value.sentence.endswith(f"with the root {found}, expected {segment.root}")
        assert subject.quarantine(TIDES, table, held) == segment
        assert len(subject.quarantined("tides", segment.root)) == 2

    def test_a_clean_drop_has_an_empty_quarantine(self, subject: Batches, tmp_path: Path) -> None:
        drop = write_drop(tmp_path)
        table = read(subject, drop)
        segment = subject.quarantine(TIDES, table, report(table, {}))
        assert (segment.records, segment.root) == (0, merkle_root([]))
        assert segment.path.is_file()
        assert subject.quarantined("tides", segment.root) == ()

    def test_a_quarantine_that_is_gone_is_a_failed_dependency(self, subject: Batches) -> None:
        with pytest.raises(DependencyFailed) as caught:
            subject.quarantined("tides", "sha256:" + "0" * 64)
        assert caught.value.code == "quarantine-gone"

    def test_what_changed_since_it_was_named_is_not_read(self, subject: Batches, tmp_path: Path) -> None:
        drop = write_drop(tmp_path)
        named = subject.drop_digest(drop)
        for lines in (LINES[:3], ["ABC,2013-01-01T00:00:00Z,high,1,"]):  # also where the new bytes are bad
            write_drop(tmp_path, lines)
            with pytest.raises(BadInput) as caught:
                subject.read(drop, TIDES, named)
            assert caught.value.code == "drop-changed"
            assert "tides.csv" in caught.value.sentence
        write_drop(tmp_path)
        assert subject.read(drop, TIDES, named).table.num_rows == 4

    def test_values_are_listed_once_over_all_batches_sorted_and_without_nulls(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        table = read(subject, write_drop(tmp_path))
        more = read(subject, write_drop(tmp_path, ["CDE,2013-01-02T00:00:00Z,1.5,2,calm"], name="more.csv"))
        both = [subject.accept(TIDES, each, {})[0] for each in (table, more)]
        assert subject.values("tides", both, "station") == ("ABC", "BCD", "CDE")
        assert subject.values("tides", both[:1], "station") == ("ABC", "BCD")
        assert subject.values("tides", both, "note") == ("Föhn", "calm", "slack, then ebb")
        assert subject.values("tides", both, "reading") == ("1", "2", "9007199254740993")
        assert subject.values("tides", both, "level") == ("-1.25", "0.5", "1.5", "2")
        assert subject.values("tides", both[1:], "at") == ("2013-01-02T00:00:00Z",)
        assert subject.values("tides", [], "station") == ()

    def test_values_of_a_batch_that_is_gone_are_a_failed_dependency(self, subject: Batches) -> None:
        with pytest.raises(DependencyFailed) as caught:
            subject.values("tides", ["tg1:" + "0" * 64], "station")
        assert caught.value.code == "batch-gone"

    def test_values_are_not_read_off_an_altered_batch(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        digest, path = subject.accept(TIDES, table, {})
        _, other = subject.accept(TIDES, table, {0: ("T05",)})
        path.write_bytes(other.read_bytes())
        with pytest.raises(DependencyFailed) as caught:
            subject.values("tides", [digest], "station")
        assert caught.value.code == "batch-altered"

    def test_of_a_dataset_that_has_not_come_there_is_a_file_without_a_row(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        path = subject.empty(TIDES)
        before = (path.read_bytes(), path.stat().st_mtime_ns)
        assert subject.empty(TIDES) == path
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before
        digest, other = subject.accept(TIDES, read(subject, write_drop(tmp_path)), {})
        assert other != path
        assert subject.path("tides", digest) == other

    def test_an_accepted_batch_is_found_by_its_digest(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        digest, path = subject.accept(TIDES, table, {})
        assert subject.path("tides", digest) == path

    def test_a_batch_that_is_gone_is_a_failed_dependency(self, subject: Batches) -> None:
        with pytest.raises(DependencyFailed) as caught:
            subject.path("tides", "tg1:" + "0" * 64)
        assert caught.value.code == "batch-gone"

    def test_a_batch_under_another_batches_name_is_noticed(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        digest, path = subject.accept(TIDES, table, {})
        _, other = subject.accept(TIDES, table, {0: ("T05",)})
        path.write_bytes(other.read_bytes())
        with pytest.raises(DependencyFailed) as caught:
            subject.path("tides", digest)
        assert caught.value.code == "batch-altered"

    def test_a_half_written_batch_is_noticed_and_mended_by_accepting_again(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        table = read(subject, write_drop(tmp_path))
        digest, path = subject.accept(TIDES, table, {})
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(DependencyFailed):
            subject.path("tides", digest)
        assert subject.accept(TIDES, table, {}) == (digest, path)
        assert subject.path("tides", digest) == path

    @pytest.mark.parametrize("digest", ["", "tg1:../../secrets", "tg1:abc", "sha256:" + "0" * 64])
    def test_what_is_no_digest_never_becomes_a_path(self, subject: Batches, digest: str) -> None:
        with pytest.raises(BadInput) as caught:
            subject.path("tides", digest)
        assert caught.value.code == "not-a-digest"

    @pytest.mark.parametrize("root", ["", "sha256:../../secrets", "sha256:abc", "tg1:" + "0" * 64])
    def test_what_is_no_root_never_becomes_a_path(self, subject: Batches, root: str) -> None:
        with pytest.raises(BadInput) as caught:
            subject.quarantined("tides", root)
        assert caught.value.code == "not-a-digest"

    # ── columns that are treated ──────────────────────────────────────────────────────────────────

    def test_classified_columns_are_treated_as_a_drop_is_read(self, subject: Batches, tmp_path: Path) -> None:
        hows = {
            "note": Treatment(Mask.HASH),
            "reading": Treatment(Mask.DROP),
            "at": Treatment(Mask.GENERALISE, "day"),
        }
        came = tuple(replace(column, treatment=hows.get(column.name)) for column in TIDES.columns)
        contract = replace(TIDES, columns=kept(came), delivered=came)
        drop = write_drop(tmp_path)
        table = subject.read(drop, contract, subject.drop_digest(drop)).table
        assert table.column_names == ["station", "at", "level", "note"]
        rows = subject.quarantine(contract, table, report(table, {1: ("T02",), 3: ("T05",)}))
        held = [each["values"] for each in subject.quarantined("tides", rows.root)]
        assert [(each["at"], each["note"][:5]) for each in held] == [("2013-01-01T00:00:00Z", "hash:")] * 2  # type: ignore[index]
        assert held[0]["note"] != held[1]["note"]  # type: ignore[index]
        assert "calm" not in str(held)

    # ── what was written, and never recorded ──────────────────────────────────────────────────────

    def written(self, subject: Batches, tmp_path: Path) -> tuple[str, str, list[Path]]:
        table = read(subject, write_drop(tmp_path))
        batch, path = subject.accept(TIDES, table, {1: ("T02",)})
        segment = subject.quarantine(TIDES, table, report(table, {1: ("T02",)}))
        return batch, segment.root, [path, segment.path]

    def test_what_is_never_recorded_is_swept_after_an_hour(self, subject: Batches, tmp_path: Path) -> None:
        batch, root, files = self.written(subject, tmp_path)
        soon, late = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (50, 70))
        empty = subject.empty(TIDES)
        assert subject.sweep("tides", (), soon) == 0, "it may be recorded yet"
        assert subject.sweep("trams", (), late) == 0
        assert subject.sweep("tides", (root,), late) == 1
        assert [path.exists() for path in (*files, empty)] == [False, True, True]
        assert subject.sweep("tides", (), late) == 0, "it was on record once: who sweeps may see an older one"
        again, path = subject.accept(TIDES, read(subject, write_drop(tmp_path)), {1: ("T02",)})
        assert (again, path) == (batch, files[0])
        assert subject.sweep("tides", (), late) == 1

    def test_what_is_settled_is_never_swept(self, subject: Batches, tmp_path: Path) -> None:
        batch, root, files = self.written(subject, tmp_path)
        subject.settle("tides", (batch, root, ""))
        assert subject.sweep("tides", (), datetime.now(UTC) + timedelta(days=1)) == 0
        assert all(path.exists() for path in files)

    def test_what_is_written_again_is_as_young_as_if_it_were_new(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        *_, files = self.written(subject, tmp_path)
        for path in files:
            aged(path)
        self.written(subject, tmp_path)
        assert subject.sweep("tides", (), datetime.now(UTC)) == 0
        assert all(path.exists() for path in files)

    # ── rows that were held back, and mended ──────────────────────────────────────────────────────

    def test_mended_rows_stand_where_they_stood_and_the_others_where_they_were(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        table = read(subject, write_drop(tmp_path))
        held = report(table, {1: ("T02",), 3: ("T05", "T06")})
        batch, _ = subject.accept(TIDES, table, held.reasons)
        root = subject.quarantine(TIDES, table, held).root
        file = write_mended(
            tmp_path, ("2013-01", 0, 3, "T05 T06", "ABC,2013-01-01T02:00:00Z,1.5,9007199254740993,x")
        )
        mended = subject.mended(file, TIDES, subject.drop_digest(file))
        assert (mended.period, mended.revision, mended.rows) == ("2013-01", 0, (3,))
        whole = subject.restored(TIDES, batch, root, mended)
        as_if = read(
            subject, write_drop(tmp_path, [*LINES[:3], mended_line(LINES[3], "1.5", "x")], name="if.csv")
        )
        assert subject.accept(TIDES, whole, {})[0] == subject.accept(TIDES, as_if, {})[0]
        assert subject.quarantined("tides", subject.quarantine(TIDES, whole, held).root) == (
            *subject.quarantined("tides", root)[:1],
            {
                "row": 3,
                "reasons": ["T05", "T06"],
                "values": {
                    "station": "ABC", "at": "2013-01-01T02:00:00Z", "level": 1.5,
                    "reading": "9007199254740993", "note": "x",
                },
            },
        )  # fmt: skip

    def test_a_text_that_no_spreadsheet_runs_is_read_as_what_it_was(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        texts = {"'=1+1": "=1+1", "''-x": "'-x", "'plain": "'plain", "@typed": "@typed", "'": "'"}
        lines = [f"ABC,2013-01-01T0{hour}:00:00Z,-1.5,1,{text}" for hour, text in enumerate(texts)]
        file = write_mended(tmp_path, *(("2013-01", 0, at, "T02", line) for at, line in enumerate(lines)))
        mended = subject.mended(file, TIDES, subject.drop_digest(file))
        root = subject.quarantine(
            TIDES, mended.table, report(mended.table, dict.fromkeys(range(5), ("T02",)))
        )
        values = [cast("Mapping[str, object]", each["values"]) for each in subject.held("tides", root.root)]
        assert [each["note"] for each in values] == list(texts.values())
        assert {each["level"] for each in values} == {-1.5}

    def test_what_a_person_types_into_a_masked_column_is_masked_and_what_was_masked_stays(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        hows = {
            "note": Treatment(Mask.HASH),
            "reading": Treatment(Mask.TOKEN),
            "at": Treatment(Mask.GENERALISE, "day"),
        }
        came = tuple(replace(column, treatment=hows.get(column.name)) for column in TIDES.columns)
        contract = replace(TIDES, columns=kept(came), delivered=came)
        drop = write_drop(tmp_path, ["ABC,2013-01-01T07:00:00Z,1,12,calm", "ABC,2013-01-01T08:00:00Z,1,12,"])
        table = subject.read(drop, contract, subject.drop_digest(drop)).table
        root = subject.quarantine(contract, table, report(table, {0: ("T02",), 1: ("T02",)})).root
        as_read = [cast("Mapping[str, str]", each["values"]) for each in subject.quarantined("tides", root)]
        lines = [
            f"ABC,2013-01-01T00:00:00Z,1,{as_read[0]['reading']},{as_read[0]['note']}",
            "ABC,2013-01-01T08:15:00Z,1,12,calm",
        ]
        file = write_mended(tmp_path, *(("2013-01", 0, at, "T02", line) for at, line in enumerate(lines)))
        mended = subject.mended(file, contract, subject.drop_digest(file))
        again = subject.quarantine(
            contract, mended.table, report(mended.table, {0: ("T02",), 1: ("T02",)})
        ).root
        masked = [each["values"] for each in subject.quarantined("tides", again)]
        assert masked == [as_read[0], as_read[0]]

    def test_what_is_no_value_of_a_masked_column_is_refused(self, subject: Batches, tmp_path: Path) -> None:
        came = tuple(
            replace(column, treatment=Treatment(Mask.HASH) if column.name == "reading" else None)
            for column in TIDES.columns
        )
        contract = replace(TIDES, columns=kept(came), delivered=came)
        file = write_mended(tmp_path, ("2013-01", 0, 1, "T02", "ABC,2013-01-01T08:00:00Z,1,half past,"))
        with pytest.raises(BadInput) as caught:
            subject.mended(file, contract, subject.drop_digest(file))
        assert caught.value.code == "mistyped-column"
        assert "`reading`" in caught.value.sentence

    @pytest.mark.parametrize(
        "places",
        [
            [("2013-01", 0, 1), ("2013-02", 0, 3)],
            [("2013-01", 0, 1), ("2013-01", 1, 3)],
            [("2013-01", 0, 1), ("2013-01", 0, 1)],
            [("2013-01", 0, "")],
            [("", 0, 1)],
        ],
        ids=["two periods", "two revisions", "a row twice", "no row", "no period"],
    )
    def test_mended_rows_that_belong_nowhere_are_refused(
        self, subject: Batches, tmp_path: Path, places: list[tuple[str, int, object]]
    ) -> None:
        file = write_mended(tmp_path, *((*place, "T02", LINES[0]) for place in places))
        with pytest.raises(BadInput) as caught:
            subject.mended(file, TIDES, subject.drop_digest(file))
        assert caught.value.code == "bad-rows"
        assert "expected" in caught.value.sentence

    def test_a_drop_is_no_file_of_mended_rows(self, subject: Batches, tmp_path: Path) -> None:
        drop = write_drop(tmp_path)
        with pytest.raises(BadInput) as caught:
            subject.mended(drop, TIDES, subject.drop_digest(drop))
        assert caught.value.code == "columns"
        assert caught.value.hint

    def test_a_batch_of_other_columns_takes_no_rows_back(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        held = report(table, {3: ("T05",)})
        batch, _ = subject.accept(TIDES, table, held.reasons)
        root = subject.quarantine(TIDES, table, held).root
        less = replace(TIDES, columns=TIDES.columns[:-1])
        file = write_mended(
            tmp_path, ("2013-01", 0, 3, "T05", LINES[3].rpartition(",")[0]), columns=less.columns
        )
        mended = subject.mended(file, less, subject.drop_digest(file))
        with pytest.raises(BadInput) as caught:
            subject.restored(less, batch, root, mended)
        assert caught.value.code == "other-columns"


def write_mended(folder: Path, *rows: tuple[object, ...], columns: Sequence[Column] = TIDES.columns) -> Path:
    """Write mended rows as an export has them: period, revision, row, reasons, and a line of values each."""
    header = ",".join((*EXPORTED, *(column.name for column in columns)))
    path = folder / "mended.csv"
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows), ""]))
    return path


def mended_line(line: str, level: str, note: str) -> str:
    """Return a line of the drop with another level and note."""
    station, at, _, reading, _ = line.split(",")
    return f"{station},{at},{level},{reading},{note}"
