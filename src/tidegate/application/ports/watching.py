"""Monitoring and policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from tidegate.application.ports.data import Segment
from tidegate.application.ports.models import Frame, ModelSpec
from tidegate.domain.evidence import Evidence, Verdict, worst
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


class Policies(Protocol):
    """Policy files."""

    def load(self) -> Policy:
        """Read the policy on disk.

        Raises:
            BadInput: it breaks the format, an expression does not compile, or a policy test fails;
                all faults at once, each with its line.
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
