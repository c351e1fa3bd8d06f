"""Back-test a policy: replay every recorded decision about promotions under it, and say what would have followed.

Each is decided once more on the state as it was, the packet that was sealed and the approvals that were given, as if
the policy had been in force all along. History is not told anew: a version was compared with what was live then,
also where that would not have been live.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tidegate.application.aftermath import Aftermath
from tidegate.application.as_if import PASSED, REFUSED, WAITED, as_if, outcome
from tidegate.application.platform import Platform
from tidegate.application.preconditions import preconditions, takes_out
from tidegate.application.recorded import Decisions, Recorded
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import BadInput
from tidegate.domain.fold import StateView
from tidegate.domain.lifecycle import Action, Allowed, Decision, Precondition, Reason
from tidegate.domain.policy import Policy, Stage
from tidegate.domain.state import BatchRow, TrainingSetRow, VersionRow


@dataclass(frozen=True)
class Replayed:
    """One recorded decision: what came of it ``then``, and what would have under the other policy, with its reasons.

    ``followed`` says what would have followed where the two differ.
    """

    sequence: int
    occurred_at: str
    model: str
    version: int
    target: str
    action: str
    then: str
    now: str
    reasons: tuple[Reason, ...]
    followed: tuple[str, ...] = ()

    @property
    def flips(self) -> bool:
        """Say whether another outcome would have come of it."""
        return self.then != self.now


def backtest(platform: Platform, policy: Policy) -> tuple[Replayed, ...]:
    """Return every recorded decision about a promotion as it was and as ``policy`` would have it. Nothing is written.

    Raises:
        DependencyFailed: an event on record cannot be read.
    """
    decisions, aftermath = Decisions(platform.ledger), Aftermath()
    taken_out: dict[str, list[datetime]] = {}
    found: list[tuple[Recorded, Replayed]] = []
    for event, case in decisions.walk():
        if case is not None:
            past = taken_out.get(case.life.model.name, [])
            found.append((case, _replayed(case, _decided(platform, decisions.view, policy, case, past))))
        aftermath.note(event)
        if takes_out(event):
            taken_out.setdefault(event.payload["model"], []).append(utc_time(event.occurred_at))
    return tuple(replace(told, followed=tuple(_followed(aftermath, case, told))) for case, told in found)


def _decided(
    platform: Platform, view: StateView, policy: Policy, case: Recorded, taken_out: Sequence[datetime]
) -> Decision:
    now = utc_time(case.event.occurred_at)
    held: tuple[Precondition, ...] = ()
    if case.target is Stage.PROD and case.act.action is Action.PROMOTE:
        version = case.life.versions[case.act.version]
        datasets = _datasets(platform, view, version)
        held = preconditions(view, policy, version, datasets, case.way_back, taken_out, now)
    return as_if(
        platform.expressions,
        policy,
        case.life,
        case.act,
        case.packet,
        now,
        case.approvals,
        case.way_back,
        held,
    )


def _datasets(platform: Platform, view: StateView, version: VersionRow) -> Sequence[str]:
    """Return the datasets of a model; of one whose folder is gone, those that the version learned from."""
    try:
        return platform.models.spec(version.model).datasets
    except BadInput:
        rows = view.get(TrainingSetRow, version.training_set)
        learned = rows.batches if rows else ()
        return sorted({row.dataset for row in view.select(BatchRow) if row.batch in learned})


def _replayed(case: Recorded, decision: Decision) -> Replayed:
    return Replayed(
        case.event.sequence,
        case.event.occurred_at,
        case.life.model.name,
        case.act.version,
        str(case.target),
        str(case.act.action),
        case.outcome,
        outcome(decision),
        () if isinstance(decision, Allowed) else decision.reasons,
    )


def _followed(aftermath: Aftermath, case: Recorded, told: Replayed) -> Iterator[str]:
    """Yield what would have followed from another outcome, and what followed from the one there was."""
    if not told.flips:
        return
    about, on = f"version {told.version}", f"on {told.occurred_at[:10]}"
    would = {
        PASSED: f"{about} would have entered {told.target} {on}",
        WAITED: f"{about} would have waited for people in front of {told.target}",
        REFUSED: f"{about} would not have entered {told.target}",
    }
    if told.then == WAITED and told.now == REFUSED:
        yield "nobody would have been asked"
    else:
        yield would[told.now]
    if told.then == WAITED:
        yield f"what happened: {aftermath.of_request(told.model, case.promotion)}"
    elif told.then == REFUSED:
        yield f"what happened: {aftermath.of_refusal(case.event, told.version, case.target)}"
    else:
        if stay := aftermath.of_stay(case.event, told.version, case.target):
            when = "would not have happened" if told.now == REFUSED else "would have had to wait"
            yield f"{', '.join(stay)} {when}"
        left = [move["version"] for move in case.event.payload["moves"] if move["to"] == Stage.RETIRED]
        if left:
            yield f"version {left[0]} would have stayed in prod"
