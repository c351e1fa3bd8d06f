"""A sink in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.domain.cloudevent import CloudEvent
from tidegate.domain.errors import DependencyFailed


@dataclass
class FakeSink:
    """Keeps what it takes in ``taken``; ``down`` and ``gone`` play an outage, ``meanwhile`` another hand."""

    name: str = "fake"
    down: bool = False
    gone: bool = False
    taken: list[CloudEvent] = field(default_factory=list)
    offered: int = 0
    meanwhile: Callable[[], object] = lambda: None

    def deliver(self, event: CloudEvent, seconds: float) -> None:
        """Take one event, unless it plays an outage."""
        self.offered += 1
        self.meanwhile()
        if self.gone:
            raise DependencyFailed("sink-gone", "got status 410, expected 2xx")
        if self.down:
            raise DependencyFailed("sink-unreachable", "got no answer from the sink, expected one")
        self.taken.append(event)
