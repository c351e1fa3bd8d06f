"""Models with their versions: where each stands, what was measured, who did what, which rule refused what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.application.inventory import Entry, inventory
from tidegate.application.timeline import stated
from tidegate.domain.events import Event, EventType
from tidegate.domain.policy import Stage
from tidegate.domain.state import ModelRow, PromotionRow, TrainingSetRow, VersionRow
from tidegate.entrypoints.web.canaries import Canary, canaries
from tidegate.entrypoints.web.evidence import Demanded, demanded
from tidegate.entrypoints.web.measures import Metric, side_by_side
from tidegate.entrypoints.web.record import Note, Record

#: How many versions are laid side by side: the newest, and the one in prod.
SIDE_BY_SIDE = 4
LADDER = (Stage.CANDIDATE, Stage.STAGING, Stage.CANARY, Stage.PROD)
_MOVED = (
    EventType.PROMOTION_APPLIED,
    EventType.MODEL_ROLLED_BACK,
    EventType.MODEL_STOPPED,
    EventType.APPROVAL_REVOKED,
    EventType.VERSION_DEMOTED,
    EventType.VERSION_RETIRED,
)
_DECIDED = (EventType.PROMOTION_APPROVED, EventType.PROMOTION_REJECTED)


@dataclass(frozen=True)
class Moved:
    """One change of stage, and the event that made it."""

    source: str
    target: str
    note: Note


@dataclass(frozen=True)
class Decided:
    """A person's decision on a promotion into ``target``, and the digests it was bound to."""

    outcome: str
    role: str
    target: str
    packet: str
    policy: str
    note: Note


@dataclass(frozen=True)
class Opened:
    """A gate that opened: into which stage, what each demand found, and how the way back was tried."""

    target: str
    promotion: str
    packet: str
    way_back: str
    steps: tuple[str, ...]
    demands: tuple[Demanded, ...]
    note: Note


@dataclass(frozen=True)
class Denied:
    """A refusal: what was refused, and every reason with its rule and the next step."""

    action: str
    reasons: tuple[Mapping[str, str], ...]
    note: Note


@dataclass(frozen=True)
class Version:
    """One version, with its whole story."""

    number: int
    stage: str
    artifact: str
    training_set: str
    packet: str
    source: str
    trained: Note
    registrar: str
    rows: int
    windows: Mapping[str, Any]
    batches: int
    restated: int
    parity: Mapping[str, Any]
    code: Mapping[str, str]
    uri: str
    conditions: str
    certified_until: str
    by_break_glass: bool
    moves: tuple[Moved, ...]
    decisions: tuple[Decided, ...]
    gates: tuple[Opened, ...]
    refusals: tuple[Denied, ...]

    @property
    def since(self) -> Note:
        """Return what put it where it stands."""
        return self.moves[-1].note if self.moves else self.trained


@dataclass(frozen=True)
class Model:
    """A model: its line of the inventory, its versions newest first, and their metrics side by side."""

    name: str
    entry: Entry
    conditions: str
    fallback: str
    versions: tuple[Version, ...]
    metrics: tuple[Metric, ...]
    compared: tuple[int, ...]
    canaries: tuple[Canary, ...]

    def stage_of(self, number: int) -> str:
        """Return the stage of a version."""
        return next(version.stage for version in self.versions if version.number == number)

    def standing(self, stage: str) -> tuple[Version, ...]:
        """Return the versions that stand in a stage."""
        return tuple(version for version in self.versions if version.stage == stage)


def models(record: Record, now: datetime | None = None) -> tuple[Model, ...]:
    """Return every model, by name. ``now`` tells whose next review is overdue."""
    entries = {entry.model: entry for entry in inventory(record.state, now)}
    return tuple(_model(record, row, entries[row.name]) for row in record.state.select(ModelRow))


def refused_elsewhere(record: Record) -> tuple[Denied, ...]:
    """Return the refusals that are about no version: a missing permission, a review decided twice."""
    return tuple(_denied(record, event) for event in record.of(EventType.ACTION_REFUSED) if not _about(event))


