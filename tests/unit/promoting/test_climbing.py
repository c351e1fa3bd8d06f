"""A version climbs until somebody is needed, and a preview says how far that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.application import promote
from tidegate.application.lower import lower
from tidegate.application.promote import climb, preview, request
from tidegate.application.weighing import Outcome
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action, Allowed, Waiting
from tidegate.domain.policy import Stage
from tidegate.domain.state import PromotionRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.deciding import WELL, approve, ask
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, stage, tried

# ── climbing ──────────────────────────────────────────────────────────────────────────────────────


def test_a_climb_stops_where_a_person_is_needed(world: FakePlatform) -> None:
    outcome = ask(world)
    assert (outcome.stage, outcome.promotion) == ("canary", f"{MODEL}-P3")
    assert [(reason.rule, reason.code) for reason in outcome.waits] == [("P4", "approval-missing")]


def test_a_climb_writes_a_request_and_its_application_a_stage(world: FakePlatform) -> None:
    written = tried(world, lambda: ask(world))
    step = [EventType.PROMOTION_REQUESTED, EventType.PROMOTION_APPLIED]
    assert written == [EventType.PACKET_SEALED, *step, *step, EventType.PROMOTION_REQUESTED]


def test_a_climb_goes_no_further_than_asked(world: FakePlatform) -> None:
    assert ask(world, to=Stage.STAGING).stage == "staging"
    assert ask(world, to=Stage.CANARY).stage == "canary"


def test_a_climb_to_a_stage_that_is_none_of_the_ladder_is_bad_input(world: FakePlatform) -> None:
    for to in (Stage.CANDIDATE, Stage.RETIRED):
        with pytest.raises(BadInput, match="expected staging, canary or prod"):
            ask(world, to=to)


def test_a_climb_to_where_the_version_stands_writes_nothing(live: FakePlatform) -> None:
    assert tried(live, lambda: ask(live)) == []
    assert ask(live, to=Stage.STAGING).stage == "prod"


def test_a_climb_is_refused_at_the_first_gate_that_blocks(world: FakePlatform) -> None:
    bad = world.register(on_behalf_of="p-2", calibration_gap=Measure(0.3, 1000, 0.2, 0.4))
    with pytest.raises(Refused) as error:
        ask(world, bad)
    assert codes(error) == ["evidence-failed"]
    assert stage(world, bad) == "staging"


def test_a_climb_interrupted_anywhere_goes_on_under_its_key(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = promote.request
    for steps in range(3):
        calls = iter(range(steps + 1))

        def killed(*args: object, calls: object = calls, steps: int = steps) -> Outcome:
            if next(calls) == steps:  # type: ignore[call-overload]
                raise KeyboardInterrupt
            return whole(*args)  # type: ignore[arg-type]

        version = world.register(on_behalf_of="p-2")
        monkeypatch.setattr(promote, "request", killed)
        with pytest.raises(KeyboardInterrupt):
            ask(world, version, key="up")
        monkeypatch.setattr(promote, "request", whole)
        outcome = ask(world, version, key="up")
        assert (outcome.stage, bool(outcome.waits)) == ("canary", True)
        assert tried(world, lambda version=version: ask(world, version, key="up")) == []  # type: ignore[misc]


def test_a_climb_under_a_new_key_starts_from_where_the_version_stands(world: FakePlatform) -> None:
    ask(world, to=Stage.STAGING, key="first")
    outcome = ask(world, key="second")
    assert (outcome.stage, bool(outcome.waits)) == ("canary", True)


def test_a_repeated_climb_does_not_take_up_again_what_was_rolled_back(live: FakePlatform) -> None:
    ask(live, 2, key="up-2")
    approve(live, 2)
    lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    assert tried(live, lambda: ask(live, 2, key="up-2")) == []
    assert stage(live, 2) == "candidate"


def test_a_repeated_climb_does_not_take_up_again_what_was_demoted(world: FakePlatform) -> None:
    ask(world, to=Stage.STAGING)
    ask(world, to=Stage.CANARY, key="up")
    lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, WELL, 1, Stage.CANDIDATE)
    assert tried(world, lambda: ask(world, to=Stage.CANARY, key="up")) == []
    assert stage(world) == "candidate"


def test_a_climb_that_names_no_stage_goes_as_far_as_canary_and_from_there_into_prod(
    world: FakePlatform,
) -> None:
    dana = world.acting("p-2")
    assert climb(world, dana, MODEL, 1).stage == "canary"
    assert world.ledger.state().select(PromotionRow, status="open") == ()
    outcome = climb(world, dana, MODEL, 1)
    assert (outcome.stage, [reason.code for reason in outcome.waits]) == ("canary", ["approval-missing"])


def test_a_climb_that_names_no_stage_does_not_go_on_from_canary_because_it_is_repeated(
    tmp_path: Path,
) -> None:
    world = FakePlatform(tmp_path, a_policy(standard=0))  # nobody would have to approve
    world.register()
    dana = world.acting("p-2", "up")
    assert climb(world, dana, MODEL, 1).stage == "canary"
    assert tried(world, lambda: climb(world, dana, MODEL, 1)) == []
    assert stage(world) == "canary"
    prod = world.acting("p-2", "on")
    assert climb(world, prod, MODEL, 1).stage == "prod"
    assert tried(world, lambda: climb(world, prod, MODEL, 1)) == []


def test_a_climb_that_names_no_stage_leaves_what_is_live_alone(live: FakePlatform) -> None:
    assert tried(live, lambda: climb(live, live.acting("p-2"), MODEL, 1)) == []
    assert stage(live) == "prod"


def test_a_climb_finds_that_somebody_else_was_faster(world: FakePlatform) -> None:
    ask(world, to=Stage.STAGING)
    assert request(world, world.acting("p-2"), MODEL, 1, Stage.STAGING).stage == "staging"
    assert stage(world) == "staging"


# ── previews ──────────────────────────────────────────────────────────────────────────────────────


def test_a_preview_says_what_asking_would_yield_and_writes_nothing(world: FakePlatform) -> None:
    decisions: list[object] = []
    assert tried(world, lambda: decisions.append(preview(world, MODEL, 1)[0])) == []
    assert isinstance(decisions[0], Allowed)
    ask(world)
    decision, dossier, policy = preview(world, MODEL, 1)
    assert isinstance(decision, Waiting)
    assert [finding.demand for finding in dossier.findings] == ["not_worse"]
    assert policy == a_policy()


def test_a_preview_of_a_version_in_prod_finds_nothing_above(live: FakePlatform) -> None:
    _, dossier, _ = preview(live, MODEL, 1)
    assert dossier.findings == ()
