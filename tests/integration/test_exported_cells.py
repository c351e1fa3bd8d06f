"""A text in an exported CSV is none that a spreadsheet runs, and comes back as what it was."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidegate.adapters.arrow_batches import ArrowBatches
from tidegate.domain.cells import as_it_was, disarmed
from tidegate.domain.contract import Column, Contract
from tidegate.entrypoints.cli.exporting import write_held
from tidegate.testing.tides import TIDES

#: By what spreadsheets know a formula.
RUN = ("=", "+", "-", "@", "\t", "\r", "\n")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ARMED = st.builds(
    lambda marks, rest: "".join(marks) + rest, st.lists(st.sampled_from(("'", *RUN)), max_size=4), TEXTS
)
CELL = st.none() | TEXTS | ARMED
INTEGERS = st.none() | st.integers(-(2**63), 2**63 - 1)


def exported(folder: Path, contract: Contract, rows: list[dict[str, object]]) -> Path:
    path = folder / "held.csv"
    path.unlink(missing_ok=True)
    held = (
        {"period": "2013-01", "revision": 0, "row": at, "reasons": ["=T01", "T02"], "values": values}
        for at, values in enumerate(rows)
    )
    assert write_held(path, contract.columns, held) == len(rows)
    return path


def as_json(value: int | None) -> int | str | None:
    """An integer as held-back rows have it: beyond 2^53 it is a text."""
    return str(value) if value is not None and abs(value) > 2**53 else value


@given(ARMED | TEXTS)
def test_no_text_is_run_and_each_comes_back(text: str) -> None:
    assert not disarmed(text).startswith(RUN)
    assert as_it_was(disarmed(text)) == text


@given(TEXTS)
def test_a_text_that_no_spreadsheet_runs_is_written_as_it_is(text: str) -> None:
    if not text.lstrip("'").startswith(RUN):
        assert disarmed(text) == text


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(CELL, INTEGERS), min_size=1, max_size=6))
@example([("=cmd|' /C calc'!A0", -(2**60)), ("'=1", 2**60), ("", None), ("'", 0), (None, -1), ("\r\n=1", 1)])
def test_what_is_exported_and_read_again_is_what_was_held_back(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str | None, int | None]]
) -> None:
    folder = tmp_path_factory.mktemp("export")
    rows: list[dict[str, object]] = [
        {"station": "ABC", "at": None, "level": -1.5, "reading": as_json(number), "note": text}
        for text, number in cells
    ]
    path = exported(folder, TIDES, rows)
    batches = ArrowBatches(folder / "home")
    mended = batches.mended(path, TIDES, batches.drop_digest(path))
    table = mended.table
    assert mended.rows == tuple(range(len(rows)))
    assert table.column("note").to_pylist() == [text for text, _ in cells]  # type: ignore[attr-defined]
    assert table.column("reading").to_pylist() == [number for _, number in cells]  # type: ignore[attr-defined]


def test_every_text_of_an_export_is_none_that_is_run_also_where_its_column_has_another_type_now(
    tmp_path: Path,
) -> None:
    text = "=HYPERLINK(1)"
    columns = tuple(
        Column(name, "integer" if name == "reading" else "string") for name in ("reading", "note")
    )
    path = exported(tmp_path, replace(TIDES, columns=columns), [{"reading": text, "note": text}])
    _, (*marks, reading, note) = csv.reader(io.StringIO(path.read_text()))
    assert (marks[3], reading, note) == ("'=T01 T02", f"'{text}", f"'{text}")
