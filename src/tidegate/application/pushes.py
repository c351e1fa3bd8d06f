"""Pushes as far as they stand: those of periods whose drop has not been accepted.

They are the freshest that is known, and what is online holds them. They are no history: training sets, scored periods
and monitors read batches alone, for a batch was gated as a whole and a push row by row. When the drop of a period
comes, it says of each row that was pushed whether it holds it, holds it otherwise, or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tidegate.application.platform import Platform
from tidegate.application.ports import Pushed, Pushes, StateReader
from tidegate.application.revisions import in_force
from tidegate.domain.canonical import utc_time
from tidegate.domain.contract import Contract
from tidegate.domain.push import delivered
from tidegate.domain.state import PushRow


def standing(platform: Platform, state: StateReader) -> Pushes:
    """Return the pushes that stand, in the order of the record, and what views read beside them.

    Raises:
        DependencyFailed: a file is gone or was altered.
    """
    rows = _standing(state)
    if not rows:
        return Pushes()
    # Without a row, but with every column: a push came before some of them were promised, and a query may name them.
    shape = {
        name: platform.batches.empty(platform.contracts.load(name))
        for name in {row.dataset for row, _ in rows}
    }
    pushed = tuple(
        Pushed(
            row.sequence,
            row.dataset,
            (shape[row.dataset], *(platform.batches.path(row.dataset, part) for part in parts)),
            utc_time(row.occurred_at),
        )
        for row, parts in rows
    )
    return beside(platform, state, {row.dataset for row, _ in rows}, pushed)


def bring(platform: Platform) -> Mapping[str, int]:
    """Bring online what was pushed and is not there yet; return the rows by view that was written to.

    Raises:
        DependencyFailed: the online store does not answer, or features were edited and not applied.
    """
    state = platform.ledger.state()
    rows = _standing(state)
    if not rows:
        return {}
    streams, windows = platform.features.streams(), platform.features.windows()
    due = any(
        view in windows and row.dataset in streams[view] and row.sequence > windows[view].pushed
        for row, _ in rows
        for view in streams
    )
    return platform.features.push(standing(platform, state)) if due else {}


def feeding(platform: Platform, dataset: str) -> tuple[str, ...]:
    """Return the views that a push of this dataset feeds."""
    return tuple(sorted(view for view, reads in platform.features.streams().items() if dataset in reads))


def reconciled(
    platform: Platform, contract: Contract, batch: str, parts: Collection[str]
) -> Mapping[str, Any]:
    """Return what a period's first batch made of the rows that were pushed before it; nothing where none were.

    Raises:
        DependencyFailed: a file is gone or was altered.
    """
    if not batch or not parts:
        return {}
    kept = platform.batches.compared(contract, batch, tuple(parts))
    told = {
        "pushes": len(parts),
        "rows": kept.rows,
        "same": kept.same,
        "other": kept.other,
        "absent": kept.absent,
    }
    return {"pushed": told}


def ended(state: StateReader, dataset: str, period: str) -> tuple[str, ...]:
    """Return the pushed batches that stand and that a drop of this period ends, in the order of the record."""
    rows = sorted(state.select(PushRow, dataset=dataset), key=lambda row: row.sequence)
    there = _periods(state, dataset)
    return tuple(
        part["batch"]
        for row in rows
        for each, part in sorted(row.parts.items())
        if delivered(each, {period}) and not delivered(each, there)
    )


def pushed_of(dataset: str, files: tuple[Path, ...], at: datetime) -> Pushed:
    """Return rows that are about to be recorded as a push."""
    return Pushed(0, dataset, files, at)


def beside(
    platform: Platform, state: StateReader, pushed: Collection[str], rows: tuple[Pushed, ...] = ()
) -> Pushes:
    """Return pushes with the batches of the datasets, and the declared rows, that the views they feed read beside them.

    Raises:
        DependencyFailed: a batch's file is gone or was altered.
    """
    streams = platform.features.streams().values()
    read = {name for names in streams if names & set(pushed) for name in names}
    batches = {}
    for dataset in platform.contracts.datasets():
        if dataset in read:
            names = sorted({row.batch for row in in_force(state, dataset)})
            files = [platform.batches.path(dataset, name) for name in names]
            batches[dataset] = files or [platform.batches.empty(platform.contracts.load(dataset))]
    declared = {name: platform.contracts.load(name).declared for name in platform.contracts.datasets()}
    return Pushes(rows, batches, declared)


def history(platform: Platform, state: StateReader, dataset: str) -> tuple[Path, ...]:
    """Return the batch of a dataset that was accepted last, if there is one."""
    rows = in_force(state, dataset)
    if not rows:
        return ()
    return (platform.batches.path(dataset, max(rows, key=lambda row: row.sequence).batch),)


def _standing(state: StateReader) -> list[tuple[PushRow, tuple[str, ...]]]:
    rows = sorted(state.select(PushRow), key=lambda row: row.sequence)
    there = {dataset: _periods(state, dataset) for dataset in {row.dataset for row in rows}}
    left = (
        (
            row,
            tuple(
                part["batch"]
                for each, part in sorted(row.parts.items())
                if not delivered(each, there[row.dataset])
            ),
        )
        for row in rows
    )
    return [(row, parts) for row, parts in left if parts]


def _periods(state: StateReader, dataset: str) -> frozenset[str]:
    return frozenset(row.period for row in in_force(state, dataset))
