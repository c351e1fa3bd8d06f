"""The fold of models: versions and their evidence, promotions and their approvals, moves, certificates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tidegate.domain.events import Event, EventType
from tidegate.domain.folding import Handler, View, existing, row_of
from tidegate.domain.policy import Stage
from tidegate.domain.reviewing import RECERTIFICATION
from tidegate.domain.state import (
    ApprovalRow,
    ModelRow,
    PacketRow,
    PromotionRow,
    ReviewRow,
    Row,
    TrainingSetRow,
    VersionRow,
)


def _model_registered(view: View, event: Event) -> list[Row]:
    before = view.get(ModelRow, event.payload["name"])
    return [row_of(ModelRow, event, promotions=before.promotions if before else 0)]


def _training_set_built(_: View, event: Event) -> list[Row]:
    return [row_of(TrainingSetRow, event)]


def _version_registered(_: View, event: Event) -> list[Row]:
    fresh = {"stage": str(Stage.CANDIDATE), "packet": "", "prod_sequence": 0}
    return [row_of(VersionRow, event, **fresh, conditions={}, certified_until="", certified_sequence=0)]


def _packet_sealed(view: View, event: Event) -> list[Row]:
    packet = row_of(PacketRow, event)
    version = existing(view.get(VersionRow, packet.model, packet.version))
    return [packet, replace(version, packet=packet.digest)]


def _promotion_requested(view: View, event: Event) -> list[Row]:
    promotion = row_of(PromotionRow, event, status="open", chased="", escalated_to="")
    model = existing(view.get(ModelRow, promotion.model))
    open_before = view.select(PromotionRow, model=promotion.model, version=promotion.version, status="open")
    superseded = [replace(row, status="superseded") for row in open_before]
    return [*superseded, replace(model, promotions=model.promotions + 1), promotion]


def _promotion_decided(view: View, event: Event) -> list[Row]:
    approval = row_of(ApprovalRow, event, actor=event.actor, revoked=False, occurred_at=event.occurred_at)
    if approval.outcome == "approve":
        return [approval]
    promotion = existing(view.get(PromotionRow, approval.promotion))
    return [approval, replace(promotion, status="rejected")]


def _promotion_applied(view: View, event: Event) -> list[Row]:
    promotion = existing(view.get(PromotionRow, event.payload["promotion"]))
    terms = {name: event.payload[name] for name in ("conditions", "certified_until")}
    moved = [
        replace(row, **terms) if row.number == promotion.version and row.stage == Stage.PROD else row
        for row in _moved(view, event, promoted=promotion.version)
    ]
    return [*moved, *_outlived(view, event), replace(promotion, status="applied")]


def _promotion_chased(view: View, event: Event) -> list[Row]:
    promotion = existing(view.get(PromotionRow, event.payload["promotion"]))
    if event.type is EventType.PROMOTION_LAPSED:
        return [replace(promotion, status="lapsed")]
    if event.type is EventType.PROMOTION_REMINDED:
        return [replace(promotion, chased="reminded")]
    return [replace(promotion, chased="escalated", escalated_to=event.payload["role"])]


def _approval_revoked(view: View, event: Event) -> list[Row]:
    """Taking an approval back may take the version with it: then the same event says where it goes."""
    approval = existing(view.get(ApprovalRow, event.payload["promotion"], event.payload["approver"]))
    return [replace(approval, revoked=True), *(_moves(view, event) if event.payload["moves"] else [])]


def _certification_lapsed(view: View, event: Event) -> list[Row]:
    """What a certificate's end means for the version is the review's to say; here it only stops holding."""
    version = existing(view.get(VersionRow, event.payload["model"], event.payload["version"]))
    return [replace(version, certified_until=event.payload["since"])]


def _recertified(view: View, event: Event) -> list[Row]:
    version = existing(view.get(VersionRow, event.payload["model"], event.payload["version"]))
    closed = [
        replace(row, status="decided", outcome="recertified", decided_by=event.actor)
        for row in view.select(
            ReviewRow, model=version.model, version=version.number, kind=RECERTIFICATION, status="open"
        )
    ]
    holds = replace(version, certified_until=event.payload["until"], certified_sequence=event.sequence)
    return [holds, *closed]


def _moves(view: View, event: Event) -> list[Row]:
    """Moves down or out leave no request of that version open: going up again is asked for again."""
    rows: list[Row] = [*_moved(view, event), *_outlived(view, event)]
    for move in event.payload["moves"]:
        open_before = view.select(
            PromotionRow, model=event.payload["model"], version=move["version"], status="open"
        )
        rows += [replace(row, status="superseded") for row in open_before]
    return rows


def _moved(view: View, event: Event, promoted: int = 0) -> list[VersionRow]:
    rows: list[VersionRow] = []
    for move in event.payload["moves"]:
        version = existing(view.get(VersionRow, event.payload["model"], move["version"]))
        sequence, certified = version.prod_sequence, version.certified_sequence
        if move["to"] == Stage.PROD and move["version"] == promoted:
            sequence = certified = event.sequence
        elif move["from"] == Stage.PROD and move["to"] != Stage.RETIRED:
            # Rolled back or stopped: no rollback ever restores it without a new approval.
            sequence = certified = 0
        rows.append(replace(version, stage=move["to"], prod_sequence=sequence, certified_sequence=certified))
    return rows


def _outlived(view: View, event: Event) -> list[ReviewRow]:
    """Nobody can certify again what is live no more: what asked for that would hold the model for ever (P9)."""
    return [
        replace(row, status="superseded")
        for move in event.payload["moves"]
        if move["from"] == Stage.PROD
        for row in view.select(
            ReviewRow,
            model=event.payload["model"],
            version=move["version"],
            kind=RECERTIFICATION,
            status="open",
        )
    ]


HANDLERS: Mapping[EventType, Handler] = {
    EventType.MODEL_REGISTERED: _model_registered,
    EventType.TRAINING_SET_BUILT: _training_set_built,
    EventType.VERSION_REGISTERED: _version_registered,
    EventType.PACKET_SEALED: _packet_sealed,
    EventType.PROMOTION_REQUESTED: _promotion_requested,
    EventType.PROMOTION_APPROVED: _promotion_decided,
    EventType.PROMOTION_REJECTED: _promotion_decided,
    EventType.PROMOTION_APPLIED: _promotion_applied,
    EventType.PROMOTION_REMINDED: _promotion_chased,
    EventType.PROMOTION_ESCALATED: _promotion_chased,
    EventType.PROMOTION_LAPSED: _promotion_chased,
    EventType.APPROVAL_REVOKED: _approval_revoked,
    EventType.CERTIFICATION_LAPSED: _certification_lapsed,
    EventType.VERSION_RECERTIFIED: _recertified,
    EventType.MODEL_ROLLED_BACK: _moves,
    EventType.MODEL_STOPPED: _moves,
    EventType.VERSION_DEMOTED: _moves,
    EventType.VERSION_RETIRED: _moves,
}
