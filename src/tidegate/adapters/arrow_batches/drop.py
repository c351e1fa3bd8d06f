"""Opens drops: a CSV, or a zip with exactly one CSV. Nothing is ever extracted to disk.

A zip is input from outside. Its member's name is not used as a path, its size is bounded by what it
declares and again by what comes out, and its checksum is verified when the last byte has been read.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tidegate.domain.errors import BadInput, DependencyFailed

#: How a zip begins: with a file, with its end where it has none, or as a part of one. A header may begin with PK too.
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_CHUNK, _IN_MEMORY = 2**20, 2**24


def open_regular(drop: Path, max_bytes: int) -> io.BufferedReader:
    """Open a regular file of at most ``max_bytes``: a pipe or a device may never end, or never begin.

    Raises:
        BadInput: it is something else, or larger. OSError: it cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody to write. What is opened is what is looked at.
    file = os.fdopen(os.open(drop, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise BadInput(
            "no-drop", f"got {drop.name}, which is no regular file, expected a drop", "check the path"
        )
    if status.st_size > max_bytes:
        file.close()
        raise BadInput(
            "drop-too-large",
            f"got {drop.name} with {status.st_size:,} bytes, expected at most {max_bytes:,}",
            "have it delivered in parts",
        )
    return file


@dataclass(frozen=True)
class Drop:
    """A drop's bytes as they were named, where nobody else can write to them."""

    file: IO[bytes]
    name: str
    max_bytes: int


@contextmanager
def opened(drop: Path, digest: str, max_bytes: int) -> Iterator[Drop]:
    """Copy a drop aside and hash what was copied: what is read is what was named, whoever writes to it meanwhile.

    A copy of up to `_IN_MEMORY` bytes stays in memory, a larger one is a nameless temporary file.

    Raises:
        BadInput: there is no file, it is none that can be read, it is too large, or its bytes are no longer
            those of ``digest``. DependencyFailed: there is no room for the copy.
    """
    try:
        with open_regular(drop, max_bytes) as file, tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            sha, size = hashlib.sha256(), 0
            while size <= max_bytes and (chunk := file.read(_CHUNK)):
                sha.update(chunk)
                size += len(chunk)
                _write(copy, chunk, drop.name)
            if f"sha256:{sha.hexdigest()}" != digest:
                raise BadInput(
                    "drop-changed",
                    f"got {drop.name} with other bytes than when it was first looked at, expected a drop at rest",
                    "have it delivered under another name and moved into place whole, and ingest it again",
                )
            yield Drop(copy, drop.name, max_bytes)
    except FileNotFoundError as error:
        raise BadInput("no-drop", f"got no file {drop.name}, expected a drop", "check the path") from error
    except OSError as error:
        raise BadInput(
            "no-drop",
            f"got {drop.name}, which cannot be read ({error.strerror}), expected a file",
            "check the path",
        ) from error


def _write(copy: IO[bytes], chunk: bytes, name: str) -> None:
    with room_for(name):
        copy.write(chunk)


@contextmanager
def room_for(name: str) -> Iterator[None]:
    """Turn what the operating system says of a temporary file that it did not take into one sentence.

    Raises:
        DependencyFailed: there is no room for it.
    """
    try:
        yield
    except OSError as error:
        raise DependencyFailed(
            "disk-full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "unwritable",
            f"got no room for a temporary copy of {name} ({error.strerror}), expected some to read it from",
            "free some space where temporary files go, or set TMPDIR, and run the same again",
        ) from error


@contextmanager
def open_csv(drop: Drop) -> Iterator[Csv]:
    """Open the CSV of a drop, from its beginning, as a stream of at most its ``max_bytes``.

    Raises:
        BadInput: it is empty, a broken zip, or not a zip of one CSV. Also while reading.
    """
    file, name, max_bytes = drop.file, drop.name, drop.max_bytes
    try:
        file.seek(0)
        magic = file.read(4)
        file.seek(0)
        if not magic:
            raise BadInput(
                "empty-drop", f"got {name} with 0 bytes, expected a CSV", "have it delivered again"
            )
        if magic not in _ZIP_MAGIC and not name.lower().endswith(".zip"):
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            yield Csv(file, name, max_bytes, size)
            return
        with zipfile.ZipFile(file) as archive:
            info = _member(archive, name, max_bytes)
            with archive.open(info) as member:
                yield Csv(member, name, max_bytes, info.file_size)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BadInput(
            "broken-zip",
            f"got {name}, which is cut short or damaged, expected a whole zip",
            "have it delivered again; nothing was taken from it",
        ) from error
    except (NotImplementedError, RuntimeError) as error:
        raise BadInput(
            "unusual-zip",
            f"got {name}, which is encrypted or compressed in an unusual way, expected a plain zip",
            "have it delivered as a stored or deflated zip",
        ) from error


def _member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) != 1:
        raise BadInput(
            "zip-members",
            f"got {name} with {len(members)} members, expected exactly one CSV",
            "have every file delivered as a drop of its own",
            members=len(members),
        )
    (member,) = members
    parts = member.filename.replace("\\", "/").split("/")
    if member.is_dir() or not member.filename.lower().endswith(".csv") or len(parts) > 1 or ":" in parts[0]:
        raise BadInput(
            "zip-member-name",
            f"got {name} with a member that is no plain CSV file name, expected one like readings.csv",
            "have it delivered without folders",
        )
    if member.file_size > max_bytes:
        raise _too_large(name, max_bytes)
    return member


class Csv(io.RawIOBase):
    """A stream that refuses to yield more than it may, whatever the zip declared; ``size`` is what is declared."""

    def __init__(self, stream: IO[bytes], name: str, max_bytes: int, size: int) -> None:
        self._stream, self._name, self._max, self._left = stream, name, max_bytes, max_bytes
        self.size = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._stream.read(len(buffer))
        self._left -= len(chunk)
        if self._left < 0:
            raise _too_large(self._name, self._max)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _too_large(name: str, max_bytes: int) -> BadInput:
    return BadInput(
        "drop-too-large",
        f"got {name}, which unpacks to more than {max_bytes:,} bytes, expected at most that",
        "split the drop, or raise the limit if this size is real",
        max_bytes=max_bytes,
    )
