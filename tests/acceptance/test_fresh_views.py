"""Views that say how fresh they must be, at the command line: one holds a version back, and decisions are marked.

The small project of docs/new-team.md, whose view asks for two days. In April one counter was off for three days, and
another for longer than its values live.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tidegate.entrypoints.scaffolding.project import make_project
from tidegate.testing.pages import File, steps
from tidegate.testing.shell import Shell

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "new-team.md"
MODEL = "busy_hour"
DEFINITIONS = Path("features") / "definitions.py"
#: The hours in which a counter counts, and the first day after each gap.
HOURS, AFTER_GAP, AFTER_LONG_GAP = range(6, 20), 14, 26
LATE = "2026-05-04T06:00:00Z"
MARKS = {"station_day": {"objective": 2 * 86_400, "stale": 2 * len(HOURS), "unknown": len(HOURS)}}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """The page's project, whose drops have two gaps and any size."""
    folder = tmp_path_factory.mktemp("team") / "counting"
    make_project(folder)
    given = [
        step for step in steps(PAGE.read_text()) if isinstance(step, File) and "hour_count" not in step.path
    ]
    (drops,) = [step for step in given if step.path == "drops.py"]
    subprocess.run([sys.executable, "-c", drops.body], cwd=folder, check=True, timeout=60)
    dataset = ["dataset", "new", "readings", "--from", "drops/readings-2026-01.csv"]
    about = ["--key", "station,hour_start", "--owner", "City counters", "--purpose", "One row an hour"]
    shell = Shell(folder / ".tidegate", folder)
    shell.several(([*dataset, *about], {}), (["model", "new", MODEL, "--dataset", "readings"], {}))
    for step in given:
        (folder / step.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / step.path).write_text(step.body)
    for file in (folder / "expectations").rglob("readings.*"):  # a drop may be a single day
        file.write_text(re.sub(r"\b650\b", "1", file.read_text()))
    edit(folder, "    ttl=timedelta(days=14),", '    tags={"freshness": "2d"},\n    ttl=timedelta(days=14),')
    april = folder / "drops" / "readings-2026-04.csv"
    rows = read(april)
    write(april, [row for row in rows if not in_gap(row["station"], day_of(row))])
    may = read(folder / "drops" / "readings-2026-05.csv")
    write(folder / "drops" / "readings-2026-05-03.csv", [row for row in may if day_of(row) == 3])
    return shell


def in_gap(station: str, day: int) -> bool:
    short = station == "park" and AFTER_GAP - 3 <= day < AFTER_GAP
    return short or (station == "bridge" and AFTER_LONG_GAP - 16 <= day < AFTER_LONG_GAP)


def day_of(row: dict[str, str]) -> int:
    return datetime.fromisoformat(row["hour_start"]).astimezone(UTC).day


def read(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines()))


