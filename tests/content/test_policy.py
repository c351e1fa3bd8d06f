"""The team's own policy: it loads, it says what it says, and each threshold flips where it is written."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.adapters.cel_expressions import CelExpressions
from tidegate.adapters.model_folders import ModelFolders
from tidegate.adapters.policy_files import PolicyFiles
from tidegate.adapters.shared.sql import write_frame
from tidegate.adapters.sklearn_trainer import SklearnTrainer
from tidegate.application.canary import analyse
from tidegate.application.judgement import coverage, findings, run_tests
from tidegate.application.packet import gather
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.application.standing import lifecycle
from tidegate.application.train import windows
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Measure, Verdict
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Certification, Deadline, Need, Preconditions, Stage, Tier
from tidegate.domain.policy_change import eligible, understaffed
from tidegate.domain.rollout import judge_canary
from tidegate.testing.cases import MODEL, an_actor
from tidegate.testing.fakes.platform import FakePlatform, StatedEntities

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
P, F, U, E = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.ERROR
GATES = (Stage.STAGING, Stage.CANARY, Stage.PROD)
ABSENT = object()


@pytest.fixture(scope="module")
def policy():
    return PolicyFiles(MODELS / "policy", CelExpressions()).load()


@pytest.fixture(scope="module")
def sound(policy):
    """Return the packet that the policy's own tests start from."""
    return next(test.facts for test in policy.tests if test.name == "a sound version goes to staging")


@pytest.fixture(scope="module")
def number(sound):
    """Return the same of a model that predicts minutes."""
    facts = copy.deepcopy(sound)
    packet = facts["packet"]
    packet["prediction"] = "number"
    packet["metrics"] = {
        "mae": {"value": 10.0, "finite": True},
        "calibration_gap": {"value": -1.0, "low": -4.0, "high": 2.0, "finite": True},
        "skill": {"value": 0.3, "low": 0.2, "high": 0.4, "finite": True},
    }
    packet["slices"] = {f"origin={name}": {"skill": {"value": 0.2, "high": 0.3}} for name in ("EWR", "LGA")}
    packet["champion"] |= {"loss": "mae", "champion_loss": 10.0, "gain": {"low": -0.1, "high": 0.3}}
    return facts


def verdict(policy, facts, to, demand, changes, tier=Tier.STANDARD):
    facts = copy.deepcopy(facts)
    for path, value in changes.items():
        place = facts["packet"]
        *above, last = path.split("/")
        for name in above:
            place = place[name]
        if value is ABSENT:
            del place[last]
        else:
            place[last] = value
    found = findings(policy.gate(tier, to), facts, CelExpressions())
    return next(finding.verdict for finding in found if finding.demand == demand)


def test_its_own_tests_pass_and_exercise_every_demand_of_every_tier(policy):
    assert len(policy.tests) >= 40
    assert run_tests(policy, CelExpressions()) == ()
    assert coverage(policy) == ()


@pytest.mark.parametrize("kind", ["sound", "number"])
def test_a_sound_packet_passes_every_gate_of_every_tier(policy, kind, request):
    for tier in Tier:
        for to in GATES:
            found = findings(policy.gate(tier, to), request.getfixturevalue(kind), CelExpressions())
            assert {finding.verdict for finding in found} == {P}


def test_an_empty_packet_opens_no_gate_and_every_demand_of_it_is_an_error(policy):
    for to in GATES:
        found = findings(policy.gate(Tier.STANDARD, to), {"packet": {}}, CelExpressions())
        assert {finding.verdict for finding in found} == {E}


def test_approvals_are_asked_for_prod_alone_one_in_standard_and_one_of_each_role_in_high(policy):
    asked = {
        (tier, to): policy.gate(tier, to).approvals
        for tier in Tier
        for to in GATES
        if policy.gate(tier, to).approvals
    }
    assert asked == {
        (Tier.STANDARD, Stage.PROD): (Need("approver", 1),),
        (Tier.HIGH, Stage.PROD): (Need("approver", 1), Need("risk_officer", 1)),
    }


def test_only_in_front_of_prod_people_have_a_week_are_reminded_then_a_risk_officer_then_it_lapses(policy):
    for tier in Tier:
        assert [policy.gate(tier, to).deadline for to in GATES] == [
            None,
            None,
            Deadline(7, 3, "risk_officer", 30),
        ]


def test_every_section_that_a_gate_requires_is_one_that_the_engine_seals(policy, sealed):
    before, facts = sealed
    for tier in Tier:
        for to in GATES:
            gate = policy.gate(tier, to)
            assert set(gate.requires) <= set(facts)
            for packet in (before, facts):
                found = findings(gate, {"packet": packet}, CelExpressions())
                assert [
                    each.demand
                    for each in found
                    if each.demand.startswith("section") and each.verdict is not P
                ] == []


