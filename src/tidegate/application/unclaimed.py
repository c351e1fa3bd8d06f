"""Files of rows that no event names: a gate run that was killed between writing them and recording them left them.

The same drop or push again finds them, and names them. Where it never comes they are nobody's, and go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from tidegate.application.platform import Platform
from tidegate.domain.events import Event, EventType
from tidegate.domain.push import held_period
from tidegate.domain.state import BatchRow, ErasedFileRow, PushRow

_Row = TypeVar("_Row", BatchRow, PushRow)


def written(event: Event) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the files of rows that a gate run wrote, each with the period that it is kept by."""
    said = event.payload
    if event.type in {EventType.BATCH_ACCEPTED, EventType.BATCH_REFUSED}:
        yield said["period"], ("batch", said["batch"])
        yield said["period"], ("quarantine", said["quarantine_root"])
    elif event.type in {EventType.PUSH_ACCEPTED, EventType.PUSH_REFUSED}:
        yield from ((each, ("batch", part["batch"])) for each, part in said["parts"].items())
        yield held_period(said["report"], event.occurred_at), ("quarantine", said["quarantine_root"])


def settled(platform: Platform, found: _Row | None) -> _Row:
    """Take note that the files of a drop or push, which is on record, are so too; return it.

    Raises:
        DependencyFailed: a folder cannot be written.
    """
    assert found is not None  # the fold of the event just appended
    row: _Row = found
    platform.batches.settle(row.dataset, [*_batches(row), row.quarantine_root])
    return row


def _batches(row: BatchRow | PushRow) -> list[str]:
    return [row.batch] if isinstance(row, BatchRow) else [part["batch"] for part in row.parts.values()]


def sweep_rows(platform: Platform) -> int:
    """Remove batches and held-back rows that were never recorded, and are not about to be; count them.

    Raises:
        DependencyFailed: a folder cannot be read or written.
    """
    now, erased, count = platform.clock.recorded(), platform.ledger.state().select(ErasedFileRow), 0
    for dataset in platform.contracts.datasets():
        events = platform.ledger.events(stream=f"dataset/{dataset}")
        known = {digest for event in events for _, (_, digest) in written(event)}
        known |= {row.successor for row in erased if row.place == dataset}
        count += platform.batches.sweep(dataset, known - {""}, now)
    return count
