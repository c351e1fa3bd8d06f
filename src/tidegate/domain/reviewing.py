"""Reviews that must not be missed: what each kind waits for, and who may decide it (rules R1 and P9).

Pure, like `promotion`, which asks it. A finding and a mandatory review are decided with an outcome. One that asks
whether an approval still holds is closed by certifying the version again, or by the version leaving prod.
"""

from __future__ import annotations

from tidegate.domain.lifecycle import Reason
from tidegate.domain.state import ReviewRow

#: Asks an approver whether a version in prod still deserves its approval; there is no outcome to choose.
RECERTIFICATION = "recertification"


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
