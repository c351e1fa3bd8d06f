"""Evidently's drift report over one period, as evidence and as one self-contained page.

A column that Evidently would raise on takes the whole report down, so every column is looked at before:
absent, without a value, infinite, or of another type is the verdict ``error`` for that column alone.
"""

from __future__ import annotations

import html
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from tidegate.adapters.evidently_monitor.declaration import SCORE, Plan
from tidegate.adapters.evidently_monitor.rows import Period, numbers
from tidegate.application.ports import ModelSpec
from tidegate.domain.evidence import Evidence, Measure, Verdict

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: Evidently names the parts of a page at random; numbered in their order, the same run is the same page.
#: Two patterns that begin with what is rare: a page has four megabytes, and one pattern for both is twice as slow.
_RANDOM = (
    re.compile(r"()([0-9a-f][0-9a-f]{7}-[0-9a-f]{4}-[47][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})"),
    re.compile(r"(metric_)([0-9a-f]{32})"),
)
_SIGNS = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.INCONCLUSIVE: "?", Verdict.ERROR: "!"}
_STYLE = (
    "<style>.tg{font:15px/1.5 system-ui,sans-serif;margin:1.5rem;color:#1b1b1b;background:#fff}"
    ".tg table{border-collapse:collapse}.tg td,.tg th{text-align:left;padding:.2rem .8rem .2rem 0;"
    "border-bottom:1px solid #ccc}</style>"
)
#: Columns of our own, so that Evidently's page shows the errors as well. Never a name a model would use.
_GAP = "score minus outcome"
_LOSS: Mapping[str, str] = {"probability": "squared error", "number": "absolute error"}


def evidently_version() -> str:
    """Return the installed version, without importing it."""
    from importlib.metadata import version

    return version("evidently")


def drift_report(
    plan: Plan,
    model: ModelSpec,
    period: Period,
    reference: pa.Table,
    measured: tuple[Sequence[Evidence], Sequence[Evidence]],
    known_by: datetime,
    name: str,
    subject: str,
) -> tuple[tuple[Evidence, ...], str]:
    """Return what Evidently says of each watched column, and the page with what we measured on top.

    ``measured`` is what binds, and what is information beside it.
    """
    now, then, unfit = _comparable(plan, model, period, reference)
    watched = [column for column in plan.columns if column not in unfit]
    evidently = _evidently()
    found: Mapping[str, tuple[float, bool]] = {}
    page = f"<!doctype html><meta charset='utf-8'><title>{html.escape(name)}</title><body></body>"
    if len(now) and len(then) and (watched or _GAP in now):
        snapshot = _run(evidently, plan, model, now, then, watched, known_by, name)
        found = _values(snapshot.dict())
        page = snapshot.get_html_str(as_iframe=False)
    tool = f"evidently {evidently_version()}"
    drift = []
    for column in plan.columns:
        if column not in found:
            why = unfit.get(column, "there is nothing to compare")
            drift.append(Evidence(f"drift:{column}", subject, Verdict.ERROR, f"{column}: {why}", tool))
            continue
        value, drifted = found[column]
        # Evidently sums over categories in the order of a set, which differs between processes in the last
        # digits; what enters the ledger must not.
        value = float(f"{value:.12g}")
        verdict = Verdict.FAILED if drifted else Verdict.PASSED
        sentence = (
            f"{column}: {plan.method} {value:.4f} against the reference, {plan.threshold:g} counts as drift"
        )
        measure = Measure(value, len(now), method=plan.method)
        drift.append(Evidence(f"drift:{column}", subject, verdict, sentence, tool, {plan.method: measure}))
    return tuple(drift), _page(page, name, *measured, drift)


