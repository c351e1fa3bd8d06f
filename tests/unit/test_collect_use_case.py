"""Collecting what landed, on fakes: order, what is left alone, and that no drop stops another."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.application.collect import Collected, collect
from tidegate.application.ports import Batches
from tidegate.domain.contract import Check, Column, Contract, OnRow, Reference, Severity
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.state import BatchRow
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock

_CHECK = Check(
    "T01", "expect_column_values_to_not_be_null", Severity.CRITICAL, OnRow.KEEP, True, "a load is given"
)
STOPS = Contract(
    dataset="stops", version="1", owner="operations", columns=(Column("stop", "integer"), Column("load", "number")),
    key=("stop",), checks=(_CHECK,), min_rows=1, max_rows=9, max_age=None, quarantine_limit=0.0, digest="sha256:c",
)  # fmt: skip
TRIPS = replace(STOPS, dataset="alternates", references=(Reference("stop", "stops", "stop"),))


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world in which alternates refer to stops, which come later by name."""
    platform = FakePlatform(tmp_path / "home")
    platform.frames.mkdir()
    assert isinstance(platform.clock, FixedClock)
    platform.clock.moment = datetime(2013, 6, 1, tzinfo=UTC)
    platform.contracts = FakeContracts(TRIPS, STOPS)
    platform.gate = FakeDataGate({"T01": EachValue("load", lambda load: load is not None, nulls=True)})
    (tmp_path / "landing").mkdir()
    return platform


@pytest.fixture
def landing(world: FakePlatform) -> Path:
    return world.frames.parent / "landing"


def lands(landing: Path, dataset: str, name: str, load: str = "1") -> Path:
    path = landing / dataset / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"stop,load\n1,{load}\n")
    return path


def run(world: FakePlatform, landing: Path, who: str = "s-3") -> tuple[Collected, ...]:
    return collect(world, world.acting(who), landing)


def test_what_others_refer_to_comes_first_then_periods_then_revisions(
    world: FakePlatform, landing: Path
) -> None:
    lands(landing, "alternates", "alternates-2013-02.csv", "1")
    lands(landing, "alternates", "alternates-2013-01.r2.csv", "2")
    lands(landing, "alternates", "alternates-2013-01.r10.csv", "3")
    lands(landing, "alternates", "alternates-2013-01.csv", "4")
    lands(landing, "stops", "stops-2013.csv", "5")
    found = run(world, landing)
    names = ["stops-2013.csv", *(f"alternates-2013-{each}.csv" for each in ("01", "01.r2", "01.r10", "02"))]
    assert [each.name for each in found] == names
    assert all(each.fresh and each.row and each.row.batch for each in found)
    assert [event.payload["period"] for event in world.ledger.events(stream="dataset/alternates")] == [
        "2013-01", "2013-01", "2013-01", "2013-02",
    ]  # fmt: skip


