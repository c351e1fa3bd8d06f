"""What became of rows that were erased: what a digest on record is called now, and whether every file is gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tidegate.application.platform import Platform
from tidegate.application.ports import StateReader
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.keeping import Without
from tidegate.domain.state import BatchRow, ErasedFileRow, ErasedSubjectRow, FeatureViewRow, PushRow


def left_of(state: StateReader, kind: str, digest: str, place: str = "") -> tuple[str, int]:
    """Return what is left of a file that the record names, by its digest, and how many rows were erased from it."""
    rows = 0
    while (gone := state.get(ErasedFileRow, kind, place, digest)) is not None and gone.successor != digest:
        digest, rows = gone.successor, rows + gone.rows
    return digest, rows


def files(state: StateReader) -> tuple[Without, ...]:
    """Return every file that was erased, with what took its place."""
    return tuple(
        Without(row.kind, row.place, row.digest, row.successor, row.rows)
        for row in state.select(ErasedFileRow)
    )


def marks(state: StateReader, dataset: str) -> frozenset[str]:
    """Return whose rows never come back to a dataset, by the marks of their subjects."""
    return frozenset(row.subject for row in state.select(ErasedSubjectRow, dataset=dataset))


def unwrite(platform: Platform, state: StateReader, dataset: str, made: Collection[tuple[str, str]]) -> None:
    """Remove files that were written, by kind and digest, but for what is on record of a drop or a push."""
    rows = state.select(BatchRow, dataset=dataset)
    known = {name for row in rows for name in (row.batch, row.quarantine_root)}
    for each in state.select(PushRow, dataset=dataset):
        known |= {each.quarantine_root, *(part["batch"] for part in each.parts.values())}
    written = [Without(kind, dataset, name, "", 0) for kind, name in made if name]
    platform.batches.discard([each for each in written if each.digest not in known])


def come_back(
    platform: Platform, state: StateReader, dataset: str, period: str, made: Collection[tuple[str, str]]
) -> BadInput | None:
    """Return why these very rows are not taken: they were erased as a whole. Nothing of them is left."""
    found = (state.get(ErasedFileRow, kind, dataset, name) for kind, name in made if name)
    if not (gone := [row for row in found if row is not None]):
        return None
    unwrite(platform, state, dataset, made)
    return BadInput(
        "erased-rows",
        f"got {dataset} {period} with the very rows that event {gone[0].sequence} erased, expected others",
        "nothing was taken from it; what was erased does not come back",
        period=period,
    )


def unread(platform: Platform, state: StateReader, batches: Iterable[str], made: Iterable[Without]) -> None:
    """Refuse what was made of batches from which rows were erased since they were read, and leave nothing of it.

    Raises:
        DependencyFailed: rows were.
    """
    gone = {row.digest for row in state.select(ErasedFileRow, kind="batch")}
    if gone & set(batches):
        platform.copies.discard(tuple(made))
        raise DependencyFailed(
            "rows-erased-meanwhile",
            "got batches from which rows were erased since they were read, expected them as they were",
            "run the same again: it reads what is left",
        )


def unfinished(platform: Platform) -> tuple[Without, ...]:
    """Return the erased files that are still there, or there again."""
    gone = files(platform.ledger.state())
    return (*platform.batches.left(gone), *platform.copies.left(gone)) if gone else ()


def finish(platform: Platform) -> int:
    """Do what the record says of erased rows: sources and online values are replaced, the files before removed.

    It goes by the record alone, so that whoever was killed is followed by anybody. Return how many files went.

    Raises:
        DependencyFailed: the online store does not answer, or a file cannot be removed.
    """
    state = platform.ledger.state()
    if not files(state):
        return 0
    if sources := _sources(state):
        platform.features.replaced(sources)
    there = unfinished(platform)
    platform.batches.discard(there)
    platform.copies.discard(there)
    return len(there)


def _sources(state: StateReader) -> Mapping[str, tuple[str, str]]:
    """Return by view the source that rows were erased from last, and what is left of it, if that is on record now."""
    now = {row.view: row.source for row in state.select(FeatureViewRow)}
    return {
        row.place: (row.digest, row.successor)
        for row in sorted(state.select(ErasedFileRow, kind="source"), key=lambda row: row.sequence)
        if now.get(row.place) == row.successor
    }
