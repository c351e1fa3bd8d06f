"""Back-testing on fakes: which recorded decisions flip under another policy, and what would have followed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.application.backtest import Replayed, backtest
from tidegate.application.canary import analyse
from tidegate.application.lower import lower
from tidegate.application.promote import climb, request
from tidegate.application.resolve import resolve
from tidegate.application.tend import tend
from tidegate.domain.errors import Refused
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import (
    Deadline,
    Demand,
    Gate,
    Need,
    Policy,
    Preconditions,
    Stage,
    Tier,
)
from tidegate.testing.cases import DEMANDS, MODEL, a_policy, with_gate
from tidegate.testing.fakes.platform import FakePlatform, StatedEntities
from tidegate.testing.looking import later

WHY = "Evidence looks sound to me."
BAD = Measure(0.3, 1000, 0.2, 0.4)


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world with version 1, which was registered for `p-2`, and one batch of data."""
    platform = FakePlatform(tmp_path)
    platform.accept()
    platform.register(on_behalf_of="p-2")
    return platform


def ask(world: FakePlatform, version: int = 1, to: Stage = Stage.PROD) -> None:
    with suppress(Refused):
        climb(world, world.acting("p-2"), MODEL, version, to)


def decide(world: FakePlatform, version: int = 1, action: Action = Action.APPROVE, who: str = "p-3") -> None:
    resolve(world, world.acting(who), MODEL, version, action, WHY)


def changed(policy: Policy, name: str) -> Policy:
    """Return the policy under a digest of its own."""
    return replace(policy, body=name, digest=f"sha256:{name}")


def demanding(demand: Demand, to: Stage = Stage.CANARY) -> Policy:
    """Return the usual policy with another demand in one gate of every tier."""
    policy = a_policy()
    for tier in Tier:
        policy = with_gate(policy, replace(policy.gates[tier][to], demands=(demand,)), tier)
    return changed(policy, f"demands {demand.passes}")


STRICT = demanding(
    replace(DEMANDS[Stage.CANARY], passes="packet.metrics.calibration_gap.value < 0", unclear="")
)
LOOSE = demanding(replace(DEMANDS[Stage.CANARY], passes="packet.metrics.calibration_gap.value <= 0.9"))


def flips(world: FakePlatform, policy: Policy) -> list[tuple[int, str, str, str]]:
    return [
        (each.version, each.target, each.then, each.now) for each in backtest(world, policy) if each.flips
    ]


def only(world: FakePlatform, policy: Policy) -> Replayed:
    """Return the one decision that flips."""
    (flip,) = [each for each in backtest(world, policy) if each.flips]
    return flip


def lived(world: FakePlatform) -> None:
    """A life with everything that is decided: two versions in prod, a rollback, a rejection, refusals."""
    ask(world)
    with suppress(Refused):
        decide(world, who="p-2")
    decide(world)
    world.register(on_behalf_of="p-2")
    world.trainer.gain = Measure(-0.01, 1000, -0.02, 0.01, "stated")  # cannot tell
    ask(world, 2)
    decide(world, 2, Action.REJECT, "p-4")
    ask(world, 2)
    decide(world, 2)
    lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, WHY)
    ask(world, 2, Stage.CANARY)
    bad = world.register(on_behalf_of="p-2", calibration_gap=BAD)
    ask(world, bad)
    with suppress(Refused):
        climb(world, world.acting("p-6"), MODEL, bad, Stage.CANARY)
    request(world, world.acting("p-5"), MODEL, 2, Stage.PROD, Action.BREAK_GLASS, WHY)
    decide(world, 2, who="p-4")


# ── the replay is what was decided ────────────────────────────────────────────────────────────────


def test_under_the_policy_that_was_in_force_nothing_flips(world: FakePlatform) -> None:
    lived(world)
    found = backtest(world, a_policy())
    assert [(each.version, each.target, each.action, each.then) for each in found] == [
        (1, "staging", "promote", "passed"),
        (1, "canary", "promote", "passed"),
        (1, "prod", "promote", "waited"),
        (1, "prod", "promote", "passed"),
        (2, "staging", "promote", "passed"),
        (2, "canary", "promote", "passed"),
        (2, "prod", "promote", "waited"),
        (2, "prod", "promote", "waited"),
        (2, "prod", "promote", "passed"),
        (2, "staging", "promote", "passed"),
        (2, "canary", "promote", "passed"),
        (3, "staging", "promote", "passed"),
        (3, "canary", "promote", "refused"),
        (2, "prod", "break_glass", "waited"),
        (2, "prod", "break_glass", "passed"),
    ]
    assert [each for each in found if each.flips] == []
    assert {each.followed for each in found} == {()}


def test_what_was_refused_for_who_asked_is_no_decision_of_a_policy(world: FakePlatform) -> None:
    with pytest.raises(Refused):
        climb(world, world.acting("p-6"), MODEL, 1, Stage.STAGING)
    with pytest.raises(Refused):
        decide(world)  # nothing is open
    assert backtest(world, LOOSE) == ()


