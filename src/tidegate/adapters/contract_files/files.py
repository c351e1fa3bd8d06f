"""Data contracts as files: Open Data Contract Standard (ODCS) 3, with native Great Expectations suites.

    FOLDER/contracts/NAME.yaml    the contract, in ODCS's own fields
    FOLDER/suites/NAME.json       its suite, as GX writes it

Where ODCS has a field it is used: ``team.name`` (owner), ``schema`` (columns, types, classification, primary
key, ``relationships`` to columns of other contracts), ``quality`` with the metric ``rowCount`` (volume, both
bounds included), ``slaProperties`` with the properties ``freshness`` and ``retention`` (how long rows are kept after
their period). What it has no field for are ``customProperties``: ``periodColumns``, ``quarantineLimit`` and
``declared``; of a column ``treatment``, and ``subject: true`` where it says whom a row is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tidegate.adapters.contract_files.amending import amended
from tidegate.adapters.contract_files.odcs import OdcsFile
from tidegate.adapters.contract_files.promising import promised
from tidegate.adapters.contract_files.references import resolve
from tidegate.adapters.contract_files.suite import SuiteFile
from tidegate.adapters.shared.yaml_reader import Reader, read_text
from tidegate.application.ports import Amended
from tidegate.domain.canonical import digest, sha256
from tidegate.domain.contract import Contract
from tidegate.domain.errors import BadInput
from tidegate.domain.suggestion import Promise, Suggestion


class ContractFiles:
    """Reads the contracts of one folder."""

    def __init__(self, folder: Path) -> None:
        """Read below ``folder``, the one that holds ``contracts/`` and ``suites/``."""
        self._folder = folder

    def datasets(self) -> tuple[str, ...]:
        """Return the names of all datasets under contract."""
        return tuple(sorted(path.stem for path in (self._folder / "contracts").glob("*.yaml")))

    def load(self, dataset: str) -> Contract:
        """Return one contract. Its digest covers the bytes of the contract and of the suite.

        Raises:
            BadInput: no such dataset, or a file breaks the format. ``faults`` lists everything found in
                both files, each as {file, line, sentence}.
        """
        if dataset not in self.datasets():
            known = ", ".join(self.datasets()) or "none at all"
            raise BadInput(
                "contract",
                f"got the dataset `{dataset}`, expected one under contract: {known}",
                "name one of them; another one begins with `tidegate dataset new`",
                faults=[],
            )
        return self._load(dataset, None, None)

    def proposed(self, dataset: str, contract: Path | None, suite: Path | None) -> Contract:
        """Return the contract that a dataset would have with another file in the place of its own.

        Raises:
            BadInput: as `load`; ``faults`` name the files as they are named here.
        """
        return (
            self.load(dataset) if contract is None and suite is None else self._load(dataset, contract, suite)
        )

    def amended(
        self, dataset: str, suggestions: Sequence[Suggestion], promises: Sequence[Promise]
    ) -> tuple[tuple[Amended, ...], tuple[Suggestion, ...]]:
        """Return the dataset's suite with the checks it lacks, its contract with these promises, and those checks.

        Nothing is written.

        Raises:
            BadInput: as `load`.
        """
        self.load(dataset)
        suite, contract = self._folder / f"suites/{dataset}.json", self._folder / f"contracts/{dataset}.yaml"
        text, terms = (
            read_text(suite, "contract", "a suite"),
            read_text(contract, "contract", "a data contract"),
        )
        asked, new = amended(text, suggestions)
        return (Amended(suite, text, asked), Amended(contract, terms, promised(terms, promises))), new

    def _load(self, dataset: str, contract: Path | None, other: Path | None) -> Contract:
        name = str(contract or f"contracts/{dataset}.yaml")
        suite_name = str(other or f"suites/{dataset}.json")
        suite, suite_text = None, ""
        try:
            text = read_text(contract or self._folder / name, "contract", "a data contract")
            reader = Reader(text, name, "contract")
        except BadInput as error:
            raise _breaks(dataset, [{"file": name, **fault} for fault in _faults_of(error)]) from error
        odcs = OdcsFile(reader, dataset)
        references = resolve(odcs.relationships, self._folder / "contracts")
        if odcs.suite is not None:
            try:
                suite_text = read_text(other or self._folder / suite_name, "contract", "a suite")
                suite = SuiteFile(suite_text, suite_name, dataset, odcs.columns, references, odcs.masked)
            except BadInput as error:
                odcs.suite.fault(f"no readable {suite_name} ({error.sentence})", "the suite as GX writes it")
        if suite is not None and not suite.faults:
            odcs.guard(suite.not_null)
        if (
            not reader.faults
        ):  # what our own reading lets through; where it does not, its sentences are clearer
            odcs.conform()
        faults = [{"file": name, **fault._asdict()} for fault in sorted(reader.faults)]
        if suite is None or faults or suite.faults:
            raise _breaks(dataset, faults + (suite.faults if suite else []))
        both = {"contract": sha256(text.encode()), "suite": sha256(suite_text.encode())}
        return odcs.contract(suite.checks, references, digest(both))


def _faults_of(error: BadInput) -> list[dict[str, object]]:
    faults = error.data["faults"]
    return list(faults) if isinstance(faults, list) else []


def _breaks(dataset: str, faults: list[dict[str, object]]) -> BadInput:
    count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = "; ".join(f"{fault['file']} line {fault['line']}: {fault['sentence']}" for fault in faults)
    return BadInput(
        "contract",
        f"the contract of `{dataset}` has {count}: {lines}",
        "correct every line named; nothing was loaded",
        faults=faults,
    )
