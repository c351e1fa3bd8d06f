"""Contracts in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tidegate.application.ports import Amended
from tidegate.domain.contract import Contract
from tidegate.domain.errors import BadInput
from tidegate.domain.suggestion import Promise, Suggestion


class FakeContracts:
    """Holds the contracts it was given."""

    def __init__(self, *contracts: Contract) -> None:
        self._contracts = {contract.dataset: contract for contract in contracts}

    def datasets(self) -> tuple[str, ...]:
        return tuple(sorted(self._contracts))

    def load(self, dataset: str) -> Contract:
        if dataset not in self._contracts:
            known = ", ".join(self.datasets()) or "none at all"
            raise BadInput(
                "contract",
                f"got the dataset `{dataset}`, expected one under contract: {known}",
                "give the fake a contract of that name",
                faults=[],
            )
        return self._contracts[dataset]

    def proposed(self, dataset: str, contract: Path | None, suite: Path | None) -> Contract:
        return self.load(dataset)  # it has no files: what is proposed is what it holds

    def amended(
        self, dataset: str, suggestions: Sequence[Suggestion], promises: Sequence[Promise]
    ) -> tuple[tuple[Amended, ...], tuple[Suggestion, ...]]:
        self.load(dataset)
        suite = Amended(
            Path(f"suites/{dataset}.json"), "", "".join(f"{each.expectation}\n" for each in suggestions)
        )
        contract = Amended(
            Path(f"contracts/{dataset}.yaml"), "", "".join(f"{each.about}\n" for each in promises)
        )
        return (suite, contract), tuple(suggestions)
