"""Marks decisions that rest on features which are not fresh (`domain.freshness`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from tidegate.adapters.shared.decisions import STALE
from tidegate.adapters.shared.frames import read_frame
from tidegate.domain.errors import BadInput
from tidegate.domain.freshness import Staleness, stale

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.application.ports import Marking

#: Before a view's name, so that an age is never taken for an input.
_AGE = "tidegate_age_of_"
#: Between the views of one mark.
_AND = ", "


def with_ages(table: pa.Table, marking: Marking) -> pa.Table:
    """Return the rows with the age of each view's value beside them.

    Raises:
        BadInput: the ages are of other rows, or an input has the mark's name.
        DependencyFailed: they cannot be read, or no longer have their digest.
    """
    ages = read_frame(marking.ages, "the ages of features")
    if ages.num_rows != table.num_rows:
        raise BadInput(
            "other-rows",
            f"got ages of {ages.num_rows} rows, expected those of the {table.num_rows} scored",
            "",
        )
    if STALE in table.column_names:
        raise BadInput("column-twice", f"got a column called {STALE}, expected another name", "rename it")
    for view in sorted(marking.objectives):
        table = table.append_column(_AGE + view, ages.column(view))
    return table


def marks(table: pa.Table, objectives: Mapping[str, timedelta]) -> tuple[pa.Array, Mapping[str, Staleness]]:
    """Return each row's mark, null where everything is fresh, and how many rows are marked by view."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names, counts = pa.nulls(table.num_rows, pa.string()), {}
    for view, objective in sorted(objectives.items()):
        ages = table.column(_AGE + view).combine_chunks()
        old = _stale(ages, objective)
        more = pc.if_else(names.is_valid(), pc.binary_join_element_wise(names, view, _AND), pa.scalar(view))
        names = pc.if_else(old, more, names)
        counts[view] = Staleness(rows=old.true_count, unknown=ages.null_count)
    return names, counts


def _stale(ages: pa.Array, objective: timedelta) -> pa.BooleanArray:
    """Judge each age. There are few different ones, and each is judged once."""
    import pyarrow as pa

    coded = ages.dictionary_encode(null_encoding="encode")
    judged = [
        stale(None if age is None else timedelta(microseconds=age), objective)
        for age in coded.dictionary.to_pylist()
    ]
    return pa.array(judged, pa.bool_()).take(coded.indices)