def test_what_is_decided_is_hashed_and_left_alone(
    world: FakePlatform, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lands(landing, "stops", "stops-2013.csv")
    lands(landing, "stops", "stops-2012.csv", "")
    first = run(world, landing)
    count = len(list(world.ledger.events()))

    def unwanted(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(world.batches, "read", unwanted)
    second = run(world, landing)
    assert [each.row for each in second] == [each.row for each in first]
    assert [each.row and each.row.verdict for each in second] == ["failed", "passed"]
    assert not any(each.fresh for each in second)
    assert len(list(world.ledger.events())) == count


def test_a_drop_that_is_turned_away_is_recorded_once_and_stops_no_other(
    world: FakePlatform, landing: Path
) -> None:
    lands(landing, "stops", "stops-2011.csv", "high")
    lands(landing, "stops", "stops-2012.r0.csv", "2")
    lands(landing, "stops", "stops.csv", "3")
    lands(landing, "stops", "stops-2013.csv", "4")
    for _ in range(2):
        found = {each.name: (each.code, bool(each.row)) for each in run(world, landing)}
        assert found == {
            "stops-2011.csv": ("mistyped-column", False),
            "stops-2012.r0.csv": ("bad-revision", False),
            "stops.csv": ("no-period", False),
            "stops-2013.csv": ("", True),
        }
    kinds = [event.type for event in world.ledger.events(stream="dataset/stops")]
    assert sorted(kinds) == [EventType.BATCH_ACCEPTED, *[EventType.DROP_REFUSED] * 3]


def test_what_is_still_being_delivered_or_is_no_dataset_is_ignored(
    world: FakePlatform, landing: Path
) -> None:
    lands(landing, "stops", ".part-stops-2013.csv")
    lands(landing, "stops", "stops-2013.csv.part")
    lands(landing, "ships", "ships-2013.csv")
    (landing / "stops" / "stops-2012.csv").mkdir()
    (landing / "stops-2011.csv").write_text("stop,load\n1,1\n")
    assert run(world, landing) == ()


def test_a_drop_stopped_for_want_of_a_list_is_gated_again_on_the_run_after_the_list_came(
    world: FakePlatform, landing: Path
) -> None:
    from tidegate.testing.fakes.data_gate import Listed

    rules = {"T01": EachValue("load", lambda _: True), "T02": Listed("load", "stops.load")}
    listed = replace(
        TRIPS, checks=(replace(_CHECK, id="T02"),), references=(Reference("load", "stops", "load"),)
    )
    world.contracts = FakeContracts(listed, STOPS)
    world.gate = FakeDataGate(rules)
    lands(landing, "alternates", "alternates-2013.csv")
    (stopped,) = run(world, landing)
    assert (stopped.row and stopped.row.verdict, stopped.fresh) == ("error", True)
    (again,) = run(world, landing)
    assert (again.row, again.fresh) == (stopped.row, False)
    lands(landing, "stops", "stops-2013.csv")
    assert [each.row and each.row.verdict for each in run(world, landing)] == ["passed", "failed"]


def test_a_contract_that_does_not_load_stops_its_own_drops_only(world: FakePlatform, landing: Path) -> None:
    class Broken(FakeContracts):
        def load(self, dataset: str) -> Contract:
            if dataset == "alternates":
                raise BadInput("contract", "got no owner, expected one", "mend it")
            return super().load(dataset)

    world.contracts = Broken(TRIPS, STOPS)
    lands(landing, "alternates", "alternates-2013.csv")
    lands(landing, "stops", "stops-2013.csv")
    found = run(world, landing)
    assert [(each.dataset, each.code) for each in found] == [("alternates", "contract"), ("stops", "")]


def test_datasets_that_refer_to_each_other_are_collected_all_the_same(
    world: FakePlatform, landing: Path
) -> None:
    both = replace(STOPS, references=(Reference("stop", "alternates", "stop"),))
    world.contracts = FakeContracts(TRIPS, both)
    lands(landing, "alternates", "alternates-2013.csv")
    lands(landing, "stops", "stops-2013.csv", "2")
    assert [each.dataset for each in run(world, landing)] == ["stops", "alternates"]


def test_a_full_disk_ends_the_run_and_what_was_gated_before_stays(
    world: FakePlatform, landing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep: Batches = world.batches
    accept = keep.accept

    def until_full(contract: Contract, *rest: object) -> object:
        if len(world.ledger.state().select(BatchRow)) == 1:
            raise DependencyFailed("disk-full", "got no space left, expected room", "free some")
        return accept(contract, *rest)  # type: ignore[arg-type]

    for year in ("2011", "2012", "2013"):
        lands(landing, "stops", f"stops-{year}.csv", year)
    monkeypatch.setattr(world.batches, "accept", until_full)
    with pytest.raises(DependencyFailed, match="no space left"):
        run(world, landing)
    assert [row.period for row in world.ledger.state().select(BatchRow)] == ["2011"]
    monkeypatch.undo()
    assert [each.fresh for each in run(world, landing)] == [False, True, True]


def test_who_may_not_ingest_collects_nothing(world: FakePlatform, landing: Path) -> None:
    lands(landing, "stops", "stops-2013.csv")
    with pytest.raises(Refused, match="A1"):
        run(world, landing, "p-2")
    assert world.ledger.state().select(BatchRow) == ()


def test_a_folder_that_is_not_there_is_bad_input(world: FakePlatform, landing: Path) -> None:
    with pytest.raises(BadInput) as caught:
        run(world, landing / "nowhere")
    assert caught.value.code == "no-folder"
    assert run(world, landing) == ()
