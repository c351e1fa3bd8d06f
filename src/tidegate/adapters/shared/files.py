"""Files that are named by what is in them: written whole, read against their digest."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.application.ports import Frame
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import DependencyFailed

if TYPE_CHECKING:
    import pyarrow as pa


def write_whole(path: Path, body: bytes) -> Path:
    """Write ``body`` to ``path``: a reader sees all of it or no file."""
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


def read_frame(frame: Frame) -> pa.Table:
    """Return a frame's rows.

    Raises:
        DependencyFailed: the file is gone or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(frame.path)
    except (OSError, pa.ArrowException) as error:
        raise DependencyFailed(
            "frame-unreadable",
            f"got no readable Parquet file at {frame.path.name}, expected the frame {frame.digest}",
            "build the frame again",
        ) from error