def test_what_must_hold_at_the_moment_and_for_how_long_it_holds(policy):
    assert policy.preconditions == Preconditions(45, 1, 14, (3, 90), fresh_views=True)
    assert policy.certification == {
        Tier.STANDARD: Certification(180, 14, "approver"),
        Tier.HIGH: Certification(90, 14, "risk_officer", on_drift=True),
    }


def test_an_emergency_has_a_floor_another_person_and_a_review_within_three_days(policy):
    glass = policy.break_glass
    assert [demand.id for demand in glass.demands] == [
        "safe_artifact",
        "data_gates",
        "finite_numbers",
        "way_back",
    ]
    assert (glass.approvals, glass.review_days, glass.role) == ((Need("approver", 1),), 3, "reviewer")


def test_another_policy_takes_one_of_each_role(policy):
    assert policy.changes == (Need("approver", 1), Need("risk_officer", 1))


@pytest.mark.parametrize("folder", ["models/policy", "src/tidegate/templates/project/models/policy"])
def test_the_people_of_the_embedded_profile_can_meet_every_policy_that_is_shipped(folder):
    accounts = tomllib.loads((ROOT / "infra" / "profiles" / "embedded.toml").read_text())["accounts"]
    people = [an_actor(f"{row['kind'][0]}-{number}", *row["roles"]) for number, row in enumerate(accounts)]
    shipped = PolicyFiles(ROOT / folder, CelExpressions()).load()
    assert understaffed(shipped, eligible(people, {row.id for row in people})) == []
    assert understaffed(shipped, eligible(people[1:3], {"p-1", "p-2"})) != []


def test_no_tier_demands_less_than_another_of_the_evidence(policy):
    for to in GATES:
        demands = {tuple(demand.id for demand in policy.gate(tier, to).demands) for tier in Tier}
        assert len(demands) == 1


def test_everything_but_a_pass_is_reviewed_within_a_week(policy):
    assert (set(policy.review.on), policy.review.due_days, policy.review.role) == ({F, U, E}, 7, "reviewer")


def test_every_tier_has_a_rollout_rule_that_asks_for_the_labels_that_its_gate_holds(policy, sound):
    assert set(policy.rollout) == set(Tier)
    for tier, rule in policy.rollout.items():
        waits = {"canary/verdict": "inconclusive", "canary/standing": "unclear"}
        enough = {**waits, "canary/labelled_share": rule.labelled_share}
        less = {**waits, "canary/labelled_share": rule.labelled_share - 0.001}
        assert verdict(policy, sound, Stage.PROD, "canary_held", enough, tier) is U
        assert verdict(policy, sound, Stage.PROD, "canary_held", less, tier) is F
        assert 0 < rule.may_lose <= 0.03
    assert policy.rollout[Tier.HIGH].may_lose <= policy.rollout[Tier.STANDARD].may_lose


@pytest.mark.parametrize(
    ("labelled", "days", "gain", "expected"),
    [
        (0, 0, None, U),  # before any arrival was delivered
        (470, 15, (0.01, 0.005, 0.015), U),  # half a month, however good
        (946, 28, (0.001, -0.002, 0.004), P),  # the stormy February: 5.4 % never get a label
        (970, 31, (-0.003, -0.0043, -0.0017), U),
        (970, 31, (-0.006, -0.009, -0.0041), F),
    ],
)
def test_a_month_s_canary_is_judged_once_its_labels_are_there(policy, labelled, days, gain, expected):
    measure = gain and Measure(gain[0], labelled, gain[1], gain[2], "days")
    loss = Measure(0.2, labelled, 0.18, 0.22, "days")  # two per cent of it are 0.004
    found = judge_canary(policy.rollout[Tier.STANDARD], 1000, labelled, days, measure, loss)
    assert found.verdict is expected


AUC, GAP, GAIN, CANARY = "metrics/roc_auc/", "metrics/calibration_gap/", "champion/gain/", "canary/"
SKILL, MAE, LGA = "metrics/skill/", "metrics/mae/", "slices/origin=LGA/"
UNCLEAR = {CANARY + "verdict": "inconclusive", CANARY + "standing": "unclear"}


