"""Judge what the record says of personal texts that went (see `lawfulness`); of rows: `lawful_rows`.

T1  a person's texts are erased together, all that are left, once no account of theirs can act any more
T2  by retention a text goes only when it is older than the least age of its class (`domain.texts`)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tidegate.application import lawful_rows
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView
from tidegate.domain.policy import Policy
from tidegate.domain.state import ErasureRow, TextRow
from tidegate.domain.texts import LEAST_DAYS, can_act, class_of, kept, kept_until

Breaches = Iterator[tuple[str, str]]


def breaches(view: StateView, event: Event, policy: Policy) -> Breaches:
    """Yield (rule, sentence) of each breach by an event of these kinds; of others, nothing."""
    judge = JUDGES.get(event.type)
    return judge(view, event, policy) if judge else iter(())


def _erased(view: StateView, event: Event, _: Policy) -> Breaches:
    subject, named = event.payload["subject"], event.payload["commitments"]
    theirs = [row.commitment for row in kept(view, subject=subject)]
    if others := set(named) - set(theirs):
        yield (
            "T1",
            f"{len(others)} text(s) are erased as about {subject}, which are not there or about others",
        )
    if missed := set(theirs) - set(named):
        yield "T1", f"{len(missed)} text(s) about {subject} are left out of the erasure"
    if able := can_act(view, subject):
        yield "T1", f"the texts about {subject} are erased while {', '.join(able)} can still act"


def _let_go(view: StateView, event: Event, _: Policy) -> Breaches:
    kind, now = event.payload["kind"], utc_time(event.occurred_at)
    if kind not in LEAST_DAYS:
        yield "T2", f"texts go as of class {kind}, which is no class of record"
        return
    for each in event.payload["commitments"]:
        row = view.get(TextRow, each)
        if row is None or class_of(row.kind) != kind or view.get(ErasureRow, each) is not None:
            yield (
                "T2",
                f"a text ({each[:19]}…) goes as of class {kind}, which is not there, or of another class",
            )
            continue
        end = kept_until(view, row)
        if end is None or now < end:
            told = f"before {end:%Y-%m-%d}" if end else "while its person can act"
            yield "T2", f"the {row.kind} of event {row.sequence} goes {told}, younger than its class allows"


JUDGES: Mapping[EventType, Callable[[StateView, Event, Policy], Breaches]] = {
    EventType.TEXT_ERASED: _erased,
    EventType.RETENTION_APPLIED: _let_go,
    **lawful_rows.JUDGES,
}
