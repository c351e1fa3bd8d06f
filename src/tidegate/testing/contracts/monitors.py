"""What everybody may expect of `ports.Monitors`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.ports import Comparison, Frame, ModelSpec, MonitorResult, Monitors, Segment
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.evidence import LOSSES, Verdict, worst
from tidegate.testing.material import LABELS, altered, write_decisions


@dataclass(frozen=True)
class MonitorCase:
    """One sound period: all labels are known by ``known_by``, none of them a year earlier.

    ``worse`` holds the decisions of another version on the same rows, each farther from what came of it.
    """

    model: ModelSpec
    decisions: Segment
    worse: Segment
    reference: Frame
    outcomes: Frame
    known_by: datetime

    def run(self, subject: Monitors, known_by: datetime | None = None) -> MonitorResult:
        moment = known_by or self.known_by
        return subject.run(self.model, self.decisions, self.reference, self.outcomes, moment, "a month")

    def compare(
        self,
        subject: Monitors,
        candidate: Segment,
        baseline: Segment | float,
        known_by: datetime | None = None,
        **how: bool,
    ) -> Comparison:
        return subject.compare(
            self.model, candidate, baseline, self.outcomes, known_by or self.known_by, **how
        )


class MonitorsContract:
    """Subclass it, give it a ``subject`` and a ``case``, and it runs.

    Everything is asked twice: of a model that predicts a probability, and of one that predicts a number.
    """

    @pytest.fixture(params=tuple(LABELS))
    def prediction(self, request: pytest.FixtureRequest) -> str:
        """Return what the model predicts."""
        return str(request.param)

    @pytest.fixture
    def subject(self) -> Monitors:
        raise NotImplementedError

    @pytest.fixture
    def case(self) -> MonitorCase:
        raise NotImplementedError

    def test_a_sound_period_passes(self, subject: Monitors, case: MonitorCase) -> None:
        result = case.run(subject)
        assert [(each.kind, each.verdict, each.sentence) for each in result.evidence if
                each.verdict is not Verdict.PASSED] == []  # fmt: skip
        assert result.verdict is Verdict.PASSED

    def test_the_verdict_is_the_worst_of_what_binds(self, subject: Monitors, case: MonitorCase) -> None:
        result = case.run(subject)
        assert result.verdict is worst(each.verdict for each in result.evidence)

    def test_the_report_is_a_file_named_by_its_digest(self, subject: Monitors, case: MonitorCase) -> None:
        result = case.run(subject)
        assert sha256(result.report.read_bytes()) == result.report_digest
        assert result.report_digest.removeprefix("sha256:") in result.report.name

    def test_the_same_period_gives_the_same_result(self, subject: Monitors, case: MonitorCase) -> None:
        assert case.run(subject) == case.run(subject)

    def test_evidence_names_the_decisions_by_content(self, subject: Monitors, case: MonitorCase) -> None:
        result = case.run(subject)
        named = f"decisions {sha256(case.decisions.path.read_bytes())}"
        assert {each.subject for each in (*result.evidence, *result.information)} == {named}

    def test_a_label_that_was_not_known_yet_does_not_count(
        self, subject: Monitors, case: MonitorCase
    ) -> None:
        result = case.run(subject, case.known_by - timedelta(days=365))
        assert result.verdict is not Verdict.PASSED

    def test_a_period_is_never_measured_against_altered_reference_rows(
        self, subject: Monitors, case: MonitorCase
    ) -> None:
        found = altered(case.reference.path, "score", 3)
        with pytest.raises(DependencyFailed) as failure:
            case.run(subject)
        assert failure.value.code == "frame-altered"
        assert "the reference rows" in failure.value.sentence
        assert failure.value.sentence.endswith(f"with the content {found}, expected {case.reference.digest}")

    def test_altered_outcomes_are_never_measured(self, subject: Monitors, case: MonitorCase) -> None:
        found = altered(case.outcomes.path, "trip", 3)
        with pytest.raises(DependencyFailed) as failure:
            case.run(subject)
        assert failure.value.code == "frame-altered"
        assert failure.value.sentence.endswith(f"with the content {found}, expected {case.outcomes.digest}")

    def test_decisions_that_were_altered_since_they_were_made_are_never_measured(
        self, subject: Monitors, case: MonitorCase
    ) -> None:
        altered(case.decisions.path, "score", 3)
        with pytest.raises(DependencyFailed) as failure:
            case.run(subject)
        assert failure.value.code == "decisions-altered"
        assert failure.value.sentence.endswith(
            f"expected {case.decisions.records} with {case.decisions.root}"
        )

    def test_a_version_gains_nothing_over_itself(self, subject: Monitors, case: MonitorCase) -> None:
        found = case.compare(subject, case.decisions, case.decisions)
        assert found.gain is not None
        assert found.gain.value == found.gain.low == found.gain.high == 0
        assert found.candidate_loss == found.baseline_loss

    def test_a_gain_is_the_difference_of_losses_and_its_sign_says_who_is_better(
        self, subject: Monitors, case: MonitorCase
    ) -> None:
        ahead = case.compare(subject, case.decisions, case.worse)
        behind = case.compare(subject, case.worse, case.decisions)
        assert (ahead.rows, ahead.labelled, ahead.days) == (behind.rows, behind.labelled, behind.days)
        assert ahead.rows == case.decisions.records > ahead.labelled > 0
        assert ahead.loss == LOSSES[case.model.prediction]
        assert ahead.gain is not None
        assert behind.gain is not None
        assert ahead.candidate_loss is not None
        assert ahead.baseline_loss is not None
        assert ahead.gain.low is not None
        assert ahead.gain.low > 0
        assert ahead.gain.n == ahead.labelled
        assert ahead.gain.value == pytest.approx(ahead.baseline_loss.value - ahead.candidate_loss.value)
        assert behind.gain.value == pytest.approx(-ahead.gain.value)
        assert behind.gain.high == pytest.approx(-ahead.gain.low)
        assert behind.candidate_loss == ahead.baseline_loss

    def test_a_fallback_is_one_value_said_of_every_row(
        self, subject: Monitors, case: MonitorCase, tmp_path: Path
    ) -> None:
        same = [{**row, "score": 0.25} for row in _rows_of(case.decisions)]
        constant = write_decisions(same, tmp_path / "constant.parquet", case.model)
        found = case.compare(subject, case.decisions, 0.25)
        assert found == case.compare(subject, case.decisions, constant)
        assert found.calibration_gap is not None
        assert found.calibration_gap.n == found.labelled

    def test_the_order_of_either_s_rows_changes_nothing(
        self, subject: Monitors, case: MonitorCase, tmp_path: Path
    ) -> None:
        turned = write_decisions(
            list(reversed(_rows_of(case.worse))), tmp_path / "turned.parquet", case.model
        )
        found, again = (case.compare(subject, case.decisions, each) for each in (case.worse, turned))
        assert found.gain is not None
        assert again.gain is not None
        assert again.gain.value == pytest.approx(found.gain.value)

    def test_while_no_outcome_is_known_there_is_nothing_to_compare(
        self, subject: Monitors, case: MonitorCase
    ) -> None:
        early = case.known_by - timedelta(days=365)
        found = case.compare(subject, case.decisions, case.worse, early)
        assert (found.rows, found.labelled, found.days) == (case.decisions.records, 0, 0)
        assert found.gain is found.candidate_loss is found.baseline_loss is found.calibration_gap is None

    def test_only_what_was_known_by_the_moment_counts(self, subject: Monitors, case: MonitorCase) -> None:
        whole = case.compare(subject, case.decisions, case.worse)
        half = case.compare(subject, case.decisions, case.worse, case.known_by - timedelta(days=16))
        assert 0 < half.labelled < whole.labelled
        assert half.rows == whole.rows
        assert 0 < half.days < whole.days

    def test_a_live_version_that_decides_a_share_is_compared_on_its_rows(
        self, subject: Monitors, case: MonitorCase, tmp_path: Path
    ) -> None:
        some = write_decisions(_rows_of(case.worse)[::2], tmp_path / "some.parquet", case.model)
        found = case.compare(subject, case.decisions, some, within=True)
        same = write_decisions(_rows_of(case.decisions)[::2], tmp_path / "same.parquet", case.model)
        assert found == case.compare(subject, same, some)
        assert found.rows == some.records < case.decisions.records
        with pytest.raises(BadInput, match="expected the same"):
            case.compare(subject, same, case.worse, within=True)  # the live version decided more

    def test_versions_that_did_not_score_the_same_rows_are_not_compared(
        self, subject: Monitors, case: MonitorCase, tmp_path: Path
    ) -> None:
        fewer = write_decisions(_rows_of(case.worse)[1:], tmp_path / "fewer.parquet", case.model)
        for candidate, baseline in ((case.decisions, fewer), (fewer, case.decisions)):
            with pytest.raises(BadInput) as refusal:
                case.compare(subject, candidate, baseline)
            assert refusal.value.code == "not-the-same-rows"

    @pytest.mark.parametrize("whose", ["decisions", "worse"])
    def test_altered_decisions_are_never_compared(
        self, subject: Monitors, case: MonitorCase, whose: str
    ) -> None:
        altered(getattr(case, whose).path, "score", 3)
        with pytest.raises(DependencyFailed) as failure:
            case.compare(subject, case.decisions, case.worse)
        assert failure.value.code == "decisions-altered"

    def test_nothing_is_compared_by_altered_outcomes(self, subject: Monitors, case: MonitorCase) -> None:
        altered(case.outcomes.path, "trip", 3)
        with pytest.raises(DependencyFailed) as failure:
            case.compare(subject, case.decisions, case.worse)
        assert failure.value.code == "frame-altered"

    def test_a_view_that_nobody_limited_has_no_limits(self, subject: Monitors) -> None:
        with pytest.raises(BadInput) as refused:
            subject.limits("nothing")
        assert refused.value.code == "feature-limits"

    def test_it_says_who_measured(self, subject: Monitors) -> None:
        assert any(character.isdigit() for character in subject.tool)


def _rows_of(decisions: Segment) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(decisions.path, partitioning=None).to_pylist()
    return rows
