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

from tidegate.application.ports import ModelSpec, Segment
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.merkle import merkle_root

if TYPE_CHECKING:
    import pyarrow as pa

SCORE = "score"

# With nothing but strings and nulls, sorted keys and no spaces, this encoder writes what RFC 8785 writes
# (a test compares them), some twenty times faster.
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def decisions_root(decisions: pa.Table, model: ModelSpec) -> str:
    """Return the Merkle root over the canonical records of ``decisions``, in their order.

    Which columns are inputs is read off the table: a model.yaml that has gained or lost an input since
    does not change what was decided. Of a key alone the table cannot tell: whether it is an input too is
    what model.yaml says now.
    """
    declared, place = (*model.numeric, *model.categorical), (model.entity_time, *model.keys)
    inputs = [
        name for name in decisions.column_names if name != SCORE and (name in declared or name not in place)
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
                    "score": columns[SCORE][row],
                }
            ).encode()


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return utc_text(value)
    return repr(value)
