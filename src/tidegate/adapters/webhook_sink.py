"""A webhook, signed as https://www.standardwebhooks.com says: the receiver can tell that it comes from us.

``webhook-id`` is the event's id, the same however often it is sent; ``webhook-timestamp`` says when it was sent;
``webhook-signature`` is ``v1,`` and the HMAC-SHA256 over ``ID.TIMESTAMP.BODY``, keyed with the secret's bytes.
"""

from __future__ import annotations

import base64
import hmac

from tidegate.adapters.shared.posting import checked, post
from tidegate.application.ports import Clock
from tidegate.domain.canonical import canonical
from tidegate.domain.cloudevent import CloudEvent
from tidegate.domain.errors import DependencyFailed

PREFIX = "whsec_"
#: How many random bytes the standard asks of a secret.
_LEAST, _MOST = 24, 64


class WebhookSink:
    """Posts each event to ``url``.

    ``secret`` is ``whsec_…``; two, a space between, both sign while one replaces the other.
    """

    def __init__(self, name: str, url: str, secret: str, clock: Clock) -> None:
        self.name = name
        self._url, self._secret, self._clock = url, secret, clock

    def deliver(self, event: CloudEvent, seconds: float) -> None:
        """Post one event; any 2xx takes it.

        Raises:
            DependencyFailed: it was not taken in time, or address or secret are not there or not fit.
        """
        host = checked(self._url, f"the webhook {self.name}")
        body, sent = canonical(event), str(int(self._clock.recorded().timestamp()))
        headers = {
            "content-type": "application/cloudevents+json",
            "user-agent": "tidegate",
            "webhook-id": event["id"],
            "webhook-timestamp": sent,
            "webhook-signature": " ".join(signature(key, event["id"], sent, body) for key in self._keys()),
        }
        post(self._url, host, body, headers, seconds)

    def _keys(self) -> list[bytes]:
        keys = [_key(secret) for secret in self._secret.split()]
        if not keys or not all(_LEAST <= len(key) <= _MOST for key in keys):
            raise DependencyFailed(
                "sink-secret",
                f"got {'an unfit' if keys else 'no'} secret for the webhook {self.name}, "
                f"expected {PREFIX} and {_LEAST} to {_MOST} random bytes in base64",
                "set the variable that the profile names",
            )
        return keys


def _key(secret: str) -> bytes:
    """Return the bytes that a secret spells, none where it spells none."""
    if not secret.startswith(PREFIX):
        return b""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        return b""


def signature(key: bytes, name: str, sent: str, body: bytes) -> str:
    """Return the signature that one key gives."""
    signed = b".".join((name.encode(), sent.encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"
