"""The catalogue of events as a page: read off the code and off one example of each, never written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidegate.application.lawfulness import WRITERS
from tidegate.application.timeline import sentence
from tidegate.domain.actors import roles_that
from tidegate.domain.events import ENVELOPE, SCHEMA_VERSIONS, Event, EventType
from tidegate.domain.fold import StateView, changes
from tidegate.domain.state import State

HEAD = f"""\
# Events

Everything that can be written to the ledger, in envelopes of {ENVELOPE} ([the record](record.md) has their fields).
This page is generated from the code and from a story that holds every event; `tests/unit/test_catalogue.py`
holds it equal. A payload of an older version is lifted by an upcaster when it is read. *Beside it* are personal
texts: the payload holds a commitment to each under `texts`, and they can be erased.
"""

#: Whose permission no role holds, in words.
_OTHERS: Mapping[EventType, str] = {
    EventType.LEDGER_OPENED: "the first administrator, once",
    EventType.DELEGATION_ENDED: "either of the two between whom it is",
    EventType.FEATURES_MEASURED: "whoever the view is open to for reading offline (F2)",
    EventType.FEATURES_JUDGED: "whoever the view is open to for reading offline (F2)",
    EventType.FEATURES_READ: "whoever's command sealed it",
    EventType.REGISTRY_REPAIRED: "whoever's command found it",
    EventType.ACTION_REFUSED: "whoever was refused",
    EventType.PACKET_SEALED: "whoever acts on it",
}


def catalogue(events: Iterable[Event]) -> str:
    """Return the page, given events among which every type has an example, in an order that folds.

    Raises:
        LookupError: a type has no example.
    """
    examples: dict[EventType, list[Event]] = {}
    rows: dict[EventType, set[str]] = {}
    state = State()
    view = StateView(state)
    for event in events:
        examples.setdefault(event.type, []).append(event)
        for row in changes(view, event):
            rows.setdefault(event.type, set()).add(row.TABLE)
            state.put(row)
    if missing := [str(each) for each in EventType if each not in examples]:
        raise LookupError(f"got no example of {', '.join(missing)}, expected one of every type")
    sections = [_section(each, examples[each], sorted(rows.get(each, ()))) for each in EventType]
    return "\n".join([HEAD, *sections])


def _section(kind: EventType, examples: Sequence[Event], tables: Sequence[str]) -> str:
    payload = _fields([event.payload for event in examples])
    beside = sorted({name for event in examples for name in event.payload.get("texts", {})})
    lines = [
        f"## `{kind}`, version {SCHEMA_VERSIONS[kind]}",
        "",
        f"*{sentence(examples[0])}*",
        "",
        f"- by: {_by(kind)}",
        f"- payload: {', '.join(f'`{name}` {what}' for name, what in payload.items())}",
        *([f"- beside it: {', '.join(f'`{name}`' for name in beside)}"] if beside else []),
        f"- rows: {', '.join(f'`{table}`' for table in tables) or 'none'}",
        "",
    ]
    return "\n".join(lines)


def _by(kind: EventType) -> str:
    if kind in _OTHERS:
        return _OTHERS[kind]
    return " or ".join(f"`{each}` ({', '.join(roles_that(each))})" for each in WRITERS[kind])


def _fields(payloads: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Say of every field of these payloads what it holds, in the words of JSON."""
    found: dict[str, set[str]] = {}
    for payload in payloads:
        for name, value in payload.items():
            found.setdefault(name, set()).add(_kind(value))
    return {name: " or ".join(sorted(kinds)) for name, kinds in found.items() if name != "texts"}


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return "object"
    return {bool: "flag", int: "number", float: "number", type(None): "null"}.get(type(value), "text")
