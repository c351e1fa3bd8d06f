"""Whoever outside is told what happened."""

from __future__ import annotations

from typing import Protocol

from tidegate.domain.cloudevent import CloudEvent


class Sink(Protocol):
    """Takes events one by one, in the order of the chain, each at least once.

    An event that is offered again has the same ``id``: whoever receives it counts it once by that.
    """

    @property
    def name(self) -> str:
        """Return the name it has in the profile; its cursor is kept under it."""
        ...

    def deliver(self, event: CloudEvent, seconds: float) -> None:
        """Hand one event over; when this returns, the other side has it for good.

        Raises:
            DependencyFailed: nobody says that it was taken, after at most ``seconds``; it will be offered again.
                The code is ``sink-gone`` where the other side wants to be told nothing any more. The sentence
                holds no secret, and nothing of what the other side answered but its status.
        """
        ...