@pytest.mark.parametrize(
    ("to", "demand", "changes", "expected"),
    [
        ("staging", "safe_artifact", {"parity/max_abs_difference": 1e-6}, P),
        ("staging", "safe_artifact", {"parity/max_abs_difference": 1.01e-6}, F),
        ("staging", "safe_artifact", {"parity/verdict": "failed"}, F),
        ("staging", "safe_artifact", {"parity/max_abs_difference": None}, E),
        ("staging", "safe_artifact", {"prediction": ABSENT}, E),
        ("staging", "data_gates", {"data/gates/failed": 1}, F),
        ("staging", "data_gates", {"data/gates/passed": 1}, F),
        ("staging", "data_whole", {"data/training_set": "tg1:b3"}, F),
        ("staging", "data_whole", {"data/training_set": None}, E),
        ("staging", "data_whole", {"data/registered": ABSENT}, E),
        ("staging", "features_current", {"features/redefined": ["carrier_day"]}, U),
        ("staging", "features_current", {"features/redefined": ABSENT}, E),
        ("staging", "data_current", {"data/restated": 0}, P),
        ("staging", "data_current", {"data/restated": 1}, U),
        ("staging", "data_current", {"data/restated": None}, E),
        ("staging", "finite_numbers", {"metrics/brier/finite": False}, F),
        ("staging", "finite_numbers", {"metrics": {}}, F),
        ("staging", "enough_rows", {"coverage/measured": 500, "coverage/scheduled": 500}, P),
        ("staging", "enough_rows", {"coverage/measured": 499, "coverage/scheduled": 499}, F),
        ("staging", "enough_rows", {"coverage/days": 14}, P),
        ("staging", "enough_rows", {"coverage/days": 13}, F),
        ("staging", "enough_rows", {"coverage/measured": 8500, "coverage/scheduled": 10000}, P),
        ("staging", "enough_rows", {"coverage/measured": 8499, "coverage/scheduled": 10000}, F),
        ("staging", "enough_rows", {"coverage/days": ABSENT}, E),
        ("staging", "of_use", {AUC + "low": 0.55}, P),
        ("staging", "of_use", {AUC + "low": 0.5499}, U),
        ("staging", "of_use", {AUC + "low": 0.4, AUC + "high": 0.55}, U),
        ("staging", "of_use", {AUC + "low": 0.4, AUC + "high": 0.5499}, F),
        ("staging", "of_use", {AUC + "low": None}, E),
        ("staging", "of_use", {SKILL + "low": -1.0}, P),  # of a probability the ranking decides
        ("canary", "calibrated", {GAP + "value": 0.10}, P),
        ("canary", "calibrated", {GAP + "value": -0.10}, P),
        ("canary", "calibrated", {GAP + "value": 0.1001, GAP + "low": 0.1, GAP + "high": 0.2}, U),
        ("canary", "calibrated", {GAP + "value": 0.12, GAP + "low": 0.1001, GAP + "high": 0.2}, F),
        ("canary", "calibrated", {GAP + "value": -0.12, GAP + "low": -0.2, GAP + "high": -0.1001}, F),
        ("canary", "no_slice_left_behind", {LGA + "roc_auc/value": 0.55}, P),
        ("canary", "no_slice_left_behind", {LGA + "roc_auc/value": 0.5499}, U),
        ("canary", "no_slice_left_behind", {LGA + "roc_auc/value": 0.5, LGA + "roc_auc/high": 0.5499}, F),
        ("canary", "no_slice_left_behind", {"slices/origin=LGA": ABSENT}, F),
        ("canary", "no_slice_left_behind", {"slices": {}}, F),
        ("prod", "data_whole", {"data/training_set": "tg1:b3"}, F),
        ("prod", "features_current", {"features/redefined": ["carrier_day"]}, U),
        ("prod", "data_current", {"data/restated": 1}, U),
        ("prod", "not_worse", {"champion/champion_loss": 0.2, GAIN + "low": -0.006}, P),
        ("prod", "not_worse", {"champion/champion_loss": 0.2, GAIN + "low": -0.0061}, U),
        ("prod", "not_worse", {"champion/champion_loss": 0.1, GAIN + "low": -0.006}, U),
        ("prod", "not_worse", {"champion/champion_loss": 0.2, GAIN + "low": -0.02, GAIN + "high": -0.006}, U),
        (
            "prod",
            "not_worse",
            {"champion/champion_loss": 0.2, GAIN + "low": -0.02, GAIN + "high": -0.0061},
            F,
        ),
        ("prod", "not_worse", {"champion": {"version": 0}}, P),
        ("prod", "not_worse", {"champion": {"version": 3}}, E),
        ("prod", "not_worse", {"champion/champion_loss": None}, E),
        ("prod", "canary_held", {"canary": {"verdict": "none"}}, F),
        ("prod", "canary_held", {CANARY + "verdict": "failed", CANARY + "standing": "worse"}, F),
        ("prod", "canary_held", {CANARY + "verdict": "error", CANARY + "standing": "waits"}, F),
        ("prod", "canary_held", {CANARY + "verdict": "inconclusive", CANARY + "standing": "waits"}, F),
        ("prod", "canary_held", UNCLEAR, U),
        ("prod", "canary_held", {**UNCLEAR, CANARY + "labelled_share": 0.90}, U),
        ("prod", "canary_held", {**UNCLEAR, CANARY + "labelled_share": 0.8999}, F),
        ("prod", "canary_held", {**UNCLEAR, "champion/version": 3}, F),
        ("prod", "canary_held", {"champion/version": 3}, F),
        ("prod", "canary_held", {"champion": {"version": 0}, CANARY + "baseline": 0}, P),
        ("prod", "canary_held", {"canary": {}}, E),
        ("prod", "canary_held", {"canary": ABSENT}, E),
        ("prod", "way_back", {"way_back": {"kind": "hope", "declared": "yes"}}, F),
        ("prod", "way_back", {"way_back": {}}, E),
    ],
)
def test_each_threshold_flips_where_it_is_written(policy, sound, to, demand, changes, expected):
    assert verdict(policy, sound, Stage(to), demand, changes) is expected


