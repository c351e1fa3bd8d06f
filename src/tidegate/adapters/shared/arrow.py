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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.shared.files import write_whole
from tidegate.adapters.shared.pieces import pieces, schema
from tidegate.application.ports import Table
from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    #: What can be hashed.
    Bytes = bytes | memoryview | np.ndarray

#: Rows are hashed in the order they are in: a table's row order is part of its content.
PREFIX = "tg1:"
#: Values made ready for hashing at once: as many as a core's own memory holds.
_AT_ONCE = 2**15
#: How many bytes of a column on disk stay in memory while it is hashed.
_KEPT = 2**26


def table_digest(table: Table) -> str:
    """Return the canonical ``tg1:<64 hex digits>`` digest of a table, which may be one on disk.

    Dictionaries are decoded, ``large_string`` counts as ``string``, times become microseconds in UTC
    (a time without a zone counts as UTC).

    Raises:
        BadInput: two columns share a name, a type is nested, or a time is finer than a microsecond.
    """
    names, types = table.column_names, schema(table)
    if len(set(names)) != len(names):
        raise BadInput(
            "duplicate-column",
            f"got the columns {', '.join(names)}, expected each name once",
            "rename or drop the duplicate",
        )
    sha = hashlib.sha256(b"tg1\n")
    for name in sorted(names):
        kind = _canonical_type(types.field(name).type)
        # Strings are "string" whatever width their offsets have in memory.
        for text in (name.encode(), str(kind).removeprefix("large_").encode()):
            sha.update(_int64(len(text)) + text)
        sha.update(_int64(table.num_rows))
        # All validity comes before all values, so a column is gone through twice, texts three times.
        column = _Column(table, name, kind)
        for part in (_valid, *_parts(name, kind)):
            for array in column:
                sha.update(part(array))  # type: ignore[arg-type] # an array of numpy's is a buffer
    return PREFIX + sha.hexdigest()


def write_parquet(table: pa.Table, path: Path) -> Path:
    """Write ``table`` to ``path`` whole. The bytes depend on the table and the library alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return write_whole(path, sink.getvalue().to_pybytes())


def _canonical_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in its one spelling."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_string(kind):
        return pa.large_string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_binary(kind):
        return pa.large_binary()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC")
    return pa.date32() if pa.types.is_date64(kind) else kind


class _Column:
    """A column's values in their one type, some at a time; of one on disk, up to `_KEPT` bytes are read only once."""

    def __init__(self, table: Table, name: str, kind: pa.DataType) -> None:
        self._table, self._name, self._kind = table, name, kind
        self._kept: list[pa.Array] | None = None

    def __iter__(self) -> Iterator[pa.Array]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[pa.Array] = []
        size = 0
        for piece in pieces(self._table, [self._name]):
            for array in map(self._cast, piece.column(0).chunks):
                size += array.nbytes
                for start in range(0, len(array), _AT_ONCE):
                    some = array.slice(start, _AT_ONCE)
                    if size <= _KEPT:
                        kept.append(some)
                    yield some
        if size <= _KEPT:
            self._kept = kept

    def _cast(self, array: pa.Array) -> pa.Array:
        """Return values in their one type; offsets stay as wide as they are."""
        import pyarrow as pa

        wide = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}
        try:
            return array if wide.get(array.type, array.type) == self._kind else array.cast(self._kind)
        except pa.ArrowInvalid as error:
            raise BadInput(
                "lossy-column",
                f"got the column {self._name} as {array.type}, "
                f"expected values that {self._kind} holds exactly ({error})",
                "round times to microseconds first",
            ) from error


def _parts(name: str, kind: pa.DataType) -> Sequence[Callable[[pa.Array], Bytes]]:
    """Return what is hashed of a column of this type after its validity, each over all rows."""
    import pyarrow as pa

    if pa.types.is_null(kind):
        return ()
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return (_lengths, _texts)
    if pa.types.is_boolean(kind):
        return (_flags,)
    if pa.types.is_floating(kind) or pa.types.is_primitive(kind):
        return (_numbers,)
    raise BadInput(
        "no-canonical-type",
        f"got the column {name} as {kind}, expected numbers, strings, binaries, booleans, dates or times",
        "cast the column first",
    )


def _valid(array: pa.Array) -> np.ndarray:
    """Return one byte a row."""
    import numpy as np

    if not array.null_count:
        return np.ones(len(array), np.uint8)
    if (bits := array.buffers()[0]) is None:  # a column of the type null
        return np.zeros(len(array), np.uint8)
    return _unpacked(array, bits)


def _flags(array: pa.Array) -> np.ndarray:
    flags = _unpacked(array, array.buffers()[1])
    return flags & _valid(array) if array.null_count else flags


def _unpacked(array: pa.Array, bits: pa.Buffer) -> np.ndarray:
    import numpy as np

    first, skipped = divmod(array.offset, 8)
    some = np.frombuffer(bits, np.uint8)[first : first + (skipped + len(array) + 7) // 8]
    return np.unpackbits(some, bitorder="little")[skipped : skipped + len(array)]


def _numbers(array: pa.Array) -> np.ndarray:
    import numpy as np
    import pyarrow as pa

    floating = pa.types.is_floating(array.type)
    dtype = np.dtype(f"i{array.type.bit_width // 8}" if not floating else array.type.to_pandas_dtype())
    values = np.frombuffer(array.buffers()[1], dtype)[array.offset : array.offset + len(array)]
    if array.null_count:
        values = np.where(_valid(array).view(bool), values, dtype.type(0))
    if floating and (odd := np.isnan(values)).any():
        values = np.where(odd, dtype.type(np.nan), values)
    return values.astype(dtype.newbyteorder("<"), copy=False)


def _bounds(array: pa.Array) -> np.ndarray:
    import numpy as np
    import pyarrow as pa

    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    offsets = np.frombuffer(array.buffers()[1], "<i8" if wide else "<i4")
    return offsets[array.offset : array.offset + len(array) + 1]


def _lengths(array: pa.Array) -> np.ndarray:
    import numpy as np

    lengths: np.ndarray = np.diff(_bounds(array)).astype("<i8")
    return lengths * _valid(array) if array.null_count else lengths


def _texts(array: pa.Array) -> Bytes:
    import pyarrow as pa

    bounds, data = _bounds(array), array.buffers()[2]
    if data is None:
        return b""
    if (
        array.null_count and int(_lengths(array).sum()) != bounds[-1] - bounds[0]
    ):  # something lies under a null
        return _texts(array.cast(pa.large_binary()).fill_null(b""))
    return memoryview(data)[bounds[0] : bounds[-1]]


def _int64(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True)
