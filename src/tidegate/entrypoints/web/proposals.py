"""Proposed policies that nobody has let in or turned down yet."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.domain.state import ProposalDecisionRow, ProposalRow
from tidegate.entrypoints.web.record import Note, Record


@dataclass(frozen=True)
class Proposal:
    """A policy somebody asks for, and who has approved it so far."""

    id: str
    name: str
    version: str
    digest: str
    asked: Note
    approved: tuple[Note, ...]


def proposals(record: Record) -> tuple[Proposal, ...]:
    """Return every open proposal, oldest first."""
    return tuple(
        Proposal(
            row.id,
            row.name,
            row.version,
            row.digest,
            record.note(record.at(row.sequence)),
            tuple(
                record.note(record.at(each.sequence))
                for each in record.state.select(ProposalDecisionRow, proposal=row.id, outcome="approve")
            ),
        )
        for row in sorted(record.state.select(ProposalRow, status="open"), key=lambda row: row.sequence)
    )