@pytest.mark.parametrize(
    ("to", "demand", "changes", "expected"),
    [
        ("staging", "safe_artifact", {"parity/max_abs_difference": 1e-5}, P),
        ("staging", "safe_artifact", {"parity/max_abs_difference": 1.01e-5}, F),
        ("staging", "of_use", {SKILL + "low": 0}, P),
        ("staging", "of_use", {SKILL + "low": -0.0001}, U),
        ("staging", "of_use", {SKILL + "low": -0.2, SKILL + "high": 0}, U),
        ("staging", "of_use", {SKILL + "low": -0.2, SKILL + "high": -0.0001}, F),
        ("staging", "of_use", {"metrics/skill": ABSENT}, E),
        ("canary", "calibrated", {GAP + "value": -5.0}, P),
        ("canary", "calibrated", {GAP + "value": 5.0, GAP + "high": 9.0}, P),
        ("canary", "calibrated", {GAP + "value": -5.01, GAP + "low": -9.0, GAP + "high": -5.0}, U),
        ("canary", "calibrated", {GAP + "value": -6.0, GAP + "low": -9.0, GAP + "high": -5.01}, F),
        ("canary", "calibrated", {GAP + "value": 6.0, GAP + "low": 5.01, GAP + "high": 9.0}, F),
        ("canary", "calibrated", {MAE + "value": None}, E),
        ("canary", "no_slice_left_behind", {LGA + "skill/value": 0}, P),
        ("canary", "no_slice_left_behind", {LGA + "skill/value": -0.001}, U),
        ("canary", "no_slice_left_behind", {LGA + "skill": {"value": -0.1, "high": -0.001}}, F),
        ("canary", "no_slice_left_behind", {LGA + "skill": ABSENT}, E),
        ("prod", "not_worse", {GAIN + "low": -0.3}, P),
        ("prod", "not_worse", {GAIN + "low": -0.31}, U),
        ("prod", "not_worse", {GAIN + "low": -0.9, GAIN + "high": -0.31}, F),
    ],
)
def test_each_threshold_of_a_number_flips_where_it_is_written(policy, number, to, demand, changes, expected):
    assert verdict(policy, number, Stage(to), demand, changes) is expected


# ── what the engine really seals ──────────────────────────────────────────────────────────────────

END = datetime(2013, 4, 4, tzinfo=UTC)


def rows(spec, seed):
    """Return 70 days of what a model's rows and features look like; the first input tells the label."""
    import numpy as np
    import pyarrow as pa

    draw, each, size = np.random.default_rng(seed), 60, 70 * 60
    moments = [END - timedelta(days=70) + timedelta(days=1) * (step / each) for step in range(size)]
    columns = {name: draw.random(size) for name in spec.numeric}
    columns |= {name: draw.choice(["AA", "BB"], size) for name in {*spec.keys, *spec.categorical}}
    columns["origin"] = draw.choice(["EWR", "JFK", "LGA"], size)
    told = columns[spec.numeric[0]]
    likely = draw.random(size) < 0.1 + 0.4 * told
    label = likely if spec.prediction == "probability" else 30 * told + draw.normal(0, 8, size)
    return pa.table(
        {
            **columns,
            spec.entity_time: pa.array(moments, pa.timestamp("us", "UTC")),
            spec.label_time: pa.array([at + timedelta(hours=8) for at in moments], pa.timestamp("us", "UTC")),
            spec.label: label,
            "status": ["arrived"] * size,
        }
    )


