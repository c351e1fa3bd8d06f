"""Proposing, deciding and adopting a policy, on fakes: what is written, what is refused, what a repeat does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.change_policy import Changed, decide_change, propose
from tidegate.application.lawfulness import unlawful
from tidegate.application.promote import climb
from tidegate.application.proposal import gains
from tidegate.application.resolve import resolve
from tidegate.application.standing import policy_in_force
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Certification, Gate, Need, Policy, Preconditions, Stage, Tier
from tidegate.domain.rollout import CanaryRule
from tidegate.domain.state import PromotionRow, ProposalDecisionRow, ProposalRow
from tidegate.testing.cases import MODEL, a_policy, with_gate
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.policies import FakePolicies
from tidegate.testing.looking import stage, tried

WHY = "It was tried on last year."
PROPOSED, APPROVED, REJECTED = (
    EventType.POLICY_PROPOSED,
    EventType.POLICY_APPROVED,
    EventType.POLICY_REJECTED,
)
ADOPTED, DENIED = EventType.POLICY_ADOPTED, EventType.ACTION_REFUSED


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world in which everybody has a token, and version 1 was registered for `p-2`."""
    platform = FakePlatform(tmp_path)
    platform.with_tokens()
    platform.register(on_behalf_of="p-2")
    return platform


def proposed(
    world: FakePlatform, policy: Policy | None = None, who: str = "p-2", key: str | None = None
) -> Changed:
    policy = world.knows(policy or a_policy("2"))
    return propose(world, world.acting(who, key), policy, WHY)


def approve(world: FakePlatform, name: str = "C-1", who: str = "p-3", key: str | None = None) -> Changed:
    return decide_change(world, world.acting(who, key), name, Action.APPROVE, WHY)


def reject(world: FakePlatform, name: str = "C-1", who: str = "p-3", key: str | None = None) -> Changed:
    return decide_change(world, world.acting(who, key), name, Action.REJECT, WHY)


def in_force(world: FakePlatform) -> str:
    return policy_in_force(world, world.ledger.state()).version


def denied(world: FakePlatform, act: Callable[[], object]) -> list[tuple[str, str]]:
    """Return the reasons of a refusal, which is on record with exactly those."""
    with pytest.raises(Refused) as caught:
        act()
    event = list(world.ledger.events())[-1]
    assert event.type is DENIED
    assert event.payload["reasons"] == caught.value.data["reasons"]
    return [(reason["rule"], reason["code"]) for reason in event.payload["reasons"]]


def one_of_each(version: str = "1") -> Policy:
    """Return a policy that changes only with an approver and a risk officer."""
    policy = a_policy(version)
    body = f"{policy.body} one of each"
    needs = (Need("approver", 1), Need("risk_officer", 1))
    return replace(policy, body=body, digest=f"sha256:{version}-of-each", changes=needs)


def loose(version: str = "2", most: float = 0.9) -> Policy:
    """Return a policy by which a calibration gap of 0.3 goes on."""
    policy = a_policy(version)
    (demand,) = policy.gates[Tier.STANDARD][Stage.CANARY].demands
    looser = replace(demand, passes=f"packet.metrics.calibration_gap.value <= {most}")
    body = f"{policy.body} loose {most}"
    policy = replace(policy, body=body, digest=f"sha256:loose-{version}-{most}")
    for tier in Tier:
        policy = with_gate(policy, Gate(Stage.CANARY, (looser,)), tier)
    return policy


# ── proposing ─────────────────────────────────────────────────────────────────────────────────────


def test_a_proposal_is_one_event_and_waits_for_whom_the_policy_in_force_asks(world: FakePlatform) -> None:
    assert tried(world, lambda: proposed(world)) == [PROPOSED]
    (row,) = world.ledger.state().select(ProposalRow)
    assert (row.id, row.name, row.version, row.proposer, row.status) == ("C-1", "trams", "2", "p-2", "open")
    assert (row.digest, row.body, row.base) == (
        a_policy("2").digest,
        a_policy("2").body,
        a_policy().digest,
    )
    assert [reason.code for reason in proposed(world).waits] == ["approval-missing"]
    assert in_force(world) == "1"


def test_the_reason_is_kept_beside_the_record(world: FakePlatform) -> None:
    proposed(world)
    event = list(world.ledger.events())[-1]
    assert "last year" not in event.body
    assert world.ledger.text(event.payload["texts"]["reason"]) == WHY


