"""Everything the desk shows, as plain values: what a page, an API or a test can render."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tidegate.application.ports import Clock, Expressions, Ledger, Policies
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import EventType
from tidegate.domain.state import FeatureViewRow, PolicyRow
from tidegate.entrypoints.web import data, models, monitors, timeline, waiting
from tidegate.entrypoints.web.record import Record


@dataclass(frozen=True)
class Desk:
    """The desk as of one event. ``moment`` is that event's time, empty in an empty ledger."""

    events: int
    head: str
    moment: str
    clock: str
    assurance: str
    policy: PolicyRow | None
    requests: tuple[waiting.Request, ...]
    reviews: tuple[waiting.OpenReview, ...]
    models: tuple[models.Model, ...]
    refusals: tuple[models.Denied, ...]
    datasets: tuple[data.Dataset, ...]
    views: tuple[FeatureViewRow, ...]
    runs: tuple[monitors.Run, ...]
    days: tuple[timeline.Day, ...]

    @property
    def waits(self) -> int:
        """Count what waits for people."""
        return len(self.requests) + len(self.reviews)

    @property
    def told(self) -> int:
        """Count the events that the timeline tells."""
        return sum(len(stretch.notes) for day in self.days for stretch in day.stretches)


def build(
    ledger: Ledger, policies: Policies, expressions: Expressions, clock: Clock, reports: Path, link: str
) -> Desk:
    """Read the ledger once and lay out the desk.

    ``reports`` is the folder of the monitors' reports and ``link`` how the page leads there.
    """
    record = Record.read(ledger)
    opened = record.of(EventType.LEDGER_OPENED)
    policy = record.state.select(PolicyRow, in_force=True)
    runs = monitors.runs(record, reports, link)
    return Desk(
        events=len(record.events),
        head=record.head,
        moment=record.last.occurred_at if record.last else "",
        clock=str(opened[0].payload["clock"]) if opened else "",
        assurance=str(opened[0].payload["assurance"]) if opened else "",
        policy=policy[0] if policy else None,
        requests=waiting.requests(record, waiting.judge(policies, expressions, record)),
        reviews=waiting.reviews(record, runs, _now(record, clock)),
        models=models.models(record),
        refusals=models.refused_elsewhere(record),
        datasets=data.datasets(record),
        views=data.views(record),
        runs=runs,
        days=timeline.days(record),
    )


def _now(record: Record, clock: Clock) -> datetime | None:
    """Return the time by which reviews are overdue: the clock's, or, where that runs in other time, the last event's."""
    if record.last is None:
        return None
    return clock.now() if clock.kind == record.last.clock else utc_time(record.last.occurred_at)
