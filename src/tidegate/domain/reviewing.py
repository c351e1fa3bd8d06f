"""Reviews that must not be missed: what each kind waits for, and who may decide it (rules R1 and P9).

Pure, like `promotion`, which asks it. A finding and a mandatory review are decided with an outcome. One that asks
whether an approval still holds is closed by certifying the version again, or by the version leaving prod.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.domain.lifecycle import Reason
from tidegate.domain.state import ActorRow, ApprovalRow, PromotionRow, ReviewRow, VersionRow

#: Asks an approver whether a version in prod still deserves its approval; there is no outcome to choose.
RECERTIFICATION = "recertification"
#: Look at what somebody let into prod, so nobody who did looks at it.
IMPARTIAL = ("break_glass", "condition")


def how_decided(review: ReviewRow) -> str:
    """Return who closes a review, and by which command."""
    if review.kind == RECERTIFICATION:
        command = f"tidegate recertify {review.model} {review.version} --reason …"
        return f"role `{review.role}` certifies again: {command}"
    return f"a {review.role} decides it: tidegate review {review.id} --outcome … --reason …"


def closed(review: ReviewRow) -> list[Reason]:
    """Return why no outcome can be recorded on a review: it is not open, or is answered in another way."""
    if review.status == "superseded":
        sentence = f"{review.id} is superseded: version {review.version} left prod"
        return [Reason("superseded", "R1", sentence, "a new finding opens a new review")]
    if review.status != "open":
        sentence = f"{review.id} was decided as {review.outcome} by {review.decided_by}"
        return [Reason("already-decided", "R1", sentence, "a new finding opens a new review")]
    if review.kind == RECERTIFICATION:
        sentence = f"{review.id} asks whether the approval of version {review.version} still holds"
        return [Reason("certified-instead", "R1", sentence, how_decided(review))]
    return []


def partial_to(
    review: ReviewRow,
    version: VersionRow,
    promotion: PromotionRow | None,
    approvals: Sequence[ApprovalRow],
    people: Mapping[str, ActorRow],
    actor: ActorRow,
) -> list[Reason]:
    """Return why this person, under any account, is not the one to review what they had a part in.

    ``promotion`` is the one that the review followed, and ``approvals`` are those on it, taken back or not.
    """
    if review.kind not in IMPARTIAL:
        return []
    said_yes = [row for row in approvals if row.outcome == "approve"]
    parts = {
        "requested": {promotion.requester, promotion.on_behalf_of} if promotion else set(),
        "approved": {each for row in said_yes for each in (row.actor, row.for_whom)},
        "trained": {version.trainer, version.on_behalf_of},
        "registered": {version.registrar, version.on_behalf_of},
    }
    own = [
        part
        for part, actors in parts.items()
        if any(people[each].subject == actor.subject for each in actors if each in people)
    ]
    if not own:
        return []
    sentence = (
        f"{actor.id} cannot decide {review.id}: version {version.number} was {' and '.join(own)} by them"
    )
    return [Reason("own-part", "R1", sentence, "ask a reviewer who had no part in it")]
