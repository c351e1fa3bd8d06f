"""Waivers (G6): what they let through, how often, for whom not, and what blocks again without them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.ingest import decided, ingest
from tidegate.application.lawfulness import unlawful
from tidegate.application.risks import open_risks
from tidegate.application.status import status
from tidegate.application.timeline import sentence
from tidegate.application.waive import end_waiver, shown, waive
from tidegate.domain.contract import Check, CheckResult, Column, Contract, OnRow, Severity
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.state import BatchRow, WaiverRow
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate, Whole
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock

NOW = datetime(2013, 2, 1, 6, tzinfo=UTC)
WEEK = NOW + timedelta(days=7)
WHY = "The turnstile at the north gate was replaced in January."
BETWEEN = "expect_column_values_to_be_between"
ASIDE = Check("T01", BETWEEN, Severity.CRITICAL, OnRow.QUARANTINE, True, "load is 0 to 1")
WHOLE = Check("T02", "expect_column_sum", Severity.CRITICAL, OnRow.KEEP, False, "loads sum to at most 9")
NOTED = Check("T03", BETWEEN, Severity.WARNING, OnRow.KEEP, True, "load is not 0.5")
CONTRACT = Contract(
    dataset="trips",
    version="1",
    owner="operations",
    columns=(Column("trip", "integer", required=True), Column("load", "number")),
    key=("trip",),
    checks=(ASIDE, WHOLE, NOTED),
    min_rows=1,
    max_rows=4,
    max_age=timedelta(days=3),
    quarantine_limit=0.5,
    digest="sha256:contract",
)
RULES = {
    "T01": EachValue("load", lambda load: 0 <= load <= 1),
    "T02": Whole(lambda rows: sum(row["load"] for row in rows) <= 9),
    "T03": EachValue("load", lambda load: load != 0.5),
}


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    platform = FakePlatform(tmp_path)
    clock_of(platform).moment = NOW
    platform.contracts = FakeContracts(CONTRACT)
    platform.gate = FakeDataGate(RULES)
    return platform


def clock_of(world: FakePlatform) -> FixedClock:
    assert isinstance(world.clock, FixedClock)
    return world.clock


def drop(world: FakePlatform, *loads: float, name: str = "trips-2013-01.csv") -> Path:
    path = world.frames / name
    path.write_text("trip,load\n" + "".join(f"{number},{load}\n" for number, load in enumerate(loads)))
    return path


def feed(world: FakePlatform, path: Path, behalf: str | None = None) -> BatchRow:
    return ingest(world, world.acting("s-3", on_behalf_of=behalf), "trips", path)


def give(
    world: FakePlatform, check: str = "T01", period: str = "", most: int = 1, who: str = "p-3", **more: Any
) -> WaiverRow:
    return waive(
        world,
        world.acting(who),
        more.get("dataset", "trips"),
        check,
        more.get("until", WEEK),
        WHY,
        period,
        most,
    )


def waiver(world: FakePlatform, name: str = "W-1") -> WaiverRow:
    row = world.ledger.state().get(WaiverRow, name)
    assert row is not None
    return row


def stops(row: BatchRow) -> list[tuple[str, str]]:
    return [(stop["rule"], stop["sentence"]) for stop in row.report["stops"]]


# ── what a waiver lets through ────────────────────────────────────────────────────────────────────


def test_a_waived_check_stops_nothing_and_its_use_is_counted_and_recorded(world: FakePlatform) -> None:
    held = feed(world, drop(world, 7, 8, 0.1))
    assert [rule for rule, _ in stops(held)] == ["G2", "G3"]
    give(world, "T01")
    give(world, "T02")
    taken = feed(world, drop(world, 7, 8, 0.1))
    assert (taken.drop, taken.verdict, taken.accepted, taken.quarantined) == (held.drop, "passed", 3, 0)
    assert [(use["waiver"], use["check"], use["rows"]) for use in taken.report["waived"]] == [
        ("W-1", "T01", 2),
        ("W-2", "T02", 0),
    ]
    assert taken.report["waived"][0]["sentence"] == "load is 0 to 1: 2 of 3 rows fail"
    assert [(waiver(world, name).uses, waiver(world, name).rows) for name in ("W-1", "W-2")] == [
        (1, 2),
        (1, 0),
    ]
    assert unlawful(world) == ()
    (event,) = [each for each in world.ledger.events() if each.type is EventType.BATCH_ACCEPTED]
    assert sentence(event).endswith("0 quarantined; T01 was waived by W-1, T02 was waived by W-2")


def test_what_one_waiver_lets_through_another_check_still_stops_with_every_reason_of_its_rows(
    world: FakePlatform,
) -> None:
    give(world, "T01")
    row = feed(world, drop(world, 7, 8, 0.1))
    assert [rule for rule, _ in stops(row)] == ["G2"]
    assert row.report["waived"] == []
    assert waiver(world).uses == 0
    held = world.batches.quarantined("trips", row.quarantine_root)
    assert held[0]["reasons"] == ["T01", "batch:critical-check"]


@pytest.mark.parametrize(
    ("limit", "loads", "name", "code"),
    [
        ("volume", (0.1,) * 5, "trips-2013-01.csv", "volume"),
        ("freshness", (0.1,), "trips-2012-11.csv", "freshness"),
        ("quarantine-share", (2, 3, 0.1), "trips-2013-01.csv", "quarantine-share"),
    ],
)
def test_a_limit_of_the_contract_is_waived_by_its_name(
    world: FakePlatform, limit: str, loads: Sequence[float], name: str, code: str
) -> None:
    path = drop(world, *loads, name=name)
    assert [stop["code"] for stop in feed(world, path).report["stops"]] == [code]
    give(world, limit)
    taken = feed(world, path)
    assert taken.batch
    assert [(use["check"], use["rows"]) for use in taken.report["waived"]] == [(limit, 0)]
    # Rows that their own check sets aside stay aside.
    assert taken.quarantined == (2 if limit == "quarantine-share" else 0)


def test_a_waiver_that_nothing_needed_is_not_used(world: FakePlatform) -> None:
    give(world, "T01")
    row = feed(world, drop(world, 0.1))
    assert (row.report["waived"], waiver(world).uses) == ([], 0)


def test_a_waiver_covers_its_own_check_period_and_dataset(world: FakePlatform) -> None:
    give(world, "T02", "2013-02")
    give(world, "volume")
    row = feed(world, drop(world, 0.1, 9, 0.2, 0.3))
    assert stops(row) == [("G2", "T02 failed: loads sum to at most 9")]
    assert (waiver(world).uses, waiver(world, "W-2").uses) == (0, 0)


def test_a_check_that_could_not_measure_is_not_waived(world: FakePlatform) -> None:
    world.gate = FakeDataGate({name: rule for name, rule in RULES.items() if name != "T01"})
    give(world, "T01")
    row = feed(world, drop(world, 0.1))
    assert (row.verdict, row.batch) == ("error", "")
    assert [rule for rule, _ in stops(row)] == ["G1"]
    assert waiver(world).uses == 0


def test_a_check_that_points_outside_the_drop_did_not_measure_it_and_is_not_waived(
    world: FakePlatform,
) -> None:
    class Astray(FakeDataGate):
        def run(self, *given: Any) -> tuple[CheckResult, ...]:
            first, *rest = super().run(*given)
            return replace(first, verdict=Verdict.FAILED, failing=(7,)), *rest

    world.gate = Astray(RULES)
    give(world, "T01")
    row = feed(world, drop(world, 0.1))
    assert stops(row)[0] == ("G1", "T01 points at row 7, the drop holds 1 row")
    assert (row.verdict, waiver(world).uses) == ("error", 0)


def test_a_check_that_was_not_run_is_not_waived(world: FakePlatform) -> None:
    class Forgetful(FakeDataGate):
        def run(self, *given: Any) -> tuple[CheckResult, ...]:
            return super().run(*given)[1:]

    world.gate = Forgetful(RULES)
    give(world, "T01")
    row = feed(world, drop(world, 0.1))
    assert stops(row) == [("G4", "T01 was not run: load is 0 to 1")]


# ── how long, how often, and for whom not ─────────────────────────────────────────────────────────


def test_one_that_is_used_up_blocks_again_and_is_named(world: FakePlatform) -> None:
    give(world, "T02", most=2)
    for day in (30, 31):
        assert feed(world, drop(world, day / 100, 9, name=f"trips-2013-01-{day}.csv")).batch
    assert (waiver(world).uses, waiver(world).most) == (2, 2)
    row = feed(world, drop(world, 0.9, 0.8, 9, name="trips-2013-01-29.csv"))
    assert not row.batch
    ((rule, told),) = stops(row)
    assert rule == "G2"
    assert told.endswith("; W-1, which let T02 through, is used up (2 of 2)")


def test_one_that_has_expired_blocks_again_and_is_named(world: FakePlatform) -> None:
    give(world, "T02", until=NOW + timedelta(hours=1))
    clock_of(world).moment = NOW + timedelta(hours=1)
    row = feed(world, drop(world, 0.1, 0.2, 9))
    ((_, told),) = stops(row)
    assert told.endswith("; W-1 let T02 through until 2013-02-01T07:00:00Z, which is past")
    assert waiver(world).uses == 0


def test_of_too_many_rows_set_aside_the_stop_names_what_let_them_through_before(world: FakePlatform) -> None:
    give(world, "T01", until=NOW + timedelta(hours=1))
    clock_of(world).moment = NOW + timedelta(hours=2)
    ((rule, told),) = stops(feed(world, drop(world, 2, 3, 0.1)))
    assert rule == "G3"
    assert told.endswith("; W-1 let T01 through until 2013-02-01T07:00:00Z, which is past")


def test_rows_are_set_aside_again_and_the_record_says_what_has_lapsed(world: FakePlatform) -> None:
    give(world, "T01", until=NOW + timedelta(hours=1))
    clock_of(world).moment = NOW + timedelta(hours=2)
    row = feed(world, drop(world, 2, 0.1, 0.2))
    assert (row.accepted, row.quarantined) == (2, 1)
    assert row.report["lapsed"] == {"T01": "W-1 let T01 through until 2013-02-01T07:00:00Z, which is past"}


def test_a_clock_that_is_set_back_does_not_bring_an_expired_one_back(world: FakePlatform) -> None:
    give(world, "T02", until=NOW + timedelta(hours=1))
    clock_of(world).moment = NOW + timedelta(hours=2)
    feed(world, drop(world, 0.1, name="trips-2013-01-30.csv"))
    clock_of(world).moment = NOW
    row = feed(world, drop(world, 0.2, 9, name="trips-2013-01-31.csv"))
    assert "which is past" in stops(row)[0][1]


def test_one_that_was_ended_blocks_again_and_what_it_let_through_stands(world: FakePlatform) -> None:
    give(world, "T02", most=5)
    taken = feed(world, drop(world, 0.2, 9, name="trips-2013-01-30.csv"))
    assert end_waiver(world, world.acting("p-3"), "W-1").ended
    row = feed(world, drop(world, 0.3, 9, name="trips-2013-01-31.csv"))
    assert stops(row)[0][1].endswith("; W-1, which let T02 through, was ended")
    assert world.ledger.state().get(BatchRow, "trips", taken.drop) == taken
    end_waiver(world, world.acting("p-3"), "W-1")
    assert [event.type for event in world.ledger.events()].count(EventType.WAIVER_ENDED) == 1
    assert unlawful(world) == ()


def test_nobody_opens_the_way_for_a_drop_that_was_brought_for_them(world: FakePlatform) -> None:
    world.add_actor("p-8", "approver", subject="p-3")  # the same person under another account
    give(world, "T02")
    give(world, "T02", who="p-8")
    path = drop(world, 0.1, 9)
    row = feed(world, path, behalf="p-3")
    assert stops(row)[0][1].endswith("; W-2, which lets T02 through, was given by p-8, whose drop this is")
    assert row.report["brought_for"] == ["p-3"]
    # Whoever brings it again does not make it theirs alone.
    assert not feed(world, path).batch
    assert not feed(world, path, behalf="p-2").batch
    world.add_actor("p-9", "risk_officer")
    give(world, "T02", who="p-9")
    taken = feed(world, path)
    assert [use["waiver"] for use in taken.report["waived"]] == ["W-3"]
    assert (waiver(world).uses, waiver(world, "W-2").uses, waiver(world, "W-3").uses) == (0, 0, 1)
    assert unlawful(world) == ()


def test_two_drops_at_once_do_not_use_one_waiver_more_often_than_it_is_good_for(world: FakePlatform) -> None:
    both, rows = threading.Barrier(2), []

    class Meeting(FakeDataGate):
        met = 0

        def run(self, *given: Any) -> tuple[CheckResult, ...]:
            if Meeting.met < 2:
                Meeting.met += 1
                both.wait(5)  # neither has written when both have looked
            return super().run(*given)

    world.gate = Meeting(RULES)
    give(world, "T02")
    paths = [drop(world, 0.1 + day / 2, 9, name=f"trips-2013-01-3{day}.csv") for day in (0, 1)]
    threads = [threading.Thread(target=lambda path=path: rows.append(feed(world, path))) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(bool(row.batch) for row in rows) == [False, True]
    (held,) = [row for row in rows if not row.batch]
    assert stops(held)[0][1].endswith("; W-1, which let T02 through, is used up (1 of 1)")
    assert waiver(world).uses == 1
    assert unlawful(world) == ()


def test_a_drop_held_back_is_due_again_once_a_waiver_covers_it_and_no_longer_when_it_has_gone(
    world: FakePlatform,
) -> None:
    row = feed(world, drop(world, 0.1, 9))
    assert decided(world, world.ledger.state(), CONTRACT) == {row.drop}
    give(world, "T02")
    assert decided(world, world.ledger.state(), CONTRACT) == set()
    end_waiver(world, world.acting("p-3"), "W-1")
    assert decided(world, world.ledger.state(), CONTRACT) == {row.drop}


# ── who gives one, and how ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("who", ["p-1", "p-2", "p-5", "p-6", "s-3"])
def test_whose_role_does_not_permit_it_is_refused_and_the_refusal_recorded(
    world: FakePlatform, who: str
) -> None:
    with pytest.raises(Refused, match=r"A1: .* holds no role that permits `data:check:waive`"):
        give(world, "T01", who=who)
    assert [event.type for event in world.ledger.events()][-1] is EventType.ACTION_REFUSED
    assert shown(world) == []


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (
            {"check": "T09"},
            "unknown-check",
            "got the check `T09`, expected one of trips: T01, T02, T03; or volume",
        ),
        ({"check": "T03"}, "nothing-to-waive", "T03, which keeps its rows and stops no batch"),
        ({"most": 0}, "bad-uses", "got a waiver for 0 batches, expected 1 to 31"),
        ({"most": 32}, "bad-uses", "got a waiver for 32 batches, expected 1 to 31"),
        ({"until": NOW}, "bad-until", "expected an end within 31 days from now"),
        ({"until": NOW + timedelta(days=32)}, "bad-until", "expected an end within 31 days from now"),
        ({"period": "2013-13"}, "bad-period", "2013-13"),
        ({"dataset": "ships"}, "contract", "got the dataset `ships`"),
    ],
)
def test_a_waiver_of_nothing_or_without_bounds_is_bad_input(
    world: FakePlatform, more: dict[str, Any], code: str, said: str
) -> None:
    before = world.ledger.head()
    with pytest.raises(BadInput) as caught:
        give(world, **more)
    assert caught.value.code == code
    assert said in caught.value.sentence
    assert caught.value.hint
    assert world.ledger.head() == before


def test_a_waiver_without_a_reason_is_bad_input(world: FakePlatform) -> None:
    with pytest.raises(BadInput, match="got no reason"):
        waive(world, world.acting("p-3"), "trips", "T01", WEEK, " … ")


def test_the_same_key_gives_one_waiver(world: FakePlatform) -> None:
    acting = world.acting("p-3", key="monday")
    assert len({waive(world, acting, "trips", "T01", WEEK, WHY).id for _ in range(3)}) == 1
    assert len(shown(world)) == 1


def test_an_unknown_waiver_is_bad_input_and_who_may_not_give_one_may_not_end_one(world: FakePlatform) -> None:
    with pytest.raises(BadInput, match="got the waiver `W-7`, expected one of: none yet"):
        end_waiver(world, world.acting("p-3"), "W-7")
    give(world, "T01")
    with pytest.raises(Refused, match="A1"):
        end_waiver(world, world.acting("p-2"), "W-1")
    assert not waiver(world).ended


# ── where it shows ────────────────────────────────────────────────────────────────────────────────


def test_status_shows_every_waiver_with_its_uses_and_why_it_counts_no_more(world: FakePlatform) -> None:
    give(world, "T02", "2013-01")
    feed(world, drop(world, 0.1, 9))
    (row,) = status(world)["waivers"]
    assert (row["check"], row["period"], row["given_by"], row["uses"], row["left"]) == (
        "T02",
        "2013-01",
        "p-3",
        1,
        0,
    )
    assert row["over"] == "W-1, which let T02 through, is used up (1 of 1)"


def test_what_was_waived_is_an_open_risk_of_what_learned_from_it(world: FakePlatform) -> None:
    give(world, "T01", most=2)
    rows = [
        feed(world, drop(world, 2, 0.1 * day, name=f"trips-2013-01-{day}.csv")) for day in (29, 30)
    ]  # the latter's other load is waived too
    packet = {
        "data": {"training_set": "tg1:a", "registered": "tg1:a", "restated": 0},
        "features": {"redefined": []},
        "coverage": {},
        "untested_slices": {},
        "champion": {"version": 0},
        "slices_against_champion": {},
        "canary": {"verdict": "passed"},
        "code": {},
    }
    assert {
        "kind": "waived",
        "sentence": "trips T01 was waived by W-1 for 2 batches that it learned from, 4 rows",
    } in (open_risks(packet, (), rows)["found"])
    assert "waived" not in {each["kind"] for each in open_risks(packet, (), ())["found"]}


# ── what is written past the use cases ────────────────────────────────────────────────────────────


def accepted(world: FakePlatform, *uses: Mapping[str, Any], checks: Sequence[Mapping[str, Any]] = ()) -> None:
    report = {"checks": list(checks), "stops": [], "waived": list(uses)}
    world.accept("2013-01", dataset="trips", report=report)


USE = {"waiver": "W-1", "check": "T01", "rows": 1, "sentence": "x"}


def test_letting_through_by_what_is_no_waiver_of_it_breaks_g6(world: FakePlatform) -> None:
    give(world, "T02")
    accepted(world, USE)
    (breach,) = unlawful(world)
    assert "G6" in breach
    assert "T01 of trips 2013-01 was let through by W-1, which is no waiver of it" in breach


def test_letting_through_more_often_than_was_said_breaks_g6(world: FakePlatform) -> None:
    give(world, "T01")
    accepted(world, USE)
    assert unlawful(world) == ()
    accepted(world, {**USE, "rows": 2})
    (breach,) = unlawful(world)
    assert "G6" in breach
    assert "is used up (1 of 1)" in breach


@pytest.mark.parametrize(
    ("check", "rule", "said"),
    [
        ({"verdict": "error", "severity": "info", "on_row": "keep"}, "G1", "T01 could not measure"),
        (
            {"verdict": "failed", "severity": "critical", "on_row": "keep"},
            "G2",
            "T01 is failed, which nobody waived",
        ),
    ],
)
def test_accepting_what_a_check_stops_breaks_its_rule(
    world: FakePlatform, check: dict[str, str], rule: str, said: str
) -> None:
    accepted(world, checks=[{"id": "T01", **check}])
    (breach,) = unlawful(world)
    assert rule in breach
    assert said in breach


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"most": 1000}, "is given for 1000 batches, expected 1 to 31"),
        ({"until": "2014-02-01T00:00:00Z"}, "expected an end within 31 days"),
        ({"id": "W-1"}, "is given again under the same name"),
    ],
)
def test_a_waiver_without_bounds_breaks_g6(world: FakePlatform, more: dict[str, Any], said: str) -> None:
    give(world, "T02")
    given = {"id": "W-2", "dataset": "trips", "check": "T01", "period": "", "until": "2013-02-08T00:00:00Z"}
    world.write(EventType.WAIVER_GIVEN, {**given, "most": 1, **more}, "p-3", "dataset/trips")
    (breach,) = unlawful(world)
    assert "G6" in breach
    assert said in breach


def test_a_waiver_by_whom_no_role_permits_it_breaks_a1_and_ending_one_twice_g6(world: FakePlatform) -> None:
    given = {"id": "W-1", "dataset": "trips", "check": "T01", "period": "", "until": "2013-02-08T00:00:00Z"}
    world.write(EventType.WAIVER_GIVEN, {**given, "most": 1}, "p-2", "dataset/trips")
    for _ in range(2):
        world.write(EventType.WAIVER_ENDED, {"id": "W-1"}, "p-3", "dataset/trips")
    permitted, twice = unlawful(world)
    assert "A1" in permitted
    assert "G6" in twice
    assert "was ended before" in twice
