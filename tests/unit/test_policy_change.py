"""Rule P6, pure: who may propose and decide, what a policy may ask of people, and what still is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.domain.lifecycle import Reason
from tidegate.domain.policy import BreakGlass, Deadline, Need, Policy, Stage, Tier
from tidegate.domain.policy_change import (
    Change,
    eligible,
    may_decide,
    may_propose,
    short_of,
    unadoptable,
    understaffed,
)
from tidegate.domain.state import ActorRow, PolicyRow, ProposalDecisionRow, ProposalRow
from tidegate.testing.cases import a_policy, an_actor, with_gate

PEOPLE = {
    row.id: row
    for row in (
        an_actor("p-2", "data_scientist"),
        an_actor("p-3", "approver"),
        an_actor("p-4", "approver"),
        an_actor("p-7", "risk_officer"),
        an_actor("s-1", "training_service"),
    )
}
NOW, NEXT = a_policy(), a_policy("2")


def staffed(*people: ActorRow) -> dict[str, frozenset[str]]:
    return dict(eligible(people or PEOPLE.values(), set(PEOPLE) | {row.id for row in people}))


def a_change(**more: object) -> Change:
    """Return a proposal by p-2 that nothing speaks against, and that nobody has decided on."""
    row = ProposalRow("C-1", NEXT.digest, "trams", "2", NEXT.body, NOW.digest, "p-2", "open", 50)
    change = Change(row, NEXT, NOW, PEOPLE, staffed(), {}, ())
    return replace(change, **more)  # type: ignore[arg-type]


def decided(
    actor: str, role: str = "approver", outcome: str = "approve", at: int = 51
) -> ProposalDecisionRow:
    return ProposalDecisionRow("C-1", actor, role, outcome, at)


def told(reasons: list[Reason]) -> list[tuple[str, str]]:
    return [(reason.rule, reason.code) for reason in reasons]


def may(change: Change, name: str, role: str = "approver", *, approves: bool = True) -> list[tuple[str, str]]:
    return told(may_decide(change, change.people[name], role, approves=approves))


# ── who decides ───────────────────────────────────────────────────────────────────────────────────


def test_a_person_with_an_approving_role_who_had_no_part_may_decide() -> None:
    assert may(a_change(), "p-3") == []
    assert may(a_change(), "p-7", "risk_officer") == []
    assert may(a_change(), "p-3", approves=False) == []


def test_who_holds_no_such_role_may_not_and_every_reason_is_told() -> None:
    assert may(a_change(), "p-2") == [("A1", "not-permitted"), ("P6", "own-proposal")]
    assert may(a_change(), "s-1") == [("A1", "not-permitted"), ("P6", "not-a-person")]


def test_a_service_that_was_given_the_role_is_still_no_person() -> None:
    people = {**PEOPLE, "s-9": an_actor("s-9", "approver")}
    assert may(a_change(people=people), "s-9") == [("P6", "not-a-person")]


def test_nobody_decides_in_a_role_they_do_not_hold_or_that_does_not_decide() -> None:
    assert may(a_change(), "p-3", "risk_officer") == [("P6", "role-not-held")]
    both = {**PEOPLE, "p-3": an_actor("p-3", "approver", "reviewer")}
    assert may(a_change(people=both), "p-3", "reviewer") == [("P6", "role-not-held")]
    assert may(a_change(), "p-3", "") == [("P6", "role-not-held")]


def test_the_proposer_may_not_approve_under_any_account() -> None:
    people = {**PEOPLE, "p-8": an_actor("p-8", "approver", subject="p-2")}
    (reason,) = may_decide(a_change(people=people), people["p-8"], "approver", approves=True)
    assert (reason.rule, reason.code) == ("P6", "own-proposal")
    assert reason.sentence == "p-8 cannot approve C-1: it was proposed by them"
    assert reason.next_step == "ask somebody who did not propose it"


def test_who_benefits_may_not_approve_under_any_account() -> None:
    people = {**PEOPLE, "p-8": an_actor("p-8", "approver", subject="p-4")}
    gaining = a_change(people=people, gains={"p-4": ("trams version 2", "trams version 3")})
    for name in ("p-4", "p-8"):
        (reason,) = may_decide(gaining, people[name], "approver", approves=True)
        assert (reason.rule, reason.code) == ("P6", "benefits")
        assert reason.sentence == (
            f"{name} cannot approve C-1: trams version 2, trams version 3, in which they had a part, "
            "may get further under it"
        )
    assert may(gaining, "p-3") == []


def test_who_proposed_or_benefits_may_reject() -> None:
    own = a_change(proposal=replace(a_change().proposal, proposer="p-3"), gains={"p-4": ("trams version 2",)})
    assert may(own, "p-3", approves=False) == []
    assert may(own, "p-4", approves=False) == []


def test_one_person_counts_once() -> None:
    people = {**PEOPLE, "p-8": an_actor("p-8", "approver", subject="p-3")}
    change = a_change(people=people, decisions=(decided("p-3"),))
    assert may(change, "p-3") == [("P6", "counted-once")]
    assert may(change, "p-8") == [("P6", "counted-once")]
    assert may(change, "p-8", approves=False) == [("P6", "counted-once")]
    assert may(change, "p-4") == []


@pytest.mark.parametrize("status", ["adopted", "rejected", "superseded"])
def test_what_is_closed_waits_for_nobody(status: str) -> None:
    change = a_change(proposal=replace(a_change().proposal, status=status))
    (reason,) = may_decide(change, PEOPLE["p-3"], "approver", approves=True)
    assert (reason.code, reason.sentence) == (
        "nothing-open",
        f"C-1 is {status}; nothing waits for a decision",
    )
    assert may(change, "p-3", approves=False) == [("P6", "nothing-open")]


# ── what is bound ─────────────────────────────────────────────────────────────────────────────────


def test_another_policy_in_force_makes_a_proposal_stale_and_it_can_still_be_rejected() -> None:
    change = a_change(in_force=a_policy("1b"))
    (reason,) = may_decide(change, PEOPLE["p-3"], "approver", approves=True)
    assert (reason.rule, reason.code, reason.next_step) == ("P6", "stale-proposal", "propose it again")
    assert reason.sentence == "C-1 would replace another policy than trams 1b, which is in force"
    assert may(change, "p-3", approves=False) == []


@pytest.mark.parametrize("proposed", [None, a_policy("3")])
def test_a_text_that_is_not_the_one_proposed_is_not_approved(proposed: Policy | None) -> None:
    assert told(unadoptable(a_change(proposed=proposed))) == [("P6", "unreadable-policy")]
    assert may(a_change(proposed=proposed), "p-3") == [("P6", "unreadable-policy")]


# ── how many people there are ─────────────────────────────────────────────────────────────────────


def test_eligible_are_distinct_people_with_a_token_that_works() -> None:
    people = (
        an_actor("p-3", "approver"),
        an_actor("p-4", "approver", subject="p-3"),  # the same person
        an_actor("p-5", "approver"),  # whose token was revoked
        an_actor("p-6", "approver", "risk_officer"),
        an_actor("p-7", "reviewer"),
        an_actor("s-1", "approver"),  # no person
    )
    found = eligible(people, {"p-3", "p-4", "p-6", "p-7", "s-1"})
    assert found == {"approver": frozenset({"p-3", "p-6"}), "risk_officer": frozenset({"p-6"})}


PLACES = {
    "the gate into prod in tier high": lambda needs: with_gate(
        NOW, replace(NOW.gates[Tier.HIGH][Stage.PROD], approvals=needs), Tier.HIGH
    ),
    "the gate into staging in tier low": lambda needs: with_gate(
        NOW, replace(NOW.gates[Tier.LOW][Stage.STAGING], approvals=needs), Tier.LOW
    ),
    "break-glass": lambda needs: replace(NOW, break_glass=BreakGlass((), needs, 3, "reviewer")),
    "a change of the policy": lambda needs: replace(NOW, changes=needs),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_place_may_ask_for_more_people_than_hold_the_role(place: str) -> None:
    assert understaffed(PLACES[place]((Need("approver", 2),)), staffed()) == []
    (reason,) = understaffed(PLACES[place]((Need("approver", 3),)), staffed())
    assert (reason.rule, reason.code) == ("P6", "too-few-people")
    assert reason.sentence == f"{place} asks for 3 approvals by `approver`, which 2 eligible people hold"
    assert reason.next_step == "ask for fewer, or let an administrator give more people the role"


def test_a_role_to_escalate_to_needs_somebody_who_holds_it() -> None:
    gate = replace(NOW.gates[Tier.HIGH][Stage.PROD], deadline=Deadline(7, 3, "risk_officer", 30))
    policy = with_gate(NOW, gate, Tier.HIGH)
    assert understaffed(policy, staffed()) == []
    (reason,) = understaffed(policy, staffed(PEOPLE["p-3"], PEOPLE["p-4"]))
    assert reason.sentence == (
        "the gate into prod in tier high, where it is escalated, asks for 1 approval by `risk_officer`, "
        "which 0 eligible people hold"
    )


def test_one_of_each_role_needs_two_people_even_if_one_holds_both() -> None:
    each = replace(NOW, changes=(Need("approver", 1), Need("risk_officer", 1)))
    one = an_actor("p-3", "approver", "risk_officer")
    only = [reason for reason in understaffed(each, staffed(one)) if "a change" in reason.sentence]
    assert [reason.sentence for reason in only] == [
        (
            "a change of the policy asks for 2 approvals by `approver` and `risk_officer`, which 1 eligible "
            "person holds"
        )
    ]
    other = an_actor("p-4", "approver")
    assert [r for r in understaffed(each, staffed(one, other)) if "a change" in r.sentence] == []


def test_every_place_that_asks_too_much_is_told() -> None:
    nobody = staffed(PEOPLE["p-2"])
    places = [reason.sentence.split(" asks for ")[0] for reason in understaffed(NOW, nobody)]
    assert places == [
        "the gate into prod in tier standard",
        "the gate into prod in tier high",
        "break-glass",
        "a change of the policy",
    ]


def test_a_proposal_that_has_become_too_much_to_ask_is_not_approved() -> None:
    many = replace(NEXT, changes=(Need("approver", 2),))
    assert may(a_change(proposed=many, staff=staffed(PEOPLE["p-3"])), "p-3")[0] == ("P6", "too-few-people")
    assert may(a_change(proposed=many), "p-3") == []


# ── proposing ─────────────────────────────────────────────────────────────────────────────────────


def row_of(policy: Policy, *, in_force: bool = False) -> PolicyRow:
    return PolicyRow(policy.digest, policy.name, policy.version, policy.body, in_force, 1)


def proposes(policy: Policy, *past: Policy, actor: str = "p-2") -> list[tuple[str, str]]:
    rows = [row_of(NOW, in_force=True), *map(row_of, past)]
    return told(may_propose(policy, NOW, rows, PEOPLE[actor], staffed()))


def test_who_may_propose_what() -> None:
    assert proposes(NEXT) == []
    assert proposes(NEXT, actor="p-3") == []
    assert proposes(NEXT, actor="s-1") == [("A1", "not-permitted")]
    assert proposes(NOW) == [("P6", "same-policy")]


def test_a_changed_text_is_another_version() -> None:
    other = replace(NEXT, version="1")
    (reason,) = may_propose(other, NOW, [row_of(NOW, in_force=True)], PEOPLE["p-2"], staffed())
    assert (reason.rule, reason.code) == ("P6", "version-taken")
    assert (
        reason.sentence == "policy trams 1 was in force with another text; a changed text is another version"
    )
    assert proposes(NEXT, NEXT) == []  # what was in force before may come back, word for word


def test_nobody_proposes_what_people_cannot_meet() -> None:
    assert proposes(a_policy("2", high=3)) == [("P6", "too-few-people")]
    assert proposes(a_policy("2", high=3), actor="s-1") == [("A1", "not-permitted"), ("P6", "too-few-people")]


# ── what is missing ───────────────────────────────────────────────────────────────────────────────


def asking(*needs: Need, **more: object) -> Change:
    return a_change(in_force=replace(NOW, changes=needs), **more)


def test_a_proposal_waits_until_the_policy_in_force_has_the_people_it_asks_for() -> None:
    (reason,) = short_of(a_change())
    assert (reason.rule, reason.code) == ("P6", "approval-missing")
    assert reason.sentence == "C-1 waits for 1 more approval by role `approver`"
    assert reason.next_step == "tidegate policy approve C-1 --as … --reason …"
    assert short_of(a_change(decisions=(decided("p-3"),))) == []
    two = asking(Need("approver", 2), decisions=(decided("p-3"),))
    assert [each.sentence for each in short_of(two)] == [reason.sentence]
    assert short_of(replace(two, decisions=(decided("p-3"), decided("p-4", at=52)))) == []


def test_one_of_each_role_waits_for_each() -> None:
    each = asking(Need("approver", 1), Need("risk_officer", 1))
    assert len(short_of(each)) == 2
    (left,) = short_of(replace(each, decisions=(decided("p-3"),)))
    assert "role `risk_officer`" in left.sentence
    assert short_of(replace(each, decisions=(decided("p-3"), decided("p-7", "risk_officer", at=52)))) == []


def test_a_rejection_is_no_approval() -> None:
    assert told(short_of(a_change(decisions=(decided("p-3", outcome="reject"),)))) == [
        ("P6", "approval-missing")
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"people": {**PEOPLE, "p-3": an_actor("p-3", "reviewer")}}, "approver-lost-role"),
        ({"people": {**PEOPLE, "p-3": an_actor("p-3", "approver", subject="p-2")}}, "own-proposal"),
        ({"gains": {"p-3": ("trams version 2",)}}, "benefits"),
    ],
)
def test_an_approval_that_does_not_count_any_more_is_named_and_missing(
    change: dict[str, object], code: str
) -> None:
    found = short_of(a_change(decisions=(decided("p-3"),), **change))
    assert told(found) == [("P6", code), ("P6", "approval-missing")]


def test_two_accounts_of_one_person_are_one_approval() -> None:
    people = {**PEOPLE, "p-8": an_actor("p-8", "approver", subject="p-3")}
    change = asking(Need("approver", 2), people=people, decisions=(decided("p-3"), decided("p-8", at=52)))
    assert told(short_of(change)) == [("P6", "counted-once"), ("P6", "approval-missing")]
