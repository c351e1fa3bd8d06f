"""The SQL behind the feature views, on flights made by hand: what counts, and when it was known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from tidegate.adapters.shared.arrow import write_parquet
from tidegate.adapters.shared.sql import run_sql

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "features" / "sources"
NEW_YORK = ZoneInfo("America/New_York")
DECLARED = {"airports": {"zones": [{"faa": "SJU", "tzone": "America/Puerto_Rico"}]}}
AIRPORTS = {
    "faa": ["JFK", "EWR", "LAX", "ORD", "XNX"],
    "tzone": ["America/New_York", "America/New_York", "America/Los_Angeles", "America/Chicago", "\\N"],
}


def flight(day, scheduled, arrives, delay=0, *, carrier="AA", origin="JFK", dest="LAX", departed=True):
    """Return one scheduled flight: New York times HHMM in, as in the yearly file; no delay, no arrival."""
    local = datetime(day.year, day.month, day.day, scheduled // 100, tzinfo=NEW_YORK)
    return {
        "year": day.year,
        "month": day.month,
        "day": day.day,
        "dep_time": scheduled if departed else None,
        "sched_dep_time": scheduled,
        "sched_arr_time": arrives,
        "arr_delay": delay if departed else None,
        "carrier": carrier,
        "flight": 1,
        "origin": origin,
        "dest": dest,
        "hour": scheduled // 100,
        "minute": scheduled % 100,
        "distance": 2475,
        "time_hour": local.astimezone(UTC),
    }


def cancelled(day, scheduled, arrives, **more):
    return flight(day, scheduled, arrives, departed=False, **more)


def diverted(day, scheduled, arrives, **more):
    return flight(day, scheduled, arrives, None, **more)


@pytest.fixture
def run(tmp_path):
    def query(file, flights):
        kinds = pa.schema([("arr_delay", pa.int64()), ("dep_time", pa.int64())])
        table = pa.Table.from_pylist(flights)
        for field in kinds:
            place = table.column_names.index(field.name)
            table = table.set_column(place, field, table.column(place).cast(field.type))
        batches = {
            "flights": [write_parquet(table, tmp_path / "flights.parquet")],
            "airports": [write_parquet(pa.table(AIRPORTS), tmp_path / "airports.parquet")],
        }
        return run_sql(file.read_text(), batches, DECLARED).to_pylist()

    return query


@pytest.fixture
def carriers(run):
    return lambda flights: run(SOURCES / "carrier_day.sql", flights)


@pytest.fixture
def routes(run):
    return lambda flights: run(SOURCES / "route_day.sql", flights)


WINTER = date(2013, 1, 5)


def utc(month, day, hour, minute=0):
    return datetime(2013, month, day, hour, minute, tzinfo=UTC)


def test_a_day_that_arrived_and_was_published_before_it_ended_is_known_at_its_end(carriers):
    (row,) = carriers([flight(WINTER, 600, 920)])  # lands 17:20Z, published 23:20Z
    assert row["event_timestamp"] == utc(1, 6, 5)
    assert row["created_timestamp"] == utc(1, 6, 5)


def test_a_late_arrival_keeps_the_day_unknown_until_six_hours_after_it_lands(carriers):
    (row,) = carriers([flight(WINTER, 1000, 1300, 600)])  # due 21:00Z, lands 07:00Z
    assert row["event_timestamp"] == utc(1, 6, 5)
    assert row["created_timestamp"] == utc(1, 6, 13)
    assert row["carrier_late_share_1d"] == 1.0


def test_an_overnight_flight_arrives_the_next_day_in_the_declared_zone(routes):
    (row,) = routes([flight(WINTER, 2300, 400, dest="SJU")])  # 04:00 in San Juan is 08:00Z
    assert row["created_timestamp"] == utc(1, 6, 14)


def test_the_day_the_clocks_change_ends_an_hour_earlier(carriers):
    rows = carriers([flight(date(2013, 3, 9), 600, 920), flight(date(2013, 3, 10), 600, 920)])
    assert [row["event_timestamp"] for row in rows] == [utc(3, 10, 5), utc(3, 11, 4)]


def test_a_flight_across_the_change_of_clocks_lands_when_the_wall_clock_says(carriers):
    spring = flight(date(2013, 3, 10), 100, 330, 1200, dest="ORD")  # 03:30 CDT is 08:30Z
    autumn = flight(date(2013, 11, 2), 2300, 30, 1200, dest="ORD")  # 00:30 CDT is 05:30Z
    rows = carriers([spring, autumn])
    assert [row["created_timestamp"] for row in rows] == [utc(3, 11, 10, 30), utc(11, 4, 7, 30)]


def test_a_cancelled_flight_counts_as_scheduled_and_cancelled_and_not_as_late(carriers, routes):
    flights = [flight(WINTER, 600, 920, 30), cancelled(WINTER, 700, 1020)]
    (row,) = carriers(flights)
    assert row["carrier_flights_1d"] == 2
    assert row["carrier_late_share_1d"] == 1.0
    assert row["carrier_cancel_share_7d"] == 0.5
    (row,) = routes(flights)
    assert (row["route_flights_28d"], row["route_late_share_28d"], row["route_mean_arr_delay_28d"]) == (
        2,
        1,
        30,
    )


@pytest.mark.parametrize("kind", [cancelled, diverted])
def test_a_flight_that_never_arrived_is_known_twelve_hours_after_it_was_due(carriers, kind):
    (row,) = carriers([kind(WINTER, 1800, 2100)])  # due 05:00Z
    assert row["created_timestamp"] == utc(1, 6, 17)
    assert row["carrier_late_share_1d"] is None
    assert row["carrier_flights_1d"] == 1


@pytest.mark.parametrize("dest", ["QQQ", "XNX"])
def test_a_destination_without_a_zone_counts_and_is_known_late_rather_than_early(carriers, dest):
    (row,) = carriers([flight(WINTER, 1000, 1300, 20, dest=dest)])  # departs 15:00Z
    assert row["carrier_flights_1d"] == 1
    assert row["carrier_late_share_1d"] == 1.0
    assert row["created_timestamp"] == utc(1, 6, 21, 20)


def test_a_declared_airport_that_airports_has_too_counts_once(run):
    flights = [flight(WINTER, 600, 920, dest="SJU")]
    AIRPORTS_TWICE = {name: [*values, values[0]] for name, values in AIRPORTS.items()}
    AIRPORTS_TWICE["faa"][-1] = "SJU"
    before = dict(AIRPORTS)
    try:
        AIRPORTS.update(AIRPORTS_TWICE)
        (row,) = run(SOURCES / "carrier_day.sql", flights)
    finally:
        AIRPORTS.update(before)
    assert row["carrier_flights_1d"] == 1


def test_fifteen_minutes_is_not_late_and_sixteen_is(carriers):
    (row,) = carriers([flight(WINTER, 600, 920, 15), flight(WINTER, 700, 1020, 16)])
    assert row["carrier_late_share_1d"] == 0.5


def test_windows_hold_seven_and_twenty_eight_days_with_their_last(carriers, routes):
    days = [0, 1, 7, 28]
    flights = [flight(WINTER + timedelta(days=day), 600, 920, 60 if day == 0 else 0) for day in days]
    shares = [(row["carrier_late_share_7d"], row["carrier_late_share_28d"]) for row in carriers(flights)]
    assert shares == [(1.0, 1.0), (0.5, 0.5), (0.0, pytest.approx(1 / 3)), (0.0, 0.0)]
    assert [row["route_flights_28d"] for row in routes(flights)] == [1, 2, 3, 3]


def test_a_row_waits_for_the_slowest_flight_of_its_whole_window(carriers):
    flights = [flight(WINTER, 2300, 220, 1800), flight(WINTER + timedelta(days=1), 600, 920)]
    first, second = carriers(flights)  # due 10:20Z on the 6th, lands 16:20Z on the 7th
    assert first["created_timestamp"] == utc(1, 7, 22, 20)
    assert second["event_timestamp"] == utc(1, 7, 5)
    assert second["created_timestamp"] == utc(1, 7, 22, 20)


def test_carriers_and_routes_do_not_mix(carriers, routes):
    flights = [
        flight(WINTER, 600, 920, 60),
        flight(WINTER, 600, 920, carrier="UA", origin="EWR"),
        flight(WINTER, 600, 820, carrier="UA", origin="EWR", dest="ORD"),
    ]
    assert {row["carrier"]: row["carrier_late_share_1d"] for row in carriers(flights)} == {
        "AA": 1.0,
        "UA": 0.0,
    }
    assert [(row["origin"], row["dest"], row["route_flights_28d"]) for row in routes(flights)] == [
        ("EWR", "LAX", 1),
        ("EWR", "ORD", 1),
        ("JFK", "LAX", 1),
    ]


def test_no_label_is_known_later_than_the_row_it_went_into(run):
    flights = [
        flight(date(2013, 3, 9), 2300, 220, 45),
        flight(date(2013, 3, 10), 100, 330, 90, dest="ORD"),
        flight(WINTER, 2359, 440, 700, dest="SJU"),
        flight(WINTER, 600, 920, -20),
        flight(date(2013, 11, 2), 2300, 30, 300, dest="ORD"),
    ]
    known = {
        (row["origin"], row["dest"], row["event_timestamp"]): row["created_timestamp"]
        for row in run(SOURCES / "route_day.sql", flights)
    }
    for label in run(ROOT / "models" / "flight_delay" / "rows.sql", flights):
        local = label["event_timestamp"].astimezone(NEW_YORK)
        end = datetime(local.year, local.month, local.day, tzinfo=NEW_YORK) + timedelta(days=1)
        assert known[label["origin"], label["dest"], end.astimezone(UTC)] >= label["label_time"]


def test_both_sources_work_arrivals_out_in_the_same_words():
    texts = [(SOURCES / f"{view}.sql").read_text() for view in ("carrier_day", "route_day")]
    shared = [text[text.index("WITH zones") : text.index("days AS (")] for text in texts]
    assert shared[0] == shared[1]
