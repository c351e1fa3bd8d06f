"""A monitor that counts labels, and compares means row by row without any library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tidegate.application.ports import Comparison, Frame, ModelSpec, MonitorResult, Segment
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import LOSSES, Evidence, Measure, Verdict
from tidegate.domain.feature_drift import Limits
from tidegate.testing.fakes.trainer import loss


class FakeMonitors:
    """Passes where at least ``enough`` labels are known, and is inconclusive below."""

    tool = "fake 1"

    def __init__(self, home: Path, enough: int = 1, allowed: Mapping[str, Limits] | None = None) -> None:
        self._home, self._enough, self._allowed = home, enough, allowed or {}

    def run(
        self,
        model: ModelSpec,
        decisions: Segment,
        reference: Frame,
        outcomes: Frame,
        known_by: datetime,
        name: str,
    ) -> MonitorResult:
        from tidegate.adapters.shared.frames import read_frame

        _scores(model, decisions)
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
        """Compare means; an interval is the value itself."""
        from tidegate.adapters.shared.frames import read_frame

        scores = _scores(model, candidate)
        always = (
            _scores(model, baseline) if isinstance(baseline, Segment) else dict.fromkeys(scores, baseline)
        )
        if within:
            scores = {key: said for key, said in scores.items() if key in always}
        if set(scores) != set(always):
            raise BadInput("not-the-same-rows", "got decisions of different rows, expected the same of both")
        rows = read_frame(outcomes, "outcomes").to_pylist()
        if rows and (missing := {model.label, model.label_time} - set(rows[0])):
            raise BadInput("monitor-columns", f"got outcomes without {sorted(missing)}, expected them")
        labels = {
            _key(model, row): float(row[model.label])
            for row in rows
            if row[model.label] is not None and row[model.label_time] <= known_by
        }
        known = [key for key in scores if key in labels]

        def mean(values: Sequence[float]) -> Measure | None:
            value = sum(values) / len(values) if values else 0.0
            return Measure(value, len(values), value, value, "fake") if values else None

        ours = [loss(model, labels[key], scores[key]) for key in known]
        theirs = [loss(model, labels[key], always[key]) for key in known]
        return Comparison(
            rows=len(scores),
            labelled=len(known),
            days=len({key[0].date() for key in known}),
            loss=LOSSES[model.prediction],
            gain=mean([there - here for here, there in zip(ours, theirs, strict=True)]),
            candidate_loss=mean(ours),
            baseline_loss=mean(theirs),
            calibration_gap=mean([scores[key] - labels[key] for key in known]),
        )

    def limits(self, view: str) -> Limits:
        """Return what the test allows of a view."""
        if view not in self._allowed:
            raise BadInput("feature-limits", f"got no limits for {view}, expected some", "")
        return self._allowed[view]


def _scores(model: ModelSpec, decisions: Segment) -> dict[tuple[Any, ...], float]:
    """Return verified decisions by entity time and keys."""
    from tidegate.adapters.shared.decisions import verify_decisions
    from tidegate.adapters.shared.frames import read_parquet

    table = read_parquet(decisions.path, "decisions")
    verify_decisions(table, decisions, model)
    return {_key(model, row): row["score"] for row in table.to_pylist()}


def _key(model: ModelSpec, row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in (model.entity_time, *model.keys))
