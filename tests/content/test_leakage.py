"""Nothing that was learned later reaches a feature: on the team's own feature repository."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegate.adapters.feast_store import FeastStore
from tidegate.adapters.shared.arrow import write_parquet
from tidegate.adapters.shared.sql import write_frame

ROOT = Path(__file__).parents[2]
NEW_YORK = ZoneInfo("America/New_York")
FIRST = datetime(2013, 2, 20)  # noqa: DTZ001 - New York's wall clock; it changes on 10 March
CUT = datetime(2013, 3, 16, 18, 0, tzinfo=UTC)
DAYS = 30
DECLARED = {"airports": {"zones": [{"faa": "SJU", "tzone": "America/Puerto_Rico"}]}}
AIRPORTS = {"faa": ["JFK", "LGA"], "tzone": ["America/New_York"] * 2}
PLACES = ("LAX", "ORD")
HOUR = timedelta(hours=1)
SERVICES = {"flight_delay": ["carrier", "origin", "dest"], "origin_delay": ["origin"]}
KEYS = [
    {"carrier": carrier, "origin": origin, "dest": dest}
    for carrier in ("AA", "UA")
    for origin in AIRPORTS["faa"]
    for dest in PLACES
]


def minutes(number):
    return timedelta(minutes=number)


def flight(local, key, delay):
    """Return a flight due at a wall-clock time; ``departs`` is when in UTC."""
    departs = local.replace(tzinfo=NEW_YORK).astimezone(UTC)
    return {
        "year": local.year,
        "month": local.month,
        "day": local.day,
        "dep_time": None if delay is None else 1,
        "dep_delay": delay,
        **key,
        "hour": local.hour,
        "minute": local.minute,
        "time_hour": departs.replace(minute=0),
        "departs": departs,
    }


def flights():
    """Return 30 days of flights, two an hour: some cancelled, some many hours late."""
    chance, rows = random.Random(11), []
    for number in range(DAYS * 48):
        local = FIRST + minutes(30 * number + chance.randrange(30))
        fate = chance.random()
        delay = chance.randrange(200, 1300) if fate < 0.1 else chance.randrange(-20, 60)
        rows.append(flight(local, chance.choice(KEYS), None if fate < 0.05 else delay))
    return rows


def published(row):
    """Return when the world learned what came of the departure."""
    if row["dep_delay"] is None:
        return row["departs"] + 6 * HOUR
    return row["departs"] + minutes(row["dep_delay"] + 15)


def otherwise(row):
    """Return the flight with another departure, or with none, published after the cut too."""
    if row["dep_delay"] is None:
        return {**row, "dep_time": 1, "dep_delay": 400}
    if row["departs"] + 6 * HOUR > CUT and row["minute"] % 2:
        return {**row, "dep_time": None, "dep_delay": None}
    return {**row, "dep_delay": row["dep_delay"] + 777}


def weather(days=DAYS):
    """Return readings by hour; temperature numbers the hours, so that none can pass for another."""
    start = FIRST.replace(tzinfo=NEW_YORK).astimezone(UTC)
    return [
        reading(start + hour * HOUR, origin, hour) for hour in range(days * 24) for origin in ("JFK", "LGA")
    ]


def reading(time, origin, temp):
    usual = {
        "humid": 50.0,
        "wind_speed": 8.0,
        "wind_gust": 20.0,
        "precip": 0.0,
        "pressure": 1012.0,
        "visib": 10.0,
    }
    return {"origin": origin, "time_hour": time, "temp": float(temp), **usual}


def planted(rows, readings):
    """Return the same history, with everything that was published after the cut replaced."""
    return (
        [otherwise(row) if published(row) > CUT else row for row in rows],
        [
            {**row, "temp": -99.0, "pressure": None} if row["time_hour"] + HOUR > CUT else row
            for row in readings
        ],
    )


def joined(store, folder, asked, service="flight_delay"):
    """Return the features at each row's ``departs``."""
    columns = {name: pa.array([row[name] for row in asked], pa.string()) for name in SERVICES[service]}
    times = pa.array([row["departs"] for row in asked], pa.timestamp("us", "UTC"))
    entities = write_frame(pa.table({"event_timestamp": times, **columns}), folder / "entities")
    return pq.ParquetFile(store.training_frame(entities, service, []).path).read().to_pylist()


