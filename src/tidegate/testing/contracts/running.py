"""What everybody may expect of `ports.Schedules` and `ports.Turns`."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.application.ports import Schedules, Turns
from tidegate.domain.schedule import CatchUp, Schedule

DAILY = Schedule("nightly", "follow", "30 2 * * *", "UTC", CatchUp.LATEST)
MONTHLY = Schedule("monthly", "score", "0 6 1 * *", "UTC", CatchUp.EACH, {"model": "tram_delay"})
MARCH = datetime(2013, 3, 1, tzinfo=UTC)


class SchedulesContract:
    """Subclass it, give it ``holding``, and it runs."""

    @pytest.fixture
    def holding(self) -> Callable[..., Schedules]:
        """Return what makes the subject from schedules that it then holds."""
        raise NotImplementedError

    def test_all_schedules_are_there_in_their_order(self, holding: Callable[..., Schedules]) -> None:
        assert holding(MONTHLY, DAILY).all() == (MONTHLY, DAILY)
        assert holding(DAILY, MONTHLY).all() == (DAILY, MONTHLY)

    def test_without_a_schedule_there_is_none(self, holding: Callable[..., Schedules]) -> None:
        assert holding().all() == ()

    def test_the_first_moment_is_left_out_and_the_last_one_counts(
        self, holding: Callable[..., Schedules]
    ) -> None:
        subject, slot = holding(DAILY), MARCH.replace(hour=2, minute=30)
        day = timedelta(days=1)
        assert subject.slots(DAILY, slot, slot + 2 * day) == (slot + day, slot + 2 * day)
        assert subject.slots(DAILY, slot, slot) == ()
        assert subject.slots(DAILY, slot, slot + day - timedelta(seconds=1)) == ()

    def test_slots_are_utc_ascending_and_each_once(self, holding: Callable[..., Schedules]) -> None:
        slots = holding(DAILY).slots(DAILY, MARCH, MARCH + timedelta(days=40))
        assert list(slots) == sorted(set(slots))
        assert {slot.utcoffset() for slot in slots} == {timedelta(0)}
        assert len(slots) == 40

    def test_the_following_slot_is_the_first_one_after(self, holding: Callable[..., Schedules]) -> None:
        subject, slot = holding(DAILY, MONTHLY), MARCH.replace(hour=2, minute=30)
        assert subject.following(DAILY, MARCH) == slot
        assert subject.following(DAILY, slot) == slot + timedelta(days=1)
        assert subject.following(MONTHLY, slot) == MARCH.replace(hour=6)


def held_for(turns: Turns, wait: float) -> bool:
    """Say whether the turn was had."""
    with turns.take("score", wait) as mine:
        return mine


class TurnsContract:
    """Subclass it, give it a ``subject`` and an ``other`` that shares its turns, and it runs."""

    @pytest.fixture
    def subject(self) -> Turns:
        raise NotImplementedError

    @pytest.fixture
    def other(self) -> Turns:
        raise NotImplementedError

    def test_while_one_holds_a_turn_nobody_else_has_it(self, subject: Turns, other: Turns) -> None:
        with subject.take("score") as mine, other.take("score") as theirs:
            assert (mine, theirs) == (True, False)

    def test_nor_does_the_same_holder_have_it_twice(self, subject: Turns) -> None:
        with subject.take("score") as first, subject.take("score") as second:
            assert (first, second) == (True, False)

    def test_who_waits_has_the_turn_once_the_other_ends(self, subject: Turns, other: Turns) -> None:
        with ThreadPoolExecutor(1) as pool:
            with subject.take("score"):
                waiting = pool.submit(held_for, other, 30.0)
                with pytest.raises(TimeoutError):
                    waiting.result(timeout=0.3)
            assert waiting.result(timeout=30)

    def test_who_waited_in_vain_is_told_so(self, subject: Turns, other: Turns) -> None:
        begun = time.monotonic()
        with subject.take("score"), other.take("score", wait=0.2) as theirs:
            assert not theirs
        assert time.monotonic() - begun >= 0.2

    def test_a_turn_that_ended_is_free(self, subject: Turns, other: Turns) -> None:
        with subject.take("score"):
            pass
        with other.take("score") as theirs:
            assert theirs

    def test_whoever_did_not_have_it_does_not_end_it(self, subject: Turns, other: Turns) -> None:
        with subject.take("score") as mine:
            assert mine
            with other.take("score"):
                pass
            with other.take("score") as theirs:
                assert not theirs

    def test_a_turn_ends_with_whatever_went_wrong_in_it(self, subject: Turns, other: Turns) -> None:
        with pytest.raises(ZeroDivisionError), subject.take("score"):
            raise ZeroDivisionError
        with other.take("score") as theirs:
            assert theirs

    @pytest.mark.parametrize("name", ["monitor", "score/2", "../score", "Score", "ſcore", "score\x00"])
    def test_another_name_is_another_turn(self, subject: Turns, other: Turns, name: str) -> None:
        with subject.take("score") as mine, other.take(name) as theirs:
            assert mine
            assert theirs
