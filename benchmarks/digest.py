"""What a batch's digest costs beside plain SHA-256 over the very buffers its columns lie in.

The year's flights, many times over, with a measure that is sometimes NaN and a flag beside their numbers, texts, times
and nulls. The digest is taken of the rows in memory, and of a Parquet file that is never in memory whole; each in a
child (see `child`). CPU counts: where other work shares the cores, it says more than seconds do.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gate
from child import LEAST, LIMIT_MIB, Ended, Sizes
from rich.console import Console

ROWS, REPEATS = 300_000, 5
AIM = 1.5
TITLES = {
    "plain": "SHA-256 of the buffers",
    "digest": "the digest, in memory",
    "disk": "the digest, from Parquet",
}


def measure(out: Console, rows: int) -> None:
    """Print how long each takes, and what the digest costs beside plain SHA-256.

    Raises:
        SystemExit: so few that nothing would be told by them, or two digests of the same rows differ.
    """
    if rows < LEAST:
        raise SystemExit(f"got {rows} flights, expected at least {LEAST:,}")
    out.print(
        f"[bold]a batch's digest, {rows:,} flights[/bold], the least CPU of {REPEATS}; {LIMIT_MIB:,} MiB a child"
    )
    out.print(
        f"    {'':28}{'flights':>12}{'seconds':>9}{'CPU':>9}{'MB hashed':>11}{'GB/s':>7}{'peak MiB':>10}"
    )
    with tempfile.TemporaryDirectory() as folder:
        sizes = Sizes(Path(folder), __file__, prepare)
        ran: dict[str, int] = {}
        for name, title in TITLES.items():
            for size, ended in sizes.tried(name, rows):
                out.print(f"    {title:28}{size:12,}{_told(ended)}")
                ran[name] = size
        size = min(ran.values())  # the largest at which all of them ran
        plain, digest, disk = (sizes.run(name, size).said for name in TITLES)
    if digest["said"] != disk["said"]:
        raise SystemExit("got another digest from disk than in memory, expected the same")
    slower = _rate(plain) / _rate(digest)
    out.print(
        f"  {size:,} flights in memory: a byte costs {slower:.2f} of what it costs plain SHA-256 (the aim is {AIM}), "
        f"and {digest['bytes'] / plain['bytes']:.2f} as many are hashed: validity a byte a row, "
        "each text's length eight\n"
    )


def _told(ended: Ended) -> str:
    if ended.failed:
        return f"  could not run: {ended.failed}"
    one = ended.said
    cells = f"{one['seconds']:9.2f}{one['cpu']:9.2f}{one['bytes'] / 1e6:11,.0f}{_rate(one):7.2f}"
    return f"{cells}{one['peak']:10,.0f}"


def _rate(one: dict[str, Any]) -> float:
    return float(one["bytes"] / one["cpu"] / 1e9)


def prepare(home: Path, rows: int) -> None:
    """Write ``batch.parquet``."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    gate.prepare(home, min(rows, gate.ROWS))
    flights = pq.read_table(home / "flights.parquet")
    delay = flights.column("dep_delay").cast(pa.float64())
    flights = flights.append_column("share", pc.divide(delay, delay))  # 0 / 0 is no number
    flights = flights.append_column("late", pc.greater(flights.column("dep_delay"), 15))
    with pq.ParquetWriter(home / "batch.parquet", flights.schema, compression="zstd") as file:
        for start in range(0, rows, len(flights)):
            file.write_table(flights.slice(0, rows - start))


def plain(file: Path) -> tuple[int, Callable[[], str]]:
    """Hash the buffers as they lie: values, offsets, texts, and the bits that say what is null."""
    table = _read(file)
    buffers = [each for column in table.columns for each in column.chunk(0).buffers() if each is not None]

    def run() -> str:
        sha = hashlib.sha256()
        for buffer in buffers:
            sha.update(buffer)
        return sha.hexdigest()

    return sum(map(len, buffers)), run


def digest(file: Path) -> tuple[int, Callable[[], str]]:
    from tidegate.adapters.shared.arrow import table_digest

    table = _read(file)
    return hashed(table), lambda: table_digest(table)


def disk(file: Path) -> tuple[int, Callable[[], str]]:
    import numpy as np  # noqa: F401

    from tidegate.adapters.shared.arrow import table_digest
    from tidegate.adapters.shared.pieces import Stored

    stored = Stored(file)
    return sum(map(hashed, stored.pieces(stored.column_names))), lambda: table_digest(stored)


def hashed(table: Any) -> int:
    """Return how many bytes of values go into the digest."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = 0
    for column in table.columns:
        if pa.types.is_string(column.type):
            size += 9 * len(column) + int(pc.sum(pc.binary_length(column)).as_py())
        else:
            size += (1 + max(column.type.bit_width // 8, 1)) * len(column)
    return size


def _read(file: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(file).combine_chunks()


def _main(name: str, home: str) -> None:
    size, run = {"plain": plain, "digest": digest, "disk": disk}[name](Path(home) / "batch.parquet")
    seconds, cpu = [], []
    for _ in range(REPEATS):
        started, used = time.perf_counter(), time.process_time()
        said = run()
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    told = {"seconds": min(seconds), "cpu": min(cpu), "bytes": size}
    print(json.dumps({**told, "said": said, "peak": gate.peak()}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
