"""Pushed rows as rows of a view: its own query, over what was pushed alone.

Each push is read by itself, for two pushes may correct each other. That a query gives the same rows for a push as it
would beside the batches is tried, not read off the text: a mean over a week, say, needs the week.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.adapters.feast_store import repository, tables
from tidegate.adapters.shared.sql import Declared, run_sql
from tidegate.application.ports import Pushed, Pushes
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa


def takes_pushes(view: Any) -> bool:
    """Say whether a Feast view has a push source."""
    from feast import PushSource

    return isinstance(view.stream_source, PushSource)


def fed(repo: Path, views: Iterable[Any], pushes: Pushes) -> Mapping[str, Sequence[Pushed]]:
    """Return by view the pushes that feed it: those of a dataset that its query reads, if it takes pushes."""
    found = {}
    for view in views if pushes.rows else ():
        reads = repository.read_from(repo, view.name) if takes_pushes(view) else frozenset[str]()
        if rows := [push for push in pushes.rows if push.dataset in reads]:
            found[view.name] = rows
    return found


def known(
    repo: Path, view: tables.View, push: Pushed, beside: Pushes, until: datetime | None = None
) -> pa.Table:
    """Return a view's rows of one push, as far as they were known when it came, or by ``until``.

    None was known before it came, whatever the query says.

    Raises:
        BadInput: the query does not run over it, or its rows break the view's definition.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    files = {**beside.batches, push.dataset: push.files}
    rows = _queried(repo, view, files, beside.declared)
    place = rows.schema.get_field_index(view.created)
    came = pa.scalar(push.at, rows.schema.field(place).type)
    said = rows.column(place)
    rows = rows.set_column(place, view.created, pc.if_else(pc.less(said, came), came, said))
    return tables.by(rows, view, max(push.at, until or push.at))


def alone(repo: Path, view: tables.View, push: Pushed, beside: Pushes, before: Sequence[Path]) -> int:
    """Return how many rows a view gets of a push, after comparing them with those it gets beside batches.

    Raises:
        BadInput: the query does not run, or gives other rows where it sees what came before.
    """
    files = {**beside.batches, push.dataset: push.files}
    found = _told(_queried(repo, view, files, beside.declared))
    if before:
        files = {**beside.batches, push.dataset: (*before, *push.files)}
        other = found - _told(_queried(repo, view, files, beside.declared))
        if other:
            raise BadInput(
                "push-needs-history",
                f"got {len(other)} of {len(found)} rows of {view.name} otherwise where its query sees the last batch "
                f"of {push.dataset} too, expected rows that need nothing but what was pushed",
                f"{view.name} needs more history than a push has: give it no push source, and have {push.dataset} "
                "come as drops",
            )
    return len(found)


def _queried(
    repo: Path, view: tables.View, files: Mapping[str, Sequence[Path]], declared: Declared
) -> pa.Table:
    text, steps = repository.source_sql(repo, view.name)
    return tables.as_defined(view, run_sql(text, files, declared, steps=steps))


def _told(rows: pa.Table) -> set[tuple[Any, ...]]:
    """Return rows that compare: an unknown number is equal to itself."""
    return {
        tuple(None if value != value else value for value in row.values())  # noqa: PLR0124
        for row in rows.to_pylist()
    }
