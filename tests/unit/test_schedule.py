from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.application.ingest import period_window
from tidegate.domain.schedule import GRACE, CatchUp, due, missed, period_before

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
