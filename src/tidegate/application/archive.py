"""The file that a bundle is: a ZIP archive whose members are stored as they are, under plain names.

Nothing in it is compressed, so that its bytes depend on its members alone (never on a compressor's version),
and so that nothing can unpack to more than it is. It is read into memory and never onto the disk, and only
after every member's name, kind and size were looked at. What is read must be, byte for byte, what its members make
when they are written again: a ZIP has room for foreign bytes before, between and behind, which nobody signed for.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tidegate.domain.errors import BadInput

#: A bundle of a thousand events has two or three megabytes.
MAX_BYTES = 512 * 1024 * 1024
MAX_MEMBERS = 4096

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(/[a-z0-9][a-z0-9._-]{0,99})?")
#: The first moment that the format can tell.
_MOMENT = (1980, 1, 1, 0, 0, 0)
_UNIX, _PLAIN_FILE, _ENCRYPTED = 3, stat.S_IFREG | 0o644, 0x1
_BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    ValueError,
    EOFError,
    struct.error,
    OverflowError,
    RuntimeError,
)


def write(path: Path, members: Mapping[str, bytes]) -> None:
    """Write an archive, whole or not at all. The same members make the same bytes.

    Raises:
        BadInput: the members are more than a reader takes, or the file cannot be written.
    """
    total = sum(map(len, members.values()))
    if total > MAX_BYTES or len(members) > MAX_MEMBERS:
        raise _hostile(
            f"{len(members)} members of {total:,} bytes", f"at most {MAX_MEMBERS} of {MAX_BYTES:,}"
        )
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            _pack(file, members)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BadInput(
            "cannot-write", f"got {path}, which cannot be written ({error.strerror})", "name another file"
        ) from error


def read(path: Path) -> dict[str, bytes]:
    """Return the members of an archive.

    Raises:
        BadInput: it is no archive, or one whose members are not plain files, stored, named once and plainly, and
            together no larger than the file they lie in; or it holds a byte that `write` would not have written.
    """
    with _opened(path) as (archive, data):
        entries = archive.infolist()
        if len(entries) > MAX_MEMBERS:
            raise _hostile(f"{len(entries)} members", f"at most {MAX_MEMBERS}")
        for entry in entries:
            _plain(entry)
        names = Counter(entry.filename for entry in entries)
        if twice := sorted(name for name, count in names.items() if count > 1):
            raise _hostile(f"the member {twice[0]} twice", "each member once")
        total = sum(entry.file_size for entry in entries)
        if total > len(data):
            raise _hostile(
                f"members of {total:,} bytes in a file of {len(data):,}", "members that do not overlap"
            )
        members = {entry.filename: archive.read(entry) for entry in entries}
        _pack(again := io.BytesIO(), members)
        if again.getbuffer() != data:
            raise _hostile(
                f"an archive of {len(data):,} bytes with foreign ones before, between or behind its members, or "
                "with members that are described or ordered differently",
                f"the very bytes that its members make, {again.getbuffer().nbytes:,}",
            )
        return members


def _pack(file: IO[bytes], members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE << 16
            archive.writestr(entry, members[name])


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, bytes]]:
    try:
        size = path.stat().st_size
        if not path.is_file():  # a pipe would be waited for
            raise _hostile(f"{path.name}, which is no plain file", "a bundle")
        if size > MAX_BYTES:
            raise _hostile(f"a file of {size:,} bytes", f"at most {MAX_BYTES:,}")
        data = path.read_bytes()  # once: what is looked at is what is read
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive, data
    except OSError as error:
        raise BadInput(
            "no-such-file",
            f"got {path.name}, which cannot be read ({error.strerror})",
            "name a file that exists",
        ) from error
    except _BROKEN as error:
        raise BadInput(
            "not-a-bundle",
            f"got {path.name}, which is no whole ZIP archive ({error}), expected a bundle",
            "make one with `tidegate audit export`, or fetch it again",
        ) from error


def _plain(entry: zipfile.ZipInfo) -> None:
    """Refuse what is no plain member, before a byte of it is read."""
    name = entry.orig_filename  # `filename` ends at a NUL byte
    if not _NAME.fullmatch(name):
        raise _hostile(f"the member {name[:80]!r}", "a plain name, in one folder at most")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG}:
        raise _hostile(f"the member {name}, which is no plain file", "plain files: no links, no devices")
    if entry.flag_bits & _ENCRYPTED:
        raise _hostile(f"the member {name}, which is encrypted", "members that anybody can read")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        unpacks = f"{entry.compress_size:,} bytes that would unpack to {entry.file_size:,}"
        raise _hostile(f"the member {name} of {unpacks}", "members stored as they are: nothing here unpacks")


def _hostile(got: str, expected: str) -> BadInput:
    return BadInput(
        "not-a-bundle", f"got {got}, expected {expected}", "ask for the bundle again; nothing was read"
    )
