"""The folded state, as rows: each class is one table (see `row`).

Rows of people, policies, data, features, models and of what is watched have a room each; `folded` has them all.
"""

from tidegate.domain.state.data import BatchRow, ErasedFileRow, ErasedSubjectRow, PushRow, WaiverRow
from tidegate.domain.state.features import (
    AccessRow,
    DriftRow,
    FeatureViewRow,
    ParityRow,
    ReadSegmentRow,
    StatisticsRow,
)
from tidegate.domain.state.folded import ROWS, State
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

__all__ = [
    "ROWS",
    "AccessRow",
    "ActorRow",
    "ApprovalRow",
    "BatchRow",
    "CanaryRow",
    "CredentialRow",
    "DelegationRow",
    "DriftRow",
    "ErasedFileRow",
    "ErasedSubjectRow",
    "ErasureRow",
    "FeatureViewRow",
    "IncidentRow",
    "ModelRow",
    "MonitorRow",
    "PacketRow",
    "ParityRow",
    "PolicyRow",
    "PromotionRow",
    "ProposalDecisionRow",
    "ProposalRow",
    "PushRow",
    "ReadSegmentRow",
    "ReviewRow",
    "Row",
    "RunRow",
    "ScoringRow",
    "State",
    "StatisticsRow",
    "TextRow",
    "TrainingSetRow",
    "VersionRow",
    "WaiverRow",
]
