"""How rows that a gate holds back are kept, and put back once they are mended. A part of `BatchesContract`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tidegate.application.ports import Batches
from tidegate.domain.canonical import canonical
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.masking import Mask, Treatment
from tidegate.domain.merkle import merkle_root
from tidegate.testing.drops import mended_line, read, report, treated, write_drop, write_mended
from tidegate.testing.tides import LINES, TIDES


class HeldRows:
    """The quarantine, and what comes back out of it."""

    # ── held back ─────────────────────────────────────────────────────────────────────────────────

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

    @pytest.mark.parametrize("root", ["", "sha256:../../secrets", "sha256:abc", "tg1:" + "0" * 64])
    def test_what_is_no_root_never_becomes_a_path(self, subject: Batches, root: str) -> None:
        with pytest.raises(BadInput) as caught:
            subject.quarantined("tides", root)
        assert caught.value.code == "not-a-digest"

    # ── mended ────────────────────────────────────────────────────────────────────────────────────

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
        contract = treated(
            note=Treatment(Mask.HASH), reading=Treatment(Mask.TOKEN), at=Treatment(Mask.GENERALISE, "day")
        )
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
        contract = treated(reading=Treatment(Mask.HASH))
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
