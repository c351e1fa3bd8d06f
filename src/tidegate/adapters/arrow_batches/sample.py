"""Looks at a drop that is under no contract yet: what its columns hold, and how many rows it has."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.arrow_batches.drop import Drop, open_csv, open_regular
from tidegate.domain.contract import Column
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows that types and nulls are judged by. All rows are counted.
MOST_ROWS = 10_000
MAX_BYTES = 2**30
_LONGEST_NAME = 200
_LONGEST_LINE = 2**20
_NULLS = ("", "NA")  # as in drops that are ingested


@dataclass(frozen=True)
class Sample:
    """What a drop looks like.

    ``columns`` are required where no null was seen; ``rows`` counts all rows, ``looked_at`` those that were
    judged. ``notes`` say, in sentences, where a type is less obvious than it looks.
    """

    columns: tuple[Column, ...]
    rows: int
    looked_at: int
    notes: tuple[str, ...]
    table: pa.Table

    def repeated(self, columns: Sequence[str]) -> int:
        """Count the rows looked at whose values in ``columns`` another row has too."""
        counts = self.table.group_by(list(columns)).aggregate([([], "count_all")]).column("count_all")
        return sum(count for count in counts.to_pylist() if count > 1)


def read_sample(drop: Path) -> Sample:
    """Read the header and up to `MOST_ROWS` rows of a CSV, or of one CSV in a zip.

    Raises:
        BadInput: no such file, empty, not UTF-8, no CSV; a column without a name, or twice the same.
    """
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    with _opened(drop) as stream:
        lines = _Lines(io.BufferedReader(stream), drop.name)
        records = csv.reader(lines, strict=True)
        try:
            header = next(records, [])
            _check_header(header, drop.name)
            cells = [record for record in islice(records, MOST_ROWS) if record]
            body = lines.taken()
            rows = len(cells) + sum(1 for record in records if record)
        except csv.Error as error:
            raise BadInput(
                "malformed-csv",
                f"got {drop.name}, which is no CSV at line {records.line_num} ({error}), expected rows of one header",
                "have it delivered again",
            ) from error
    ragged = next((at for at, record in enumerate(cells, 2) if len(record) != len(header)), 0)
    if ragged:
        got = len(cells[ragged - 2])
        raise BadInput(
            "malformed-csv",
            f"got {got} fields in row {ragged} of {drop.name}, expected {len(header)}",
            "the file may be cut short",
        )
    if not cells:
        raise BadInput(
            "empty-drop", f"got {drop.name} without a row, expected some to learn from", "take another drop"
        )
    options = arrow_csv.ConvertOptions(
        column_types={name: pa.string() for name in _codes(header, cells)},
        null_values=list(_NULLS),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(body),
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=max(len(body), 1)),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=options,
        )
    except pa.ArrowInvalid as error:
        raise BadInput(
            "malformed-csv",
            f"got {drop.name}, which cannot be read as CSV ({str(error).splitlines()[0][:120]}), "
            f"expected rows of {len(header)} fields",
            "have it delivered again",
        ) from error
    columns, notes = [], []
    for field in table.schema:
        kind, note = _logical(field.name, field.type, field.name in options.column_types)
        columns.append(Column(field.name, kind, table.column(field.name).null_count == 0, "internal"))
        notes += [note] if note else []
    return Sample(tuple(columns), rows, table.num_rows, tuple(notes), table)


@contextmanager
def _opened(drop: Path) -> Iterator[io.RawIOBase]:
    """Open the drop where it lies: nothing is recorded of a sample, so nobody minds if it changes."""
    try:
        with open_regular(drop, MAX_BYTES) as file, open_csv(Drop(file, drop.name, MAX_BYTES)) as stream:
            yield stream
    except OSError as error:
        raise BadInput(
            "no-drop",
            f"got no readable file {drop.name} ({error.strerror}), expected a sample",
            "check the path",
        ) from error


class _Lines:
    """The file's lines as text, their bytes kept until they are taken."""

    def __init__(self, stream: io.BufferedReader, name: str) -> None:
        self._kept: bytearray | None = bytearray()
        self._stream, self._name, self._number = stream, name, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(_LONGEST_LINE)
        if not line:
            raise StopIteration
        self._number += 1
        if self._number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if self._kept is not None:
            self._kept += line
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise self._encoding() from error
        if "\0" in text:  # UTF-16 without a mark decodes as UTF-8 full of zero bytes
            raise self._encoding()
        return text

    def taken(self) -> bytes:
        """Return the bytes of the lines so far; those of later ones are not kept."""
        kept, self._kept = bytes(self._kept or b""), None
        return kept

    def _encoding(self) -> BadInput:
        return BadInput(
            "encoding",
            f"got {self._name} with something else than UTF-8 text on line {self._number}, expected UTF-8",
            "have it delivered as UTF-8",
        )


def _check_header(header: Sequence[str], name: str) -> None:
    if not header:
        raise BadInput(
            "empty-drop", f"got {name} without even a header, expected column names", "take another drop"
        )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        shown = ", ".join(repr(column[:40]) for column in twice)
        raise BadInput(
            "columns",
            f"got {name} with {shown} twice in its header, expected each name once",
            "have it mended",
        )
    odd = [
        column
        for column in header
        if not column.strip()
        or column != column.strip()
        or not column.isprintable()
        or len(column) > _LONGEST_NAME
    ]
    if odd:
        raise BadInput(
            "columns",
            f"got {name} with the column {odd[0][:40]!r} in its header, expected names without blanks around them",
            "have the header mended",
        )


def _codes(header: Sequence[str], cells: Sequence[Sequence[str]]) -> set[str]:
    """Return the columns whose digits are codes: 007 as a number is another code."""
    code = re.compile(r"0\d+")
    return {name for at, name in enumerate(header) if any(code.fullmatch(record[at]) for record in cells)}


def _logical(name: str, kind: pa.DataType, code: bool) -> tuple[str, str]:
    """Return a contract's type for an Arrow type, and what is to be said about it."""
    import pyarrow as pa

    if code:
        return "string", f"{name}: digits with a leading zero are a code, so it is text"
    if pa.types.is_null(kind):
        return "string", f"{name}: no value in the sample, so its type is a guess"
    if pa.types.is_timestamp(kind) and kind.tz is None:
        return (
            "string",
            f"{name}: times without a zone are read as text; cast them in SQL, where their zone is known",
        )
    if pa.types.is_time(kind):
        return "string", f"{name}: times of day are read as text"
    known = (
        (pa.types.is_integer, "integer"),
        (pa.types.is_floating, "number"),
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_date, "date"),
        (pa.types.is_timestamp, "timestamp"),
    )
    return next((logical for test, logical in known if test(kind)), "string"), ""
