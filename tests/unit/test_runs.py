from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.recording import draft
from tidegate.application.runs import (
    MAX_SUMMARY,
    agenda,
    due_by,
    finish,
    outstanding,
    ran_ahead,
    schedule_status,
    story_of,
    waits_for,
    what_came,
)
from tidegate.application.status import status
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.schedule import CatchUp, Due, Outcome, Schedule
from tidegate.domain.state import RunRow
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.running import FakeSchedules
from tidegate.testing.fakes.small import START

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SCORE = Schedule("score", "score", "0 6 * * *", "UTC", CatchUp.EACH)
FOLLOW = Schedule("follow", "follow", "0 6 * * *", "UTC", CatchUp.LATEST)
SLOTS = [START + 6 * HOUR + day * DAY for day in range(-5, 30)]
FIRST = START + 6 * HOUR


@pytest.fixture
def world(tmp_path):
    """A ledger opened at START, and two schedules at six every morning, for days before it and after."""
    world = FakePlatform(tmp_path)
    world.schedules = FakeSchedules((SCORE, FOLLOW), {"score": SLOTS, "follow": SLOTS})
    return world


def at(world, moment):
    """Set the one clock that the world and its ledger have; it may jump."""
    world.clock.moment = moment


def ran(world, schedule, day, outcome=Outcome.DONE, **more):
    """Have a slot run at its moment, or later where the clock is later."""
    at(world, max(world.clock.now(), FIRST + day * DAY))
    service = world.acting("s-6" if schedule == "score" else "s-4")
    return finish(world, service, schedule, FIRST + day * DAY, outcome, "as it was", **more)


def asked(world, now):
    at(world, now)
    return [(schedule.name, each.slot, each.covers) for schedule, each in agenda(world, now)]


def test_before_the_ledger_was_opened_nothing_is_due(world):
    assert agenda(world, START) == ()
    assert agenda(world, START + 5 * HOUR) == ()


def test_a_schedule_that_never_ran_owes_only_its_latest_slot(world):
    assert asked(world, START + 3 * DAY) == [("score", FIRST + 2 * DAY, 0), ("follow", FIRST + 2 * DAY, 0)]


def test_after_downtime_each_slot_is_caught_up_and_the_latest_only_where_that_suffices(world):
    ran(world, "score", 0)
    ran(world, "follow", 0)
    assert asked(world, START + 4 * DAY) == [
        ("score", FIRST + 1 * DAY, 0),
        ("score", FIRST + 2 * DAY, 0),
        ("score", FIRST + 3 * DAY, 0),
        ("follow", FIRST + 3 * DAY, 2),
    ]


def test_slots_are_run_in_order_over_all_schedules(world):
    world.schedules = FakeSchedules(
        (FOLLOW, SCORE), {"score": SLOTS, "follow": [slot + HOUR for slot in SLOTS]}
    )
    ran(world, "score", 0)
    now = START + 2 * DAY + 7 * HOUR
    assert [(name, slot) for name, slot, _ in asked(world, now)] == [
        ("score", FIRST + DAY),
        ("score", FIRST + 2 * DAY),
        ("follow", FIRST + HOUR + 2 * DAY),
    ]


def test_what_was_run_is_not_due_again_whatever_came_of_it(world):
    for outcome in Outcome:
        assert asked(world, FIRST + HOUR)[0] == ("score", FIRST, 0)
        other = FakePlatform(world.frames)
        other.schedules = world.schedules
        at(other, FIRST + HOUR)
        ran(other, "score", 0, outcome)
        ran(other, "follow", 0, outcome)
        assert agenda(other, FIRST + HOUR) == ()


def test_a_slot_counts_once_and_stays_as_it_was_recorded(world):
    before = len(list(world.ledger.events()))
    first = ran(world, "score", 0)
    again = finish(world, world.acting("s-6"), "score", FIRST, Outcome.REFUSED, "another story", 7)
    assert again == first
    assert (first.outcome, first.summary, first.covers) == ("done", "as it was", 0)
    assert len(list(world.ledger.events())) == before + 1


def test_a_finished_run_says_which_slot_it_was_and_under_whose_name(world):
    ran(world, "follow", 3, covers=2)
    event = list(world.ledger.events())[-1]
    assert (event.type, event.actor, event.stream) == (EventType.RUN_FINISHED, "s-4", "schedule/follow")
    assert event.idempotency_key == f"run/follow/{utc_text(FIRST + 3 * DAY)}"
    assert event.payload == {
        "schedule": "follow",
        "slot": utc_text(FIRST + 3 * DAY),
        "outcome": "done",
        "summary": "as it was",
        "covers": 2,
    }


