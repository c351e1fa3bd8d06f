"""Every part of `make bench` that needs no year played runs to its end, at its smallest size."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = {
    "decide": ("0", ["decide, microseconds"]),
    "ledger": ("2000", ["2,000 events", "SQLite", "PostgreSQL"]),
    "gate": ("1000", ["ours", "Great Expectations", "Pandera", "DuckDB", "all name the same rows"]),
    "digest": ("1000", ["SHA-256 of the buffers", "in memory", "from Parquet", "a byte costs"]),
    "join": ("1000", ["DuckDB ASOF", "Polars", "pandas", "Feast, DuckDB store", "of the best join by hand"]),
    "online": ("0", ["sqlite, idle", "sqlite, while all is materialized", "redis, idle", "redis, while all"]),
}
#: The server that a part measures on; without one it is skipped here, and fails in CI.
SERVERS = {"ledger": "postgres_url", "online": "redis_address"}


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_a_benchmark_runs_to_its_end_and_names_every_contender(part, request):
    if part in SERVERS:
        request.getfixturevalue(SERVERS[part])
    count, named = PARTS[part]
    words = [sys.executable, "-W", "ignore", "benchmarks/run.py", part, count]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [word for word in named if word not in ran.stdout] == []
    assert "could not" not in ran.stdout


@pytest.mark.parametrize("part", ["gate", "digest", "join"])
def test_too_few_rows_to_tell_anything_by_are_refused(part):
    words = [sys.executable, "benchmarks/run.py", part, "999"]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("got 999 ")
    assert ran.stderr.endswith(", expected at least 1,000\n")
