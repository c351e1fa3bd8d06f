"""Who says what happens in a town: the ledger it is said to, and the words that people and data bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.application.ports import Ledger
from tidegate.domain.events import Draft, EventType
from tidegate.domain.policy import Policy

#: The model that a town is about.
MODEL = "tides"


class Crier:
    """Says it on a ledger that was opened with the embedded profile's accounts.

    ``policy`` is the one in force; what its first test shows is what every sealed packet holds.
    """

    def __init__(self, ledger: Ledger, policy: Policy, words: str = "The evidence holds.") -> None:
        self.ledger, self.policy, self.words = ledger, policy, words
        self.facts: Any = policy.tests[0].facts["packet"]

    def say(
        self, kind: EventType, actor: str, payload: Mapping[str, Any], on: str = f"model/{MODEL}", **more: Any
    ) -> None:
        with self.ledger.transaction() as tx:
            tx.append(Draft(kind, on, actor, payload, **more))

    def reason(self) -> dict[str, str]:
        return {"reason": self.words}
