"""What schedules owe a model, on fakes: which months its versions answer for, and what nobody has looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.application.lower import lower
from tidegate.application.periods import Owed, gaps, owed, to_score
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.application.runs import finish
from tidegate.application.status import status
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.schedule import Outcome, Schedule
from tidegate.domain.state import TrainingSetRow
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.running import FakeSchedules
from tidegate.testing.fakes.small import FixedClock

WATCH = Schedule("watch", "monitor", "0 7 4 * *", "UTC")


def at(world: FakePlatform, month: int, day: int = 1, year: int = 2024) -> datetime:
    """Set the clock to the morning of a day."""
    assert isinstance(world.clock, FixedClock)
    world.clock.moment = datetime(year, month, day, 6, tzinfo=UTC)
    return world.clock.moment


def live(world: FakePlatform, version: int) -> None:
    """Take a version up into prod."""
    climb(world, world.acting("p-2"), MODEL, version, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, version, Action.APPROVE, "Evidence looks sound to me.")


def arrives(world: FakePlatform, *months: int) -> None:
    for month in months:
        world.accept(f"2024-{month:02d}", accepted=120)


def to_do(world: FakePlatform, month: int, day: int = 1) -> list[tuple[str, tuple[int, ...]]]:
    return list(to_score(world, MODEL, at(world, month, day)).items())


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world whose first version went live on 4 April; rows are there since January."""
    world = FakePlatform(tmp_path)
    at(world, 4, 4)
    arrives(world, 1, 2, 3)
    world.register()
    live(world, 1)
    return world


# ── what is to be scored ─────────────────────────────────────────────────────────────────────────


def test_a_version_answers_for_the_month_it_came_in_and_for_none_before(world: FakePlatform) -> None:
    arrives(world, 4)
    assert to_do(world, 5) == [("2024-04", (1,))]
    world.scored(1, "2024-04")
    assert to_do(world, 5) == []


def test_a_month_that_is_not_over_is_not_scored(world: FakePlatform) -> None:
    arrives(world, 4, 5)
    world.scored(1, "2024-04")
    assert to_do(world, 5, 31) == []
    assert to_do(world, 6) == [("2024-05", (1,))]


def test_a_month_whose_drop_comes_late_is_scored_by_the_next_run(world: FakePlatform) -> None:
    """The slot of 1 June is over and done; what it could not score is scored on 1 July."""
    arrives(world, 4)
    world.scored(1, "2024-04")
    with pytest.raises(Refused) as error:
        to_do(world, 6)
    assert error.value.code == "nothing-to-score"
    assert "got no batch of trips for 2024-05" in error.value.sentence
    arrives(world, 6, 5)
    assert to_do(world, 7) == [("2024-05", (1,)), ("2024-06", (1,))]


def test_a_month_without_its_own_batch_does_not_hold_up_the_others(world: FakePlatform) -> None:
    arrives(world, 5)
    assert to_do(world, 6) == [("2024-05", (1,))]
    found = owed(world, world.models.spec(MODEL), at(world, 6))
    assert found == (Owed("2024-04", (1,), arrived=False), Owed("2024-05", (1,), arrived=True))


@pytest.mark.parametrize(
    ("period", "more"), [("2024-05", {"accepted": 0}), ("2024-05", {"dataset": "labels", "accepted": 9})]
)
def test_rows_are_there_once_a_batch_with_rows_of_the_first_dataset_is(
    world: FakePlatform, period: str, more: dict[str, object]
) -> None:
    spec = world.models.spec(MODEL)
    world.models.put(replace(spec, datasets=(*spec.datasets, "labels")))
    arrives(world, 4)
    world.scored(1, "2024-04")
    world.accept(period, **more)
    with pytest.raises(Refused):
        to_do(world, 6)


@pytest.mark.parametrize("period", ["2024", "2024-05", "2024-05-17"])
def test_a_batch_of_a_year_a_month_or_a_day_covers_the_month(world: FakePlatform, period: str) -> None:
    world.scored(1, "2024-04")
    world.accept(period, accepted=120)
    assert to_do(world, 6) == [("2024-05", (1,))]


def test_a_canary_scores_beside_the_live_version_from_the_month_it_came_in(world: FakePlatform) -> None:
    arrives(world, 4)
    at(world, 5, 4)
    world.scored(1, "2024-04")
    world.register()
    climb(world, world.acting("p-2"), MODEL, 2)
    arrives(world, 5)
    assert to_do(world, 6) == [("2024-05", (1, 2))]
    world.scored(1, "2024-05")
    assert to_do(world, 6) == [("2024-05", (2,))], "a run that was killed between the two"


def test_a_version_that_went_live_scores_nothing_that_an_earlier_one_served(world: FakePlatform) -> None:
    arrives(world, 4, 5)
    for month in ("2024-04", "2024-05"):
        world.scored(1, month)
    at(world, 6, 4)
    world.register()
    live(world, 2)
    arrives(world, 6)
    assert to_do(world, 7) == [("2024-06", (2,))]


def test_a_late_month_is_scored_by_the_version_that_was_there_and_not_by_a_later_canary(
    world: FakePlatform,
) -> None:
    arrives(world, 5)
    world.scored(1, "2024-05")
    at(world, 6, 4)
    world.register()
    climb(world, world.acting("p-2"), MODEL, 2)
    arrives(world, 4, 6)
    assert to_do(world, 7) == [("2024-04", (1,)), ("2024-06", (1, 2))]


