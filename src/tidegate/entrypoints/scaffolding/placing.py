"""Puts new files into a folder: all of them or none, and never over what is there.

Everything is first written beside its place, under a lock on the folder, and then linked into it; a link
fails where a file is, so even a file that appears at the last moment stays. The file that makes the whole
what it is comes last. Whoever is killed midway leaves no such file, and the same command goes on from there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tidegate.domain.errors import BadInput, DependencyFailed

STAGING = ".tidegate-new"
_SHOWN = 5
_DOORS = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)


def place(
    folder: Path, files: Mapping[str, bytes], last: str, links: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Write ``files`` (paths below ``folder``, and their bytes) and ``links``; return what was not there yet.

    A file that is there with these very bytes is left as it is. ``last`` is written after all others.

    Raises:
        BadInput: a path is taken by something else (nothing is written then), the folder cannot be written,
            or another of these commands is at work in it.
        DependencyFailed: the disk is full, or broken; what was written is taken back.
    """
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            order = sorted(files, key=lambda path: (path == last, path))
            taken = [path for path in order if not _free(folder / path, files[path])]
            taken += [path for path, to in (links or {}).items() if not _free_link(folder / path, to)]
            if taken:
                raise _taken(folder, sorted(taken))
            return _placed(folder, order, files, links or {})


def _placed(
    folder: Path, order: Sequence[str], files: Mapping[str, bytes], links: Mapping[str, str]
) -> tuple[str, ...]:
    staging = folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)  # what a killed command left
    staging.mkdir()
    made: list[Path] = []
    try:
        for number, path in enumerate(order):
            with (staging / str(number)).open("wb") as file:
                file.write(files[path])
                file.flush()
                os.fsync(file.fileno())
        for path, to in links.items():
            target = folder / path
            if not target.is_symlink():
                _folders(target.parent, made)
                target.symlink_to(to)
                made.append(target)
        for number, path in enumerate(order):
            target = folder / path
            if not _holds(target, files[path]):
                _folders(target.parent, made)
                os.link(staging / str(number), target)
                made.append(target)
    except BaseException:
        for each in reversed(made):
            with suppress(OSError):  # what somebody else has put into a new folder stays
                if each.is_dir() and not each.is_symlink():
                    each.rmdir()
                else:
                    each.unlink()
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return tuple(os.path.relpath(each, folder) for each in made if each.is_file() or each.is_symlink())


def _taken(folder: Path, paths: Sequence[str]) -> BadInput:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return BadInput(
        "would-overwrite",
        f"got {folder} with {', '.join(paths[:_SHOWN])}{more} of its own, expected none of them there; "
        "nothing was written",
        "choose another folder or name, or move what is there",
        taken=list(paths),
    )


def _folders(folder: Path, made: list[Path]) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir()
        made.append(each)


def _free(path: Path, body: bytes) -> bool:
    if not os.path.lexists(path):
        return not any(parent.exists() and not parent.is_dir() for parent in path.parents)
    return _holds(path, body)


def _holds(path: Path, body: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == body


def _free_link(path: Path, to: str) -> bool:
    return not os.path.lexists(path) or (path.is_symlink() and str(path.readlink()) == to)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Lock the folder itself: the lock goes with the process, however it ends, and leaves no file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInput(
                "busy",
                f"got {folder}, in which another tidegate command writes, expected it free",
                "try again",
            ) from error
        yield
    finally:
        os.close(handle)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DOORS:
            raise BadInput(
                "unwritable",
                f"got {folder}, which cannot be written ({error.strerror}), expected a folder of yours",
                "choose another folder",
            ) from error
        raise DependencyFailed(
            "not-written",
            f"got {error.strerror or type(error).__name__} while writing to {folder}, expected room for it; "
            "nothing was kept",
            "free some space, then run the command again",
        ) from error
