"""The point-in-time join in memory: each history is sorted once, and searched once for all entity rows.

It answers what the query of `as_of` answers, faster, and holds everything while it does. Key and time are packed into
one integer, so that one sort puts a key's rows in the order in which they became known. Along that order the latest
event so far is the answer from there on.

    known at            1   2   3   4
    happened            1   3   2   4
    latest known then   1   3   3   4
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate.adapters.feast_store.as_of import History

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

#: What a packed integer must stay below.
_ROOM = 2**63
_NEVER = -_ROOM


def swept(
    asked: pa.Table,
    at: str,
    histories: Sequence[History],
    rows: Sequence[Callable[[], pa.Table]],
    workers: Executor,
) -> pa.Table:
    """Return ``asked`` with the features of every history joined on, row by row.

    ``at`` is the column of moments. ``rows`` reads each history's own: keys without nulls that the entity rows' can be
    cast to, times in the unit of ``at``, which is microseconds. What is read is gone when its history is joined.
    """
    found = workers.map(lambda history, read: _joined(asked, at, history, read()), histories, rows)
    columns = {name: asked.column(name) for name in asked.column_names}
    for joined in found:
        columns |= joined
    return pa.table(columns)


def _joined(asked: pa.Table, at: str, history: History, rows: pa.Table) -> dict[str, pa.Array]:
    places = _places(asked, at, history, rows)
    return {
        called: rows.column(feature).combine_chunks().take(places)
        for feature, called in history.features.items()
    }


def _places(asked: pa.Table, at: str, history: History, rows: pa.Table) -> pa.Array:
    """Return the place in ``rows`` of each entity row's answer, null where nothing was known."""
    if not len(rows):
        return pa.nulls(len(asked), pa.int64())
    moments = _numbers(asked.column(at), missing=_NEVER)
    event = _numbers(rows.column(history.event))
    created = _numbers(rows.column(history.created)) if history.created else event
    known = np.maximum(event, created)
    theirs, own = _codes(asked, rows, history)
    keys = int(own.max()) + 1

    turns, asked_turns, size = _turns(known, moments, keys)
    packed = own * size + turns
    early = bool((created < event).any())  # only then may two rows of one event be known at the same time
    order = np.lexsort((created, packed)) if early else np.argsort(packed)
    happened, _, length = _turns(event, event, keys)
    latest = (own * length + happened)[order]
    so_far = np.where(latest == np.maximum.accumulate(latest), np.arange(len(order)), 0)
    answers = order[np.maximum.accumulate(so_far)]

    wanted = theirs * size + asked_turns
    turn = np.argsort(wanted)  # found in their order, neighbours lie in the same part of the memory
    last = np.empty(len(wanted), np.int64)
    last[turn] = np.searchsorted(packed[order], wanted[turn], side="right") - 1
    places = answers[np.maximum(last, 0)]
    right = (last >= 0) & (own[places] == theirs) & (known[places] <= moments)
    if history.ttl:
        right &= event[places] + history.ttl // timedelta(microseconds=1) >= moments
    return pa.array(places, mask=~right)


def _codes(asked: pa.Table, rows: pa.Table, history: History) -> tuple[Numbers, Numbers]:
    """Return a number for each row's key on either side, equal where the keys are; -1 where it is not in ``rows``."""
    codes = np.zeros(len(rows) + len(asked), np.int64)
    for number, (key, name) in enumerate(history.keys.items()):
        there = rows.column(key)
        both = pa.chunked_array([*there.chunks, *asked.column(name).cast(there.type).chunks], there.type)
        part, size = _dense(both)
        if number:
            pairs = np.where((codes < 0) | (part < 0), -1, codes * size + part)
            part, _ = _dense(pa.chunked_array([pa.array(pairs, mask=pairs < 0)]))
        codes = part
    own, theirs = codes[: len(rows)], codes[len(rows) :]
    return np.where(theirs <= own.max(), theirs, -1), own


def _dense(values: pa.ChunkedArray) -> tuple[Numbers, int]:
    """Return a number for each value, equal where they are, -1 for null, and below what they all lie.

    There are at most as many numbers as values: integers that lie close together stand for themselves, of others it is
    the place among the different ones.
    """
    if pa.types.is_integer(values.type) and values.null_count < len(values):
        least, most = pc.min_max(values).as_py().values()
        if least > _NEVER and most - least < len(values):
            return _numbers(values, missing=least - 1) - least, most - least + 1
    encoded = values.combine_chunks().dictionary_encode()
    return _numbers(encoded.indices, missing=-1), len(encoded.dictionary)


def _turns(times: Numbers, moments: Numbers, keys: int) -> tuple[Numbers, Numbers, int]:
    """Return times and moments as numbers from 0 that leave room for so many keys, and how many numbers there may be.

    They compare as before, but for moments that lie outside the times.
    """
    first, size = int(times.min()), int(times.max()) - int(times.min()) + 1
    if keys * size < _ROOM:
        return times - first, np.clip(moments, first, first + size - 1) - first, size
    both = np.concatenate((times, moments))
    order = np.argsort(both)
    ranks = np.empty(len(both), np.int64)
    ranks[order] = np.cumsum(np.diff(both[order], prepend=both[order[:1]]) != 0)
    return ranks[: len(times)], ranks[len(times) :], len(both)


def _numbers(column: pa.Array | pa.ChunkedArray, missing: int = 0) -> Numbers:
    numbers: Numbers = column.cast(pa.int64()).fill_null(missing).to_numpy()
    return numbers
