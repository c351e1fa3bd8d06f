"""Drops that are compared with what other datasets list, on fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.application.ingest import ingest
from tidegate.application.ports import Table
from tidegate.application.references import unlisted
from tidegate.domain.contract import Check, CheckResult, Column, Contract, OnRow, Reference, Severity
from tidegate.domain.state import BatchRow
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate, Listed
from tidegate.testing.fakes.platform import FakePlatform

_KNOWN = Check(
    "T01", "expect_column_values_to_be_in_set", Severity.CRITICAL, OnRow.QUARANTINE, True, "trips are known"
)
TRIPS = Contract(
    dataset="trips",
    version="1",
    owner="operations",
    columns=(Column("trip", "integer", required=True),),
    key=("trip",),
    checks=(_KNOWN,),
    min_rows=1,
    max_rows=100,
    max_age=None,
    quarantine_limit=0.5,
    digest="sha256:trips",
    references=(Reference("trip", "lines", "trip"),),
)
LINES = replace(
    TRIPS, dataset="lines", checks=(replace(_KNOWN, id="L01"),), digest="sha256:lines", references=(),
    declared={"extra": ({"trip": 7, "note": "by hand"}, {"note": "names none"})},
)  # fmt: skip


class Numbers(FakeDataGate):
    """A gate whose lists hold numbers: what crosses the port are texts."""

    def run(
        self,
        contract: Contract,
        table: Table,
        references: Mapping[str, Sequence[str]],
        suite: Path | None = None,
    ) -> tuple[CheckResult, ...]:
        known = {name: [int(value) for value in values] for name, values in references.items()}
        return super().run(contract, table, known, suite)  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world whose trips refer to those that another dataset, lines, lists or declares."""
    platform = FakePlatform(tmp_path)
    platform.contracts = FakeContracts(TRIPS, LINES)
    platform.gate = Numbers({"T01": Listed("trip", "lines.trip"), "L01": EachValue("trip", lambda _: True)})
    return platform


def feed(world: FakePlatform, path: Path, dataset: str = "trips") -> BatchRow:
    return ingest(world, world.acting("s-3"), dataset, path)


def trips(world: FakePlatform, *numbers: int, name: str = "trips-2013-01") -> Path:
    path = world.frames / f"{name}.csv"
    path.write_text("trip\n" + "".join(f"{number}\n" for number in numbers))
    return path


def lists(world: FakePlatform, count: int, period: str) -> BatchRow:
    """The lines come, with so many trips from 0 on."""
    return feed(world, trips(world, *range(count), name=f"lines-{period}"), "lines")


def test_a_drop_is_compared_with_what_other_datasets_list_and_declare(world: FakePlatform) -> None:
    listed = lists(world, 2, "2013")
    row = feed(world, trips(world, 0, 1, 2, 7))
    assert (row.accepted, row.quarantined) == (3, 1)
    assert row.report["references"] == {"lines.trip": {"contract": "sha256:lines", "batches": [listed.batch]}}


def test_a_drop_that_refers_to_what_has_not_come_is_stopped_and_taken_once_it_came(
    world: FakePlatform,
) -> None:
    path = trips(world, 0, 1)
    for _ in range(2):
        row = feed(world, path)
        assert (row.verdict, row.batch) == ("error", "")
    assert row.report["references"] == {}
    assert unlisted(world, world.ledger.state(), TRIPS) == ("lines",)
    assert len(list(world.ledger.events(stream="dataset/trips"))) == 1
    lists(world, 2, "2013")
    assert feed(world, path).accepted == 2
    assert unlisted(world, world.ledger.state(), TRIPS) == ()


def test_what_was_held_back_is_gated_again_once_the_list_it_was_compared_with_is_restated(
    world: FakePlatform,
) -> None:
    lists(world, 1, "2013")
    path = trips(world, 1, 2)
    assert feed(world, path).verdict == feed(world, path).verdict == "failed"
    lists(world, 3, "2013.r1")
    row = feed(world, path)
    assert (row.verdict, row.accepted) == ("passed", 2)
