"""Decide a review."""

from __future__ import annotations

from enum import StrEnum

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader
from tidegate.application.recording import again, draft, reason_text, record_refusal, refused
from tidegate.application.standing import itself
from tidegate.domain.actors import Permission, permits
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Reason
from tidegate.domain.policy import Stage
from tidegate.domain.reviewing import RECERTIFICATION, closed, partial_to
from tidegate.domain.state import ActorRow, ApprovalRow, PromotionRow, ReviewRow, VersionRow


class ReviewOutcome(StrEnum):
    """What a reviewer concludes."""

    BENIGN = "benign"
    WATCH = "watch"
    RETRAIN = "retrain"
    ROLL_BACK = "roll_back"


def decide_review(
    platform: Platform, acting: Acting, review: str, outcome: ReviewOutcome, reason: str
) -> ReviewRow:
    """Record a reviewer's outcome. Acting on it (retraining, rolling back) is a step of its own.

    Raises:
        Refused: rules A1 and A2, a service, another role than the review asks for, a review that is not open,
            one that certifying again answers, or one of what they had a part in; recorded. BadInput: no such
            review.
    """
    text, key = reason_text(reason), acting.scoped_key(f"review:{review}")
    denied: list[Reason] = []
    with platform.ledger.transaction() as tx:
        row = tx.get(ReviewRow, review)
        if row is None:
            known = ", ".join(other.id for other in tx.select(ReviewRow)) or "none yet"
            raise BadInput("unknown-review", f"got the review `{review}`, expected one of: {known}", "")
        if again(tx.recorded(key) if key else None):
            return row
        actor, denied = itself(tx, acting)
        if actor.kind != "person" or not permits(actor, Permission.REVIEW):
            sentence = f"{actor.id} holds no role that permits `{Permission.REVIEW}`"
            denied.append(Reason("not-permitted", "A1", sentence, "ask a reviewer"))
        elif row.role not in actor.roles and row.kind != RECERTIFICATION:
            sentence = f"{review} asks for the role `{row.role}`, which {actor.id} does not hold"
            denied.append(Reason("wrong-role", "R1", sentence, "ask somebody who holds that role"))
        denied += [*closed(row), *impartial(tx, row, actor)]
        stream = f"model/{row.model}"
        if denied:
            record_refusal(tx, acting, stream, "review", {"review": review}, denied, key)
        else:
            payload = {"id": review, "outcome": str(outcome)}
            tx.append(
                draft(acting, EventType.REVIEW_DECIDED, stream, payload, {"reason": text}, key, row.sequence)
            )
            row = tx.get(ReviewRow, review) or row
    if denied:
        raise refused("review", denied, review=review)
    return row


def impartial(state: StateReader, review: ReviewRow, actor: ActorRow) -> list[Reason]:
    """Return why this actor may not review what they let into prod, or made themselves (R1)."""
    version = state.get(VersionRow, review.model, review.version)
    if version is None:
        return []
    about = {"model": review.model, "version": review.version, "target": str(Stage.PROD)}
    before = [
        row for row in state.select(PromotionRow, **about, status="applied") if row.sequence < review.sequence
    ]
    promotion = max(before, key=lambda row: row.sequence, default=None)
    approvals = state.select(ApprovalRow, promotion=promotion.id) if promotion else ()
    people = {row.id: row for row in state.select(ActorRow)}
    return partial_to(review, version, promotion, approvals, people, actor)
