"""Who tells a story: a ledger to append to, and the names that what is told goes by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from tidegate.application.ports import Ledger
from tidegate.domain.canonical import sha256
from tidegate.domain.events import Draft, Event, EventType
from tidegate.domain.state import PolicyRow, VersionRow


def named(text: str) -> str:
    """Return a digest that stands for some content."""
    return sha256(text.encode())


class Teller:
    """Tells of one model, ``model``, on one ledger."""

    def __init__(self, ledger: Ledger, model: str = "tides", dataset: str = "gauges") -> None:
        self.ledger = ledger
        self.model = model
        self.dataset = dataset
        self.versions = 0

    def artifact(self, number: int) -> str:
        """Return the digest of a version's artifact."""
        return named(f"artifact {self.model} {number}")

    def _version(self, number: int) -> VersionRow:
        row = self.ledger.state().get(VersionRow, self.model, number)
        assert row is not None, f"the story has no version {number} of {self.model} yet"
        return row

    def _policy(self) -> str:
        (row,) = self.ledger.state().select(PolicyRow, in_force=True)
        return row.digest

    def _append(
        self,
        kind: EventType,
        stream: str,
        actor: str,
        payload: Mapping[str, Any],
        texts: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        causation: int | None = None,
        on_behalf_of: str | None = None,
    ) -> Self:
        told = Draft(
            kind, stream, actor, payload, texts or {}, on_behalf_of, idempotency_key=key, causation=causation
        )
        with self.ledger.transaction() as tx:
            self.last: Event = tx.append(told)
        return self
