"""Monitoring a scored period, on fakes: what is recorded, and when a person is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.monitor import monitor, to_monitor
from tidegate.application.ports import Frame, ModelSpec, MonitorResult, Segment
from tidegate.application.review import ReviewOutcome, decide_review
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Evidence, Verdict
from tidegate.domain.policy import Policy, ReviewRule
from tidegate.domain.state import MonitorRow, ReviewRow, VersionRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.entities import FakeEntities
from tidegate.testing.fakes.platform import FakePlatform, StatedEntities, StatedMonitors
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.looking import at, events
from tidegate.testing.material import FIRST_DAY, trips

NOW = datetime(2024, 2, 1, 6, tzinfo=UTC)


class Verdicts(StatedMonitors):
    """A monitor that finds what it is told to find."""

    tool = "told 1"

    def __init__(self, *verdicts: Verdict) -> None:
        super().__init__(Path("reports"))
        self.runs: list[Mapping[str, Any]] = []
        self._verdicts = verdicts

    def run(
        self,
        model: ModelSpec,
        decisions: Segment,
        reference: Frame,
        outcomes: Frame,
        known_by: datetime,
        name: str,
    ) -> MonitorResult:
        self.runs.append({"decisions": decisions, "reference": reference, "known_by": known_by, "name": name})
        self.meanwhile()
        evidence = tuple(
            Evidence(f"check_{number}", "decisions", verdict, f"got {verdict}", self.tool)
            for number, verdict in enumerate(self._verdicts)
        )
        drift = (Evidence("drift", "features", Verdict.FAILED, "weather always drifts", self.tool),)
        return MonitorResult(evidence, drift, Path("report.html"), "sha256:report")


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world in which version 1 has scored January."""
    platform = FakePlatform(tmp_path)
    platform.register(on_behalf_of="p-2")
    assert isinstance(platform.clock, FixedClock)
    platform.clock.moment = NOW
    platform.entities = StatedEntities(tmp_path / "entities")
    platform.monitors = Verdicts(Verdict.PASSED)
    platform.accept()
    platform.scored()
    return platform


def more_outcomes(world: FakePlatform, name: str) -> None:
    """Have labels come late, or be restated."""
    assert isinstance(world.entities, StatedEntities)
    world.entities.digest = name


def found(world: FakePlatform, *verdicts: Verdict) -> Verdicts:
    world.monitors = verdict = Verdicts(*verdicts)
    return verdict


def run(world: FakePlatform, who: str = "s-2", period: str = "2024-01") -> MonitorRow:
    return monitor(world, world.acting(who), MODEL, period)


def test_a_period_that_passes_is_recorded_and_asks_nobody(world: FakePlatform) -> None:
    row = run(world)
    assert (row.verdict, row.review, row.version) == ("passed", "", 1)
    assert world.ledger.state().select(ReviewRow) == ()


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.ERROR])
def test_a_verdict_the_policy_names_opens_a_review(world: FakePlatform, verdict: Verdict) -> None:
    found(world, Verdict.PASSED, verdict)
    row = run(world)
    (review,) = world.ledger.state().select(ReviewRow)
    assert row.review == review.id == "R-1"
    assert (review.status, review.role, review.version) == ("open", "reviewer", 1)
    assert review.cause == f"check_1 {verdict}: got {verdict}"
    assert review.due_at == "2024-02-08T06:00:00Z"


def test_the_review_is_caused_by_the_run_and_written_with_it(world: FakePlatform) -> None:
    found(world, Verdict.FAILED)
    run(world)
    ran, opened = events(world, EventType.MONITOR_RAN, EventType.REVIEW_OPENED)
    assert (ran.type, opened.type) == (EventType.MONITOR_RAN, EventType.REVIEW_OPENED)
    assert (opened.causation, opened.sequence) == (ran.sequence, ran.sequence + 1)


def test_one_bad_period_is_one_review_whatever_the_number_of_findings(world: FakePlatform) -> None:
    found(world, Verdict.FAILED, Verdict.FAILED, Verdict.ERROR)
    run(world)
    (review,) = world.ledger.state().select(ReviewRow)
    assert review.cause.count("; ") == 2


