"""How fresh features are: durations, ages, and where stale begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.freshness import MOST, age, duration, of_newest, of_values, spelled, stale

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given a zone
LENGTHS = st.timedeltas(timedelta(), MOST)
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@given(st.integers(1, 9_999_999), st.sampled_from(sorted(UNITS)))
def test_a_whole_number_and_a_unit_is_a_duration_up_to_ten_years(count: int, unit: str) -> None:
    length = count * UNITS[unit]
    assert duration(f"{count}{unit}") == (length if length <= MOST else None)


@pytest.mark.parametrize(
    "stated",
    [
        *(
            "",
            "36",
            "h",
            "36 h",
            " 36h",
            "36h ",
            "36H",
            "36hours",
            "1d12h",
            "1.5h",
            "-1h",
            "+1h",
            "0h",
            "00h",
        ),
        *("036h", "36s", "1w", "PT36H", "36h\n", "٣h", "1e3h", "99999999m", "3651d", "never"),
        *(36, 36.0, None, True, timedelta(hours=36), ["36h"]),
    ],
)
def test_everything_else_is_none(stated: object) -> None:
    assert duration(stated) is None


@given(st.text(max_size=12))
def test_no_text_is_more_than_refused(stated: str) -> None:
    found = duration(stated)
    assert found is None or timedelta(minutes=1) <= found <= MOST


@given(LENGTHS.filter(lambda length: length >= timedelta(seconds=1)))
def test_a_duration_is_spelled_by_its_two_largest_units_and_never_as_longer_than_it_is(
    length: timedelta,
) -> None:
    units = {**UNITS, "s": timedelta(seconds=1)}
    parts = spelled(length).split()
    told = sum((int(part[:-1]) * units[part[-1]] for part in parts), timedelta())
    assert 1 <= len(parts) <= 2
    assert told <= length < told + units[parts[-1][-1]] + (units["h"] if len(parts) == 2 else timedelta())


def test_durations_read_as_people_say_them() -> None:
    asked = {"36h": "1d 12h", "45d": "45d", "90m": "1h 30m", "1m": "1m", "3650d": "3650d"}
    assert {stated: spelled(length) for stated in asked if (length := duration(stated))} == asked
    assert [spelled(timedelta(days=45, seconds=5)), spelled(timedelta()), spelled(timedelta(-1))] == [
        "45d 5s",
        "0m",
        "0m",
    ]


@given(MOMENTS, LENGTHS)
def test_an_age_is_the_time_since_and_its_bound_is_within_the_objective(
    moment: datetime, length: timedelta
) -> None:
    old = age(moment - length, moment)
    assert old == length
    assert not stale(old, length)
    assert stale(age(moment - length - timedelta(microseconds=1), moment), length)


@given(MOMENTS, MOMENTS, LENGTHS)
def test_no_age_is_negative_and_what_is_dated_ahead_is_as_young_as_can_be(
    happened: datetime, moment: datetime, objective: timedelta
) -> None:
    old = age(happened, moment)
    assert old is not None
    assert old >= timedelta()
    if happened >= moment:
        assert (old, stale(old, objective)) == (timedelta(), False)


@given(MOMENTS, LENGTHS)
def test_nothing_known_is_stale_whatever_is_asked(moment: datetime, objective: timedelta) -> None:
    assert age(None, moment) is None
    assert stale(age(None, moment), objective)


@given(LENGTHS, LENGTHS, LENGTHS)
def test_what_is_older_is_never_fresher_and_who_asks_less_marks_no_more(
    one: timedelta, other: timedelta, objective: timedelta
) -> None:
    young, old = sorted((one, other))
    assert stale(old, objective) or not stale(young, objective)
    assert stale(objective, young) or not stale(objective, old)


def test_a_lag_is_as_the_freshness_unless_it_is_stated() -> None:
    day, week = 86_400, 7 * 86_400
    asked = {
        (): (None, None),
        (("freshness", day),): (timedelta(days=1), timedelta(days=1)),
        (("lag", week),): (None, timedelta(days=7)),
        (("freshness", day), ("lag", week)): (timedelta(days=1), timedelta(days=7)),
    }
    assert {stated: (of_values(dict(stated)), of_newest(dict(stated))) for stated in asked} == asked