def _model(record: Record, row: ModelRow, entry: Entry) -> Model:
    rows = sorted(record.state.select(VersionRow, model=row.name), key=lambda each: -each.number)
    compared = [each for each in rows if each.stage == Stage.PROD or each in rows[:SIDE_BY_SIDE]]
    return Model(
        name=row.name,
        entry=entry,
        conditions=stated(entry.conditions),
        fallback=row.fallback,
        versions=tuple(_version(record, each, entry) for each in rows),
        metrics=_metrics(compared),
        compared=tuple(each.number for each in compared),
        canaries=canaries(record, row.name),
    )


def _metrics(compared: Sequence[VersionRow]) -> tuple[Metric, ...]:
    """Lay versions side by side. What an earlier one of another kind predicts is measured in other units."""
    kinds = [str(each.facts.get("prediction", "probability")) for each in compared]
    alike = [each for each, kind in zip(compared, kinds, strict=True) if kind == kinds[0]]
    return side_by_side({each.number: each.facts["metrics"] for each in alike}, kinds[0] if kinds else "")


def _version(record: Record, row: VersionRow, entry: Entry) -> Version:
    learned = record.state.get(TrainingSetRow, row.training_set)
    mine = [event for event in record.of(*_MOVED) if event.payload["model"] == row.model]
    return Version(
        number=row.number,
        stage=row.stage,
        artifact=row.artifact,
        training_set=row.training_set,
        packet=row.packet,
        source=row.source,
        trained=record.note(record.at(row.sequence)),
        registrar=record.name(row.registrar),
        rows=int(row.facts.get("rows", 0)),
        windows=learned.windows if learned else {},
        batches=len(learned.batches) if learned else 0,
        restated=len(set(learned.batches) & record.replaced) if learned else 0,
        parity=row.facts.get("parity", {}),
        code=row.facts.get("code", {}),
        uri=str(row.links.get("uri", "")),
        conditions=stated(row.conditions) if row.stage == Stage.PROD else "",
        certified_until=row.certified_until if row.stage == Stage.PROD else "",
        by_break_glass=row.number == entry.live and entry.by_break_glass,
        moves=tuple(
            Moved(move["from"], move["to"], record.note(event))
            for event in mine
            for move in event.payload["moves"]
            if move["version"] == row.number
        ),
        decisions=tuple(
            _decided(record, event)
            for event in record.of(*_DECIDED)
            if (event.payload["model"], event.payload["version"]) == (row.model, row.number)
        ),
        gates=tuple(
            _opened(record, event, promotion)
            for event in mine
            if event.type is EventType.PROMOTION_APPLIED
            and (promotion := record.state.get(PromotionRow, event.payload["promotion"])) is not None
            and promotion.version == row.number
        ),
        refusals=tuple(
            _denied(record, event)
            for event in record.of(EventType.ACTION_REFUSED)
            if _about(event) == (row.model, row.number)
        ),
    )


def _about(event: Event) -> tuple[str, int] | None:
    """Return which version a refusal is about."""
    kind, _, model = event.stream.partition("/")
    number = event.payload["subject"].get("version")
    return (model, number) if kind == "model" and number else None


def _decided(record: Record, event: Event) -> Decided:
    given = event.payload
    promotion = record.state.get(PromotionRow, given["promotion"])
    return Decided(
        "approved" if event.type is EventType.PROMOTION_APPROVED else "rejected",
        given["role"],
        promotion.target if promotion else "",
        given["packet"],
        given["policy"],
        record.note(event),
    )


def _opened(record: Record, event: Event, promotion: PromotionRow) -> Opened:
    way_back = event.payload["preconditions"]["way_back"]
    tried = "tried" if way_back and way_back["verified"] else "not tried"
    return Opened(
        target=promotion.target,
        promotion=promotion.id,
        packet=event.payload["packet"],
        way_back=f"{way_back['name']} ({tried})" if way_back else "",
        steps=tuple(way_back.get("steps", ())) if way_back else (),
        demands=tuple(
            demanded(each["demand"], each["verdict"], each["sentence"]) for each in event.payload["findings"]
        ),
        note=record.note(event),
    )


def _denied(record: Record, event: Event) -> Denied:
    return Denied(event.payload["action"], tuple(event.payload["reasons"]), record.note(event))
