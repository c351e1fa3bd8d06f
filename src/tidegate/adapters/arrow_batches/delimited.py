"""Reads a drop's CSV in the contract's types, and says where and why it cannot."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidegate.adapters.arrow_batches.drop import Drop, open_csv, room_for
from tidegate.adapters.shared.pieces import gathered
from tidegate.application.ports import Table
from tidegate.domain.contract import Contract
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_HEADER = 64 * 1024
#: The first and the last moment that a Python datetime can say.
_ENDS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
#: A CSV of more bytes is read in parts, of so many bytes each.
_LARGE, _BLOCK = 2**26, 2**20
_SHOWN = 10  # columns named in a message; `data` has them all
_PLACE = re.compile(
    r"In CSV column #(?P<column>\d+): (?:Row #(?P<row>\d+): )?.*?error to (?P<type>[^:]+): (?P<why>.*)",
    re.DOTALL,
)
_RAGGED = re.compile(r"(?:Row #(?P<row>\d+): )?Expected (?P<expected>\d+) columns, got (?P<got>\d+)")


def read_csv(
    drop: Drop, contract: Contract, nulls: Sequence[str], treat: Callable[[pa.Table], pa.Table] | None = None
) -> tuple[Table, tuple[str, ...]]:
    """Read a drop in its own row order, columns in the contract's order and types; name those that were left out.

    ``nulls`` are the spellings of null, in every column. Texts in quotes are never null. ``treat`` is done to the rows
    before they are kept anywhere; what is large is read in parts, and lies on disk.

    Raises:
        BadInput: see `tidegate.application.ports.Batches.read`. DependencyFailed: there is no room for it.
    """
    import pyarrow as pa

    with open_csv(drop) as stream:
        header, size = _header(stream, drop.name), stream.size
    if not header:
        raise _empty(drop.name, "without even a header")
    extra = _check_columns(header, contract, drop.name)
    parse = _at_once if size <= _LARGE else _in_parts

    def read(threads: bool = True) -> Table:
        with room_for(drop.name):
            return gathered(_treated(parse(drop, contract, nulls, threads), drop.name, treat))

    try:
        table: Table | None = read()
    except pa.ArrowInvalid:
        table = None
    if table is None:
        table = _read_slowly(read, header, contract, drop.name)
    if not table.num_rows:
        raise _empty(drop.name, "with a header and no row")
    return table, extra


def arrow_type(logical: str) -> pa.DataType:
    """Return the Arrow type of a contract's column type. Times are UTC, in microseconds."""
    import pyarrow as pa

    types = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "string": pa.string(),
        "timestamp": pa.timestamp("us", "UTC"),
        "boolean": pa.bool_(),
        "date": pa.date32(),
    }
    return types[logical]


def _at_once(drop: Drop, contract: Contract, nulls: Sequence[str], threads: bool) -> Iterator[pa.Table]:
    import pyarrow.csv as arrow_csv

    with open_csv(drop) as stream:
        yield arrow_csv.read_csv(
            stream,
            read_options=arrow_csv.ReadOptions(use_threads=threads),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=_conversion(contract, nulls),
        )


def _in_parts(drop: Drop, contract: Contract, nulls: Sequence[str], threads: bool) -> Iterator[pa.Table]:
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    with (
        open_csv(drop) as stream,
        arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(use_threads=threads, block_size=_BLOCK),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=_conversion(contract, nulls),
        ) as batches,
    ):
        yield batches.schema.empty_table()  # there may be no row at all
        for batch in batches:
            yield pa.Table.from_batches([batch])


def _conversion(contract: Contract, nulls: Sequence[str]) -> Any:
    import pyarrow.csv as arrow_csv

    return arrow_csv.ConvertOptions(
        column_types={column.name: arrow_type(column.type) for column in contract.columns},
        include_columns=[column.name for column in contract.columns],
        null_values=list(nulls),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )


def _treated(
    parts: Iterable[pa.Table], name: str, treat: Callable[[pa.Table], pa.Table] | None
) -> Iterator[pa.Table]:
    line = 2
    for part in parts:
        _check_finite(part, name, line)
        _check_times(part, name, line)
        yield treat(part) if treat else part
        line += len(part)


def _read_slowly(
    read: Callable[[bool], Table], header: Sequence[str], contract: Contract, name: str
) -> Table:
    """Read once more for the message's sake: only the single-threaded reader knows the line.

    Arrow's own message quotes the value. It stays out of what is raised here, also as its cause: that is logged.
    """
    import pyarrow as pa

    try:
        return read(False)
    except pa.ArrowInvalid as error:
        said = str(error)
    raise _explain(said, header, contract, name)


def _header(stream: io.RawIOBase, name: str) -> list[str]:
    line = stream.readline(_MAX_HEADER)
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _encoding(name, 1) from error
    if "\0" in text:  # UTF-16 without a mark decodes as UTF-8 full of zero bytes
        raise _encoding(name, 1)
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise BadInput(
            "malformed-csv",
            f"got a header in {name} that is no CSV, expected column names",
            "have it delivered again",
        ) from error