def test_a_summary_of_any_length_is_kept_short(world):
    row = finish(world, world.acting("s-6"), "score", FIRST, Outcome.DONE, "x" * 5000)
    assert len(row.summary) == MAX_SUMMARY
    assert row.summary.endswith("…")


def test_a_person_finishes_no_slot(world):
    with pytest.raises(Refused) as caught:
        finish(world, world.acting("p-5"), "score", FIRST, Outcome.DONE, "by hand")
    assert caught.value.data["rule"] == "A1"
    assert world.ledger.state().select(RunRow) == ()


# ── what a run that was started for a slot has to do ─────────────────────────────────────────────


def test_a_run_does_first_what_was_missed_before_it(world):
    ran(world, "score", 0)
    assert due_by(world, SCORE, FIRST + 3 * DAY) == tuple(Due(FIRST + day * DAY) for day in (1, 2, 3))
    ran(world, "follow", 0)
    assert due_by(world, FOLLOW, FIRST + 3 * DAY) == (Due(FIRST + 3 * DAY, 2),)


def test_a_run_does_nothing_that_comes_after_it(world):
    ran(world, "score", 0)
    at(world, START + 20 * DAY)
    assert due_by(world, SCORE, FIRST + DAY) == (Due(FIRST + DAY),)


def test_a_slot_that_was_run_or_made_good_for_has_nothing_left_to_do(world):
    ran(world, "follow", 3, covers=2)
    for day in (0, 1, 2, 3):
        assert due_by(world, FOLLOW, FIRST + day * DAY) == ()
    assert due_by(world, FOLLOW, FIRST + 4 * DAY) == (Due(FIRST + 4 * DAY),)


def test_a_slot_that_only_the_orchestrator_knows_is_run_as_it_is(world):
    ran(world, "score", 0)
    beside = FIRST + HOUR
    assert due_by(world, SCORE, beside) == (Due(beside),)
    unknown = Schedule("nightly", "score", "", "UTC")
    assert due_by(world, unknown, beside) == (Due(beside),)


# ── what came of a slot ──────────────────────────────────────────────────────────────────────────


def did(world, slot, kind, payload, actor="s-6"):
    acting = replace(world.acting(actor), correlation=story_of("score", slot))
    with world.ledger.transaction() as tx:
        tx.append(draft(acting, kind, "model/tram_delay", payload))


def scored(world, slot, period):
    names = {"model": "tram_delay", "period": period, "version": 1, "artifact": "a", "entities": "e"}
    did(
        world,
        slot,
        EventType.DECISIONS_SCORED,
        {**names, "rows": 3, "of": 3, "root": "r", "file": "f", "stage": "prod", "freshness": {}},
    )


def denied(world, slot):
    did(world, slot, EventType.ACTION_REFUSED, {"action": "score", "subject": {}, "reasons": []})


def test_what_came_of_a_slot_is_read_off_the_record_whoever_wrote_it_and_in_how_many_attempts(world):
    scored(world, FIRST, "2019-11")
    scored(world, FIRST, "2019-12")
    denied(world, FIRST)
    assert what_came(world, "score", FIRST) == (Outcome.DONE, "2 decisions.scored, action.refused")


def test_what_another_slot_wrote_does_not_count(world):
    scored(world, FIRST, "2019-11")
    ran(world, "score", 0)
    assert what_came(world, "score", FIRST + DAY) == (Outcome.NOTHING, "nothing new to do")


def test_where_a_rule_said_no_to_everything_the_slot_is_refused(world):
    denied(world, FIRST)
    assert what_came(world, "score", FIRST) == (Outcome.REFUSED, "action.refused")
    refusals = [("not-permitted", "s-6 may not"), ("not-scored", "got no decisions")]
    assert what_came(world, "score", FIRST + DAY, refusals) == (
        Outcome.REFUSED,
        "s-6 may not; got no decisions",
    )


def test_where_there_is_nothing_to_work_on_yet_the_slot_says_so(world):
    refusals = [("nothing-to-score-with", "got no version in prod")]
    assert what_came(world, "score", FIRST, refusals) == (Outcome.NOTHING, "got no version in prod")


def test_one_model_that_is_refused_does_not_hide_what_was_done_for_another(world):
    scored(world, FIRST, "2019-12")
    refusals = [("nothing-to-score-with", "got no version of tides")]
    assert what_came(world, "score", FIRST, refusals) == (
        Outcome.DONE,
        "decisions.scored; got no version of tides",
    )


# ── what people see ──────────────────────────────────────────────────────────────────────────────


