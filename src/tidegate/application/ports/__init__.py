"""The doors to the outside, as protocols. Each has one contract suite in ``tidegate.testing``.

Tables cross a port only as `Table` (a pyarrow table in every real adapter): the application counts its
rows and passes it on, it never looks inside.
"""

from tidegate.application.ports.data import (
    EXPORTED,
    Amended,
    Batches,
    Contents,
    Contracts,
    DataGate,
    Kept,
    Mended,
)
from tidegate.application.ports.features import (
    Answer,
    Features,
    Materialized,
    OnlineWindow,
    Pushed,
    Pushes,
)
from tidegate.application.ports.keeping import Copies, Thinned, Whose
from tidegate.application.ports.machine import Clock, Entropy, Signer, Verifier
from tidegate.application.ports.models import (
    Difference,
    Entities,
    Frame,
    Gains,
    Marking,
    Marks,
    Models,
    ModelSpec,
    Part,
    Registered,
    Registry,
    Scorer,
    Trained,
    Trainer,
    Untested,
    Windows,
)
from tidegate.application.ports.outbox import Sink
from tidegate.application.ports.reading import Pending, ReadLog
from tidegate.application.ports.record import Delivery, Ledger, Lockbox, Notes, StateReader, Transaction
from tidegate.application.ports.rows import Segment, Table
from tidegate.application.ports.running import Schedules, Turns
from tidegate.application.ports.watching import Comparison, Expressions, MonitorResult, Monitors, Policies

__all__ = [
    "EXPORTED",
    "Amended",
    "Answer",
    "Batches",
    "Clock",
    "Comparison",
    "Contents",
    "Contracts",
    "Copies",
    "DataGate",
    "Delivery",
    "Difference",
    "Entities",
    "Entropy",
    "Expressions",
    "Features",
    "Frame",
    "Gains",
    "Kept",
    "Ledger",
    "Lockbox",
    "Marking",
    "Marks",
    "Materialized",
    "Mended",
    "ModelSpec",
    "Models",
    "MonitorResult",
    "Monitors",
    "Notes",
    "OnlineWindow",
    "Part",
    "Pending",
    "Policies",
    "Pushed",
    "Pushes",
    "ReadLog",
    "Registered",
    "Registry",
    "Schedules",
    "Scorer",
    "Segment",
    "Signer",
    "Sink",
    "StateReader",
    "Table",
    "Thinned",
    "Trained",
    "Trainer",
    "Transaction",
    "Turns",
    "Untested",
    "Verifier",
    "Whose",
    "Windows",
]
