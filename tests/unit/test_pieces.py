"""Rows of a file are looked at piece by piece, and no piece stays when the next one comes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tidegate.adapters.shared.pieces import AT_ONCE, Stored

GROUPS = 24


def test_what_was_looked_at_is_not_kept(tmp_path: Path) -> None:
    """Numbers that do not compress, so that what a reader keeps of the file would be seen."""
    random = np.random.default_rng(1)
    with pq.ParquetWriter(tmp_path / "rows.parquet", pa.schema({"number": pa.int64()})) as writer:
        for _ in range(GROUPS):
            writer.write_table(pa.table({"number": random.integers(0, 2**62, AT_ONCE)}))
    one, before, held, rows = 8 * AT_ONCE, pa.total_allocated_bytes(), 0, 0
    for piece in Stored(tmp_path / "rows.parquet").pieces(["number"]):
        held, rows = max(held, pa.total_allocated_bytes() - before), rows + piece.num_rows
    assert rows == GROUPS * AT_ONCE
    assert held < GROUPS * one / 2, "a good part of the file was in memory at once"
