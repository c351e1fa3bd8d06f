"""Frames: tables that are named by content, found and read against their ``tg1:`` digest."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.shared.arrow import table_digest
from tidegate.adapters.shared.pieces import Stored
from tidegate.application.ports import Frame
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, DependencyFailed

if TYPE_CHECKING:
    import pyarrow as pa


def find_frame(path: Path, digest: str, what: str, hint: str) -> Frame:
    """Return the frame kept at ``path``; rows and columns are what the file's footer says.

    Nothing is verified yet: `read_frame` does, on the rows that it returns.

    Raises:
        DependencyFailed: the file is gone or damaged.
    """
    import pyarrow.parquet as pq

    with _readable(path, what, hint), pq.ParquetFile(path) as file:
        return Frame(digest, path, file.metadata.num_rows, tuple(file.schema_arrow.names))


def read_frame(frame: Frame, what: str, hint: str = "build it again") -> pa.Table:
    """Return a frame's rows, read once and verified: what is verified is what is used.

    Raises:
        DependencyFailed: the file is gone, damaged, or its content is another one.
    """
    return verified(read_parquet(frame.path, what, hint), frame.digest, what, frame.path.name, hint)


def verified(table: pa.Table, digest: str, what: str, where: str, hint: str) -> pa.Table:
    """Return rows that lie somewhere, if they have this digest.

    Raises:
        DependencyFailed: their content is another one.
    """
    try:
        found = table_digest(table)
    except BadInput as error:  # types that no frame is made of
        raise _altered(what, "a table without a digest", digest, where, hint) from error
    if found != digest:
        raise _altered(what, found, digest, where, hint)
    return table


def verify_frame(frame: Frame, known: dict[str, str], what: str, hint: str = "build it again") -> None:
    """Compare a frame's content with its digest, as `read_frame` does.

    ``known`` keeps what bytes were found to hold, by their SHA-256: while they stay the same, hashing them is enough.

    Raises:
        DependencyFailed: as `read_frame`.
    """
    with _readable(frame.path, what, hint):
        body = frame.path.read_bytes()  # once: what is hashed is what is read
        if (found := known.get(name := sha256(body))) is None:
            try:
                found = known[name] = table_digest(Stored(io.BytesIO(body)))
            except BadInput as error:  # types that no frame is made of
                raise _altered(
                    what, "a table without a digest", frame.digest, frame.path.name, hint
                ) from error
    if found != frame.digest:
        raise _altered(what, found, frame.digest, frame.path.name, hint)


def found_digest(path: Path, what: str, hint: str = "build it again") -> str:
    """Return the digest of the rows that a file holds now, whatever it was kept under.

    Raises:
        DependencyFailed: the file is gone, damaged, or holds what no frame is made of.
    """
    try:
        with _readable(path, what, hint):
            return table_digest(Stored(path))
    except BadInput as error:  # types that no frame is made of
        raise DependencyFailed(
            "frame-altered", f"got {what} with a table that has no digest, expected a frame", hint
        ) from error


def read_parquet(path: Path, what: str, hint: str = "build it again") -> pa.Table:
    """Return the rows of a Parquet file, whatever they are.

    Raises:
        DependencyFailed: the file is gone or damaged.
    """
    import pyarrow.parquet as pq

    with _readable(path, what, hint), pq.ParquetFile(path) as file:
        return file.read()


def _altered(what: str, found: str, digest: str, where: str, hint: str) -> DependencyFailed:
    return DependencyFailed(
        "frame-altered",
        f"got {what} with the content {found}, expected {digest}",
        f"somebody wrote to {where}, or a build was cut short: {hint}",
    )


def read_file(path: Path, what: str, hint: str = "build it again") -> tuple[pa.Table, str]:
    """Return the rows of a Parquet file with the SHA-256 of its bytes, read once: both are of the same bytes.

    Raises:
        DependencyFailed: the file is gone or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _readable(path, what, hint):
        body = path.read_bytes()
        with pq.ParquetFile(pa.BufferReader(body)) as file:
            return file.read(), sha256(body)


@contextmanager
def _readable(path: Path, what: str, hint: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise DependencyFailed(
            "frame-unreadable",
            f"got no readable Parquet file {path.name} ({type(error).__name__}), expected {what}",
            hint,
        ) from error
