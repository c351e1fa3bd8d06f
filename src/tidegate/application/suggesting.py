"""Suggest checks of a dataset from a baseline that somebody chose. Nothing is written: a person reads the diff."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.application.platform import Platform
from tidegate.application.ports import Amended
from tidegate.application.revisions import in_force, period_window, standing
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import BadInput
from tidegate.domain.suggestion import Promise, Suggestion, promise, suggest


@dataclass(frozen=True)
class Suggested:
    """A suite and its contract as they stand and as they would be, and what is new in each."""

    files: tuple[Amended, ...]
    checks: tuple[Suggestion, ...]
    promises: tuple[Promise, ...]


def suggested(platform: Platform, dataset: str, baseline: str) -> Suggested:
    """Return the dataset's suite and contract with what the batch in force of the period ``baseline`` bears.

    Raises:
        BadInput: no such dataset, or no accepted batch of that period. DependencyFailed: its file is gone or altered.
    """
    contract = platform.contracts.load(dataset)
    state = platform.ledger.state()
    row = standing(state, dataset, baseline)
    if row is None:
        known = ", ".join(each.period for each in in_force(state, dataset)) or "none yet"
        raise BadInput(
            "unknown-batch",
            f"got the baseline {baseline} of {dataset}, expected an accepted period: {known}",
            "choose one that is good: what it holds becomes the measure",
        )
    found = suggest(contract.columns, platform.batches.profile(dataset, row.batch), baseline)
    late = utc_time(row.occurred_at) - period_window(row.period)[1] if contract.period_columns else None
    promises = promise(contract, row.read, late, baseline)
    files, new = platform.contracts.amended(dataset, found, promises)
    return Suggested(files, new, promises)