def write(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / DEFINITIONS
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def lived(shell: Shell) -> dict[str, Any]:
    """What each command said, from the opening to the approval that a stale view held back and newer data let in."""

    def at(moment: str, *commands: str) -> list[Any]:
        return [(command.split(), {"TIDEGATE_NOW": moment}) for command in commands]

    shell.several(
        *at("2026-01-01T00:00:00Z", "open"),
        *(
            step
            for month in (1, 2, 3)
            for step in at(
                f"2026-0{month + 1}-01T06:00:00Z",
                f"ingest readings drops/readings-2026-0{month}.csv --as svc-ingest",
            )
        ),
        *at(
            "2026-04-01T06:00:00Z",
            "run materialize --as svc-features",
            f"train {MODEL} --as dana",
            f"promote {MODEL} 1 --to canary --as dana",
        ),
    )
    *_, scored, _ = shell.several(
        *at(
            "2026-05-01T06:00:00Z",
            "ingest readings drops/readings-2026-04.csv --as svc-ingest",
            "run materialize --as svc-features",
            f"run score model={MODEL} period=2026-04 --as svc-score",
            f"run canary model={MODEL} --as svc-rollout",
        ),
    )
    told: dict[str, Any] = {"scored": scored}
    promote = ("promote", MODEL, "1", "--to", "prod", "--as", "dana")
    words = ("approve", MODEL, "1", "--as", "amir", "--reason", "Read the packet; the canary holds.")
    told["refused"] = shell.run(*promote, TIDEGATE_NOW=LATE)
    told["approved"] = shell.run(*words, TIDEGATE_NOW=LATE)
    told["stale"] = shell.run("status", TIDEGATE_NOW=LATE)
    asked = ("features", "online", MODEL, "station=park", "--as", "svc-score")
    told["online"] = shell.run(*asked, TIDEGATE_NOW=LATE)
    shell.several(
        *at(
            LATE,
            "ingest readings drops/readings-2026-05-03.csv --as svc-ingest",
            "run materialize --as svc-features",
        )
    )
    told["promoted"] = shell.run(*promote, TIDEGATE_NOW=LATE)
    names = ("log", "verified", "status", "served", "view")
    commands = (
        "log --last 0",
        "audit verify",
        "status",
        f"features online {MODEL} station=park --as svc-score",
        "features show station_day",
    )
    return told | dict(zip(names, shell.several(*at(LATE, *commands)), strict=True))


def test_a_stale_view_refuses_a_promotion_by_its_rule_with_age_objective_and_next_step(
    lived: dict[str, Any],
) -> None:
    done = lived["refused"]
    assert done.returncode == 1, done.stdout + done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "P8 the newest data of station_day are 3d 6h old, expected at most 2d" in said
    assert "next: ingest what is late, then `tidegate run materialize`" in said


def test_an_approval_is_kept_and_newer_data_let_the_version_in(lived: dict[str, Any]) -> None:
    assert lived["approved"].returncode == 0
    assert "busy_hour version 1 stands in canary" in lived["approved"].stdout
    assert "P8  the newest data of station_day are 3d 6h old" in lived["approved"].stdout
    assert lived["promoted"].returncode == 0, lived["promoted"].stdout + lived["promoted"].stderr
    assert "busy_hour version 1 stands in prod" in lived["promoted"].stdout
    assert (lived["verified"]["faults"], lived["status"]["models"][MODEL]["stages"]) == ([], {"prod": 1})


def test_status_names_the_stale_view_until_newer_data_were_materialized(lived: dict[str, Any]) -> None:
    assert "stale: the newest data of station_day are 3d 6h old, expected at most 2d" in lived["stale"].stdout
    (view,) = lived["status"]["features"]
    assert (view["view"], view["fresh"], view["age"]) == ("station_day", True, 6 * 3600)
    (scoring,) = lived["status"]["scorings"]
    assert (scoring["period"], scoring["freshness"]) == ("2026-04", MARKS)


def test_decisions_on_old_values_are_marked_row_by_row(lived: dict[str, Any], shell: Shell) -> None:
    """The first day after a gap rests on the day before it, or on nothing; the next day is as usual."""
    (scored,) = lived["scored"]
    assert (scored["rows"], scored["stale"]) == (994, {"station_day": 2 * len(HOURS)})
    query = """
        SELECT station, event_timestamp AT TIME ZONE 'UTC', stale_views FROM read_parquet(?)
        WHERE stale_views IS NOT NULL ORDER BY ALL
    """
    import duckdb

    with duckdb.connect() as database:
        marked = database.execute(query, [str(shell.home / "scores" / "*.parquet")]).fetchall()
    days = (("bridge", AFTER_LONG_GAP), ("park", AFTER_GAP))
    assert marked == [
        (station, datetime(2026, 4, day, hour), "station_day")  # noqa: DTZ001 - told in UTC
        for station, day in days
        for hour in HOURS
    ]
    (sentence,) = [each["sentence"] for each in lived["log"] if each["type"] == "decisions.scored"]
    assert sentence.endswith("; 28 of them rest on station_day older than 2d, or on no value of it (14)")


def test_a_value_that_is_stale_is_served_and_says_so(lived: dict[str, Any]) -> None:
    assert lived["online"].returncode == 0
    assert "station_day: 3d 6h old, STALE" in lived["online"].stdout
    assert (lived["served"]["age_seconds"], lived["served"]["stale"]) == ({"station_day": 6 * 3600}, [])
    assert lived["served"]["values"]["station_mean_1d"] > 0
    (view,) = lived["view"]
    assert (view["objective"], view["newest"]) == ({"freshness": 2 * 86_400}, "2026-05-04T00:00:00Z")


PLAN, BRING = ("features", "plan"), ("run", "materialize", "--as", "svc-features")


@pytest.mark.parametrize(
    ("command", "stated"),
    [*((PLAN, stated) for stated in ("'36 hours'", "'0h'", "36", "'P2D'", "''")), (BRING, "'36 hours'")],
)
def test_an_objective_that_is_none_is_bad_input_with_its_file_and_changes_nothing(
    lived: dict[str, Any], shell: Shell, command: tuple[str, ...], stated: str
) -> None:
    file = shell.project / DEFINITIONS
    text = file.read_text()
    edit(shell.project, '{"freshness": "2d"}', f'{{"freshness": {stated}}}')
    try:
        done = shell.run(*command, TIDEGATE_NOW=LATE)
    finally:
        file.write_text(text)
    assert done.returncode == 2, done.stdout + done.stderr
    said = " ".join(done.stderr.split())
    assert f"got freshness {stated} of the view station_day in features/definitions.py" in said
    assert "expected a whole number and a unit, m, h or d, up to 3650d, like 36h" in said
    assert lived["view"] == shell.json("features", "show", "station_day", TIDEGATE_NOW=LATE)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nothing", "station=park"), "got the feature service nothing, expected one that is registered"),
        ((MODEL, "park"), "got `park`, expected NAME=VALUE"),
        ((MODEL, "town=park"), "got a key with town, expected also station"),
    ],
)
def test_what_is_asked_online_in_other_words_is_bad_input(
    lived: dict[str, Any], shell: Shell, words: tuple[str, ...], sentence: str
) -> None:
    done = shell.run("features", "online", *words, "--as", "svc-score", TIDEGATE_NOW=LATE)
    assert (lived["served"]["stale"], done.returncode) == ([], 2), done.stdout
    assert sentence in " ".join(done.stderr.split())
