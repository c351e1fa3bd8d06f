"""What the data gate costs: the reference suite on the flights, every row to be held back with all its reasons.

The year's flights are blown up to as many rows as asked, under other carriers so that keys stay unique, and one
row in `EVERY` is spoiled. Ours, Great Expectations on pandas, Pandera on Polars and one DuckDB query read the same
Parquet file and must name the same rows for the same reasons. Each runs in a process of its own; the clock starts
once its libraries are imported and stops when the rows with their reasons are in Python's hands. CPU says more than
seconds where other work shares the cores.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

ROOT = Path(__file__).parents[1]
#: One row in so many is spoiled, each in one of several ways.
EVERY = 1000
ROWS = 300_000
#: The check on the monthly volume, which a year many times over cannot meet.
VOLUME = "F02"
REFERENCES = {"planes.tailnum": ("planes", "tailnum"), "airports.faa": ("airports", "faa")}


def measure(out: Console, rows: int) -> None:
    """Print seconds and peak memory of each, and how many times as long as ours they took."""
    out.print(f"[bold]the gate, {rows:,} flights[/bold], from Parquet to every row with all its reasons")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        prepare(home, rows)
        found = {name: _child(name, home) for name in PEERS}
        third = _child("ours", home, "third.parquet")
        drops = [_child("drop", home, file) for file in ("third.csv", "flights.csv")]
    ours = found["ours"]
    heads = f"{'seconds':>9}{'/ ours':>8}{'CPU':>8}{'/ ours':>8}{'peak MiB':>10}{'of it loaded':>14}"
    out.print(f"    {'':28}{heads}{'rows held':>11}")
    for name, one in found.items():
        took = "".join(
            f"{one[what]:{width}.2f}{one[what] / ours[what]:8.2f}"
            for what, width in (("seconds", 9), ("cpu", 8))
        )
        out.print(f"    {TITLES[name]:28}{took}{one['peak']:10.0f}{one['before']:14.0f}{one['held']:11,}")
    grown = ours["peak"] - ours["before"], third["peak"] - third["before"]
    out.print(
        f"  ours on a third of the rows: {third['seconds']:.2f} s, {third['peak']:.0f} MiB; "
        f"above its libraries {grown[1]:.0f} MiB, with all rows {grown[0]:.0f} MiB"
    )
    small, large = drops
    out.print(
        f"  a drop as it comes, from CSV to its batch and its quarantine: {large['seconds']:.2f} s "
        f"(CPU {large['cpu']:.2f}), {large['peak']:.0f} MiB; a third of it {small['seconds']:.2f} s "
        f"(CPU {small['cpu']:.2f}), {small['peak']:.0f} MiB"
    )
    for name, one in found.items():
        if one["reasons"] != ours["reasons"]:
            raise SystemExit(f"got other rows or reasons from {TITLES[name]}, expected the same as ours")
    out.print(f"  all name the same rows for the same {ours['named']:,} reasons\n")


def prepare(home: Path, rows: int) -> None:
    """Write ``flights.parquet``, the references and the suite."""
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
    carriers = sorted(pc.unique(year.column("carrier")).to_pylist())
    codes = [a + b for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"]
    made: list[pa.Table] = []
    for copy in range(-(-rows // len(year))):
        names = dict(zip(carriers, codes[copy * len(carriers) :], strict=False))
        column = pc.dictionary_encode(year.column("carrier")).combine_chunks()
        renamed = pa.DictionaryArray.from_arrays(
            column.indices, pa.array([names[name] for name in column.dictionary.to_pylist()])
        ).cast(pa.string())
        made.append(year.set_column(year.column_names.index("carrier"), "carrier", renamed))
    whole = spoiled(pa.concat_tables(made).slice(0, rows))
    pq.write_table(whole, home / "flights.parquet")
    pq.write_table(whole.slice(0, rows // 3), home / "third.parquet")
    for name in ("flights", "third"):
        csv.write_csv(pq.read_table(home / f"{name}.parquet"), home / f"{name}.csv")
    suite = json.loads((ROOT / "expectations" / "suites" / "flights.json").read_text())
    suite["expectations"] = [part for part in suite["expectations"] if part["meta"]["rule"] != VOLUME]
    (home / "flights.json").write_text(json.dumps(suite))


def spoiled(table: Any) -> Any:
    """Return the table with one row in `EVERY` spoiled: too far, no carrier, no such origin, or twice."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    place = np.arange(len(table))
    bad, kind = place % EVERY == EVERY - 1, place // EVERY % 4
    for column, which, value in (("distance", 0, 9000), ("carrier", 1, None), ("origin", 2, "XXX")):
        at = table.column_names.index(column)
        values = table.column(column)
        mended = pc.if_else(pa.array(bad & (kind == which)), pa.scalar(value, values.type), values)
        table = table.set_column(at, column, mended)
    return table.take(pa.array(np.where(bad & (kind == 3), place - 1, place)))


