"""The second model keeps its own rules, on hours made by hand, and passes through the engine as a number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.adapters.evidently_monitor.declaration import read_plan
from tidegate.adapters.model_folders import ModelFolders
from tidegate.adapters.shared.model_code import load_pipeline
from tidegate.adapters.sklearn_trainer import SklearnTrainer
from tidegate.adapters.sql_entities import SqlEntities
from tidegate.application.ports import Windows

PROJECT = Path(__file__).resolve().parents[2]
ALWAYS = (datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 2, tzinfo=UTC))
SCHEDULE = ("weekday", "hour", "origin_scheduled")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NINE = datetime(2013, 3, 15, 13, tzinfo=UTC)  # a Friday, 9:00 in New York

FLIGHT = {
    "year": 2013, "month": 3, "day": 15, "dep_time": 905, "sched_dep_time": 900, "dep_delay": 5.0,
    "sched_arr_time": 1100, "carrier": "UA", "flight": 1, "tailnum": "N1", "origin": "EWR", "dest": "ORD",
    "distance": 719, "hour": 9, "minute": 0, "time_hour": NINE,
}  # fmt: skip
CANCELLED = {"dep_time": None, "dep_delay": None, "tailnum": None}


@pytest.fixture(scope="module")
def model():
    return ModelFolders(PROJECT / "models").spec("origin_delay")


@pytest.fixture
def rows(model, tmp_path):
    """Return a function that runs the model's rows.sql on flights made by hand."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def run(*changes):
        flights = [{**FLIGHT, "flight": number, **change} for number, change in enumerate(changes, 1)]
        kinds = [
            (name, pa.float64() if isinstance(value, float) else pa.scalar(value).type)
            for name, value in FLIGHT.items()
        ]
        pq.write_table(pa.Table.from_pylist(flights, pa.schema(kinds)), tmp_path / "flights.parquet")
        frame = SqlEntities(tmp_path).frame(model, {"flights": [tmp_path / "flights.parquet"]}, {}, ALWAYS)
        return pq.read_table(frame.path).to_pylist()

    return run


# ── what is scored, and what came of it ───────────────────────────────────────────────────────────


def test_an_airport_and_an_hour_with_departures_are_a_row_at_the_hour_s_start(rows):
    ten = {"hour": 10, "time_hour": NINE + HOUR}
    found = rows({"minute": 5}, {"minute": 59}, {"origin": "JFK", "minute": 30}, ten)
    assert [(row["event_timestamp"], row["origin"], row["origin_scheduled"]) for row in found] == [
        (NINE, "EWR", 2),
        (NINE, "JFK", 1),
        (NINE + HOUR, "EWR", 1),
    ]
    assert [(row["hour"], row["weekday"]) for row in found] == [(9, 5), (9, 5), (10, 5)]


def test_the_delay_is_the_mean_in_minutes_of_those_that_left_early_ones_included(rows):
    (row,) = rows({"dep_delay": 40.0}, {"dep_delay": -4.0}, CANCELLED)
    assert (row["delay"], row["status"], row["origin_scheduled"]) == (18.0, "some_left", 3)


def test_an_hour_in_which_nobody_left_has_no_label(rows):
    (row,) = rows(CANCELLED, CANCELLED)
    assert (row["delay"], row["label_time"], row["status"]) == (None, None, "none_left")


def test_the_hour_that_the_clocks_repeat_is_two_rows(rows):
    third = {"month": 11, "day": 3, "hour": 1}
    found = rows(
        {**third, "time_hour": datetime(2013, 11, 3, 5, tzinfo=UTC)},
        {**third, "time_hour": datetime(2013, 11, 3, 6, tzinfo=UTC)},
    )
    assert [row["event_timestamp"].hour for row in found] == [5, 6]
    assert [(row["hour"], row["weekday"]) for row in found] == [(1, 7), (1, 7)]


# ── when things are known ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flights", "minutes"),
    [
        ([{"minute": 50, "dep_delay": 100.0}, {"minute": 0, "dep_delay": 5.0}], 50 + 100 + 15),
        ([{"minute": 10, "dep_delay": 5.0}, {"minute": 30, **CANCELLED}], 30 + 360 + 15),  # given up
        ([{"minute": 10, **CANCELLED}, {"minute": 0, "dep_delay": 900.0}], 900 + 15),  # waited for
        ([{"minute": 5, "dep_delay": -9.0}], 60),  # not before the hour is over
    ],
)
def test_a_label_is_known_fifteen_minutes_after_the_last_left_or_was_given_up(rows, flights, minutes):
    (row,) = rows(*flights)
    assert row["label_time"] == NINE + minutes * MINUTE


