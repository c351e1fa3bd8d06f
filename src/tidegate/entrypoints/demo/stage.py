"""Where the demo plays: a simulated clock, public commands, and what each step took and left in the record."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from tidegate.bootstrap import Tidegate
from tidegate.domain.canonical import sha256
from tidegate.domain.events import Event
from tidegate.entrypoints.demo.telling import told
from tidegate.settings import Settings, load


@dataclass(frozen=True)
class Step:
    """One thing that happens at a simulated moment; ``act`` may return a sentence of its own."""

    now: str
    title: str
    act: Callable[[], str | None]


@dataclass
class Stage:
    """Plays steps in this process, each by public commands, and says what came of them."""

    settings: Settings
    console: Console
    quiet: bool
    took: list[dict[str, Any]] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)

    @cached_property
    def _record(self) -> Tidegate:
        return Tidegate(load())

    @property
    def landing(self) -> Path:
        """Return where drops arrive."""
        return self.settings.home / "landing"

    def command(self, *words: str) -> Any:
        """Run a public command in this process and return what it printed with ``--json``."""
        from tidegate.entrypoints.cli.app import app

        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            app([*words, "--json"], standalone_mode=False)
        return json.loads(printed.getvalue())

    def person(self, name: str, *words: str, key: str) -> Any:
        """Act as a person, once under this key."""
        return self.command(*words, "--as", name, "--idempotency-key", f"demo/{key}")

    def flow(self, name: str, starter: str, **parameters: object) -> Any:
        """Run a flow of ``pipelines/`` in this process, started by somebody."""
        pairs = [f"{key}={value}" for key, value in parameters.items()]
        return self.command("run", name, *pairs, "--as", starter)

    def play(self, step: Step) -> None:
        """Play one step, unless the record shows that the story has gone on beyond it."""
        os.environ["TIDEGATE_NOW"] = step.now
        before = self.last()
        if before is not None and before.occurred_at > step.now:
            return  # whatever comes later began when this had ended
        started, cpu = time.perf_counter(), time.process_time()
        with self.console.status(f"{step.title} …") if self.console.is_terminal else contextlib.nullcontext():
            said = step.act()
        new = self._catch_up()
        lines = [*told(new), *((said or "").splitlines())]
        nothing = "recorded" if new else "recorded by an earlier run; nothing changed"
        seconds = time.perf_counter() - started
        self.took.append(
            {
                "at": step.now,
                "step": step.title,
                "seconds": round(seconds, 2),
                "cpu": round(time.process_time() - cpu, 2),
                # Kilobytes on Linux; a high-water mark, so a step that adds nothing repeats the one before.
                "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "said": lines,
            }
        )
        if not self.quiet:
            self.console.print(
                f"[dim]{step.now[:10]}[/dim]  [bold]{step.title}[/bold] [dim]({seconds:.1f} s)[/dim]"
            )
            for line in lines or [nothing]:
                self.console.print(f"            {line}", markup=False)

    @property
    def events(self) -> Sequence[Event]:
        """Return everything in the record, in its order."""
        self._catch_up()
        return self._events

    def last(self) -> Event | None:
        """Return the last event, None where there is no ledger yet."""
        self._catch_up()
        return self._events[-1] if self._events else None

    def ended(self, last_act: str) -> bool:
        """Say whether the story was played to its end, whatever people did afterwards."""
        self._catch_up()
        end = sha256(f"demo/{last_act}".encode())
        return any((event.idempotency_key or "").endswith(end) for event in self._events)

    def _catch_up(self) -> list[Event]:
        """Read what was written since the last look, and return it."""
        if not self._record.opened():
            return []
        after = self._events[-1].sequence if self._events else 0
        new = list(self._record.ledger.events(after=after))
        self._events += new
        return new
