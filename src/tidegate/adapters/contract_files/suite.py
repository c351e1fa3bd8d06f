"""Great Expectations suites as files: what a contract needs to know of them, without importing GX.

Importing GX takes seconds, and contracts are read by commands that must answer at once. So this module
reads the suite's JSON itself, and knows by name which of GX's expectations can tell one row from another.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tidegate.adapters.shared.parameters import parameter_of, parameters_in
from tidegate.adapters.shared.yaml_reader import Node, Reader
from tidegate.domain.contract import Check, OnRow, Reference, Severity
from tidegate.domain.errors import BadInput
from tidegate.domain.waiver import TAKEN

NOT_NULL = "expect_column_values_to_not_be_null"

_VALUES = (
    "be_between", "be_dateutil_parseable", "be_decreasing", "be_in_set", "be_increasing", "be_json_parseable",
    "be_null", "be_unique", "match_json_schema", "match_regex", "match_regex_list", "match_strftime_format",
    "not_be_in_set", "not_be_null", "not_be_outliers", "not_match_regex", "not_match_regex_list",
)  # fmt: skip

#: Expectations that judge row by row and, on pandas, name every row that fails.
ROW_LEVEL = frozenset(f"expect_column_values_to_{name}" for name in _VALUES) | {
    "expect_column_pair_values_a_to_be_greater_than_b",
    "expect_column_pair_values_to_be_equal",
    "expect_column_pair_values_to_be_in_set",
    "expect_column_value_lengths_to_be_between",
    "expect_column_value_lengths_to_equal",
    "expect_column_value_z_scores_to_be_less_than",
    "expect_compound_columns_to_be_unique",
    "expect_multicolumn_sum_to_equal",
    "expect_multicolumn_values_to_be_equal",
    "expect_select_column_values_to_be_unique_within_record",
}

_AGGREGATES = (
    "distinct_values_to_be_in_set", "distinct_values_to_contain_set", "distinct_values_to_equal_set",
    "kl_divergence_to_be_less_than", "max_to_be_between", "mean_to_be_between", "median_to_be_between",
    "min_to_be_between", "most_common_value_to_be_in_set", "proportion_of_non_null_values_to_be_between",
    "proportion_of_unique_values_to_be_between", "quantile_values_to_be_between", "stdev_to_be_between",
    "sum_to_be_between", "to_exist", "unique_value_count_to_be_between", "values_to_be_in_type_list",
    "values_to_be_of_type",
)  # fmt: skip

#: Expectations that judge the drop as a whole. What needs SQL or a second table is in neither set.
TABLE_LEVEL = frozenset(f"expect_column_{name}" for name in _AGGREGATES) | {
    "expect_table_column_count_to_be_between",
    "expect_table_column_count_to_equal",
    "expect_table_columns_to_match_ordered_list",
    "expect_table_columns_to_match_set",
    "expect_table_row_count_to_be_between",
    "expect_table_row_count_to_equal",
}


#: What can be asked of values that were hashed or tokenised.
OF_MASKED = frozenset(
    {
        NOT_NULL,
        "expect_column_pair_values_to_be_equal",
        "expect_column_proportion_of_non_null_values_to_be_between",
        "expect_column_proportion_of_unique_values_to_be_between",
        "expect_column_to_exist",
        "expect_column_unique_value_count_to_be_between",
        "expect_column_values_to_be_null",
        "expect_column_values_to_be_unique",
        "expect_compound_columns_to_be_unique",
        "expect_multicolumn_values_to_be_equal",
        "expect_select_column_values_to_be_unique_within_record",
    }
)


class SuiteFile:
    """A suite's checks, with every fault found on the way.

    ``not_null`` holds the columns that an unconditional not-null rule covers.
    """

    def __init__(
        self,
        text: str,
        source: str,
        name: str,
        columns: frozenset[str],
        references: Sequence[Reference] = (),
        masked: frozenset[str] = frozenset(),
    ) -> None:
        """Read the JSON ``text`` of the suite that should be called ``name``.

        It may speak of ``columns``, and name ``references`` as parameters. Of ``masked`` columns it may ask only
        whether values are there and the same.
        """
        self.checks: list[Check] = []
        self.not_null: set[str] = set()
        self.faults: list[dict[str, object]] = []
        self._source, self._columns, self._masked = source, columns, masked
        self._parameters = sorted(parameter_of(reference.name) for reference in references)
        try:
            json.loads(text)  # YAML is wider than JSON, and GX reads JSON
            self._read(Reader(text, source, "contract"), name)
        except json.JSONDecodeError as error:
            self._note(error.lineno, f"got no JSON ({error.msg}), expected a suite as GX writes it")
        except BadInput as error:
            for fault in error.data["faults"]:  # type: ignore[attr-defined]  # a list, by `Reader.close`
                self._note(fault["line"], fault["sentence"])

    def _note(self, line: int, sentence: str) -> None:
        self.faults.append({"file": self._source, "line": line, "sentence": sentence})

    def _read(self, reader: Reader, name: str) -> None:
        suite = reader.root.members(required=("name", "expectations"))
        if "name" in suite and suite["name"].value != name:
            suite["name"].fault(
                f"the suite name {suite['name'].shown}", f"{name}: a suite carries its dataset's name"
            )
        if "expectations" in suite:
            for node in suite["expectations"].items("expectations: a suite without checks checks nothing"):
                self._read_expectation(node)
        reader.close()

    def _read_expectation(self, node: Node) -> None:
        parts = node.members(required=("type", "kwargs", "severity", "meta"))
        if not {"type", "kwargs", "severity", "meta"} <= parts.keys():
            return
        kind = parts["type"].one_of(sorted(ROW_LEVEL | TABLE_LEVEL), "an expectation type this gate can run")
        severity = parts["severity"].one_of([str(level) for level in Severity], "a severity")
        meta = parts["meta"].members(required=("rule", "on_row", "sentence"))
        if kind is None or severity is None or not {"rule", "on_row", "sentence"} <= meta.keys():
            return
        rule = meta["rule"].text("an id such as F01", most=40)
        if any(check.id == rule for check in self.checks):
            meta["rule"].fault(f"the rule {rule!r} a second time", "an id of its own for every check")
        if rule in TAKEN:
            meta["rule"].fault(
                f"the rule {rule!r}", "another id: a waiver of that name is one of the contract's limit"
            )
        on_row = meta["on_row"].one_of([str(choice) for choice in OnRow], "what happens to failing rows")
        if on_row == OnRow.QUARANTINE and kind not in ROW_LEVEL:
            meta["on_row"].fault(
                f"quarantine on {kind}", "keep: it judges the drop as a whole and names no row"
            )
        self._read_columns(kind, parts["kwargs"])
        for parameter in parameters_in(parts["kwargs"].plain()):
            if parameter not in self._parameters:
                known = ", ".join(self._parameters) or "none"
                parts["kwargs"].fault(
                    f"the parameter {parameter!r}", f"one that the contract's relationships give: {known}"
                )
        sentence = meta["sentence"].text("a sentence that says what is expected")
        self.checks.append(
            Check(rule, kind, Severity(severity), OnRow(on_row or OnRow.KEEP), kind in ROW_LEVEL, sentence)
        )

    def _read_columns(self, kind: str, node: Node) -> None:
        kwargs = node.members()
        for argument in ("column", "column_A", "column_B", "column_list"):
            if argument in kwargs:
                named = kwargs[argument]
                for column in named.value if isinstance(named.value, list) else [named]:
                    if column.value not in self._columns:
                        column.fault(f"the column {column.shown}", "a column of the contract that is kept")
                    elif column.value in self._masked and kind not in OF_MASKED:
                        column.fault(
                            f"{kind} on the masked column {column.shown}",
                            "a check on presence or sameness: nothing else is left of its values",
                        )
        if kind == NOT_NULL and not kwargs.keys() & {"row_condition", "mostly"} and "column" in kwargs:
            self.not_null.add(str(kwargs["column"].value))
