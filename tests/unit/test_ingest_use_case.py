"""Ingesting, on fakes: what is written for a good, a bad, a repeated and an unreadable drop."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.ingest import ingest
from tidegate.application.promote import climb
from tidegate.application.revisions import in_force
from tidegate.domain.contract import Check, CheckResult, Column, Contract, OnRow, Severity
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.policy import Stage
from tidegate.domain.state import BatchRow
from tidegate.testing.cases import MODEL
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


def feed(world: FakePlatform, path: Path, who: str = "s-3", dataset: str = "trips") -> BatchRow:
    return ingest(world, world.acting(who), dataset, path)


def turned_away(world: FakePlatform, path: Path) -> BadInput:
    """Return why a drop is refused; it is on record once, however often it comes."""
    before = len(events(world))
    for _ in range(2):
        with pytest.raises(BadInput) as caught:
            feed(world, path)
    event = events(world)[-1]
    assert len(events(world)) == before + 1
    assert (event.type, event.payload["code"]) == (EventType.DROP_REFUSED, caught.value.code)
    assert event.payload["drop"] == world.batches.drop_digest(path)
    assert caught.value.hint
    return caught.value


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
            "executor": "",
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
        def run(self, *given: Any) -> tuple[CheckResult, ...]:
            return super().run(*given)[1:]

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
        def run(self, *given: Any) -> tuple[CheckResult, ...]:
            both.wait(5)  # neither has written when both have looked
            return super().run(*given)

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


def test_a_higher_revision_supersedes_the_batch_in_force_and_overwrites_nothing(world: FakePlatform) -> None:
    first = feed(world, drop(world, 0.1))
    kept = world.batches.path("trips", first.batch).read_bytes()
    second = feed(world, drop(world, 0.2, name="trips-2013-01.r1.csv"))
    assert (second.revision, second.supersedes, second.superseded_by) == (1, first.batch, "")
    before = world.ledger.state().get(BatchRow, "trips", first.drop)
    assert before == replace(first, superseded_by=second.batch)
    assert world.batches.path("trips", first.batch).read_bytes() == kept
    assert in_force(world.ledger.state(), "trips") == (second,)
    third = feed(world, drop(world, 0.3, name="trips-2013-01.r7.csv"))
    assert (third.revision, third.supersedes) == (7, second.batch)
    assert in_force(world.ledger.state(), "trips") == (third,)


def test_a_restatement_names_what_was_learned_from_what_it_replaces(world: FakePlatform) -> None:
    first = feed(world, drop(world, 0.1))
    rows = {"model": MODEL, "service": "s", "entities": "tg1:e", "rows": 1, "windows": {}}
    learned = world.learned().digest
    holding = {**rows, "digest": learned, "batches": ["tg1:other", first.batch]}
    world.write(EventType.TRAINING_SET_BUILT, holding)
    world.write(EventType.TRAINING_SET_BUILT, {**rows, "digest": "tg1:unrelated", "batches": ["tg1:other"]})
    assert world.register() == 1
    second = feed(world, drop(world, 0.2, name="trips-2013-01.r1.csv"))
    assert second.touches == {"training_sets": [learned], "versions": [f"{MODEL}/1"]}
    third = feed(world, drop(world, 0.3, name="trips-2013-01.r2.csv"))
    assert third.touches == {"training_sets": [], "versions": []}


@pytest.mark.parametrize(
    ("came", "stands", "code"),
    [
        (0, "", "period-taken"),
        (2, ".r2", "period-taken"),
        (0, ".r2", "superseded-drop"),
        (1, ".r2", "superseded-drop"),
    ],
)
def test_other_bytes_in_the_same_or_a_lower_revision_are_turned_away(
    world: FakePlatform, came: int, stands: str, code: str
) -> None:
    row = feed(world, drop(world, 0.1, name=f"trips-2013-01{stands}.csv"))
    other = drop(world, 0.2, name=f"late-2013-01{f'.r{came}' if came else ''}.csv")
    error = turned_away(world, other)
    assert error.code == code
    assert error.sentence == (
        f"got trips 2013-01 in revision {came} with other bytes than accepted, "
        f"expected a revision above {row.revision}, which stands since event {row.sequence}"
    )
    assert error.hint.endswith(f"name it trips-2013-01.r{row.revision + 1}.csv")
    assert in_force(world.ledger.state(), "trips") == (row,)
    taken = feed(world, other.rename(other.with_name(f"trips-2013-01.r{row.revision + 1}.csv")))
    assert taken.supersedes == row.batch


def test_a_drop_of_a_month_superseded_since_changes_nothing_and_writes_nothing(world: FakePlatform) -> None:
    path = drop(world, 0.1)
    feed(world, path)
    second = feed(world, drop(world, 0.2, name="trips-2013-01.r1.csv"))
    assert feed(world, path).superseded_by == second.batch
    again = feed(world, path.rename(path.with_name("trips-2013-01.r9.csv")))
    assert again.superseded_by == second.batch
    assert len(events(world)) == 2
    assert in_force(world.ledger.state(), "trips") == (second,)


def test_a_restatement_with_the_very_rows_in_force_is_recorded_and_supersedes_nothing(
    world: FakePlatform,
) -> None:
    first = feed(world, drop(world, 0.1))
    path = drop(world, "0.10", name="trips-2013-01.r1.csv")
    second = feed(world, path)
    assert (second.batch, second.revision, second.supersedes) == (first.batch, 1, "")
    assert second.touches == {"training_sets": [], "versions": []}
    assert not world.ledger.state().get(BatchRow, "trips", first.drop).superseded_by
    assert feed(world, path) == second
    third = feed(world, drop(world, 0.3, name="trips-2013-01.r2.csv"))
    assert third.supersedes == first.batch
    assert in_force(world.ledger.state(), "trips") == (third,)
    assert turned_away(world, drop(world, 0.5, name="trips-2013-01.r1.csv")).code == "superseded-drop"


def test_a_month_restated_to_what_it_was_is_in_force_again(world: FakePlatform) -> None:
    first = feed(world, drop(world, 0.1))
    feed(world, drop(world, 0.2, name="trips-2013-01.r1.csv"))
    third = feed(world, drop(world, "0.10", name="trips-2013-01.r2.csv"))
    assert third.batch == first.batch
    assert in_force(world.ledger.state(), "trips") == (third,)


def test_a_restatement_that_the_gate_holds_back_leaves_what_is_in_force(world: FakePlatform) -> None:
    first = feed(world, drop(world, 0.1))
    second = feed(world, drop(world, 7, 8, name="trips-2013-01.r1.csv"))
    assert (second.verdict, second.batch, second.supersedes) == ("failed", "", "")
    assert in_force(world.ledger.state(), "trips") == (first,)
    mended = feed(world, drop(world, 0.2, name="trips-2013-01.r1.csv"))
    assert mended.supersedes == first.batch


def test_a_restatement_may_come_long_after_its_period(world: FakePlatform) -> None:
    feed(world, drop(world, 0.1))
    assert isinstance(world.clock, FixedClock)
    world.clock.moment = NOW + timedelta(days=200)
    assert feed(world, drop(world, 0.2, name="trips-2013-01.r1.csv")).verdict == "passed"
    first = feed(world, drop(world, 0.2, 0.3, name="trips-2013-02.r1.csv"))
    assert [stop["code"] for stop in first.report["stops"]] == ["freshness"]


def test_a_later_revision_may_come_first_and_the_earlier_one_is_superseded_already(
    world: FakePlatform,
) -> None:
    row = feed(world, drop(world, 0.1, name="trips-2013-01.r1.csv"))
    assert (row.revision, row.supersedes) == (1, "")
    assert turned_away(world, drop(world, 0.2)).code == "superseded-drop"


def test_months_may_come_in_any_order(world: FakePlatform) -> None:
    world.contracts = FakeContracts(replace(CONTRACT, max_age=None))
    for month in ("03", "01", "02"):
        assert (
            feed(world, drop(world, 0.1, int(month) / 10, name=f"trips-2013-{month}.csv")).verdict == "passed"
        )
    assert [row.period for row in in_force(world.ledger.state())] == ["2013-01", "2013-02", "2013-03"]


@pytest.mark.parametrize(
    ("first", "second"), [("2013", "2013-01"), ("2013-01", "2013"), ("2013-01", "2013-01-31")]
)
def test_a_period_inside_one_that_is_there_as_a_whole_would_count_twice(
    world: FakePlatform, first: str, second: str
) -> None:
    world.contracts = FakeContracts(replace(CONTRACT, max_age=None))
    feed(world, drop(world, 0.1, name=f"trips-{first}.csv"))
    error = turned_away(world, drop(world, 0.2, name=f"trips-{second}.csv"))
    assert error.code == "period-overlaps"
    assert (
        error.sentence
        == f"got trips {second}, expected a period beside {first}, which was accepted as a whole"
    )


def test_of_two_drops_for_one_period_at_once_the_second_is_turned_away(world: FakePlatform) -> None:
    both, outcomes = threading.Barrier(2), []

    class Meeting(FakeDataGate):
        def run(self, *given: Any) -> tuple[CheckResult, ...]:
            both.wait(5)  # neither has written when both have looked
            return super().run(*given)

    def act(path: Path) -> None:
        try:
            outcomes.append(feed(world, path).drop)
        except BadInput as error:
            outcomes.append(error.code)

    world.gate = Meeting({"T01": EachValue("load", lambda load: 0 <= load <= 1)})
    drops = [drop(world, 0.1), drop(world, 0.2, name="again-2013-01.csv")]
    threads = [threading.Thread(target=act, args=(path,)) for path in drops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    (row,) = in_force(world.ledger.state(), "trips")
    assert sorted(outcomes) == sorted([row.drop, "period-taken"])
    assert [event.type for event in events(world)] == [EventType.BATCH_ACCEPTED, EventType.DROP_REFUSED]


def test_a_drop_that_changed_since_it_was_named_is_turned_away_and_taken_once_it_rests(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, named = drop(world, 0.1), world.batches.drop_digest

    def meanwhile(at: Path) -> str:
        name = named(at)
        drop(world, 0.1, 0.2)
        return name

    monkeypatch.setattr(world.batches, "drop_digest", meanwhile)
    with pytest.raises(BadInput) as caught:
        feed(world, path)
    monkeypatch.undo()
    assert caught.value.code == "drop-changed"
    assert [event.payload["code"] for event in events(world)] == ["drop-changed"]
    assert feed(world, path).read == 2


@pytest.mark.parametrize(
    "mark",
    [
        ".r-1",
        ".r999999999999",
        ".r01",
        ".r0",
        ".r",
        ".R1",
        ".r1.r2",
        ".r1000",
        ".rone",
        ".r1e3",
        ".r１",
        ".corrected",
    ],
)
def test_a_forged_revision_is_turned_away(world: FakePlatform, mark: str) -> None:
    feed(world, drop(world, 0.1))
    error = turned_away(world, drop(world, 0.2, name=f"trips-2013-01{mark}.csv"))
    assert error.code == "bad-revision"
    assert "expected at most a revision from r1 to r999" in error.sentence
    assert events(world)[-1].payload["period"] == "2013-01"
    assert len(in_force(world.ledger.state())) == 1


@pytest.mark.parametrize("name", ["trips-2013-01.r1", "trips-2013-01.csv.r1", "trips-2013-01.r-1"])
def test_a_revision_where_the_extension_should_be_is_turned_away(world: FakePlatform, name: str) -> None:
    assert turned_away(world, drop(world, 0.1, name=name)).code == "bad-revision"


@pytest.mark.parametrize(("name", "code"), [("trips.csv", "no-period"), ("trips-2013-13.csv", "bad-period")])
def test_a_drop_without_a_sound_period_is_turned_away_and_taken_under_another_name(
    world: FakePlatform, name: str, code: str
) -> None:
    path = drop(world, 0.1, name=name)
    assert turned_away(world, path).code == code
    assert feed(world, path.rename(path.with_name("trips-2013-01.csv"))).accepted == 1


def test_what_was_in_force_at_a_moment_is_what_was_known_then(world: FakePlatform) -> None:
    clock, rows, moments = world.clock, [], []
    assert isinstance(clock, FixedClock)
    # As first delivered, restated, restated to what it was, restated again.
    for mark, load in (("", 0.1), (".r1", 0.2), (".r2", "0.10"), (".r3", 0.3)):
        clock.moment += timedelta(hours=1)
        rows.append(feed(world, drop(world, load, name=f"trips-2013-01{mark}.csv")))
        moments.append(clock.moment)
    for row, moment in zip(rows, moments, strict=True):
        (known,) = in_force(world.ledger.state(), "trips", moment)
        assert (known.drop, known.batch) == (row.drop, row.batch)
    assert in_force(world.ledger.state(), "trips", moments[0] - timedelta(seconds=1)) == ()
    (now,) = in_force(world.ledger.state())
    assert now == rows[-1]
    assert [row.drop for row in world.ledger.state().select(BatchRow, superseded_by="")] == [now.drop]


# ── columns that come, go and change ──────────────────────────────────────────────────────────────


def test_a_column_that_nobody_promised_is_left_out_with_a_note(world: FakePlatform) -> None:
    path = world.frames / "trips-2013-01.csv"
    path.write_text("trip,load,mood\n0,0.1,good\n1,0.2,bad\n")
    row = feed(world, path)
    assert row.report["notes"] == ["left out, for the contract does not promise them: 'mood'"]
    assert "mood" not in world.batches.path("trips", row.batch).read_text()


def test_a_contract_that_promises_more_is_a_note(world: FakePlatform) -> None:
    feed(world, drop(world, 0.1, 0.2))
    more = (*CONTRACT.columns, Column("note", "string"))
    world.contracts = FakeContracts(replace(CONTRACT, columns=more, digest="sha256:more", max_age=None))
    path = world.frames / "trips-2013-02.csv"
    path.write_text("trip,load,note\n0,0.1,x\n")
    assert feed(world, path).report["notes"] == ["the column note is new: batches before have none"]


FEWER = {
    "gone": ((CONTRACT.columns[0],), "trip\n0\n", "load is gone"),
    "another type": (
        (CONTRACT.columns[0], Column("load", "string")),
        "trip,load\n0,0.5\n",
        "load is string, and was number",
    ),
    "empty at times": (
        (Column("trip", "integer"), CONTRACT.columns[1]),
        "trip,load\n0,0.5\n",
        "trip may be empty, and never was",
    ),
}


def resting(world: FakePlatform, stage: Stage) -> None:
    """Bring a version of the one model to a stage, whose rows are read from trips."""
    world.models.put(replace(world.models.spec(MODEL), datasets=("trips",)))
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1, stage)


def less(world: FakePlatform, how: str) -> Path:
    """Feed a month, then promise less, and return a drop that keeps to it."""
    feed(world, drop(world, 0.1, 0.2))
    columns, text, _ = FEWER[how]
    world.contracts = FakeContracts(
        replace(CONTRACT, version="2", columns=columns, digest="sha256:less", max_age=None)
    )
    world.gate = FakeDataGate({"T01": EachValue(columns[-1].name, lambda _: True)})
    path = world.frames / "trips-2013-02.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("how", FEWER)
def test_a_contract_that_promises_less_is_refused_while_somebody_rests_on_it(
    world: FakePlatform, how: str
) -> None:
    resting(world, Stage.STAGING)
    fault = turned_away(world, less(world, how))
    assert fault.code == "breaking-contract"
    assert fault.sentence == (
        f"got version 2 of the contract trips, in which {FEWER[how][2]}, expected what {MODEL} 1 (staging) rests on"
    )


@pytest.mark.parametrize("how", FEWER)
def test_where_nobody_rests_on_it_a_contract_may_promise_less(world: FakePlatform, how: str) -> None:
    row = feed(world, less(world, how))
    assert row.report["notes"] == [f"nobody rests on it: {FEWER[how][2]}"]


def test_who_rests_on_a_dataset_is_named_where_a_drop_lacks_a_column(world: FakePlatform) -> None:
    resting(world, Stage.STAGING)
    path = world.frames / "trips-2013-01.csv"
    path.write_text("trip\n0\n")
    assert turned_away(world, path).sentence.endswith(f"; {MODEL} 1 (staging) rests on it")
