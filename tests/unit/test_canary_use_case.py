"""A canary's analysis, on fakes: it waits for labels, asks, takes back, and does each of these once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application import canary
from tidegate.application.canary import Step, analyse
from tidegate.application.lawfulness import unlawful
from tidegate.application.lower import lower
from tidegate.application.packet import gather
from tidegate.application.ports import Frame, ModelSpec, Segment
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.application.standing import lifecycle
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import Measure, Verdict
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import CanaryRow, PromotionRow, ReviewRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.platform import FakePlatform, StatedEntities, StatedMonitors
from tidegate.testing.fakes.small import FixedClock
from tidegate.testing.looking import stage, writes

WELL = "Evidence looks sound to me."
APRIL, MAY = "2024-04", "2024-05"


def opened(home: Path, standard: int = 1) -> FakePlatform:
    """Return a world with one accepted batch, whose gate into prod demands that the canary held."""
    world = FakePlatform(home, a_policy(standard=standard, canary=True))
    world.entities = StatedEntities(home / "entities")
    world.accept()
    return world


@pytest.fixture
def first(tmp_path: Path) -> FakePlatform:
    """Return a world whose first version stands in canary, asked there by p-2, and has scored April."""
    world = opened(tmp_path)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1)
    world.scored(1, APRIL, "canary")
    return world


@pytest.fixture
def world(first: FakePlatform) -> FakePlatform:
    """Return the world a month later: version 1 is live, version 2 stands in canary, both have scored May."""
    told(first).states(0.01, 0.005, 0.015)
    run(first)
    resolve(first, first.acting("p-3"), MODEL, 1, Action.APPROVE, WELL)
    assert stage(first, 1) == "prod"
    first.register(on_behalf_of="p-2")
    climb(first, first.acting("p-2"), MODEL, 2)
    first.scored(1, MAY, "prod")
    first.scored(2, MAY, "canary")
    first.monitors = StatedMonitors(first.frames / "reports")
    return first


def told(world: FakePlatform) -> StatedMonitors:
    assert isinstance(world.monitors, StatedMonitors)
    return world.monitors


def run(world: FakePlatform, who: str = "s-4") -> tuple[Step, ...]:
    return analyse(world, world.acting(who), MODEL)


def open_request(world: FakePlatform) -> PromotionRow:
    (row,) = world.ledger.state().select(PromotionRow, status="open")
    return row


def analysis(world: FakePlatform, version: int = 2, period: str = MAY) -> CanaryRow:
    row = world.ledger.state().get(CanaryRow, MODEL, version, period)
    assert row is not None
    return row


def kinds(events: list[Event]) -> list[EventType]:
    return [event.type for event in events]


HELD = (0.001, -0.002, 0.004)
UNCLEAR = (-0.003, -0.009, 0.003)
WORSE = (-0.02, -0.025, -0.01)


# ── waiting for labels ────────────────────────────────────────────────────────────────────────────


def test_without_labels_it_waits_and_asks_nobody(world: FakePlatform) -> None:
    written = writes(world, lambda: run(world))
    assert kinds(written) == [EventType.CANARY_ANALYSED]
    row = analysis(world)
    assert (row.verdict, row.standing, row.review, row.baseline) == ("inconclusive", "waits", "", 1)
    assert row.sentence.startswith("got outcomes of 0 of 1000 rows (0.0%) on 0 days, expected 80% on 5")
    assert row.analysis["gain"] is None
    assert (stage(world, 2), world.ledger.state().select(PromotionRow, status="open")) == ("canary", ())


def test_with_too_few_labels_it_waits_however_good_it_looks(world: FakePlatform) -> None:
    told(world).states(0.1, 0.09, 0.11, labelled=700)
    (step,) = run(world)
    assert (step.row.standing, step.stage, step.promotion) == ("waits", "canary", "")


def test_a_canary_that_waited_concludes_once_labels_have_come(world: FakePlatform) -> None:
    run(world)
    told(world).states(*HELD)
    written = writes(world, lambda: run(world))
    assert kinds(written)[0] is EventType.CANARY_ANALYSED
    assert analysis(world).standing == "holds"


def test_a_gate_that_demands_a_held_canary_refuses_one_that_still_waits(world: FakePlatform) -> None:
    run(world)
    with pytest.raises(Refused) as error:
        climb(world, world.acting("p-2"), MODEL, 2)
    assert "canary_held failed: got packet.canary.verdict = inconclusive" in error.value.sentence
    assert "packet.canary.standing = waits" in error.value.sentence
    assert (
        error.value.hint == "tidegate run canary, once what it waits for is there (tidegate canary says what)"
    )


def test_a_gate_that_demands_a_held_canary_refuses_one_that_was_never_analysed(world: FakePlatform) -> None:
    with pytest.raises(Refused) as error:
        climb(world, world.acting("p-2"), MODEL, 2)
    assert "canary_held failed: got packet.canary.verdict = none" in error.value.sentence
    assert (
        error.value.hint == "tidegate run canary, once it has scored a period in canary (tidegate run score)"
    )


# ── what holds ────────────────────────────────────────────────────────────────────────────────────


def test_what_holds_is_asked_into_prod_on_behalf_of_who_asked_it_into_canary(world: FakePlatform) -> None:
    told(world).states(*HELD)
    (step,) = run(world)
    asked = open_request(world)
    assert (asked.version, asked.target, asked.requester, asked.on_behalf_of) == (2, "prod", "s-4", "p-2")
    assert (step.promotion, step.stage) == (asked.id, "canary")
    assert [reason.code for reason in step.reasons] == ["approval-missing"]


def test_who_asked_it_into_canary_cannot_approve_what_the_rollout_asked_for(first: FakePlatform) -> None:
    """P4: dana had no part in training it, and a service asked; it is still her wish that it rises."""
    world = first
    world.add_actor("p-7", "data_scientist", "approver")
    number = world.register()
    climb(world, world.acting("p-7"), MODEL, number)
    world.scored(number, APRIL, "canary")
    told(world).states(*HELD)
    run(world)
    with pytest.raises(Refused) as error:
        resolve(world, world.acting("p-7"), MODEL, number, Action.APPROVE, WELL)
    assert error.value.sentence == f"P4: p-7 cannot approve version {number}: it was requested by them"


def test_a_service_that_asked_for_a_person_passes_that_person_on(first: FakePlatform) -> None:
    number = first.register()
    climb(first, first.acting("s-1", on_behalf_of="p-5"), MODEL, number)
    first.scored(number, APRIL, "canary")
    told(first).states(*HELD)
    run(first)
    rows = first.ledger.state().select(PromotionRow, version=number, target="prod")
    assert [row.on_behalf_of for row in rows] == ["p-5"]


def test_what_nobody_asked_for_is_asked_for_on_nobody_s_behalf(first: FakePlatform) -> None:
    number = first.register()
    climb(first, first.acting("s-1"), MODEL, number)
    first.scored(number, APRIL, "canary")
    told(first).states(*HELD)
    run(first)
    rows = first.ledger.state().select(PromotionRow, version=number, target="prod")
    assert [row.on_behalf_of for row in rows] == [""]


def test_a_person_s_approval_takes_it_into_prod(world: FakePlatform) -> None:
    told(world).states(*HELD)
    run(world)
    resolve(world, world.acting("p-3"), MODEL, 2, Action.APPROVE, WELL)
    assert (stage(world, 1), stage(world, 2)) == ("retired", "prod")
    assert run(world) == ()


def test_where_the_gate_needs_nobody_it_rises_by_itself(tmp_path: Path) -> None:
    world = opened(tmp_path, standard=0)
    world.register()
    climb(world, world.acting("s-1"), MODEL, 1)
    world.scored(1, APRIL, "canary")
    told(world).states(*HELD)
    (step,) = run(world)
    assert (step.stage, stage(world, 1), step.reasons) == ("prod", "prod", ())


def test_what_holds_and_is_refused_by_the_gate_for_something_else_is_told_so(world: FakePlatform) -> None:
    world.trainer.gain = Measure(-0.02, 1000, -0.03, -0.01, "stated")  # on its validation rows it is worse
    told(world).states(*HELD)
    (step,) = run(world)
    assert (step.stage, step.promotion) == ("canary", "")
    assert [reason.code for reason in step.reasons] == ["evidence-failed"]
    assert writes(world, lambda: run(world)) == []


# ── what is unclear ───────────────────────────────────────────────────────────────────────────────


def test_what_is_unclear_waits_for_a_person_even_where_the_gate_needs_nobody(tmp_path: Path) -> None:
    world = opened(tmp_path, standard=0)
    world.register()
    climb(world, world.acting("s-1"), MODEL, 1)
    world.scored(1, APRIL, "canary")
    told(world).states(*UNCLEAR)
    (step,) = run(world)
    assert step.stage == "canary"
    assert [reason.code for reason in step.reasons] == ["evidence-inconclusive", "approval-missing"]
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WELL)
    assert stage(world, 1) == "prod"


def test_a_person_may_refuse_what_is_unclear_and_it_is_not_asked_again(world: FakePlatform) -> None:
    told(world).states(*UNCLEAR)
    run(world)
    resolve(world, world.acting("p-3"), MODEL, 2, Action.REJECT, "Not on this evidence.")
    assert writes(world, lambda: run(world)) == []
    assert (stage(world, 1), stage(world, 2)) == ("prod", "canary")


def test_after_a_refusal_the_next_period_asks_anew(world: FakePlatform) -> None:
    told(world).states(*UNCLEAR)
    run(world)
    resolve(world, world.acting("p-3"), MODEL, 2, Action.REJECT, "Not on this evidence.")
    for version, where in ((1, "prod"), (2, "canary")):
        world.scored(version, "2024-06", where)
    told(world).states(*HELD)
    steps = run(world)
    assert [step.row.period for step in steps] == [MAY, "2024-06"]
    assert (open_request(world).version, analysis(world).standing) == (2, "unclear")  # May stays as it was


# ── what fails ────────────────────────────────────────────────────────────────────────────────────


def test_what_fails_is_taken_back_by_the_rollout_service_without_an_approval(world: FakePlatform) -> None:
    told(world).states(*WORSE)
    written = writes(world, lambda: run(world))
    assert kinds(written) == [
        EventType.CANARY_ANALYSED,
        EventType.REVIEW_OPENED,
        EventType.VERSION_DEMOTED,
    ]
    demoted = written[-1]
    assert demoted.actor == "s-4"
    assert demoted.payload["moves"] == [{"version": 2, "from": "canary", "to": "candidate"}]
    assert (stage(world, 1), stage(world, 2)) == ("prod", "candidate")  # what is live did not move


def test_a_failure_asks_a_person_to_look(world: FakePlatform) -> None:
    told(world).states(*WORSE)
    run(world)
    (review,) = world.ledger.state().select(ReviewRow)
    assert analysis(world).review == review.id
    assert (review.version, review.period, review.role, review.status) == (2, MAY, "reviewer", "open")
    assert review.cause == (
        "canary failed: it gains -0.02 [-0.025, -0.01] on a loss of 0.2: surely worse than the 2% it may lose"
    )


def test_the_reason_for_taking_it_back_is_the_analysis_itself(world: FakePlatform) -> None:
    told(world).states(*WORSE)
    demoted = writes(world, lambda: run(world))[-1]
    reason = world.ledger.text(demoted.payload["texts"]["reason"])
    assert reason == f"Canary: {analysis(world).sentence}."


def test_a_canary_that_failed_does_not_come_back_because_the_analysis_runs_again(world: FakePlatform) -> None:
    told(world).states(*WORSE)
    run(world)
    told(world).states(*HELD)
    assert run(world) == ()
    assert stage(world, 2) == "candidate"


def test_once_it_was_taken_back_its_later_periods_are_not_analysed(world: FakePlatform) -> None:
    for version, where in ((1, "prod"), (2, "canary")):
        world.scored(version, "2024-06", where)
    told(world).states(*WORSE)
    assert [step.row.period for step in run(world)] == [MAY]
    assert len(world.ledger.state().select(ReviewRow)) == 1


def test_an_open_request_into_prod_falls_with_a_canary_that_fails_later(world: FakePlatform) -> None:
    told(world).states(*HELD)
    run(world)
    asked = open_request(world).id
    for version, where in ((1, "prod"), (2, "canary")):
        world.scored(version, "2024-06", where)
    told(world).states(*WORSE)
    run(world)
    row = world.ledger.state().get(PromotionRow, asked)
    assert row is not None
    assert (row.status, stage(world, 2)) == ("superseded", "candidate")


# ── outcomes that come later ──────────────────────────────────────────────────────────────────────


class Hearing(StatedEntities):
    """Outcomes of which more are known every day."""

    def outcomes(
        self,
        model: ModelSpec,
        batches: object,
        declared: object,
        window: tuple[datetime, datetime],
        known_by: datetime,
    ) -> Frame:
        return Frame(f"tg1:{known_by:%Y-%m-%d}", Path("outcomes.parquet"), 1)


def test_a_canary_that_concluded_is_judged_once_more_when_more_labels_are_known(world: FakePlatform) -> None:
    world.entities = Hearing(world.frames)
    told(world).states(*HELD)
    run(world)
    held = analysis(world)
    assert writes(world, lambda: run(world)) == []
    assert isinstance(world.clock, FixedClock)
    world.clock.moment += timedelta(days=1)
    told(world).states(*WORSE)
    assert kinds(writes(world, lambda: run(world)))[0] is EventType.CANARY_ANALYSED
    assert (held.standing, analysis(world).standing, stage(world, 2)) == ("holds", "worse", "candidate")


def test_on_a_clock_that_went_back_a_canary_that_concluded_stays_concluded(world: FakePlatform) -> None:
    world.entities = Hearing(world.frames)
    told(world).states(*HELD)
    run(world)
    assert isinstance(world.clock, FixedClock)
    world.clock.moment -= timedelta(days=9)
    told(world).states(*HELD, labelled=0)
    assert writes(world, lambda: run(world)) == []
    assert analysis(world).standing == "holds"


# ── what cannot be measured ───────────────────────────────────────────────────────────────────────


def test_what_cannot_be_measured_neither_rises_nor_falls_and_a_person_looks_once(world: FakePlatform) -> None:
    told(world).states(float("nan"), float("nan"), float("nan"))
    (step,) = run(world)
    assert (step.row.verdict, step.stage, step.promotion) == ("error", "canary", "")
    (review,) = world.ledger.state().select(ReviewRow)
    assert review.cause.startswith("canary error: got a gain without a finite interval")
    entities = world.entities
    assert isinstance(entities, StatedEntities)
    entities.digest = "tg1:more-outcomes"
    assert kinds(writes(world, lambda: run(world))) == [EventType.CANARY_ANALYSED]
    assert analysis(world).review == review.id
    told(world).states(*HELD)
    (step,) = run(world)
    assert (step.row.verdict, step.row.review, bool(step.promotion)) == ("passed", "", True)


def test_a_live_version_that_scored_other_rows_is_no_comparison_and_blocks_no_other_period(
    world: FakePlatform,
) -> None:
    world.scored(1, "2024-06", "prod", entities="tg1:before-the-restatement")
    world.scored(2, "2024-06", "canary")
    world.scored(1, "2024-07", "prod")
    world.scored(2, "2024-07", "canary")
    told(world).states(*HELD)
    steps = {step.row.period: step.row for step in run(world)}
    assert (steps["2024-06"].verdict, steps["2024-06"].standing) == ("inconclusive", "waits")
    assert steps["2024-06"].sentence.startswith(
        "got no decisions of version 1, which is live, on the 1000 rows"
    )
    assert (steps[MAY].standing, steps["2024-07"].standing) == ("holds", "holds")


def test_a_version_that_was_live_and_is_no_more_is_no_measure(world: FakePlatform) -> None:
    """Beside a harmful version anything holds: after its rollback that comparison counts for nothing."""
    told(world).states(*HELD)
    run(world)
    resolve(world, world.acting("p-3"), MODEL, 2, Action.APPROVE, WELL)
    third = world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, third)
    world.scored(2, "2024-06", "prod")
    world.scored(third, "2024-06", "canary")
    lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, "It says nothing but yes.")
    (step,) = run(world)
    assert (step.row.standing, step.row.baseline) == ("waits", 1)
    world.scored(1, "2024-06", "prod")  # the restored version scores the same rows
    (step,) = run(world)
    assert (step.row.standing, step.row.baseline) == ("holds", 1)


def test_decisions_that_were_altered_stop_the_analysis_with_nothing_written(world: FakePlatform) -> None:
    def altered() -> None:
        raise DependencyFailed("decisions-altered", "got another root, expected the recorded one")

    told(world).meanwhile = altered
    before = len(list(world.ledger.events()))
    with pytest.raises(DependencyFailed):
        run(world)
    assert (len(list(world.ledger.events())), stage(world, 2)) == (before, "canary")


# ── against what ──────────────────────────────────────────────────────────────────────────────────


def test_it_is_compared_with_the_live_version_s_decisions_on_the_same_rows(world: FakePlatform) -> None:
    run(world)
    ((candidate, live),) = told(world).compared
    scores = world.frames / "scores"
    assert candidate == Segment(f"sha256:{MAY}-2", scores / f"{MAY}-2.parquet", 1000)
    assert live == Segment(f"sha256:{MAY}-1", scores / f"{MAY}-1.parquet", 1000)


def test_the_first_version_is_compared_with_the_fallback_s_base_rate(first: FakePlatform) -> None:
    run(first)
    ((_, baseline),) = told(first).compared
    assert baseline == 0.2
    row = analysis(first, 1, APRIL)
    assert (row.baseline, row.standing) == (0, "waits")


def test_after_a_stop_a_canary_is_compared_with_the_fallback(world: FakePlatform) -> None:
    lower(world, world.acting("p-5"), MODEL, Action.STOP, "Out of service.")
    told(world).states(*HELD)
    run(world)
    assert (told(world).compared[-1][1], analysis(world).baseline) == (0.2, 0)


def test_two_canaries_are_analysed_each_and_the_second_beside_what_is_live_by_then(tmp_path: Path) -> None:
    world = opened(tmp_path, standard=0)
    for version in (1, 2):
        world.register()
        climb(world, world.acting("s-1"), MODEL, version)
        world.scored(version, APRIL, "canary")
    told(world).states(*HELD)
    run(world)
    baselines = [baseline for _, baseline in told(world).compared]
    assert baselines[0] == 0.2
    assert isinstance(baselines[1], Segment)  # version 1 rose, and is the measure now
    assert (stage(world, 1), stage(world, 2)) == ("retired", "prod")


def test_the_record_of_an_analysis_names_what_it_rests_on(world: FakePlatform) -> None:
    told(world).states(*HELD)
    run(world)
    facts = analysis(world).analysis
    assert (facts["decisions"], facts["outcomes"], facts["rule"]) == (f"sha256:{MAY}-2", "tg1:outcomes", "V3")
    assert (facts["rows"], facts["labelled"], facts["labelled_share"], facts["days"]) == (1000, 900, 0.9, 20)
    assert facts["asked"] == {"labelled_share": 0.8, "days": 5, "may_lose": 0.02}
    assert (facts["loss"], facts["gain"]["low"], facts["baseline_loss"]["value"]) == ("brier", -0.002, 0.2)


def test_the_packet_shows_what_the_canary_concluded(world: FakePlatform) -> None:
    def packet() -> dict[str, Any]:
        life = lifecycle(world.ledger.state(), MODEL)
        found: dict[str, Any] = gather(world, world.ledger.state(), life, life.versions[2]).facts["canary"]
        return found

    assert packet() == {"verdict": "none"}
    told(world).states(*HELD)
    run(world)
    assert (packet()["verdict"], packet()["standing"], packet()["period"]) == ("passed", "holds", MAY)
    world.scored(1, "2024-06", "prod")
    world.scored(2, "2024-06", "canary")
    told(world).states(*HELD, labelled=0)
    run(world)
    assert analysis(world, 2, "2024-06").standing == "waits"
    assert packet()["period"] == MAY  # what concluded counts, not what waits
    assert open_request(world).version == 2  # so the request that is open is still about what is there


# ── once ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("gain", [None, HELD, UNCLEAR, WORSE])
def test_a_repeated_run_writes_nothing_new(
    world: FakePlatform, gain: tuple[float, float, float] | None
) -> None:
    if gain is not None:
        told(world).states(*gain)
    run(world)
    assert writes(world, lambda: run(world)) == []
    assert world.ledger.verify() == ()
    assert unlawful(world) == ()


@pytest.mark.parametrize("gain", [HELD, UNCLEAR, WORSE])
def test_a_run_that_was_killed_between_analysis_and_act_converges(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch, gain: tuple[float, float, float]
) -> None:
    told(world).states(*gain)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(canary, "lower", killed)
        patched.setattr(canary, "request", killed)
        with pytest.raises(KeyboardInterrupt):
            run(world)
    assert (analysis(world).verdict != "", stage(world, 2)) == (True, "canary")
    told(world).found = replace(told(world).found, labelled=0)  # and it is not measured again
    again = writes(world, lambda: run(world))
    assert EventType.CANARY_ANALYSED not in kinds(again)
    if gain == WORSE:
        assert stage(world, 2) == "candidate"
    else:
        assert open_request(world).target == "prod"
    assert writes(world, lambda: run(world)) == []


def test_an_act_that_a_tool_prevented_is_done_by_the_next_run(world: FakePlatform) -> None:
    told(world).states(*HELD)
    world.registry.down = True
    with pytest.raises(DependencyFailed):
        run(world)
    assert analysis(world).standing == "holds"
    world.registry.down = False
    run(world)
    assert open_request(world).version == 2


def test_two_runs_at_once_record_one_analysis_and_one_review(world: FakePlatform) -> None:
    told(world).states(*WORSE)
    other = StatedMonitors(world.frames / "reports")
    other.states(*WORSE)
    mine = told(world)

    def meanwhile() -> None:
        mine.meanwhile = lambda: None
        world.monitors = other
        run(world)

    mine.meanwhile = meanwhile
    run(world)
    assert len(world.ledger.state().select(ReviewRow)) == 1
    assert [event.type for event in world.ledger.events()].count(
        EventType.CANARY_ANALYSED
    ) == 2  # April's too
    assert stage(world, 2) == "candidate"


def test_what_went_live_while_it_was_compared_is_what_it_is_compared_with(world: FakePlatform) -> None:
    told(world).states(*HELD)
    third = world.register()
    climb(world, world.acting("s-1"), MODEL, third)
    world.scored(third, MAY, "canary")
    mine = told(world)

    def meanwhile() -> None:
        mine.meanwhile = lambda: None
        lower(world, world.acting("p-5"), MODEL, Action.STOP, "Out of service.")

    mine.meanwhile = meanwhile
    run(world)
    assert [type(baseline) for _, baseline in mine.compared] == [Segment, float, float]
    assert (analysis(world).baseline, analysis(world, third).baseline) == (0, 0)


def test_a_second_stay_in_canary_counts_no_analysis_of_the_first(world: FakePlatform) -> None:
    told(world).states(*HELD)
    run(world)
    lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, "Once more, from the start.", 2, Stage.CANDIDATE)
    climb(world, world.acting("p-2"), MODEL, 2)
    assert run(world) == ()  # it has scored nothing since it came back
    life = lifecycle(world.ledger.state(), MODEL)
    assert gather(world, world.ledger.state(), life, life.versions[2]).facts["canary"] == {"verdict": "none"}
    with pytest.raises(Refused, match=r"canary_held failed: got packet.canary.verdict = none"):
        climb(world, world.acting("p-2"), MODEL, 2)
    world.scored(1, "2024-06", "prod")
    world.scored(2, "2024-06", "canary")
    assert [step.row.period for step in run(world)] == ["2024-06"]
    assert open_request(world).version == 2


# ── who, and by which rule ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("who", ["p-2", "p-5", "s-1", "s-2", "s-6"])
def test_who_may_not_analyse_is_refused_by_a1_and_that_is_recorded(world: FakePlatform, who: str) -> None:
    written = []
    with pytest.raises(Refused, match=r"A1: .* holds no role that permits `model:canary:analyse`"):
        written = writes(world, lambda: run(world, who))
    assert written == []
    last = list(world.ledger.events())[-1]
    assert (last.type, last.actor) == (EventType.ACTION_REFUSED, who)
    assert stage(world, 2) == "canary"


def test_a_tier_without_a_rollout_rule_has_no_canary_that_can_hold(world: FakePlatform) -> None:
    bare = a_policy("2", canary=True)
    world.adopt(replace(bare, rollout={}, body="no rollout", digest="sha256:no-rollout"))
    told(world).states(*HELD)
    with pytest.raises(Refused) as error:
        run(world)
    assert error.value.code == "no-rollout-rule"
    assert error.value.sentence == ("got no rollout rule for tier standard in policy trams 2, expected one")
    assert (stage(world, 2), world.ledger.state().get(CanaryRow, MODEL, 2, MAY)) == ("canary", None)


def test_a_stricter_rule_changes_the_verdict(world: FakePlatform) -> None:
    policy = a_policy("2", canary=True)
    strict = {tier: replace(rule, may_lose=0.0) for tier, rule in policy.rollout.items()}
    world.adopt(replace(policy, rollout=strict, body="strict", digest="sha256:strict"))
    told(world).states(*HELD)
    (step,) = run(world)
    assert (step.row.standing, step.row.analysis["asked"]["may_lose"]) == ("unclear", 0.0)


def test_a_model_without_a_canary_has_nothing_to_analyse(tmp_path: Path) -> None:
    world = opened(tmp_path)
    world.register()
    assert writes(world, lambda: run(world)) == []


def test_an_unknown_model_is_bad_input(world: FakePlatform) -> None:
    with pytest.raises(BadInput, match="got the model `other`"):
        analyse(world, world.acting("s-4"), "other")


def test_no_label_is_never_a_success_in_any_verdict_that_is_recorded(world: FakePlatform) -> None:
    told(world).states(0.1, 0.09, 0.11, labelled=0)
    run(world)
    assert analysis(world).verdict == Verdict.INCONCLUSIVE
