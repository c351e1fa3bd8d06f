"""What came through the gates of each dataset, what was held back, and the feature views built from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.application.revisions import in_force
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import Event, EventType
from tidegate.domain.freshness import stated
from tidegate.domain.state import BatchRow, FeatureViewRow, WaiverRow
from tidegate.domain.waiver import Moment, over
from tidegate.entrypoints.web.record import Note, Record


@dataclass(frozen=True)
class Finding:
    """A check that did not pass."""

    id: str
    verdict: str
    severity: str
    on_row: str
    failing: int
    evaluated: int
    sentence: str


@dataclass(frozen=True)
class Batch:
    """What a gate made of one drop. ``batch`` is empty where all of it was held back.

    ``revision`` counts the restatements of its period; ``restates`` says that it replaced another batch, and
    ``learned`` which versions had learned from that one; ``put_back`` counts the mended rows, where it replaced it
    for their sake. ``superseded`` says that it was itself replaced. ``notes`` tell how its columns evolved.
    """

    period: str
    verdict: str
    read: int
    accepted: int
    quarantined: int
    erased: int
    share: float
    passed: int
    findings: tuple[Finding, ...]
    stops: tuple[Mapping[str, str], ...]
    drop: str
    batch: str
    contract: str
    contract_version: str
    tool: str
    ran: Note
    revision: int
    restates: bool
    learned: tuple[tuple[str, str], ...]
    superseded: bool
    put_back: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Waiver:
    """A check that somebody let not count. ``over`` says why it counts no more, and is empty while it does."""

    row: WaiverRow
    over: str
    given: Note


@dataclass(frozen=True)
class Dataset:
    """A dataset's batches by period, its waivers, and the drops that could not even be read.

    Rows are counted over what is in force: a batch that was restated counts no more.
    """

    name: str
    batches: tuple[Batch, ...]
    waivers: tuple[Waiver, ...]
    turned_away: tuple[tuple[str, str, Note], ...]

    @property
    def counted(self) -> tuple[Batch, ...]:
        """Return the batches that count: all but those that another one has replaced, and stopped replays.

        Whose mended rows were stopped, its rows are in its drop still, accepted or held back.
        """
        return tuple(
            batch for batch in self.batches if not batch.superseded and (batch.batch or not batch.put_back)
        )

    @property
    def read(self) -> int:
        """Count the rows read."""
        return sum(batch.read for batch in self.counted)

    @property
    def accepted(self) -> int:
        """Count the rows that went on."""
        return sum(batch.accepted for batch in self.counted)

    @property
    def quarantined(self) -> int:
        """Count the rows held back."""
        return sum(batch.quarantined for batch in self.counted)

    @property
    def erased(self) -> int:
        """Count the rows that were erased, or left out because their subject was."""
        return sum(batch.erased for batch in self.counted)


def datasets(record: Record) -> tuple[Dataset, ...]:
    """Return every dataset that something came of, by name."""
    rows = sorted(record.state.select(BatchRow), key=lambda row: (row.period, row.sequence))
    current = {(row.dataset, row.drop) for row in in_force(record.state)}
    away = record.of(EventType.DROP_REFUSED)
    every = sorted({row.dataset for row in rows} | {event.payload["dataset"] for event in away})
    return tuple(
        Dataset(
            name,
            tuple(
                _batch(record, row, replaced=bool(row.batch) and (name, row.drop) not in current)
                for row in rows
                if row.dataset == name
            ),
            _waivers(record, name),
            tuple(_turned_away(record, event) for event in away if event.payload["dataset"] == name),
        )
        for name in every
    )


@dataclass(frozen=True)
class View:
    """A feature view as last built; ``newest`` is from when its newest data are, ``asked`` its objective."""

    view: str
    rows: int
    online_until: str
    newest: str
    asked: str
    definition: str
    source: str


def views(record: Record) -> tuple[View, ...]:
    """Return the feature views as last built."""
    return tuple(
        View(
            row.view,
            row.rows,
            row.online_until,
            row.newest,
            stated(row.objective),
            row.definition,
            row.source,
        )
        for row in record.state.select(FeatureViewRow)
    )


def _waivers(record: Record, dataset: str) -> tuple[Waiver, ...]:
    if record.last is None:
        return ()
    now = Moment(utc_time(record.last.occurred_at), record.state.marks())
    return tuple(
        Waiver(row, over(row, now), record.note(record.at(row.sequence)))
        for row in record.state.select(WaiverRow, dataset=dataset)
    )


def _batch(record: Record, row: BatchRow, *, replaced: bool) -> Batch:
    report: Mapping[str, Any] = row.report
    return Batch(
        period=row.period,
        verdict=row.verdict,
        read=row.read,
        accepted=row.accepted,
        quarantined=row.quarantined,
        erased=row.erased,
        share=row.quarantined / row.read if row.read else 0.0,
        passed=sum(check["verdict"] == "passed" for check in report["checks"]),
        findings=tuple(
            Finding(**{name: check[name] for name in Finding.__dataclass_fields__})
            for check in report["checks"]
            if check["verdict"] != "passed"
        ),
        stops=tuple(report["stops"]),
        drop=row.drop,
        batch=row.batch,
        contract=row.contract,
        contract_version=str(report.get("contract_version", "")),
        tool=str(report.get("tool", "")),
        ran=record.note(record.at(row.sequence)),
        revision=row.revision,
        restates=bool(row.supersedes),
        learned=tuple(_model_and_number(name) for name in row.touches.get("versions", ())),
        superseded=replaced,
        put_back=report.get("replays", {}).get("rows", 0),
        notes=tuple(report.get("notes", ())),
    )


def _model_and_number(version: str) -> tuple[str, str]:
    model, _, number = version.rpartition("/")
    return model, number


def _turned_away(record: Record, event: Event) -> tuple[str, str, Note]:
    return event.payload["period"], event.payload["code"], record.note(event)