def _check_columns(header: Sequence[str], contract: Contract, name: str) -> tuple[str, ...]:
    """Return the columns that nobody promised: they are not read, and so nothing of them is kept."""
    expected = [column.name for column in contract.columns]
    missing = [column for column in expected if column not in header]
    extra = sorted({column for column in header if column not in expected})
    twice = sorted({column for column in header if header.count(column) > 1})
    if missing == expected:  # a first row of data, and that is not repeated
        raise BadInput(
            "columns",
            f"got {name}, whose first line has none of the {len(expected)} columns of the contract "
            f"{contract.dataset}, expected their names",
            "have it delivered with a header",
            missing=missing,
        )
    if missing or twice:
        found = [
            f"{what} {', '.join(repr(column[:40]) for column in columns[:_SHOWN])}"
            f"{' …' if len(columns) > _SHOWN else ''}"
            for what, columns in (("no", missing), ("the extra", extra), ("twice", twice))
            if columns
        ]
        raise BadInput(
            "columns",
            f"got {name} with {'; '.join(found)}, "
            f"expected the {len(expected)} columns of the contract {contract.dataset}",
            "have the drop corrected, or change the contract first",
            missing=missing,
            extra=extra,
            twice=twice,
        )
    return tuple(extra)


def _explain(message: str, header: Sequence[str], contract: Contract, name: str) -> BadInput:
    """Turn Arrow's message into a sentence. The bad value is quoted from public columns only."""
    if place := _PLACE.search(message):
        wrong = header[int(place["column"])]  # Arrow counts columns as the file has them
        column = next(column for column in contract.columns if column.name == wrong)
        line = int(place["row"] or 0)
        if "UTF8" in place["why"]:
            return _encoding(name, line)
        quoted = re.search(r"'(.*)'", place["why"], re.DOTALL)
        told = quoted and column.classification == "public" and column.treatment is None
        value = f"{quoted[1][:40]!r}" if quoted and told else "a value"
        at = f" on line {line}" if line else ""
        hint = "have the drop corrected; one mistyped value makes its whole column doubtful"
        sentence = f"got {value} in `{column.name}`{at} of {name}, expected type {column.type}"
        return BadInput("mistyped-column", sentence, hint, column=column.name, line=line, type=column.type)
    if ragged := _RAGGED.search(message):
        line = int(ragged["row"] or 0)
        at = f" on line {line}" if line else ""
        return BadInput(
            "malformed-csv",
            f"got {ragged['got']} fields{at} of {name}, expected {len(header)}",
            "the file may be cut short; have it delivered again",
            line=line,
        )
    return BadInput(
        "malformed-csv", f"got {name}, which cannot be read as CSV, expected rows of {len(header)} fields",
        "have it delivered again",
    )  # fmt: skip


def _check_finite(table: pa.Table, name: str, first: int) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for field in table.schema:
        if not pa.types.is_floating(field.type):
            continue
        odd = pc.fill_null(pc.invert(pc.is_finite(table.column(field.name))), False)
        if pc.any(odd).as_py():
            line = first + pc.index(odd, True).as_py()
            raise BadInput(
                "mistyped-column",
                f"got no finite number in `{field.name}` on line {line} of {name}, expected type number",
                "leave the field empty where nothing could be measured",
                column=field.name,
                line=line,
                type="number",
            )


def _check_times(table: pa.Table, name: str, first: int) -> None:
    """Refuse times that have no year from 1 to 9999 in UTC: nothing that reads the batch later could say them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for field in table.schema:
        if not pa.types.is_temporal(field.type):
            continue
        units = pa.int32() if pa.types.is_date(field.type) else pa.int64()
        column = table.column(field.name).cast(units)
        least, most = (
            pa.array([end.date() if units == pa.int32() else end], field.type).cast(units)[0] for end in _ENDS
        )
        odd = pc.fill_null(pc.or_(pc.less(column, least), pc.greater(column, most)), False)
        if pc.any(odd).as_py():
            line = first + pc.index(odd, True).as_py()
            kind = "date" if units == pa.int32() else "timestamp"
            raise BadInput(
                "mistyped-column",
                f"got no year from 1 to 9999 in UTC in `{field.name}` on line {line} of {name}, expected type {kind}",
                "leave the field empty where no time is known",
                column=field.name,
                line=line,
                type=kind,
            )


def _empty(name: str, what: str) -> BadInput:
    return BadInput("empty-drop", f"got {name} {what}, expected rows", "have it delivered again")


def _encoding(name: str, line: int) -> BadInput:
    at = f" on line {line}" if line else ""
    return BadInput(
        "wrong-encoding",
        f"got bytes that are not UTF-8{at} of {name}, expected UTF-8",
        "have it delivered as UTF-8",
        line=line,
    )
