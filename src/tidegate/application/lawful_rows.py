"""Judge what the record says of rows that were erased (see `lawfulness`; the rules are `domain.keeping`'s).

E1  a subject's rows are erased with a mark that keeps them away, and no batch comes back that was erased
E2  what is erased was on record: so many rows of files in their place, which had learned what it says
E3  without a subject's asking, rows go only when their period ended longer ago than they are kept
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tidegate.application.moments import APART
from tidegate.application.revisions import period_window, touched_by
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView
from tidegate.domain.keeping import FIRST, KINDS, Term, Without, counted
from tidegate.domain.policy import Policy
from tidegate.domain.state import BatchRow, ErasedFileRow

Breaches = Iterator[tuple[str, str]]
_SHOWN = 19


def _erased(view: StateView, event: Event, _: Policy) -> Breaches:
    said = event.payload
    dataset, files = said["dataset"], [Without(**each) for each in said["files"]]
    rows = view.select(BatchRow, dataset=dataset)
    if said["cause"] == "subject":
        if not said["subject"]:
            yield (
                "E1",
                f"rows of {dataset} are erased as a subject's, and nothing keeps them from coming back",
            )
    elif said["cause"] == "retention":
        yield from _over(event, rows, files)
    else:
        yield "E1", f"rows of {dataset} are erased for no cause that there is"
    for each in files:
        yield from (("E2", told) for told in _file(view, rows, dataset, each))
    if said["rows"] != counted(files):
        yield "E2", f"{said['rows']} rows of {dataset} are erased, of files that lose {counted(files)}"
    due = touched_by(view, [each.digest for each in files if each.kind == "batch"])
    if said["touches"] != due:
        yield "E2", f"the erasure from {dataset} names others than those who had learned from its batches"


def _file(view: StateView, rows: Sequence[BatchRow], dataset: str, file: Without) -> Iterator[str]:
    about = f"the {file.kind} {file.digest[:_SHOWN]}…"
    if file.kind not in KINDS or file.rows < 1 or file.successor == file.digest:
        yield f"{about} loses no row, or is of no kind that holds any"
    if view.get(ErasedFileRow, file.kind, file.place, file.digest) is not None:
        yield f"{about} was erased before"
    if file.kind not in FIRST:
        return
    if file.place != dataset:
        yield f"{about} is of {file.place}, and rows of {dataset} are erased"
    theirs = [
        row.accepted if file.kind == "batch" else row.quarantined
        for row in rows
        if file.digest == (row.batch if file.kind == "batch" else row.quarantine_root)
    ]
    if file.kind == "batch" and not theirs and file.successor:
        yield f"{about} is of no drop of {dataset} on record"
    if any(most < file.rows for most in theirs) or (theirs and not file.successor):
        yield f"{about} loses {file.rows} rows, more than it had, or is not replaced"


def _over(event: Event, rows: Sequence[BatchRow], files: Sequence[Without]) -> Breaches:
    said, now = event.payload, utc_time(event.occurred_at)
    keeps = Term(**said["keeps"])
    for period in said["periods"]:
        if keeps.after(period_window(period)[1]) > now + APART:
            yield "E3", f"rows of {said['dataset']} {period} go, which are kept for {keeps}"
    named = {each.digest for each in files if each.kind in FIRST}
    others = {row.period for row in rows if {row.batch, row.quarantine_root} & named} - set(said["periods"])
    if others:
        yield "E3", f"rows of {said['dataset']} {', '.join(sorted(others))} go, which is not named"


def _accepted(view: StateView, event: Event, _: Policy) -> Breaches:
    said = event.payload
    if said["batch"] and view.get(ErasedFileRow, "batch", said["dataset"], said["batch"]) is not None:
        yield "E1", f"{said['dataset']} {said['period']} has the rows again that were erased from it"


JUDGES: Mapping[EventType, Callable[[StateView, Event, Policy], Breaches]] = {
    EventType.ROWS_ERASED: _erased,
    EventType.BATCH_ACCEPTED: _accepted,
}
