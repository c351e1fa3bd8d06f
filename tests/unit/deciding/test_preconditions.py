"""What must hold at the moment, and demands that judge only what is measured after them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.lower import lower
from tidegate.application.promote import climb
from tidegate.domain.errors import Refused
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Need, Preconditions, Stage, Tier
from tidegate.testing.cases import MODEL, a_policy, with_gate
from tidegate.testing.deciding import (
    World,
    approve,
    ask,
    gate_into_prod,
    ruled,
)
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, later

# ── what must hold at the moment ──────────────────────────────────────────────────────────────────


def test_stale_data_block_prod_and_void_nothing(under: World) -> None:
    world = under(ruled(preconditions=Preconditions(fresh_days=45)))
    world.accept()
    ask(world)
    later(world, 46)
    outcome = approve(world)
    assert [each.code for each in outcome.waits] == ["precondition-fresh"]
    assert outcome.waits[0].sentence == "the newest batch of trips is 46 days old, expected at most 45"
    world.accept("2024-02")
    # The request was for older data; asked again the approval no longer speaks for it, and that is told.
    assert {each.code for each in ask(world).waits} <= {"approval-void", "approval-missing"}
    assert unlawful(world) == ()


def test_too_many_versions_taken_out_freeze_promotion_until_time_has_passed(live: FakePlatform) -> None:
    live.adopt(ruled(preconditions=Preconditions(failed_changes=(0, 30))))
    ask(live, 2)
    approve(live, 2)
    lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, "odd scores")
    live.register(on_behalf_of="p-2")
    with pytest.raises(Refused) as error:
        ask(live, 3)
    assert codes(error) == ["precondition-failed_changes"]
    later(live, 31)
    assert [each.code for each in ask(live, 3).waits] == ["approval-missing"]


def test_an_approval_that_has_grown_old_is_asked_for_again(under: World) -> None:
    policy = replace(
        gate_into_prod(approvals=(Need("approver", 2),)), preconditions=Preconditions(approved_days=14)
    )
    world = under(policy)
    ask(world)
    approve(world)
    later(world, 15)
    outcome = approve(world, who="p-4")
    assert [each.code for each in outcome.waits] == ["approval-expired", "approval-missing"]


# ── a demand judges only what is measured after it ────────────────────────────────────────────────


def test_a_demand_that_was_loosened_after_the_measurement_does_not_judge_it(world: FakePlatform) -> None:
    gate = world.policies.load().gates[Tier.STANDARD][Stage.CANARY]
    (demand,) = gate.demands
    looser = replace(demand, passes="packet.metrics.calibration_gap.value <= 0.9")
    policy = ruled()
    for tier in Tier:
        policy = with_gate(policy, replace(gate, demands=(looser,)), tier)
    world.adopt(policy)
    with pytest.raises(Refused) as error:
        climb(world, world.acting("p-2"), MODEL, 1, Stage.CANARY)
    assert codes(error) == ["demand-too-late"]
    measured_since = world.register(on_behalf_of="p-2")
    assert climb(world, world.acting("p-2"), MODEL, measured_since, Stage.CANARY).stage == "canary"


def test_a_demand_that_stays_word_for_word_keeps_its_age_through_another_policy(world: FakePlatform) -> None:
    world.adopt(a_policy("2"))
    assert climb(world, world.acting("p-2"), MODEL, 1, Stage.CANARY).stage == "canary"
