"""What Arrow evaluates in place of Great Expectations: the same verdicts and the same failing rows, for every type."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tidegate.adapters.contract_files.suite import ROW_LEVEL
from tidegate.adapters.gx_gate import GxGate, fast
from tidegate.adapters.gx_gate.fast import copies
from tidegate.adapters.gx_gate.fast.copies import Hashes
from tidegate.adapters.shared import pieces
from tidegate.adapters.shared.pieces import Stored
from tidegate.domain.contract import Check, CheckResult, OnRow, Severity
from tidegate.domain.evidence import Verdict
from tidegate.testing.tides import TIDES

WORDS = (
    "",
    "a",
    "A",
    "ab",
    "EWR",
    "ewr",
    "JFK\n",
    " ",
    "Föhn",
    "日本",
    "é",
    "e\u0301",
    "x" * 40,
    "007",
    "nan",
    "None",
)
NUMBERS = (0.0, -0.0, 1.0, 2.5, -3.0, 1e300, float("inf"), float("-inf"), float("nan"), 0.1)
WHOLE = (0, 1, 2, -3, 7, 2359, 2**53, 2**53 + 1, -(2**63), 2**63 - 1)
TIMES = (
    datetime(2013, 1, 1, tzinfo=UTC),
    datetime(2013, 7, 4, 12, 30, tzinfo=UTC),
    datetime(2013, 7, 4, 12, 30, 0, 5, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
)
DAYS = (date(2013, 1, 1), date(2013, 2, 28), date(1950, 12, 31))
KINDS: Mapping[str, tuple[pa.DataType, tuple[Any, ...]]] = {
    "text": (pa.string(), WORDS),
    "other": (pa.string(), WORDS[:6]),
    "number": (pa.float64(), NUMBERS),
    "level": (pa.float64(), NUMBERS[:6]),
    "whole": (pa.int64(), WHOLE),
    "code": (pa.int64(), WHOLE[:6]),
    "at": (pa.timestamp("us", "UTC"), TIMES),
    "until": (pa.timestamp("us", "UTC"), TIMES),
    "day": (pa.date32(), DAYS),
    "flag": (pa.bool_(), (True, False)),
}
REGEXES = (
    "^[A-Z]{3}$", "[A-Z]", r"^\d+$", r"^2013-\d\d-\d\d \d\d:30:00(?:\.0+)?\+00:00$", "", "a|e", "(?i)EWR", r"\bö",
    r"^.$", r"\w$", r"(?<=J)F", "^20", r"\Z", r"(a)\1", "e$",
)  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 12))
    columns = {}
    for name, (kind, values) in KINDS.items():
        allowed = draw(st.sampled_from(["some", "all", "none", "distinct"]))
        value = {
            "some": st.one_of(st.none(), st.sampled_from(values)),
            "all": st.sampled_from(values),
            "none": st.none(),
            "distinct": st.sampled_from(values[: max(1, rows // 2)]),
        }[allowed]
        array = pa.array(draw(st.lists(value, min_size=rows, max_size=rows)), kind)
        cut = draw(st.integers(0, rows))  # drops are read in many pieces
        columns[name] = pa.chunked_array([array[:cut], array[cut:]])
    return pa.table(columns)


NAMES = st.sampled_from(sorted(KINDS))
NUMBER = st.one_of(
    st.integers(-4, 4),
    st.sampled_from([0.5, -2.5, 1.0, 2.0, 2.5, 1e15, 2**53 - 1, 2**53, 9007199254740990.0]),
)
OPTIONAL = {
    "min_value": NUMBER,
    "max_value": NUMBER,
    "strict_min": st.booleans(),
    "strict_max": st.booleans(),
}
COUNTS = {**OPTIONAL, "min_value": st.sampled_from([0, 1, 2, 2.5]), "max_value": st.integers(0, 12)}
MOSTLY = {"mostly": st.sampled_from([1, 1.0, 0.0, 0.5, 0.9, 2 / 3])}
NULLITY = {
    "row_condition": st.builds(
        lambda name, null: {"type": "nullity", "column": {"name": name}, "is_null": null},
        NAMES,
        st.booleans(),
    )
}
SETS = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=4),
    st.lists(st.sampled_from(WHOLE), max_size=4),
    st.lists(st.sampled_from([0, 1.0, 2.5, True, "a", None]), max_size=3),
)


def arguments(required: Mapping[str, Any], optional: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict(required), optional=dict(optional)).map(in_order)


def listed(optional: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Give a column and a set: mostly of its own type, sometimes of whatever else."""
    texts = st.tuples(st.sampled_from(["text", "other"]), st.lists(st.sampled_from(WORDS), max_size=4))
    wholes = st.tuples(st.sampled_from(["whole", "code"]), st.lists(st.sampled_from(WHOLE), max_size=4))
    return st.builds(
        lambda pair, rest: {"column": pair[0], "value_set": pair[1], **rest},
        st.one_of(texts, wholes, st.tuples(NAMES, SETS)),
        st.fixed_dictionaries({}, optional=dict(optional)),
    )


