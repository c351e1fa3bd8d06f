from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.application.ingest import period_window
from tidegate.domain.schedule import (
    GRACE,
    CatchUp,
    Due,
    Schedule,
    due,
    in_order,
    missed,
    period_before,
    periods_between,
)

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
moments = st.integers(0, 100 * 365 * 24 * 3600).map(lambda seconds: EPOCH + timedelta(seconds=seconds))
slots = st.lists(moments, max_size=20)


@given(slots)
def test_each_missed_slot_is_caught_up_once_oldest_first(given):
    found = due(given, CatchUp.EACH)
    assert [each.slot for each in found] == sorted(given)
    assert all(each.covers == 0 for each in found)


@given(slots)
def test_where_the_latest_counts_one_run_makes_good_for_all(given):
    found = due(given, CatchUp.LATEST)
    assert len(found) == min(1, len(given))
    for each in found:
        assert each.slot == max(given)
        assert each.covers == len(given) - 1


@given(slots, st.sampled_from(CatchUp))
def test_however_it_is_caught_up_every_slot_is_accounted_for(given, catch_up):
    assert sum(1 + each.covers for each in due(given, catch_up)) == len(given)


@given(slots, moments)
def test_a_slot_is_missed_when_its_grace_is_over(given, now):
    found = missed(given, now)
    assert list(found) == sorted(slot for slot in given if slot + GRACE < now)


def test_a_run_that_may_still_start_in_time_is_not_missed():
    now = datetime(2013, 2, 1, 7, 30, tzinfo=UTC)
    assert missed([now - GRACE], now) == ()
    assert missed([now - GRACE - timedelta(seconds=1)], now) == (now - GRACE - timedelta(seconds=1),)


@given(moments)
def test_the_period_before_a_moment_is_over_and_no_later_one_is(moment):
    first, after = period_window(period_before(moment))
    assert first < after <= moment
    assert period_before(after) == period_before(moment)


@pytest.mark.parametrize(
    ("moment", "period"),
    [
        (datetime(2013, 2, 1, 6, 30, tzinfo=UTC), "2013-01"),
        (datetime(2013, 1, 4, 7, tzinfo=UTC), "2012-12"),
        (datetime(2013, 3, 31, 23, 59, tzinfo=UTC), "2013-02"),
        (datetime(2013, 2, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2012-12"),
    ],
)
def test_months_are_utc_months(moment, period):
    assert period_before(moment) == period


# ── one agenda of several schedules ──────────────────────────────────────────────────────────────

COLLECT = Schedule("collect", "collect", "", "UTC")
BUILD = Schedule("build", "build", "", "UTC", CatchUp.LATEST, after=("collect",))
SCORE = Schedule("score", "score", "", "UTC", after=("collect", "build"))
FOLLOW = Schedule("follow", "follow", "", "UTC", CatchUp.LATEST)
ALL = (COLLECT, BUILD, SCORE, FOLLOW)


@given(st.tuples(slots, slots, slots, slots))
def test_nothing_is_run_before_what_it_waits_for_and_everything_is_run(given):
    asked = [(schedule, sorted(set(mine))) for schedule, mine in zip(ALL, given, strict=True)]
    left = {schedule.name: set(mine) for schedule, mine in asked}
    for schedule, run in in_order(asked):
        for name in schedule.after:
            assert not [slot for slot in left[name] if slot <= run.slot], "it would wait"
        covered = [slot for slot in left[schedule.name] if slot <= run.slot]
        assert len(covered) == 1 + run.covers
        left[schedule.name] -= set(covered)
    assert not any(left.values())


@given(slots, slots)
def test_what_waits_for_nothing_comes_by_slot_and_then_as_the_file_has_it(first, second):
    one, two = Schedule("one", "one", "", "UTC"), Schedule("two", "two", "", "UTC")
    found = [(run.slot, schedule.name) for schedule, run in in_order([(one, first), (two, second)])]
    assert found == sorted(found)


def test_months_of_downtime_are_scored_on_what_was_built_of_all_of_them():
    """One build makes good for three months: it is waited for since the first of them."""
    first = [datetime(2013, month, 1, 5, tzinfo=UTC) for month in (1, 2, 3)]
    later = [slot + timedelta(hours=1) for slot in first]
    last = [slot + timedelta(hours=2) for slot in first]
    assert [
        (schedule.name, run) for schedule, run in in_order([(COLLECT, first), (BUILD, later), (SCORE, last)])
    ] == [
        *(("collect", Due(slot)) for slot in first),
        ("build", Due(later[2], 2)),
        *(("score", Due(slot)) for slot in last),
    ]


# ── months ───────────────────────────────────────────────────────────────────────────────────────


@given(moments, moments)
def test_the_months_between_are_those_that_ended_after_the_one_and_by_the_other(one, other):
    since, until = sorted((one, other))
    found = periods_between(since, until)
    assert list(found) == sorted(set(found))
    for period in found:
        assert since < period_window(period)[1] <= until
    edges = period_before(since), period_before(until)
    assert edges[0] not in found
    assert (found[-1] == edges[1]) if found else edges[0] == edges[1]


def test_a_month_that_ends_as_one_comes_is_none_of_its_own():
    february = datetime(2013, 2, 1, tzinfo=UTC)
    assert periods_between(february, datetime(2013, 4, 1, tzinfo=UTC)) == ("2013-02", "2013-03")
    assert periods_between(february - timedelta(seconds=1), february) == ("2013-01",)
    assert periods_between(february, february) == ()
