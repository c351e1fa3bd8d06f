"""Which rows of a frame belong to a part: drawn by their names, the same ones by whoever draws."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from tidegate.domain.canonical import canonical, utc_text

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.application.ports import ModelSpec, Part


def drawn(table: pa.Table, model: ModelSpec, part: Part) -> pa.Table:
    """Return the rows of ``table`` that belong to ``part``, in its order."""
    import numpy as np

    columns = [table.column(name).to_pylist() for name in (model.entity_time, *model.keys)]
    names = [
        sha256(canonical([utc_text(moment), *map(str, keys)])).digest()
        for moment, *keys in zip(*columns, strict=True)
    ]
    chosen = np.zeros(table.num_rows, dtype=bool)
    chosen[sorted(range(len(names)), key=names.__getitem__)[: part.rows]] = True
    return table.filter(~chosen if part.others else chosen)