def test_a_late_month_whose_version_has_left_falls_to_the_live_one(world: FakePlatform) -> None:
    at(world, 5, 4)
    world.register()
    live(world, 2)
    arrives(world, 4, 5)
    assert to_do(world, 6) == [("2024-04", (2,)), ("2024-05", (2,))]


def test_but_not_to_one_that_learned_from_it(world: FakePlatform) -> None:
    at(world, 5, 4)
    world.register()
    live(world, 2)
    learned(world, until="2024-04-16T00:00:00Z")
    arrives(world, 4, 5)
    assert to_do(world, 6) == [("2024-05", (2,))]


def learned(world: FakePlatform, until: str) -> None:
    """Say of the training set that all versions here share up to when they learned from it."""
    (row,) = world.ledger.state().select(TrainingSetRow)
    payload = {name: value for name, value in row.__dict__.items() if name != "sequence"}
    windows = {"validate": [until, until]}
    world.write(EventType.TRAINING_SET_BUILT, {**payload, "batches": [], "windows": windows}, "s-1")


def test_a_version_that_came_back_answers_from_then_on(world: FakePlatform) -> None:
    at(world, 5, 4)
    world.register()
    live(world, 2)
    arrives(world, 4, 5)
    world.scored(1, "2024-04")
    at(world, 6, 3)
    lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, "Odd scores.")
    world.scored(2, "2024-05")
    arrives(world, 6)
    assert to_do(world, 7) == [("2024-06", (1,))]


def test_a_version_that_came_on_a_clock_ahead_answers_for_the_month_it_really_came_in(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    at(world, 3, 4)
    world.register()
    at(world, 3, 4, year=2031)
    live(world, 1)
    at(world, 3, 5)
    arrives(world, 2, 3)
    assert to_do(world, 4) == [("2024-03", (1,))]


def test_without_a_version_that_stands_the_reason_is_told(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.register()
    with pytest.raises(Refused) as error:
        to_do(world, 5)
    assert error.value.code == "nothing-to-score-with"
    with pytest.raises(BadInput, match="got the model 'other'"):
        to_score(world, "other", at(world, 5))


# ── what status shows ────────────────────────────────────────────────────────────────────────────


def shown(world: FakePlatform, month: int, day: int = 5) -> list[tuple[str, str]]:
    found = gaps(world, at(world, month, day))
    assert status(world)["gaps"] == found
    assert {item["model"] for item in found} <= {MODEL}
    return [(item["period"], item["gap"]) for item in found]


def test_where_all_is_done_there_is_no_gap(world: FakePlatform) -> None:
    arrives(world, 4)
    world.scored(1, "2024-04")
    monitored(world, "2024-04")
    assert shown(world, 5) == []


def test_a_month_that_is_over_and_not_scored_is_shown_with_the_reason(world: FakePlatform) -> None:
    assert shown(world, 5) == [("2024-04", "not scored: no batch of trips is there")]
    arrives(world, 4)
    assert shown(world, 5) == [("2024-04", "not scored")]


def test_decisions_that_no_monitor_has_seen_are_shown_and_a_canary_s_are_not(world: FakePlatform) -> None:
    arrives(world, 4)
    world.scored(1, "2024-04")
    world.register()
    world.scored(2, "2024-04", "canary")
    assert shown(world, 5) == [("2024-04", "not monitored")]


def test_data_that_came_since_are_shown_until_a_scheduled_run_has_looked(world: FakePlatform) -> None:
    arrives(world, 4)
    world.scored(1, "2024-04")
    monitored(world, "2024-04")
    world.schedules = FakeSchedules((WATCH,), {})
    world.accept("2024-04", drop="sha256:again", revision=1)
    world.accept("2024-06", accepted=0)
    gap = [("2024-04", "not monitored since trips 2024-04 came")]
    assert shown(world, 5, 3) == gap
    looked(world, at(world, 5, 4) - timedelta(days=30))
    assert shown(world, 5) == gap, "that slot came before the month was over"
    looked(world, at(world, 5, 4))
    assert shown(world, 5) == []


def test_what_cannot_be_told_hides_nothing_else(world: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise BadInput("model", "models/tram_delay/model.yaml has one fault: line 3", "mend it")

    monkeypatch.setattr(world.models, "spec", broken)
    found = status(world)
    assert (found["gaps"], found["gaps_fault"]) == ([], "models/tram_delay/model.yaml has one fault: line 3")
    assert found["models"][MODEL]["stages"] == {"prod": 1}


def monitored(world: FakePlatform, period: str) -> None:
    payload = {
        "model": MODEL,
        "period": period,
        "version": 1,
        "verdict": "passed",
        "evidence": {},
        "report": "",
    }
    world.write(
        EventType.MONITOR_RAN, {**payload, "outcomes": "tg1:o", "review": ""}, "s-2", f"model/{MODEL}"
    )


def looked(world: FakePlatform, slot: datetime) -> None:
    finish(world, world.acting("s-2"), WATCH.name, slot, Outcome.NOTHING, utc_text(slot))
