"""Files that are named by what is in them: written whole, read against their digest.

A file is filled under a name that nobody reads, ``.NAME.XXXXXXXX.part`` beside its place, and moved there. A writer
that is killed leaves it behind; `sweep` removes it once it is surely nobody's.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, DependencyFailed

_HEX = re.compile("[0-9a-f]{64}")
_FULL = {errno.ENOSPC, errno.EDQUOT}
#: The names of partial files, and of what SQLite keeps beside a database that is made in one.
_PART = re.compile(r"\..+\.part(-journal|-wal|-shm)?")
#: A partial file that old is nobody's: what goes into it lies ready, and filling it takes seconds.
DEAD_AFTER = timedelta(hours=1)


def hex_of(digest: str, prefix: str) -> str:
    """Return a digest's 64 hex digits: only what is a digest ever becomes part of a path.

    Raises:
        BadInput: it is none, or has another prefix.
    """
    text = digest.removeprefix(prefix)
    if not digest.startswith(prefix) or not _HEX.fullmatch(text):
        raise BadInput(
            "not-a-digest",
            f"got {digest[:80]!r}, expected {prefix} and 64 hex digits",
            "copy the whole digest",
        )
    return text


def write_whole(path: Path, body: bytes, mode: int = 0o644) -> Path:
    """Write ``body`` to ``path`` whole: a reader sees the old file or the new one, never a part.

    Parent folders are made. A file that holds these very bytes is left as it is, unless more people may use it
    than ``mode`` lets.

    Raises:
        DependencyFailed: the disk is full, or cannot be written; nothing half-written is left.
    """
    with _told(path, len(body)):
        if path.exists() and not stat.S_IMODE(path.stat().st_mode) & ~mode and path.read_bytes() == body:
            return path
        with partial(path) as part:
            fill(part, body)
            part.chmod(mode)
            part.replace(path)
    return path


@contextmanager
def partial(path: Path) -> Iterator[Path]:
    """Yield an empty file beside ``path``, for this account only, to be filled and moved or linked there.

    What is still there at the end is removed. Parent folders are made.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def fill(part: Path, body: bytes) -> None:
    """Write all of ``body``, and wait until the disk has it: only then may the file get its name.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    with part.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def partials(folder: Path) -> list[Path]:
    """Return all partial files in ``folder`` and below: being written now, or left behind by who was killed."""
    return sorted(
        Path(place, name) for place, _, names in os.walk(folder) for name in names if _PART.fullmatch(name)
    )


def sweep(folder: Path, now: datetime) -> tuple[Path, ...]:
    """Remove the partial files below ``folder`` that are older than `DEAD_AFTER`, and return them.

    Safe at any moment: younger ones may be some other process's, and stay. ``now`` is the machine's time.
    """
    swept = []
    for path in partials(folder):
        with suppress(
            OSError
        ):  # its writer moved it, or another process swept it; or it is not ours to remove
            if path.stat().st_mtime < (now - DEAD_AFTER).timestamp():
                path.unlink()
                swept.append(path)
    return tuple(swept)


@contextmanager
def _told(path: Path, size: int) -> Iterator[None]:
    """Turn what the operating system says of a file it did not take into one sentence."""
    try:
        yield
    except OSError as error:
        place = f"{path.parent.name}/{path.name}"
        if error.errno in _FULL:
            raise DependencyFailed(
                "disk-full",
                f"got no space left on the disk for {place}, expected room for {size:,} bytes",
                "free some space and run the same again; what was written whole stays, nothing half-written does",
            ) from error
        raise DependencyFailed(
            "unwritable",
            f"got {place} not written ({error.strerror}), expected a folder that can be written",
            "mend the folder or the disk and run the same again; nothing half-written was left",
        ) from error


def read_artifact(path: Path, digest: str) -> bytes:
    """Return an artifact's bytes, read once and verified: what is verified is what is used.

    Raises:
        DependencyFailed: the file is gone, or no longer has this digest.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        raise DependencyFailed(
            "artifact-missing",
            f"got no readable file for artifact {digest} ({error.strerror}), expected its bytes",
            "restore the artifact from a backup, or roll back to another version",
            artifact=digest,
        ) from error
    if (found := sha256(body)) != digest:
        raise DependencyFailed(
            "artifact-altered",
            f"got an artifact with the digest {found}, expected {digest}",
            "somebody changed the file: restore it from a backup, or roll back to another version",
            artifact=digest,
        )
    return body
