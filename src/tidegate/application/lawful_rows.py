"""Judge what the record says of rows that were erased (see `lawfulness`; the rules are `domain.keeping`'s).

E1  a subject's rows are erased with a mark that keeps them away, and no batch or push comes back that was erased
E2  what is erased was on record: so many rows of files in their place, which had learned what it says
E3  without a subject's asking, rows go only when their period ended longer ago than they are kept
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tidegate.application.moments import APART
from tidegate.application.revisions import period_window, touched_by
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView
from tidegate.domain.keeping import FIRST, KINDS, Term, Without, counted
from tidegate.domain.policy import Policy
from tidegate.domain.push import held_period
from tidegate.domain.state import BatchRow, ErasedFileRow, PushRow

Breaches = Iterator[tuple[str, str]]
_SHOWN = 19


@dataclass(frozen=True)
class _Held:
    """A file of rows as the record speaks of it, once for each drop and push that has it."""

    kind: str
    digest: str
    rows: int
    period: str


def _erased(view: StateView, event: Event, _: Policy) -> Breaches:
    said = event.payload
    dataset, files = said["dataset"], [Without(**each) for each in said["files"]]
    rows = _on_record(view, dataset)
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


def _on_record(view: StateView, dataset: str) -> list[_Held]:
    found = []
    for row in view.select(BatchRow, dataset=dataset):
        found += [
            _Held("batch", row.batch, row.accepted, row.period),
            _Held("quarantine", row.quarantine_root, row.quarantined, row.period),
        ]
    for push in view.select(PushRow, dataset=dataset):
        held = held_period(push.report, push.occurred_at)
        found += [_Held("batch", part["batch"], part["rows"], each) for each, part in push.parts.items()]
        found.append(_Held("quarantine", push.quarantine_root, push.quarantined, held))
    return found


def _file(view: StateView, rows: Sequence[_Held], dataset: str, file: Without) -> Iterator[str]:
    about = f"the {file.kind} {file.digest[:_SHOWN]}…"
    if file.kind not in KINDS or file.rows < 1 or file.successor == file.digest:
        yield f"{about} loses no row, or is of no kind that holds any"
    if view.get(ErasedFileRow, file.kind, file.place, file.digest) is not None:
        yield f"{about} was erased before"
    if file.kind not in FIRST:
        return
    if file.place != dataset:
        yield f"{about} is of {file.place}, and rows of {dataset} are erased"
    theirs = [row.rows for row in rows if (row.kind, row.digest) == (file.kind, file.digest)]
    if file.kind == "batch" and not theirs and file.successor:
        yield f"{about} is of no drop or push of {dataset} on record"
    if any(most < file.rows for most in theirs) or (theirs and not file.successor):
        yield f"{about} loses {file.rows} rows, more than it had, or is not replaced"


def _over(event: Event, rows: Sequence[_Held], files: Sequence[Without]) -> Breaches:
    said, now = event.payload, utc_time(event.occurred_at)
    keeps = Term(**said["keeps"])
    for period in said["periods"]:
        if keeps.after(period_window(period)[1]) > now + APART:
            yield "E3", f"rows of {said['dataset']} {period} go, which are kept for {keeps}"
    named = {(each.kind, each.digest) for each in files if each.kind in FIRST}
    others = {row.period for row in rows if (row.kind, row.digest) in named} - set(said["periods"])
    if others:
        yield "E3", f"rows of {said['dataset']} {', '.join(sorted(others))} go, which is not named"


def _accepted(view: StateView, event: Event, _: Policy) -> Breaches:
    said = event.payload
    if said["batch"] and view.get(ErasedFileRow, "batch", said["dataset"], said["batch"]) is not None:
        yield "E1", f"{said['dataset']} {said['period']} has the rows again that were erased from it"


def _pushed(view: StateView, event: Event, _: Policy) -> Breaches:
    said = event.payload
    for period, part in sorted(said["parts"].items()):
        if view.get(ErasedFileRow, "batch", said["dataset"], part["batch"]) is not None:
            yield "E1", f"a push of {said['dataset']} {period} has the rows again that were erased from one"


JUDGES: Mapping[EventType, Callable[[StateView, Event, Policy], Breaches]] = {
    EventType.ROWS_ERASED: _erased,
    EventType.BATCH_ACCEPTED: _accepted,
    EventType.PUSH_ACCEPTED: _pushed,
}
