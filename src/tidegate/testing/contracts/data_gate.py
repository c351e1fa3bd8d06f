"""What every implementation of the port `DataGate` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from tidegate.application.ports import DataGate, Table
from tidegate.domain.contract import Check, CheckResult, OnRow, Reference, Severity
from tidegate.domain.evidence import Verdict
from tidegate.testing.tides import ROWS, TIDES

MakeTable = Callable[[Sequence[Mapping[str, object]]], Table]

#: A check against what another dataset lists: the one rule a subject needs beside those of `TIDES`.
LISTED = Check(
    "T07", "expect_column_values_to_be_in_set", Severity.INFO, OnRow.KEEP, row_level=True,
    sentence="The station is among the gauges",
)  # fmt: skip
LISTED_TIDES = replace(
    TIDES, checks=(*TIDES.checks, LISTED), references=(Reference("station", "gauges", "code"),)
)


class DataGateContract:
    """Subclass it and give ``subject``, a gate that has the rules of `tides`, and ``table``.

    The subject also has the rule `LISTED`: ``station`` is among the values of the reference ``gauges.code``.
    """

    @pytest.fixture
    def subject(self) -> DataGate:
        raise NotImplementedError

    @pytest.fixture
    def table(self) -> MakeTable:
        """Return a function that makes a table of rows in the types of `TIDES`; the rows name the columns."""
        raise NotImplementedError

    def _run(self, subject: DataGate, table: Table) -> dict[str, CheckResult]:
        return {result.check.id: result for result in subject.run(TIDES, table, {})}

    def test_the_tool_is_named_with_its_version(self, subject: DataGate) -> None:
        assert any(character.isdigit() for character in subject.tool)

    def test_every_check_has_one_result_in_the_contracts_order(
        self, subject: DataGate, table: MakeTable
    ) -> None:
        results = subject.run(TIDES, table(ROWS), {})
        assert [result.check for result in results] == list(TIDES.checks)

    def test_sound_rows_pass_and_nulls_are_not_counted_as_evaluated(
        self, subject: DataGate, table: MakeTable
    ) -> None:
        results = self._run(subject, table(ROWS))
        assert {result.verdict for result in results.values()} == {Verdict.PASSED}
        assert all(result.failing == () for result in results.values())
        assert results["T02"].evaluated == 4
        assert results["T05"].evaluated == 3

    def test_failing_rows_are_named_by_their_position_in_the_drop(
        self, subject: DataGate, table: MakeTable
    ) -> None:
        rows = [ROWS[0], {**ROWS[1], "level": 99.0}, ROWS[2], {**ROWS[3], "level": -99.0}]
        result = self._run(subject, table(rows))["T05"]
        assert (result.verdict, result.failing, result.evaluated) == (Verdict.FAILED, (1, 3), 4)
        assert "2 of 4" in result.sentence

    def test_a_failing_row_is_named_by_every_check_it_fails(
        self, subject: DataGate, table: MakeTable
    ) -> None:
        rows = [ROWS[0], ROWS[1], {**ROWS[2], "station": "x", "level": 99.0}]
        results = self._run(subject, table(rows))
        assert results["T05"].failing == results["T06"].failing == (2,)

    def test_uniqueness_names_every_copy(self, subject: DataGate, table: MakeTable) -> None:
        result = self._run(subject, table([ROWS[0], ROWS[1], ROWS[0], ROWS[0]]))["T04"]
        assert (result.verdict, result.failing) == (Verdict.FAILED, (0, 2, 3))

    def test_a_null_breaks_the_rule_about_nulls_and_no_other(
        self, subject: DataGate, table: MakeTable
    ) -> None:
        results = self._run(subject, table([ROWS[0], ROWS[1], {**ROWS[2], "station": None}]))
        assert (results["T02"].verdict, results["T02"].failing) == (Verdict.FAILED, (2,))
        assert (results["T06"].verdict, results["T06"].evaluated) == (Verdict.PASSED, 2)

    def test_a_column_of_nulls_is_inconclusive_and_never_a_pass(
        self, subject: DataGate, table: MakeTable
    ) -> None:
        result = self._run(subject, table([{**row, "level": None} for row in ROWS]))["T05"]
        assert (result.verdict, result.evaluated) == (Verdict.INCONCLUSIVE, 0)
        assert "no row to evaluate" in result.sentence

    def test_a_check_on_the_whole_drop_names_no_row(self, subject: DataGate, table: MakeTable) -> None:
        result = self._run(subject, table(ROWS[:1]))["T01"]
        assert (result.verdict, result.failing) == (Verdict.FAILED, ())

    def test_a_missing_column_is_an_error_of_its_checks_alone(
        self, subject: DataGate, table: MakeTable
    ) -> None:
        results = self._run(
            subject, table([{name: row[name] for name in row if name != "level"} for row in ROWS])
        )
        assert results["T05"].verdict is Verdict.ERROR
        assert "level" in results["T05"].sentence
        assert results["T02"].verdict is Verdict.PASSED

    def test_a_check_the_gate_does_not_know_is_an_error_not_a_pass(
        self, subject: DataGate, table: MakeTable
    ) -> None:
        unknown = Check(
            "T99", "expect_nothing", Severity.INFO, OnRow.KEEP, row_level=True, sentence="Nothing"
        )
        results = subject.run(replace(TIDES, checks=(*TIDES.checks, unknown)), table(ROWS), {})
        assert results[-1].check.id == "T99"
        assert (results[-1].verdict, results[-1].evaluated) == (Verdict.ERROR, 0)
        assert {result.verdict for result in results[:-1]} == {Verdict.PASSED}

    def test_a_value_that_another_dataset_does_not_list_is_named(
        self, subject: DataGate, table: MakeTable
    ) -> None:
        rows = [*ROWS, {**ROWS[0], "station": "XYZ"}, {**ROWS[1], "station": None}]
        result = subject.run(LISTED_TIDES, table(rows), {"gauges.code": ("ABC", "BCD")})[-1]
        assert (result.verdict, result.failing, result.evaluated) == (Verdict.FAILED, (4,), 5)
        assert subject.run(LISTED_TIDES, table(ROWS), {"gauges.code": ["BCD", "ABC"]})[-1].failing == ()

    def test_where_the_other_dataset_lists_nothing_no_value_is_listed(
        self, subject: DataGate, table: MakeTable
    ) -> None:
        result = subject.run(LISTED_TIDES, table(ROWS), {"gauges.code": ()})[-1]
        assert (result.verdict, result.failing) == (Verdict.FAILED, (0, 1, 2, 3))

    @pytest.mark.parametrize("references", [{}, {"gauges.name": ("ABC", "BCD")}])
    def test_a_reference_that_was_not_passed_is_an_error_of_its_check_alone(
        self, subject: DataGate, table: MakeTable, references: Mapping[str, Sequence[str]]
    ) -> None:
        results = subject.run(LISTED_TIDES, table(ROWS), references)
        assert (results[-1].verdict, results[-1].evaluated) == (Verdict.ERROR, 0)
        assert "gauges" in results[-1].sentence
        assert {result.verdict for result in results[:-1]} == {Verdict.PASSED}
