"""Traps that others fell into, by name: what went wrong there does not go wrong here.

Each runs through the use cases on fakes; what comes of it is judged by the record's own judge as well. The rules have
tests of their own, one each, in `test_promotion_rules` and `test_trust_rules`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest

from tidegate.adapters.sql_record import SqlLedger
from tidegate.application.canary import analyse
from tidegate.application.change_policy import decide_change, propose
from tidegate.application.delegate import delegate, end_delegation
from tidegate.application.lawfulness import unlawful
from tidegate.application.promote import climb, request
from tidegate.application.resolve import Say, resolve
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import PromotionRow, ReviewRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.platform import FakePlatform, StatedEntities, StatedMonitors
from tidegate.testing.fakes.small import CountingEntropy, FixedClock
from tidegate.testing.looking import codes, stage

WELL = "Evidence looks sound to me."
APRIL, MAY = "2024-04", "2024-05"
UNCLEAR, HELD = (-0.003, -0.009, 0.003), (0.001, -0.002, 0.004)


def canary(home: Path, standard: int = 0) -> FakePlatform:
    """Return a world whose first version stands in canary and has scored April; people are asked in doubt alone."""
    world = FakePlatform(home, a_policy(standard=standard, canary=True))
    world.entities = StatedEntities(home / "entities")
    world.accept()
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1)
    world.scored(1, APRIL, "canary")
    return world


def states(world: FakePlatform, *gain: float) -> None:
    assert isinstance(world.monitors, StatedMonitors)
    world.monitors.states(*gain)


def approve(world: FakePlatform, who: str = "p-3", version: int = 1, say: Say | None = None) -> None:
    resolve(world, world.acting(who), MODEL, version, Action.APPROVE, WELL, say)


# ── argoproj/argo-rollouts ────────────────────────────────────────────────────────────────────────


def test_argo_rollouts_3850_what_is_inconclusive_is_never_promoted_by_time_or_by_running_again(
    tmp_path: Path,
) -> None:
    """There a background analysis that was inconclusive let the canary's steps go on to the end."""
    world = canary(tmp_path)
    states(world, *UNCLEAR)
    for _ in range(3):
        analyse(world, world.acting("s-4"), MODEL)
        assert isinstance(world.clock, FixedClock)
        world.clock.moment += timedelta(days=30)
    assert stage(world) == "canary"
    waits = climb(world, world.acting("s-1"), MODEL, 1, Stage.PROD).waits
    assert [reason.code for reason in waits] == ["evidence-inconclusive", "approval-missing"]
    assert stage(world) == "canary"
    assert unlawful(world) == ()


def test_argo_rollouts_3015_what_a_person_promotes_after_an_inconclusive_step_is_not_stuck(
    tmp_path: Path,
) -> None:
    """There a step stayed inconclusive after somebody had promoted, and nothing went on."""
    world = canary(tmp_path)
    states(world, *UNCLEAR)
    analyse(world, world.acting("s-4"), MODEL)
    approve(world)
    assert stage(world) == "prod"
    assert analyse(world, world.acting("s-4"), MODEL) == ()
    # Nor is the next version: its canary is judged by its own figures.
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 2)
    world.scored(1, MAY, "prod")
    world.scored(2, MAY, "canary")
    states(world, *HELD)
    analyse(world, world.acting("s-4"), MODEL)
    assert (stage(world, 1), stage(world, 2)) == ("retired", "prod")
    assert unlawful(world) == ()


def test_argo_rollouts_261_what_a_person_accepted_is_not_asked_about_again(tmp_path: Path) -> None:
    """There the rollout paused once more at the next inconclusive measurement, after somebody had said yes."""
    world = canary(tmp_path)
    states(world, *UNCLEAR)
    analyse(world, world.acting("s-4"), MODEL)
    approve(world)
    before = world.ledger.head().sequence
    world.scored(1, MAY, "prod")
    analyse(world, world.acting("s-4"), MODEL)
    assert stage(world) == "prod"
    assert [event.type for event in world.ledger.events(after=before)] == [EventType.DECISIONS_SCORED]
    assert world.ledger.state().select(PromotionRow, status="open") == ()


def test_argo_rollouts_1905_a_measurement_without_a_value_waits_and_does_not_fail(tmp_path: Path) -> None:
    """There a metric that returned nothing ended the analysis; here labels are late by nature."""
    world = canary(tmp_path)
    (step,) = analyse(world, world.acting("s-4"), MODEL)  # no label is known yet
    assert (step.row.verdict, step.row.standing, stage(world)) == ("inconclusive", "waits", "canary")
    assert world.ledger.state().select(PromotionRow, status="open") == ()
    assert world.ledger.state().select(ReviewRow) == (), "nobody is asked to look at nothing"
    states(world, *HELD)
    analyse(world, world.acting("s-4"), MODEL)
    assert stage(world) == "prod"


def test_argo_rollouts_275_a_figure_that_is_no_number_is_neither_success_nor_failure(tmp_path: Path) -> None:
    """There not-a-number counted, until it was made inconclusive; here it is an error, and nothing moves."""
    world = canary(tmp_path)
    states(world, float("nan"), float("nan"), float("nan"))
    (step,) = analyse(world, world.acting("s-4"), MODEL)
    assert (step.row.verdict, stage(world)) == ("error", "canary")


