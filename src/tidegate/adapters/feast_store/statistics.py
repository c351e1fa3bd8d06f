"""Statistics of a view's features by Feast's own calculator, over rows whose source was verified.

Feast's monitoring service computes the same figures. It keeps them in files beside the definitions that are written
over, and that name neither the definition nor the source that they were taken from. So its calculator is used, and what
that says is recorded with both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tidegate.domain.errors import BadInput

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

    calculator, rows, told = MetricsCalculator(), _within(source, view, window), {}
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


def counts(
    source: pa.Table, view: View, window: tuple[datetime, datetime], cuts: Mapping[str, Sequence[float]]
) -> Mapping[str, Sequence[int]]:
    """Count the window's finite values between ``cuts``; see `ports.Features.counts`.

    Feast's calculator lays bins between the least and the greatest value of a window, so two windows never share them.

    Raises:
        BadInput: a name is no numeric feature of the view.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from feast.monitoring.metrics_calculator import MetricsCalculator

    of, rows, told = MetricsCalculator.classify_feature_arrow, _within(source, view, window), {}
    if odd := sorted(name for name in cuts if of(view.features.get(name, pa.null())) != "numeric"):
        raise BadInput(
            "no-such-feature",
            f"got {', '.join(odd)}, expected numeric features of {view.name}",
            "see `tidegate features show`",
        )
    for name, between in cuts.items():
        values = np.asarray(pc.cast(rows.column(name), pa.float64()).to_numpy(), dtype=np.float64)
        places = np.searchsorted(np.asarray(between), values[np.isfinite(values)], side="right")
        told[name] = np.bincount(places, minlength=len(between) + 1).tolist()
    return told


def _within(source: pa.Table, view: View, window: tuple[datetime, datetime]) -> pa.Table:
    """Return the rows that happened from the window's start on and before its end."""
    import pyarrow as pa
    import pyarrow.compute as pc

    happened = source.column(view.event)
    since, until = (pa.scalar(moment, happened.type) for moment in window)
    return source.filter(pc.and_(pc.greater_equal(happened, since), pc.less(happened, until)))


def _plain(value: Any) -> Any:
    """Return a figure as JSON has it: what is no finite number is none."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
