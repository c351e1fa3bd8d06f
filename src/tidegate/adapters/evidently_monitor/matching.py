"""Which row of one table is which row of another: by entity time and keys, whatever the order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidegate.domain.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]


def codes(tables: Sequence[tuple[pa.Table, str]], key: Sequence[str]) -> list[Codes]:
    """Return one number a row for each (table, what it holds): rows of equal keys have equal numbers.

    Keys are compared in the types of the first table.

    Raises:
        BadInput: a key occurs twice in a table, or has another type.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    first, ends = tables[0][0], np.cumsum([table.num_rows for table, _ in tables])[:-1]
    code = np.zeros(sum(table.num_rows for table, _ in tables), dtype=np.int64)
    for name in key:
        kind = first.schema.field(name).type
        parts = [_cast(table.column(name), kind, what) for table, what in tables]
        column = pa.chunked_array([chunk for part in parts for chunk in part.chunks], kind)
        values = column.combine_chunks().dictionary_encode()
        place = pc.fill_null(values.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
        # Numbered anew after each column, so that the product of two counts never overflows.
        _, code = np.unique(code * (len(values.dictionary) + 1) + place, return_inverse=True)
    found = np.split(code, ends)
    for each, (_, what) in zip(found, tables, strict=True):
        if twice := len(each) - len(np.unique(each)):
            raise BadInput(
                "monitor-keys",
                f"got {twice} {what} whose {', '.join(key)} occur more than once, expected each once",
                "a key of the model does not tell its rows apart",
            )
    return found


def positions(wanted: Codes, held: Codes) -> Codes:
    """Return where each wanted code stands among those held, -1 where it does not."""
    import numpy as np

    if not len(held):
        return np.full(len(wanted), -1, dtype=np.int64)
    order = np.argsort(held, kind="stable")
    place = np.minimum(np.searchsorted(held, wanted, sorter=order), len(held) - 1)
    found = order[place]
    return np.where(held[found] == wanted, found, -1)


def _cast(column: pa.ChunkedArray, kind: pa.DataType, what: str) -> pa.ChunkedArray:
    import pyarrow as pa

    try:
        return column.cast(kind)
    except pa.ArrowException as error:
        raise BadInput(
            "monitor-keys",
            f"got {what} whose keys have other types ({error}), expected those of the decisions",
            "score the period again",
        ) from error
