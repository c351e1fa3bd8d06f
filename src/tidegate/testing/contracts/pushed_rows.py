"""How pushed rows are read, named by period, and looked up in batches. A part of `BatchesContract`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.application.ports import Batches, Contents, Kept
from tidegate.domain.contract import Contract
from tidegate.domain.errors import BadInput
from tidegate.testing.drops import PUSHED, SOME, a_row, read, write_drop, write_push
from tidegate.testing.tides import TIDES


class PushedRows:
    """JSON lines, under a contract that takes pushes."""

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
