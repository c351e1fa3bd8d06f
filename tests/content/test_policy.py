"""The team's own policy: it loads, it says what it says, and each threshold flips where it is written."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tidegate.adapters.cel_expressions import CelExpressions
from tidegate.adapters.policy_files import PolicyFiles
from tidegate.application.judgement import coverage, findings, run_tests
from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import Need, Stage, Tier

FOLDER = Path(__file__).parents[2] / "models" / "policy"
P, F, U, E = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.ERROR


@pytest.fixture(scope="module")
def policy():
    return PolicyFiles(FOLDER, CelExpressions()).load()


@pytest.fixture(scope="module")
def sound(policy):
    """Return the packet that the policy's own tests start from."""
    return next(test.facts for test in policy.tests if test.name == "a sound version goes to staging")


def verdict(policy, sound, to, demand, changes, tier=Tier.STANDARD):
    facts = copy.deepcopy(sound)
    for path, value in changes.items():
        place = facts["packet"]
        *above, last = path.split("/")
        for name in above:
            place = place[name]
        place[last] = value
    found = findings(policy.gate(tier, to), facts, CelExpressions())
    return next(finding.verdict for finding in found if finding.demand == demand)


def test_its_own_tests_pass_and_exercise_every_demand_of_every_tier(policy):
    assert len(policy.tests) >= 40
    assert run_tests(policy, CelExpressions()) == ()
    assert coverage(policy) == ()


def test_a_sound_packet_passes_every_gate_of_every_tier(policy, sound):
    for tier in Tier:
        for to in (Stage.STAGING, Stage.CANARY, Stage.PROD):
            found = findings(policy.gate(tier, to), sound, CelExpressions())
            assert {finding.verdict for finding in found} == {P}


def test_an_empty_packet_opens_no_gate_and_every_demand_of_it_is_an_error(policy):
    for to in (Stage.STAGING, Stage.CANARY, Stage.PROD):
        found = findings(policy.gate(Tier.STANDARD, to), {"packet": {}}, CelExpressions())
        assert {finding.verdict for finding in found} == {E}


def test_approvals_are_asked_for_prod_alone_one_in_standard_and_two_in_high(policy):
    asked = {
        (tier, to): policy.gate(tier, to).approvals
        for tier in Tier
        for to in (Stage.STAGING, Stage.CANARY, Stage.PROD)
        if policy.gate(tier, to).approvals
    }
    assert asked == {
        (Tier.STANDARD, Stage.PROD): (Need("approver", 1),),
        (Tier.HIGH, Stage.PROD): (Need("approver", 2),),
    }


def test_everything_but_a_pass_is_reviewed_within_a_week(policy):
    assert (set(policy.review.on), policy.review.due_days, policy.review.role) == ({F, U, E}, 7, "reviewer")


AUC, GAP, GAIN = "metrics/roc_auc/", "metrics/calibration_gap/", "champion/brier_gain/"


@pytest.mark.parametrize(
    ("to", "demand", "changes", "expected"),
    [
        ("staging", "safe_artifact", {"parity/max_abs_difference": 1e-6}, P),
        ("staging", "safe_artifact", {"parity/max_abs_difference": 1.01e-6}, F),
        ("staging", "safe_artifact", {"parity/verdict": "failed"}, F),
        ("staging", "safe_artifact", {"parity/max_abs_difference": None}, E),
        ("staging", "enough_rows", {AUC + "n": 5000, "coverage/scheduled": 5000}, P),
        ("staging", "enough_rows", {AUC + "n": 4999, "coverage/scheduled": 5000}, F),
        ("staging", "enough_rows", {AUC + "n": 8500, "coverage/scheduled": 10000}, P),
        ("staging", "enough_rows", {AUC + "n": 8499, "coverage/scheduled": 10000}, F),
        ("staging", "ranks_flights", {AUC + "low": 0.55}, P),
        ("staging", "ranks_flights", {AUC + "low": 0.5499}, U),
        ("staging", "ranks_flights", {AUC + "low": 0.4, AUC + "high": 0.55}, U),
        ("staging", "ranks_flights", {AUC + "low": 0.4, AUC + "high": 0.5499}, F),
        ("staging", "ranks_flights", {AUC + "low": None}, E),
        ("staging", "finite_numbers", {"metrics/brier/finite": False}, F),
        ("staging", "finite_numbers", {"metrics": {}}, F),
        ("staging", "data_gates", {"data/gates/failed": 1}, F),
        ("staging", "data_gates", {"data/gates/passed": 1}, F),
        ("canary", "calibrated", {GAP + "value": 0.10}, P),
        ("canary", "calibrated", {GAP + "value": -0.10}, P),
        ("canary", "calibrated", {GAP + "value": 0.1001, GAP + "low": 0.1}, U),
        ("canary", "calibrated", {GAP + "value": 0.12, GAP + "low": 0.1001, GAP + "high": 0.2}, F),
        ("canary", "calibrated", {GAP + "value": -0.12, GAP + "low": -0.2, GAP + "high": -0.1001}, F),
        ("canary", "no_slice_left_behind", {"slices/origin=LGA/roc_auc/value": 0.55}, P),
        ("canary", "no_slice_left_behind", {"slices/origin=LGA/roc_auc/value": 0.5499}, U),
        ("canary", "no_slice_left_behind", {"slices": {}}, F),
        ("prod", "not_worse", {GAIN + "low": -0.005}, P),
        ("prod", "not_worse", {GAIN + "low": -0.0051}, U),
        ("prod", "not_worse", {GAIN + "low": -0.02, GAIN + "high": -0.005}, U),
        ("prod", "not_worse", {GAIN + "low": -0.02, GAIN + "high": -0.0051}, F),
        ("prod", "not_worse", {"champion": {"version": 0}}, P),
        ("prod", "not_worse", {"champion": {"version": 3}}, E),
        ("prod", "way_back", {"way_back": {"kind": "hope", "declared": "yes"}}, F),
        ("prod", "way_back", {"way_back": {}}, E),
    ],
)
def test_each_threshold_flips_where_it_is_written(policy, sound, to, demand, changes, expected):
    assert verdict(policy, sound, Stage(to), demand, changes) is expected