class Engine(FakePlatform):
    """A world whose versions are trained, converted and measured for real, from one of the team's models."""

    def __init__(self, home, policy, model):
        super().__init__(home, policy)
        self.expressions, self.trainer = CelExpressions(), SklearnTrainer(home)
        self.entities = StatedEntities(home / "entities")
        self.models.put(replace(ModelFolders(MODELS).spec(model), name=MODEL, tier="standard"))
        self.batch = self.accept()
        for dataset in self.models.spec(MODEL).datasets[1:]:  # a version enters prod on fresh data alone
            self.accept(dataset=dataset)

    def _trained(self, measured):
        spec = self.models.spec(MODEL)
        seed = sum(1 for _ in self.ledger.events())
        frame = write_frame(rows(spec, seed), self.frames / "frames", (spec.entity_time, *spec.keys))
        learned = {"digest": frame.digest, "model": MODEL, "service": spec.service, "entities": frame.digest}
        learned |= {"rows": frame.rows, "batches": [self.batch], "windows": {}}
        self.write(EventType.TRAINING_SET_BUILT, learned, "s-1", f"model/{MODEL}")
        return self.trainer.train(spec, frame, windows(spec, END)), frame


@pytest.fixture(scope="module", params=["flight_delay", "origin_delay"])
def sealed(request, policy, tmp_path_factory):
    """Return the packet of a second version whose canary was analysed beside the live first."""
    world = Engine(tmp_path_factory.mktemp(request.param), policy, request.param)
    world.monitors.states(0.01, 0.005, 0.015, labelled=960)
    for number, period in ((1, "2013-04"), (2, "2013-05")):
        world.register(on_behalf_of="p-2")
        climb(world, world.acting("p-2"), MODEL, number, Stage.CANARY)
        if number == 2:
            world.scored(1, period)
        world.scored(number, period, "canary")
        if number == 1:
            analyse(world, world.acting("s-4"), MODEL)
            resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, "It held in April.")
    before = packet(world)
    analyse(world, world.acting("s-4"), MODEL)
    return before, packet(world)


def packet(world):
    state = world.ledger.state()
    life = lifecycle(state, MODEL)
    return gather(world, state, life, life.versions[2]).facts


def test_no_demand_is_an_error_on_a_packet_that_the_engine_seals(policy, sealed):
    _, facts = sealed
    assert (facts["champion"]["version"], facts["canary"]["baseline"]) == (1, 1)
    for tier in Tier:
        for to in GATES:
            found = findings(policy.gate(tier, to), {"packet": facts}, CelExpressions())
            told = {finding.demand: finding.sentence for finding in found if finding.verdict is E}
            assert told == {}


def test_before_its_canary_is_analysed_a_version_is_refused_and_afterwards_it_is_not(policy, sealed):
    verdicts = [verdict(policy, {"packet": facts}, Stage.PROD, "canary_held", {}) for facts in sealed]
    assert verdicts == [F, P]
    assert sealed[0]["canary"] == {"verdict": "none"}


def test_the_example_has_the_form_of_a_packet_that_the_engine_seals(sound, sealed):
    example, (_, facts) = sound["packet"], sealed
    assert set(example) == set(facts)
    assert example["schema"] == facts["schema"]
    for name in ("artifact", "policy", "features", "untested_slices", "parity", "champion", "way_back"):
        assert set(example[name]) <= set(facts[name]), name
    for name in ("slices_against_champion", "canary", "rollback_plan", "lineage", "open_risks"):
        assert set(example[name]) <= set(facts[name]), name
    assert set(example["lineage"]["batches"][0]) == set(facts["lineage"]["batches"][0])
    assert {frozenset(each) for each in example["evidence"]} == {
        frozenset(each) for each in facts["evidence"]
    }
    assert set(example["data"]) <= set(facts["data"])
    counted = {"scheduled", "measured", "days", "label_not_yet_known", "arrived"}
    assert counted <= set(example["coverage"])
    assert counted <= set(facts["coverage"])
    if facts["prediction"] == example["prediction"]:
        assert set(example["metrics"]) <= set(facts["metrics"])
        assert {len(slice_) for slice_ in example["slices"].values()} == {1}
        assert all("roc_auc" in measures for measures in facts["slices"].values())
    measure = set(example["champion"]["gain"])
    assert measure == set(facts["champion"]["gain"]) == set(facts["canary"]["gain"])
