"""Files of rows that are on no record yet: each has a mark beside it, ``.NAME.unrecorded``, until it is recorded.

A gate run writes what it records before it records it, so whoever is killed between the two leaves files that nobody
names. Only what has a mark is ever removed for that: that a record does not name a file says little by itself, for it
may be an older copy of the record, or another one.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from tidegate.adapters.shared.files import DEAD_AFTER, partial

_SUFFIX = ".unrecorded"


@contextmanager
def marked(path: Path) -> Iterator[None]:
    """Mark a file that is written meanwhile; one that could not be written has no mark.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _mark_of(path).touch()
    try:
        yield
    except BaseException:  # also of somebody who stops it: what is not there needs no mark
        settle(path)
        raise


def made_young(path: Path) -> bool:
    """Say whether a file is there; one with a mark is then as young as if it were written now, and is not swept."""
    if not _mark_of(path).exists():
        return path.is_file()  # who sweeps takes the file before the mark
    try:
        os.utime(path)
    except OSError:  # not there, or not ours: then it is written
        return False
    return True


def settle(path: Path) -> None:
    """Take the mark from a file that is recorded."""
    _mark_of(path).unlink(missing_ok=True)


def sweep(folder: Path, known: Collection[Path], now: datetime) -> int:
    """Remove marked files that are not ``known`` and older than an hour, and marks that say nothing; count the files.

    Raises:
        OSError: one cannot be removed.
    """
    count = 0
    for mark in sorted(folder.glob(f".*{_SUFFIX}")):
        path = mark.with_name(mark.name.removeprefix(".").removesuffix(_SUFFIX))
        until = (now - DEAD_AFTER).timestamp()
        with suppress(FileNotFoundError):  # others sweep too, or write
            if mark.stat().st_mtime >= until:
                continue
            if path not in known and path.exists():
                if not _swept(path, until):
                    continue
                count += 1
            mark.unlink()
    return count


def _swept(path: Path, until: float) -> bool:
    """Remove a file that is older than ``until``; say whether it was.

    It is looked at once more under another name: whoever makes it young meanwhile keeps it, or finds it gone.
    """
    if path.stat().st_mtime >= until:
        return False
    with partial(path) as aside:
        path.replace(aside)
        if aside.stat().st_mtime >= until:
            with suppress(FileExistsError):  # it was written anew
                os.link(aside, path)
            return False
    return True


def _mark_of(path: Path) -> Path:
    return path.with_name(f".{path.name}{_SUFFIX}")
