from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.application.recording import draft
from tidegate.application.runs import (
    MAX_SUMMARY,
    agenda,
    due_by,
    finish,
    outstanding,
    schedule_status,
    story_of,
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
from tidegate.testing.fakes.small import START, FixedClock

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


def ran(world, schedule, day, outcome=Outcome.DONE, **more):
    service = world.acting("s-6" if schedule == "score" else "s-4")
    return finish(world, service, schedule, FIRST + day * DAY, outcome, "as it was", **more)


def asked(world, now):
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
    world.clock = FixedClock(START + 20 * DAY)
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
        {**names, "rows": 3, "root": "r", "file": "f", "stage": "prod"},
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
    world.clock = FixedClock(FIRST + 2 * DAY + HOUR)
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
    finish(world, world.acting("s-6"), "score", late, Outcome.DONE, "half a second later")
    ran(world, "score", 1)
    assert schedule_status(world, late)[0]["last"]["summary"] == "half a second later"
