"""All tables of folded state, in the order in which they are made, and the state in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.domain.state.data import BatchRow, ErasedFileRow, ErasedSubjectRow, PushRow, WaiverRow
from tidegate.domain.state.features import (
    AccessRow,
    DriftRow,
    FeatureViewRow,
    ParityRow,
    ReadSegmentRow,
    StatisticsRow,
)
from tidegate.domain.state.models import (
    ApprovalRow,
    ModelRow,
    PacketRow,
    PromotionRow,
    TrainingSetRow,
    VersionRow,
)
from tidegate.domain.state.people import ActorRow, CredentialRow, DelegationRow, ErasureRow, TextRow
from tidegate.domain.state.policies import PolicyRow, ProposalDecisionRow, ProposalRow
from tidegate.domain.state.row import Row
from tidegate.domain.state.watching import CanaryRow, IncidentRow, MonitorRow, ReviewRow, RunRow, ScoringRow

ROWS: tuple[type[Row], ...] = (
    ActorRow,
    CredentialRow,
    PolicyRow,
    ProposalRow,
    ProposalDecisionRow,
    BatchRow,
    PushRow,
    WaiverRow,
    FeatureViewRow,
    AccessRow,
    ReadSegmentRow,
    StatisticsRow,
    DriftRow,
    ParityRow,
    TrainingSetRow,
    ModelRow,
    VersionRow,
    PacketRow,
    PromotionRow,
    ApprovalRow,
    DelegationRow,
    ScoringRow,
    CanaryRow,
    MonitorRow,
    ReviewRow,
    RunRow,
    IncidentRow,
    TextRow,
    ErasureRow,
    ErasedFileRow,
    ErasedSubjectRow,
)


@dataclass
class State:
    """Folded state in memory: what the SQL tables hold, as dictionaries.

    ``marks`` are the high-water marks of the record's time: (sequence, occurred_at) of each event after which all
    occurred earlier. The last is the newest event's; there are others only where a clock went back.
    """

    tables: dict[str, dict[tuple[str | int, ...], Row]] = field(
        default_factory=lambda: {row.TABLE: {} for row in ROWS}
    )
    marks: list[tuple[int, str]] = field(default_factory=list)

    def mark(self, sequence: int, occurred_at: str) -> None:
        """Note when the newest event occurred. Times compare as their texts do, as in a database: to the second."""
        while self.marks and self.marks[-1][1] <= occurred_at:
            self.marks.pop()
        self.marks.append((sequence, occurred_at))

    def put(self, row: Row) -> None:
        """Insert or replace a row."""
        self.tables[row.TABLE][row.key] = row
