"""Put every drop that has landed and is not decided yet through its gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tidegate.application.ingest import decided, ingest
from tidegate.application.platform import Acting, Platform
from tidegate.application.revisions import period_of, revision_of
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.state import BatchRow


@dataclass(frozen=True)
class Collected:
    """What became of one drop: its recorded row, or why it was turned away. ``fresh``: this run gated it."""

    dataset: str
    name: str
    row: BatchRow | None
    fresh: bool = False
    code: str = ""
    sentence: str = ""
    hint: str = ""


def collect(platform: Platform, acting: Acting, folder: Path) -> tuple[Collected, ...]:
    """Gate the drops in ``folder/DATASET/``, for datasets under contract; return one outcome per drop.

    Datasets that others refer to come first, then periods and revisions in their order. Hidden files and
    ``*.part`` are still being delivered. A drop that is turned away is on record and stops no other one.
    Nothing is remembered beside the ledger: a drop that is decided is hashed, and left alone.

    Raises:
        Refused: rule A1. BadInput: there is no such folder.
        DependencyFailed: a store is full, gone or was altered; what was gated before stays.
    """
    if not folder.is_dir():
        raise BadInput("no-folder", f"got no folder {folder}, expected one with drops", "check the path")
    return tuple(
        outcome
        for dataset in _referenced_first(platform)
        if (drops := _drops(folder / dataset))
        for outcome in _gated(platform, acting, dataset, drops)
    )


def _gated(platform: Platform, acting: Acting, dataset: str, drops: list[Path]) -> list[Collected]:
    state = platform.ledger.state()
    rows = {row.drop: row for row in state.select(BatchRow, dataset=dataset)}
    outcomes = []
    try:
        done = decided(platform, state, platform.contracts.load(dataset))
    except BadInput as fault:  # a broken contract stops its own drops, and no other dataset's
        return [_turned_away(dataset, drop, fault) for drop in drops]
    for drop in drops:
        try:
            name = platform.batches.drop_digest(drop)
            if name in done:
                outcomes.append(Collected(dataset, drop.name, rows[name]))
                continue
            row = ingest(platform, acting, dataset, drop)
        except BadInput as fault:
            outcomes.append(_turned_away(dataset, drop, fault))
        else:
            before = rows.get(row.drop)
            outcomes.append(
                Collected(dataset, drop.name, row, before is None or before.sequence != row.sequence)
            )
            rows[row.drop] = row
    return outcomes


def _turned_away(dataset: str, drop: Path, fault: BadInput) -> Collected:
    return Collected(dataset, drop.name, None, False, fault.code, fault.sentence, fault.hint)


def _referenced_first(platform: Platform) -> list[str]:
    """Return all datasets, each behind those it refers to; where they refer to each other, by name."""
    names, order = platform.contracts.datasets(), dict[str, None]()
    waiting: set[str] = set()

    def visit(dataset: str) -> None:
        if dataset in order or dataset in waiting or dataset not in names:
            return
        waiting.add(dataset)
        try:
            references = platform.contracts.load(dataset).references
        except BadInput:
            references = ()  # said when its drops come to be gated
        for other in sorted({reference.dataset for reference in references}):
            visit(other)
        order[dataset] = None

    for dataset in sorted(names):
        visit(dataset)
    return list(order)


def _drops(folder: Path) -> list[Path]:
    """Return the files that have landed, by period, revision and name; what is misnamed comes last."""
    try:
        files = [
            path
            for path in folder.iterdir()
            if not path.name.startswith(".") and path.suffix != ".part" and not path.is_dir()
        ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DependencyFailed(
            "landing-unreadable",
            f"got the folder {folder.name}, which cannot be read ({error.strerror}), expected one with drops",
            "mend its permissions",
        ) from error
    return sorted(files, key=_place)


def _place(drop: Path) -> tuple[bool, str, int, str]:
    try:
        return False, period_of(drop), revision_of(drop), drop.name
    except BadInput:
        return True, "", 0, drop.name
