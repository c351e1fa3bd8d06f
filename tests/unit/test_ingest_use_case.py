"""Ingesting, on fakes: what is written for a good, a bad, a repeated and an unreadable drop."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.application.ingest import ingest, period_of, period_window
from tidegate.application.ports import Table
from tidegate.domain.contract import Check, CheckResult, Column, Contract, OnRow, Severity
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.state import BatchRow
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock

NOW = datetime(2013, 2, 1, 6, tzinfo=UTC)
STOPS = Check(
    "T01", "expect_column_values_to_be_between", Severity.CRITICAL, OnRow.QUARANTINE, True, "load is 0 to 1"
)
CONTRACT = Contract(
    dataset="trips",
    version="1",
    owner="operations",
    columns=(Column("trip", "integer", required=True), Column("load", "number")),
    key=("trip",),
    checks=(STOPS,),
    min_rows=1,
    max_rows=100,
    max_age=timedelta(days=3),
    quarantine_limit=0.5,
    digest="sha256:contract",
)


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    platform = FakePlatform(tmp_path)
    assert isinstance(platform.clock, FixedClock)
    platform.clock.moment = NOW
    platform.contracts = FakeContracts(CONTRACT)
    platform.gate = FakeDataGate({"T01": EachValue("load", lambda load: 0 <= load <= 1)})
    return platform


def drop(world: FakePlatform, *loads: float | str, name: str = "trips-2013-01.csv") -> Path:
    path = world.frames / name
    path.write_text("trip,load\n" + "".join(f"{number},{load}\n" for number, load in enumerate(loads)))
    return path


def feed(world: FakePlatform, path: Path, who: str = "s-3") -> BatchRow:
    return ingest(world, world.acting(who), "trips", path)


def events(world: FakePlatform) -> list[Event]:
    return list(world.ledger.events(stream="dataset/trips"))


def test_good_rows_go_on_and_bad_ones_are_kept_with_their_reasons(world: FakePlatform) -> None:
    row = feed(world, drop(world, 0.1, 0.2, 7))
    assert (row.verdict, row.read, row.accepted, row.quarantined) == ("passed", 3, 2, 1)
    assert row.period == "2013-01"
    (held,) = world.batches.quarantined("trips", row.quarantine_root)
    assert (held["row"], held["reasons"]) == (2, ["T01"])
    assert world.batches.path("trips", row.batch).exists()


def test_the_record_says_what_was_checked_by_which_tool(world: FakePlatform) -> None:
    row = feed(world, drop(world, 0.1, 0.2, 7))
    assert row.report["tool"] == "fake gate 1"
    assert row.report["checks"] == [
        {
            "id": "T01",
            "severity": "critical",
            "on_row": "quarantine",
            "verdict": "failed",
            "evaluated": 3,
            "failing": 1,
            "sentence": "load is 0 to 1: 1 of 3 rows fail",
        }
    ]


def test_a_stopped_batch_is_recorded_and_held_back_whole(world: FakePlatform) -> None:
    row = feed(world, drop(world, 7, 8, 0.1))
    assert (row.verdict, row.batch, row.accepted, row.quarantined) == ("failed", "", 0, 3)
    assert [event.type for event in events(world)] == [EventType.BATCH_REFUSED]
    assert row.report["stops"][0]["rule"] == "G3"
    assert [held["reasons"] for held in world.batches.quarantined("trips", row.quarantine_root)] == [
        ["T01", "batch:quarantine-share"],
        ["T01", "batch:quarantine-share"],
        ["batch:quarantine-share"],
    ]


def test_a_late_drop_is_stopped_by_the_clock_of_the_platform(world: FakePlatform) -> None:
    row = feed(world, drop(world, 0.1, name="trips-2012-12.csv"))
    assert [stop["code"] for stop in row.report["stops"]] == ["freshness"]


def test_a_check_the_gate_left_out_stops_the_batch(world: FakePlatform) -> None:
    class Forgetful(FakeDataGate):
        def run(self, contract: Contract, table: Table) -> tuple[CheckResult, ...]:
            return super().run(contract, table)[1:]

    other = replace(STOPS, id="T02")
    world.contracts = FakeContracts(replace(CONTRACT, checks=(STOPS, other)))
    world.gate = Forgetful({"T01": EachValue("load", bool), "T02": EachValue("load", lambda _: True)})
    row = feed(world, drop(world, 0.1))
    assert row.verdict == "inconclusive"
    assert row.report["stops"] == [
        {"rule": "G4", "code": "check-missing", "sentence": "T01 was not run: load is 0 to 1"}
    ]


def test_the_same_drop_twice_changes_nothing_and_writes_no_event(world: FakePlatform) -> None:
    path = drop(world, 0.1, 7)
    first = feed(world, path)
    again = feed(world, path.rename(path.with_name("redelivered-2013-02.csv")))
    assert again == first
    assert len(events(world)) == 1


def test_a_stopped_drop_twice_stays_stopped_and_writes_no_event(world: FakePlatform) -> None:
    path = drop(world, 7, 8)
    assert feed(world, path) == feed(world, path)
    assert len(events(world)) == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty-drop"),
        ("trip,load\n", "empty-drop"),
        ("trip\n1\n", "columns"),
        ("trip,load\n1,x\n", "mistyped-column"),
    ],
)
def test_an_unreadable_drop_is_recorded_once_however_often_it_comes(
    world: FakePlatform, text: str, code: str
) -> None:
    path = world.frames / "trips-2013-01.csv"
    path.write_text(text)
    for _ in range(3):
        with pytest.raises(BadInput) as error:
            feed(world, path)
        assert error.value.code == code
    (event,) = events(world)
    assert (event.type, event.payload["code"]) == (EventType.DROP_REFUSED, code)


def test_an_unreadable_drop_loses_nothing_that_was_accepted(world: FakePlatform) -> None:
    row = feed(world, drop(world, 0.1))
    with pytest.raises(BadInput):
        feed(world, drop(world, "x", name="trips-2013-02.csv"))
    assert world.ledger.state().select(BatchRow) == (row,)
    assert world.batches.path("trips", row.batch).exists()


def test_a_drop_that_becomes_readable_under_a_mended_contract_is_taken(world: FakePlatform) -> None:
    path = drop(world, "x")
    with pytest.raises(BadInput):
        feed(world, path)
    world.contracts = FakeContracts(
        replace(CONTRACT, columns=(CONTRACT.columns[0], Column("load", "string")))
    )
    world.gate = FakeDataGate({"T01": EachValue("load", lambda _: True)})
    assert feed(world, path).accepted == 1


def test_gating_again_under_a_mended_contract_keeps_the_rows_held_back_before(world: FakePlatform) -> None:
    path = drop(world, 7, 8, 0.1)
    stopped = feed(world, path)
    world.contracts = FakeContracts(replace(CONTRACT, quarantine_limit=1.0, digest="sha256:mended"))
    taken = feed(world, path)
    assert (stopped.drop, stopped.batch, taken.accepted) == (taken.drop, "", 1)
    before, after = (world.batches.quarantined("trips", row.quarantine_root) for row in (stopped, taken))
    assert [held["row"] for held in before] == [0, 1, 2]
    assert [held["row"] for held in after] == [0, 1]


def test_two_ingests_of_one_drop_at_once_write_one_event(world: FakePlatform) -> None:
    path = drop(world, 0.1, 7)
    both, rows = threading.Barrier(2), []

    class Meeting(FakeDataGate):
        def run(self, contract: Contract, table: Table) -> tuple[CheckResult, ...]:
            both.wait(5)  # neither has written when both have looked
            return super().run(contract, table)

    world.gate = Meeting({"T01": EachValue("load", lambda load: 0 <= load <= 1)})
    threads = [threading.Thread(target=lambda: rows.append(feed(world, path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(rows) == 2
    assert rows[0] == rows[1]
    assert len(events(world)) == 1


@pytest.mark.parametrize("name", ["p-2", "p-5", "s-1"])
def test_who_may_not_ingest_is_refused_and_the_refusal_recorded(world: FakePlatform, name: str) -> None:
    with pytest.raises(Refused, match="A1"):
        feed(world, drop(world, 0.1), name)
    (event,) = events(world)
    assert event.type is EventType.ACTION_REFUSED
    assert event.payload["reasons"][0]["rule"] == "A1"


def test_an_unknown_dataset_or_drop_is_bad_input(world: FakePlatform) -> None:
    with pytest.raises(BadInput, match="got the dataset `ships`, expected one under contract: trips"):
        ingest(world, world.acting("s-3"), "ships", drop(world, 0.1))
    with pytest.raises(BadInput, match="expected a drop"):
        feed(world, world.frames / "trips-2013-09.csv")


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("flights-2013-01.zip", "2013-01"),
        ("flights-2013.csv", "2013"),
        ("flights-2013-01-31.csv.gz", "2013-01-31"),
        ("2013-02.csv", "2013-02"),
    ],
)
def test_a_drops_name_ends_with_its_period(name: str, period: str) -> None:
    assert period_of(Path(name)) == period


@pytest.mark.parametrize("name", ["flights.csv", "flights-13-01.csv", "flights-2013-01-new.csv", ".csv"])
def test_a_drop_without_a_period_is_bad_input(name: str) -> None:
    with pytest.raises(BadInput) as error:
        period_of(Path(name))
    assert error.value.code == "no-period"


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("2013", datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)),
        ("2013-12", datetime(2013, 12, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)),
        ("2012-02-29", datetime(2012, 2, 29, tzinfo=UTC), datetime(2012, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_periods_window_ends_where_the_next_begins(period: str, start: datetime, end: datetime) -> None:
    assert period_window(period) == (start, end)


@pytest.mark.parametrize("period", ["", "2013-13", "2013-02-30", "0000", "2013-1", "x2013", "2013-01-31-01"])
def test_a_malformed_period_is_bad_input(period: str) -> None:
    with pytest.raises(BadInput) as error:
        period_window(period)
    assert error.value.code == "bad-period"


@pytest.mark.parametrize("period", ["2013-00", "2013-01-00", "9999", "9999-12", "9999-12-31", "２０１３"])
def test_a_period_no_calendar_has_is_bad_input(period: str) -> None:
    with pytest.raises(BadInput) as error:
        period_window(period)
    assert error.value.code == "bad-period"
