"""Incidents: what was changed behind the ledger's back, was found and put right."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.application.projection import incidents as recorded
from tidegate.entrypoints.web.record import Note, Record


@dataclass(frozen=True)
class Incident:
    """One incident: what differed, and in whose command it was found."""

    id: str
    model: str
    facts: tuple[str, ...]
    found: Note


def incidents(record: Record) -> tuple[Incident, ...]:
    """Return every incident, the latest first."""
    rows = recorded(record.state)
    return tuple(Incident(row.id, row.model, row.facts, record.note(record.at(row.sequence))) for row in rows)
