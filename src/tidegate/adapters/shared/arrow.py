r"""Arrow tables: their canonical digest, and Parquet files written whole.

The digest is the record's ``tg1:``. It is taken over values, not over a file, so it does not depend on
the Parquet writer, its version, its compression or its row groups. The layout must never change; a
different layout is a different prefix.

    "tg1\n", then for each column in the order of the names
        name           UTF-8, preceded by its length
        type           canonical type in ASCII, preceded by its length
        rows           count
        validity       one byte a row, 1 valid, 0 null
        values         fixed width, little endian, null as zeros, every NaN as 0x7ff8000000000000;
                       strings and binaries as one length a row (null is 0), then all bytes

Lengths and counts are int64 little endian. Null and NaN differ by their validity byte.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.shared.files import write_whole
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Rows are hashed in the order they are in: a table's row order is part of its content.
PREFIX = "tg1:"


def table_digest(table: pa.Table) -> str:
    """Return the canonical ``tg1:<64 hex digits>`` digest of a table.

    Dictionaries are decoded, ``large_string`` counts as ``string``, times become microseconds in UTC
    (a time without a zone counts as UTC).

    Raises:
        BadInput: two columns share a name, a type is nested, or a time is finer than a microsecond.
    """
    if len(set(table.column_names)) != table.num_columns:
        raise BadInput(
            "duplicate-column",
            f"got the columns {', '.join(table.column_names)}, expected each name once",
            "rename or drop the duplicate",
        )
    sha = hashlib.sha256(b"tg1\n")
    for name in sorted(table.column_names):
        array = _canonical_array(name, table.column(name))
        # Strings are "string" whatever width their offsets have in memory.
        for text in (name.encode(), str(array.type).removeprefix("large_").encode()):
            sha.update(_int64(len(text)) + text)
        sha.update(_int64(len(array)))
        sha.update(_valid(array).tobytes())
        for part in _values(name, array):
            sha.update(part)
    return PREFIX + sha.hexdigest()


def write_parquet(table: pa.Table, path: Path) -> Path:
    """Write ``table`` to ``path`` whole. The bytes depend on the table and the library alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return write_whole(path, sink.getvalue().to_pybytes())


def _canonical_array(name: str, column: pa.ChunkedArray) -> pa.Array:
    """Return one array whose type has one spelling."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_string(kind):
        kind = pa.large_string()
    elif pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_binary(kind):
        kind = pa.large_binary()
    elif pa.types.is_timestamp(kind):
        kind = pa.timestamp("us", "UTC")
    elif pa.types.is_date64(kind):
        kind = pa.date32()
    try:
        column = column.cast(kind)
    except pa.ArrowInvalid as error:
        raise BadInput(
            "lossy-column",
            f"got the column {name} as {column.type}, expected values that {kind} holds exactly ({error})",
            "round times to microseconds first",
        ) from error
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # a column without any chunk stays chunked
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=kind)
    return array


def _valid(array: pa.Array) -> np.ndarray:
    import numpy as np

    valid: np.ndarray = array.is_valid().to_numpy(zero_copy_only=False).astype(np.uint8)
    return valid


def _values(name: str, array: pa.Array) -> list[bytes]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_null(kind):
        return []
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        lengths = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
        filled = pc.fill_null(array.cast(pa.large_binary()), b"")
        _, offsets, data = filled.buffers()
        bounds = np.frombuffer(offsets, dtype="<i8")[filled.offset : filled.offset + len(filled) + 1]
        body = memoryview(data)[bounds[0] : bounds[-1]].tobytes() if data is not None and len(filled) else b""
        return [lengths.astype("<i8").tobytes(), body]
    if pa.types.is_boolean(kind):
        return [pc.fill_null(array, False).to_numpy(zero_copy_only=False).astype(np.uint8).tobytes()]
    if pa.types.is_floating(kind):
        filled = pc.fill_null(array, pa.scalar(0.0, kind)).to_numpy(zero_copy_only=False)
        width = filled.dtype.newbyteorder("<")
        return [np.where(np.isnan(filled), np.array(np.nan, filled.dtype), filled).astype(width).tobytes()]
    if pa.types.is_primitive(kind):
        whole = array.view(f"int{kind.bit_width}") if pa.types.is_temporal(kind) else array
        filled = pc.fill_null(whole, 0).to_numpy(zero_copy_only=False)
        return [filled.astype(filled.dtype.newbyteorder("<")).tobytes()]
    raise BadInput(
        "no-canonical-type",
        f"got the column {name} as {kind}, expected numbers, strings, binaries, booleans, dates or times",
        "cast the column first",
    )


def _int64(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True)