def in_order(drawn: dict[str, Any]) -> dict[str, Any]:
    """Put bounds the right way round, most of the time: the other way is an error of GX's."""
    least, most = drawn.get("min_value"), drawn.get("max_value")
    if least is not None and most is not None and least > most and most != -4:
        return {**drawn, "min_value": most, "max_value": least}
    return drawn


COLUMN = {"column": st.one_of(NAMES, st.sampled_from(["number", "level", "whole", "code", "text", "other"]))}
NUMERIC = {"column": st.one_of(st.sampled_from(["number", "level", "whole", "code"]), NAMES)}
TEXTUAL = {"column": st.one_of(st.sampled_from(["text", "other"]), NAMES)}
LIST = st.lists(NAMES, min_size=2, max_size=3, unique=True)
ARGUMENTS = {
    "expect_column_values_to_not_be_null": arguments(COLUMN, {**MOSTLY, **NULLITY}),
    "expect_column_values_to_be_null": arguments(COLUMN, {**MOSTLY, **NULLITY}),
    "expect_column_values_to_be_between": arguments(NUMERIC, {**OPTIONAL, **MOSTLY, **NULLITY}),
    "expect_column_values_to_be_in_set": listed({**MOSTLY, **NULLITY}),
    "expect_column_values_to_not_be_in_set": listed({**MOSTLY, **NULLITY}),
    "expect_column_values_to_match_regex": arguments(
        {**COLUMN, "regex": st.sampled_from(REGEXES)}, {**MOSTLY, **NULLITY}
    ),
    "expect_column_values_to_not_match_regex": arguments(
        {**COLUMN, "regex": st.sampled_from(REGEXES)}, {**MOSTLY, **NULLITY}
    ),
    "expect_column_value_lengths_to_be_between": arguments(
        TEXTUAL, {**OPTIONAL, "min_value": st.integers(0, 3), "max_value": st.integers(0, 4), **MOSTLY, **NULLITY}),
    "expect_column_values_to_be_unique": arguments(COLUMN, {**MOSTLY, **NULLITY}),
    "expect_compound_columns_to_be_unique": arguments(
        {"column_list": LIST},
        {**MOSTLY, "ignore_row_if": st.sampled_from(["all_values_are_missing", "any_value_is_missing", "never"])},
    ),
    "expect_column_pair_values_a_to_be_greater_than_b": st.builds(
        lambda pair, rest: {"column_A": pair[0], "column_B": pair[1], **rest},
        st.one_of(
            st.sampled_from([("number", "level"), ("whole", "code"), ("text", "other"), ("at", "until")]),
            st.tuples(NAMES, NAMES),
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "or_equal": st.booleans(),
                "ignore_row_if": st.sampled_from(["either_value_is_missing", "both_values_are_missing", "neither"]),
                **MOSTLY,
            },
        ),
    ),
    "expect_table_row_count_to_be_between": arguments({}, COUNTS),
    "expect_table_columns_to_match_set": arguments(
        {"column_set": st.one_of(st.just(list(KINDS)), st.lists(st.sampled_from([*KINDS, "more"]), max_size=12))},
        {"exact_match": st.booleans()},
    ),
    "expect_column_to_exist": arguments({"column": st.sampled_from([*KINDS, "more"])}, {}),
    "expect_column_proportion_of_non_null_values_to_be_between": arguments(
        COLUMN, {**OPTIONAL, "min_value": st.sampled_from([0, 0.5, 0.9, 1])}
    ),
    "expect_column_unique_value_count_to_be_between": arguments(COLUMN, COUNTS),
    "expect_column_distinct_values_to_contain_set": listed({}),
    "expect_column_max_to_be_between": arguments(NUMERIC, OPTIONAL),
    "expect_column_min_to_be_between": arguments(NUMERIC, OPTIONAL),
}  # fmt: skip


def found(
    folder: Path, kind: str, many: list[dict[str, Any]], table: pa.Table | Stored, *, quick: bool
) -> list[CheckResult]:
    """Run one expectation with many arguments."""
    parts = [{"type": kind, "kwargs": kwargs, "meta": {"rule": f"X{n}"}} for n, kwargs in enumerate(many)]
    folder.mkdir(exist_ok=True)
    (folder / "tides.json").write_text(json.dumps({"name": "tides", "expectations": parts}))
    level = kind in ROW_LEVEL
    checks = tuple(
        Check(f"X{n}", kind, Severity.CRITICAL, OnRow.KEEP, level, "It holds") for n in range(len(many))
    )
    return list(GxGate(folder, quick=quick).run(replace(TIDES, checks=checks), table, {}))


def stored(table: pa.Table) -> Stored:
    """Return the table as one on disk, its rows in several groups."""
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=7)
    return Stored(file)


def said(result: CheckResult) -> CheckResult:
    """Return what a result says, whoever said it; of two zeros either may be the smallest."""
    texts = {name: getattr(result, name).replace("-0.0", "0.0") for name in ("observed", "sentence")}
    return replace(result, executor="", **texts)


