"""Everything the desk shows, as plain values: what a page, an API or a test can render."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tidegate.application.ports import Clock, Expressions, Ledger, Policies
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import EventType
from tidegate.domain.state import PolicyRow
from tidegate.entrypoints.web.data import Dataset, View, datasets, views
from tidegate.entrypoints.web.incidents import Incident, incidents
from tidegate.entrypoints.web.models import Denied, Model, models, refused_elsewhere
from tidegate.entrypoints.web.monitors import Run, runs
from tidegate.entrypoints.web.proposals import Proposal, proposals
from tidegate.entrypoints.web.record import Record
from tidegate.entrypoints.web.requests import Reading, Request, requests
from tidegate.entrypoints.web.reviews import Decided, OpenReview, decided, reviews
from tidegate.entrypoints.web.schedules import Agenda, Scheduled, scheduled
from tidegate.entrypoints.web.timeline import Month, months


@dataclass(frozen=True)
class Desk:
    """The desk as of one event. ``moment`` is that event's time, empty in an empty ledger."""

    events: int
    head: str
    moment: str
    clock: str
    assurance: str
    policy: PolicyRow | None
    requests: tuple[Request, ...]
    proposals: tuple[Proposal, ...]
    reviews: tuple[OpenReview, ...]
    models: tuple[Model, ...]
    refusals: tuple[Denied, ...]
    datasets: tuple[Dataset, ...]
    views: tuple[View, ...]
    runs: tuple[Run, ...]
    decided: tuple[Decided, ...]
    schedules: tuple[Scheduled, ...]
    schedules_fault: str
    incidents: tuple[Incident, ...]
    months: tuple[Month, ...]

    @property
    def waits(self) -> int:
        """Count what waits for people."""
        return len(self.requests) + len(self.proposals) + len(self.reviews)

    @property
    def told(self) -> int:
        """Count the events that the timeline tells."""
        return sum(month.told for month in self.months)

    @property
    def missed(self) -> int:
        """Count the slots that nobody ran in time."""
        return sum(len(each.missed) for each in self.schedules)


def build(
    ledger: Ledger,
    policies: Policies,
    expressions: Expressions,
    clock: Clock,
    reports: Path,
    link: str,
    agenda: Agenda = lambda _: ([], ""),
) -> Desk:
    """Read the ledger once and lay out the desk.

    ``reports`` is the folder of the monitors' reports and ``link`` how the page leads there; ``agenda`` says what
    the schedules ask for at a moment.
    """
    record = Record.read(ledger)
    now = _now(record, clock)
    planned, fault = scheduled(record, agenda, now)
    opened = record.of(EventType.LEDGER_OPENED)
    policy = record.state.select(PolicyRow, in_force=True)
    ran = runs(record, reports, link)
    return Desk(
        events=len(record.events),
        head=record.head,
        moment=record.last.occurred_at if record.last else "",
        clock=str(opened[0].payload["clock"]) if opened else "",
        assurance=str(opened[0].payload["assurance"]) if opened else "",
        policy=policy[0] if policy else None,
        requests=requests(record, Reading(policies, expressions, record), now),
        proposals=proposals(record),
        reviews=reviews(record, ran, now),
        models=models(record),
        refusals=refused_elsewhere(record),
        datasets=datasets(record),
        views=views(record),
        runs=ran,
        decided=decided(record),
        schedules=planned,
        schedules_fault=fault,
        incidents=incidents(record),
        months=months(record),
    )


def _now(record: Record, clock: Clock) -> datetime | None:
    """Return the time that tells what is overdue: the clock's, or the last event's on another clock."""
    if record.last is None:
        return None
    return clock.now() if clock.kind == record.last.clock else utc_time(record.last.occurred_at)
