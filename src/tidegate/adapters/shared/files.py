"""Files that are named by what is in them: written whole, read against their digest."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, DependencyFailed

_HEX = re.compile("[0-9a-f]{64}")
_FULL = {errno.ENOSPC, errno.EDQUOT}


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


def write_whole(path: Path, body: bytes) -> Path:
    """Write ``body`` to ``path`` whole: a reader sees the old file or the new one, never a part.

    Parent folders are made. A file that holds these very bytes is left as it is.

    Raises:
        DependencyFailed: the disk is full, or cannot be written; nothing half-written is left.
    """
    with told(path, len(body)):
        if path.exists() and path.read_bytes() == body:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o644)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


@contextmanager
def told(path: Path, size: int) -> Iterator[None]:
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
