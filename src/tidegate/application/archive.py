"""The file that a bundle is: a ZIP archive whose members are stored as they are, under plain names.

Nothing in it is compressed, so that its bytes depend on its members alone (never on a compressor's version),
and so that nothing can unpack to more than it is. It is read into memory and never onto the disk, and only
after every member's name, kind and size were looked at.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tidegate.domain.errors import BadInput

#: A bundle of a thousand events has two or three megabytes.
MAX_BYTES = 512 * 1024 * 1024
MAX_MEMBERS = 4096

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(/[a-z0-9][a-z0-9._-]{0,99})?")
#: The first moment that the format can tell.
_MOMENT = (1980, 1, 1, 0, 0, 0)
#: How long a member's own header is, its entry in the directory, and the end of that (APPNOTE 4.3), without names.
_HEADER, _LISTED, _END = 30, 46, 22
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
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(members):
                entry = zipfile.ZipInfo(name, _MOMENT)
                entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE << 16
                archive.writestr(entry, members[name])
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BadInput(
            "cannot-write", f"got {path}, which cannot be written ({error.strerror})", "name another file"
        ) from error


def read(path: Path) -> dict[str, bytes]:
    """Return the members of an archive.

    Raises:
        BadInput: it is no archive, or one whose members are not plain files, stored, named once and plainly,
            together no larger than the file they lie in, or in which anything else lies.
    """
    with _opened(path) as (archive, size):
        entries = archive.infolist()
        if len(entries) > MAX_MEMBERS:
            raise _hostile(f"{len(entries)} members", f"at most {MAX_MEMBERS}")
        for entry in entries:
            _plain(entry)
        names = Counter(entry.filename for entry in entries)
        if twice := sorted(name for name, count in names.items() if count > 1):
            raise _hostile(f"the member {twice[0]} twice", "each member once")
        total = sum(entry.file_size for entry in entries)
        if total > size:
            raise _hostile(f"members of {total:,} bytes in a file of {size:,}", "members that do not overlap")
        _no_more(archive, entries, size)
        return {entry.filename: archive.read(entry) for entry in entries}


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, int]]:
    try:
        size = path.stat().st_size
        if not path.is_file():  # a pipe would be waited for
            raise _hostile(f"{path.name}, which is no plain file", "a bundle")
        if size > MAX_BYTES:
            raise _hostile(f"a file of {size:,} bytes", f"at most {MAX_BYTES:,}")
        with zipfile.ZipFile(path) as archive:
            yield archive, size
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


def _no_more(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse bytes that belong to no member: before the first, between two, in their headers, or behind the last."""
    reached, file = 0, archive.fp
    assert file is not None  # it is open
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        file.seek(entry.header_offset)
        header = file.read(_HEADER)
        name, more = struct.unpack("<HH", header[-4:])
        if entry.header_offset != reached or more or entry.extra or entry.comment:
            raise _hostile(f"bytes that are no member's before the end of {entry.filename}", "members alone")
        reached += _HEADER + name + entry.compress_size
    listed = sum(_LISTED + len(entry.orig_filename.encode()) for entry in entries)
    if archive.start_dir != reached or archive.comment or size != reached + listed + _END:
        raise _hostile("bytes that are no member's behind the last one", "members alone")


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