def test_the_very_same_text_is_not_proposed_twice(world: FakePlatform) -> None:
    proposed(world)
    assert tried(world, lambda: proposed(world, who="p-3")) == []
    assert proposed(world, who="p-3").proposal.proposer == "p-2"


def test_another_text_takes_the_place_of_what_was_open(world: FakePlatform) -> None:
    proposed(world)
    assert proposed(world, a_policy("3")).proposal.id == "C-2"
    status = {row.id: row.status for row in world.ledger.state().select(ProposalRow)}
    assert status == {"C-1": "superseded", "C-2": "open"}
    assert denied(world, lambda: approve(world)) == [("P6", "nothing-open")]


def test_a_refused_proposal_is_on_record_with_all_its_reasons(world: FakePlatform) -> None:
    asked = a_policy("2", high=5)
    assert denied(world, lambda: proposed(world, asked, who="p-5")) == [
        ("A1", "not-permitted"),
        ("P6", "too-few-people"),
    ]
    event = list(world.ledger.events())[-1]
    assert (event.stream, event.payload["action"]) == ("policy", "propose_policy")
    assert event.payload["subject"] == {"digest": asked.digest, "name": "trams", "version": "2"}
    assert world.ledger.state().select(ProposalRow) == ()


def test_people_whose_token_was_revoked_do_not_count(world: FakePlatform) -> None:
    world.revoke("p-4")
    assert denied(world, lambda: proposed(world)) == [("P6", "too-few-people")]  # tier high asks for two
    assert proposed(world, a_policy("2", high=1)).proposal.id == "C-1"


