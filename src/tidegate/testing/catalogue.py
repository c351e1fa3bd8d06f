"""The page of all events, from a story that holds them all.

python -m tidegate.testing.catalogue > docs/events.md
"""

from __future__ import annotations

import sys

from tidegate.application.catalogue import catalogue
from tidegate.testing.fakes.ledger import MemoryLedger
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import whole_story


def page() -> str:
    """Return what docs/events.md holds."""
    ledger = MemoryLedger(TickingClock(), CountingEntropy())
    whole_story(ledger)
    return catalogue(ledger.events())


if __name__ == "__main__":
    sys.stdout.write(page())
