"""An event as the outside is told of it: CloudEvents 1.0, in its JSON format.

    id               the event's hash: the same event told again has the same id, and receivers tell it by that
    source           names the ledger, by the hash of its first event
    type             ``tidegate.`` and the event's type
    subject          what it is about: the event's stream, like ``model/NAME``
    time             when it happened; on a simulated ``clock`` that is simulated time
    recordedtime     when it was written down; never simulated
    sequence         its place on the chain, in digits that sort as text
    correlationid    the story it belongs to
    actor            who did it, by pseudonymous id
    clock            ``system`` or ``simulated``
    payloadversion   which version of its type's payload ``data`` has
    data             the payload, without the commitments to texts: no text, and nothing to guess one back from

Sequence, correlation and recorded time are spelled as CloudEvents' own documented extensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.domain.events import SCHEMA_VERSIONS, Event

SPEC = "1.0"
#: How wide a sequence is written: text of one width sorts as its number does.
_DIGITS = 16

CloudEvent = Mapping[str, Any]


def source_of(genesis: Event) -> str:
    """Return the URI reference that names a ledger: two ledgers never begin with the same event."""
    return f"/tidegate/ledger/{genesis.hash.rpartition(':')[2]}"


def cloud_event(event: Event, source: str) -> CloudEvent:
    """Return the event as the outside is told of it. The same event gives the same, however often."""
    return {
        "specversion": SPEC,
        "id": event.hash,
        "source": source,
        "type": f"tidegate.{event.type}",
        "subject": event.stream,
        "time": event.occurred_at,
        "recordedtime": event.recorded_at,
        "datacontenttype": "application/json",
        "sequence": f"{event.sequence:0{_DIGITS}d}",
        "correlationid": event.correlation,
        "actor": event.actor,
        "clock": event.clock,
        "payloadversion": SCHEMA_VERSIONS[event.type],
        "data": {name: value for name, value in event.payload.items() if name != "texts"},
    }
