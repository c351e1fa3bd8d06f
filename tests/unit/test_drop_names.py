"""What a drop's name says: its period, and how often that was restated."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.application.revisions import period_of, period_window, revision_of
from tidegate.domain.errors import BadInput


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        ("flights-2013-01.zip", 0),
        ("flights-2013-01.csv.gz", 0),
        ("flights-2013-01", 0),
        ("flights-2013-01.r1.zip", 1),
        ("flights-2013-01.r999.csv", 999),
        ("flights-2013-01.r12.csv.zip", 12),
    ],
)
def test_a_drops_name_states_its_revision_before_its_extension(name: str, revision: int) -> None:
    assert revision_of(Path(name)) == revision


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("flights-2013-01.zip", "2013-01"),
        ("flights-2013.csv", "2013"),
        ("flights-2013-01-31.csv.gz", "2013-01-31"),
        ("2013-02.csv", "2013-02"),
    ],
)
def test_a_drops_name_ends_with_its_period(name: str, period: str) -> None:
    assert period_of(Path(name)) == period


@pytest.mark.parametrize(
    "name", ["flights.csv", "flights-13-01.csv", "flights-2013-01-new.csv", ".csv", "flights-20130131.csv"]
)
def test_a_drop_without_a_period_is_bad_input(name: str) -> None:
    with pytest.raises(BadInput) as error:
        period_of(Path(name))
    assert error.value.code == "no-period"


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("2013", datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)),
        ("2013-12", datetime(2013, 12, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)),
        ("2012-02-29", datetime(2012, 2, 29, tzinfo=UTC), datetime(2012, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_periods_window_ends_where_the_next_begins(period: str, start: datetime, end: datetime) -> None:
    assert period_window(period) == (start, end)


@pytest.mark.parametrize("period", ["", "2013-13", "2013-02-30", "0000", "2013-1", "x2013", "2013-01-31-01"])
def test_a_malformed_period_is_bad_input(period: str) -> None:
    with pytest.raises(BadInput) as error:
        period_window(period)
    assert error.value.code == "bad-period"


@pytest.mark.parametrize("period", ["2013-00", "2013-01-00", "9999", "9999-12", "9999-12-31", "２０１３"])
def test_a_period_no_calendar_has_is_bad_input(period: str) -> None:
    with pytest.raises(BadInput) as error:
        period_window(period)
    assert error.value.code == "bad-period"
