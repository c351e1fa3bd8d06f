"""Reads pushed rows in the contract's types: JSON lines, Parquet, an Arrow file or an Arrow stream.

Which it is, the first bytes say. Nothing is guessed: each row has every promised column, null where nothing is known,
and a value is of its column's type, or the push is turned away with its line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import IO, TYPE_CHECKING, Any

from tidegate.adapters.arrow_batches.delimited import arrow_type
from tidegate.adapters.arrow_batches.drop import Drop
from tidegate.domain.contract import Column, Contract
from tidegate.domain.errors import BadInput
from tidegate.domain.push import size_fault

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET, _ARROW_FILE, _ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
_SHOWN = 10
_INTEGERS = range(-(2**63), 2**63)
_DAY = len("2013-01-31")


def read_pushed(push: Drop, contract: Contract) -> tuple[pa.Table, tuple[str, ...]]:
    """Read pushed rows in their own order, columns in the contract's order and types; name those left out.

    Raises:
        BadInput: no row, more rows than the contract lets one push have, or what cannot be read as it promises.
    """
    push.file.seek(0)
    magic = push.file.read(len(_ARROW_FILE))
    push.file.seek(0)
    if magic.startswith((_PARQUET, _ARROW_FILE, _ARROW_STREAM)):
        return _columnar(push, contract, magic)
    return _lines(push, contract)


def _lines(push: Drop, contract: Contract) -> tuple[pa.Table, tuple[str, ...]]:
    import pyarrow as pa

    columns = {column.name: column for column in contract.columns}
    values: dict[str, list[object]] = {name: [] for name in columns}
    extra: dict[str, None] = {}
    count = 0
    for line, row in _objects(push.file, push.name):
        if missing := [name for name in columns if name not in row]:
            raise _columns(f"no {_quoted(missing)} on line {line} of {push.name}", contract, missing=missing)
        extra |= dict.fromkeys(name for name in row if name not in columns)
        for name, column in columns.items():
            values[name].append(_value(column, row[name], line, push.name))
        count += 1
        _bound(contract, count, push.name)
    if not count:
        raise _empty(push.name)
    arrays = {name: pa.array(values[name], arrow_type(column.type)) for name, column in columns.items()}
    return pa.table(arrays), tuple(sorted(extra))


def _objects(file: IO[bytes], name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, raw in enumerate(file, 1):
        if not raw.strip():
            continue
        try:
            found = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
        except UnicodeDecodeError as error:
            raise BadInput(
                "wrong-encoding",
                f"got bytes that are not UTF-8 on line {number} of {name}, expected UTF-8",
                "push it as UTF-8",
                line=number,
            ) from error
        except (ValueError, RecursionError) as error:
            why = getattr(error, "msg", "") or str(error).partition("\n")[0] or "it is nested too deeply"
            raise _malformed(number, name, why) from error
        if not isinstance(found, dict):
            raise _malformed(number, name, "it is no object")
        yield number, found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_number(_: str) -> object:
    raise ValueError("NaN and Infinity are no JSON")


def _value(column: Column, value: object, line: int, name: str) -> object:
    if value is None:
        return None
    try:
        return _READ[column.type](value)
    except (ValueError, TypeError, OverflowError) as error:
        shown = f"{str(value)[:40]!r}" if column.classification == "public" else "a value"
        raise BadInput(
            "mistyped-column",
            f"got {shown} in `{column.name}` on line {line} of {name}, expected type {column.type}",
            "mend what pushes it; nothing was taken from this push",
            column=column.name,
            line=line,
            type=column.type,
        ) from error


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in _INTEGERS:
        raise TypeError
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # a lone half of a character is no text
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _timestamp(value: object) -> datetime:
    moment = datetime.fromisoformat(_string(value))
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _date(value: object) -> date:
    text = _string(value)
    if len(text) != _DAY:
        raise ValueError
    return date.fromisoformat(text)


_READ: Mapping[str, Callable[[object], object]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "date": _date,
}


def _columnar(push: Drop, contract: Contract, magic: bytes) -> tuple[pa.Table, tuple[str, ...]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if magic.startswith(_PARQUET):
            file = pq.ParquetFile(push.file)
            _bound(contract, file.metadata.num_rows, push.name)
            table = file.read()
        else:
            opened = pa.ipc.open_file if magic.startswith(_ARROW_FILE) else pa.ipc.open_stream
            with opened(push.file) as reader:
                table = reader.read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadInput(
            "malformed-push",
            f"got {push.name}, which cannot be read as Parquet or Arrow ({why[:200]}), expected a whole file",
            "push it again; nothing was taken from it",
        ) from error
    _bound(contract, table.num_rows, push.name)
    names = [column.name for column in contract.columns]
    missing = [name for name in names if name not in table.column_names]
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if missing or twice:
        told = [f"no {_quoted(missing)}"] * bool(missing) + [f"twice {_quoted(twice)}"] * bool(twice)
        raise _columns(f"{'; '.join(told)} in {push.name}", contract, missing=missing, twice=twice)
    if not table.num_rows:
        raise _empty(push.name)
    arrays = {column.name: _cast(table.column(column.name), column, push.name) for column in contract.columns}
    return pa.table(arrays), tuple(sorted({*table.column_names} - {*names}))


def _cast(values: pa.ChunkedArray, column: Column, name: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    given = {
        "integer": pa.types.is_integer(kind),
        "number": pa.types.is_floating(kind) or pa.types.is_integer(kind),
        "string": pa.types.is_string(kind) or pa.types.is_large_string(kind),
        "boolean": pa.types.is_boolean(kind),
        "timestamp": pa.types.is_timestamp(kind) and bool(kind.tz),
        "date": pa.types.is_date(kind),
    }[column.type]
    try:
        if not given and not pa.types.is_null(kind):
            raise pa.ArrowInvalid
        cast = values.cast(arrow_type(column.type))
        finite = not pa.types.is_floating(cast.type) or pc.all(pc.is_finite(cast)).as_py() is not False
        if not finite:
            raise pa.ArrowInvalid
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadInput(
            "mistyped-column",
            f"got `{column.name}` as {values.type} in {name}, expected values of type {column.type}",
            "moments need a zone, numbers must be finite; nothing was taken from this push",
            column=column.name,
            type=column.type,
        ) from error
    return cast


def _bound(contract: Contract, rows: int, name: str) -> None:
    most = (contract.push or (0, 0))[1]
    if rows > most and (fault := size_fault(contract, rows, name)):
        raise fault


def _columns(found: str, contract: Contract, **data: object) -> BadInput:
    return BadInput(
        "columns",
        f"got {found}, expected the {len(contract.columns)} columns of the contract {contract.dataset}",
        "write null where nothing is known, or change the contract first",
        **data,
    )


def _quoted(names: list[str]) -> str:
    return ", ".join(repr(name[:40]) for name in names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")


def _malformed(line: int, name: str, why: str) -> BadInput:
    return BadInput(
        "malformed-push",
        f"got line {line} of {name}, which is no JSON object ({why[:200]}), expected one row as an object on each line",
        "push it again; nothing was taken from it",
        line=line,
    )


def _empty(name: str) -> BadInput:
    return BadInput("empty-push", f"got {name} without a row, expected rows", "push some")