@pytest.fixture
def build(tmp_path):
    def of(name, rows, readings):
        folder = tmp_path / name
        columns = [column for column in rows[0] if column != "departs"]
        tables = {
            "flights": pa.table({column: pa.array([row[column] for row in rows]) for column in columns}),
            "weather": pa.Table.from_pylist(readings),
            "airports": pa.table(AIRPORTS),
        }
        batches = {n: [write_parquet(table, folder / f"{n}.parquet")] for n, table in tables.items()}
        store = FeastStore(ROOT / "features", folder / "home")
        store.build(batches, DECLARED)
        store.apply()
        return store

    return of


@pytest.fixture
def small(build):
    """Return a store that knows one flight a day at JFK and the weather there."""

    def of(readings=None):
        days = [FIRST + timedelta(days=day, hours=10) for day in range(3)]
        return build("small", [flight(day, KEYS[0], 0) for day in days], readings or weather(3))

    return of


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_what_is_published_later_changes_no_feature_of_an_earlier_moment(build, tmp_path, service):
    rows, readings = flights(), weather()
    others = planted(rows, readings)
    assert sum(a != b for a, b in zip(rows, others[0], strict=True)) > 100
    early = [row for row in rows if row["departs"] <= CUT]
    assert any(published(row) > CUT for row in early), "the cut must lie between schedule and departure"
    asked = [*early, *({**key, "departs": CUT} for key in KEYS)]
    before = joined(build("true", rows, readings), tmp_path, asked, service)
    after = joined(build("planted", *others), tmp_path, asked, service)
    assert before == after
    for name in before[0]:
        known = sum(row[name] is not None for row in before)
        assert known > 0.85 * len(before), f"a test on an unknown {name} would prove nothing"


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_the_same_facts_do_change_the_features_once_they_are_published(build, tmp_path, service):
    rows, readings = flights(), weather()
    asked = [{**key, "departs": CUT + wait} for key in KEYS for wait in (HOUR, timedelta(days=2))]
    before = joined(build("true", rows, readings), tmp_path, asked, service)
    after = joined(build("planted", *planted(rows, readings)), tmp_path, asked, service)
    for name in before[0]:
        if name.endswith(("share_1d", "share_3h", "delay_3h", "share_28d", "temp")) and name not in SERVICES:
            assert [row[name] for row in before] != [row[name] for row in after], name


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_online_serves_what_training_saw_at_that_moment_and_nothing_later(build, tmp_path, service):
    rows, readings = flights(), weather()
    served = []
    for name, history in (("true", (rows, readings)), ("planted", planted(rows, readings))):
        store = build(name, *history)
        assert store.materialize(CUT).rows == {
            "carrier_day": 2,
            "origin_day": 2,
            "origin_hour": 2,
            "route_day": 4,
            "weather_hour": 2,
        }
        served.append(
            list(store.online(service, [{key: row[key] for key in SERVICES[service]} for row in KEYS], CUT))
        )
    assert served[0] == served[1]
    trained = joined(store, tmp_path, [{**key, "departs": CUT} for key in KEYS], service)
    assert [{name: row[name] for name in served[0][0]} for row in trained] == served[0]
    assert all(value is not None for answer in served[0] for value in answer.values())


@pytest.mark.parametrize("delay", [61, 62, 600, None])
def test_before_its_departure_is_published_nothing_tells_what_becomes_of_a_flight(build, tmp_path, delay):
    local = FIRST + timedelta(hours=10)
    row = flight(local, KEYS[0], delay)
    store = build("one", [flight(local - timedelta(days=1), KEYS[0], 0), row], weather())
    at = [{**KEYS[0], "departs": row["departs"] + wait} for wait in (HOUR, minutes(75), minutes(119))]
    for service in SERVICES:
        unseen, *seen = joined(store, tmp_path, at, service)
        assert unseen["origin_flights_3h"] is None  # the hour has just ended, and is not published yet
        for found in seen:
            assert (found["origin_flights_3h"], found["origin_mean_delay_3h"]) == (1, 60)
            assert found["origin_late_share_3h"] == 1.0


def test_a_cancelled_flight_is_in_the_days_figures_six_hours_after_schedule_and_no_earlier(build, tmp_path):
    late_evening = flight(FIRST + timedelta(hours=23), KEYS[0], None)
    store = build("one", [late_evening], weather())
    given_up = late_evening["departs"] + 6 * HOUR
    asked = [{**KEYS[0], "departs": moment} for moment in (given_up - minutes(1), given_up)]
    assert [row["carrier_cancel_share_7d"] for row in joined(store, tmp_path, asked)] == [None, 1.0]


