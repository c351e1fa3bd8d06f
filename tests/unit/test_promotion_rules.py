"""One group of tests per rule of the heart. Each asserts code, sentence and next step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import Action, Allowed, Decision, Move, Reason, Refused, Waiting, WayBack
from tidegate.domain.policy import Finding, Gate, Need, Policy, Stage, Tier
from tidegate.domain.promotion import counted
from tidegate.testing.cases import DEMANDS, MODEL, NOW, Case, a_case, a_policy, a_version, an_actor, with_gate

APPROVE_STEP = f"tidegate approve {MODEL} 2 --as … --reason …"
ONE_MORE = Reason(
    "approval-missing",
    "P4",
    "the gate into prod waits for 1 more approval by role `approver`",
    APPROVE_STEP,
)


def refused(decision: Decision) -> tuple[Reason, ...]:
    assert isinstance(decision, Refused), decision
    return decision.reasons


def waiting(decision: Decision) -> tuple[Reason, ...]:
    assert isinstance(decision, Waiting), decision
    return decision.reasons


def allowed(decision: Decision) -> tuple[Move, ...]:
    assert isinstance(decision, Allowed), decision
    assert decision.at == NOW
    return decision.moves


def codes(reasons: tuple[Reason, ...]) -> list[str]:
    return [reason.code for reason in reasons]


@pytest.fixture
def case() -> Case:
    """Return version 2 in canary, its evidence good, approved by two: nothing speaks against prod."""
    return a_case()


@pytest.fixture
def asked() -> Case:
    """Return the same before anybody approved."""
    return a_case(action=Action.APPROVE)


# ── A1: an actor does only what one of its roles permits ──────────────────────────────────────────


@pytest.mark.parametrize(
    ("action", "stage", "actor", "permission"),
    [
        (Action.PROMOTE, Stage.CANARY, "p-3", "model:promotion:request"),
        (Action.PROMOTE, Stage.CANARY, "p-1", "model:promotion:request"),
        (Action.APPROVE, Stage.CANARY, "p-5", "model:promotion:approve"),
        (Action.REJECT, Stage.CANARY, "p-2", "model:promotion:approve"),
        (Action.ROLL_BACK, Stage.PROD, "p-3", "model:version:roll_back"),
        (Action.STOP, Stage.PROD, "s-1", "model:version:stop"),
        (Action.DEMOTE, Stage.CANARY, "p-2", "model:version:demote"),
        (Action.RETIRE, Stage.CANARY, "p-6", "model:version:demote"),
    ],
)
def test_a1_what_no_role_permits_is_refused(
    action: Action, stage: Stage, actor: str, permission: str
) -> None:
    reason = Reason(
        "not-permitted",
        "A1",
        f"{actor} holds no role that permits `{permission}`",
        "ask somebody whose role permits it",
    )
    assert reason in refused(a_case(stage, action).decide(action, actor))


def test_a1_an_administrator_may_do_nothing_in_the_lifecycle() -> None:
    for stage in Stage:
        for action in Action:
            assert "not-permitted" in codes(refused(a_case(stage, action).decide(action, "p-1")))


def test_a1_an_actor_without_roles_or_with_unknown_ones_may_do_nothing(case: Case) -> None:
    for roles in ((), ("root",)):
        spoilt = case.with_person(an_actor("p-2", *roles))
        assert codes(refused(spoilt.decide(Action.PROMOTE))) == ["not-permitted"]


# ── P1: one stage at a time up, any number down ───────────────────────────────────────────────────


def test_p1_promoting_past_a_stage_is_refused() -> None:
    (reason,) = refused(a_case(Stage.CANDIDATE).decide(Action.PROMOTE, to=Stage.PROD))
    assert reason == Reason(
        "illegal-move",
        "P1",
        "got: promote version 2 to prod; from candidate it leads to staging only",
        "from candidate you can: approve, promote, reject, retire, revoke",
    )


def test_p1_a_canary_may_fall_one_stage_or_two() -> None:
    for to in (Stage.STAGING, Stage.CANDIDATE):
        assert allowed(a_case().decide(Action.DEMOTE, to=to)) == (Move(2, Stage.CANARY, to),)


def test_p1_a_rolled_back_version_is_a_candidate_again() -> None:
    moves = allowed(a_case(Stage.PROD).decide(Action.ROLL_BACK))
    assert moves[0] == Move(2, Stage.PROD, Stage.CANDIDATE)


# ── P2: evidence ──────────────────────────────────────────────────────────────────────────────────


def test_p2_missing_evidence_blocks(case: Case) -> None:
    spoilt = case.but(evidence=replace(case.evidence, findings=()))
    assert refused(spoilt.decide(Action.PROMOTE)) == (
        Reason(
            "evidence-missing",
            "P2",
            "not_worse: nothing was measured, expected: "
            "it loses at most 0.005 of Brier score against the champion",
            "supply the evidence and request again",
        ),
    )


def test_p2_evidence_on_another_demand_is_missing_evidence(case: Case) -> None:
    other = Finding("safe", Verdict.PASSED, "as demanded")
    spoilt = case.but(evidence=replace(case.evidence, findings=(other,)))
    assert codes(refused(spoilt.decide(Action.PROMOTE))) == ["evidence-missing"]


@pytest.mark.parametrize(
    ("verdict", "verb"), [(Verdict.FAILED, "failed"), (Verdict.ERROR, "could not be measured")]
)
def test_p2_failed_and_errored_evidence_block(case: Case, verdict: Verdict, verb: str) -> None:
    expected = Reason(
        f"evidence-{verdict}", "P2", f"not_worse {verb}: got 0.2", "mend the cause and train a new version"
    )
    assert refused(case.but_found(verdict).decide(Action.PROMOTE)) == (expected,)


def test_p2_a_finding_that_knows_what_is_left_to_do_says_so_instead(case: Case) -> None:
    waits = Finding("not_worse", Verdict.FAILED, "got 0.2", step="tidegate run canary")
    (reason,) = refused(case.but(evidence=replace(case.evidence, findings=(waits,))).decide(Action.PROMOTE))
    assert (reason.code, reason.next_step) == ("evidence-failed", "tidegate run canary")


def test_p2_an_unknown_verdict_blocks(case: Case) -> None:
    (reason,) = refused(case.but_found("fine").decide(Action.PROMOTE))  # type: ignore[arg-type]
    assert reason.code == "evidence-fine"
    assert reason.sentence == "not_worse has the unknown verdict `fine`: got 0.2"


@pytest.mark.parametrize("worse", [Verdict.FAILED, Verdict.ERROR, "fine"])
def test_p2_of_two_findings_on_one_demand_the_worse_one_speaks(case: Case, worse: Verdict) -> None:
    good, bad = Finding("not_worse", Verdict.PASSED, "good"), Finding("not_worse", worse, "bad")
    for found in ((good, bad), (bad, good)):
        spoilt = case.but(evidence=replace(case.evidence, findings=found))
        assert codes(refused(spoilt.decide(Action.PROMOTE))) == [f"evidence-{worse}"]


def test_p2_approvals_do_not_outweigh_failed_evidence(case: Case) -> None:
    assert len(case.approvals) == 2
    assert codes(refused(case.but_found(Verdict.FAILED).decide(Action.PROMOTE))) == ["evidence-failed"]


def unclear(tier: Tier = Tier.LOW) -> Case:
    """Return inconclusive evidence before a gate that, in tier low, asks for nobody."""
    return a_case(action=Action.APPROVE, tier=tier).but_found(Verdict.INCONCLUSIVE)


def test_p2_inconclusive_evidence_waits_for_a_person_even_where_the_gate_needs_nobody() -> None:
    assert allowed(a_case(action=Action.APPROVE, tier=Tier.LOW).decide(Action.PROMOTE))
    assert waiting(unclear().decide(Action.PROMOTE)) == (
        Reason("evidence-inconclusive", "P2", "not_worse is inconclusive: got 0.2", "a person must decide"),
        ONE_MORE,
    )


def test_p2_one_approval_settles_a_doubt() -> None:
    case = unclear()
    assert allowed(case.but(approvals=(case.approval(),)).decide(Action.PROMOTE))


def test_p2_a_doubt_asks_for_no_more_people_than_the_gate_does() -> None:
    case = unclear(Tier.HIGH)
    one = case.but(approvals=(case.approval("p-3"),))
    both = case.but(approvals=(case.approval("p-3"), case.approval("p-4")))
    assert codes(waiting(one.decide(Action.PROMOTE))) == ["evidence-inconclusive", "approval-missing"]
    assert allowed(both.decide(Action.PROMOTE))


@pytest.mark.parametrize("count", [0, -1])
def test_p2_a_gate_that_asks_for_no_people_by_number_still_waits_for_one_in_doubt(count: int) -> None:
    gate = Gate(Stage.PROD, (DEMANDS[Stage.PROD],), (Need("approver", count),))
    case = unclear()
    case = case.but(policy=with_gate(case.policy, gate, Tier.LOW))
    assert "approval-missing" in codes(waiting(case.decide(Action.PROMOTE)))


def test_p2_a_missing_gate_is_refused(case: Case) -> None:
    without = replace(case.policy, gates={})
    (reason,) = refused(case.but(policy=without).decide(Action.PROMOTE))
    assert reason == Reason(
        "no-gate",
        "P2",
        "policy trams 1 has no gate into prod for tier standard",
        "write the gate: what no policy opens stays shut",
    )


def test_p2_a_gate_of_another_tier_opens_nothing(case: Case) -> None:
    only_low = replace(case.policy, gates={Tier.LOW: case.policy.gates[Tier.LOW]})
    assert codes(refused(case.but(policy=only_low).decide(Action.PROMOTE))) == ["no-gate"]


def test_p2_an_empty_gate_is_refused(case: Case) -> None:
    empty = with_gate(case.policy, Gate(Stage.PROD, (), (Need("approver", 1),)))
    approvals = tuple(replace(row, policy=empty.digest) for row in case.approvals)
    (reason,) = refused(case.but(policy=empty, approvals=approvals).decide(Action.PROMOTE))
    assert reason == Reason(
        "empty-gate",
        "P2",
        "the gate into prod demands nothing; an empty gate is refused",
        "write what it demands",
    )


# ── P3: approvals speak for one version, artifact, packet and policy ──────────────────────────────


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("version", 3, "the version"),
        ("artifact", "sha256:other", "the artifact"),
        ("packet", "sha256:other", "the evidence packet"),
        ("policy", "sha256:other", "the policy"),
    ],
)
def test_p3_an_approval_of_something_else_is_void_by_name(
    asked: Case, field: str, value: object, name: str
) -> None:
    case = asked.but(approvals=(asked.approval(**{field: value}),))
    assert waiting(case.decide(Action.PROMOTE)) == (
        Reason(
            "approval-void",
            "P3",
            f"the approval by p-3 is void: {name} changed since",
            "ask for a new approval of what is there now",
        ),
        ONE_MORE,
    )


def changed(case: Case, name: str) -> Case:
    """Return the case after one thing changed in the world, rather than in the approval."""
    if name == "the artifact":
        return case.but_version(artifact="sha256:other")
    if name == "the evidence packet":
        return case.but(evidence=replace(case.evidence, packet="sha256:other"))
    return case.but(policy=a_policy("2"))


CHANGES = ["the artifact", "the evidence packet", "the policy"]


@pytest.mark.parametrize("name", CHANGES)
def test_p3_a_change_in_the_world_voids_every_approval_by_name(case: Case, name: str) -> None:
    reasons = waiting(changed(case, name).decide(Action.PROMOTE))
    assert codes(reasons) == ["approval-void", "approval-void", "approval-missing"]
    assert [reason.sentence for reason in reasons[:2]] == [
        f"the approval by {person} is void: {name} changed since" for person in ("p-3", "p-4")
    ]


def test_p3_everything_that_changed_is_named(case: Case) -> None:
    for name in CHANGES:
        case = changed(case, name)
    reason = waiting(case.decide(Action.PROMOTE))[0]
    assert (
        reason.sentence
        == "the approval by p-3 is void: the artifact, the evidence packet, the policy changed since"
    )


@pytest.mark.parametrize("name", CHANGES)
def test_p3_what_was_requested_and_has_changed_cannot_be_approved(asked: Case, name: str) -> None:
    assert refused(changed(asked, name).decide(Action.APPROVE)) == (
        Reason(
            "stale-request",
            "P3",
            f"{MODEL}-P1 was requested for something else: {name} changed since",
            "request the promotion again",
        ),
    )


@pytest.mark.parametrize("name", CHANGES)
def test_p3_a_stale_request_can_still_be_rejected(asked: Case, name: str) -> None:
    assert allowed(changed(asked, name).decide(Action.REJECT)) == ()


def test_p3_approvals_of_another_request_do_not_count(case: Case) -> None:
    other = tuple(replace(row, promotion=f"{MODEL}-P0") for row in case.approvals)
    assert waiting(case.but(approvals=other).decide(Action.PROMOTE)) == (ONE_MORE,)


def test_p3_approvals_without_an_open_request_do_not_count(case: Case) -> None:
    assert waiting(case.but(promotion=None).decide(Action.PROMOTE)) == (ONE_MORE,)


def test_p3_a_rejection_is_no_approval(asked: Case) -> None:
    case = asked.but(approvals=(asked.approval(outcome="reject"),))
    assert waiting(case.decide(Action.PROMOTE)) == (ONE_MORE,)


NOTHING_OPEN = Reason(
    "nothing-open", "P3", "no promotion of version 2 waits for a decision", "request its promotion first"
)


@pytest.mark.parametrize("action", [Action.APPROVE, Action.REJECT])
@pytest.mark.parametrize("spoilt", [None, {"version": 1}, {"status": "applied"}, {"status": "superseded"}])
def test_p3_without_an_open_request_nothing_is_decided(
    asked: Case, action: Action, spoilt: dict[str, object] | None
) -> None:
    assert asked.promotion is not None
    promotion = replace(asked.promotion, **spoilt) if spoilt else None  # type: ignore[arg-type]
    assert refused(asked.but(promotion=promotion).decide(action)) == (NOTHING_OPEN,)


# ── P4: who approves ──────────────────────────────────────────────────────────────────────────────


def own(person: str, parts: str) -> tuple[Reason, ...]:
    sentence = f"{person} cannot approve version 2: it was {parts} by them"
    return (Reason("own-work", "P4", sentence, "ask an approver who had no part in it"),)


def test_p4_an_approver_with_no_part_in_it_approves(asked: Case) -> None:
    assert allowed(asked.decide(Action.APPROVE)) == ()


def test_p4_the_requester_does_not_approve(asked: Case) -> None:
    case = asked.with_person(an_actor("p-2", "data_scientist", "approver"))
    assert refused(case.decide(Action.APPROVE, "p-2")) == own("p-2", "requested")


def test_p4_the_trainer_does_not_approve(asked: Case) -> None:
    assert refused(asked.but_version(trainer="p-3").decide(Action.APPROVE)) == own("p-3", "trained")


def test_p4_the_registrar_does_not_approve(asked: Case) -> None:
    assert refused(asked.but_version(registrar="p-3").decide(Action.APPROVE)) == own("p-3", "registered")


def test_p4_the_person_a_service_trained_for_does_not_approve(asked: Case) -> None:
    case = asked.but_version(on_behalf_of="p-3")
    assert refused(case.decide(Action.APPROVE)) == own("p-3", "trained and registered")


def test_p4_the_person_a_service_requested_for_does_not_approve(asked: Case) -> None:
    assert asked.promotion is not None
    case = asked.but(promotion=replace(asked.promotion, requester="s-1", on_behalf_of="p-3"))
    assert refused(case.decide(Action.APPROVE)) == own("p-3", "requested")


def test_p4_who_requested_it_before_does_not_approve_the_next_request(asked: Case) -> None:
    case = asked.but(requesters=frozenset({"p-2", "p-3"}))
    assert refused(case.decide(Action.APPROVE)) == own("p-3", "requested")


@pytest.mark.parametrize("part", ["trainer", "registrar", "on_behalf_of"])
def test_p4_a_second_account_of_the_same_person_does_not_approve(asked: Case, part: str) -> None:
    case = asked.with_person(an_actor("p-9", "approver", subject="p-2")).but_version(**{part: "p-2"})
    assert codes(refused(case.decide(Action.APPROVE, "p-9"))) == ["own-work"]


def test_p4_all_parts_are_named(asked: Case) -> None:
    case = asked.with_person(an_actor("p-2", "approver")).but_version(trainer="p-2", registrar="p-2")
    assert refused(case.decide(Action.APPROVE, "p-2")) == own("p-2", "requested and trained and registered")


def test_p4_a_name_that_no_account_has_is_nobody_else(asked: Case) -> None:
    case = asked.but_version(on_behalf_of="somebody")
    assert allowed(case.decide(Action.APPROVE)) == ()


def test_p4_one_may_reject_what_one_requested(asked: Case) -> None:
    case = asked.with_person(an_actor("p-2", "data_scientist", "approver")).but_version(trainer="p-2")
    assert allowed(case.decide(Action.REJECT, "p-2")) == ()


@pytest.mark.parametrize("action", [Action.APPROVE, Action.REJECT])
def test_p4_a_service_decides_nothing_whatever_its_roles(asked: Case, action: Action) -> None:
    case = asked.with_person(an_actor("s-9", "approver"))
    assert refused(case.decide(action, "s-9")) == (
        Reason("not-a-person", "P4", "s-9 is a service; only people approve", "ask a person"),
    )


@pytest.mark.parametrize("action", [Action.APPROVE, Action.REJECT])
def test_p4_nobody_decides_twice(asked: Case, action: Action) -> None:
    case = asked.but(approvals=(asked.approval(),))
    assert refused(case.decide(action)) == (
        Reason(
            "counted-once",
            "P4",
            f"p-3 already decided on {MODEL}-P1; one person counts once",
            "ask another approver",
        ),
    )


def test_p4_nobody_decides_twice_under_another_account(asked: Case) -> None:
    case = asked.but(approvals=(asked.approval(),)).with_person(an_actor("p-9", "approver", subject="p-3"))
    (reason,) = refused(case.decide(Action.APPROVE, "p-9"))
    assert reason.sentence == f"p-3 already decided on {MODEL}-P1; one person counts once"


def test_p4_having_decided_on_another_request_is_no_hindrance(asked: Case) -> None:
    case = asked.but(approvals=(asked.approval(promotion=f"{MODEL}-P0"),))
    assert allowed(case.decide(Action.APPROVE)) == ()


def test_p4_without_an_approval_the_gate_waits(asked: Case) -> None:
    assert waiting(asked.decide(Action.PROMOTE)) == (ONE_MORE,)


def test_p4_two_needed_approvals_are_two_people() -> None:
    case = a_case(action=Action.APPROVE, tier=Tier.HIGH)
    none, one = case, case.but(approvals=(case.approval(),))
    assert waiting(none.decide(Action.PROMOTE))[0].sentence == (
        "the gate into prod waits for 2 more approvals by role `approver`"
    )
    assert waiting(one.decide(Action.PROMOTE)) == (ONE_MORE,)
    assert allowed(one.but(approvals=(case.approval("p-3"), case.approval("p-4"))).decide(Action.PROMOTE))


def test_p4_two_accounts_of_one_person_are_one_approval() -> None:
    case = a_case(action=Action.APPROVE, tier=Tier.HIGH).with_person(
        an_actor("p-9", "approver", subject="p-3")
    )
    reasons = waiting(case.but(approvals=(case.approval("p-3"), case.approval("p-9"))).decide(Action.PROMOTE))
    assert codes(reasons) == ["counted-once", "approval-missing"]


def test_p4_an_approver_who_lost_the_role_does_not_count(asked: Case) -> None:
    case = asked.but(approvals=(asked.approval(),)).with_person(an_actor("p-3", "reviewer"))
    assert waiting(case.decide(Action.PROMOTE)) == (
        Reason(
            "approver-lost-role",
            "P4",
            "p-3 no longer holds `approver`, so that approval does not count",
            "ask somebody who holds the role",
        ),
        ONE_MORE,
    )


def test_p4_an_approval_in_another_role_does_not_count(asked: Case) -> None:
    case = asked.with_person(an_actor("p-3", "approver", "operator"))
    case = case.but(approvals=(case.approval(role="operator"),))
    assert waiting(case.decide(Action.PROMOTE)) == (ONE_MORE,)


@pytest.mark.parametrize("part", ["trainer", "registrar", "on_behalf_of"])
def test_p4_a_recorded_approval_of_own_work_does_not_count(asked: Case, part: str) -> None:
    case = asked.but(approvals=(asked.approval(),)).but_version(**{part: "p-3"})
    assert codes(waiting(case.decide(Action.PROMOTE))) == ["own-work", "approval-missing"]


def test_p4_a_recorded_approval_by_a_service_does_not_count(asked: Case) -> None:
    case = asked.with_person(an_actor("s-9", "approver"))
    case = case.but(approvals=(case.approval("s-9"),))
    assert codes(waiting(case.decide(Action.PROMOTE))) == ["not-a-person", "approval-missing"]


def test_p4_counted_tells_valid_approvals_from_void_ones(case: Case) -> None:
    approvals = (case.approval("p-3"), case.approval("p-4", packet="sha256:other"))
    valid, void = counted(case.state, case.versions[2], case.evidence, approvals, case.policy, NOW)
    assert [row.actor for row in valid] == ["p-3"]
    assert codes(tuple(void)) == ["approval-void"]


# ── P5: down never waits, up again does ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("action", [Action.ROLL_BACK, Action.STOP])
def test_p5_rolling_back_and_stopping_need_no_evidence_no_policy_and_no_approval(action: Action) -> None:
    bare = a_case(Stage.PROD)
    bare = bare.but(
        policy=replace(bare.policy, gates={}),
        evidence=replace(bare.evidence, findings=(), way_back=None),
        approvals=(),
    )
    assert allowed(bare.decide(action))


def test_p5_a_rollback_restores_the_replaced_version_in_the_same_step() -> None:
    moves = allowed(a_case(Stage.PROD).decide(Action.ROLL_BACK))
    assert moves == (Move(2, Stage.PROD, Stage.CANDIDATE), Move(1, Stage.RETIRED, Stage.PROD))


def test_p5_a_stop_restores_nothing() -> None:
    assert allowed(a_case(Stage.PROD).decide(Action.STOP)) == (Move(2, Stage.PROD, Stage.CANDIDATE),)


def test_p5_a_rollback_to_nowhere_is_refused_and_points_to_the_stop() -> None:
    case = a_case(Stage.PROD)
    case = case.but(versions={2: case.versions[2]})
    assert refused(case.decide(Action.ROLL_BACK)) == (
        Reason(
            "nothing-to-restore",
            "P5",
            f"{MODEL} has no earlier version that was approved into prod",
            f"tidegate rollback {MODEL} --stop (its declared fallback: abstain: nobody is told)",
        ),
    )


def test_p5_previous_is_the_last_of_the_replaced() -> None:
    case = a_case(Stage.PROD)
    versions = {**case.versions, 2: replace(case.versions[2], prod_sequence=40)}
    versions |= {
        3: a_version(3, Stage.RETIRED, prod_sequence=25),
        4: a_version(4, Stage.RETIRED, prod_sequence=24),
    }
    previous = case.but(versions=versions).state.previous()
    assert previous is not None
    assert previous.number == 3


def test_p5_previous_is_never_a_version_that_was_retired_without_having_been_in_prod() -> None:
    case = a_case(Stage.PROD)
    case = case.but(versions={**case.versions, 3: a_version(3, Stage.RETIRED, prod_sequence=0)})
    case = case.but(versions={number: row for number, row in case.versions.items() if number != 1})
    assert case.state.previous() is None


@pytest.mark.parametrize("stage", [Stage.CANDIDATE, Stage.STAGING, Stage.CANARY])
def test_p5_previous_is_never_a_version_that_could_still_go_up(stage: Stage) -> None:
    case = a_case(Stage.PROD).but_version(1, stage=str(stage))
    assert case.state.previous() is None


TAKEN_OUT = Reason(
    "taken-out",
    "P5",
    "version 2 was taken out of prod; going up again waits for a person",
    "a person must decide",
)


def test_p5_going_up_again_waits_for_a_person_even_where_the_gate_needs_nobody() -> None:
    case = a_case(action=Action.APPROVE, tier=Tier.LOW)
    assert allowed(case.decide(Action.PROMOTE))
    again = case.but(taken_out=frozenset({2}))
    assert waiting(again.decide(Action.PROMOTE)) == (TAKEN_OUT, ONE_MORE)
    assert allowed(again.but(approvals=(case.approval(),)).decide(Action.PROMOTE))


def test_p5_only_the_version_that_was_taken_out_waits() -> None:
    case = a_case(action=Action.APPROVE, tier=Tier.LOW).but(taken_out=frozenset({1}))
    assert allowed(case.decide(Action.PROMOTE))


@pytest.mark.parametrize("stage", [Stage.CANDIDATE, Stage.STAGING])
def test_p5_below_prod_a_version_that_was_taken_out_climbs_as_any_other(stage: Stage) -> None:
    assert allowed(a_case(stage).but(taken_out=frozenset({2}), approvals=()).decide(Action.PROMOTE))


# ── P8: the way back ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("way_back", "got", "step"),
    [
        (None, "nothing", "declare a fallback in the model's file"),
        (
            WayBack("version", "version 1", verified=False),
            "version 1 untried",
            "tidegate rehearse tram_delay",
        ),
        (
            WayBack("version", "version 1", verified=False, steps=("version 1 loads", "its inputs are gone")),
            "version 1 untried (its inputs are gone)",
            "tidegate rehearse tram_delay",
        ),
        (
            WayBack("fallback", "", verified=False),
            "an empty fallback untried",
            "declare a fallback in the model's file",
        ),
    ],
)
def test_p8_prod_without_a_tried_way_back_is_refused(
    case: Case, way_back: WayBack | None, got: str, step: str
) -> None:
    spoilt = case.but(evidence=replace(case.evidence, way_back=way_back))
    assert refused(spoilt.decide(Action.PROMOTE)) == (
        Reason("no-way-back", "P8", f"prod needs a tried way back, got {got}", step),
    )


@pytest.mark.parametrize(
    "way_back", [WayBack("version", "version 1", True), WayBack("fallback", "abstain", True)]
)
def test_p8_a_tried_version_or_a_declared_fallback_is_a_way_back(case: Case, way_back: WayBack) -> None:
    assert allowed(case.but(evidence=replace(case.evidence, way_back=way_back)).decide(Action.PROMOTE))


@pytest.mark.parametrize("stage", [Stage.CANDIDATE, Stage.STAGING])
def test_p8_below_prod_no_way_back_is_needed(stage: Stage) -> None:
    case = a_case(stage)
    assert allowed(case.but(evidence=replace(case.evidence, way_back=None)).decide(Action.PROMOTE))


# ── all together ──────────────────────────────────────────────────────────────────────────────────


def test_a_refused_promotion_carries_all_its_reasons_at_once(case: Case) -> None:
    spoilt = case.but_found(Verdict.ERROR).with_person(an_actor("p-2", "reviewer"))
    spoilt = spoilt.but(evidence=replace(spoilt.evidence, way_back=None))
    reasons = refused(spoilt.decide(Action.PROMOTE))
    assert [(reason.rule, reason.code) for reason in reasons] == [
        ("A1", "not-permitted"),
        ("P2", "evidence-error"),
        ("P8", "no-way-back"),
    ]


def test_a_refused_approval_carries_all_its_reasons_at_once(asked: Case) -> None:
    case = asked.with_person(an_actor("s-1", "training_service")).but(policy=a_policy("2"))
    case = case.but(approvals=(case.approval("s-1"),))
    assert [(reason.rule, reason.code) for reason in refused(case.decide(Action.APPROVE, "s-1"))] == [
        ("A1", "not-permitted"),
        ("P4", "not-a-person"),
        ("P4", "own-work"),
        ("P4", "counted-once"),
        ("P3", "stale-request"),
    ]


def test_an_illegal_act_of_one_who_may_not_carries_both_reasons() -> None:
    assert codes(refused(a_case(Stage.RETIRED).decide(Action.PROMOTE, "p-6"))) == [
        "not-permitted",
        "illegal-move",
    ]


def test_a_waiting_promotion_carries_all_its_reasons_at_once() -> None:
    case = unclear(Tier.HIGH).but(taken_out=frozenset({2})).with_person(an_actor("p-4", "reviewer"))
    case = case.but(approvals=(case.approval("p-3", packet="sha256:other"), case.approval("p-4")))
    assert [(reason.rule, reason.code) for reason in waiting(case.decide(Action.PROMOTE))] == [
        ("P2", "evidence-inconclusive"),
        ("P5", "taken-out"),
        ("P3", "approval-void"),
        ("P4", "approver-lost-role"),
        ("P4", "approval-missing"),
    ]


def test_a_blocked_promotion_does_not_wait_for_people(asked: Case) -> None:
    assert codes(refused(asked.but_found(Verdict.FAILED).decide(Action.PROMOTE))) == ["evidence-failed"]


def test_two_versions_never_stand_in_prod(case: Case) -> None:
    moves = allowed(case.decide(Action.PROMOTE))
    assert moves == (Move(1, Stage.PROD, Stage.RETIRED), Move(2, Stage.CANARY, Stage.PROD))
    empty = case.but(versions={2: case.versions[2]})
    assert allowed(empty.decide(Action.PROMOTE)) == (Move(2, Stage.CANARY, Stage.PROD),)


def test_the_worked_example_of_the_docstring_holds(asked: Case) -> None:
    def with_policy(case: Case, policy: Policy) -> Case:
        assert case.promotion is not None
        return case.but(policy=policy, promotion=replace(case.promotion, policy=policy.digest))

    case = asked.but_version(trainer="p-2").with_person(an_actor("p-2", "data_scientist", "approver"))
    assert codes(waiting(case.decide(Action.PROMOTE))) == ["approval-missing"]
    assert codes(refused(case.decide(Action.APPROVE, "p-2"))) == ["own-work"]
    assert allowed(case.decide(Action.APPROVE, "p-3")) == ()
    approved = case.but(approvals=(case.approval("p-3"),))
    changed = with_policy(approved, a_policy("2"))
    assert codes(waiting(changed.decide(Action.PROMOTE))) == ["approval-void", "approval-missing"]
    again = changed.but(approvals=(changed.approval("p-3"),))
    moves = allowed(again.decide(Action.PROMOTE))
    assert moves == (Move(1, Stage.PROD, Stage.RETIRED), Move(2, Stage.CANARY, Stage.PROD))


def test_asking_about_a_version_that_is_not_there_is_the_callers_fault(case: Case) -> None:
    with pytest.raises(KeyError):
        case.decide(Action.PROMOTE, version=9)


def test_deciding_changes_nothing_and_says_the_same_twice(case: Case) -> None:
    before = case.state
    assert case.decide(Action.PROMOTE) == case.decide(Action.PROMOTE)
    assert case.state == before
