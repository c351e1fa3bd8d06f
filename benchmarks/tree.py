"""What a process and all its children hold in memory together, sampled while they live (Linux)."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

#: Seconds between two samples. One takes about 15 ms: the kernel walks the page tables of each process.
EVERY = 0.25


@dataclass(frozen=True)
class Sample:
    """MiB at a moment: of the process, and of everything below it."""

    moment: float
    own: float
    children: float

    @property
    def whole(self) -> float:
        return self.own + self.children


class Tree:
    """Samples the proportional set size of a process tree: a page that two of them share counts once.

    A peak that falls between two samples is not seen; `resource` alone would see one process's.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._stop = pid, threading.Event()
        self.samples: list[Sample] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def peak(self, since: float = 0.0, until: float = float("inf")) -> Sample | None:
        """Return the largest sample between two moments, None where none was taken."""
        within = [sample for sample in self.samples if since <= sample.moment <= until]
        return max(within, key=lambda sample: sample.whole, default=None)

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            sizes = {pid: _pss(pid) for pid in _below(self._pid)}
            own = sizes.pop(self._pid, 0.0)
            self.samples.append(Sample(time.time(), own, sum(sizes.values())))


def _below(pid: int) -> list[int]:
    """Return a process and all its descendants; those that just ended are left out."""
    found, asked = [], [pid]
    while asked:
        each = asked.pop()
        found.append(each)
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            asked += [int(child) for child in _read(task).split()]
    return found


def _pss(pid: int) -> float:
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended while we looked
        return ""