# ── approving oneself ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def asked(tmp_path: Path) -> FakePlatform:
    """Return a world in which p-2 had version 1 trained by a service, asked for prod, and waits for an approver."""
    world = FakePlatform(tmp_path)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    return world


def test_nobody_approves_their_own_work_through_a_delegation(asked: FakePlatform) -> None:
    until = asked.clock.now() + timedelta(days=9)
    delegate(asked, asked.acting("p-3"), "p-2", "approver", until, "I am away.")
    with pytest.raises(Refused) as caught:
        approve(asked, "p-2", say=Say(for_whom="p-3"))
    assert "own-work" in codes(caught)
    assert "p-2 cannot approve version 1" in caught.value.sentence


def test_nobody_passes_a_delegation_on(asked: FakePlatform) -> None:
    until = asked.clock.now() + timedelta(days=9)
    delegate(asked, asked.acting("p-3"), "p-6", "approver", until, "I am away.")
    with pytest.raises(Refused) as caught:
        delegate(asked, asked.acting("p-6"), "p-2", "approver", until, "So am I.")
    assert codes(caught) == ["role-not-held"]


def test_nobody_approves_through_a_service_account(asked: FakePlatform) -> None:
    asked.change_roles("s-1", "training_service", "approver")
    with pytest.raises(Refused) as caught:
        approve(asked, "s-1")
    assert codes(caught) == ["not-a-person", "own-work"]


def test_two_accounts_of_one_person_are_one_voice(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path, a_policy(standard=2))
    world.register(on_behalf_of="p-2")
    twin = {"id": "p-8", "kind": "person", "subject": "p-3", "roles": ["approver"]}
    world.write(EventType.ACTOR_ADDED, twin, stream="actors")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    approve(world)
    with pytest.raises(Refused) as caught:
        approve(world, "p-8")
    assert codes(caught) == ["counted-once"]
    assert stage(world) == "canary"


# ── time and others ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("skew", [timedelta(days=-400), timedelta(seconds=-1), timedelta(seconds=1)])
def test_on_a_clock_that_jumps_between_request_and_approval_the_record_stays_sound(
    asked: FakePlatform, skew: timedelta
) -> None:
    assert isinstance(asked.clock, FixedClock)
    asked.clock.moment += skew
    approve(asked)
    assert stage(asked) == "prod"
    assert [event.sequence for event in asked.ledger.events()] == list(
        range(1, asked.ledger.head().sequence + 1)
    )
    assert unlawful(asked) == ()


def test_a_clock_set_back_gives_an_ended_delegation_no_second_life(asked: FakePlatform) -> None:
    until = asked.clock.now() + timedelta(days=9)
    delegate(asked, asked.acting("p-3"), "p-6", "approver", until, "I am away.")
    end_delegation(asked, asked.acting("p-3"), "D-1")
    assert isinstance(asked.clock, FixedClock)
    asked.clock.moment -= timedelta(hours=1)
    with pytest.raises(Refused) as caught:
        approve(asked, "p-6", say=Say(for_whom="p-3"))
    assert codes(caught) == ["no-delegation"]


def test_a_policy_that_was_changed_between_request_and_approval_voids_the_request(
    asked: FakePlatform,
) -> None:
    asked.with_tokens()
    looser = asked.knows(a_policy("2", standard=1))
    propose(asked, asked.acting("p-4"), looser, "Tried on last year.")
    decide_change(asked, asked.acting("p-3"), "C-1", Action.APPROVE, WELL)
    with pytest.raises(Refused) as caught:
        approve(asked, "p-4")
    assert codes(caught) == ["stale-request"]
    assert "policy" in caught.value.sentence
    assert stage(asked) == "canary"
    assert unlawful(asked) == ()


def test_approvers_who_race_apply_once_and_nobody_counts_twice(tmp_path: Path) -> None:
    """Four threads, each with a connection of its own, on one real ledger: two approve, one rejects, one asks again."""
    clock = FixedClock()
    ledger = SqlLedger(f"sqlite:///{tmp_path}/record.db", clock, CountingEntropy())
    world = FakePlatform(tmp_path, a_policy(standard=2), ledger=ledger)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    barrier = Barrier(4)

    def together(act: str) -> str:
        barrier.wait()
        try:
            if act == "ask":
                request(world, world.acting("p-2"), MODEL, 1)
            else:
                what, who = act.split()
                resolve(world, world.acting(who), MODEL, 1, Action(what), WELL)
        except Refused as refusal:
            return refusal.code
        return "done"

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(together, ["approve p-3", "approve p-4", "approve p-3", "ask"]))
    events = [event.type for event in ledger.events()]
    assert stage(world) == "prod"
    assert events.count(EventType.PROMOTION_APPROVED) == 2
    into_prod = [
        event for event in ledger.events()
        if event.type is EventType.PROMOTION_APPLIED and event.payload["moves"][-1]["to"] == "prod"
    ]  # fmt: skip
    assert len(into_prod) == 1
    assert told.count("done") >= 2
    assert ledger.verify() == ()
    assert unlawful(world) == ()
    assert world.ledger.state().select(PromotionRow, status="open") == ()
