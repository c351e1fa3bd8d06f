"""The canonical record of one decision: what a segment's Merkle root is taken over.

    {"entity_time":…,"inputs":{…},"keys":{…},"score":"0.1875…"}

RFC 8785 bytes. Every number is its shortest round-trip decimal as a string, so that no reader has to
share this one's idea of how a float is printed; a time is RFC 3339 in UTC; null is null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tidegate.domain.canonical import utc_text

if TYPE_CHECKING:
    import pyarrow as pa

# With nothing but strings and nulls, sorted keys and no spaces, this encoder writes what RFC 8785 writes
# (a test compares them), some twenty times faster.
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def decision_records(
    decisions: pa.Table, entity_time: str, keys: Sequence[str], inputs: Sequence[str]
) -> Iterator[bytes]:
    """Yield one canonical record per row, in row order."""
    for batch in decisions.to_batches(max_chunksize=4096):
        columns = {
            name: [_text(value) for value in batch.column(name).to_pylist()] for name in batch.schema.names
        }
        for row in range(batch.num_rows):
            yield _encode(
                {
                    "entity_time": columns[entity_time][row],
                    "inputs": {name: columns[name][row] for name in inputs},
                    "keys": {name: columns[name][row] for name in keys},
                    "score": columns["score"][row],
                }
            ).encode()


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return utc_text(value)
    return repr(value)
