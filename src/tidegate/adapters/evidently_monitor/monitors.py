"""Monitors: ``monitoring/MODEL.yaml`` over one period, with Evidently's drift report beside it.

What binds is measured by us (`_monitor_rows`), because it needs intervals over days. What Evidently says of
each column is information: its verdicts depend on the size of the sample.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.evidently_monitor.declaration import SCORE, read_plan
from tidegate.adapters.evidently_monitor.report import drift_report, evidently_version
from tidegate.adapters.evidently_monitor.rows import binding_evidence, chosen, read_period
from tidegate.adapters.shared.files import write_whole
from tidegate.adapters.shared.frames import read_frame
from tidegate.application.ports import Frame, ModelSpec, MonitorResult, Segment
from tidegate.domain.canonical import sha256

if TYPE_CHECKING:
    import pyarrow as pa


class EvidentlyMonitors:
    """The monitors in ``folder``; reports are written to ``home/reports``, named by their digest."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder, self._reports = folder, home / "reports"

    @property
    def tool(self) -> str:
        """Return who measures, with its version."""
        return f"evidently {evidently_version()}"

    def run(
        self,
        model: ModelSpec,
        decisions: Segment,
        reference: Frame,
        outcomes: Frame,
        known_by: datetime,
        name: str,
    ) -> MonitorResult:
        """Run the model's monitor on one period.

        ``decisions`` has the entity time, keys, inputs and ``score``; ``reference`` the same and the label;
        ``outcomes`` the entity time, keys, label and label time. The report's digest is the SHA-256 of its
        file: the same period gives the same bytes.

        Raises:
            BadInput: the monitor's file breaks the format (all faults at once), a column is missing, or a
                row occurs twice. DependencyFailed: a file cannot be read, or no longer has its digest or root.
        """
        plan = read_plan(self._folder / f"{model.name}.yaml", model)
        period = read_period(model, plan, decisions, outcomes, known_by)
        inputs = dict.fromkeys((*model.numeric, *model.categorical, SCORE, model.label))
        what = f"the reference rows of {model.name}"
        judged = chosen(read_frame(reference, what, "restore it from a backup"), list(inputs), what)
        subject = f"decisions {sha256(decisions.path.read_bytes())}"
        evidence = binding_evidence(plan, period, _rate(judged, model.label), subject)
        drift, page = drift_report(plan, model, period, judged, evidence, known_by, name, subject)
        body = page.encode()
        digest = sha256(body)
        path = write_whole(self._reports / f"{digest.removeprefix('sha256:')}.html", body)
        return MonitorResult(evidence=evidence, information=drift, report=path, report_digest=digest)


def _rate(reference: pa.Table, label: str) -> float:
    """Return the observed rate of the reference's labelled rows, NaN where it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rate = pc.mean(pc.cast(reference.column(label), pa.float64())).as_py()
    return float("nan") if rate is None else float(rate)
