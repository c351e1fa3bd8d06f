"""Monitoring and policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from tidegate.application.ports.models import Frame, ModelSpec
from tidegate.application.ports.rows import Segment
from tidegate.domain.evidence import Evidence, Measure, Verdict, worst
from tidegate.domain.feature_drift import Limits
from tidegate.domain.policy import Policy


@dataclass(frozen=True)
class MonitorResult:
    """What a monitor saw in one period: binding evidence, and drift that is only information."""

    evidence: tuple[Evidence, ...]
    information: tuple[Evidence, ...]
    report: Path
    report_digest: str

    @property
    def verdict(self) -> Verdict:
        """Return the worst verdict of the binding evidence."""
        return worst(evidence.verdict for evidence in self.evidence)


@dataclass(frozen=True)
class Comparison:
    """Two sets of decisions on the same rows against what came of them.

    ``rows`` were scored by the candidate, ``labelled`` of them have an outcome that was known, on ``days``
    distinct days. Measures have 95 % intervals over whole days and are None while nothing is labelled.
    ``gain`` is how much lower the candidate's loss is (positive is better), paired row by row; ``loss`` names it.
    """

    rows: int
    labelled: int
    days: int
    loss: str
    gain: Measure | None
    candidate_loss: Measure | None
    baseline_loss: Measure | None
    calibration_gap: Measure | None


class Monitors(Protocol):
    """Compares a period of decisions and their outcomes with the reference a version was judged on."""

    @property
    def tool(self) -> str: ...

    def run(
        self,
        model: ModelSpec,
        decisions: Segment,
        reference: Frame,
        outcomes: Frame,
        known_by: datetime,
        name: str,
    ) -> MonitorResult:
        """Run ``monitoring/MODEL.yaml`` on one period.

        Raises:
            BadInput: the monitor's file breaks the format, or a column is missing.
            DependencyFailed: decisions, reference or outcomes are gone, or no longer have their root or digest.
        """
        ...

    def compare(
        self,
        model: ModelSpec,
        candidate: Segment,
        baseline: Segment | float,
        outcomes: Frame,
        known_by: datetime,
        *,
        within: bool = False,
    ) -> Comparison:
        """Compare a candidate's decisions with the live version's on the same rows, once outcomes are known.

        ``baseline`` is the live version's segment, or the one value that a fallback says of every row. Rows are
        matched by entity time and keys; an outcome counts if its label was known by ``known_by``. With ``within``
        the live version decided some of the rows only, and these are compared.

        Raises:
            BadInput: a column is missing, or the two did not score the same rows.
            DependencyFailed: decisions or outcomes are gone, or no longer have their root or digest.
        """
        ...

    def limits(self, view: str) -> Limits:
        """Return what ``monitoring/features/VIEW.yaml`` allows of a view's features.

        Raises:
            BadInput: there is no such file, or it breaks the format; all faults at once, each with its line.
        """
        ...


class Policies(Protocol):
    """Policy files."""

    def load(self) -> Policy:
        """Read the policy on disk.

        Raises:
            BadInput: it breaks the format, an expression does not compile, or a policy test fails;
                all faults at once, each with its line.
        """
        ...

    def read(self, path: Path) -> Policy:
        """Read a policy that lies elsewhere.

        Raises:
            BadInput: as `load`, or there is no such file.
        """
        ...

    def parse(self, body: str) -> Policy:
        """Read a policy back from the body that the ledger keeps."""
        ...


@runtime_checkable
class Expressions(Protocol):
    """Evaluates the policy's expressions over facts."""

    def holds(self, expression: str, facts: Mapping[str, object]) -> bool:
        """Return what a boolean expression says.

        Raises:
            BadInput: it does not compile, fails on these facts, or yields anything but a boolean.
        """
        ...