def test_nothing_is_written(world: FakePlatform) -> None:
    lived(world)
    before = world.ledger.store.contents
    backtest(world, STRICT)
    assert world.ledger.store.contents is before


def test_a_decision_under_a_policy_that_was_replaced_is_replayed_too(world: FakePlatform) -> None:
    ask(world, to=Stage.STAGING)
    world.adopt(a_policy("2", standard=0))
    ask(world)
    assert flips(world, a_policy()) == [(1, "prod", "passed", "waited")]


# ── passed ────────────────────────────────────────────────────────────────────────────────────────


def test_what_passed_would_have_been_refused_and_what_followed_would_not_have_happened(
    world: FakePlatform,
) -> None:
    ask(world)
    decide(world)
    world.register(on_behalf_of="p-2", calibration_gap=Measure(-0.01, 1000, -0.02, 0.01))
    ask(world, 2, Stage.CANARY)
    world.entities = StatedEntities(world.frames / "entities")
    world.monitors.states(-0.02, -0.025, -0.01)  # type: ignore[attr-defined]
    world.scored(1, "2024-01", "prod")
    world.scored(2, "2024-01", "canary")
    later(world, 3)
    analyse(world, world.acting("s-4"), MODEL)  # it loses, goes back to candidate, and a review opens
    assert [each[1:] for each in flips(world, STRICT)] == [
        ("canary", "passed", "refused"),
    ]
    flip = only(world, STRICT)
    assert (flip.version, [reason.code for reason in flip.reasons]) == (1, ["evidence-failed"])
    assert "got packet.metrics.calibration_gap.value = 0.01" in flip.reasons[0].sentence
    assert flip.followed == (
        "version 1 would not have entered canary",
        "its 1 scored period (2024-01), its way from canary to prod on 2020-01-01 would not have happened",
    )
    second = demanding(
        replace(DEMANDS[Stage.CANARY], passes="packet.metrics.calibration_gap.value > 0", unclear="")
    )
    assert only(world, second).followed == (
        "version 2 would not have entered canary",
        (
            "its 1 scored period (2024-01), the canary analysis of 2024-01, review R-1, its way from canary to "
            "candidate on 2020-01-04 would not have happened"
        ),
    )


def test_what_passed_into_prod_would_have_left_the_other_one_there(world: FakePlatform) -> None:
    ask(world)
    decide(world)
    world.register(on_behalf_of="p-2")
    ask(world, 2)
    decide(world, 2)
    later(world, 2)
    lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, WHY)
    first = demanding(
        Demand("first", "there is nothing to compare with", "packet.champion.version == 0"), Stage.PROD
    )
    flipped = {(each.then, each.now): each.followed for each in backtest(world, first) if each.flips}
    assert flipped == {
        ("waited", "refused"): (
            "nobody would have been asked",
            "what happened: approved on 2020-01-01 by p-3, entered on 2020-01-01",
        ),
        ("passed", "refused"): (
            "version 2 would not have entered prod",
            "its way from prod to candidate on 2020-01-03 would not have happened",
            "version 1 would have stayed in prod",
        ),
    }


def test_what_passed_would_have_waited_for_more_people(world: FakePlatform) -> None:
    ask(world)
    decide(world)
    world.scored(1, "2024-01")
    flip = only(world, a_policy("2", standard=2))
    assert (flip.then, flip.now) == ("passed", "waited")
    assert [reason.sentence for reason in flip.reasons] == [
        "the gate into prod waits for 1 more approval by role `approver`"
    ]
    assert flip.followed == (
        "version 1 would have waited for people in front of prod",
        "its 1 scored period (2024-01) would have had to wait",
    )


def test_approvals_that_were_given_count_under_the_other_policy(world: FakePlatform) -> None:
    world.adopt(a_policy("2", standard=2))
    ask(world)
    decide(world)
    decide(world, who="p-4")
    assert flips(world, a_policy("3", standard=2)) == []
    assert [each[1:] for each in flips(world, a_policy("3", standard=3))] == [("prod", "passed", "waited")]


# ── waited ────────────────────────────────────────────────────────────────────────────────────────

FREE = a_policy("2", standard=0)


@pytest.mark.parametrize(
    ("after", "happened"),
    [
        (lambda world: decide(world, who="p-4"), "approved on 2020-01-03 by p-4, entered on 2020-01-03"),
        (lambda world: decide(world, action=Action.REJECT), "rejected on 2020-01-03 by p-3"),
        (lambda world: None, "nobody decided on it"),
    ],
)
def test_what_waited_would_have_passed_and_what_people_said_is_told(
    world: FakePlatform, after: Callable[[FakePlatform], None], happened: str
) -> None:
    ask(world)
    later(world, 2)
    after(world)
    flip = only(world, FREE)
    assert (flip.then, flip.now, flip.reasons) == ("waited", "passed", ())
    assert flip.followed == ("version 1 would have entered prod on 2020-01-01", f"what happened: {happened}")


