"""Folders for what does not fit in memory: each goes with the work it was made for.

A process that is killed leaves its folders behind. Whoever makes one removes those first: a folder is locked while its
process lives, and what nobody has locked is nobody's. Only folders of the same account and of this name are looked at.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "tidegate-scratch-"


@contextmanager
def scratch(below: str | None = None) -> Iterator[Path]:
    """Yield an empty folder below ``below`` (default: where the system has such), for this account only.

    Raises:
        OSError: no folder can be made there.
    """
    sweep(below)
    place, lock = _made(below)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def sweep(below: str | None = None) -> tuple[Path, ...]:
    """Remove the folders of processes that are no more, and return them. Safe at any moment."""
    swept = []
    for place in sorted(Path(below or tempfile.gettempdir()).glob(f"{PREFIX}*")):
        with suppress(OSError):  # its process lives and has it locked; or it is not ours, or gone already
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.getuid():
                    shutil.rmtree(place)
                    swept.append(place)
            finally:
                os.close(lock)
    return tuple(swept)


def _made(below: str | None) -> tuple[Path, int]:
    """Make a folder and lock it; until it is locked another process may sweep it, and then it is made again."""
    while True:
        place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=below))
        with suppress(FileNotFoundError):
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            with suppress(OSError):  # a file system without locks: then nobody else gets one either
                fcntl.flock(lock, fcntl.LOCK_EX)
            if place.exists():
                return place, lock
            os.close(lock)
