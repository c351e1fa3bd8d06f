"""The log of reads as files: ``open.jsonl``, and each closed segment under its Merkle root."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tidegate.adapters.shared.files import told
from tidegate.application.ports import Pending
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.merkle import merkle_root

_PREFIX = "sha256:"
_PATIENCE_SECONDS = 60


class FileReadLog:
    """Keeps its files in ``folder``, which is made when something is first noted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = folder / "open.jsonl"

    def note(self, record: bytes) -> Pending:
        """Append a line, and have it on disk. What a killed process left of one is cut off: nobody was answered.

        Raises:
            DependencyFailed: the disk is full, or the file cannot be written.
        """
        line = record + b"\n"
        with self._alone(), told(self._open, len(line)):
            with os.fdopen(os.open(self._open, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as log:
                whole = _whole(log.read())
                log.truncate(len(whole))
                log.seek(len(whole))
                log.write(line)
                log.flush()
                os.fsync(log.fileno())
            return Pending(len(whole) + len(line), (whole + line).partition(b"\n")[0])

    def pending(self) -> Sequence[bytes]:
        """Return the open segment's lines."""
        return _whole(self._open.read_bytes()).splitlines() if self._open.exists() else []

    def close(self) -> None:
        """Give the open segment the name of its root.

        Raises:
            DependencyFailed: the file cannot be renamed.
        """
        if not self._folder.exists():
            return
        with self._alone():
            if records := self.pending():
                with told(self._open, 0):
                    self._open.replace(self._file(merkle_root(records)))

    def closed(self) -> Sequence[str]:
        """Return the roots in the files' names."""
        if not self._folder.exists():
            return []
        return [_PREFIX + file.stem for file in sorted(self._folder.glob("*.jsonl")) if file != self._open]

    def records(self, root: str) -> Sequence[bytes]:
        """Return a segment's lines.

        Raises:
            DependencyFailed: the file is gone, or its lines have another root.
        """
        try:
            records = _whole(self._file(root).read_bytes()).splitlines()
        except FileNotFoundError as error:
            raise _lost(root, "got no file") from error
        if (found := merkle_root(records)) != root:
            raise _lost(root, f"got {len(records)} records with the root {found}")
        return records

    def _file(self, root: str) -> Path:
        return self._folder / f"{root.removeprefix(_PREFIX)}.jsonl"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        import filelock

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with filelock.FileLock(self._folder / ".lock", timeout=_PATIENCE_SECONDS):
                yield
        except filelock.Timeout as error:
            raise DependencyFailed(
                "reads-busy",
                f"got no turn at the log of reads in {_PATIENCE_SECONDS} s, expected another to finish",
                "see which process holds the home's reads/.lock",
            ) from error


def _whole(body: bytes) -> bytes:
    return body[: body.rfind(b"\n") + 1]


def _lost(root: str, got: str) -> DependencyFailed:
    return DependencyFailed(
        "reads-altered",
        f"{got} for the reads {root}, expected the records that it was taken over",
        "restore the home's reads folder from a backup",
    )
