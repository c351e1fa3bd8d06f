"""The fold of data events: batches, pushes and waivers; features built, brought online, read and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tidegate.domain.access import opened
from tidegate.domain.events import Event, EventType
from tidegate.domain.folding import Handler, View, existing, row_of
from tidegate.domain.state import (
    AccessRow,
    BatchRow,
    DriftRow,
    FeatureViewRow,
    ParityRow,
    PushRow,
    ReadSegmentRow,
    Row,
    StatisticsRow,
    WaiverRow,
)


def _batch(view: View, event: Event) -> list[Row]:
    left_out = event.payload["report"].get("erased", 0)
    batch = row_of(BatchRow, event, erased=left_out, superseded_by="", occurred_at=event.occurred_at)
    used = _used(view, event)
    if not batch.supersedes:
        return [batch, *used]
    replaced = view.select(
        BatchRow, dataset=batch.dataset, period=batch.period, batch=batch.supersedes, superseded_by=""
    )
    return [*(replace(row, superseded_by=batch.batch) for row in replaced), batch, *used]


def _push(view: View, event: Event) -> list[Row]:
    left_out = event.payload["report"].get("erased", 0)
    return [row_of(PushRow, event, erased=left_out, occurred_at=event.occurred_at), *_used(view, event)]


def _used(view: View, event: Event) -> list[Row]:
    """Count what waivers let through: one use a batch, however many checks."""
    let_through: dict[str, int] = {}
    for use in event.payload["report"].get("waived", ()):
        let_through[use["waiver"]] = let_through.get(use["waiver"], 0) + use["rows"]
    waivers = {name: existing(view.get(WaiverRow, name)) for name in let_through}
    return [
        replace(row, uses=row.uses + 1, rows=row.rows + let_through[name]) for name, row in waivers.items()
    ]


def _waiver_given(_: View, event: Event) -> list[Row]:
    return [row_of(WaiverRow, event, given_by=event.actor, ended=False, uses=0, rows=0)]


def _waiver_ended(view: View, event: Event) -> list[Row]:
    return [replace(existing(view.get(WaiverRow, event.payload["id"])), ended=True)]


def _features_built(view: View, event: Event) -> list[Row]:
    rows: list[Row] = []
    for name, built in event.payload["views"].items():
        before = view.get(FeatureViewRow, name)
        rows.append(
            FeatureViewRow(
                view=name,
                definition=built["definition"],
                source=built["source"],
                rows=built["rows"],
                objective=dict(built["objective"]),
                batches=tuple(event.payload["batches"]),
                online_until=before.online_until if before else "",
                newest=before.newest if before else "",
                sequence=event.sequence,
            )
        )
    return rows


def _features_materialized(view: View, event: Event) -> list[Row]:
    until = event.payload["until"]
    known = [existing(view.get(FeatureViewRow, name)) for name in event.payload["rows"]]
    newest = event.payload["newest"]
    return [
        replace(row, online_until=until, newest=newest[row.view], sequence=event.sequence) for row in known
    ]


def _access_declared(view: View, event: Event) -> list[Row]:
    """Open what is declared; what was open before and is named no more stays on record as open to nobody."""
    now = opened(event.payload["permissions"])
    places = sorted({*now, *((row.view, row.access) for row in view.select(AccessRow))})
    return [AccessRow(*place, now.get(place, ()), event.sequence) for place in places]


def _features_read(_: View, event: Event) -> list[Row]:
    return [row_of(ReadSegmentRow, event)]


def _features_judged(_: View, event: Event) -> list[Row]:
    return [row_of(DriftRow, event)]


def _features_measured(_: View, event: Event) -> list[Row]:
    return [row_of(StatisticsRow, event)]


def _features_compared(_: View, event: Event) -> list[Row]:
    return [
        ParityRow(name, said["source"], said["until"], said["verdict"], said["sentence"], event.sequence)
        for name, said in event.payload["views"].items()
    ]


HANDLERS: Mapping[EventType, Handler] = {
    EventType.BATCH_ACCEPTED: _batch,
    EventType.BATCH_REFUSED: _batch,
    EventType.PUSH_ACCEPTED: _push,
    EventType.PUSH_REFUSED: _push,
    EventType.WAIVER_GIVEN: _waiver_given,
    EventType.WAIVER_ENDED: _waiver_ended,
    EventType.ACCESS_DECLARED: _access_declared,
    EventType.FEATURES_BUILT: _features_built,
    EventType.FEATURES_MATERIALIZED: _features_materialized,
    EventType.FEATURES_COMPARED: _features_compared,
    EventType.FEATURES_READ: _features_read,
    EventType.FEATURES_MEASURED: _features_measured,
    EventType.FEATURES_JUDGED: _features_judged,
}