def test_a_missed_run_is_shown_after_its_grace_and_gone_once_it_is_made_good(world):
    ran(world, "score", 0)
    ran(world, "follow", 0)
    at(world, FIRST + 2 * DAY + HOUR)
    shown = {item["name"]: item for item in status(world)["schedules"]}
    assert shown["score"]["missed"] == [utc_text(FIRST + DAY)], (
        "the slot of an hour ago may still be run in time"
    )
    assert shown["score"]["next"] == utc_text(FIRST + 3 * DAY)
    assert shown["score"]["last"] == {"slot": utc_text(FIRST), "outcome": "done", "summary": "as it was"}
    ran(world, "score", 1)
    ran(world, "score", 2)
    shown = {item["name"]: item for item in status(world)["schedules"]}
    assert shown["score"]["missed"] == []
    assert shown["follow"]["missed"] == [utc_text(FIRST + DAY)]


def test_a_schedule_that_never_ran_says_so(world):
    found = schedule_status(world, START)
    assert [(item["name"], item["last"], item["missed"]) for item in found] == [
        ("score", None, []),
        ("follow", None, []),
    ]
    assert found[0]["next"] == utc_text(FIRST)


def test_schedules_that_cannot_be_read_hide_nothing_else(world):
    class Broken(FakeSchedules):
        def all(self):
            raise BadInput("schedules", "pipelines/prefect.yaml has one fault: line 3", "mend it")

    world.schedules = Broken()
    found = status(world)
    assert found["schedules"] == []
    assert found["schedules_fault"] == "pipelines/prefect.yaml has one fault: line 3"
    assert found["policy"]
    with pytest.raises(BadInput):
        outstanding(world, START)


def test_last_is_the_latest_slot_even_where_another_was_recorded_after_it(world):
    late = datetime(2020, 1, 2, 6, 0, 0, 500000, tzinfo=UTC)  # as text it sorts before the whole second
    at(world, late)
    finish(world, world.acting("s-6"), "score", late, Outcome.DONE, "half a second later")
    ran(world, "score", 1)
    assert schedule_status(world, late)[0]["last"]["summary"] == "half a second later"


# ── a clock that jumps ───────────────────────────────────────────────────────────────────────────


def jumped(world, days):
    """Run all that the schedules ask for on a clock that jumped ahead to the evening of a day."""
    at(world, FIRST + days * DAY + 12 * HOUR)
    for schedule, each in agenda(world, world.clock.now()):
        service = world.acting("s-6" if schedule is SCORE else "s-4")
        finish(world, service, schedule.name, each.slot, Outcome.NOTHING, "too soon", each.covers)


def test_runs_on_a_clock_that_jumped_ahead_do_not_stop_the_schedules_once_it_is_right_again(world):
    ran(world, "score", 0)
    ran(world, "follow", 0)
    jumped(world, 20)
    assert asked(world, FIRST + HOUR) == [], "what was run in time stays run"
    for day in (1, 2, 3):
        now = FIRST + day * DAY + HOUR
        assert asked(world, now) == [("score", FIRST + day * DAY, 0), ("follow", FIRST + day * DAY, 0)]
        ran(world, "score", day)
        ran(world, "follow", day)
        assert asked(world, now) == []
    rows = [
        row for row in world.ledger.state().select(RunRow, schedule="score") if row.summary == "as it was"
    ]
    assert len(rows) == 4
    assert unlawful(world) == ()


def test_a_slot_that_nobody_ran_in_time_is_missed_though_it_was_run_ahead_of_the_clock(world):
    ran(world, "score", 0)
    jumped(world, 20)
    at(world, FIRST + DAY + 2 * HOUR)
    shown = schedule_status(world, world.clock.now())[0]
    assert shown["last"]["slot"] == utc_text(FIRST)
    assert shown["missed"] == [utc_text(FIRST + DAY)]
    assert shown["ahead"] == [utc_text(FIRST + day * DAY) for day in range(1, 21)]
    assert due_by(world, SCORE, FIRST + DAY) == (Due(FIRST + DAY),)


def test_while_the_clock_is_ahead_what_it_ran_counts(world):
    jumped(world, 20)
    assert agenda(world, world.clock.now()) == ()
    assert all(item["ahead"] == [] for item in schedule_status(world, world.clock.now()))


def test_on_a_clock_that_went_back_the_runs_behind_it_count_and_those_ahead_do_not(world):
    for day in range(10):
        ran(world, "score", day)
        ran(world, "follow", day)
    assert asked(world, FIRST + 4 * DAY + HOUR) == []
    ahead = schedule_status(world, world.clock.now())[0]["ahead"]
    assert ahead == [utc_text(FIRST + day * DAY) for day in range(5, 10)]
    events = len(list(world.ledger.events()))
    for day in (5, 6, 9):
        assert asked(world, FIRST + day * DAY + HOUR) == [], "as the clock comes by, each counts again"
    assert len(list(world.ledger.events())) == events
    assert unlawful(world) == ()