def test_two_accounts_of_one_person_do_not_count_as_two(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.add_actor("p-8", "approver", subject="p-3")
    world.with_tokens()
    assert denied(world, lambda: proposed(world, a_policy("2", high=3))) == [("P6", "too-few-people")]


def test_what_is_in_force_is_not_proposed(world: FakePlatform) -> None:
    assert denied(world, lambda: proposed(world, a_policy())) == [("P6", "same-policy")]
    assert denied(world, lambda: proposed(world, one_of_each())) == [
        ("P6", "version-taken"),
        ("P6", "too-few-people"),
    ]


def test_without_a_reason_nothing_is_proposed_or_decided(world: FakePlatform) -> None:
    world.knows(a_policy("2"))
    for act in (
        lambda: propose(world, world.acting("p-2"), a_policy("2"), " "),
        lambda: decide_change(world, world.acting("p-3"), "C-1", Action.APPROVE, "\u200b"),
    ):
        assert tried(world, act) == []
        with pytest.raises(BadInput):
            act()


def test_an_act_for_somebody_else_is_refused(world: FakePlatform) -> None:
    world.knows(a_policy("2"))
    for_another = world.acting("p-2", on_behalf_of="p-3")
    assert denied(world, lambda: propose(world, for_another, a_policy("2"), WHY)) == [("A2", "not-itself")]


# ── deciding ──────────────────────────────────────────────────────────────────────────────────────


def test_the_last_approval_needed_puts_the_policy_in_force_in_the_same_transaction(
    world: FakePlatform,
) -> None:
    proposed(world)
    assert tried(world, lambda: approve(world)) == [APPROVED, ADOPTED]
    assert in_force(world) == "2"
    (row,) = world.ledger.state().select(ProposalRow)
    assert row.status == "adopted"
    assert unlawful(world) == ()


def test_an_approval_that_is_not_the_last_leaves_the_proposal_waiting(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path, one_of_each())
    world.add_actor("p-7", "risk_officer")
    world.with_tokens()
    proposed(world)
    outcome = approve(world)
    assert (outcome.proposal.status, [each.sentence for each in outcome.waits]) == (
        "open",
        ["C-1 waits for 1 more approval by role `risk_officer`"],
    )
    assert in_force(world) == "1"
    assert denied(world, lambda: approve(world)) == [("P6", "counted-once")]
    assert approve(world, who="p-7").proposal.status == "adopted"
    roles = {row.actor: row.role for row in world.ledger.state().select(ProposalDecisionRow)}
    assert roles == {"p-3": "approver", "p-7": "risk_officer"}
    assert unlawful(world) == ()


def test_the_policy_in_force_says_who_lets_another_one_in_not_the_one_proposed(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.add_actor("p-7", "risk_officer")
    world.with_tokens()
    proposed(world, one_of_each("2"))
    assert approve(world).proposal.status == "adopted"
    proposed(world, a_policy("3"))
    assert approve(world, "C-2").proposal.status == "open"


def test_who_holds_both_roles_decides_in_the_one_that_is_still_lacking(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path, one_of_each())
    world.add_actor("p-7", "approver", "risk_officer")
    world.with_tokens()
    proposed(world)
    approve(world)
    assert approve(world, who="p-7").proposal.status == "adopted"


def test_a_rejection_closes_the_proposal(world: FakePlatform) -> None:
    proposed(world)
    assert tried(world, lambda: reject(world)) == [REJECTED]
    assert (world.ledger.state().select(ProposalRow)[0].status, in_force(world)) == ("rejected", "1")
    assert denied(world, lambda: approve(world, who="p-4")) == [("P6", "nothing-open")]
    assert proposed(world).proposal.id == "C-2"  # and may be proposed again
    assert unlawful(world) == ()


def test_the_proposer_does_not_approve_and_may_reject(world: FakePlatform) -> None:
    proposed(world, who="p-3")
    assert denied(world, lambda: approve(world)) == [("P6", "own-proposal")]
    assert reject(world).proposal.status == "rejected"


def test_who_may_not_is_refused_on_record(world: FakePlatform) -> None:
    proposed(world)
    assert denied(world, lambda: approve(world, who="p-5")) == [("A1", "not-permitted")]
    event = list(world.ledger.events())[-1]
    assert event.payload["action"] == "approve_policy"
    assert event.payload["subject"]["proposal"] == "C-1"
    assert denied(world, lambda: approve(world, who="s-1")) == [
        ("A1", "not-permitted"),
        ("P6", "not-a-person"),
    ]


def test_an_unknown_proposal_and_an_action_that_decides_nothing_are_bad_input(world: FakePlatform) -> None:
    with pytest.raises(BadInput, match="got the proposal `C-9`, expected one of: none yet"):
        approve(world, "C-9")
    proposed(world)
    with pytest.raises(BadInput, match="expected one of: C-1"):
        reject(world, "C-9")
    with pytest.raises(BadInput, match="got `promote` as a decision"):
        decide_change(world, world.acting("p-3"), "C-1", Action.PROMOTE, WHY)


def test_people_who_left_since_it_was_proposed_are_missed_at_the_decision(world: FakePlatform) -> None:
    proposed(world)
    world.revoke("p-4")
    assert denied(world, lambda: approve(world)) == [("P6", "too-few-people")]
    assert in_force(world) == "1"


def test_a_text_that_cannot_be_read_any_more_is_not_approved_and_can_be_rejected(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed(world)
    monkeypatch.setattr(type(world), "policies", FakePolicies(a_policy()))
    assert denied(world, lambda: approve(world)) == [("P6", "unreadable-policy")]
    assert reject(world).proposal.status == "rejected"


# ── repeats ───────────────────────────────────────────────────────────────────────────────────────


def test_an_act_under_its_key_happens_once(world: FakePlatform) -> None:
    first = proposed(world, key="k")
    assert tried(world, lambda: proposed(world, key="k")) == []
    assert proposed(world, key="k") == first
    assert approve(world, key="k").proposal.status == "adopted"
    assert tried(world, lambda: approve(world, key="k")) == []
    assert approve(world, key="k").proposal.status == "adopted"
    assert (
        proposed(world, key="k").proposal.status == "adopted"
    )  # repeated after all of it, it proposes nothing


def test_a_refusal_under_its_key_is_told_again_and_not_written_again(world: FakePlatform) -> None:
    proposed(world, who="p-3")
    with pytest.raises(Refused):
        approve(world, key="k")
    assert tried(world, lambda: approve(world, key="k")) == []
    with pytest.raises(Refused, match="P6: p-3 cannot approve C-1"):
        approve(world, key="k")


# ── who benefits ──────────────────────────────────────────────────────────────────────────────────


def held_back(world: FakePlatform, **asked: Any) -> int:
    """Register a version whose calibration gap is refused, and ask for it."""
    number = world.register(calibration_gap=Measure(0.3, 1000, 0.2, 0.4), **asked)
    with pytest.raises(Refused):
        climb(world, world.acting("p-2"), MODEL, number, Stage.CANARY)
    return number


@pytest.mark.parametrize("part", ["requested", "had it trained", "under another account"])
def test_who_had_a_part_in_a_version_that_would_get_further_does_not_approve(
    world: FakePlatform, part: str
) -> None:
    world.add_actor("p-9", "approver", subject="p-2")
    if part == "requested":
        world.change_roles("p-4", "data_scientist", "approver")
        number = world.register(calibration_gap=Measure(0.3, 1000, 0.2, 0.4))
        with pytest.raises(Refused):
            climb(world, world.acting("p-4"), MODEL, number, Stage.CANARY)
    else:
        held_back(world, on_behalf_of="p-4" if part == "had it trained" else "p-2")
    proposed(world, loose(), who="p-3")
    who = "p-9" if part == "under another account" else "p-4"
    assert denied(world, lambda: approve(world, who=who)) == [("P6", "benefits")]
    assert in_force(world) == "1"


def test_who_had_no_part_approves_although_somebody_benefits(world: FakePlatform) -> None:
    held_back(world, on_behalf_of="p-4")
    proposed(world, loose())
    assert approve(world, who="p-3").proposal.status == "adopted"
    assert unlawful(world) == ()


def test_a_policy_under_which_nothing_gets_further_benefits_nobody(world: FakePlatform) -> None:
    held_back(world, on_behalf_of="p-4")
    proposed(world, loose(most=0.05))
    assert approve(world, who="p-4").proposal.status == "adopted"


def test_what_counts_is_where_a_version_could_go_now(world: FakePlatform) -> None:
    """One that is live, or retired, has nothing to gain."""
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WHY)
    state, easy = world.ledger.state(), a_policy("2", standard=0)
    assert gains(state, world.expressions, a_policy(), easy) == {}
    world.register(on_behalf_of="p-4")
    climb(world, world.acting("p-2"), MODEL, 2, Stage.PROD)
    found = gains(world.ledger.state(), world.expressions, a_policy(), easy)
    told = (f"{MODEL} version 2",)
    assert found == {"p-2": told, "p-4": told, "s-1": told}  # it waits for a person, and would not any more


@pytest.mark.parametrize(
    "change",
    [
        {"preconditions": Preconditions(approved_days=30)},
        {"rollout": {tier: CanaryRule(0.5, 2, 0.2) for tier in Tier}},
        {"certification": {Tier.STANDARD: Certification(9999, 14, "approver")}},
    ],
)
def test_who_has_a_version_under_way_gains_by_what_its_packet_does_not_show(
    world: FakePlatform, change: dict[str, Any]
) -> None:
    world.add_actor("p-9", "approver")
    world.with_tokens()
    held_back(world, on_behalf_of="p-4")
    other = replace(a_policy("2"), **change, body=f"other {sorted(change)}", digest="sha256:other")
    proposed(world, other, who="p-3")
    assert denied(world, lambda: approve(world, who="p-4")) == [("P6", "benefits")]
    assert approve(world, who="p-9").proposal.status == "adopted"


def test_who_could_break_the_glass_under_it_gains(world: FakePlatform) -> None:
    world.add_actor("p-9", "approver")
    world.with_tokens()
    number = world.register(on_behalf_of="p-4")
    climb(world, world.acting("p-2"), MODEL, number, Stage.CANARY)
    glass = a_policy().break_glass
    assert glass is not None
    shut = world.knows(replace(a_policy("1b"), break_glass=None, body="shut", digest="sha256:shut"))
    world.adopt(shut)
    wide = replace(glass, approvals=())
    proposed(world, replace(a_policy("2"), break_glass=wide, body="wide", digest="sha256:wide"), who="p-3")
    assert denied(world, lambda: approve(world, who="p-4")) == [("P6", "benefits")]


def fewer_people(gate: str, counts: tuple[int, int]) -> tuple[Policy, Policy]:
    """Return two policies that ask for so many approvers at one place."""
    glass = a_policy().break_glass
    assert glass is not None
    made = []
    for version, count in zip(("1b", "2"), counts, strict=True):
        needs, policy = (Need("approver", count),) if count else (), a_policy(version)
        if gate == "changes":
            policy = replace(policy, changes=needs)
        elif gate == "break_glass":
            policy = replace(policy, break_glass=replace(glass, approvals=needs))
        else:
            for tier in Tier:
                there = policy.gates[tier][Stage(gate)]
                policy = with_gate(policy, replace(there, approvals=needs), tier)
        made.append(replace(policy, body=f"{gate} {count}", digest=f"sha256:{gate}-{count}"))
    return made[0], made[1]


@pytest.mark.parametrize(
    ("place", "counts"),
    [
        *((place, counts) for place in ("staging", "prod", "break_glass") for counts in ((2, 1), (1, 0))),
        ("changes", (2, 1)),
    ],
)
def test_fewer_people_at_a_later_gate_let_a_version_further_too(
    world: FakePlatform, place: str, counts: tuple[int, int]
) -> None:
    """`p-4` had a part in a candidate: what will be asked of it in prod is theirs to gain already."""
    for extra in ("p-8", "p-9"):
        world.add_actor(extra, "approver")
    world.with_tokens()
    world.register(on_behalf_of="p-4")
    before, after = fewer_people(place, counts)
    world.adopt(world.knows(before))
    forged = unlawful(world)  # the fake's word for a policy that was there before
    proposed(world, after, who="p-3")
    assert denied(world, lambda: approve(world, who="p-4")) == [("P6", "benefits")]
    approve(world, who="p-8")
    if place == "changes":
        approve(world, who="p-9")
    assert in_force(world) == "2"
    assert unlawful(world) == forged


def test_more_people_at_a_later_gate_help_nobody(world: FakePlatform) -> None:
    world.register(on_behalf_of="p-4")
    before, after = fewer_people("prod", (2, 1))
    world.adopt(world.knows(replace(after, version="1b")))
    stricter = replace(before, version="2")
    assert gains(world.ledger.state(), world.expressions, after, stricter) == {}
    proposed(world, stricter, who="p-3")
    assert approve(world, who="p-4").proposal.status == "adopted"


# ── what follows for promotions ───────────────────────────────────────────────────────────────────


def test_a_policy_edited_between_request_and_approval_makes_the_request_stale(world: FakePlatform) -> None:
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    proposed(world)
    approve(world, who="p-4")
    with pytest.raises(Refused) as caught:
        resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WHY)
    (reason,) = caught.value.data["reasons"]  # type: ignore[misc]
    assert (reason["rule"], reason["code"]) == ("P3", "stale-request")
    assert reason["sentence"].endswith("was requested for something else: the policy changed since")
    assert stage(world) == "canary"
    again = climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    assert [each.code for each in again.waits] == ["approval-missing"]
    assert resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WHY).stage == "prod"
    assert unlawful(world) == ()


