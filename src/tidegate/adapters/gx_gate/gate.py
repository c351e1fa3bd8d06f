"""The data gate: runs a native suite on a drop, fast where that is safe, and by Great Expectations otherwise.

GX owns what an expectation means and what its result looks like. Expectations on the list of
`tidegate.adapters.gx_gate.fast` are evaluated on Arrow, in GX's own result format; tests hold their verdicts
and failing rows equal to GX's. Everything else, an argument too many included, goes to GX itself
(`tidegate.adapters.gx_gate.native`), which is imported only then. Each result says who gave it.

What other datasets list reaches a suite as native parameters (see `tidegate.adapters.shared.parameters`):
``{"value_set": {"$PARAMETER": "stations__id"}}``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidegate.adapters.gx_gate import fast
from tidegate.adapters.shared.parameters import parameter_of, parameters_in
from tidegate.adapters.shared.pieces import nulls, whole
from tidegate.application.ports import Table
from tidegate.domain.contract import Check, CheckResult, Contract
from tidegate.domain.evidence import Verdict
from tidegate.domain.positions import Positions

#: Who evaluated a check, as its result tells it.
OURS, GX = "tidegate", "great_expectations"

#: Table-level expectations that mean something on a column without values.
_ABOUT_ABSENCE = {
    "expect_column_proportion_of_non_null_values_to_be_between",
    "expect_column_to_exist",
    "expect_column_values_to_be_in_type_list",
    "expect_column_values_to_be_of_type",
}

_UNTOLD = "a value that is not told"
#: Expectations that observe a value as it stands in the drop, and not an aggregate of many.
_OF_ONE_VALUE = {f"expect_column_{which}_to_be_between" for which in ("max", "median", "min")}

#: GX's ``result`` of one expectation and whether it holds, or why there is none.
Outcome = Mapping[str, Any] | str


class GxGate:
    """Runs the suites of one folder."""

    def __init__(self, suites: Path, *, quick: bool = True) -> None:
        """Read suites as ``suites/DATASET.json``; ``quick=False`` leaves every expectation to GX."""
        self._suites, self._quick = suites, quick

    @property
    def tool(self) -> str:
        """Return who measures, with its version."""
        from importlib.metadata import version

        return f"great_expectations {version('great_expectations')}"

    def run(
        self,
        contract: Contract,
        table: Table,
        references: Mapping[str, Sequence[str]],
        suite: Path | None = None,
    ) -> tuple[CheckResult, ...]:
        """Return one result per check of the contract, in its order; ``suite`` is another file than its own.

        A check that cannot be measured, also because it names a parameter that ``references`` lacks, yields
        the verdict ``error``; this never raises for that.
        """
        path = suite or self._suites / f"{contract.dataset}.json"
        try:
            configurations = _configurations(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            kind = type(error).__name__
            sentence = f"got no readable suite {path.name} ({kind}), expected one as GX writes it"
            return tuple(_error(check, sentence) for check in contract.checks)
        promised = {check.id for check in contract.checks}
        configurations = {rule: part for rule, part in configurations.items() if rule in promised}
        given = {parameter_of(name): list(values) for name, values in references.items()}
        outcomes: dict[str, Outcome] = {}
        for rule, part in configurations.items():
            if missing := sorted({*parameters_in(part["kwargs"])} - given.keys()):
                # One missing parameter makes GX give up on the whole suite, so it is kept from seeing it.
                names = ", ".join(missing)
                outcomes[rule] = f"got no value for the parameter {names}, expected values of another dataset"
        asked = {rule: part for rule, part in configurations.items() if rule not in outcomes}
        ours = fast.evaluate(asked, table, given) if self._quick else {}
        outcomes |= ours
        if rest := {rule: part for rule, part in asked.items() if rule not in ours}:
            from tidegate.adapters.gx_gate import native

            outcomes |= native.evaluate(rest, whole(table), given)
        public = {column.name for column in contract.columns if column.classification == "public"}
        for rule, outcome in outcomes.items():
            if not isinstance(outcome, str) and not _tellable(configurations[rule], public):
                outcomes[rule] = {**outcome, "observed_value": _UNTOLD}
        executors = {rule: OURS if rule in ours else GX for rule in asked}
        parts = {check.id: configurations.get(check.id) for check in contract.checks if not check.row_level}
        values = _values(parts, table)
        return tuple(
            replace(
                _result(check, outcomes.get(check.id), values.get(check.id)),
                executor=executors.get(check.id, ""),
            )
            for check in contract.checks
        )


def _configurations(path: Path) -> dict[str, dict[str, Any]]:
    """Return the suite's expectations by rule."""
    suite = json.loads(path.read_text(encoding="utf-8"))
    parts = [{name: part[name] for name in ("type", "kwargs", "meta")} for part in suite["expectations"]]
    return {str(part["meta"]["rule"]): part for part in parts}