def test_drift_alone_is_information_and_opens_nothing(world: FakePlatform) -> None:
    row = run(world)
    assert row.evidence["information"][0]["verdict"] == "failed"
    assert row.review == ""


def test_a_monitor_without_binding_evidence_can_tell_nothing_and_asks(world: FakePlatform) -> None:
    found(world)
    row = run(world)
    assert (row.verdict, row.review) == ("inconclusive", "R-1")


def reviewing(*on: Verdict, days: int = 7, role: str = "reviewer") -> Policy:
    policy = a_policy("reviews")
    rule = ReviewRule(on, days, role)
    return replace(policy, review=rule, body=f"{on}{days}{role}", digest=f"sha256:{len(on)}{days}{role}")


def test_the_policy_says_what_opens_a_review_for_whom_and_for_how_long(world: FakePlatform) -> None:
    world.adopt(reviewing(Verdict.FAILED, days=2, role="operator"))
    found(world, Verdict.FAILED)
    run(world)
    (review,) = world.ledger.state().select(ReviewRow)
    assert (review.role, review.due_at) == ("operator", "2024-02-03T06:00:00Z")


def test_changing_the_policy_changes_the_outcome(world: FakePlatform) -> None:
    world.adopt(reviewing(Verdict.ERROR))
    found(world, Verdict.FAILED)
    assert (run(world).verdict, run(world).review) == ("failed", "")


def test_the_policy_in_force_when_it_is_recorded_decides(world: FakePlatform) -> None:
    told = found(world, Verdict.FAILED)
    told.meanwhile = lambda: world.adopt(reviewing(Verdict.ERROR))
    assert run(world).review == ""


def test_a_period_is_monitored_once(world: FakePlatform) -> None:
    told = found(world, Verdict.FAILED)
    first = run(world)
    before = len(list(world.ledger.events()))
    assert run(world) == first
    assert (len(list(world.ledger.events())), len(told.runs)) == (before, 1)


def test_two_runs_at_once_record_one_result_and_one_review(world: FakePlatform) -> None:
    told, nested = found(world, Verdict.FAILED), found(world, Verdict.ERROR)
    world.monitors = told

    def other_process() -> None:
        world.monitors = nested
        run(world)

    told.meanwhile = other_process
    row = run(world)
    assert row.verdict == "error"  # the first to be recorded counts
    assert len(events(world, EventType.MONITOR_RAN)) == 1
    assert len(world.ledger.state().select(ReviewRow)) == 1


def test_reviews_are_numbered_across_periods(world: FakePlatform) -> None:
    found(world, Verdict.FAILED)
    run(world)
    world.scored(period="2024-02")
    assert run(world, period="2024-02").review == "R-2"


def test_a_version_that_scored_the_period_anew_is_monitored_anew(world: FakePlatform) -> None:
    run(world)
    world.register(on_behalf_of="p-2")
    world.scored(version=2)
    assert run(world).version == 2
    assert len(world.ledger.state().select(MonitorRow)) == 2


def test_a_canary_s_decisions_are_never_monitored(world: FakePlatform) -> None:
    world.register(on_behalf_of="p-2")
    world.scored(version=2, stage="canary")
    assert run(world).version == 1
    world.scored(version=2, period="2024-02", stage="canary")
    with pytest.raises(Refused) as error:
        run(world, period="2024-02")
    assert error.value.code == "not-scored"


def test_labels_that_come_late_or_are_restated_are_looked_at_once_more(world: FakePlatform) -> None:
    told = found(world, Verdict.PASSED)
    assert run(world).outcomes == "tg1:outcomes"
    more_outcomes(world, "tg1:restated")
    found(world, Verdict.FAILED)
    row = run(world)
    assert (row.verdict, row.outcomes, row.review) == ("failed", "tg1:restated", "R-1")
    assert len(events(world, EventType.MONITOR_RAN)) == 2
    assert len(told.runs) == 1
    assert run(world) == row
    assert len(events(world, EventType.MONITOR_RAN)) == 2