def test_clocks_that_differ_by_less_than_a_minute_agree(world):
    ran(world, "score", 1)
    ran(world, "follow", 1)
    assert asked(world, FIRST + DAY - timedelta(seconds=59)) == []
    assert schedule_status(world, world.clock.now())[0]["ahead"] == []


def test_what_a_slot_comes_to_is_told_without_what_was_written_ahead_of_the_clock(world):
    ran(world, "score", 0)
    at(world, FIRST + 20 * DAY)
    scored(world, FIRST + DAY, "2019-12")
    ran(world, "score", 1)
    at(world, FIRST + DAY)
    assert what_came(world, "score", FIRST + DAY) == (Outcome.NOTHING, "nothing new to do")


def test_a_ledger_that_was_opened_on_a_clock_ahead_owes_what_came_since_its_next_event(tmp_path):
    world = FakePlatform(tmp_path)
    world.schedules = FakeSchedules((SCORE,), {"score": [FIRST + day * DAY for day in range(-60, 30)]})
    assert asked(world, FIRST - 20 * DAY) == [], "nothing was recorded at any earlier moment"
    world.accept()
    assert asked(world, FIRST - 18 * DAY) == [("score", FIRST - 18 * DAY, 0)]


def test_status_says_in_one_sentence_what_does_not_count(world):
    jumped(world, 20)
    at(world, FIRST + HOUR)
    score, follow = status(world)["schedules"]
    assert ran_ahead(score) == (
        f"score has the slot {utc_text(FIRST + 20 * DAY)} recorded on a clock ahead of this one; "
        "that counts for nothing here"
    )
    ran(world, "score", 0)
    jumped(world, 25)
    at(world, FIRST + HOUR)
    assert "score has 6 slots up to" in ran_ahead(schedule_status(world, world.clock.now())[0])
    assert follow["ahead"] == [utc_text(FIRST + 20 * DAY)]


# ── what waits ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def chain(world):
    """Collect at five, score at six: scoring comes after collecting. Both ran on the first day."""
    collect, score = Schedule("collect", "collect", "0 5 * * *", "UTC"), replace(SCORE, after=("collect",))
    world.schedules = FakeSchedules(
        (collect, score), {"collect": [slot - HOUR for slot in SLOTS], "score": SLOTS}
    )
    at(world, FIRST)
    finish(world, world.acting("s-6"), "collect", FIRST - HOUR, Outcome.DONE, "a drop")
    ran(world, "score", 0)
    return world, score


def test_a_slot_waits_for_an_earlier_one_of_a_schedule_that_it_comes_after(chain):
    world, score = chain
    at(world, FIRST + 3 * DAY)
    assert waits_for(world, score, FIRST) is None
    assert waits_for(world, score, FIRST + DAY) == ("collect", FIRST + DAY - HOUR)
    assert waits_for(world, score, FIRST + 3 * DAY) == ("collect", FIRST + DAY - HOUR)
    finish(world, world.acting("s-6"), "collect", FIRST + DAY - HOUR, Outcome.NOTHING, "no drop")
    assert waits_for(world, score, FIRST + DAY) is None, "what is later holds nobody back"
    assert waits_for(world, score, FIRST + 2 * DAY) == ("collect", FIRST + 2 * DAY - HOUR)


def test_at_the_same_moment_it_waits_too(chain):
    world, score = chain
    at(world, FIRST + DAY)
    assert waits_for(world, score, FIRST + DAY - HOUR) == ("collect", FIRST + DAY - HOUR)


def test_nothing_waits_for_a_schedule_that_it_does_not_come_after(chain):
    world, _ = chain
    at(world, FIRST + 3 * DAY)
    assert waits_for(world, SCORE, FIRST + 3 * DAY) is None
    assert waits_for(world, replace(SCORE, after=("gone",)), FIRST + 3 * DAY) is None


def test_what_was_run_ahead_of_the_clock_is_waited_for(chain):
    world, score = chain
    at(world, FIRST + 9 * DAY)
    for day in range(1, 10):
        finish(world, world.acting("s-6"), "collect", FIRST + day * DAY - HOUR, Outcome.NOTHING, "too soon")
    at(world, FIRST + DAY)
    assert waits_for(world, score, FIRST + DAY) == ("collect", FIRST + DAY - HOUR)
