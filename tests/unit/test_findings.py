from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.application.judgement import coverage, findings, run_tests
from tidegate.domain.evidence import Verdict
from tidegate.domain.policy import BreakGlass, Demand, Gate, Policy, PolicyTest, ReviewRule, Stage, Tier
from tidegate.testing.fakes.expressions import FakeExpressions

RANKS = Demand(
    "ranks", "the interval is at least 0.55", "packet.auc.low >= 0.55", "packet.auc.high >= 0.55", 7
)
SAFE = Demand("safe", "it is ONNX", 'packet.format == "onnx"', line=9)
GATE = Gate(Stage.STAGING, (RANKS, SAFE))


def packet(low, high, kind="onnx"):
    return {"packet": {"auc": {"low": low, "high": high}, "format": kind}}


def verdicts(facts):
    return {finding.demand: finding.verdict for finding in findings(GATE, facts, FakeExpressions())}


def policy(*tests, tier=Tier.STANDARD):
    review = ReviewRule((Verdict.FAILED,), 7, "reviewer")
    return Policy("p", "1", "sha256:p", "body", {tier: {Stage.STAGING: GATE}}, review, tests)


def example(name="one", facts=None, line=20, **expect):
    expected = {demand: Verdict(verdict) for demand, verdict in expect.items()}
    return PolicyTest(name, Tier.STANDARD, Stage.STAGING, facts or packet(0.6, 0.7), expected, line)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.55, 0.70, Verdict.PASSED),
        (0.54, 0.55, Verdict.INCONCLUSIVE),
        (0.40, 0.54, Verdict.FAILED),
        (None, 0.70, Verdict.ERROR),
        (0.54, None, Verdict.ERROR),
    ],
)
def test_a_demand_passes_is_unclear_fails_or_cannot_be_measured(low, high, verdict):
    assert verdicts(packet(low, high)) == {"ranks": verdict, "safe": Verdict.PASSED}


def test_a_demand_without_a_doubtful_range_fails():
    assert verdicts(packet(0.6, 0.7, "pickle"))["safe"] is Verdict.FAILED


def test_every_demand_has_its_finding_in_the_gate_s_order_even_after_an_error():
    found = findings(GATE, {"packet": {"format": "onnx"}}, FakeExpressions())
    assert [(each.demand, each.verdict) for each in found] == [
        ("ranks", Verdict.ERROR),
        ("safe", Verdict.PASSED),
    ]


def test_a_finding_quotes_what_was_got_and_what_was_demanded():
    ranks, _ = findings(GATE, packet(0.47, 0.53), FakeExpressions())
    assert ranks.sentence == (
        "got packet.auc.low = 0.47, packet.auc.high = 0.53; demanded: the interval is at least 0.55"
    )


def test_an_error_s_finding_says_what_could_not_be_evaluated():
    ranks, _ = findings(GATE, {"packet": {"auc": {}, "format": "onnx"}}, FakeExpressions())
    assert ranks.sentence.startswith("could not be evaluated: got nothing under 'low'")
    assert ranks.sentence.endswith("demanded: the interval is at least 0.55")


HELD = Demand(
    "held",
    "its canary held beside what is live",
    'packet.canary.verdict == "passed" && packet.canary.baseline == packet.champion.version',
)


@pytest.mark.parametrize(
    ("canary", "step"),
    [
        (
            {"verdict": "none"},
            "tidegate run canary, once it has scored a period in canary (tidegate run score)",
        ),
        (
            {"verdict": "inconclusive", "standing": "waits"},
            "tidegate run canary, once what it waits for is there (tidegate canary says what)",
        ),
        ({"verdict": "failed", "standing": "worse", "baseline": 1}, ""),
        ({"verdict": "passed", "standing": "holds", "baseline": 2}, ""),
        (
            {"verdict": "passed", "standing": "holds", "baseline": 1},
            "tidegate run canary, once both it and what is live now have scored a period (tidegate run score)",
        ),
    ],
)
def test_a_demand_on_a_canary_that_says_nothing_yet_or_any_more_says_what_is_left_to_do(canary, step):
    facts = {"packet": {"canary": canary, "champion": {"version": 2}, "format": "pickle"}}
    held, safe = findings(Gate(Stage.PROD, (HELD, SAFE)), facts, FakeExpressions())
    assert (held.verdict is Verdict.PASSED) == (
        canary == {"verdict": "passed", "standing": "holds", "baseline": 2}
    )
    assert (held.step, safe.verdict, safe.step) == (step, Verdict.FAILED, "")


def test_a_gate_that_demands_nothing_finds_nothing():
    assert findings(Gate(Stage.STAGING, ()), {"packet": {}}, FakeExpressions()) == ()


def test_a_policy_that_judges_as_its_tests_say_has_no_difference():
    tests = example(), example("two", packet(0.4, 0.5), ranks="failed")
    assert run_tests(policy(*tests), FakeExpressions()) == ()


def test_a_difference_names_the_test_its_line_and_both_verdicts():
    ((line, sentence),) = run_tests(policy(example("sound", ranks="failed")), FakeExpressions())
    assert line == 20
    assert sentence.startswith("test 'sound': got passed for 'ranks', expected failed")


def test_what_a_test_does_not_name_must_pass():
    ((_, sentence),) = run_tests(policy(example(facts=packet(0.6, 0.7, "pickle"))), FakeExpressions())
    assert "got failed for 'safe', expected passed" in sentence


def test_a_test_of_an_unknown_demand_or_gate_is_a_difference():
    ((_, demand),) = run_tests(policy(example(speed="failed")), FakeExpressions())
    assert "expected for 'speed', which this gate does not demand" in demand
    other = replace(example(), to=Stage.PROD)
    ((_, gate),) = run_tests(policy(other), FakeExpressions())
    assert "a gate into prod in tier standard, which the policy does not have" in gate


def test_coverage_names_the_demands_that_no_test_sees_both_pass_and_refuse():
    tests = example(ranks="passed", safe="passed"), example("two", ranks="inconclusive", safe="passed")
    (gap,) = coverage(policy(*tests))
    assert (gap.tier, gap.to, gap.rule, gap.line) == (Tier.STANDARD, Stage.STAGING, "safe", 9)
    assert gap.lacks == "no test sees refuse"
    assert {gap.rule for gap in coverage(policy())} == {"ranks", "safe"}


def test_a_required_section_is_a_rule_that_tests_exercise_too():
    gate = replace(GATE, requires=("lineage",), line=7)
    required = replace(policy(), gates={Tier.STANDARD: {Stage.STAGING: gate}})
    assert gate.rules() == ("ranks", "safe", "section lineage")
    (gap,) = [each for each in coverage(required) if each.rule.startswith("section")]
    assert (gap.rule, gap.line, gap.where, gap.lacks) == (
        "section lineage", 7, "into staging in tier standard", "no test sees pass or refuse"
    )  # fmt: skip
    shown = example(**{"section lineage": "passed"}), example("two", **{"section lineage": "error"})
    assert "section lineage" not in {each.rule for each in coverage(replace(required, tests=shown))}


def test_the_floor_of_break_glass_is_exercised_by_the_tests_of_any_gate():
    floor = BreakGlass((GATE.demands[0],), (), 3, "reviewer")
    bare = replace(policy(), break_glass=floor)
    (gap,) = [each for each in coverage(bare) if each.to is None]
    assert (gap.tier, gap.rule, gap.where) == (Tier.STANDARD, "ranks", "of break-glass")
    shown = example(ranks="passed"), example("two", ranks="failed")
    assert [each for each in coverage(replace(bare, tests=shown)) if each.to is None] == []
