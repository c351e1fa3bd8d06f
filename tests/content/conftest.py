"""What the tests of the team's own content share."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from tidegate.adapters.arrow_batches import ArrowBatches
from tidegate.adapters.contract_files import ContractFiles
from tidegate.adapters.gx_gate import GxGate
from tidegate.domain.contract import CheckResult, Contract, GateReport, judge

ROOT = Path(__file__).parents[2]
CLOSED = datetime(2013, 2, 1, tzinfo=UTC)  # when the period of a drop is said to have closed


class Drops:
    """The drops of the year, cut once, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        spec = importlib.util.spec_from_file_location("feed", ROOT / "pipelines" / "feed.py")
        assert spec is not None
        assert spec.loader is not None
        feed = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(feed)
        self._paths = {path.stem: path for path in feed.deliver(feed.calendar(), folder / "drops")}
        self._batches = ArrowBatches(folder / "home")
        contracts = ContractFiles(ROOT / "expectations")
        self.contracts = {name: contracts.load(name) for name in contracts.datasets()}
        self._gate = GxGate(ROOT / "expectations" / "suites")
        self._read: dict[str, pa.Table] = {}

    def __getitem__(self, name: str) -> pa.Table:
        if name not in self._read:
            path = self._paths[name]
            digest = self._batches.drop_digest(path)
            self._read[name] = self._batches.read(path, self.contracts[path.parent.name], digest).table
        return self._read[name]

    def references(self, declared: bool = True) -> dict[str, Sequence[str]]:
        """Return what planes and airports list, as an ingest would pass it."""
        zones = [str(row["faa"]) for row in self.contracts["airports"].declared["zones"]] if declared else []
        return {
            "planes.tailnum": self["planes-2013"].column("tailnum").to_pylist(),
            "airports.faa": [*self["airports-2013"].column("faa").to_pylist(), *zones],
        }

    def results(self, contract: Contract, table: pa.Table) -> tuple[CheckResult, ...]:
        return self._gate.run(contract, table, self.references() if contract.references else {})

    def judged(
        self, contract: Contract, table: pa.Table, now: datetime = CLOSED + timedelta(days=1)
    ) -> GateReport:
        return judge(contract, table.num_rows, self.results(contract, table), CLOSED, now)


@pytest.fixture(scope="session")
def drops(tmp_path_factory: pytest.TempPathFactory) -> Drops:
    return Drops(tmp_path_factory.mktemp("feed"))
