"""The log of reads, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.application.ports import Pending
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.merkle import merkle_root


class FakeReadLog:
    """Segments in a dictionary; a test may alter them there."""

    def __init__(self) -> None:
        self.segments: dict[str, list[bytes]] = {}
        self._open: list[bytes] = []

    def note(self, record: bytes) -> Pending:
        """Keep a record."""
        self._open.append(record)
        return Pending(sum(len(each) + 1 for each in self._open), self._open[0])

    def pending(self) -> Sequence[bytes]:
        """Return what was noted since the last segment."""
        return list(self._open)

    def close(self) -> None:
        """Name what was noted by its root."""
        if self._open:
            self.segments[merkle_root(self._open)] = self._open
            self._open = []

    def closed(self) -> Sequence[str]:
        """Return the roots."""
        return sorted(self.segments)

    def records(self, root: str) -> Sequence[bytes]:
        """Return a segment, if it still has its root."""
        records = self.segments.get(root, [])
        if merkle_root(records) != root:
            raise DependencyFailed("reads-altered", f"got other records for {root}, expected its own", "")
        return list(records)
