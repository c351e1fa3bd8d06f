"""Print what Tidegate costs: seconds, peak memory, and ratios against the peer in the same run.

    make bench            everything
    make bench ONLY=demo  one part: demo, status, scoring, decide, ledger, gate, digest, join or online
    make bench ONLY=ledger N=1000000    the record with as many events (default: 20,000)
    make bench ONLY=gate N=3000000      the data gate on as many flights (default: 300,000)
    make bench ONLY=digest N=3000000    a batch's digest of as many flights (default: 300,000), beside plain SHA-256
    make bench ONLY=online              online reads on SQLite and Redis, beside Feast's own and a raw read
    make bench ONLY=join N=3000000      a training set of as many rows (default: 300,000), beside its peers

Every figure is measured now, on this machine; nothing is compared with a figure from another run.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import digest
import gate
import join
import ledger
import online
from rich.console import Console
from rich.table import Table
from tree import Tree

from tidegate.entrypoints.flow_server import FlowServer

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
#: In a pipe rich would lay tables out for 80 columns.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)


#: How many events the record, and how many rows a training set is measured with, where nobody says.
EVENTS, ROWS = 20_000, 300_000


def main(only: str, count: int) -> None:
    parts: dict[str, Callable[[Path], None]] = {
        "demo": demo,
        "status": status,
        "scoring": scoring,
        "decide": lambda _: ledger.decisions(out),
        "ledger": lambda _: ledger.measure(out, count or EVENTS),
        "gate": lambda _: gate.measure(out, count or gate.ROWS),
        "digest": lambda _: digest.measure(out, count or digest.ROWS),
        "join": lambda _: join.measure(out, count or ROWS),
        "online": lambda _: online.measure(out),
    }
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        if only in ("", "demo", "status", "scoring"):
            demo(home)
        for name, part in parts.items():
            if name != "demo" and only in ("", name):
                part(home)


@dataclass(frozen=True)
class Ran:
    """A command that ran to its end."""

    said: str
    errors: str
    used: resource.struct_rusage
    wall: float
    memory: Tree


def command(home: Path, *words: str, **more: str) -> Ran:
    """Run one command to its end; return what it said, what it used, and what it held with all its children."""
    environment = {**os.environ, "TIDEGATE_HOME": str(home), **more}
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(BIN / "tidegate"), *words], cwd=ROOT, env=environment, stdout=said, stderr=errors
        )
        with Tree(process.pid) as memory:
            _, code, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(code)
        said.seek(0)
        errors.seek(0)
        if process.returncode:
            sys.exit(f"`tidegate {' '.join(words)}` ended with {process.returncode}")
        return Ran(said.read(), errors.read(), used, wall, memory)


def table(title: str, *columns: str) -> Table:
    made = Table(title=title, box=None, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 else "right")
    return made


#: What the demo may cost on two cores after installation.
AIM_SECONDS, AIM_MIB = 240, 4096


def demo(home: Path) -> None:
    ran = command(home, "demo", "--json", PYTHONPROFILEIMPORTTIME="1")
    wall, used = ran.wall, ran.used
    title = "the year, first run on an empty home; memory is the sum over its processes, a shared page once"
    shown = table(title, "step", "seconds", "CPU", "peak MiB", "of it Prefect's server")
    for step in json.loads(ran.said):
        peak = ran.memory.peak(step["ended"] - step["seconds"], step["ended"])
        held = (f"{peak.whole:.0f}", f"{peak.children:.0f}") if peak else ("", "")  # shorter than a sample
        shown.add_row(
            f"{step['at'][:10]}  {step['step']}", f"{step['seconds']:.1f}", f"{step['cpu']:.1f}", *held
        )
    whole = ran.memory.peak()
    if whole is None:
        sys.exit("got no sample of the demo's memory, expected /proc to be readable (Linux)")
    peak, below = whole.whole, whole.children
    cpu = f"{used.ru_utime + used.ru_stime:.1f}"  # of the whole tree: every child was waited for
    shown.add_row("[bold]whole[/bold]", f"{wall:.1f}", cpu, f"{peak:.0f}", f"{below:.0f}")
    out.print(shown)
    out.print(
        f"{wall / AIM_SECONDS:.2f} of the {AIM_SECONDS} s and {peak / AIM_MIB:.2f} of the {AIM_MIB} MiB it may take\n"
    )
    imports(ran.errors, wall)
    again = command(home, "demo", "--json").wall
    out.print(f"run again, everything recorded: {again:.1f} s, {again / wall:.2f} of the first run\n")


def imports(errors: str, wall: float) -> None:
    """Print what importing the tools took in that very run, by the package that was asked for."""
    spent: dict[str, float] = {}
    for line in errors.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if line.startswith("import time:") and len(parts) == 3 and parts[0].strip().isdigit():
            package = parts[2].strip().split(".")[0]
            spent[package] = spent.get(package, 0.0) + int(parts[0]) / 1e6
    whole = sum(spent.values())
    shown = table("imports in that run, each package's own modules", "package", "seconds", "of the run")
    for package, seconds in sorted(spent.items(), key=lambda item: -item[1])[:12]:
        shown.add_row(package, f"{seconds:.2f}", f"{seconds / wall:.1%}")
    shown.add_row("[bold]all imports[/bold]", f"{whole:.2f}", f"{whole / wall:.1%}")
    out.print(shown)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        server = FlowServer(Path(folder))
        server.wait()
        waited = time.perf_counter() - started
        server.stop()
    out.print(
        f"Prefect's server, first start on an empty folder: {waited:.1f} s, {waited / wall:.1%} of the run\n"
    )


def status(home: Path) -> None:
    cpu = []
    for _ in range(7):
        used = command(home, "status", "--json").used
        cpu.append(used.ru_utime + used.ru_stime)
    python = []
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "import sqlalchemy, typer, rich.console"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        python.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    ours, floor = statistics.median(cpu), statistics.median(python)
    out.print("[bold]tidegate status[/bold], CPU seconds, median of 7")
    out.print(
        f"  {ours:.2f}; importing SQLAlchemy, Typer and rich alone: {floor:.2f}; ratio {ours / floor:.2f}\n"
    )


def scoring(home: Path) -> None:
    """One row through ONNX Runtime against the scikit-learn estimator the same artifact came from."""
    import numpy as np
    import pyarrow.parquet as pq

    from tidegate.adapters.model_folders import ModelFolders
    from tidegate.adapters.shared.model_code import load_pipeline
    from tidegate.adapters.shared.onnx_session import input_arrays, open_session, predictions
    from tidegate.adapters.sklearn_trainer.convert import convert

    model = ModelFolders(ROOT / "models").spec("flight_delay")
    rows = pq.read_table(next((home / "models").rglob("reference*.parquet")))
    rows = rows.filter(rows.column(model.label).is_valid())
    half = rows.num_rows // 2
    inputs = [*model.numeric, *model.categorical]
    frame = rows.select(inputs).to_pandas()
    frame[list(model.numeric)] = frame[list(model.numeric)].astype("float32")
    labels = np.asarray(rows.column(model.label)).astype(int)
    estimator = load_pipeline(model)(
        numeric=model.numeric,
        categorical=model.categorical,
        parameters=model.parameters,
        train_rows=np.arange(half),
        calibrate_rows=np.arange(half, rows.num_rows),
    ).fit(frame, labels)
    session = open_session(convert(model, estimator), "the benchmark's artifact")
    shown = table(
        "scoring, same fitted model",
        "rows",
        "estimator p50",
        "ONNX p50",
        "estimator p99",
        "ONNX p99",
        "ratio p50",
    )
    for count, repeats in ((1, 300), (1000, 30)):
        few, arrays = frame.head(count), input_arrays(rows.slice(0, count), model)
        slow = _times(lambda few=few: estimator.predict_proba(few), repeats)
        fast = _times(
            lambda arrays=arrays, count=count: predictions(session, arrays, count, model.prediction), repeats
        )
        cells = [f"{1000 * value:.3f} ms" for value in (slow[0], fast[0], slow[1], fast[1])]
        shown.add_row(f"{count:,}", *cells, f"{slow[0] / fast[0]:.0f}")
    out.print(shown)
    out.print()


def _times(act: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Return the median and the 99th percentile of ``repeats`` runs, in seconds, after one warm-up."""
    act()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    taken.sort()
    return taken[len(taken) // 2], taken[min(len(taken) - 1, int(len(taken) * 0.99))]


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.isdigit()]
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    main(words[0] if words else "", numbers[0] if numbers else 0)
