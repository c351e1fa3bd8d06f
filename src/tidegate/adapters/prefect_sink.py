"""Prefect's events: what happened here may trigger automations there.

By Prefect's own HTTP API, not by its ``emit_event``: that one puts the event in a queue of this process and
says nothing of what became of it. The server takes an event with an id that it has already as the same one.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import Any

from tidegate.adapters.shared.posting import checked, post
from tidegate.domain.canonical import canonical
from tidegate.domain.cloudevent import CloudEvent
from tidegate.domain.errors import DependencyFailed


class PrefectSink:
    """Posts each event to the server at ``api`` (PREFECT_API_URL), with what it asks for to let us in."""

    def __init__(self, name: str, api: str, key: str = "", auth: str = "") -> None:
        self.name = name
        self._api, self._key, self._auth = api, key, auth

    def deliver(self, event: CloudEvent, seconds: float) -> None:
        """Post one event.

        Raises:
            DependencyFailed: it was not taken in time, or there is no address of a server.
        """
        if not self._api:
            raise DependencyFailed(
                "sink-address",
                "got no PREFECT_API_URL, expected the address of a Prefect server",
                "set it, or take the sink out of the profile",
            )
        # A server within the team's own network often has no TLS; its other clients speak to it all the same.
        host = checked(self._api, "Prefect's server", plain=True)
        headers = {"content-type": "application/json", "user-agent": "tidegate", **self._authorization()}
        post(f"{self._api.rstrip('/')}/events", host, canonical([as_prefect(event)]), headers, seconds)

    def _authorization(self) -> Mapping[str, str]:
        if self._auth:
            return {"authorization": f"Basic {base64.b64encode(self._auth.encode()).decode()}"}
        return {"authorization": f"Bearer {self._key}"} if self._key else {}


def as_prefect(event: CloudEvent) -> dict[str, Any]:
    """Return the event as Prefect names its parts; its ids are UUIDs, so ours is made into one."""
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{event['source']}#{event['id']}")),
        "occurred": event["time"],
        "event": event["type"],
        "resource": {
            "prefect.resource.id": f"tidegate.{event['subject']}",
            "prefect.resource.name": event["subject"],
            "tidegate.ledger": event["source"],
            "tidegate.sequence": event["sequence"],
            "tidegate.actor": event["actor"],
        },
        "payload": dict(event),
    }
