"""Who rests on a dataset: the versions that are somewhere on the way to prod, or live."""

from __future__ import annotations

from tidegate.application.platform import Platform
from tidegate.application.ports import StateReader
from tidegate.domain.contract import Contract
from tidegate.domain.policy import Stage
from tidegate.domain.state import VersionRow

_ON_THE_WAY = (Stage.PROD, Stage.CANARY, Stage.STAGING)


def consumers(platform: Platform, state: StateReader, contract: Contract) -> tuple[str, ...]:
    """Return the versions whose rows or features are read from a dataset, prod first, like ``tides 2 (prod)``.

    Raises:
        BadInput: a model's or a feature's declaration cannot be read, so nobody can tell.
    """
    rows = [row for row in state.select(VersionRow) if row.stage in _ON_THE_WAY]
    if not rows:
        return ()
    names = {contract.dataset, *(f"{contract.dataset}_{table}" for table in contract.declared)}
    views = {view for view, read in platform.features.reads().items() if names & read}
    declared = {
        name for name in platform.models.names() if contract.dataset in platform.models.spec(name).datasets
    }
    resting = [
        row for row in rows if row.model in declared or views & set(row.facts["features"]["definitions"])
    ]
    resting.sort(key=lambda row: (_ON_THE_WAY.index(Stage(row.stage)), row.model, row.number))
    return tuple(f"{row.model} {row.number} ({row.stage})" for row in resting)