def _tellable(part: Mapping[str, Any], public: Collection[str]) -> bool:
    """Say whether what an expectation observed may be told: a single value only of a public column."""
    return part["type"] not in _OF_ONE_VALUE or part["kwargs"].get("column") in public


def _values(parts: Mapping[str, Mapping[str, Any] | None], table: Table) -> dict[str, int]:
    """Count, by rule, the values a table-level expectation rests on, where it needs any to be meaningful.

    GX does not say: it lets set rules pass on a column of nulls, and gives a mean of them as None.
    """
    columns = {
        rule: column
        for rule, part in parts.items()
        if part
        and part["type"] not in _ABOUT_ABSENCE
        and (column := part["kwargs"].get("column")) in table.column_names
    }
    absent = nulls(table, list(columns.values()))
    return {rule: table.num_rows - absent[column] for rule, column in columns.items()}


def _result(check: Check, outcome: Outcome | None, values: int | None) -> CheckResult:
    if outcome is None:
        return _error(check, "got no result for it, expected the suite to hold the contract's checks")
    if isinstance(outcome, str):
        return _error(check, outcome)
    return _rows(check, outcome) if check.row_level else _whole(check, outcome, values)


def _rows(check: Check, outcome: Mapping[str, Any]) -> CheckResult:
    """Read a row-level result. Nulls are not evaluated, except by the rules about nulls."""
    evaluated = int(outcome.get("element_count") or 0) - int(outcome.get("missing_count") or 0)
    if evaluated == 0:
        sentence = f"{check.sentence}: no row to evaluate"
        return CheckResult(check, Verdict.INCONCLUSIVE, 0, (), "0 rows", sentence)
    listed = outcome.get("unexpected_index_list") or ()
    failing = listed if isinstance(listed, Positions) else Positions(listed)
    if len(failing) != outcome.get("unexpected_count"):
        return _error(
            check,
            f"got {len(failing)} rows by position, expected all {outcome.get('unexpected_count')} that fail",
        )
    observed = f"{len(failing)} of {evaluated} rows fail"
    verdict = Verdict.PASSED if outcome["holds"] else Verdict.FAILED
    return CheckResult(check, verdict, evaluated, failing, observed, f"{check.sentence}: {observed}")


def _whole(check: Check, outcome: Mapping[str, Any], values: int | None) -> CheckResult:
    """Read a table-level result."""
    if values == 0:
        return CheckResult(
            check, Verdict.INCONCLUSIVE, 0, (), "0 values", f"{check.sentence}: no value to evaluate"
        )
    verdict = Verdict.PASSED if outcome["holds"] else Verdict.FAILED
    observed = _observed(outcome)
    return CheckResult(check, verdict, values or 0, (), observed, f"{check.sentence}: got {observed}")


def _observed(outcome: Mapping[str, Any]) -> str:
    """Say what was seen in counts, aggregates and column names, never in single values of the data."""
    details = outcome.get("details")
    mismatched = details.get("mismatched") if isinstance(details, Mapping) else None
    if isinstance(mismatched, Mapping):
        return "; ".join(
            f"{kind} {', '.join(map(str, names))}" for kind, names in sorted(mismatched.items()) if names
        )
    counts = [
        f"{outcome[name]} {name.partition('_')[0]}"
        for name in ("missing_count", "unexpected_count")
        if name in outcome
    ]
    value = outcome.get("observed_value")
    if counts or value is None:
        return ", ".join(counts) or "nothing else"
    return f"{len(value)} values" if isinstance(value, (list, tuple, set, dict)) else str(value)


def _error(check: Check, sentence: str) -> CheckResult:
    return CheckResult(check, Verdict.ERROR, 0, (), "", f"{check.sentence}: {sentence}")
