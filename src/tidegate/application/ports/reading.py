"""The log of what was read: too much of it for the chain, so segments of it, whose roots the chain holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Pending:
    """The segment that is still open: how large it is by now, and its first record."""

    size: int
    first: bytes


class ReadLog(Protocol):
    """Records of reads, in the order in which they were noted. A record is one line of bytes."""

    def note(self, record: bytes) -> Pending:
        """Have a record kept, on disk, behind those that are there.

        Raises:
            DependencyFailed: it cannot be written; nothing of it is kept.
        """
        ...

    def pending(self) -> Sequence[bytes]:
        """Return the records of the open segment."""
        ...

    def close(self) -> None:
        """Close the open segment: what is noted from now on is in another. An empty one stays open.

        Raises:
            DependencyFailed: it cannot be written.
        """
        ...

    def closed(self) -> Sequence[str]:
        """Return the Merkle roots of all closed segments, as their names say."""
        ...

    def records(self, root: str) -> Sequence[bytes]:
        """Return the records of a closed segment.

        Raises:
            DependencyFailed: it is gone, or no longer has this root.
        """
        ...
