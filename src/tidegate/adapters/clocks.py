"""The system's clock, and one that stands still where it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal


@dataclass(frozen=True)
class SystemClock:
    """The machine's clock, in UTC."""

    kind: Literal["system", "simulated"] = field(default="system", init=False)

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)

    def recorded(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class SimulatedClock:
    """A clock that shows ``moment``; only what is written down carries the machine's time."""

    moment: datetime
    kind: Literal["system", "simulated"] = field(default="simulated", init=False)

    def now(self) -> datetime:
        """Return the simulated moment."""
        return self.moment

    def recorded(self) -> datetime:
        """Return the machine's time."""
        return datetime.now(UTC)
