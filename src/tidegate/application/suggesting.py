"""Suggest checks of a dataset from a baseline that somebody chose. Nothing is written: a person reads the diff."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tidegate.application.platform import Platform
from tidegate.application.revisions import in_force, standing
from tidegate.domain.errors import BadInput
from tidegate.domain.suggestion import Suggestion, suggest


@dataclass(frozen=True)
class Suggested:
    """A suite as it stands and as it would be, and what is new in it."""

    file: Path
    before: str
    after: str
    new: tuple[Suggestion, ...]


def suggested(platform: Platform, dataset: str, baseline: str) -> Suggested:
    """Return the dataset's suite with what the batch in force of the period ``baseline`` bears, beside what it asks.

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
    return Suggested(*platform.contracts.amended(dataset, found))