@pytest.mark.parametrize("outcome", [CANCELLED, {"dep_delay": 180.0, "dep_time": 1200}, {"tailnum": "N2"}])
def test_nothing_that_came_of_a_flight_changes_the_hour_s_inputs(model, rows, outcome):
    ((before,), (after,)) = rows({}), rows(outcome)
    known = ("event_timestamp", "origin", *SCHEDULE)
    assert [after[name] for name in known] == [before[name] for name in known]


def test_inputs_are_the_schedule_and_what_the_feature_store_serves(model, rows):
    (row,) = rows({})
    served = set(model.numeric) - set(SCHEDULE)
    assert model.numeric[:3] == SCHEDULE
    assert {name.split("_")[0] for name in served} == {"origin", "weather"}
    assert not served & set(row)
    assert model.categorical == ("origin",)


def test_its_declaration_is_of_a_number_and_its_monitor_binds_measures_of_one(model):
    assert (model.prediction, model.label, model.tier, model.datasets) == (
        "number", "delay", "low", ("flights",)
    )  # fmt: skip
    plan = read_plan(PROJECT / "monitoring" / "origin_delay.yaml", model)
    assert {"calibration_gap", "gain_over_base_rate"} <= set(plan.binding)
    assert "score" in plan.columns
    assert set(plan.columns) <= {"score", *model.numeric, *model.categorical}


# ── how it is built and judged ────────────────────────────────────────────────────────────────────


def hours(model, days):
    """Return a frame of every airport's hours: the delay rises with that of the last three, plus noise."""
    import numpy as np
    import pyarrow as pa

    draw = np.random.default_rng(5)
    times = [NINE - 20 * HOUR + step * HOUR for step in range(24 * days)]
    rows = len(times) * 3
    columns = {name: draw.random(rows).astype("float32") for name in model.numeric}
    columns["origin_mean_delay_3h"] = draw.exponential(20, rows)
    delay = columns["origin_mean_delay_3h"] + draw.normal(0, 5, rows)
    moments = [moment for moment in times for _ in range(3)]
    return pa.table(
        {
            **columns,
            "event_timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
            "label_time": pa.array([moment + 2 * HOUR for moment in moments], pa.timestamp("us", "UTC")),
            "origin": ["EWR", "JFK", "LGA"] * len(times),
            "delay": delay,
            "status": ["all_left"] * rows,
        }
    )


@pytest.fixture(scope="module")
def trained(model, tmp_path_factory):
    from tidegate.adapters.shared.sql import write_frame

    home = tmp_path_factory.mktemp("hours")
    frame = write_frame(hours(model, 40), home, ("event_timestamp", "origin"))
    cuts = [NINE + days * 24 * HOUR for days in (-1, 14, 24, 39)]
    laid = Windows((cuts[0], cuts[1]), (cuts[1], cuts[2]), (cuts[2], cuts[3]), cuts[3])
    return SklearnTrainer(home).train(model, frame, laid)


def test_it_is_judged_in_minutes_and_against_the_mean_of_the_training_window(trained):
    assert set(trained.metrics) == {"mae", "rmse", "calibration_gap", "base_rate", "skill"}
    assert trained.base_rate == pytest.approx(20, abs=2)
    assert trained.metrics["mae"].value == pytest.approx(4.0, abs=1.0)  # of the noise alone: 5 √(2/π)
    assert trained.metrics["skill"].low > 0.5
    assert trained.metrics["mae"].n == trained.coverage["measured"] > 0


def test_its_slices_are_the_three_airports(trained):
    assert set(trained.slices) == {"origin=EWR", "origin=JFK", "origin=LGA"}
    assert all(measures["skill"].value > 0 for measures in trained.slices.values())


def test_the_artifact_says_the_same_minutes_as_the_estimator(model, trained):
    difference = trained.parity.values["max_abs_difference"]
    assert difference.value <= model.parameters["evaluation.onnx_tolerance"] == 1e-5
    assert difference.n == trained.coverage["scheduled"]


def test_it_predicts_means_so_that_hours_may_be_added_up(model):
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    columns = pd.DataFrame({name: draw.random(4000).astype("float32") for name in model.numeric})
    columns["origin"] = draw.choice(["EWR", "JFK"], 4000)
    delay = draw.exponential(20, 4000)  # mean 20, median 14
    built = load_pipeline(model)(
        model.numeric, model.categorical, model.parameters, np.arange(3000), np.arange(3000, 4000)
    )
    assert built.fit(columns, delay).predict(columns).mean() == pytest.approx(20, abs=1)


def test_the_rows_of_both_early_windows_are_learned_from(model):
    import numpy as np
    import pandas as pd

    columns = pd.DataFrame({name: np.zeros(2000, dtype="float32") for name in model.numeric})
    columns["origin"] = "EWR"
    delay = np.where(np.arange(2000) < 1000, 0.0, 20.0)
    built = load_pipeline(model)(
        model.numeric, model.categorical, model.parameters, np.arange(1000), np.arange(1000, 2000)
    )
    assert built.fit(columns, delay).predict(columns).mean() == pytest.approx(10)