def test_every_type_on_the_list_is_generated() -> None:
    assert set(ARGUMENTS) == set(fast.KINDS)


@pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::RuntimeWarning", "ignore::FutureWarning"
)  # of pandas
@pytest.mark.parametrize("kind", sorted(ARGUMENTS))
def test_verdicts_and_failing_rows_are_great_expectations_own(
    kind: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("suites")
    monkeypatch.setattr(pieces, "AT_ONCE", 5)  # a drop is looked at in several pieces
    ours: list[str] = []

    # Shrinking runs GX hundreds of times; the table and the arguments in the message are small enough as they are.
    @settings(
        max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(table=tables(), many=st.lists(ARGUMENTS[kind], min_size=12, max_size=24))
    def same(table: pa.Table, many: list[dict[str, Any]]) -> None:
        quick, whole = (found(folder, kind, many, table, quick=each) for each in (True, False))
        ours.extend(one.executor for one in quick if one.executor == "tidegate")
        on_disk = found(folder, kind, many, stored(table), quick=True)
        for kwargs, one, other, third in zip(many, quick, whole, on_disk, strict=True):
            assert said(one) == said(other) == said(third), kwargs

    same()
    assert len(ours) >= 10, "most of what was generated went to GX, so nothing was compared"


@pytest.mark.parametrize("in_memory", [8, 2**18])
def test_numbers_that_occur_twice_are_found_on_disk_and_in_memory(
    in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_IN_MEMORY", in_memory)

    @settings(deadline=None, max_examples=50)
    @given(
        st.lists(
            st.lists(st.sampled_from([0, 1, 2**58 - 1, 2**58, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1))
        )
    )
    def found_again(many: list[list[int]]) -> None:
        counts = Counter(number for some in many for number in some)
        with ExitStack() as until:
            hashes = Hashes(until)
            for some in many:
                hashes.add(np.array(some, dtype=np.uint64))
            assert hashes.repeated().to_pylist() == sorted(each for each in counts if counts[each] > 1)

    found_again()


@pytest.mark.parametrize("where", ["in memory", "on disk"])
def test_rows_that_only_share_a_hash_are_no_copies(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"code": [1, 2, 1, None], "other": [7, 7, 7, None]})
    monkeypatch.setattr(Hashes, "repeated", lambda _: everything(table))
    parts = {
        "X": {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["code", "other"]}}
    }
    result = fast.evaluate(parts, table if where == "in memory" else stored(table), {})["X"]
    assert result["unexpected_index_list"] == [0, 2]


def everything(table: pa.Table) -> pa.Array:
    """Return the hash of every row, as if each had been seen twice."""
    with duckdb.connect() as database:
        database.register("rows", table)
        found = database.sql("select hash(code, other) as hash from rows").to_arrow_table()
    return found.column("hash").combine_chunks()


def test_what_is_not_on_the_list_goes_to_great_expectations_and_each_result_says_who_gave_it(
    tmp_path: Path,
) -> None:
    table = pa.table({"level": [1.0, 2.0, 3.0], "code": [1, 2, 2]})
    results = [
        found(tmp_path, kind, [kwargs], table, quick=True)[0]
        for kind, kwargs in (
            ("expect_column_values_to_be_between", {"column": "level", "max_value": 2}),
            ("expect_column_mean_to_be_between", {"column": "level", "max_value": 2}),
            ("expect_column_values_to_be_between", {"column": "level", "max_value": 2, "more": 1}),
            ("expect_column_values_to_be_unique", {"column": "code"}),
        )
    ]
    assert [(one.executor, one.verdict, one.failing) for one in results] == [
        ("tidegate", Verdict.FAILED, (2,)),
        ("great_expectations", Verdict.PASSED, ()),
        ("great_expectations", Verdict.ERROR, ()),
        ("tidegate", Verdict.FAILED, (1, 2)),
    ]


@pytest.mark.parametrize("name", ["flights", "weather", "planes", "arrivals"])
def test_every_check_of_the_reference_suite_is_on_the_list(name: str) -> None:
    suite = json.loads((Path(__file__).parents[2] / "expectations" / "suites" / f"{name}.json").read_text())
    assert {part["type"] for part in suite["expectations"]} <= set(fast.KINDS)


def test_where_every_check_is_ours_great_expectations_is_never_imported(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
import pyarrow as pa
from tidegate.adapters.gx_gate import GxGate
from tidegate.testing.tides import ROWS, TIDES, write_tides
kinds = {"station": pa.string(), "at": pa.timestamp("us", "UTC"), "level": pa.float64(),
         "reading": pa.int64(), "note": pa.string()}
table = pa.Table.from_pylist([dict(row) for row in ROWS], schema=pa.schema(list(kinds.items())))
results = GxGate(write_tides(Path(sys.argv[1])) / "suites").run(TIDES, table, {})
print(sorted({str(one.verdict) for one in results}), sorted({one.executor for one in results}))
print("great_expectations" in sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["['passed'] ['tidegate']", "False"]
