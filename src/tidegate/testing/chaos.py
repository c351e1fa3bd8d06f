"""Moments to kill at, drawn over a whole story or counted act by act, and what a home holds afterwards.

Seconds alone say little of where a story stands: machines differ, and a story that was killed goes on in the
middle. A moment is therefore so many seconds after so many events were on record, as the uninterrupted run had
them; its steps and events are what `tidegate demo --json` and `tidegate log --json` printed.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any, ParamSpec, TypeVar

from tidegate.adapters.shared.files import partials
from tidegate.domain.canonical import utc_time

#: The tools are imported before the first step; these seconds belong to it.
START_SECONDS = 8.0
#: Files named by their content, or made from nothing else: the same in every home of one story.
WHOLE = ("batches", "entities", "features", "feeds", "frames", "landing", "models", "quarantine", "scores")

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Moment:
    """``delay`` seconds after ``events`` events are on record, which is in the step number ``step``."""

    step: int
    events: int
    delay: float


class Story:
    """The steps of an uninterrupted run, and how many events were on record when each of them began."""

    def __init__(self, steps: Sequence[Mapping[str, Any]], events: Sequence[Mapping[str, Any]]) -> None:
        self.steps = steps
        self._at = [utc_time(step["at"]) for step in steps]
        written = [utc_time(event["occurred_at"]) for event in events]
        self._begun = [
            # Steps of one moment: what is on record then was written by the first of them.
            bisect_right(written, at) if number and at == self._at[number - 1] else bisect_left(written, at)
            for number, at in enumerate(self._at)
        ]
        self._written = written

    def moments(self, count: int, chance: random.Random) -> list[Moment]:
        """Draw ``count`` moments in the story's order, one in each of as many equal shares of its steps.

        Every step is as likely as any other, and every moment of it.
        """
        share = len(self.steps) / count
        return [self.moment(chance.uniform(number * share, (number + 1) * share)) for number in range(count)]

    def moment(self, place: float) -> Moment:
        """Return the moment at ``place``: the whole part is the step, the rest how much of it has passed."""
        step = min(int(place), len(self.steps) - 1)
        events, passed = self._begun[step], 0.0
        for number in range(step):  # steps that wrote nothing: only the time tells them apart
            passed += self._seconds(number) if self._begun[number] == events else 0.0
        return Moment(step, events, passed + (place - step) * self._seconds(step))

    def place(self, events: int, printed: str) -> int:
        """Return the step a killed run was in: behind the last that it printed, else where the record stood."""
        done = [
            number
            for number, step in enumerate(self.steps)
            if f"{step['at'][:10]}  {step['step']} (" in printed
        ]
        if done:
            return min(done[-1] + 1, len(self.steps) - 1)
        return bisect_left(self._at, self._written[events - 1]) if events else 0

    def named(self, step: int) -> str:
        """Return a step's number, day and title."""
        found = self.steps[step]
        return f"step {step + 1} of {len(self.steps)}, {found['at'][:10]} {found['step']}"

    def _seconds(self, step: int) -> float:
        return float(self.steps[step]["seconds"]) + (START_SECONDS if step == 0 else 0.0)


def on_record(home: Path) -> int:
    """Return how many events the embedded profile's ledger holds; looking makes none, and waits for nobody."""
    file = home / "record.db"
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as ledger:
            return int(ledger.execute("SELECT sequence FROM head").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # it is not made yet


def kill_at(process: Popen[bytes], home: Path, moment: Moment, patience: float = 1800) -> bool:
    """Kill a process with SIGKILL at this moment of its home's story; say whether it had not ended by itself."""
    until = time.monotonic() + patience
    while process.poll() is None and on_record(home) < moment.events:
        assert time.monotonic() < until, f"waited {patience:.0f} s for {moment.events} events in vain"
        time.sleep(0.02)
    until = time.monotonic() + moment.delay
    while process.poll() is None and time.monotonic() < until:
        time.sleep(min(0.02, moment.delay))
    process.kill()
    return process.wait() == -signal.SIGKILL


def mortal(steps: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return what makes acts count: this process is killed before one of them or after it, so many ``steps`` on."""
    left = steps

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(act: Callable[P, R]) -> Callable[P, R]:
        def instead(*arguments: P.args, **more: P.kwargs) -> R:
            step()
            done = act(*arguments, **more)
            step()
            return done

        return instead

    return counted


def whole_files(home: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in the folders of `WHOLE`, but for partial files and marks (`unrecorded`)."""
    parts = set(partials(home))
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in WHOLE
        for path in sorted((home / folder).rglob("*"))
        if path.is_file() and path not in parts and path.suffix != ".unrecorded"
    }
