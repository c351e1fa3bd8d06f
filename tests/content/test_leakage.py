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
from tidegate.adapters.shared.sql import run_sql, write_frame

ROOT = Path(__file__).parents[2]
NEW_YORK = ZoneInfo("America/New_York")
FIRST = datetime(2013, 2, 20, tzinfo=NEW_YORK)  # the clocks change on 10 March
CUT = datetime(2013, 3, 16, 18, 0, tzinfo=UTC)
DECLARED = {"airports": {"zones": [{"faa": "SJU", "tzone": "America/Puerto_Rico"}]}}
AIRPORTS = {
    "faa": ["JFK", "LAX", "ORD"],
    "tzone": ["America/New_York", "America/Los_Angeles", "America/Chicago"],
}
PLACES = {
    "LAX": (6 * 60, "America/Los_Angeles"),
    "ORD": (150, "America/Chicago"),
    "SJU": (230, "America/Puerto_Rico"),
}
LAG = timedelta(hours=6)


def flights():
    """Return 30 days of flights; each tells when its outcome was published (``known``)."""
    chance, rows = random.Random(11), []
    for number in range(30 * 12):
        local = FIRST.replace(tzinfo=None) + timedelta(hours=2 * number, minutes=chance.randrange(60))
        departs = local.replace(tzinfo=NEW_YORK).astimezone(UTC)
        dest = chance.choice(sorted(PLACES))
        block, zone = PLACES[dest]
        due = departs + timedelta(minutes=block)
        wall = due.astimezone(ZoneInfo(zone))
        fate = chance.random()
        delay = (
            None if fate < 0.05 else 900 + chance.randrange(900) if fate < 0.1 else chance.randrange(-20, 60)
        )
        rows.append(
            {
                "year": local.year,
                "month": local.month,
                "day": local.day,
                "dep_time": None if fate < 0.03 else 1,
                "sched_arr_time": wall.hour * 100 + wall.minute,
                "arr_delay": delay,
                "carrier": chance.choice(["AA", "UA"]),
                "origin": "JFK",
                "dest": dest,
                "hour": local.hour,
                "minute": local.minute,
                "time_hour": departs.replace(minute=0),
                "departs": departs,
                "known": due + LAG + timedelta(minutes=360 if delay is None else delay),
            }
        )
    return rows


def otherwise(row):
    """Return the flight with another outcome that was published no earlier than the one it had."""
    if row["arr_delay"] is None:
        return {**row, "dep_time": 1, "arr_delay": 600}
    return {**row, "arr_delay": row["arr_delay"] + 777}


def batches(folder, rows):
    columns = [name for name in rows[0] if name not in ("departs", "known")]
    table = pa.table({name: pa.array([row[name] for row in rows]) for name in columns})
    return {
        "flights": [write_parquet(table, folder / "flights.parquet")],
        "airports": [write_parquet(pa.table(AIRPORTS), folder / "airports.parquet")],
    }


def entities(folder, rows):
    columns = {name: pa.array([row[name] for row in rows]) for name in ("carrier", "origin", "dest")}
    times = pa.array([row["departs"] for row in rows], pa.timestamp("us", "UTC"))
    return write_frame(pa.table({"event_timestamp": times, **columns}), folder / "entities")


def joined(store, folder, rows):
    frame = store.training_frame(entities(folder, rows), "flight_delay", [])
    return pq.ParquetFile(frame.path).read().to_pylist()


@pytest.fixture
def build(tmp_path):
    def of(name, rows):
        store = FeastStore(ROOT / "features", tmp_path / name / "home")
        store.build(batches(tmp_path / name, rows), DECLARED)
        store.apply()
        return store

    return of


def test_outcomes_published_later_change_no_feature_of_an_earlier_flight(build, tmp_path):
    true = flights()
    planted = [otherwise(row) if row["known"] > CUT else row for row in true]
    assert sum(a != b for a, b in zip(true, planted, strict=True)) > 50
    early = [row for row in true if row["departs"] <= CUT]
    in_the_air = [row for row in early if row["known"] > CUT]
    assert in_the_air, "the cut must lie between departures and arrivals"
    asked = [*early, *({**row, "departs": CUT} for row in true[-60:])]
    before = joined(build("true", true), tmp_path, asked)
    after = joined(build("planted", planted), tmp_path, asked)
    assert before == after
    known = [row for row in before if row["carrier_late_share_28d"] is not None]
    assert len(known) > 0.9 * len(before), "a test on unknown features would prove nothing"


def test_the_same_outcomes_do_change_the_features_once_they_are_published(build, tmp_path):
    true = flights()
    planted = [otherwise(row) if row["known"] > CUT else row for row in true]
    late = [{**row, "departs": CUT + timedelta(days=6)} for row in true[:20]]
    assert joined(build("true", true), tmp_path, late) != joined(build("planted", planted), tmp_path, late)


def test_online_serves_nothing_that_was_published_after_the_moment(build):
    true = flights()
    planted = [otherwise(row) if row["known"] > CUT else row for row in true]
    keys = [
        {"carrier": carrier, "origin": "JFK", "dest": dest} for carrier in ("AA", "UA") for dest in PLACES
    ]
    served = []
    for name, rows in (("true", true), ("planted", planted)):
        store = build(name, rows)
        assert store.materialize(CUT) == {"carrier_day": 2, "route_day": 3}
        served.append(store.online("flight_delay", keys))
    assert served[0] == served[1]
    assert all(value is not None for answer in served[0] for value in answer.values())


def test_online_and_training_agree_at_the_moment_of_materialization(build, tmp_path):
    store = build("true", flights())
    store.materialize(CUT)
    keys = [
        {"carrier": carrier, "origin": "JFK", "dest": dest} for carrier in ("AA", "UA") for dest in PLACES
    ]
    rows = joined(store, tmp_path, [{**key, "departs": CUT} for key in keys])
    served = list(store.online("flight_delay", keys))
    assert [{name: row[name] for name in served[0]} for row in rows] == served


def test_every_row_counts_only_flights_whose_outcome_it_could_know(tmp_path):
    rows = flights()
    source = (ROOT / "features" / "sources" / "carrier_day.sql").read_text()
    for built in run_sql(source, batches(tmp_path, rows), DECLARED).to_pylist():
        end = built["event_timestamp"].astimezone(NEW_YORK).date()
        month = [
            row
            for row in rows
            if row["carrier"] == built["carrier"]
            and timedelta(0) < end - date(row["year"], row["month"], row["day"]) <= timedelta(days=28)
        ]
        assert built["created_timestamp"] == max([built["event_timestamp"], *(row["known"] for row in month)])
        arrived = [row["arr_delay"] for row in month if row["arr_delay"] is not None]
        assert built["carrier_late_share_28d"] == pytest.approx(sum(d > 15 for d in arrived) / len(arrived))


@pytest.mark.parametrize(
    ("age", "known"),
    [(timedelta(days=7), True), (timedelta(days=7, seconds=1), False)],
)
def test_a_carrier_that_pauses_for_more_than_a_week_is_unknown(build, tmp_path, age, known):
    row = {**flights()[0], "arr_delay": 0, "dep_time": 1}
    end = (FIRST + timedelta(days=1)).astimezone(UTC)
    store = build("one", [row])
    (found,) = joined(store, tmp_path, [{**row, "departs": end + age}])
    assert (found["carrier_flights_1d"] == 1) is known
    assert found["route_flights_28d"] == 1
