"""The data gate on Great Expectations: runs a native suite on a drop, in memory.

Each run has its own ephemeral context over pandas with the result format COMPLETE, the one combination
that names every failing row (on SQL back ends GX caps the list at 20). Columns become pandas' nullable
types, so that a null turns no integer into a float.

What other datasets list reaches a suite as native parameters (see `tidegate.adapters.shared.parameters`):
``{"value_set": {"$PARAMETER": "stations__id"}}``.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tidegate.adapters.shared.parameters import parameter_of, parameters_in
from tidegate.application.ports import Table
from tidegate.domain.contract import Check, CheckResult, Contract
from tidegate.domain.evidence import Verdict

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: GX keeps the context in force in a module global; two runs at once would mix their batches.
_ONE_AT_A_TIME = threading.Lock()


#: Table-level expectations that mean something on a column without values.
_ABOUT_ABSENCE = {
    "expect_column_proportion_of_non_null_values_to_be_between",
    "expect_column_to_exist",
    "expect_column_values_to_be_in_type_list",
    "expect_column_values_to_be_of_type",
}


class GxGate:
    """Runs the suites of one folder."""

    def __init__(self, suites: Path) -> None:
        """Read suites as ``suites/DATASET.json``."""
        self._suites = suites

    @property
    def tool(self) -> str:
        """Return who measures, with its version."""
        from importlib.metadata import version

        return f"great_expectations {version('great_expectations')}"

    def run(
        self, contract: Contract, table: Table, references: Mapping[str, Sequence[str]]
    ) -> tuple[CheckResult, ...]:
        """Return one result per check of the contract, in its order.

        A check that cannot be measured, also because it names a parameter that ``references`` lacks, yields
        the verdict ``error``; this never raises for that.
        """
        try:
            configurations = _configurations(self._suites / f"{contract.dataset}.json")
        except (OSError, ValueError, KeyError, TypeError) as error:
            kind = type(error).__name__
            sentence = f"got no readable suite {contract.dataset}.json ({kind}), expected one as GX writes it"
            return tuple(_error(check, sentence) for check in contract.checks)
        arrow = cast("pa.Table", table)
        with _ONE_AT_A_TIME, _quiet():
            given = {parameter_of(name): list(values) for name, values in references.items()}
            outcomes = _validate(configurations, _frame(arrow), given)
        return tuple(
            _result(check, outcomes.get(check.id), _values(configurations.get(check.id), arrow))
            for check in contract.checks
        )


#: What GX says of one expectation (its ``result`` and whether it holds), or why it could not say.
_Outcome = Mapping[str, Any] | str


def _configurations(path: Path) -> dict[str, dict[str, Any]]:
    """Return the suite's expectations by rule."""
    suite = json.loads(path.read_text(encoding="utf-8"))
    parts = [{name: part[name] for name in ("type", "kwargs", "meta")} for part in suite["expectations"]]
    return {str(part["meta"]["rule"]): part for part in parts}


def _frame(table: pa.Table) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    nullable = {pa.int64(): pd.Int64Dtype(), pa.float64(): pd.Float64Dtype(), pa.bool_(): pd.BooleanDtype()}
    return cast("pd.DataFrame", table.to_pandas(types_mapper=nullable.get))


def _validate(
    configurations: Mapping[str, Mapping[str, Any]],
    frame: pd.DataFrame,
    parameters: Mapping[str, Sequence[str]],
) -> dict[str, _Outcome]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    outcomes: dict[str, _Outcome] = {}
    expectations = []
    for rule, part in configurations.items():
        if missing := sorted({*parameters_in(part["kwargs"])} - parameters.keys()):
            # One missing parameter makes GX give up on the whole suite, so it is kept from seeing it.
            outcomes[rule] = (
                f"got no value for the parameter {', '.join(missing)}, expected values of another dataset"
            )
            continue
        try:
            expectations.append(ExpectationConfiguration(**part).to_domain_obj())
        except Exception as error:  # noqa: BLE001  # whatever GX makes of a file's arguments is the verdict `error`
            outcomes[rule] = (
                f"got arguments that GX refuses for {part['type']} ({type(error).__name__}), expected its own"
            )
    if not expectations:
        return outcomes
    # Without this every ephemeral context leaves a folder for Data Docs in the system's temporary folder.
    stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    context = gx.get_context(
        mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=stores)
    )
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("drops").add_dataframe_asset("drop")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    try:
        report = batch.validate(
            gx.ExpectationSuite(
                name="suite", expectations=[part.configuration.to_json_dict() for part in expectations]
            ),
            expectation_parameters=dict(parameters),
            result_format={"result_format": "COMPLETE", "return_unexpected_index_query": False},
        )
    except Exception as error:  # noqa: BLE001  # whatever GX makes of a file's arguments is the verdict `error`
        sentence = f"got {type(error).__name__} from GX for the whole suite, expected results"
        return {rule: outcomes.get(rule, sentence) for rule in configurations}
    for part in report.results:
        outcomes[part.expectation_config.meta["rule"]] = _outcome(part)
    return outcomes


def _outcome(part: Any) -> _Outcome:
    """Return GX's result, or why there is none.

    ``exception_info`` is flat when the expectation itself failed, and keyed by metric when one of its
    metrics did (a missing column). Messages of exceptions can quote values, so only their kind is told.
    """
    info = part.exception_info or {}
    raised = [
        one for one in (info, *info.values()) if isinstance(one, Mapping) and one.get("raised_exception")
    ]
    if not raised:
        return {"holds": bool(part.success), **part.result}
    kwargs = part.expectation_config.kwargs
    columns = [
        str(kwargs[name]) for name in ("column", "column_A", "column_B", "column_list") if name in kwargs
    ]
    on = f" on {', '.join(columns)}" if columns else ""
    if any("does not exist" in str(one.get("exception_message")) for one in raised):
        return f"got no such column{on}, expected it in the drop"
    # The first kind in the traceback is the cause; GX's own wrapping comes after it.
    named = re.search(
        r"^(?:\w+\.)*(\w*(?:Error|Exception))\b", str(raised[0].get("exception_traceback")), re.MULTILINE
    )
    kind = named[1] if named else "an exception"
    return f"got {kind} from GX{on}, expected values that {part.expectation_config.type} can judge"


def _values(part: Mapping[str, Any] | None, table: pa.Table) -> int | None:
    """Count the values a table-level expectation rests on, or None where it needs none to be meaningful.

    GX does not say: it lets set rules pass on a column of nulls, and gives a mean of them as None.
    """
    column = part["kwargs"].get("column") if part else None
    if part is None or column not in table.column_names or part["type"] in _ABOUT_ABSENCE:
        return None
    return int(table.num_rows - table.column(column).null_count)


def _result(check: Check, outcome: _Outcome | None, values: int | None) -> CheckResult:
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
    failing = tuple(sorted({int(position) for position in outcome.get("unexpected_index_list") or ()}))
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep GX's log lines and its own imports' warnings off the terminal; findings are in the results."""
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "module 'sre_", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)