def test_a_request_that_lapsed_is_told_as_one(tmp_path: Path) -> None:
    gate = replace(a_policy().gates[Tier.STANDARD][Stage.PROD], deadline=Deadline(7, lapse_after=30))
    world = FakePlatform(tmp_path, changed(with_gate(a_policy(), gate), "lapsing"))
    world.register(on_behalf_of="p-2")
    ask(world)
    later(world, 30)
    tend(world, world.acting("s-4"))
    assert only(world, FREE).followed[1] == "what happened: lapsed on 2020-01-31"


# ── refused ───────────────────────────────────────────────────────────────────────────────────────


def test_what_was_refused_would_have_passed(world: FakePlatform) -> None:
    bad = world.register(on_behalf_of="p-2", calibration_gap=BAD)
    ask(world, bad)
    flip = only(world, LOOSE)
    assert (flip.then, flip.now) == ("refused", "passed")
    assert flip.followed == (
        "version 2 would have entered canary on 2020-01-01",
        "what happened: it never entered",
    )


def test_what_was_refused_would_have_waited_for_people_and_entered_later(world: FakePlatform) -> None:
    ask(world)
    decide(world)
    world.register(on_behalf_of="p-2")
    world.trainer.gain = Measure(-0.02, 1000, -0.03, -0.01, "stated")
    ask(world, 2)
    later(world, 1)
    world.trainer.gain = Measure(0.02, 1000, 0.01, 0.03, "stated")
    ask(world, 2)
    decide(world, 2)
    lenient = demanding(
        replace(
            DEMANDS[Stage.PROD], passes="packet.champion.version == 0 || packet.champion.gain.low >= -0.03"
        ),
        Stage.PROD,
    )
    flip = only(world, lenient)
    assert (flip.version, flip.then, flip.now) == (2, "refused", "waited")
    assert flip.followed == (
        "version 2 would have waited for people in front of prod",
        "what happened: it entered on 2020-01-02",
    )


def test_what_the_moment_refused_is_asked_of_the_moment_again(tmp_path: Path) -> None:
    """Whether data were fresh is on record, though not in the packet: nothing flips that should not."""
    fresh = changed(
        replace(a_policy(), preconditions=Preconditions(fresh_days=45, rehearsed_hours=1)), "fresh"
    )
    world = FakePlatform(tmp_path, fresh)
    world.accept()
    world.register(on_behalf_of="p-2")
    ask(world)
    later(world, 46)
    with pytest.raises(Refused, match="the newest batch of trips is 46 days old"):
        climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    assert flips(world, fresh) == []
    patient = changed(replace(fresh, preconditions=Preconditions(fresh_days=90)), "patient")
    assert flips(world, patient) == [(1, "prod", "refused", "waited")]
    hasty = changed(
        replace(fresh, preconditions=Preconditions(fresh_days=45, failed_changes=(0, 90))), "hasty"
    )
    assert flips(world, hasty) == []
    world.accept("2024-02")
    ask(world)
    decide(world)
    lower(world, world.acting("p-5"), MODEL, Action.STOP, WHY)
    ask(world)  # refused for nothing but who must decide: it was taken out
    assert flips(world, hasty) == [(1, "prod", "waited", "refused")]


def test_a_way_back_that_could_not_be_tried_blocks_under_any_policy(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.models.put(replace(world.models.spec(MODEL), fallback=""))
    world.register(on_behalf_of="p-2")
    ask(world)
    assert flips(world, changed(FREE, "free")) == []
    (last,) = [each for each in backtest(world, changed(FREE, "free")) if each.target == "prod"]
    assert [reason.code for reason in last.reasons] == ["no-way-back"]


def test_a_tier_without_a_gate_and_a_section_that_nobody_supplied_refuse(world: FakePlatform) -> None:
    ask(world, to=Stage.STAGING)
    gate = Gate(
        Stage.STAGING, a_policy().gates[Tier.STANDARD][Stage.STAGING].demands, (), ("untested_slices",)
    )
    flip = only(world, changed(with_gate(a_policy(), gate), "untested"))
    assert [reason.code for reason in flip.reasons] == ["packet-gap"]
    flip = only(world, changed(replace(a_policy(), gates={}), "shut"))
    assert [reason.code for reason in flip.reasons] == ["no-gate"]


def test_break_glass_is_replayed_on_its_own_floor(world: FakePlatform) -> None:
    lived(world)
    without = changed(replace(a_policy(), break_glass=None), "no glass")
    assert flips(world, without) == [(2, "prod", "waited", "refused"), (2, "prod", "passed", "refused")]
    glass = a_policy().break_glass
    assert glass is not None
    many = changed(replace(a_policy(), break_glass=replace(glass, approvals=(Need("approver", 2),))), "many")
    assert flips(world, many) == [(2, "prod", "passed", "waited")]
