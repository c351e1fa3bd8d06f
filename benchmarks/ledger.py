"""What the record costs: appending one by one and by the thousand, verifying all of it, and one decision.

The peer is a plain table with the columns of `events`, on the same database with the same durability: no chain,
no folded state, no texts, no constraint but the key.
"""

from __future__ import annotations

import itertools
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console

from tidegate.adapters.sql_record import SqlLedger, tables
from tidegate.adapters.sql_record.engine import connect
from tidegate.application import audit
from tidegate.application.lawfulness import unlawful
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.domain.canonical import sha256
from tidegate.domain.events import Draft, EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import VersionRow
from tidegate.testing.cases import MODEL, a_case
from tidegate.testing.databases import new_database
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import CountingEntropy, FixedClock

#: How many events are appended one by one, and how many go into one transaction where they come in bulk.
SINGLE, BULK = 500, 1000
LEAST = 2000
SERVER = "postgresql+psycopg://127.0.0.1:5432/postgres"


def measure(out: Console, count: int) -> None:
    """Print what ``count`` events cost on both databases, line by line as it is measured.

    Raises:
        SystemExit: so few that nothing would be told by them.
    """
    if count < LEAST:
        raise SystemExit(f"got {count} events, expected at least {LEAST:,}")
    out.print(f"[bold]the record, {count:,} events[/bold]; the peer inserts the same rows into a plain table")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        places = {"SQLite": (f"sqlite:///{folder}/ours.db", f"sqlite:///{folder}/plain.db")}
        try:
            server = os.environ.get("TIDEGATE_TEST_POSTGRES", SERVER)
            places["PostgreSQL"] = tuple(stack.enter_context(new_database(server)) for _ in range(2))
        except sa.exc.OperationalError as error:
            out.print(f"PostgreSQL could not be reached: {str(error.orig).splitlines()[0]}")
        for database, (ours, plain) in places.items():
            world = opened(ours, Path(folder) / database)
            out.print(f"  {database}: {durability(ours)}")
            out.print(f"    {'':26}{'ours':>24}{'plain insert':>16}{'ours / plain':>16}")
            for what, *cells in costs(world, Plain(plain), count):
                out.print(f"    {what:26}{cells[0]:>24}{cells[1]:>16}{cells[2]:>16}")
            world.ledger.engine.dispose()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    out.print(f"  peak memory of all of it: {peak:.0f} MiB\n")


def costs(world: Any, plain: Plain, count: int) -> Iterator[tuple[str, str, str, str]]:
    """Append, verify, and insert the same rows into the plain table."""
    drafts = work(world)
    first = world.ledger.head().sequence
    ours = timed(lambda: append(world.ledger, drafts, SINGLE, 1))
    rows = plain.rows_of(world.ledger, first, SINGLE)
    peer = timed(lambda: plain.insert(rows, 1))
    yield "append one a transaction", *rates(SINGLE, ours, peer)
    many = count - world.ledger.head().sequence
    ours = timed(lambda: append(world.ledger, drafts, many, BULK))
    peer = 0.0
    for start in range(count - many, count, BULK):  # read beside the clock, a page at a time
        rows = plain.rows_of(world.ledger, start, BULK)
        peer += timed(lambda rows=rows: plain.insert(rows, BULK))
    yield f"append {BULK:,} at once", *rates(many, ours, peer)
    whole = peer * count / many
    found: list[str] = []
    spent = timed(lambda: found.extend(audit.verify(world, None, None)[1]))
    yield "verify bytes and state", *rates(count, spent, whole)
    spent = timed(lambda: found.extend(unlawful(world)))
    yield "verify by the rules", *rates(count, spent, whole)
    if found:
        raise SystemExit(f"the record is not sound: {found[0]}")


def rates(count: int, ours: float, peer: float) -> tuple[str, str, str]:
    """Return events a second, and how many times as long ours took."""
    return f"{count / ours:,.0f}/s ({ours:.1f} s)", f"{count / peer:,.0f}/s", f"{ours / peer:.1f}"


def timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def append(ledger: SqlLedger, drafts: Iterator[Draft], count: int, at_once: int) -> None:
    left = count
    while left > 0:
        with ledger.transaction() as tx:
            for draft in itertools.islice(drafts, min(at_once, left)):
                tx.append(draft)
        left -= at_once


