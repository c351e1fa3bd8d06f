"""A monitor that counts labels and nothing else."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tidegate.application.ports import Frame, ModelSpec, MonitorResult, Segment
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.evidence import Evidence, Measure, Verdict


class FakeMonitors:
    """Passes where at least ``enough`` labels are known, and is inconclusive below."""

    tool = "fake 1"

    def __init__(self, home: Path, enough: int = 1) -> None:
        self._home, self._enough = home, enough

    def run(
        self,
        model: ModelSpec,
        decisions: Segment,
        reference: Frame,
        outcomes: Frame,
        known_by: datetime,
        name: str,
    ) -> MonitorResult:
        from tidegate.adapters.shared.decisions import verify_decisions
        from tidegate.adapters.shared.frames import read_frame, read_parquet

        verify_decisions(read_parquet(decisions.path, "decisions"), decisions, model)
        read_frame(reference, "the reference rows")
        rows = read_frame(outcomes, "outcomes").to_pylist()
        known = sum(row[model.label] is not None and row[model.label_time] <= known_by for row in rows)
        verdict = Verdict.PASSED if known >= self._enough else Verdict.INCONCLUSIVE
        sentence = f"got {known} labels, expected at least {self._enough}"
        subject = f"decisions {sha256(decisions.path.read_bytes())}"
        labels = {"labels": Measure(known, len(rows), method="count")}
        evidence = Evidence("labels", subject, verdict, sentence, self.tool, labels)
        body = canonical({"name": name, "evidence": evidence.as_dict()})
        digest = sha256(body)
        self._home.mkdir(parents=True, exist_ok=True)
        report = self._home / f"{digest.removeprefix('sha256:')}.json"
        report.write_bytes(body)
        return MonitorResult((evidence,), (), report, digest)
