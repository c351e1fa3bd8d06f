"""What everybody may expect of `ports.Monitors`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from tidegate.application.ports import Frame, ModelSpec, MonitorResult, Monitors, Segment
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.evidence import Verdict, worst
from tidegate.testing.material import altered


@dataclass(frozen=True)
class MonitorCase:
    """One sound period: all labels are known by ``known_by``, none of them a year earlier."""

    model: ModelSpec
    decisions: Segment
    reference: Frame
    outcomes: Frame
    known_by: datetime

    def run(self, subject: Monitors, known_by: datetime | None = None) -> MonitorResult:
        moment = known_by or self.known_by
        return subject.run(self.model, self.decisions, self.reference, self.outcomes, moment, "a month")


class MonitorsContract:
    """Subclass it, give it a ``subject`` and a ``case``, and it runs."""

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

    def test_it_says_who_measured(self, subject: Monitors) -> None:
        assert any(character.isdigit() for character in subject.tool)
