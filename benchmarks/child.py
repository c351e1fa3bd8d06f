"""What runs in a child of its own, on data of a size, and is stopped where it holds or takes more than it may.

Whoever could not run is asked for a tenth of the rows, and set against ours at that size.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What each child may hold and take.
LIMIT_MIB, LIMIT_SECONDS = 4096, 900
LEAST = 1_000


@dataclass(frozen=True)
class Ended:
    """A child that ended: the last line it printed, as JSON, its peak in MiB, and why it could not run."""

    said: Any = None
    peak: float = 0.0
    failed: str = ""


class Sizes:
    """The data at each size, made once, and what ran on it; ``file`` is run with a name, a folder and ``more``."""

    def __init__(self, folder: Path, file: str, generate: Callable[[Path, int], None]) -> None:
        self._folder, self._file, self._generate = folder, file, generate
        self._ended: dict[tuple[str, ...], Ended] = {}

    def folder(self, size: int) -> Path:
        """Return the folder with the data of a size."""
        folder = self._folder / str(size)
        if not folder.exists():
            folder.mkdir(parents=True)
            self._generate(folder, size)
        return folder

    def run(self, name: str, size: int, *more: str) -> Ended:
        """Run a contender at this size, once."""
        key = (name, str(size), *more)
        if key not in self._ended:
            self._ended[key] = child(self._file, name, str(self.folder(size)), *more)
        return self._ended[key]

    def tried(self, name: str, size: int, *more: str) -> Iterator[tuple[int, Ended]]:
        """Yield each size it was asked for and what came of it, down to the first that it survived."""
        while size >= LEAST:
            ended = self.run(name, size, *more)
            yield size, ended
            if not ended.failed:
                return
            size //= 10


def child(file: str, *words: str) -> Ended:
    """Run a file of Python; stop it where it holds or takes too much."""
    started, peak, failed = time.monotonic(), 0.0, ""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([sys.executable, "-W", "ignore", file, *words], stdout=said, stderr=errors)
        while process.poll() is None:
            time.sleep(0.02)
            peak = max(peak, resident(process.pid))
            if peak > LIMIT_MIB:
                failed = f"more than {LIMIT_MIB:,} MiB"
            elif time.monotonic() - started > LIMIT_SECONDS:
                failed = f"more than {LIMIT_SECONDS} s"
            if failed:
                process.kill()
                process.wait()
        said.seek(0)
        errors.seek(0)
        if process.returncode and not failed:
            failed = (errors.read().strip().splitlines() or [f"ended with {process.returncode}"])[-1][:100]
        return Ended(None if failed else json.loads(said.read().splitlines()[-1]), peak, failed)


def resident(pid: int) -> float:
    """Return the MiB that a process holds; nothing where it has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