class Heard(FakeEntities):
    """Trips of the window, one every twelve minutes; what came of each is known three hours later."""

    def _inside(
        self, model: ModelSpec, batches: object, window: tuple[datetime, datetime]
    ) -> list[dict[str, Any]]:
        return [row for row in trips() if window[0] <= row[model.entity_time] < window[1]]  # type: ignore[operator]


DAY_ONE, DAY = "2024-01-01", timedelta(days=1)


@pytest.fixture
def hearing(world: FakePlatform) -> FakePlatform:
    """Return a world in which outcomes of 1 January become known, at noon of that day."""
    world.entities = Heard(world.frames / "entities")
    (world.frames / "entities").mkdir()
    world.scored(period=DAY_ONE)
    at(world, FIRST_DAY + DAY / 2)
    return world


def test_labels_that_only_become_known_are_looked_at_once_more(hearing: FakePlatform) -> None:
    """The data are the same: what was not known at noon is the next day."""
    told = found(hearing, Verdict.INCONCLUSIVE)
    first = run(hearing, period=DAY_ONE)
    assert run(hearing, period=DAY_ONE) == first
    at(hearing, FIRST_DAY + DAY)
    found(hearing, Verdict.PASSED)
    second = run(hearing, period=DAY_ONE)
    assert (first.verdict, second.verdict) == ("inconclusive", "passed")
    assert first.outcomes != second.outcomes
    at(hearing, FIRST_DAY + 2 * DAY)
    third = run(hearing, period=DAY_ONE)
    at(hearing, FIRST_DAY + 3 * DAY)
    assert run(hearing, period=DAY_ONE) == third, "by then all were known"
    assert len(told.runs) == 1


def test_on_a_clock_that_went_back_what_was_known_stays_known(hearing: FakePlatform) -> None:
    at(hearing, FIRST_DAY + 2 * DAY)
    row = run(hearing, period=DAY_ONE)
    at(hearing, FIRST_DAY + DAY / 2)
    assert run(hearing, period=DAY_ONE) == row
    assert to_monitor(hearing, MODEL, NOW) == ("2024-01",)


def test_what_is_to_be_monitored_is_what_nobody_saw_and_what_changed_since(hearing: FakePlatform) -> None:
    assert to_monitor(hearing, MODEL, FIRST_DAY + DAY) == (DAY_ONE,), "January is not over"
    run(hearing, period=DAY_ONE)
    assert to_monitor(hearing, MODEL, NOW) == ("2024-01",)
    at(hearing, FIRST_DAY + DAY)
    assert to_monitor(hearing, MODEL, NOW) == ("2024-01", DAY_ONE)
    at(hearing, NOW)
    for period in ("2024-01", DAY_ONE):
        run(hearing, period=period)
    assert to_monitor(hearing, MODEL, NOW) == ()


def test_labels_of_an_old_period_that_come_late_are_found_without_being_asked_for(
    world: FakePlatform,
) -> None:
    world.scored(period="2023-11")
    for period in ("2023-11", "2024-01"):
        run(world, period=period)
    assert to_monitor(world, MODEL, NOW) == ()
    more_outcomes(world, "tg1:late")
    assert to_monitor(world, MODEL, NOW) == ("2023-11", "2024-01")
    run(world, period="2024-01")
    assert to_monitor(world, MODEL, NOW) == ("2023-11",)


def test_of_a_period_that_another_version_scored_anew_its_decisions_are_to_be_monitored(
    world: FakePlatform,
) -> None:
    run(world)
    world.register(on_behalf_of="p-2")
    world.scored(version=2, stage="canary")
    assert to_monitor(world, MODEL, NOW) == ()
    world.scored(version=2, period="2023-12")
    assert to_monitor(world, MODEL, NOW) == ("2023-12",)


def test_where_the_month_before_was_not_scored_and_nothing_else_is_to_be_done_that_is_said(
    world: FakePlatform,
) -> None:
    run(world)
    with pytest.raises(Refused) as error:
        to_monitor(world, MODEL, datetime(2024, 3, 4, tzinfo=UTC))
    assert (error.value.code, error.value.sentence) == (
        "not-scored",
        f"got no decisions of `{MODEL}` in 2024-02, expected some",
    )
    more_outcomes(world, "tg1:late")
    assert to_monitor(world, MODEL, datetime(2024, 3, 4, tzinfo=UTC)) == ("2024-01",)


