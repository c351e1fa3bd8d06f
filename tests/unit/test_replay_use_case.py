"""Putting mended rows back, on fakes: the same gate, once, and no row lost on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.application.ingest import ingest
from tidegate.application.lawfulness import unlawful
from tidegate.application.recording import draft
from tidegate.application.replay import replay
from tidegate.application.revisions import in_force, standing
from tidegate.application.waive import waive
from tidegate.domain.contract import Check, Column, Contract, OnRow, Severity
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.state import BatchRow, WaiverRow
from tidegate.testing.fakes.contracts import FakeContracts
from tidegate.testing.fakes.data_gate import EachValue, FakeDataGate, Unique
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock

NOW = datetime(2013, 2, 1, 6, tzinfo=UTC)
CHECKS = tuple(
    Check(name, expectation, Severity.WARNING, OnRow.QUARANTINE, True, sentence)
    for name, expectation, sentence in (
        ("T01", "expect_column_values_to_be_between", "load is 0 to 1"),
        ("T02", "expect_column_values_to_be_unique", "a trip comes once"),
    )
)
CONTRACT = Contract(
    dataset="trips", version="1", owner="operations",
    columns=(Column("trip", "integer", required=True), Column("load", "number")), key=("trip",), checks=CHECKS,
    min_rows=1, max_rows=100, max_age=timedelta(days=3), quarantine_limit=0.8, digest="sha256:contract",
)  # fmt: skip
UNDER_100 = Check(
    "T03", "expect_column_values_to_be_between", Severity.WARNING, OnRow.QUARANTINE, True, "load is below 100"
)
RULES = {"T01": EachValue("load", lambda load: 0 <= load <= 1), "T02": Unique(("trip",))}
HEADER = "_period,_revision,_row,_reasons,trip,load\n"


def opened(folder: Path) -> FakePlatform:
    platform = FakePlatform(folder)
    assert isinstance(platform.clock, FixedClock)
    platform.clock.moment = NOW
    platform.contracts = FakeContracts(CONTRACT)
    platform.gate = FakeDataGate(RULES)
    return platform


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    return opened(tmp_path)


def fed(world: FakePlatform, *loads: float, name: str = "trips-2013-01.csv") -> BatchRow:
    path = world.frames / name
    path.write_text("trip,load\n" + "".join(f"{number},{load}\n" for number, load in enumerate(loads)))
    return ingest(world, world.acting("s-3"), "trips", path)


def mended(world: FakePlatform, *lines: str, name: str = "mended.csv") -> Path:
    path = world.frames / name
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return path


def put_back(world: FakePlatform, *lines: str, who: str = "s-3", name: str = "mended.csv") -> BatchRow:
    return replay(world, world.acting(who), "trips", mended(world, *lines, name=name))


def held(world: FakePlatform, row: BatchRow) -> list[tuple[object, object]]:
    return [(each["row"], each["reasons"]) for each in world.batches.held("trips", row.quarantine_root)]


def counts(row: BatchRow) -> tuple[int, int, int]:
    return row.read, row.accepted, row.quarantined


def test_a_mended_row_joins_the_batch_and_the_others_stay_held_back(world: FakePlatform) -> None:
    before = fed(world, 0.1, 7, 0.3, 8)
    row = put_back(world, "2013-01,0,1,T01,1,0.7")
    assert counts(row) == (4, 3, 1)
    assert held(world, row) == [(3, ["T01"])]
    assert (row.supersedes, row.revision, row.period) == (before.batch, 0, "2013-01")
    assert row.report["replays"] == {"drop": before.drop, "rows": 1}
    assert [each.batch for each in in_force(world.ledger.state(), "trips")] == [row.batch]
    (other := world.frames / "other").mkdir()
    assert row.batch == fed(opened(other), 0.1, 0.7, 0.3, 8).batch, "as if it had come like that"


def test_the_same_file_twice_changes_nothing(world: FakePlatform) -> None:
    fed(world, 0.1, 7)
    first = put_back(world, "2013-01,0,1,T01,1,0.7")
    assert put_back(world, "2013-01,0,1,T01,1,0.7", name="again.csv") == first
    assert len(list(world.ledger.events(stream="dataset/trips"))) == 2


def test_a_row_that_was_put_back_is_put_back_once(world: FakePlatform) -> None:
    fed(world, 0.1, 7, 8)
    put_back(world, "2013-01,0,1,T01,1,0.7")
    fault = refusal(world, "2013-01,0,1,T01,1,0.6")
    assert (fault.code, fault.sentence) == (
        "not-held-back",
        "got row 1 of 2013-01, expected rows that are held back",
    )
    assert counts(put_back(world, "2013-01,0,2,T01,2,0.6", name="rest.csv")) == (3, 3, 0)


def test_a_row_that_fails_again_is_held_back_with_what_it_fails_now(world: FakePlatform) -> None:
    fed(world, 0.1, 7, 8)
    row = put_back(world, "2013-01,0,1,T01,1,0.7", "2013-01,0,2,T01,2,9")
    assert counts(row) == (3, 2, 1)
    (left,) = world.batches.held("trips", row.quarantine_root)
    assert (left["row"], left["reasons"], left["values"]) == (2, ["T01"], {"trip": 2, "load": 9.0})


def test_where_no_row_passes_nothing_changes_and_it_is_on_record_once(world: FakePlatform) -> None:
    before = fed(world, 0.1, 7)
    for _ in range(2):
        fault = refusal(world, "2013-01,0,1,T01,1,9")
        assert fault.code == "nothing-mended"
        assert fault.sentence == "got 1 row failing again (T01), expected at least one that passes"
    events = list(world.ledger.events(stream="dataset/trips"))
    assert [event.type for event in events] == [EventType.BATCH_ACCEPTED, EventType.DROP_REFUSED]
    assert standing(world.ledger.state(), "trips", "2013-01") == before


def test_a_mended_row_with_an_accepted_row_s_key_holds_every_copy_back(world: FakePlatform) -> None:
    fed(world, 0.1, 7, 8, 0.2)
    row = put_back(world, "2013-01,0,1,T01,0,0.7", "2013-01,0,2,T01,2,0.5")
    assert counts(row) == (4, 2, 2)
    assert [reasons for _, reasons in held(world, row)] == [["T02"], ["T02"]]


def test_what_nobody_mended_stays_held_back_though_the_gate_would_let_it_pass_today(
    world: FakePlatform,
) -> None:
    fed(world, 0.1, 7, 8)
    world.gate = FakeDataGate({"T01": EachValue("load", lambda load: load < 10), "T02": Unique(("trip",))})
    row = put_back(world, "2013-01,0,1,T01,1,0.7")
    assert held(world, row) == [(2, ["T01"])]


def test_rows_of_a_period_that_was_restated_since_are_refused(world: FakePlatform) -> None:
    fed(world, 0.1, 7)
    fed(world, 0.1, 0.5, 8, name="trips-2013-01.r1.csv")
    fault = refusal(world, "2013-01,0,1,T01,1,0.7")
    assert fault.code == "restated-since"
    assert fault.hint == "export them again: tidegate quarantine trips --period 2013-01 --export FILE"
    assert counts(put_back(world, "2013-01,1,2,T01,2,0.7")) == (3, 3, 0)


def test_a_period_may_be_restated_after_rows_were_put_back(world: FakePlatform) -> None:
    fed(world, 0.1, 7)
    row = put_back(world, "2013-01,0,1,T01,1,0.7")
    restated = fed(world, 0.2, 0.5, name="trips-2013-01.r1.csv")
    assert restated.supersedes == row.batch
    assert [each.batch for each in in_force(world.ledger.state(), "trips")] == [restated.batch]


def test_rows_of_a_drop_that_was_held_back_whole_are_refused(world: FakePlatform) -> None:
    fed(world, 7, 8)
    fault = refusal(world, "2013-01,0,1,T01,1,0.7")
    assert fault.code == "nothing-in-force"
    assert "held back whole is mended as a whole" in fault.hint


def test_rows_that_make_the_whole_fail_leave_the_batch_in_force(world: FakePlatform) -> None:
    before = fed(world, 0.1, 7, 0.2)
    world.contracts = FakeContracts(replace(CONTRACT, quarantine_limit=0.1))
    world.gate = FakeDataGate({"T01": EachValue("load", lambda load: load < 0.15), "T02": Unique(("trip",))})
    row = put_back(world, "2013-01,0,1,T01,1,0.1")
    assert (row.batch, row.verdict, counts(row)) == ("", "failed", (3, 0, 3))
    assert standing(world.ledger.state(), "trips", "2013-01") == before


def test_who_may_not_ingest_puts_nothing_back(world: FakePlatform) -> None:
    fed(world, 0.1, 7)
    with pytest.raises(Refused) as caught:
        put_back(world, "2013-01,0,1,T01,1,0.7", who="p-2")
    assert caught.value.data["rule"] == "A1"


def test_another_replay_at_the_same_time_is_noticed(world: FakePlatform) -> None:
    fed(world, 0.1, 7, 8)
    restored = world.batches.restored

    def meanwhile(*given):
        world.batches.restored = restored
        put_back(world, "2013-01,0,2,T01,2,0.2", name="first.csv")
        return restored(*given)

    world.batches.restored = meanwhile
    fault = refusal(world, "2013-01,0,1,T01,1,0.7")
    assert fault.code == "restated-since"
    row = standing(world.ledger.state(), "trips", "2013-01")
    assert row is not None
    assert counts(row) == (3, 2, 1)


def test_the_same_file_at_the_same_time_is_put_back_once(world: FakePlatform) -> None:
    fed(world, 0.1, 7)
    mend, twins = world.batches.mended, []

    def meanwhile(*given):
        world.batches.mended = mend
        twins.append(put_back(world, "2013-01,0,1,T01,1,0.7"))
        return mend(*given)

    world.batches.mended = meanwhile
    assert put_back(world, "2013-01,0,1,T01,1,0.7") == twins[0]
    events = list(world.ledger.events(stream="dataset/trips"))
    assert [event.type for event in events] == [EventType.BATCH_ACCEPTED, EventType.BATCH_ACCEPTED]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from((0.5, 7.0)), min_size=1, max_size=8), st.data())
def test_however_often_rows_are_put_back_read_is_accepted_and_quarantined(
    tmp_path_factory, loads, data
) -> None:
    world = opened(tmp_path_factory.mktemp("world"))
    world.contracts = FakeContracts(replace(CONTRACT, quarantine_limit=1.0))
    row = fed(world, *loads)
    for number in range(3):
        left = [at for at, _ in held(world, row)]
        if not left:
            break
        chosen = data.draw(st.lists(st.sampled_from(left), min_size=1, unique=True))
        lines = [f"2013-01,0,{at},T01,{at},{0.25 if at == chosen[0] else 9}" for at in chosen]
        after = put_back(world, *lines, name=f"{number}.csv")
        assert after.read == len(loads) == after.accepted + after.quarantined
        assert after.accepted == row.accepted + 1
        row = after


def refusal(world: FakePlatform, *lines: str) -> BadInput:
    with pytest.raises(BadInput) as caught:
        put_back(world, *lines)
    return caught.value


# ── with waivers, limits and bad cells ────────────────────────────────────────────────────────────


def waived(world: FakePlatform, check: str, who: str = "p-3") -> WaiverRow:
    return waive(
        world, world.acting(who), "trips", check, NOW + timedelta(days=7), "The scale is being mended."
    )


def test_a_waiver_is_not_used_up_by_rows_that_stay_held_back(world: FakePlatform) -> None:
    fed(world, 0.1, 7, 8)
    waived(world, "T01")
    row = put_back(world, "2013-01,0,1,T01,1,0.7")
    assert (counts(row), held(world, row)) == ((3, 2, 1), [(2, ["T01"])])
    assert row.report["waived"] == []
    again = put_back(world, "2013-01,0,2,T01,2,9", name="waived.csv")
    assert counts(again) == (3, 3, 0)
    assert [(use["waiver"], use["rows"]) for use in again.report["waived"]] == [("W-1", 1)]
    assert unlawful(world) == ()


def test_rows_that_a_waiver_let_in_stay_though_it_is_used_up(world: FakePlatform) -> None:
    world.contracts = FakeContracts(replace(CONTRACT, checks=(*CHECKS, UNDER_100)))
    world.gate = FakeDataGate({**RULES, "T03": EachValue("load", lambda load: load < 100)})
    waived(world, "T01")
    before = fed(world, 0.1, 7, 800, 900)
    assert (counts(before), held(world, before)) == ((4, 2, 2), [(2, ["T03"]), (3, ["T03"])])
    row = put_back(world, "2013-01,0,2,T03,2,0.7")
    assert (counts(row), held(world, row)) == ((4, 3, 1), [(3, ["T03"])])
    assert (row.report["waived"], row.report["lapsed"]) == ([], {})
    assert [(use["waiver"], use["check"]) for use in row.report["stays"]] == [("W-1", "T01")]
    last = put_back(world, "2013-01,0,3,T03,3,0.8", name="rest.csv")
    assert (counts(last), last.report["stays"]) == ((4, 4, 0), row.report["stays"])
    used = world.ledger.state().get(WaiverRow, "W-1")
    assert used is not None
    assert used.uses == 1
    assert unlawful(world) == ()


def test_a_mended_row_is_not_let_in_by_a_waiver_that_is_used_up(world: FakePlatform) -> None:
    world.contracts = FakeContracts(replace(CONTRACT, checks=(*CHECKS, UNDER_100)))
    world.gate = FakeDataGate({**RULES, "T03": EachValue("load", lambda load: load < 100)})
    waived(world, "T01")
    fed(world, 0.1, 7, 800, 900)
    row = put_back(world, "2013-01,0,2,T03,2,0.7", "2013-01,0,3,T03,3,9")
    assert (counts(row), held(world, row)) == ((4, 3, 1), [(3, ["T01"])])
    assert "is used up" in row.report["lapsed"]["T01"]


def test_a_row_that_a_waiver_let_in_is_set_aside_for_what_nobody_waived(world: FakePlatform) -> None:
    world.contracts = FakeContracts(replace(CONTRACT, checks=(*CHECKS, UNDER_100)))
    world.gate = FakeDataGate({**RULES, "T03": EachValue("load", lambda load: load < 100)})
    waived(world, "T01")
    fed(world, 0.1, 7, 800, 900)
    row = put_back(world, "2013-01,0,2,T03,1,0.7", "2013-01,0,3,T03,3,0.8")
    assert (counts(row), held(world, row)) == ((4, 2, 2), [(1, ["T02"]), (2, ["T02"])])
    assert "stays" not in row.report


def test_copies_that_a_waiver_let_in_stay_and_a_mended_one_does_not_join_them(world: FakePlatform) -> None:
    waived(world, "T02")
    path = world.frames / "trips-2013-01.csv"
    path.write_text("trip,load\n0,0.1\n0,0.2\n2,7\n3,8\n")
    assert counts(ingest(world, world.acting("s-3"), "trips", path)) == (4, 2, 2)
    row = put_back(world, "2013-01,0,2,T01,0,0.7", "2013-01,0,3,T01,3,0.8")
    assert (counts(row), held(world, row)) == ((4, 3, 1), [(2, ["T02"])])


def test_where_more_is_found_than_a_waiver_let_in_all_of_it_is_judged_anew(world: FakePlatform) -> None:
    waived(world, "T01")
    world.contracts = FakeContracts(replace(CONTRACT, checks=(*CHECKS, UNDER_100)))
    world.gate = FakeDataGate({**RULES, "T03": EachValue("load", lambda load: load < 100)})
    fed(world, 0.1, 0.2, 7, 800)
    world.contracts = FakeContracts(replace(CONTRACT, checks=(*CHECKS, UNDER_100), digest="sha256:tighter"))
    tighter = {"T01": EachValue("load", lambda load: load < 0.15), "T02": Unique(("trip",))}
    world.gate = FakeDataGate({**tighter, "T03": EachValue("load", lambda load: load < 100)})
    row = put_back(world, "2013-01,0,3,T03,3,0.1")
    assert (counts(row), held(world, row)) == ((4, 2, 2), [(1, ["T01"]), (2, ["T01"])])
    assert "stays" not in row.report


def test_rows_that_a_waiver_let_in_stay_under_a_contract_that_says_the_same_of_them(
    world: FakePlatform,
) -> None:
    world.contracts = FakeContracts(replace(CONTRACT, checks=(*CHECKS, UNDER_100)))
    world.gate = FakeDataGate({**RULES, "T03": EachValue("load", lambda load: load < 100)})
    waived(world, "T01")
    fed(world, 0.1, 7, 800)
    world.contracts = FakeContracts(replace(CONTRACT, checks=(*CHECKS, UNDER_100), digest="sha256:reworded"))
    assert counts(put_back(world, "2013-01,0,2,T03,2,0.7")) == (3, 3, 0)


@pytest.mark.parametrize("limit", ["volume", "quarantine-share"])
def test_a_limit_that_was_waived_does_not_keep_mended_rows_out(world: FakePlatform, limit: str) -> None:
    world.contracts = FakeContracts(replace(CONTRACT, max_rows=4, quarantine_limit=0.5))
    waived(world, limit)
    loads = (0.1, 7, 8, 0.4, 0.5) if limit == "volume" else (0.1, 7, 8, 9)
    before = fed(world, *loads)
    row = put_back(world, "2013-01,0,1,T01,1,0.7")
    assert counts(row) == (len(loads), before.accepted + 1, before.quarantined - 1)
    assert [use["check"] for use in row.report["stays"]] == [limit]
    assert unlawful(world) == ()


def test_a_share_that_was_waived_lets_no_more_rows_be_held_back_than_it_did(world: FakePlatform) -> None:
    world.contracts = FakeContracts(replace(CONTRACT, quarantine_limit=0.1))
    waived(world, "quarantine-share")
    before = fed(world, 0.1, 0.2, 0.3, 7, 8)
    # One row is mended, and two others are copies of each other now.
    row = put_back(world, "2013-01,0,3,T01,0,0.7", "2013-01,0,4,T01,1,0.2")
    assert (row.batch, [stop["rule"] for stop in row.report["stops"]]) == ("", ["G3"])
    assert standing(world.ledger.state(), "trips", "2013-01") == before


def test_a_record_that_lets_rows_stay_which_nobody_let_in_is_named(world: FakePlatform) -> None:
    before = fed(world, 0.1, 7)
    use = {"waiver": "W-1", "check": "T01", "rows": 1, "sentence": "load is 0 to 1: 1 of 2 rows fail"}
    with world.ledger.transaction() as tx:
        payload = next(iter(world.ledger.events(stream="dataset/trips"))).payload
        report = {**payload["report"], "replays": {"drop": before.drop, "rows": 1}, "stays": [use]}
        forged = {**payload, "drop": "sha256:forged", "supersedes": before.batch, "report": report}
        tx.append(draft(world.acting("s-3"), EventType.BATCH_ACCEPTED, "dataset/trips", forged))
    (told,) = unlawful(world)
    assert "T01 of trips 2013-01 is said to stay by W-1, which had not let it in" in told
    assert "G6" in told


def test_what_nobody_mended_counts_for_the_share_that_may_be_held_back(world: FakePlatform) -> None:
    before = fed(world, 0.1, 0.2, 7, 8)
    # The gate would pass row 3 today, and no longer passes rows 0 and 1: three of four would be held back.
    world.gate = FakeDataGate({"T01": EachValue("load", lambda load: load > 0.5), "T02": Unique(("trip",))})
    world.contracts = FakeContracts(replace(CONTRACT, quarantine_limit=0.6))
    row = put_back(world, "2013-01,0,2,T01,2,0.7")
    assert (row.batch, [stop["rule"] for stop in row.report["stops"]]) == ("", ["G3"])
    assert standing(world.ledger.state(), "trips", "2013-01") == before


def test_nobody_opens_the_way_for_rows_that_were_mended_for_them_also_earlier(world: FakePlatform) -> None:
    fed(world, 0.1, 7, 8)
    world.contracts = FakeContracts(replace(CONTRACT, quarantine_limit=0.1))
    file = mended(world, "2013-01,0,1,T01,1,0.7")
    mine = replay(world, world.acting("s-3", on_behalf_of="p-3"), "trips", file)
    assert (mine.batch, mine.report["brought_for"]) == ("", ["p-3"])
    waived(world, "quarantine-share")
    world.contracts = FakeContracts(replace(CONTRACT, quarantine_limit=0.2, digest="sha256:other"))
    row = replay(world, world.acting("s-3"), "trips", file)
    assert (row.batch, row.report["brought_for"]) == ("", ["p-3"])
    assert "was given by p-3, whose drop this is" in row.report["stops"][0]["sentence"]
    assert unlawful(world) == ()


def test_a_cell_that_is_no_period_is_not_written_into_the_record(world: FakePlatform) -> None:
    fed(world, 0.1, 7)
    fault = refusal(world, f"{'Wilhelmine Quast ' * 99},0,1,T01,1,0.7")
    assert fault.code == "bad-period"
    assert len(fault.sentence) < 200
    *_, event = world.ledger.events(stream="dataset/trips")
    assert (event.type, event.payload["period"]) == (EventType.DROP_REFUSED, "")