def test_an_approval_given_before_the_policy_changed_is_void_by_name(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path, a_policy(standard=2))
    world.with_tokens()
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WHY)
    proposed(world, a_policy("2", standard=2))
    approve(world, who="p-4")
    again = climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    assert again.waits[0].code == "approval-void"
    assert again.waits[0].sentence == "the approval by p-3 is void: the policy changed since"
    assert stage(world) == "canary"
    assert unlawful(world) == ()


def test_a_threshold_that_changed_judges_nothing_that_was_measured_before(world: FakePlatform) -> None:
    """P7: who could not benefit by approving does not benefit from what was adopted either."""
    number = held_back(world, on_behalf_of="p-2")
    proposed(world, loose())
    approve(world)
    with pytest.raises(Refused) as caught:
        climb(world, world.acting("p-2"), MODEL, number, Stage.CANARY)
    assert [each["rule"] for each in caught.value.data["reasons"]] == ["P7"]  # type: ignore[union-attr]
    later = world.register(on_behalf_of="p-2", calibration_gap=Measure(0.3, 1000, 0.2, 0.4))
    assert climb(world, world.acting("p-2"), MODEL, later, Stage.CANARY).stage == "canary"
    assert unlawful(world) == ()


def test_an_open_request_stays_as_it_was_while_a_policy_is_only_proposed(world: FakePlatform) -> None:
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    proposed(world)
    (row,) = world.ledger.state().select(PromotionRow, status="open")
    assert row.policy == a_policy().digest
    assert resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WHY).stage == "prod"
