"""Carry out what reviews decided: the person's decision starts the next flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tidegate.application.lower import lower
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader
from tidegate.application.promote import climb
from tidegate.application.recording import draft, permit
from tidegate.application.review import ReviewOutcome
from tidegate.application.train import train
from tidegate.domain.actors import Permission
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import ReviewRow, VersionRow

#: Outcomes that ask for something to be done. Benign and watch ask for nothing.
DOING = (ReviewOutcome.RETRAIN, ReviewOutcome.ROLL_BACK)
#: What carrying one out takes beside the permission to follow.
NEEDS: Mapping[ReviewOutcome, tuple[Permission, ...]] = {
    ReviewOutcome.RETRAIN: (Permission.REGISTER, Permission.REQUEST),
    ReviewOutcome.ROLL_BACK: (Permission.ROLL_BACK,),
}


def outstanding(state: StateReader, outcome: ReviewOutcome | None = None) -> tuple[ReviewRow, ...]:
    """Return the reviews whose outcome asks for something that was not done yet, oldest first."""
    rows = [
        row
        for row in state.select(ReviewRow, status="decided", followed="")
        if row.outcome in DOING and outcome in {None, row.outcome}
    ]
    return tuple(sorted(rows, key=lambda row: row.sequence))


def follow(platform: Platform, acting: Acting, review: ReviewRow) -> ReviewRow:
    """Do what one review decided, on behalf of who decided it, and record what was done.

    Retraining uses all that is known now and asks the new version up to canary; rolling back restores the
    previous version. What is refused on the way is recorded as what came of it: a reviewer decides what is
    tried, the gates decide what it is worth. Stopped midway, it is done again: each step happens once.

    Raises:
        Refused: rule A1: whoever may not do it leaves it to who may. BadInput: the model cannot be trained on
            what is there. DependencyFailed: a tool is down; nothing is marked as done.
    """
    stream = f"model/{review.model}"
    permit(platform, acting, Permission.FOLLOW, stream)
    if review.outcome not in DOING or review.followed:
        return review
    for permission in NEEDS[ReviewOutcome(review.outcome)]:
        permit(platform, acting, permission, stream)
    on_behalf = replace(acting, on_behalf_of=review.decided_by, key=f"follow/{review.id}")
    done = _retrained if review.outcome == ReviewOutcome.RETRAIN else _rolled_back
    told = done(platform, on_behalf, review)
    with platform.ledger.transaction() as tx:
        row = tx.get(ReviewRow, review.id)
        if row is not None and not row.followed:
            payload = {"id": review.id, "followed": told}
            tx.append(draft(on_behalf, EventType.REVIEW_FOLLOWED, stream, payload, causation=review.sequence))
            row = tx.get(ReviewRow, review.id)
    assert row is not None  # reviews are never removed
    return row


def _retrained(platform: Platform, acting: Acting, review: ReviewRow) -> str:
    try:
        version = _trained_since(platform, review) or train(platform, acting, review.model)
    except Refused as refusal:
        return f"not trained: {refusal.sentence}"
    try:
        outcome = climb(platform, acting, review.model, version.number, Stage.CANARY)
    except Refused as refusal:
        return f"version {version.number} trained, and refused: {refusal.sentence}"
    return f"version {version.number} trained, stands in {outcome.stage}"


def _trained_since(platform: Platform, review: ReviewRow) -> VersionRow | None:
    """Return the version that was trained for the decider since they decided: by a run that was stopped, say.

    The clock has moved on since then, so training again would give another version.
    """
    decided = next(
        event.sequence
        for event in platform.ledger.events(stream=f"model/{review.model}")
        if event.type is EventType.REVIEW_DECIDED and event.payload["id"] == review.id
    )
    rows = platform.ledger.state().select(VersionRow, model=review.model, on_behalf_of=review.decided_by)
    return next((row for row in rows if row.sequence > decided), None)


def _rolled_back(platform: Platform, acting: Acting, review: ReviewRow) -> str:
    """Roll back the version that was reviewed; where another one is live by now, that one stays."""
    why = f"Review {review.id} decided to roll back."
    try:
        outcome = lower(platform, acting, review.model, Action.ROLL_BACK, why, review.version)
    except Refused as refusal:
        return f"not rolled back: {refusal.sentence}"
    return f"version {outcome.version} restored"
