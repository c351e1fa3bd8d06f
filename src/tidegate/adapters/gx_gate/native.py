"""Great Expectations itself, on pandas, in memory.

Each run has its own ephemeral context over pandas with the result format COMPLETE, the one combination
that names every failing row (on SQL back ends GX caps the list at 20). Columns become pandas' nullable
types, so that a null turns no integer into a float.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: GX keeps the context in force in a module global; two runs at once would mix their batches.
_ONE_AT_A_TIME = threading.Lock()


def evaluate(
    configurations: Mapping[str, Mapping[str, Any]],
    table: pa.Table,
    parameters: Mapping[str, Sequence[str]],
) -> dict[str, Mapping[str, Any] | str]:
    """Return GX's result of each expectation by rule, with whether it ``holds``, or why there is none."""
    with _ONE_AT_A_TIME, _quiet():
        return _validate(configurations, _frame(table), parameters)


def _frame(table: pa.Table) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    nullable = {pa.int64(): pd.Int64Dtype(), pa.float64(): pd.Float64Dtype(), pa.bool_(): pd.BooleanDtype()}
    return cast("pd.DataFrame", table.to_pandas(types_mapper=nullable.get))


def _validate(
    configurations: Mapping[str, Mapping[str, Any]],
    frame: pd.DataFrame,
    parameters: Mapping[str, Sequence[str]],
) -> dict[str, Mapping[str, Any] | str]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    outcomes: dict[str, Mapping[str, Any] | str] = {}
    expectations = []
    for rule, part in configurations.items():
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


def _outcome(part: Any) -> Mapping[str, Any] | str:
    """Return GX's result, or why there is none.

    ``exception_info`` is flat when the expectation itself failed, and keyed by metric when one of its
    metrics did (a missing column). Messages of exceptions can quote values, so only their kind is told.
    """
    info = part.exception_info or {}
    raised = [
        one for one in (info, *info.values()) if isinstance(one, Mapping) and one.get("raised_exception")
    ]
    if not raised:
        found = {"holds": bool(part.success), **part.result}
        if positions := found.get("unexpected_index_list"):
            found["unexpected_index_list"] = sorted({int(position) for position in positions})
        return found
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
