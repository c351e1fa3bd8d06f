"""The canonical record of one decision: what a segment's Merkle root is taken over.

    {"entity_time":…,"inputs":{…},"keys":{…},"score":"0.1875…","stale_views":"weather_hour"}

``stale_views`` is there where some view says how fresh it must be: the views, by name, of which this decision rests on
a value that was not fresh, or null. RFC 8785 bytes. Every number is its shortest round-trip decimal as a string, so
that no reader has to share this one's idea of how a float is printed; a time is RFC 3339 in UTC; null is null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.application.ports import ModelSpec, Segment
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.merkle import merkle_root

if TYPE_CHECKING:
    import pyarrow as pa

SCORE, STALE = "score", "stale_views"

#: Rows written at once: what a record's text takes in memory is bounded.
_AT_ONCE = 32_768
# Of a string or null this encoder writes what RFC 8785 writes (a test compares them).
_encode = json.JSONEncoder(ensure_ascii=False).encode


def decisions_root(decisions: pa.Table, model: ModelSpec) -> str:
    """Return the Merkle root over the canonical records of ``decisions``, in their order.

    Which columns are inputs is read off the table: a model.yaml that has gained or lost an input since
    does not change what was decided. Of a key alone the table cannot tell: whether it is an input too is
    what model.yaml says now.
    """
    declared, place = (*model.numeric, *model.categorical), (model.entity_time, *model.keys)
    inputs = [
        name
        for name in decisions.column_names
        if name not in (SCORE, STALE) and (name in declared or name not in place)
    ]
    return merkle_root(decision_records(decisions, model.entity_time, model.keys, inputs))


def verify_decisions(decisions: pa.Table, segment: Segment, model: ModelSpec) -> None:
    """Recompute the root of what was read from a segment's file.

    Raises:
        DependencyFailed: it is another one.
    """
    if (found := decisions_root(decisions, model)) != segment.root:
        raise DependencyFailed(
            "decisions-altered",
            f"got {decisions.num_rows} decisions of {model.name} with the root {found}, "
            f"expected {segment.records} with {segment.root}",
            f"somebody wrote to {segment.path.name}: restore it from a backup",
        )


def decision_records(
    decisions: pa.Table, entity_time: str, keys: Sequence[str], inputs: Sequence[str]
) -> Iterator[bytes]:
    """Yield one canonical record per row, in row order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # Written column by column: a record's names are the same in every row, and a column has few distinct
    # values, each of which is written once. It is ten times faster than writing row by row.
    for start in range(0, decisions.num_rows, _AT_ONCE):
        part = decisions.slice(start, _AT_ONCE)
        marks = [STALE] if STALE in part.column_names else []
        written = {name: _written(part.column(name)) for name in {entity_time, *keys, *inputs, SCORE, *marks}}
        pieces: list[object] = ['{"entity_time":', written[entity_time]]
        for group, names in (("inputs", inputs), ("keys", keys)):
            pieces.append(f',"{group}":{{')
            # RFC 8785 sorts names by their UTF-16 code units.
            for place, name in enumerate(sorted(set(names), key=lambda name: name.encode("utf-16-be"))):
                pieces += [f"{',' if place else ''}{_encode(name)}:", written[name]]
            pieces.append("}")
        pieces += [',"score":', written[SCORE]]
        pieces += [piece for name in marks for piece in (f',"{name}":', written[name])] + ["}"]
        strings = [
            pa.scalar(piece, pa.large_string()) if isinstance(piece, str) else piece for piece in pieces
        ]
        whole = pc.binary_join_element_wise(*strings, pa.scalar("", pa.large_string()))
        yield from whole.cast(pa.large_binary()).to_pylist()


def _written(column: pa.ChunkedArray) -> pa.Array:
    """Return each value of a column as JSON."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # a column of several chunks, or of none, may stay chunked
        array = pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        # By their bits: 0.0 and -0.0 are equal and are written differently.
        numbers = array.cast(pa.float64())
        bits = pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False).view(np.int64)
        distinct, place = np.unique(bits, return_inverse=True)
        # Nothing in a number's decimal is escaped.
        texts = [f'"{value!r}"' for value in distinct.view(np.float64).tolist()]
        indices = pa.array(place, mask=~array.is_valid().to_numpy(zero_copy_only=False))
    else:
        coded = array.dictionary_encode()
        texts = [_encode(_text(value)) for value in coded.dictionary.to_pylist()]
        indices = coded.indices
    return pc.fill_null(pa.array(texts, pa.large_string()).take(indices), "null")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return utc_text(value)
    return repr(value)