def test_the_weather_of_an_hour_is_used_from_the_next_hour_on(small, tmp_path):
    store, hour = small(), datetime(2013, 2, 21, 12, tzinfo=UTC)  # 31 hours after the first reading
    moments = [hour, hour + HOUR - timedelta(microseconds=1), hour + HOUR]
    found = joined(store, tmp_path, [{"origin": "JFK", "departs": at} for at in moments], "origin_delay")
    assert [row["weather_temp"] for row in found] == [30.0, 30.0, 31.0]


@pytest.mark.parametrize(
    "last", [datetime(2013, 12, 30, 23, tzinfo=UTC), datetime(2013, 8, 11, 4, tzinfo=UTC)]
)
def test_when_the_weather_ends_it_is_used_for_three_hours_and_then_unknown(small, tmp_path, last):
    store = small([reading(last - back * HOUR, "JFK", back) for back in (2, 1, 0)])
    moments = [last, last + HOUR, last + 4 * HOUR, last + 4 * HOUR + timedelta(microseconds=1)]
    found = joined(store, tmp_path, [{"origin": "JFK", "departs": at} for at in moments], "origin_delay")
    assert [row["weather_temp"] for row in found] == [1.0, 0.0, 0.0, None]


def test_both_hours_of_the_repeated_clock_have_their_own_weather_and_no_hour_is_skipped(small, tmp_path):
    spring = [datetime(2013, 3, 10, hour, tzinfo=UTC) for hour in range(4, 11)]
    autumn = [datetime(2013, 11, 3, hour, tzinfo=UTC) for hour in range(3, 10)]
    store = small([reading(at, "JFK", number) for number, at in enumerate((*spring, *autumn))])
    asked = [{"origin": "JFK", "departs": at + HOUR} for at in (*spring, *autumn)]
    assert [row["weather_temp"] for row in joined(store, tmp_path, asked, "origin_delay")] == list(range(14))


@pytest.mark.parametrize(("day", "midnight"), [(date(2013, 3, 10), 4), (date(2013, 11, 3), 5)])
def test_the_day_on_which_the_clocks_change_counts_from_its_own_midnight(build, tmp_path, day, midnight):
    row = flight(datetime(day.year, day.month, day.day, 12), KEYS[0], 0)  # noqa: DTZ001 - wall clock
    store = build("one", [row], weather())
    end = datetime(day.year, day.month, day.day, midnight, tzinfo=UTC) + timedelta(days=1)
    asked = [{**KEYS[0], "departs": moment} for moment in (end - timedelta(microseconds=1), end)]
    assert [row["carrier_flights_1d"] for row in joined(store, tmp_path, asked)] == [None, 1]


def test_an_origin_without_history_has_unknown_features_and_keeps_its_row(small, tmp_path):
    asked = [{**KEYS[0], "origin": origin, "departs": CUT - timedelta(days=23)} for origin in ("SWF", "JFK")]
    for service in SERVICES:
        new, old = joined(small(), tmp_path, asked, service)
        assert new["origin"] == "SWF"
        unknown = {name for name, value in new.items() if value is None}
        assert {
            name for name in new if not name.startswith(("carrier", "origin", "dest", "event"))
        } <= unknown
        assert {name for name in new if name.startswith("origin_")} <= unknown
        assert old["weather_temp"] is not None


@pytest.mark.parametrize(
    ("age", "carrier", "route"),
    [
        (timedelta(days=7), 1, 1),
        (timedelta(days=7, seconds=1), None, 1),
        (timedelta(days=14, seconds=1), None, None),
    ],
)
def test_a_carrier_is_unknown_after_a_week_of_silence_and_a_route_after_two(
    build, tmp_path, age, carrier, route
):
    row = flight(FIRST + timedelta(hours=10), KEYS[0], 0)
    end = (FIRST + timedelta(days=1)).replace(tzinfo=NEW_YORK).astimezone(UTC)
    (found,) = joined(build("one", [row], weather()), tmp_path, [{**KEYS[0], "departs": end + age}])
    assert (found["carrier_flights_1d"], found["route_flights_28d"]) == (carrier, route)
