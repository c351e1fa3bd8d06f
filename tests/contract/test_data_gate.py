"""The port `DataGate`: the fake, the gate that is quick where it can be, GX alone, and what only GX can get wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tidegate.adapters.contract_files import ContractFiles
from tidegate.adapters.gx_gate import GxGate
from tidegate.application.ports import DataGate, Table
from tidegate.domain.contract import Check, CheckResult, OnRow, Severity
from tidegate.domain.evidence import Verdict
from tidegate.testing.contracts.data_gate import LISTED, DataGateContract, MakeTable
from tidegate.testing.fakes.cells import RowTable
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate, Listed, Unique, Whole
from tidegate.testing.tides import ROWS, TIDES, write_tides

ARROW = {
    "station": pa.string(), "at": pa.timestamp("us", "UTC"), "level": pa.float64(), "reading": pa.int64(),
    "note": pa.string(),
}  # fmt: skip


def arrow(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    names = list(rows[0]) if rows else list(ARROW)
    return pa.Table.from_pylist([dict(row) for row in rows], schema=pa.schema([(n, ARROW[n]) for n in names]))


class TestFakeDataGate(DataGateContract):
    @pytest.fixture
    def subject(self) -> DataGate:
        return FakeDataGate(
            {
                "T01": Whole(lambda rows: len(rows) >= 2),
                "T02": EachValue("station", lambda value: value is not None, nulls=True),
                "T03": EachValue("at", lambda value: value is not None, nulls=True),
                "T04": Unique(("station", "at")),
                "T05": EachValue("level", lambda value: -5 <= value <= 15),
                "T06": EachValue("station", lambda value: bool(re.fullmatch("[A-Z]{3}", value))),
                "T07": Listed("station", "gauges.code"),
            }
        )

    @pytest.fixture
    def table(self) -> MakeTable:
        return lambda rows: RowTable(list(rows[0]), tuple(rows))


class TestGxGate(DataGateContract):
    quick = True

    @pytest.fixture
    def subject(self, tmp_path: Path) -> DataGate:
        suites = write_tides(tmp_path) / "suites"
        suite = json.loads((suites / "tides.json").read_text())
        suite["expectations"].append(
            {
                "type": LISTED.expectation,
                "kwargs": {"column": "station", "value_set": {"$PARAMETER": "gauges__code"}},
                "severity": str(LISTED.severity),
                "meta": {"rule": LISTED.id, "on_row": str(LISTED.on_row), "sentence": LISTED.sentence},
            }
        )
        (suites / "tides.json").write_text(json.dumps(suite))
        return GxGate(suites, quick=self.quick)

    @pytest.fixture
    def table(self) -> MakeTable:
        def make(rows: Sequence[Mapping[str, object]]) -> Table:
            return arrow(rows)

        return make


class TestGxAlone(TestGxGate):
    quick = False


def one(
    tmp_path: Path, kind: str, rows: Sequence[Mapping[str, object]] = ROWS, **kwargs: object
) -> CheckResult:
    """Run a single expectation over rows of tides."""
    folder = tmp_path / "suites"
    folder.mkdir(exist_ok=True)
    part = {"type": kind, "kwargs": kwargs, "severity": "critical", "meta": {"rule": "X1"}}
    (folder / "tides.json").write_text(json.dumps({"name": "tides", "expectations": [part]}))
    row_level = "values" in kind and "distinct" not in kind and "proportion" not in kind
    check = Check("X1", kind, Severity.CRITICAL, OnRow.KEEP, row_level, "It holds")
    (result,) = GxGate(folder).run(replace(TIDES, checks=(check,)), arrow(rows), {})
    return result


EMPTY = [{**row, "level": None, "note": None} for row in ROWS]


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_mean_to_be_between", {"column": "level", "min_value": 0, "max_value": 9}),
        ("expect_column_max_to_be_between", {"column": "level", "max_value": 9}),
        ("expect_column_unique_value_count_to_be_between", {"column": "level", "min_value": 0}),
        ("expect_column_distinct_values_to_be_in_set", {"column": "note", "value_set": ["calm"]}),
        ("expect_column_distinct_values_to_contain_set", {"column": "note", "value_set": ["calm"]}),
        ("expect_column_values_to_be_in_set", {"column": "note", "value_set": ["calm"]}),
        ("expect_column_values_to_be_unique", {"column": "note"}),
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            {"column_A": "reading", "column_B": "level", "ignore_row_if": "either_value_is_missing"},
        ),
    ],
)
def test_nothing_but_nulls_is_inconclusive_where_gx_says_passed_or_failed(
    tmp_path: Path, kind: str, kwargs: dict[str, object]
) -> None:
    result = one(tmp_path, kind, EMPTY, **kwargs)
    assert (result.verdict, result.evaluated, result.failing) == (Verdict.INCONCLUSIVE, 0, ())


def test_a_condition_that_selects_no_row_is_inconclusive(tmp_path: Path) -> None:
    condition = {"type": "comparison", "column": {"name": "station"}, "operator": "==", "parameter": "XYZ"}
    result = one(tmp_path, "expect_column_values_to_not_be_null", column="level", row_condition=condition)
    assert (result.verdict, result.evaluated) == (Verdict.INCONCLUSIVE, 0)


def test_under_a_condition_positions_are_still_those_of_the_drop(tmp_path: Path) -> None:
    condition = {"type": "comparison", "column": {"name": "station"}, "operator": "==", "parameter": "BCD"}
    result = one(tmp_path, "expect_column_values_to_not_be_null", column="level", row_condition=condition)
    assert (result.verdict, result.failing, result.evaluated) == (Verdict.FAILED, (3,), 2)


def test_not_null_on_a_column_of_nulls_fails_every_row(tmp_path: Path) -> None:
    result = one(tmp_path, "expect_column_values_to_not_be_null", EMPTY, column="level")
    assert (result.verdict, result.failing, result.evaluated) == (Verdict.FAILED, (0, 1, 2, 3), 4)


@pytest.mark.parametrize("rows", [1, 300, 5000])
def test_every_failing_row_is_named_however_many(tmp_path: Path, rows: int) -> None:
    result = one(tmp_path, "expect_column_values_to_be_null", [ROWS[0]] * rows, column="station")
    assert result.failing == tuple(range(rows))


@pytest.mark.parametrize(
    ("kind", "kwargs", "said"),
    [
        (
            "expect_column_values_to_be_between",
            {"column": "depth", "min_value": 1},
            "got no such column on depth",
        ),
        (
            "expect_column_max_to_be_between",
            {"column": "depth", "max_value": 1},
            "got no such column on depth",
        ),
        (
            "expect_column_values_to_be_between",
            {"column": "station", "min_value": 1},
            "got TypeError from GX on station",
        ),
        ("expect_column_values_to_match_regex", {"column": "station", "regex": "("}, "from GX on station"),
        ("expect_column_values_to_be_between", {"column": "level"}, "got arguments that GX refuses"),
        (
            "expect_column_values_to_be_between",
            {"column": "level", "min": 1},
            "got arguments that GX refuses",
        ),
        (
            "expect_column_values_to_be_between",
            {"column": "level", "min_value": {"$PARAMETER": "least"}},
            "got no value for the parameter least",
        ),
        ("expect_column_values_to_be_wet", {"column": "level"}, "got arguments that GX refuses"),
    ],
)
def test_what_cannot_be_measured_is_an_error_with_a_sentence(
    tmp_path: Path, kind: str, kwargs: dict[str, object], said: str
) -> None:
    result = one(tmp_path, kind, **kwargs)
    assert (result.verdict, result.evaluated, result.failing) == (Verdict.ERROR, 0, ())
    assert said in result.sentence
    assert "expected" in result.sentence


def test_one_error_leaves_the_other_checks_their_verdicts(tmp_path: Path) -> None:
    folder = write_tides(tmp_path)
    suite = json.loads((folder / "suites" / "tides.json").read_text())
    suite["expectations"][4]["kwargs"]["min_value"] = {"$PARAMETER": "least"}
    (folder / "suites" / "tides.json").write_text(json.dumps(suite))
    verdicts = {r.check.id: r.verdict for r in GxGate(folder / "suites").run(TIDES, arrow(ROWS), {})}
    assert verdicts.pop("T05") is Verdict.ERROR
    assert set(verdicts.values()) == {Verdict.PASSED}


@pytest.mark.parametrize("text", [None, "{", "[]", '{"expectations": [{"type": "x"}]}'])
def test_an_unreadable_suite_is_an_error_of_every_check(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "tides.json").write_text(text)
    results = GxGate(tmp_path).run(TIDES, arrow(ROWS), {})
    assert [result.check for result in results] == list(TIDES.checks)
    assert {result.verdict for result in results} == {Verdict.ERROR}


def test_values_never_reach_a_sentence(tmp_path: Path) -> None:
    rows = [{**row, "note": "Jane Doe, 12 Elm Street"} for row in ROWS]
    for kind, kwargs in (
        ("expect_column_values_to_be_between", {"column": "note", "min_value": 1}),
        ("expect_column_values_to_be_in_set", {"column": "note", "value_set": ["calm"]}),
        ("expect_column_distinct_values_to_be_in_set", {"column": "note", "value_set": ["calm"]}),
        ("expect_column_most_common_value_to_be_in_set", {"column": "note", "value_set": ["calm"]}),
        ("expect_column_max_to_be_between", {"column": "note", "max_value": "A"}),
        ("expect_column_min_to_be_between", {"column": "note", "min_value": "Z"}),
    ):
        result = one(tmp_path, kind, rows, **kwargs)
        assert result.verdict in {Verdict.FAILED, Verdict.ERROR}
        assert "Jane" not in result.sentence + result.observed


@pytest.mark.parametrize("quick", [True, False])
def test_the_largest_value_is_told_of_a_public_column_alone(tmp_path: Path, quick: bool) -> None:
    kwargs = {"column": "level", "max_value": 2}
    part = {"type": "expect_column_max_to_be_between", "kwargs": kwargs, "meta": {"rule": "X1"}}
    (tmp_path / "tides.json").write_text(json.dumps({"name": "tides", "expectations": [part]}))
    check = Check("X1", part["type"], Severity.CRITICAL, OnRow.KEEP, False, "It holds")
    private = tuple(replace(column, classification="internal") for column in TIDES.columns)
    for columns, said in (
        (TIDES.columns, "It holds: got 3.0"),
        (private, "It holds: got a value that is not told"),
    ):
        contract = replace(TIDES, columns=columns, checks=(check,))
        (result,) = GxGate(tmp_path, quick=quick).run(contract, arrow(ROWS), {})
        assert (result.verdict, result.sentence) == (Verdict.FAILED, said)


def test_an_empty_drop_never_passes(tmp_path: Path) -> None:
    folder = write_tides(tmp_path)
    results = GxGate(folder / "suites").run(TIDES, arrow([]), {})
    verdicts = {result.check.id: result.verdict for result in results}
    assert verdicts.pop("T01") is Verdict.FAILED
    assert set(verdicts.values()) == {Verdict.INCONCLUSIVE}


def test_the_gate_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gate = GxGate(write_tides(tmp_path) / "suites")
    gate.run(TIDES, arrow([{k: v for k, v in row.items() if k != "level"} for row in ROWS]), {})
    assert capfd.readouterr() == ("", "")


def test_two_gates_at_once_do_not_mix_their_drops(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    gate = GxGate(write_tides(tmp_path) / "suites")
    bad = [{**ROWS[0], "level": 99.0}, ROWS[1]]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: gate.run(TIDES, arrow(bad if i % 2 else ROWS), {}), range(6)))
    assert [results[4].failing for results in found] == [(), (0,)] * 3


def test_the_gate_finds_every_check_of_a_contract_read_from_the_same_files(tmp_path: Path) -> None:
    folder = write_tides(tmp_path)
    contract = ContractFiles(folder).load("tides")
    assert {r.verdict for r in GxGate(folder / "suites").run(contract, arrow(ROWS), {})} == {Verdict.PASSED}
