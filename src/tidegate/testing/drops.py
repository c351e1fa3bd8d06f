"""Files of tides as they come: drops, pushes, and rows that somebody mended."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tidegate.application.ports import EXPORTED, Batches, Table
from tidegate.domain.contract import Column, Contract, GateReport
from tidegate.domain.evidence import Verdict
from tidegate.domain.masking import Treatment, kept
from tidegate.testing.tides import HEADER, LINES, TIDES

#: A digest that no drop has.
SOME = "sha256:" + "7" * 64
#: Tides that may be pushed, up to four rows at a time.
PUSHED = replace(TIDES, push=(1, 4))


def treated(**hows: Treatment) -> Contract:
    """Return the contract of tides, under which these columns are treated as they come."""
    came = tuple(replace(column, treatment=hows.get(column.name)) for column in TIDES.columns)
    return replace(TIDES, columns=kept(came), delivered=came)


def write_drop(
    folder: Path, lines: Sequence[str] = LINES, header: str = HEADER, name: str = "tides.csv"
) -> Path:
    """Write a drop as CSV, or as one CSV in a zip where the name says so."""
    text = "\n".join([header, *lines, ""]).encode()
    path = folder / name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("tides.csv", text)
    else:
        path.write_bytes(text)
    return path


def read(subject: Batches, drop: Path) -> Table:
    """Read a drop of tides under the name its bytes have now."""
    return subject.read(drop, TIDES, subject.drop_digest(drop)).table


def report(table: Table, reasons: Mapping[int, tuple[str, ...]]) -> GateReport:
    """Return a judgement that holds these rows back."""
    return GateReport(Verdict.PASSED, table.num_rows, reasons, (), ())


def write_push(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    """Write rows as JSON lines; a text is a line as it stands."""
    path = folder / name
    lines = (each if isinstance(each, str) else json.dumps(each) for each in rows)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


def a_row(station: object = "ABC", hour: int = 0, **more: object) -> dict[str, object]:
    """Return one row of tides as JSON has it."""
    values = {"level": 1.5, "reading": 1, "note": None}
    return {"station": station, "at": f"2013-01-01T{hour:02}:00:00Z", **values, **more}


def write_mended(folder: Path, *rows: tuple[object, ...], columns: Sequence[Column] = TIDES.columns) -> Path:
    """Write mended rows as an export has them: period, revision, row, reasons, and a line of values each."""
    header = ",".join((*EXPORTED, *(column.name for column in columns)))
    path = folder / "mended.csv"
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows), ""]))
    return path


def mended_line(line: str, level: str, note: str) -> str:
    """Return a line of the drop with another level and note."""
    station, at, _, reading, _ = line.split(",")
    return f"{station},{at},{level},{reading},{note}"


def aged(path: Path, hours: int = 2) -> None:
    """Make a file, and what says of it that it is not recorded, some hours older."""
    for each in (path, path.with_name(f".{path.name}.unrecorded")):
        if each.exists():
            old = each.stat().st_mtime - hours * 3600
            os.utime(each, (old, old))
