"""``features/`` stays a Feast repository: the native command works on it, beside Tidegate."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidegate.adapters.evidently_monitor.feature_limits import read_limits
from tidegate.adapters.feast_store import FeastStore
from tidegate.adapters.feast_store.repository import source_sql
from tidegate.adapters.shared.arrow import write_parquet
from tidegate.domain.errors import BadInput
from tidegate.domain.feature_drift import Shift
from tidegate.domain.freshness import spelled

ROOT = Path(__file__).parents[2]
DECLARED = {"airports": {"zones": [{"faa": "SJU", "tzone": "America/Puerto_Rico"}]}}
VIEWS = {"carrier_day", "route_day", "origin_day", "origin_hour", "weather_hour"}


@pytest.fixture
def project(tmp_path):
    """Copy the repository's feature folder into a project of its own, and build its home."""
    features = tmp_path / "project" / "features"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "features", features, symlinks=True, ignore=ignored)
    days = [date(2013, 1, 1) + timedelta(days=day) for day in range(3)]
    hours = [datetime(day.year, day.month, day.day, 11, tzinfo=UTC) for day in days]
    flights = {
        "year": [day.year for day in days],
        "month": [day.month for day in days],
        "day": [day.day for day in days],
        "dep_time": [600] * 3,
        "dep_delay": [0, 30, 0],
        "carrier": ["AA"] * 3,
        "origin": ["JFK"] * 3,
        "dest": ["LAX"] * 3,
        "hour": [6] * 3,
        "minute": [0] * 3,
        "time_hour": hours,
    }
    measured = ("temp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
    weather = {"origin": ["JFK"] * 3, "time_hour": hours, **{name: [1.0, 2.0, 3.0] for name in measured}}
    zones = {"faa": ["JFK", "LAX"], "tzone": ["America/New_York", "America/Los_Angeles"]}
    tables = {"flights": flights, "weather": weather, "airports": zones}
    batches = {
        name: [write_parquet(pa.table(columns), tmp_path / f"{name}.parquet")]
        for name, columns in tables.items()
    }
    store = FeastStore(features, tmp_path / "project" / ".tidegate")
    store.build(batches, DECLARED)
    return tmp_path / "project"


def feast(folder, *arguments):
    """Run the native command in ``folder`` and return what it printed."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("TIDEGATE_HOME", "PYTHONPATH")
    }
    environment["COLUMNS"] = "200"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "feast"), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "file", sorted((ROOT / "monitoring" / "features").iterdir()), ids=lambda file: file.stem
)
def test_limits_of_drift_are_of_views_that_there_are(file):
    assert file.stem in VIEWS
    assert read_limits(file, file.stem).limits


def test_the_limits_that_a_new_team_is_shown_can_be_read(tmp_path):
    page = (ROOT / "src/tidegate/templates/project/monitoring/README.md").read_text()
    file = tmp_path / "place_day.yaml"
    file.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    assert set(read_limits(file, "place_day").limits) == set(Shift)


def test_a_new_team_gets_the_same_configuration_but_for_the_clock_of_2013():
    own, new = (
        (ROOT / folder / "feature_store.yaml").read_text().splitlines()
        for folder in ("features", "src/tidegate/templates/project/features")
    )
    assert [line for line in own if line not in new] == [
        line for line in own if "expiry: materialized" in line
    ]
    assert [line for line in new if line not in own] == []


@pytest.mark.slow
def test_the_native_command_works_on_the_folder(project):
    feast(project, "-c", "features", "apply")
    listed = feast(project, "-c", "features", "feature-services", "list")
    assert "flight_delay" in listed
    assert "origin_delay" in listed
    assert "flight_delay" in feast(project / "features", "feature-services", "list")
    feast(project, "-c", "features", "materialize", "2013-01-01T00:00:00", "2013-01-05T00:00:00")
    overlay = ".tidegate/feast/feature_store.yaml"
    answer = feast(
        project, "-f", overlay, "-c", "features", "get-online-features",
        "-e", "carrier=AA", "-e", "origin=JFK", "-e", "dest=LAX",
        "-f", "carrier_day:carrier_late_share_28d", "-f", "weather_hour:weather_temp",
    )  # fmt: skip
    found = json.loads(answer)
    assert found["carrier_late_share_28d"] == [pytest.approx(1 / 3)]
    assert found["weather_temp"] == [
        None
    ]  # of two days before: past its ttl, which Feast's own stores do not ask


@pytest.mark.slow
def test_the_page_on_training_sets_joins_with_feast_alone(project):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "training-sets.md").read_text(), re.DOTALL)
    moments = [datetime(2013, 1, day, 23, tzinfo=UTC) for day in (1, 3)]
    asked = {"event_timestamp": moments, "carrier": ["AA"] * 2, "origin": ["JFK"] * 2, "dest": ["LAX"] * 2}
    write_parquet(pa.table(asked), project / "entities.parquet")
    feast(project, "-c", "features", "apply")
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = pq.ParquetFile(project / "training.parquet").read()
    assert found.column("carrier_flights_1d").to_pylist() == [None, 1]
    assert found.column("weather_temp").to_pylist() == [None, None]
    assert found.select(list(asked)).to_pylist() == pa.table(asked).to_pylist()


def test_definitions_applied_by_the_native_command_are_the_ones_we_apply(project):
    feast(project, "-c", "features", "apply")
    store = FeastStore(project / "features", project / ".tidegate")
    registry = (project / ".tidegate" / "feast" / "registry.db").stat().st_ino
    assert set(store.apply()) == {*VIEWS, "flight_delay", "origin_delay"}
    assert (project / ".tidegate" / "feast" / "registry.db").stat().st_ino == registry
    assert store.apply() == FeastStore(ROOT / "features", project / "other").apply()


def test_every_view_has_its_sql_and_every_sql_its_view():
    sources = ROOT / "features" / "sources"
    assert {file.stem for file in sources.glob("*.sql")} == VIEWS
    named = {step for view in VIEWS for step in source_sql(ROOT / "features", view)[1]}
    assert named == {file.stem for file in sources.glob("shared/*.sql")} == {"departures"}


def test_each_view_says_how_fresh_it_must_be_and_no_objective_is_longer_than_its_values_live(project):
    """A value past its ttl is not there: an objective beyond that would mark nothing but what is missing."""
    views = FeastStore(project / "features", project / ".tidegate").defined().views
    stated = {
        name: {tag: spelled(timedelta(seconds=of)) for tag, of in view.objective.items()}
        for name, view in views.items()
    }
    assert stated == {
        "carrier_day": {"freshness": "2d", "lag": "45d"},
        "route_day": {"freshness": "8d", "lag": "45d"},
        "origin_day": {"freshness": "2d", "lag": "45d"},
        "origin_hour": {"lag": "45d"},
        "weather_hour": {"freshness": "1h", "lag": "45d"},
    }
    lives = {name: float(view.ttl.removesuffix("s")) for name, view in views.items()}
    assert all(of.objective.get("freshness", 0) < lives[name] for name, of in views.items())


@pytest.mark.parametrize("dataset", ["flights", "weather"])
def test_a_dataset_that_was_never_accepted_is_named(project, dataset):
    batches = {name: [project.parent / f"{name}.parquet"] for name in ("flights", "weather", "airports")}
    del batches[dataset]
    store = FeastStore(project / "features", project / ".tidegate")
    before = {view: (project / ".tidegate" / "features" / f"{view}.parquet").read_bytes() for view in VIEWS}
    with pytest.raises(BadInput) as refused:
        store.build(batches, DECLARED)
    assert refused.value.code == "sql-failed"
    assert dataset in refused.value.sentence
    for view, content in before.items():
        assert (project / ".tidegate" / "features" / f"{view}.parquet").read_bytes() == content


@pytest.mark.slow
def test_processes_that_start_at_once_share_one_store(tmp_path):
    program = (
        "import sys; from pathlib import Path; from tidegate.adapters.feast_store.store import FeastStore; "
        "print(sorted(FeastStore(Path(sys.argv[1]), Path(sys.argv[2])).apply().items()))"
    )
    command = [sys.executable, "-c", program, str(ROOT / "features"), str(tmp_path / "home")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1
