"""The doors to the outside, as protocols. Each has one contract suite in ``tidegate.testing``.

Tables cross a port only as `Table` (a pyarrow table in every real adapter): the application counts its
rows and passes it on, it never looks inside.
"""

from tidegate.application.ports.data import Batches, Contracts, DataGate, Segment, Table
from tidegate.application.ports.machine import Clock, Entropy, Signer, Verifier
from tidegate.application.ports.models import (
    Entities,
    Features,
    Frame,
    Models,
    ModelSpec,
    Registered,
    Registry,
    Scorer,
    Trained,
    Trainer,
    Windows,
)
from tidegate.application.ports.record import Ledger, StateReader, Transaction
from tidegate.application.ports.running import Schedules, Turns
from tidegate.application.ports.watching import Comparison, Expressions, MonitorResult, Monitors, Policies

__all__ = [
    "Batches",
    "Clock",
    "Comparison",
    "Contracts",
    "DataGate",
    "Entities",
    "Entropy",
    "Expressions",
    "Features",
    "Frame",
    "Ledger",
    "ModelSpec",
    "Models",
    "MonitorResult",
    "Monitors",
    "Policies",
    "Registered",
    "Registry",
    "Schedules",
    "Scorer",
    "Segment",
    "Signer",
    "StateReader",
    "Table",
    "Trained",
    "Trainer",
    "Transaction",
    "Turns",
    "Verifier",
    "Windows",
]
