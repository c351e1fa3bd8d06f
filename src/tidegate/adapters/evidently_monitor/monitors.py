"""Monitors: ``monitoring/MODEL.yaml`` over one period, with Evidently's drift report beside it.

What binds is measured by us (`binding`), because it needs intervals over days. What Evidently says of
each column is information: its verdicts depend on the size of the sample.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.adapters.evidently_monitor.binding import binding_evidence, performance
from tidegate.adapters.evidently_monitor.compare import compare
from tidegate.adapters.evidently_monitor.declaration import SCORE, read_plan
from tidegate.adapters.evidently_monitor.feature_limits import read_limits
from tidegate.adapters.evidently_monitor.report import drift_report, evidently_version
from tidegate.adapters.evidently_monitor.rows import chosen, numbers, read_period
from tidegate.adapters.shared.files import write_whole
from tidegate.adapters.shared.frames import read_frame
from tidegate.application.ports import Comparison, Frame, ModelSpec, MonitorResult, Segment
from tidegate.domain.canonical import sha256
from tidegate.domain.feature_drift import Limits

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
        subject = f"decisions {period.digest}"
        evidence = binding_evidence(plan, period, _rate(judged, model.label), subject)
        beside = performance(plan, period, subject)
        drift, page = drift_report(plan, model, period, judged, (evidence, beside), known_by, name, subject)
        body = page.encode()
        digest = sha256(body)
        path = write_whole(self._reports / f"{digest.removeprefix('sha256:')}.html", body)
        return MonitorResult(evidence, (*beside, *drift), report=path, report_digest=digest)

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
        """Compare a candidate's decisions with the live version's, or with one value said of every row.

        A day begins where the monitor's file says; seed and resamples are those of the model's evaluation.

        Raises:
            BadInput: the monitor's file breaks the format, a column is missing, a row occurs twice, a score is
                not what the model predicts, or the two did not score the same rows.
            DependencyFailed: a file cannot be read, or no longer has its digest or root.
        """
        plan = read_plan(self._folder / f"{model.name}.yaml", model)
        return compare(model, plan, candidate, baseline, outcomes, known_by, within=within)

    def limits(self, view: str) -> Limits:
        """Return what ``features/VIEW.yaml`` of the folder allows of a view's features.

        Raises:
            BadInput: there is no such file, or it breaks the format (all faults at once).
        """
        return read_limits(self._folder / "features" / f"{view}.yaml", view)


def _rate(reference: pa.Table, label: str) -> float:
    """Return the mean label of the reference's labelled rows, NaN where it has none."""
    import numpy as np

    labels = numbers(reference, label)
    known = ~np.isnan(labels)
    return float(labels[known].mean()) if known.any() else float("nan")