class Plain:
    """A table of the same columns, and nothing else."""

    def __init__(self, url: str) -> None:
        self._engine = connect(url)
        columns = [
            sa.Column(each.name, each.type, primary_key=each.primary_key) for each in tables.events.columns
        ]
        self._table = sa.Table("plain", sa.MetaData(), *columns)
        with self._engine.begin() as connection:
            self._table.create(connection)

    def rows_of(self, ledger: SqlLedger, after: int, count: int) -> list[dict[str, Any]]:
        query = sa.select(tables.events).where(tables.events.c.sequence > after)
        with ledger.engine.connect() as connection:
            found = connection.execute(query.order_by(tables.events.c.sequence).limit(count))
            return [dict(row) for row in found.mappings()]

    def insert(self, rows: list[dict[str, Any]], at_once: int) -> None:
        for start in range(0, len(rows), at_once):
            with self._engine.begin() as connection:
                connection.execute(sa.insert(self._table), rows[start : start + at_once])


def opened(url: str, home: Path) -> Any:
    """Return a world with a version in prod, its story told on the database at ``url``."""
    home.mkdir()
    world: Any = FakePlatform(home)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, "Evidence looks sound to me.")
    ledger, told = SqlLedger(url, FixedClock(), CountingEntropy()), world.ledger
    with ledger.transaction() as tx:
        for event in told.events():
            payload = dict(event.payload)
            texts = {name: told.text(each) or "" for name, each in payload.pop("texts", {}).items()}
            said = (event.type, event.stream, event.actor, payload, texts, event.on_behalf_of)
            tx.append(Draft(*said, idempotency_key=event.idempotency_key))
    world.ledger = ledger
    return world


def work(world: Any) -> Iterator[Draft]:
    """Yield what a platform that runs writes: runs, decisions, monitors, and a refusal with a reason in ten."""
    version = world.ledger.state().get(VersionRow, MODEL, 1)
    by = {"model": MODEL, "version": 1, "artifact": version.artifact}
    scored = {**by, "rows": 1000, "of": 1000, "stage": "prod", "freshness": {}}
    gap = {"value": 0.0125, "n": 1000, "low": -0.02, "high": 0.045, "method": "days", "finite": True}
    binding = [{"kind": "calibration", "verdict": "passed", "sentence": "it holds", "values": {"gap": gap}}]
    watched = {
        "model": MODEL,
        "version": 1,
        "verdict": "passed",
        "evidence": {"tool": "t", "binding": binding},
    }
    reason = {"code": "own-version", "rule": "P4", "sentence": "p-2 asked for it", "next_step": "ask p-3"}
    for number in itertools.count():
        period, stream = f"{number:09}", f"model/{MODEL}"
        if number % 10 < 4:
            ran = {
                "schedule": "score",
                "slot": period,
                "outcome": "done",
                "summary": "one period",
                "covers": 0,
            }
            yield Draft(EventType.RUN_FINISHED, "schedule/score", "s-6", ran, idempotency_key=f"run/{period}")
        elif number % 10 < 7:
            named = {
                "period": period,
                "entities": sha256(b"e" + period.encode()),
                "file": f"{period}.parquet",
            }
            root = {"root": sha256(b"r" + period.encode())}
            yield Draft(EventType.DECISIONS_SCORED, stream, "s-6", {**scored, **named, **root})
        elif number % 10 < 9:
            found = {"period": period, "report": sha256(b"p" + period.encode()), "outcomes": "", "review": ""}
            yield Draft(EventType.MONITOR_RAN, stream, "s-2", {**watched, **found})
        else:
            payload = {"action": "approve", "subject": {"version": 1}, "reasons": [reason]}
            texts = {"reason": f"It is good, I tried it {number} times."}
            yield Draft(EventType.ACTION_REFUSED, stream, "p-2", payload, texts)


def durability(url: str) -> str:
    """Say what a commit waits for on this database."""
    engine = connect(url)
    asked = ("PRAGMA journal_mode", "PRAGMA synchronous", "PRAGMA secure_delete")
    if engine.dialect.name == "postgresql":
        asked = ("SHOW fsync", "SHOW synchronous_commit", "SHOW wal_sync_method", "SHOW full_page_writes")
    with engine.connect() as connection:
        said = ", ".join(f"{each.split()[1]}={connection.scalar(sa.text(each))}" for each in asked)
    engine.dispose()
    return f"{said}{' (2 is FULL)' if 'synchronous=2' in said else ''}"


def decisions(out: Console) -> None:
    """Print how long the heart takes for one decision."""
    case, live = a_case(), a_case(Stage.PROD)
    asked = {
        "allowed": lambda: case.decide(Action.PROMOTE),
        "waits for people": lambda: case.but(approvals=()).decide(Action.PROMOTE),
        "refused, all reasons": lambda: case.decide(Action.APPROVE, "p-2"),
        "rolled back": lambda: live.decide(Action.ROLL_BACK),
    }
    out.print("[bold]decide[/bold], microseconds, median of 2,000")
    for name, act in asked.items():
        taken = [timed(act) for _ in range(2000)]
        out.print(f"  {name:22} {statistics.median(taken) * 1e6:6.1f}   ({type(act()).__name__})")
    out.print()