def _comparable(
    plan: Plan, model: ModelSpec, period: Period, reference: pa.Table
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str]]:
    """Return both sides with the columns Evidently can take, and why it cannot take the others."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    sides: dict[str, dict[str, Any]] = {"the period": {}, "the reference": {}}
    tables = {"the period": period.table, "the reference": reference}
    unfit: dict[str, str] = {}
    for column in plan.columns:
        for side, table in tables.items():
            values = table.column(column)
            if column in model.categorical:
                texts = pc.cast(values, pa.string()).to_pandas()
                if not texts.notna().any():
                    unfit[column] = f"{side} holds no value"
                sides[side][column] = texts
                continue
            try:
                found = np.asarray(pc.cast(values, pa.float64()).to_numpy(), dtype=np.float64)
            except pa.ArrowException:
                unfit[column] = f"{side} holds {values.type}, expected numbers"
                continue
            if np.isinf(found).any():
                unfit[column] = f"{side} holds an infinite number"
            elif not np.isfinite(found).any():
                unfit[column] = f"{side} holds no value"
            sides[side][column] = found
    kept = [column for column in plan.columns if column not in unfit]
    now = pd.DataFrame({column: sides["the period"][column] for column in kept})
    then = pd.DataFrame({column: sides["the reference"][column] for column in kept})
    gaps = period.scores - period.labels, numbers(reference, SCORE) - numbers(reference, model.label)
    if all(np.isfinite(gap).any() and not np.isinf(gap).any() for gap in gaps):
        for frame, gap in zip((now, then), gaps, strict=True):
            frame[_GAP] = gap
            frame[_LOSS[model.prediction]] = gap**2 if model.prediction == "probability" else np.abs(gap)
    return now, then, unfit


def _run(
    evidently: ModuleType,
    plan: Plan,
    model: ModelSpec,
    now: pd.DataFrame,
    then: pd.DataFrame,
    watched: Sequence[str],
    known_by: datetime,
    name: str,
) -> Any:
    from evidently import metrics

    errors = (_GAP, _LOSS[model.prediction])
    extra = [column for column in errors if column in now]  # tests=[]: else it invents its own
    definition = evidently.DataDefinition(
        numerical_columns=[*(column for column in watched if column not in model.categorical), *extra],
        categorical_columns=[column for column in watched if column in model.categorical],
    )
    asked = [
        metrics.ValueDrift(column=column, method=plan.method, threshold=plan.threshold) for column in watched
    ]
    asked += [metrics.MeanValue(column=column, tests=[]) for column in extra]
    sides = [evidently.Dataset.from_pandas(frame, data_definition=definition) for frame in (now, then)]
    return evidently.Report(asked, include_tests=True).run(*sides, timestamp=known_by, name=name)


def _values(result: Mapping[str, Any]) -> Mapping[str, tuple[float, bool]]:
    """Return each drift value with Evidently's own verdict on it."""
    drifted = {
        test["metric_config"]["params"]["column"]: str(test["status"]).rpartition(".")[2] != "SUCCESS"
        for test in result["tests"]
    }
    return {
        metric["config"]["column"]: (float(metric["value"]), drifted[metric["config"]["column"]])
        for metric in result["metrics"]
        if metric["config"]["column"] in drifted
    }


def _page(
    page: str, name: str, binding: Sequence[Evidence], beside: Sequence[Evidence], drift: Sequence[Evidence]
) -> str:
    """Number what is random in Evidently's page, and put what binds above it."""
    names: dict[str, str] = {}
    steady = page
    for pattern in _RANDOM:
        steady = pattern.sub(lambda it: it[1] + names.setdefault(it[2], f"part{len(names)}"), steady)
    rows = "".join(
        f"<tr><td>{_SIGNS[each.verdict]} {each.verdict}</td><td>{html.escape(each.sentence)}</td></tr>"
        for each in binding
    )
    drifted = [each.kind.removeprefix("drift:") for each in drift if each.verdict is Verdict.FAILED]
    unmeasured = [each.sentence for each in drift if each.verdict is Verdict.ERROR]
    notes = "".join(
        f"<p>For information: {_SIGNS[each.verdict]} {html.escape(each.sentence)}.</p>" for each in beside
    )
    notes += f"<p>Drift is information: {len(drifted)} of {len(drift)} columns moved"
    notes += f" ({html.escape(', '.join(drifted))})." if drifted else "."
    notes += f" Not compared: {html.escape('; '.join(unmeasured))}." if unmeasured else ""
    summary = (
        f"{_STYLE}<section class='tg'><h1>{html.escape(name)}</h1>"
        f"<table><tr><th>Verdict</th><th>What binds</th></tr>{rows}</table>{notes}</p></section>"
    )
    head, mark, rest = steady.partition("<body>")
    return f"{head}{mark}{summary}{rest}" if mark else summary + steady


@cache
def _evidently() -> ModuleType:
    """Import Evidently with its telemetry off and without its own deprecation warnings."""
    os.environ["DO_NOT_TRACK"] = "1"
    with warnings.catch_warnings():
        for message in (
            "numpy.core is deprecated",
            "Call to deprecated function 'Dependency'",
            "Use of deprecated class 'DependencyKwarg'",
            "invalid escape sequence",  # said while Python compiles it: once, on a new installation
        ):
            warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)
        import evidently
        import evidently.metrics

    return cast("ModuleType", evidently)
