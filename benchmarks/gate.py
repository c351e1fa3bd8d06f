"""What the data gate costs: the reference suite on the flights, every row to be held back with all its reasons.

The year's flights are blown up to as many rows as asked, under other carriers so that keys stay unique, and one
row in `EVERY` is spoiled. Ours, Great Expectations on pandas, Pandera on Polars and one DuckDB query read the same
Parquet file and must name the same rows for the same reasons. Each runs in a child (see `child`); the clock starts
once its libraries are imported and stops when the rows with their reasons are in Python's hands. CPU says more than
seconds where other work shares the cores.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from child import LEAST, LIMIT_MIB, LIMIT_SECONDS, Ended, Sizes
from rich.console import Console

ROOT = Path(__file__).parents[1]
#: One row in so many is spoiled, each in one of several ways.
EVERY = 1000
ROWS = 300_000
FILE, DROP = "flights.parquet", "flights.csv"
#: The check on the monthly volume, which a year many times over cannot meet.
VOLUME = "F02"
#: Carriers' codes and flight numbers as the suite takes them.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
CODES = [a + b for a in LETTERS for b in LETTERS]
MOST_NUMBER = 9999
#: What the DuckDB query is told, so that it spills before it is stopped.
DUCKDB_LIMIT = "2GB"
REFERENCES = {"planes.tailnum": ("planes", "tailnum"), "airports.faa": ("airports", "faa")}


def measure(out: Console, rows: int) -> None:
    """Print seconds and peak memory of each, and how many times as long as ours they took.

    Raises:
        SystemExit: so few that nothing would be told by them, or two name other rows or reasons.
    """
    if rows < LEAST:
        raise SystemExit(f"got {rows} flights, expected at least {LEAST:,}")
    out.print(
        f"[bold]the gate, {rows:,} flights[/bold], from Parquet to every row with all its reasons; "
        f"{LIMIT_MIB:,} MiB and {LIMIT_SECONDS} s a child"
    )
    heads = f"{'seconds':>9}{'/ ours':>8}{'CPU':>8}{'/ ours':>8}{'peak MiB':>10}{'of it loaded':>14}"
    out.print(f"    {'':28}{'flights':>12}{heads}{'rows held':>11}")
    with tempfile.TemporaryDirectory() as folder:
        sizes = Sizes(Path(folder), __file__, prepare)
        for name in PEERS:
            for size, ran in sizes.tried(name, rows):
                out.print(f"    {TITLES[name]:28}{size:12,}{_told(name, ran, sizes.run('ours', size))}")
        _ours_by_size(out, sizes, rows)
    out.print("  at each size all name the same rows for the same reasons\n")


def _told(name: str, ran: Ended, ours: Ended) -> str:
    """Return a line's figures, each beside ours at that size."""
    if ran.failed:
        return f"  could not run: {ran.failed}"
    one, own = ran.said, ours.said
    if own is None:
        raise SystemExit(f"ours could not run: {ours.failed}")
    if one["reasons"] != own["reasons"]:
        raise SystemExit(f"got other rows or reasons from {TITLES[name]}, expected the same as ours")
    took = "".join(
        f"{one[what]:{width}.2f}{one[what] / own[what]:8.2f}" for what, width in (("seconds", 9), ("cpu", 8))
    )
    return f"{took}{one['peak']:10.0f}{one['before']:14.0f}{one['held']:11,}"