def ours(home: Path, file: str) -> Callable[[], Mapping[int, Any]]:
    return _by_gate(home, file, quick=True)


def gx(home: Path, file: str) -> Callable[[], Mapping[int, Any]]:
    import great_expectations  # noqa: F401

    return _by_gate(home, file, quick=False)


def _by_gate(home: Path, file: str, *, quick: bool) -> Callable[[], Mapping[int, Any]]:
    import duckdb  # noqa: F401
    import pandas as pd  # noqa: F401
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401

    from tidegate.adapters.shared.pieces import Stored

    judged = _judged(home, quick=quick)
    return lambda: judged(Stored(home / file)).reasons


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


def drop(home: Path, file: str) -> Callable[[], Mapping[int, Any]]:
    """Do all that is done to a drop, but for the record."""
    import duckdb  # noqa: F401
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401

    from tidegate.adapters.arrow_batches import ArrowBatches

    contract, judged, batches = _contract(), _judged(home), ArrowBatches(home / "kept", max_bytes=2**40)

    def run() -> Mapping[int, Any]:
        table = batches.read(home / file, contract, batches.drop_digest(home / file)).table
        report = judged(table)
        batches.quarantine(contract, table, report)
        batches.accept(contract, table, report.reasons)
        return dict(report.reasons)

    return run


def query(home: Path, file: str) -> Callable[[], Mapping[int, Any]]:
    import duckdb

    held, kept = _parts(home)
    reasons = ", ".join(f"case when {_sql(part)} then '{part['meta']['rule']}' end" for part in held)
    key = next(part["kwargs"]["column_list"] for part in held if "column_list" in part["kwargs"])
    flights = f"read_parquet('{home / file}', file_row_number = true)"
    source = f"(select *, count(*) over (partition by {', '.join(key)}) as copies from {flights})"
    text = f"""select file_row_number, reasons from
               (select file_row_number, list_filter([{reasons}], lambda r: r is not null) as reasons from {source})
               where len(reasons) > 0"""
    references = json.loads((home / "references.json").read_text())

    def run() -> Mapping[int, Any]:
        with duckdb.connect() as session:
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


def pandera(home: Path, file: str) -> Callable[[], Mapping[int, Any]]:
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
        frame = pl.read_parquet(home / file)
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


def _child(name: str, home: Path, file: str = "flights.parquet") -> dict[str, Any]:
    """Run one peer in a process of its own; return what it printed, with its peak memory in MiB."""
    with (home / f"{name}.json").open("w+") as said:
        words = [sys.executable, "-W", "ignore", str(Path(__file__)), name, str(home), file]
        if code := subprocess.run(words, stdout=said, check=False).returncode:
            raise SystemExit(f"{TITLES.get(name, name)} ended with {code}")
        said.seek(0)
        return json.loads(said.readlines()[-1])


def peak() -> float:
    """Return the largest resident set of this process so far, in MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def _main(name: str, home: str, file: str) -> None:
    from tidegate.domain.canonical import sha256

    run = {**PEERS, "drop": drop}[name](Path(home), file)
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