def test_decisions_that_a_later_declaration_does_not_fit_keep_what_was_found_of_them(
    world: FakePlatform,
) -> None:
    """They cannot be scored again: as a failure it would come back with every run, and nothing could end it."""
    told = found(world, Verdict.PASSED)

    def unfit() -> None:
        raise BadInput(
            "monitor-columns", "got decisions without wind, expected load, stops, wind", "score again"
        )

    told.meanwhile = unfit
    with pytest.raises(BadInput):
        run(world)
    told.meanwhile = lambda: None
    row = run(world)
    more_outcomes(world, "tg1:restated")
    told.meanwhile = unfit
    with pytest.raises(Refused) as error:
        run(world)
    assert error.value.code == "no-longer-monitored"
    assert error.value.sentence.endswith(
        "is not again: got decisions without wind, expected load, stops, wind"
    )
    assert world.ledger.state().select(MonitorRow) == (row,)


def test_what_a_person_is_to_look_at_already_is_not_asked_twice(world: FakePlatform) -> None:
    found(world, Verdict.FAILED)
    run(world)
    more_outcomes(world, "tg1:restated")
    run(world)
    assert len(world.ledger.state().select(ReviewRow)) == 1
    decide_review(world, world.acting("p-6"), "R-1", ReviewOutcome.BENIGN, "A holiday week.")
    more_outcomes(world, "tg1:restated-again")
    assert run(world).review == "R-2"  # that was decided on what was known then


def test_the_monitor_is_told_which_decisions_and_which_reference(world: FakePlatform) -> None:
    told = found(world, Verdict.PASSED)
    run(world)
    (seen,) = told.runs
    file = world.frames / "scores" / "2024-01-1.parquet"
    assert seen["decisions"] == Segment("sha256:2024-01-1", file, 1000)
    version = world.ledger.state().get(VersionRow, MODEL, 1)
    assert version is not None
    assert seen["reference"] == world.trainer.reference(version.artifact, version.facts["reference"])
    assert seen["reference"].digest == version.facts["reference"]
    assert "reference" not in version.links
    assert (seen["known_by"], seen["name"]) == (NOW, f"{MODEL}-2024-01-v1")


def test_a_version_whose_reference_rows_are_gone_is_not_monitored(world: FakePlatform) -> None:
    version = world.ledger.state().get(VersionRow, MODEL, 1)
    assert version is not None
    world.trainer.reference(version.artifact, version.facts["reference"]).path.unlink()
    with pytest.raises(DependencyFailed) as error:
        run(world)
    assert error.value.code == "frame-unreadable"
    assert events(world, EventType.MONITOR_RAN) == []


def test_a_period_that_was_not_scored_is_refused(world: FakePlatform) -> None:
    with pytest.raises(Refused) as error:
        run(world, period="2024-03")
    assert (error.value.code, error.value.hint) == ("not-scored", "score the period first")


def test_an_unknown_model_is_bad_input(world: FakePlatform) -> None:
    with pytest.raises(BadInput, match="got the model"):
        monitor(world, world.acting("s-2"), "other", "2024-01")


@pytest.mark.parametrize("name", ["p-6", "s-1"])
def test_who_may_not_monitor_is_refused_and_the_refusal_recorded(world: FakePlatform, name: str) -> None:
    with pytest.raises(Refused, match="A1"):
        run(world, name)
    (event,) = events(world, EventType.ACTION_REFUSED)
    assert event.actor == name


def test_a_monitor_that_fails_writes_nothing_and_can_run_again(world: FakePlatform) -> None:
    told = found(world, Verdict.FAILED)

    def broken() -> None:
        raise DependencyFailed("monitor-failed", "got no report, expected one")

    told.meanwhile = broken
    with pytest.raises(DependencyFailed):
        run(world)
    assert events(world, EventType.MONITOR_RAN) == []
    told.meanwhile = lambda: None
    assert run(world).review == "R-1"
