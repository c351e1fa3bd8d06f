"""What schedules owe a model: the months that are still to be scored, and the periods to be looked at.

A version answers for each month that was not over when it came to stand in canary or prod: what is older
was for those before it. A month that nobody scored (its rows came late, and the version of then has left) falls
to the version that is live, back to where the model's first version came to stand; one that learned from
that month does not score it.

A month's rows are there once a batch of the model's first dataset covers some of it. The first dataset is the
one whose rows are scored; the others tell what came of them, and what is known beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.application.moments import happened
from tidegate.application.platform import Platform
from tidegate.application.ports import ModelSpec, StateReader
from tidegate.application.revisions import in_force, period_window
from tidegate.application.standing import learned_until, lifecycle
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import Refused
from tidegate.domain.events import Event
from tidegate.domain.policy import Stage
from tidegate.domain.schedule import periods_between
from tidegate.domain.state import BatchRow, ModelRow, MonitorRow, RunRow, ScoringRow, VersionRow

#: The flow whose scheduled runs look at every period whose outcomes changed.
WATCHING = "monitor"
#: Who scores: the live version's answer is the one that counts, a canary's is kept to be compared.
SCORING = (Stage.PROD, Stage.CANARY)


@dataclass(frozen=True)
class Owed:
    """A month that versions answer for and have not scored; ``arrived``: its rows are there."""

    period: str
    versions: tuple[int, ...]
    arrived: bool


def owed(platform: Platform, spec: ModelSpec, by: datetime) -> tuple[Owed, ...]:
    """Return the months over at ``by`` that a model's versions still have to score, oldest first."""
    state = platform.ledger.state()
    first, since = _stood(platform, spec.name)
    if first is None:
        return ()
    standing = standing_versions(state, spec.name)
    scorings = state.select(ScoringRow, model=spec.name)
    covered = [period_window(row.period) for row in in_force(state, spec.datasets[0]) if row.accepted]
    found = []
    for period in periods_between(first, by):
        start, end = period_window(period)
        done = {row.version for row in scorings if row.period == period}
        versions = tuple(
            row.number
            for row in standing
            if row.number not in done
            and (since[row.number] < end or _inherits(state, row, start, scored=bool(done)))
        )
        if versions:
            arrived = any(opens < end and closes > start for opens, closes in covered)
            found.append(Owed(period, versions, arrived))
    return tuple(found)


def to_score(platform: Platform, model: str, by: datetime) -> Mapping[str, tuple[int, ...]]:
    """Return the months to be scored whose rows are there, oldest first, each with the versions that answer.

    Raises:
        Refused: nothing stands in prod or canary; or nothing is left but months whose rows have not come.
        BadInput: no such model.
    """
    spec = platform.models.spec(model)
    require_standing(platform.ledger.state(), model)
    found = owed(platform, spec, by)
    here = {each.period: each.versions for each in found if each.arrived}
    if found and not here:
        months = ", ".join(each.period for each in found)
        raise Refused(
            "nothing-to-score",
            f"got no batch of {spec.datasets[0]} for {months}, expected one: `{model}` is scored once it is there",
            "ingest its drop",
        )
    return here


def gaps(platform: Platform, by: datetime) -> list[dict[str, str]]:
    """Return which periods are over and were not scored, not monitored, or got data since, by model.

    By the ledger alone: whether new data changed what a monitor has seen, its next scheduled run measures.

    Raises:
        BadInput: a model's declaration, or the schedules' file, breaks the format.
    """
    state, found = platform.ledger.state(), []
    watching = {each.name for each in platform.schedules.all() if each.flow == WATCHING}
    looks = [row for row in state.select(RunRow) if row.schedule in watching]
    for model in platform.models.names():
        if state.get(ModelRow, model) is None:
            continue
        spec = platform.models.spec(model)
        missing = f"not scored: no batch of {spec.datasets[0]} is there"
        told = [(each.period, "not scored" if each.arrived else missing) for each in owed(platform, spec, by)]
        batches = [row for dataset in spec.datasets for row in in_force(state, dataset)]
        told += [(row.period, _unseen(state, row, batches, looks)) for row in watched(state, model)]
        found += [{"model": model, "period": period, "gap": gap} for period, gap in told if gap]
    return found


def standing_versions(state: StateReader, model: str) -> list[VersionRow]:
    """Return the versions that score, the live one first."""
    versions = state.select(VersionRow, model=model)
    return [row for stage in SCORING for row in versions if row.stage == stage]


def require_standing(state: StateReader, model: str) -> list[VersionRow]:
    """Return the versions that score, the live one first.

    Raises:
        Refused: there is none. BadInput: no such model.
    """
    if versions := standing_versions(state, lifecycle(state, model).model.name):
        return versions
    raise Refused(
        "nothing-to-score-with",
        f"got no version of `{model}` in prod or canary, expected one to score with",
        f"promote one: tidegate promote {model} VERSION",
    )


def watched(state: StateReader, model: str) -> tuple[ScoringRow, ...]:
    """Return the decisions that a model's monitor is about: of each period the live version's last ones."""
    latest: dict[str, ScoringRow] = {}
    for row in state.select(ScoringRow, model=model, stage=str(Stage.PROD)):
        if row.period not in latest or latest[row.period].sequence < row.sequence:
            latest[row.period] = row
    return tuple(latest[period] for period in sorted(latest))


def _stood(platform: Platform, model: str) -> tuple[datetime | None, dict[int, datetime]]:
    """Return when a version of the model first came to stand, and since when each one stands that does."""
    first: Event | None = None
    since: dict[int, Event] = {}
    for event in platform.ledger.events(stream=f"model/{model}"):
        for move in event.payload.get("moves", ()):
            if move["to"] in SCORING:
                first = first or event
                since.setdefault(move["version"], event)
            else:
                since.pop(move["version"], None)
    moments = {number: happened(platform, event) for number, event in since.items()}
    return (happened(platform, first) if first else None), moments


def _inherits(state: StateReader, version: VersionRow, start: datetime, *, scored: bool) -> bool:
    return version.stage == Stage.PROD and not scored and learned_until(state, version) <= start


def _unseen(
    state: StateReader, scoring: ScoringRow, batches: Sequence[BatchRow], looks: Sequence[RunRow]
) -> str:
    """Return what no monitor has seen of a period's decisions, empty where it has seen all."""
    row = state.get(MonitorRow, scoring.model, scoring.period, scoring.version)
    if row is None:
        return "not monitored"
    start, end = period_window(scoring.period)
    seen = max([row.sequence, *(look.sequence for look in looks if utc_time(look.slot) >= end)])
    for batch in batches:
        opens, closes = period_window(batch.period)
        if batch.sequence > seen and opens < end and closes > start:
            return f"not monitored since {batch.dataset} {batch.period} came"
    return ""
