"""What is asked of the moment a version would enter prod: how old data are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tidegate.application.preconditions import preconditions
from tidegate.domain.lifecycle import Precondition, WayBack
from tidegate.domain.policy import Preconditions
from tidegate.testing.cases import a_policy
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import START

BACK = WayBack("fallback", "abstain", verified=True)


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world on 1 January 2020."""
    return FakePlatform(tmp_path)


def fresh(world: FakePlatform, days: int, *datasets: str, most: int = 45) -> Precondition:
    """Return how fresh data are ``days`` after the first of January."""
    policy = replace(a_policy(), preconditions=Preconditions(fresh_days=most))
    now = START + timedelta(days=days)
    state, version = world.ledger.state(), world.register()
    (found,) = preconditions(state, policy, version, datasets or ("trips",), BACK, (), now)
    return found


def test_a_batch_grows_old_from_its_acceptance(world: FakePlatform) -> None:
    world.accept("2019-12")
    assert (fresh(world, 45).holds, fresh(world, 46).holds) == (True, False)
    assert fresh(world, 46).sentence == "the newest batch of trips is 46 days old, expected at most 45"


def test_a_list_of_a_year_is_no_older_while_its_year_runs(world: FakePlatform) -> None:
    world.accept("2020")
    assert fresh(world, 365).sentence == "the newest batch of trips is 0 days old, expected at most 45"
    assert [fresh(world, 366 + days).holds for days in (0, 45, 46)] == [True, True, False]


def test_a_period_that_lies_ahead_makes_nothing_fresh(world: FakePlatform) -> None:
    world.accept("2024-01")
    assert fresh(world, 46).holds is False


def test_a_drop_that_names_no_period_grows_old_from_its_acceptance(world: FakePlatform) -> None:
    world.accept("")
    assert (fresh(world, 45).holds, fresh(world, 46).holds) == (True, False)


def test_the_oldest_of_the_datasets_speaks_and_one_that_is_missing_cannot_be_told(
    world: FakePlatform,
) -> None:
    world.accept("2020")
    world.accept("2019-12", dataset="ticks")
    assert "batch of ticks is 46 days old" in fresh(world, 46, "trips", "ticks").sentence
    found = fresh(world, 1, "trips", "tides")
    assert (found.holds, found.sentence) == (None, "no batch of tides was accepted, expected a fresh one")


def test_a_clock_that_is_set_back_makes_nothing_fresh_again(world: FakePlatform) -> None:
    world.accept("2019-12")
    world.clock.moment = START + timedelta(days=60)
    world.accept("2019-12", dataset="ticks")
    assert fresh(world, 10).sentence == "the newest batch of trips is 60 days old, expected at most 45"
    assert fresh(world, 10, "ticks").holds is True
