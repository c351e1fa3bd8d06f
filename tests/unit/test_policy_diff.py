"""What two policies say differently, part by part; and what a version would come to under another one now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.application.as_if import outcome
from tidegate.application.promote import climb
from tidegate.application.simulate import simulate
from tidegate.domain.errors import BadInput
from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import (
    Certification,
    Deadline,
    Need,
    Policy,
    PolicyTest,
    Preconditions,
    Stage,
    Tier,
)
from tidegate.domain.policy_diff import differences
from tidegate.testing.cases import DEMANDS, MODEL, ROLLOUT, a_policy, with_gate
from tidegate.testing.fakes.platform import FakePlatform

HERE = a_policy()
PROD = HERE.gates[Tier.STANDARD][Stage.PROD]
GLASS = HERE.break_glass
assert GLASS is not None


def with_prod(**more: object) -> Policy:
    return with_gate(HERE, replace(PROD, **more))  # type: ignore[arg-type]


def with_test(*tests: PolicyTest) -> Policy:
    return replace(HERE, tests=tests)


TEST = PolicyTest("sound", Tier.LOW, Stage.PROD, {"packet": {"auc": 0.7}}, {"not_worse": Verdict.PASSED})
LOOSER = replace(DEMANDS[Stage.PROD], passes="packet.champion.gain.low >= -0.1")


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (HERE, []),
        (replace(HERE, body="# a comment", digest="sha256:other"), []),
        (replace(HERE, version="2", name="trains"), [("policy", "trams", "trains"), ("version", "1", "2")]),
        (with_prod(approvals=()), [("gates.standard.prod.approvals.approver", "1", "")]),
        (
            with_prod(approvals=(Need("approver", 2), Need("risk_officer", 1))),
            [
                ("gates.standard.prod.approvals.approver", "1", "2"),
                ("gates.standard.prod.approvals.risk_officer", "", "1"),
            ],
        ),
        (with_prod(requires=("lineage",)), [("gates.standard.prod.requires.lineage", "", "asked")]),
        (
            with_prod(demands=(DEMANDS[Stage.STAGING],)),
            [
                ("gates.standard.prod.demands.not_worse", "asked", ""),
                ("gates.standard.prod.demands.safe", "", "asked"),
            ],
        ),
        (
            with_prod(deadline=Deadline(7, escalate_to="risk_officer")),
            [
                ("gates.standard.prod.deadline.due", "", "7"),
                ("gates.standard.prod.deadline.escalate_to", "", "risk_officer"),
            ],
        ),
        (
            replace(
                HERE,
                preconditions=Preconditions(fresh_days=45, failed_changes=(0, 90), fresh_views=True),
            ),
            [
                ("preconditions.fresh_days", "", "45"),
                ("preconditions.failed_changes", "", "0 in 90 days"),
                ("preconditions.fresh_views", "", "true"),
            ],
        ),
        (
            replace(HERE, certification={Tier.HIGH: Certification(90, 14, "risk_officer", on_drift=True)}),
            [
                ("certification.high.days", "", "90"),
                ("certification.high.review_days", "", "14"),
                ("certification.high.role", "", "risk_officer"),
                ("certification.high.on_drift", "", "true"),
            ],
        ),
        (
            replace(HERE, break_glass=None),
            [
                ("break_glass.demands.safe", "asked", ""),
                ("break_glass.approvals.approver", "1", ""),
                ("break_glass.review_days", "3", ""),
                ("break_glass.role", "reviewer", ""),
            ],
        ),
        (replace(HERE, changes=(Need("approver", 2),)), [("changes.approvals.approver", "1", "2")]),
        (
            replace(HERE, rollout={**HERE.rollout, Tier.HIGH: replace(ROLLOUT, may_lose=0.0)}),
            [("rollout.high.may_lose", "0.02", "0")],
        ),
        (
            replace(HERE, review=replace(HERE.review, on=(Verdict.FAILED,), due_days=3)),
            [
                ("review.on", "failed, inconclusive, error", "failed"),
                ("review.due_days", "7", "3"),
            ],
        ),
    ],
)
def test_each_part_that_differs_is_named(after: Policy, found: list[tuple[str, str, str]]) -> None:
    assert [(each.part, each.before, each.after) for each in differences(HERE, after)] == found
    back = [(part, now, then) for part, then, now in found]
    assert sorted((each.part, each.before, each.after) for each in differences(after, HERE)) == sorted(back)


def test_a_demand_that_says_otherwise_is_named_once_wherever_it_is_asked() -> None:
    after = HERE
    for tier in Tier:
        after = with_gate(after, replace(HERE.gates[tier][Stage.PROD], demands=(LOOSER,)), tier)
    (found,) = differences(HERE, after)
    assert (found.part, found.after) == ("demands.not_worse.passes", LOOSER.passes)


def test_a_test_that_expects_otherwise_or_starts_from_other_facts_is_named() -> None:
    where = "tests.sound (low, prod)"
    (found,) = differences(with_test(TEST), with_test(replace(TEST, expect={"not_worse": Verdict.FAILED})))
    assert (found.part, found.after.split(",")[0]) == (where, "not_worse failed")
    (found,) = differences(with_test(TEST), with_test(replace(TEST, facts={"packet": {"auc": 0.8}})))
    assert (found.part, found.before.split(",")[0]) == (where, "everything passes")
    assert found.before != found.after


# ── simulating ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world whose version 1 stands in canary and waits for a person."""
    platform = FakePlatform(tmp_path)
    platform.register(on_behalf_of="p-2")
    climb(platform, platform.acting("p-2"), MODEL, 1, Stage.PROD)
    return platform


def test_a_version_is_tried_on_another_policy_and_nothing_is_written(world: FakePlatform) -> None:
    before = world.ledger.store.contents
    assert outcome(simulate(world, MODEL, 1, HERE).decision) == "waited"
    assert outcome(simulate(world, MODEL, 1, a_policy("2", standard=0)).decision) == "passed"
    gap = simulate(world, MODEL, 1, with_prod(requires=("untested_slices",)))
    assert outcome(gap.decision) == "refused"
    assert world.ledger.store.contents is before


def test_a_demand_that_changed_is_said_to_judge_only_what_is_measured_later(world: FakePlatform) -> None:
    assert simulate(world, MODEL, 1, a_policy("2")).too_late == ()
    looser = HERE
    for tier in Tier:
        gate = replace(HERE.gates[tier][Stage.PROD], demands=(LOOSER, DEMANDS[Stage.STAGING]))
        looser = with_gate(looser, gate, tier)
    assert simulate(world, MODEL, 1, looser).too_late == ("not_worse",)


def test_an_unknown_version_is_bad_input(world: FakePlatform) -> None:
    with pytest.raises(BadInput, match="got version 9"):
        simulate(world, MODEL, 9, HERE)