def _ours_by_size(out: Console, sizes: Sizes, rows: int) -> None:
    """Print how memory grows: of the gate alone, and of all that is done to a drop as it comes."""
    for size in (rows, rows // 10):
        gate = sizes.run("ours", size)
        drop = sizes.run("drop", size)
        for ended in (gate, drop):
            if ended.failed:
                raise SystemExit(f"ours could not run on {size:,} flights: {ended.failed}")
        above = gate.said["peak"] - gate.said["before"]
        out.print(
            f"  {size:,} flights: the gate holds {above:.0f} MiB above its libraries; "
            f"from CSV to batch and quarantine {drop.said['seconds']:.2f} s (CPU {drop.said['cpu']:.2f}), "
            f"{drop.said['peak']:.0f} MiB"
        )


def prepare(home: Path, rows: int) -> None:
    """Write ``flights.parquet`` and ``flights.csv``, the references and the suite; a year is in memory at a time."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyarrow import csv

    from tidegate.adapters.arrow_batches import ArrowBatches
    from tidegate.adapters.contract_files import ContractFiles

    feed = _feed()
    batches, contracts = ArrowBatches(home), ContractFiles(ROOT / "expectations")
    asked = [one for one in feed.calendar() if one.dataset in {"flights", "planes", "airports"}]
    tables: dict[str, list[pa.Table]] = {}
    for one, drop in zip(asked, feed.deliver(asked, home / "drops"), strict=True):
        read = batches.read(drop, contracts.load(one.dataset), batches.drop_digest(drop)).table
        tables.setdefault(one.dataset, []).append(read)
    lists = {
        name: sorted(pc.unique(tables[dataset][0].column(column).drop_null()).to_pylist())
        for name, (dataset, column) in REFERENCES.items()
    }
    (home / "references.json").write_text(json.dumps(lists))
    year = pa.concat_tables(tables["flights"])
    with (
        pq.ParquetWriter(home / "flights.parquet", year.schema) as parquet,
        csv.CSVWriter(home / "flights.csv", year.schema) as text,
    ):
        for copy in range(-(-rows // len(year))):
            first = copy * len(year)
            part = spoiled(copied(year, copy).slice(0, rows - first), first)
            parquet.write_table(part)
            text.write_table(part)
    suite = json.loads((ROOT / "expectations" / "suites" / "flights.json").read_text())
    suite["expectations"] = [part for part in suite["expectations"] if part["meta"]["rule"] != VOLUME]
    (home / "flights.json").write_text(json.dumps(suite))


def copied(year: Any, copy: int) -> Any:
    """Return the year's flights under carriers of their own; once those are used up, under other flight numbers.

    Raises:
        SystemExit: there are no more keys that the suite would take.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    carriers = sorted(pc.unique(year.column("carrier")).to_pylist())
    turn, place = divmod(copy, len(CODES) // len(carriers))
    names = dict(zip(carriers, CODES[place * len(carriers) :], strict=False))
    flight = pc.rank(year.column("flight"), tiebreaker="dense")
    numbers = pc.max(flight).as_py()
    if numbers * (turn + 1) > MOST_NUMBER:
        raise SystemExit("got more flights than there are keys, expected fewer")
    column = pc.dictionary_encode(year.column("carrier")).combine_chunks()
    renamed = pa.DictionaryArray.from_arrays(
        column.indices, pa.array([names[name] for name in column.dictionary.to_pylist()])
    )
    at = {name: year.column_names.index(name) for name in ("carrier", "flight")}
    shifted = pc.add(flight, turn * numbers).cast(year.schema.field("flight").type)
    return year.set_column(at["carrier"], year.schema.field("carrier"), renamed.cast(pa.string())).set_column(
        at["flight"], year.schema.field("flight"), shifted
    )


def spoiled(table: Any, first: int) -> Any:
    """Return the table with one row in `EVERY` spoiled: too far, no carrier, no such origin, or twice.

    ``first`` is the place of its first row among all.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    here = np.arange(len(table))
    place = here + first
    bad, kind = place % EVERY == EVERY - 1, place // EVERY % 4
    for column, which, value in (("distance", 0, 9000), ("carrier", 1, None), ("origin", 2, "XXX")):
        at = table.column_names.index(column)
        values = table.column(column)
        mended = pc.if_else(pa.array(bad & (kind == which)), pa.scalar(value, values.type), values)
        table = table.set_column(at, table.schema.field(column), mended)
    return table.take(pa.array(np.where(bad & (kind == 3), np.maximum(here - 1, 0), here)))


def ours(home: Path) -> Callable[[], Mapping[int, Any]]:
    return _by_gate(home, quick=True)


def gx(home: Path) -> Callable[[], Mapping[int, Any]]:
    import great_expectations  # noqa: F401

    return _by_gate(home, quick=False)


def _by_gate(home: Path, *, quick: bool) -> Callable[[], Mapping[int, Any]]:
    import duckdb  # noqa: F401
    import pandas as pd  # noqa: F401
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401

    from tidegate.adapters.shared.pieces import Stored

    judged = _judged(home, quick=quick)
    return lambda: judged(Stored(home / FILE)).reasons


def _judged(home: Path, *, quick: bool = True) -> Callable[[Any], Any]:
    """Return what judges a table by the suite."""
    from tidegate.adapters.gx_gate import GxGate
    from tidegate.domain.contract import judge

    contract, references = _contract(), json.loads((home / "references.json").read_text())

    def judged(table: Any) -> Any:
        results = GxGate(home, quick=quick).run(contract, table, references)
        report = judge(contract, table.num_rows, results, None, datetime(2014, 1, 1, tzinfo=UTC))
        if report.stops:
            raise SystemExit(f"the gate stopped: {report.stops[0].sentence}")
        return report

    return judged


def _contract() -> Any:
    from tidegate.adapters.contract_files import ContractFiles

    contract = ContractFiles(ROOT / "expectations").load("flights")
    checks = tuple(check for check in contract.checks if check.id != VOLUME)
    return replace(contract, checks=checks, max_rows=2**40, min_rows=0, quarantine_limit=1.0, max_age=None)


def drop(home: Path) -> Callable[[], Mapping[int, Any]]:
    """Do all that is done to a drop, but for the record."""
    import duckdb  # noqa: F401
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    from tidegate.adapters.arrow_batches import ArrowBatches

    contract, judged, batches = _contract(), _judged(home), ArrowBatches(home / "kept", max_bytes=2**40)

    def run() -> Mapping[int, Any]:
        table = batches.read(home / DROP, contract, batches.drop_digest(home / DROP)).table
        report = judged(table)
        batches.quarantine(contract, table, report)
        batches.accept(contract, table, report.reasons)
        return dict(report.reasons)

    return run


def query(home: Path) -> Callable[[], Mapping[int, Any]]:
    import duckdb

    held, kept = _parts(home)
    reasons = ", ".join(f"case when {_sql(part)} then '{part['meta']['rule']}' end" for part in held)
    key = next(part["kwargs"]["column_list"] for part in held if "column_list" in part["kwargs"])
    flights = f"read_parquet('{home / FILE}', file_row_number = true)"
    source = f"(select *, count(*) over (partition by {', '.join(key)}) as copies from {flights})"
    text = f"""select file_row_number, reasons from
               (select file_row_number, list_filter([{reasons}], lambda r: r is not null) as reasons from {source})
               where len(reasons) > 0"""
    references = json.loads((home / "references.json").read_text())

    def run() -> Mapping[int, Any]:
        with duckdb.connect() as session:
            session.execute(f"SET memory_limit = '{DUCKDB_LIMIT}'; SET temp_directory = '{home}/overflow'")
            session.execute("SET enable_progress_bar = false")
            for name, values in references.items():
                session.execute(f"create temp table {_named(name)} as select unnest($1) as value", [values])
            for part in kept:
                session.execute(f"select file_row_number from {flights} where {_sql(part)}").to_arrow_table()
            return {place: tuple(found) for place, found in session.execute(text).fetchall()}

    return run


def _named(reference: str) -> str:
    return reference.replace(".", "__")


def _sql(part: dict[str, Any]) -> str:
    """Return when a row fails a check, as somebody would write it by hand."""
    kind, given = part["type"], part["kwargs"]
    name = given.get("column")
    when = ""
    if condition := given.get("row_condition"):
        when = f"{condition['column']['name']} is {'' if condition['is_null'] else 'not '}null and "
    if "between" in kind:
        bounds = (("<", given.get("min_value")), (">", given.get("max_value")))
        return (
            f"{when}({' or '.join(f'{name} {sign} {bound}' for sign, bound in bounds if bound is not None)})"
        )
    if "in_set" in kind:
        values = given["value_set"]
        some = f"from {values['$PARAMETER']}" if isinstance(values, dict) else ", ".join(map(repr, values))
        return f"{name} {'in' if 'not_be' in kind else 'not in'} ({some})"
    if "regex" in kind:
        text = (
            f"strftime({name} at time zone 'UTC', '%Y-%m-%d %H:%M:%S+00:00')"
            if name == "time_hour"
            else f"{name}::varchar"
        )
        return f"not regexp_matches({text}, '{given['regex']}')"
    if "compound" in kind:
        return "copies > 1"
    return f"{when}{name} is null"


def _parts(home: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the checks that hold rows back, and the others that judge row by row."""
    parts = json.loads((home / "flights.json").read_text())["expectations"]
    rows = [
        part
        for part in parts
        if ("values" in part["type"] and "distinct" not in part["type"]) or "compound" in part["type"]
    ]
    return tuple([part for part in rows if part["meta"]["on_row"] == each] for each in ("quarantine", "keep"))  # type: ignore[return-value]


def pandera(home: Path) -> Callable[[], Mapping[int, Any]]:
    import pandera.polars as pandera
    import polars as pl

    held, kept = _parts(home)
    references = json.loads((home / "references.json").read_text())
    checks = [
        pandera.Check(_native(pl, part, references), name=part["meta"]["rule"], ignore_na=False)
        for part in (*held, *kept)
    ]
    schema = pandera.DataFrameSchema(checks=checks)
    names = {part["meta"]["rule"] for part in held}

    def run() -> Mapping[int, Any]:
        frame = pl.read_parquet(home / FILE)
        reasons: dict[int, list[str]] = {}
        try:
            schema.validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as failed:
            cases = failed.failure_cases.filter(pl.col("check").is_in(sorted(names))).select("check", "index")
            for rule, place in cases.unique().sort("check").iter_rows():
                reasons.setdefault(place, []).append(rule)
        return {place: tuple(found) for place, found in reasons.items()}

    return run


def _native(pl: Any, part: dict[str, Any], references: dict[str, list[str]]) -> Callable[[Any], Any]:
    """Return a Pandera check of the whole frame: one column of booleans, true where a row is sound."""
    kind, given = part["type"], part["kwargs"]
    column = pl.col(given["column"]) if "column" in given else None
    if "between" in kind:
        sound = pl.lit(value=True)
        if given.get("min_value") is not None:
            sound &= column >= given["min_value"]
        if given.get("max_value") is not None:
            sound &= column <= given["max_value"]
    elif "in_set" in kind:
        values = given["value_set"]
        if isinstance(values, dict):
            values = references[values["$PARAMETER"].replace("__", ".")]
        sound = column.is_in(values)
        sound = ~sound if "not_be" in kind else sound
    elif "regex" in kind:
        text = (
            column.dt.strftime("%Y-%m-%d %H:%M:%S+00:00")
            if given["column"] == "time_hour"
            else column.cast(pl.String)
        )
        sound = text.str.contains(given["regex"])
    elif "compound" in kind:
        sound = ~pl.struct(given["column_list"]).is_duplicated()
    else:
        sound = column.is_not_null()
        if condition := given.get("row_condition"):
            sound |= pl.col(condition["column"]["name"]).is_null()
    return lambda data: data.lazyframe.select(sound.fill_null(value=True))


PEERS = {"ours": ours, "gx": gx, "pandera": pandera, "query": query}
TITLES = {
    "ours": "ours",
    "gx": "Great Expectations, pandas",
    "pandera": "Pandera, Polars",
    "query": "one DuckDB query",
}


def _feed() -> Any:
    spec = importlib.util.spec_from_file_location("feed", ROOT / "pipelines" / "feed.py")
    assert spec is not None
    assert spec.loader is not None
    feed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(feed)
    return feed


def peak() -> float:
    """Return the largest resident set of this process so far, in MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def _main(name: str, home: str) -> None:
    from tidegate.domain.canonical import sha256

    run = {**PEERS, "drop": drop}[name](Path(home))
    before = peak()
    started, used = time.perf_counter(), time.process_time()
    found = run()
    seconds, cpu, most = time.perf_counter() - started, time.process_time() - used, peak()
    named = sorted((place, sorted(reasons)) for place, reasons in found.items())
    told = {
        "seconds": seconds,
        "cpu": cpu,
        "peak": most,
        "before": before,
        "held": len(found),
        "reasons": sha256(json.dumps(named).encode()),
    }
    print(json.dumps({**told, "named": sum(len(reasons) for _, reasons in named)}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
