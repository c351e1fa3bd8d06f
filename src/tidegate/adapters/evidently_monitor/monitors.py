"""Monitors: ``monitoring/MODEL.yaml`` over one period, with Evidently's drift report beside it.

What binds is measured by us (`_monitor_rows`), because it needs intervals over days. What Evidently says of
each column is information: its verdicts depend on the size of the sample.
"""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.evidently_monitor.declaration import SCORE, read_plan
from tidegate.adapters.evidently_monitor.report import drift_report, evidently_version
from tidegate.adapters.evidently_monitor.rows import binding_evidence, read_period, read_table
from tidegate.application.ports import Frame, ModelSpec, MonitorResult
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
        decisions: Path,
        reference: Path,
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
                row occurs twice. DependencyFailed: a file cannot be read.
        """
        plan = read_plan(self._folder / f"{model.name}.yaml", model)
        period = read_period(model, plan, decisions, outcomes.path, known_by)
        inputs = dict.fromkeys((*model.numeric, *model.categorical, SCORE, model.label))
        judged = read_table(reference, list(inputs), f"the reference of {model.name}")
        subject = f"decisions {sha256(decisions.read_bytes())}"
        evidence = binding_evidence(plan, period, _rate(judged, model.label), subject)
        drift, page = drift_report(plan, model, period, judged, evidence, known_by, name, subject)
        body = page.encode()
        digest = sha256(body)
        path = self._reports / f"{digest.removeprefix('sha256:')}.html"
        _write_whole(path, body)
        return MonitorResult(evidence=evidence, information=drift, report=path, report_digest=digest)


def _rate(reference: pa.Table, label: str) -> float:
    """Return the observed rate of the reference's labelled rows, NaN where it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rate = pc.mean(pc.cast(reference.column(label), pa.float64())).as_py()
    return float("nan") if rate is None else float(rate)


def _write_whole(path: Path, body: bytes) -> None:
    if path.exists() and path.read_bytes() == body:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
