"""Look whether the registry says what the ledger says, for every model; record and repair what does not.

What an alias was moved to by hand is never taken over from there. Whoever wants it asks for it as everybody does,
so that the evidence is looked at and the people who have a say are asked.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Difference
from tidegate.application.projection import drain
from tidegate.application.standing import lifecycle
from tidegate.domain.lifecycle import Lifecycle
from tidegate.domain.policy import Stage
from tidegate.domain.state import IncidentRow, ModelRow

#: The stages that a version climbs, lowest first.
_CLIMB = (Stage.CANDIDATE, Stage.STAGING, Stage.CANARY, Stage.PROD)


@dataclass(frozen=True)
class Reconciled:
    """An incident, and per alias that was moved how whoever wanted that may ask for it."""

    incident: IncidentRow
    wishes: tuple[str, ...]


def reconcile(platform: Platform, acting: Acting, model: str | None = None) -> tuple[Reconciled, ...]:
    """Compare aliases and tags of ``model`` (default: of all) with the ledger; return what was repaired.

    Raises:
        BadInput: no such model. DependencyFailed: the registry is down, or lost a version.
    """
    state = platform.ledger.state()
    if model is not None:
        lifecycle(state, model)
    asked = [row.name for row in state.select(ModelRow) if model in (None, row.name)]
    return tuple(
        Reconciled(repair.incident, _wishes(lifecycle(state, repair.incident.model), repair.differences))
        for repair in drain(platform, acting, asked).repairs
    )


def _wishes(life: Lifecycle, found: tuple[Difference, ...]) -> tuple[str, ...]:
    return tuple(
        wish for each in found if each.alias and (wish := _wish(life, Stage(each.alias), each.version))
    )


def _wish(life: Lifecycle, stage: Stage, number: int) -> str:
    """Return how to ask for what an alias was moved to, empty where nobody can."""
    model, version, before = shlex.quote(life.model.name), life.versions.get(number), life.previous()
    if number == 0 and stage is Stage.PROD:
        return f"who wants nothing in prod: tidegate rollback {model} --stop --as NAME --reason '…'"
    if version is None:
        return ""
    here = Stage(version.stage)
    if here in _CLIMB and _CLIMB.index(here) < _CLIMB.index(stage):
        wanted = f"who wants version {number} in {stage}"
        return f"{wanted} asks for it: tidegate promote {model} {number} --to {stage} --as NAME"
    if stage is Stage.PROD and before is not None and before.number == number:
        return f"who wants version {number} back in prod: tidegate rollback {model} --as NAME --reason '…'"
    return ""
