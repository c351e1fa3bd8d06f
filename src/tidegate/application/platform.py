"""What a use case is given: the ports, and who is acting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tidegate.application import ports
from tidegate.domain.canonical import sha256
from tidegate.domain.state import ActorRow


@dataclass(frozen=True)
class Acting:
    """An authenticated actor, the person a service works for, and the story this belongs to.

    ``key`` is the caller's idempotency key: the same act under the same key happens once, and whoever
    repeats it is given the recorded outcome, a refusal included.
    """

    actor: ActorRow
    on_behalf_of: str | None = None
    correlation: str | None = None
    key: str | None = None

    def scoped_key(self, action: str) -> str | None:
        """Return the key as the ledger keeps it: two actors, or two actions, never share one.

        Only its digest is kept: what a caller writes there is their text, and of any length.
        """
        return f"{self.actor.id}:{action}:{sha256(self.key.encode())}" if self.key else None


class Platform(Protocol):
    """Every port, opened when it is first used."""

    @property
    def clock(self) -> ports.Clock: ...
    @property
    def entropy(self) -> ports.Entropy: ...
    @property
    def signer(self) -> ports.Signer: ...
    @property
    def ledger(self) -> ports.Ledger: ...
    @property
    def contracts(self) -> ports.Contracts: ...
    @property
    def gate(self) -> ports.DataGate: ...
    @property
    def batches(self) -> ports.Batches: ...
    @property
    def copies(self) -> ports.Copies: ...
    @property
    def models(self) -> ports.Models: ...
    @property
    def features(self) -> ports.Features: ...
    @property
    def read_log(self) -> ports.ReadLog: ...
    @property
    def entities(self) -> ports.Entities: ...
    @property
    def trainer(self) -> ports.Trainer: ...
    @property
    def registry(self) -> ports.Registry: ...
    @property
    def scorer(self) -> ports.Scorer: ...
    @property
    def monitors(self) -> ports.Monitors: ...
    @property
    def policies(self) -> ports.Policies: ...
    @property
    def expressions(self) -> ports.Expressions: ...
    @property
    def schedules(self) -> ports.Schedules: ...
    @property
    def turns(self) -> ports.Turns: ...
    @property
    def sinks(self) -> tuple[ports.Sink, ...]: ...
    @property
    def frames(self) -> Path:
        """Return the folder for what use cases write by content."""
        ...

    @property
    def assurance(self) -> str:
        """Return ``local`` where people share one machine account, ``managed`` elsewhere."""
        ...

    def code(self) -> Mapping[str, str]:
        """Return what names the code that runs: commit, whether it was changed since, and the lock's digest."""
        ...
