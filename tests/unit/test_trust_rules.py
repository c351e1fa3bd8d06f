"""The rules about deciding that go beyond one yes: each asserts code, sentence and next step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tidegate.domain.evidence import Verdict
from tidegate.domain.lifecycle import Action, Allowed, Decision, Move, Precondition, Reason, Refused, Waiting
from tidegate.domain.policy import Deadline, Finding, Need, Preconditions, Stage, Tier
from tidegate.domain.state import ReviewRow
from tidegate.testing.cases import DEMANDS, MODEL, NOW, Case, a_case, an_actor, with_gate

PROD = DEMANDS[Stage.PROD]


def told(decision: Decision) -> list[tuple[str, str]]:
    assert isinstance(decision, Refused | Waiting), decision
    return [(reason.code, reason.rule) for reason in decision.reasons]


def only(decision: Decision, kind: type[Refused | Waiting]) -> Reason:
    assert isinstance(decision, kind), decision
    (reason,) = decision.reasons
    return reason


def gated(case: Case, **more: Any) -> Case:
    """Return the case with another gate into prod."""
    gate = replace(case.policy.gates[Tier.STANDARD][Stage.PROD], **more)
    policy = with_gate(case.policy, gate)
    return case.but(policy=policy)


@pytest.fixture
def case() -> Case:
    """Return version 2 in canary, its evidence good, approved by two: nothing speaks against prod."""
    return a_case()


@pytest.fixture
def asked() -> Case:
    """Return the same before anybody approved."""
    return a_case(action=Action.APPROVE)


# ── P2: sections that a gate requires ─────────────────────────────────────────────────────────────


def test_p2_a_section_that_nobody_supplied_is_a_named_gap_and_blocks(case: Case) -> None:
    gap = Finding("section lineage", Verdict.ERROR, "nobody supplied the packet's lineage")
    spoilt = gated(case, requires=("lineage",))
    spoilt = spoilt.but(evidence=replace(case.evidence, findings=(*case.evidence.findings, gap)))
    assert only(spoilt.decide(Action.PROMOTE), Refused) == Reason(
        "packet-gap",
        "P2",
        "the packet has no lineage, which the gate into prod requires",
        "supply it and request again",
    )


def test_p2_a_required_section_that_nobody_looked_for_is_a_gap_too(case: Case) -> None:
    assert told(gated(case, requires=("open_risks",)).decide(Action.PROMOTE)) == [("packet-gap", "P2")]


def test_p2_a_section_that_is_there_opens_nothing_by_itself_and_blocks_nothing(case: Case) -> None:
    there = Finding("section lineage", Verdict.PASSED, "the packet tells its lineage")
    whole = gated(case, requires=("lineage",))
    whole = whole.but(evidence=replace(case.evidence, findings=(*case.evidence.findings, there)))
    assert isinstance(whole.decide(Action.PROMOTE), Allowed)


# ── P3: as long as the policy lets it; what changed is named ──────────────────────────────────────


def test_p3_an_approval_that_is_too_old_no_longer_counts(case: Case) -> None:
    policy = replace(case.policy, preconditions=Preconditions(approved_days=14))
    old = (NOW - timedelta(days=14, seconds=1)).isoformat()
    aged = case.but(policy=policy, approvals=(case.approval(occurred_at=old),))
    assert told(aged.decide(Action.PROMOTE)) == [("approval-expired", "P3"), ("approval-missing", "P4")]
    decision = aged.decide(Action.PROMOTE)
    assert isinstance(decision, Waiting)
    assert decision.reasons[0].sentence == "the approval by p-3 is older than the 14 days that one holds"
    young = case.but(policy=policy, approvals=(case.approval(occurred_at=NOW.isoformat()),))
    assert isinstance(young.decide(Action.PROMOTE), Allowed)


def test_p3_what_changed_in_the_packet_is_named_section_by_section(case: Case) -> None:
    (bound,) = {row.packet for row in case.approvals}
    now = replace(case.evidence, packet="sha256:new", changed={bound: ("the data", "the metrics")})
    decision = case.but(evidence=now).decide(Action.PROMOTE)
    assert isinstance(decision, Waiting)
    assert decision.reasons[0].sentence == "the approval by p-3 is void: the data, the metrics changed since"


# ── P4: roles ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def of_each(asked: Case) -> Case:
    """Return a gate that waits for an approver and a risk officer; `p-9` is one."""
    needs = (Need("approver", 1), Need("risk_officer", 1))
    return gated(asked, approvals=needs).with_person(an_actor("p-9", "risk_officer"))


def test_p4_one_of_each_role_is_not_two_of_one(of_each: Case) -> None:
    two = of_each.but(approvals=(of_each.approval("p-3"), of_each.approval("p-4")))
    reason = only(two.decide(Action.PROMOTE), Waiting)
    assert reason.sentence == "the gate into prod waits for 1 more approval by role `risk_officer`"
    both = of_each.but(approvals=(of_each.approval("p-3"), of_each.approval("p-9", role="risk_officer")))
    assert isinstance(both.decide(Action.PROMOTE), Allowed)


def test_p4_a_person_who_holds_both_roles_fills_one(of_each: Case) -> None:
    twice = of_each.with_person(an_actor("p-3", "approver", "risk_officer"))
    twice = twice.but(approvals=(twice.approval("p-3"),))
    assert told(twice.decide(Action.APPROVE, "p-3", role="risk_officer")) == [("counted-once", "P4")]


@pytest.mark.parametrize("role", ["reviewer", "risk_officer", "king"])
def test_p4_nobody_decides_in_a_role_they_do_not_hold(asked: Case, role: str) -> None:
    assert only(asked.decide(Action.APPROVE, role=role), Refused) == Reason(
        "role-not-held",
        "P4",
        f"p-3 does not hold `{role}` as a role that approves",
        "roles that approve: approver, risk_officer",
    )


def test_p4_a_role_that_one_holds_and_that_does_not_approve_is_none(asked: Case) -> None:
    both = asked.with_person(an_actor("p-3", "approver", "reviewer"))
    assert told(both.decide(Action.APPROVE, role="reviewer")) == [("role-not-held", "P4")]


# ── P4: delegation ────────────────────────────────────────────────────────────────────────────────


def deputy(case: Case, actor: str = "p-6", role: str = "approver") -> Decision:
    return case.decide(Action.APPROVE, actor, role=role, for_whom="p-3")


def test_p4_whom_it_was_delegated_to_decides_in_ones_place_without_the_role(asked: Case) -> None:
    assert isinstance(deputy(asked.delegated()), Allowed)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"ended": True},
        {"until": "2020-01-01T00:00:00Z"},
        {"model": "another"},
        {"role": "risk_officer"},
        {"principal": "p-4"},
        {"delegate": "p-5"},
    ],
)
def test_p4_a_delegation_that_is_over_or_about_something_else_is_none(
    asked: Case, spoilt: dict[str, Any]
) -> None:
    assert only(deputy(asked.delegated(**spoilt)), Refused) == Reason(
        "no-delegation",
        "P4",
        "p-3 has not delegated `approver` to p-6 for this, or no longer",
        "let them delegate it, or decide themselves",
    )


def test_p4_delegation_makes_no_approver_of_one_who_had_a_part(asked: Case) -> None:
    """Self-approval through delegation: the trainer decides for somebody else, or lets another decide for them."""
    as_trainer = asked.delegated("p-2")
    assert told(deputy(as_trainer, "p-2")) == [("own-work", "P4")]
    own = asked.with_person(an_actor("p-2", "data_scientist", "approver")).delegated("p-6", principal="p-2")
    assert told(own.decide(Action.APPROVE, "p-6", role="approver", for_whom="p-2")) == [("own-work", "P4")]


def test_p4_delegation_makes_no_second_voice(asked: Case) -> None:
    both = asked.delegated("p-4")
    spoken = both.but(approvals=(both.approval("p-3"),))
    assert told(deputy(spoken, "p-4")) == [("counted-once", "P4")]
    behind = both.but(approvals=(both.approval("p-4", for_whom="p-3"),))
    assert told(behind.decide(Action.APPROVE, "p-3", role="approver")) == [("counted-once", "P4")]
    assert told(behind.decide(Action.APPROVE, "p-4", role="approver")) == [("counted-once", "P4")]


def test_p4_a_service_decides_in_nobodys_place(asked: Case) -> None:
    assert ("not-a-person", "P4") in told(deputy(asked.delegated("s-1"), "s-1"))


def test_p4_a_delegated_approval_is_the_principals_voice_and_ends_with_their_role(asked: Case) -> None:
    given = asked.delegated().but(approvals=(asked.approval("p-6", for_whom="p-3"),))
    assert isinstance(given.decide(Action.PROMOTE), Allowed)
    lost = given.with_person(an_actor("p-3", "reviewer"))
    decision = lost.decide(Action.PROMOTE)
    assert told(decision) == [("approver-lost-role", "P4"), ("approval-missing", "P4")]


def test_p4_what_was_decided_under_a_delegation_stands_when_it_has_ended(asked: Case) -> None:
    given = asked.delegated(ended=True).but(approvals=(asked.approval("p-6", for_whom="p-3"),))
    assert isinstance(given.decide(Action.PROMOTE), Allowed)


# ── P5: an approval taken back ────────────────────────────────────────────────────────────────────


def test_p5_taking_back_the_approval_of_a_live_version_restores_the_last_approved_one() -> None:
    live = a_case(Stage.PROD, Action.REVOKE)
    decision = live.decide(Action.REVOKE)
    assert isinstance(decision, Allowed)
    assert decision.moves == (Move(2, Stage.PROD, Stage.CANDIDATE), Move(1, Stage.RETIRED, Stage.PROD))


def test_p5_with_nothing_to_restore_the_fallback_takes_over() -> None:
    live = a_case(Stage.PROD, Action.REVOKE)
    first = live.but(versions={2: live.versions[2]})
    decision = first.decide(Action.REVOKE)
    assert isinstance(decision, Allowed)
    assert decision.moves == (Move(2, Stage.PROD, Stage.CANDIDATE),)


def test_p5_a_version_that_others_still_carry_stays() -> None:
    live = a_case(Stage.PROD, Action.REVOKE)
    carried = live.but(approvals=(live.approval("p-3"), live.approval("p-4")))
    decision = carried.decide(Action.REVOKE)
    assert isinstance(decision, Allowed)
    assert decision.moves == ()


def test_p5_before_prod_taking_back_moves_nothing(asked: Case) -> None:
    given = asked.but(approvals=(asked.approval("p-3"),))
    decision = given.decide(Action.REVOKE)
    assert isinstance(decision, Allowed)
    assert decision.moves == ()


def test_p4_nobody_takes_back_what_another_gave(case: Case) -> None:
    reason = only(case.with_person(an_actor("p-9", "approver")).decide(Action.REVOKE, "p-9"), Refused)
    assert reason == Reason(
        "nothing-to-revoke",
        "P4",
        f"p-9 has no approval on {MODEL}-P1 to take back",
        "only who gave an approval takes it back",
    )


def test_p4_who_had_it_given_takes_it_back_too() -> None:
    live = a_case(Stage.PROD, Action.REVOKE)
    given = live.but(approvals=(live.approval("p-4", for_whom="p-3"),))
    assert isinstance(given.decide(Action.REVOKE, "p-3"), Allowed)


def test_p4_a_delegate_takes_back_what_they_gave_whatever_role_they_hold() -> None:
    live = a_case(Stage.PROD, Action.REVOKE)
    given = live.but(approvals=(live.approval("p-6", for_whom="p-3"),))
    assert isinstance(given.decide(Action.REVOKE, "p-6"), Allowed)


def test_a1_who_neither_gave_an_approval_nor_holds_the_role_takes_none_back() -> None:
    live = a_case(Stage.PROD, Action.REVOKE)
    given = live.but(approvals=(live.approval("p-4", for_whom="p-3"),))
    assert told(given.decide(Action.REVOKE, "p-6")) == [("not-permitted", "A1"), ("nothing-to-revoke", "P4")]


def test_p4_a_revoked_approval_does_not_count_and_may_be_given_anew(asked: Case) -> None:
    gone = asked.but(approvals=(asked.approval("p-3", revoked=True),))
    assert told(gone.decide(Action.PROMOTE)) == [("approval-revoked", "P4"), ("approval-missing", "P4")]
    assert isinstance(gone.decide(Action.APPROVE), Allowed)


# ── deadlines: the role a request was escalated to stands in ──────────────────────────────────────


def test_an_escalated_request_may_be_decided_by_the_role_it_went_to(asked: Case) -> None:
    late = gated(asked, deadline=Deadline(7, 3, "risk_officer", 30)).with_person(
        an_actor("p-9", "risk_officer")
    )
    officer = late.but(approvals=(late.approval("p-9", role="risk_officer"),))
    assert told(officer.decide(Action.PROMOTE)) == [("approval-missing", "P4")]
    assert late.promotion is not None
    escalated = officer.but(
        promotion=replace(late.promotion, chased="escalated", escalated_to="risk_officer")
    )
    assert isinstance(escalated.decide(Action.PROMOTE), Allowed)


def test_one_officer_stands_in_for_one_approval_only(asked: Case) -> None:
    two = gated(asked, approvals=(Need("approver", 2),)).with_person(an_actor("p-9", "risk_officer"))
    assert two.promotion is not None
    escalated = replace(two.promotion, escalated_to="risk_officer")
    officer = two.but(promotion=escalated, approvals=(two.approval("p-9", role="risk_officer"),))
    reason = only(officer.decide(Action.PROMOTE), Waiting)
    assert reason.sentence == "the gate into prod waits for 1 more approval by role `approver`"


# ── P7: a demand was in force before what it judges ───────────────────────────────────────────────


def test_p7_a_demand_younger_than_its_evaluation_judges_nothing(case: Case) -> None:
    (found,) = case.evidence.findings
    late = case.but(evidence=replace(case.evidence, findings=(replace(found, since=41, measured=40),)))
    assert only(late.decide(Action.PROMOTE), Refused) == Reason(
        "demand-too-late",
        "P7",
        "not_worse came into force at event 41, after what it judges was measured at event 40",
        "evaluate again: a demand judges only what is measured after it",
    )


@pytest.mark.parametrize(("since", "measured"), [(39, 40), (40, 40), (41, 0), (0, 0)])
def test_p7_a_demand_that_was_there_before_or_judges_no_evaluation_is_in_time(
    case: Case, since: int, measured: int
) -> None:
    (found,) = case.evidence.findings
    dated = case.but(
        evidence=replace(case.evidence, findings=(replace(found, since=since, measured=measured),))
    )
    assert isinstance(dated.decide(Action.PROMOTE), Allowed)


def test_p7_a_demand_that_is_late_and_fails_is_told_as_both(case: Case) -> None:
    spoilt = case.but_found(Verdict.FAILED)
    (found,) = spoilt.evidence.findings
    late = spoilt.but(evidence=replace(spoilt.evidence, findings=(replace(found, since=41, measured=40),)))
    assert told(late.decide(Action.PROMOTE)) == [("demand-too-late", "P7"), ("evidence-failed", "P2")]


# ── P8: what must hold at the moment ──────────────────────────────────────────────────────────────


def moment(case: Case, holds: bool | None) -> Case:
    each = Precondition(
        "fresh", "P8", holds, "the newest batch of gauges is 50 days old", "ingest what is late"
    )
    return case.but(evidence=replace(case.evidence, preconditions=(each,)))


@pytest.mark.parametrize("holds", [False, None])
def test_p8_what_does_not_hold_or_cannot_be_told_blocks_and_voids_nothing(
    case: Case, holds: bool | None
) -> None:
    spoilt = moment(case, holds)
    assert only(spoilt.decide(Action.PROMOTE), Refused) == Reason(
        "precondition-fresh", "P8", "the newest batch of gauges is 50 days old", "ingest what is late"
    )
    assert isinstance(moment(spoilt, True).decide(Action.PROMOTE), Allowed)


def test_p8_below_prod_the_moment_is_not_asked() -> None:
    assert isinstance(moment(a_case(Stage.STAGING), False).decide(Action.PROMOTE), Allowed)


# ── P9: break-glass, and reviews that must not be missed ──────────────────────────────────────────


@pytest.fixture
def emergency() -> Case:
    """Return the case in which the operator breaks the glass for version 2, approved by two."""
    return a_case(Stage.CANARY, Action.BREAK_GLASS)


def test_p9_break_glass_asks_its_own_floor_and_no_more(emergency: Case) -> None:
    decision = emergency.decide(Action.BREAK_GLASS)
    assert isinstance(decision, Allowed)
    assert decision.moves == (Move(1, Stage.PROD, Stage.RETIRED), Move(2, Stage.CANARY, Stage.PROD))


def test_p9_break_glass_is_never_a_bypass_of_its_floor(emergency: Case) -> None:
    spoilt = emergency.but_found(Verdict.FAILED)
    assert told(spoilt.decide(Action.BREAK_GLASS)) == [("evidence-failed", "P2")]
    assert told(emergency.but(approvals=()).decide(Action.BREAK_GLASS)) == [("approval-missing", "P4")]
    nowhere = emergency.but(evidence=replace(emergency.evidence, way_back=None))
    assert told(nowhere.decide(Action.BREAK_GLASS)) == [("no-way-back", "P8")]


def test_p9_without_a_break_glass_in_the_policy_there_is_none(emergency: Case) -> None:
    policy = replace(emergency.policy, break_glass=None)
    assert only(emergency.but(policy=policy).decide(Action.BREAK_GLASS), Refused) == Reason(
        "no-break-glass", "P9", "policy trams 1 has no break-glass", "promote it the regular way"
    )


def test_p9_only_an_operator_breaks_the_glass_and_only_from_canary(emergency: Case) -> None:
    assert told(emergency.decide(Action.BREAK_GLASS, "p-3")) == [("not-permitted", "A1")]
    staging = emergency.but_version(stage="staging")
    assert told(staging.decide(Action.BREAK_GLASS)) == [("illegal-move", "P1")]


def test_p9_whoever_broke_the_glass_does_not_approve_it(emergency: Case) -> None:
    both = emergency.with_person(an_actor("p-5", "operator", "approver")).but(approvals=())
    assert told(both.decide(Action.APPROVE, "p-5", role="approver")) == [("own-work", "P4")]


def test_p9_the_moment_is_not_asked_in_an_emergency(emergency: Case) -> None:
    assert isinstance(moment(emergency, False).decide(Action.BREAK_GLASS), Allowed)


def review(due_at: str, kind: str = "break_glass") -> ReviewRow:
    about = {"model": MODEL, "period": "", "version": 1, "kind": kind, "cause": "it went live by break-glass"}
    state = {"role": "reviewer", "status": "open", "outcome": "", "decided_by": "", "followed": ""}
    return ReviewRow(id="R-7", **about, **state, due_at=due_at, sequence=90)  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", [Stage.CANDIDATE, Stage.STAGING, Stage.CANARY])
def test_p9_an_overdue_review_holds_everything_that_goes_up(stage: Stage) -> None:
    held = a_case(stage).but(mandatory=(review("2019-12-31T23:59:59Z"),))
    assert only(held.decide(Action.PROMOTE), Refused) == Reason(
        "review-overdue",
        "P9",
        "R-7 (break glass) was due on 2019-12-31, and nothing goes up before it is decided",
        "a reviewer decides it: tidegate review R-7 --outcome … --reason …",
    )


def test_p9_a_certificate_that_is_owed_names_the_act_that_gives_it(case: Case) -> None:
    owed = replace(review("2019-12-31T23:59:59Z", "recertification"), role="approver")
    reason = only(case.but(mandatory=(owed,)).decide(Action.PROMOTE), Refused)
    assert reason.code == "review-overdue"
    assert reason.next_step == f"role `approver` certifies again: tidegate recertify {MODEL} 1 --reason …"


def test_p9_an_overdue_review_holds_the_next_break_glass_too(emergency: Case) -> None:
    held = emergency.but(mandatory=(review("2019-12-31T00:00:00Z"),))
    assert told(held.decide(Action.BREAK_GLASS)) == [("review-overdue", "P9")]


def test_p9_a_review_that_is_not_due_yet_holds_nothing(case: Case) -> None:
    assert isinstance(case.but(mandatory=(review("2020-01-01T00:00:00Z"),)).decide(Action.PROMOTE), Allowed)


def test_p5_an_overdue_review_never_holds_a_rollback() -> None:
    live = a_case(Stage.PROD).but(mandatory=(review("2019-12-31T00:00:00Z"),))
    assert isinstance(live.decide(Action.ROLL_BACK), Allowed)
    assert isinstance(live.decide(Action.STOP), Allowed)


# ── the gate of the tier ──────────────────────────────────────────────────────────────────────────


def test_what_clearly_passes_goes_on_by_itself_where_the_tier_asks_for_nobody() -> None:
    low = a_case(tier=Tier.LOW).but(approvals=())
    assert isinstance(low.decide(Action.PROMOTE), Allowed)
    assert told(low.but_found(Verdict.FAILED).decide(Action.PROMOTE)) == [("evidence-failed", "P2")]
    band = low.but_found(Verdict.INCONCLUSIVE).decide(Action.PROMOTE)
    assert told(band) == [("evidence-inconclusive", "P2"), ("approval-missing", "P4")]
