"""A file of events, one JSON text a line: for whoever reads files, and to see what a webhook would be told."""

from __future__ import annotations

import os
from pathlib import Path

from tidegate.adapters.shared.files import told
from tidegate.domain.canonical import canonical
from tidegate.domain.cloudevent import CloudEvent
from tidegate.domain.errors import DependencyFailed

_BLOCK = 64 * 1024


class LogSink:
    """Appends each event to ``file`` and has it on disk before it says so."""

    def __init__(self, name: str, file: str | Path) -> None:
        self.name = name
        self._file = Path(file)

    def deliver(self, event: CloudEvent, seconds: float) -> None:  # noqa: ARG002  # a disk is not asked to hurry
        """Append one line.

        Raises:
            DependencyFailed: the disk is full, or the file cannot be written; no half line stays in the way.
        """
        if self._file == Path():
            raise DependencyFailed(
                "sink-address",
                f"got no file for the log {self.name}, expected one",
                "set the variable that the profile names",
            )
        line = canonical(event) + b"\n"
        with told(self._file, len(line)):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self._file.exists()
            with os.fdopen(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0) as log:
                log.truncate(_whole(log.fileno()))
                log.seek(0, os.SEEK_END)
                for start in range(0, len(line), _BLOCK):
                    _write(log.fileno(), line[start : start + _BLOCK])
                os.fsync(log.fileno())
            if fresh:
                _sync(self._file.parent)


def _whole(file: int) -> int:
    """Return where the last whole line ends. A line that was cut short is told again, so what is left of it may go."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _BLOCK)
        last = os.pread(file, end - start, start).rfind(b"\n")
        if last >= 0:
            return start + last + 1
        end = start
    return 0


def _write(file: int, part: bytes) -> None:
    """Write all of it: the system may take less at once."""
    while part:
        part = part[os.write(file, part) :]


def _sync(folder: Path) -> None:
    """Have the folder's entry on disk too, or the file may be gone with the power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
