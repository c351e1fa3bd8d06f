"""Statistics of a view's features by Feast's own calculator, over rows whose source was verified.

Feast's monitoring service computes the same figures. It keeps them in files beside the definitions that are written
over, and that name neither the definition nor the source that they were taken from. So its calculator is used, and what
that says is recorded with both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.adapters.feast_store.tables import View

#: What is told of a feature, beside its kind: Feast's names.
_TOLD = (
    "row_count",
    "null_count",
    "null_rate",
    "mean",
    "stddev",
    "min_val",
    "max_val",
    "p50",
    "p75",
    "p90",
    "p95",
    "p99",
    "histogram",
)


def statistics(
    source: pa.Table, view: View, window: tuple[datetime, datetime]
) -> Mapping[str, Mapping[str, Any]]:
    """Return the figures of each feature, over the rows that happened from the window's start on and before its end.

    A value that is no finite number counts as ``not_finite`` and is left out of the rest. Of words only the counts are
    told: these figures are recorded for good, and a word may be somebody's.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from feast.monitoring.metrics_calculator import MetricsCalculator

    calculator, happened = MetricsCalculator(), source.column(view.event)
    since, until = (pa.scalar(moment, happened.type) for moment in window)
    rows = source.filter(pc.and_(pc.greater_equal(happened, since), pc.less(happened, until)))
    told = {}
    for name, kind in view.features.items():
        column, strange = rows.column(name), 0
        if pa.types.is_floating(kind):
            odd = pc.fill_null(pc.invert(pc.is_finite(column)), False)  # Arrow's
            strange = pc.sum(odd).as_py() or 0
            column = pc.if_else(odd, pa.scalar(None, kind), column)
        counted = {"numeric": calculator.compute_numeric, "categorical": calculator.compute_categorical}
        of = calculator.classify_feature_arrow(kind)
        found = counted[of](column) if of else {"row_count": len(column), "null_count": column.null_count}
        if of == "categorical" and found["histogram"]:
            values = found["histogram"].pop("values")
            found["histogram"]["counts"] = [each["count"] for each in values]
        nulls = found["null_count"] - strange
        figures = {key: _plain(found.get(key)) for key in _TOLD} | {
            "null_count": nulls,
            "not_finite": strange,
        }
        figures["null_rate"] = nulls / len(column) if len(column) else 0.0
        told[name] = {"kind": of or "other", **figures}
    return told


def _plain(value: Any) -> Any:
    """Return a figure as JSON has it: what is no finite number is none."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
