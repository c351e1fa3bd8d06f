"""What the ledger says, now, about a model, its canaries, who is acting, and the policy in force."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader
from tidegate.application.revisions import period_window
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import Lifecycle, Reason, time_for
from tidegate.domain.policy import Policy, Stage
from tidegate.domain.rollout import Standing
from tidegate.domain.state import (
    ActorRow,
    CanaryRow,
    DelegationRow,
    ModelRow,
    PolicyRow,
    PromotionRow,
    ReviewRow,
    ScoringRow,
    TrainingSetRow,
    VersionRow,
)

#: Reviews that must not be missed: one that is overdue holds the model's promotions (P9).
MANDATORY = ("break_glass", "recertification", "condition")


def lifecycle(state: StateReader, model: str, version: int | None = None) -> Lifecycle:
    """Return a model as the ledger has it, with the open promotion of ``version``.

    Raises:
        BadInput: no such model or version.
    """
    row = state.get(ModelRow, model)
    if row is None:
        known = ", ".join(other.name for other in state.select(ModelRow)) or "none yet"
        raise BadInput(
            "unknown-model", f"got the model `{model}`, expected a registered one ({known})", "train it first"
        )
    versions = {each.number: each for each in state.select(VersionRow, model=model)}
    if version is not None and version not in versions:
        known = ", ".join(map(str, versions)) or "none yet"
        raise BadInput(
            "unknown-version",
            f"got version {version} of `{model}`, expected one of: {known}",
            f"see `tidegate versions {model}`",
        )
    requests = state.select(PromotionRow, model=model, version=version) if version else ()
    people = {actor.id: actor for actor in state.select(ActorRow)}
    reached = state.select(PromotionRow, model=model, target=str(Stage.PROD), status="applied")
    left = {
        each.version for each in reached if versions[each.version].stage not in {Stage.PROD, Stage.RETIRED}
    }
    delegations = state.select(DelegationRow, ended=False)
    waiting = state.select(ReviewRow, model=model, status="open")
    mandatory = tuple(each for each in waiting if each.kind in MANDATORY)
    promotion = next((each for each in requests if each.status == "open"), None)
    requesters = frozenset(who for each in requests for who in (each.requester, each.on_behalf_of) if who)
    return Lifecycle(
        row,
        versions,
        promotion,
        people,
        frozenset(left),
        delegations,
        mandatory,
        requesters,
        state.marks(),
    )


def itself(state: StateReader, acting: Acting) -> tuple[ActorRow, list[Reason]]:
    """Return the actor as the ledger has it now, and why it may not act as it says (rule A2).

    Between authenticating and acting an account may have lost a role.

    Raises:
        Refused: the ledger has no such actor. BadInput: it acts for somebody who is no person in it. Neither
            is recorded: what would stand in the record is a name nobody knows.
    """
    actor = state.get(ActorRow, acting.actor.id)
    if actor is None:
        raise Refused(
            "unknown-actor", "A2: got an actor that the ledger does not have, expected one of its own"
        )
    if not acting.on_behalf_of:
        return actor, []
    principal = state.get(ActorRow, acting.on_behalf_of)
    if principal is None or principal.kind != "person":
        raise BadInput(
            "unknown-principal",
            "got an act on behalf of somebody the ledger does not have, expected a person's id like p-2",
            "see `tidegate user list`",
        )
    if actor.kind == "service":
        return actor, []
    sentence = f"{actor.id} is a person and acts only as itself, got an act on behalf of {principal.id}"
    return actor, [Reason("not-itself", "A2", sentence, "let that person act under their own account")]


def policy_in_force(platform: Platform, state: StateReader) -> Policy:
    """Return the policy that the ledger says is in force, whatever lies on disk.

    Raises:
        Refused: none is in force.
    """
    rows = state.select(PolicyRow, in_force=True)
    if not rows:
        raise Refused("no-policy", "got no policy in force, expected one", "open the ledger with a policy")
    return platform.policies.parse(rows[0].body)


def scored_in_canary(state: StateReader, version: VersionRow) -> tuple[ScoringRow, ...]:
    """Return what a version scored since it last entered canary, by period.

    A period that begins before its validation window does says nothing: the version learned from it.
    """
    since, learned = entered_canary(state, version), learned_until(state, version)
    rows = state.select(ScoringRow, model=version.model, version=version.number, stage=str(Stage.CANARY))
    fresh = [row for row in rows if row.sequence > since and period_window(row.period)[0] >= learned]
    return tuple(sorted(fresh, key=lambda row: row.period))


def learned_until(state: StateReader, version: VersionRow) -> datetime:
    """Return the first moment whose rows a version was neither fitted nor calibrated on."""
    training_set = state.get(TrainingSetRow, version.training_set)
    window = training_set.windows.get("validate") if training_set else None
    return utc_time(window[0]) if window else datetime.min.replace(tzinfo=UTC)


def entered_canary(state: StateReader, version: VersionRow) -> int:
    """Return the sequence of the request that last took a version into canary, 0 if none did."""
    reached = state.select(
        PromotionRow,
        model=version.model,
        version=version.number,
        target=str(Stage.CANARY),
        status="applied",
    )
    return max((row.sequence for row in reached), default=0)


def canary_row(state: StateReader, version: VersionRow) -> CanaryRow | None:
    """Return the analysis that speaks for a version's canary: the last that concluded, else the last."""
    since = entered_canary(state, version)
    rows = [
        row
        for row in state.select(CanaryRow, model=version.model, version=version.number)
        if row.sequence > since
    ]
    # What could not be measured has concluded too: an older pass does not speak over it.
    return max(
        rows,
        key=lambda row: (row.standing != Standing.WAITS or row.verdict == Verdict.ERROR, row.sequence),
        default=None,
    )


def canary_facts(state: StateReader, version: VersionRow) -> dict[str, Any]:
    """Return what the packet says of a version's canary."""
    row = canary_row(state, version)
    if row is None:
        return {"verdict": "none"}
    return {
        "verdict": row.verdict,
        "standing": row.standing,
        "period": row.period,
        "baseline": row.baseline,
        **row.analysis,
    }


def overdue(state: StateReader, now: datetime) -> tuple[ReviewRow, ...]:
    """Return the open reviews whose time is over, the oldest first."""
    marks = state.marks()
    late = [
        row
        for row in state.select(ReviewRow, status="open")
        if utc_time(row.due_at) < time_for(marks, row.sequence, now)
    ]
    return tuple(sorted(late, key=lambda row: row.due_at))


def stream(model: str) -> str:
    """Return the stream that a model's events belong to."""
    return f"model/{model}"
