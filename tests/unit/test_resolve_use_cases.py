"""Deciding on fakes: conditions, roles, delegation, taking back, terms, deadlines, break-glass. All of it lawful."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tidegate.application.delegate import delegate, end_delegation
from tidegate.application.erase import erase
from tidegate.application.identity import revoke as revoke_tokens
from tidegate.application.lawfulness import unlawful
from tidegate.application.lower import lower
from tidegate.application.platform import Acting
from tidegate.application.promote import climb, preview, request, void_approvals
from tidegate.application.resolve import Say, resolve, revoke
from tidegate.application.review import ReviewOutcome, decide_review
from tidegate.application.standing import overdue
from tidegate.application.status import status
from tidegate.application.tend import recertify, tend
from tidegate.application.weighing import Outcome
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.lifecycle import Action, Allowed
from tidegate.domain.policy import Certification, Deadline, Need, Policy, Preconditions, Stage, Tier
from tidegate.domain.state import ApprovalRow, DelegationRow, PromotionRow, ReviewRow, VersionRow
from tidegate.testing.cases import MODEL, a_policy, with_gate
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock

WELL = "Evidence looks sound to me."
DAY = timedelta(days=1)


def ruled(**more: object) -> Policy:
    """Return a policy that says more than the usual one; its body names it."""
    policy = a_policy("trust")
    body = f"{policy.body} {sorted(more)}"
    return replace(policy, body=body, digest=f"sha256:{len(body)}-{sorted(more)}", **more)  # type: ignore[arg-type]


def gate_into_prod(**more: object) -> Policy:
    policy = ruled()
    gate = replace(policy.gates[Tier.STANDARD][Stage.PROD], **more)  # type: ignore[arg-type]
    return with_gate(policy, gate)


World = Callable[..., FakePlatform]


@pytest.fixture
def under(tmp_path: Path) -> World:
    """Return what makes a world under a policy: version 1 was trained by `s-1` for `p-2`; `p-9` is a risk officer."""

    def made(policy: Policy | None = None) -> FakePlatform:
        platform = FakePlatform(tmp_path, policy)
        platform.add_actor("p-9", "risk_officer")
        platform.register(on_behalf_of="p-2")
        return platform

    return made


@pytest.fixture
def world(under: World) -> FakePlatform:
    """Return the world under the usual policy."""
    return under()


@pytest.fixture
def asked(world: FakePlatform) -> FakePlatform:
    """Return the world in which version 1 waits before prod."""
    ask(world)
    return world


@pytest.fixture
def live(asked: FakePlatform) -> FakePlatform:
    """Return the world with version 1 in prod and version 2 waiting before it."""
    approve(asked)
    asked.register(on_behalf_of="p-2")
    ask(asked, 2)
    return asked


def ask(world: FakePlatform, version: int = 1) -> Outcome:
    return climb(world, world.acting("p-2"), MODEL, version, Stage.PROD)


def approve(
    world: FakePlatform, version: int = 1, who: str = "p-3", say: Say | None = None, key: str | None = None
) -> Outcome:
    return resolve(world, world.acting(who, key), MODEL, version, Action.APPROVE, WELL, say)


def version(world: FakePlatform, number: int = 1) -> VersionRow:
    row = world.ledger.state().get(VersionRow, MODEL, number)
    assert row is not None
    return row


def later(world: FakePlatform, days: float) -> datetime:
    """Let time pass; return the moment it has come to."""
    clock = world.clock
    assert isinstance(clock, FixedClock)
    clock.moment += days * DAY
    return clock.moment


def new(world: FakePlatform, act: Callable[[], object]) -> list[Event]:
    before = len(list(world.ledger.events()))
    act()
    return list(world.ledger.events())[before:]


def codes(error: pytest.ExceptionInfo[Refused]) -> list[str]:
    reasons = error.value.data["reasons"]
    assert isinstance(reasons, list)
    return [reason["code"] for reason in reasons]


# ── conditions ────────────────────────────────────────────────────────────────────────────────────


def test_conditions_are_recorded_and_bind_the_live_version(asked: FakePlatform) -> None:
    approve(asked, say=Say(conditions={"max_share": 0.1, "lapses_in_days": 30}))
    row = version(asked)
    assert (row.stage, dict(row.conditions)) == ("prod", {"lapses_in_days": 30, "max_share": 0.1})
    assert row.certified_until == utc_text(asked.clock.now() + 30 * DAY)
    assert unlawful(asked) == ()


def test_of_several_conditions_the_strictest_holds(under: World) -> None:
    world = under(gate_into_prod(approvals=(Need("approver", 2),)))
    ask(world)
    approve(world, say=Say(conditions={"max_share": 0.5, "lapses_in_days": 60}))
    approve(world, who="p-4", say=Say(conditions={"max_share": 0.2}))
    assert dict(version(world).conditions) == {"lapses_in_days": 60, "max_share": 0.2}
    assert unlawful(world) == ()


def test_a_review_that_was_demanded_is_opened_at_once_and_overdue_holds_the_model(live: FakePlatform) -> None:
    approve(live, 2, say=Say(conditions={"review_in_days": 14}))
    (review,) = live.ledger.state().select(ReviewRow, kind="condition")
    assert (review.version, review.role, review.due_at) == (
        2,
        "reviewer",
        utc_text(live.clock.now() + 14 * DAY),
    )
    live.register(on_behalf_of="p-2")
    later(live, 15)
    with pytest.raises(Refused) as error:
        ask(live, 3)
    assert codes(error) == ["review-overdue"]
    decide_review(live, live.acting("p-6"), review.id, ReviewOutcome.BENIGN, "It is as it was.")
    assert ask(live, 3).stage == "canary"
    assert unlawful(live) == ()


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        ({"best_effort": 1}, "got the condition `best_effort`, expected one of: max_share, review_in_days"),
        ({"max_share": 0}, "got max_share = 0, expected a share from 0.01 to 1"),
        ({"max_share": 1.5}, "got max_share = 1.5, expected a share from 0.01 to 1"),
        ({"review_in_days": 0.5}, "got review_in_days = 0.5, expected a whole number from 1 to 365"),
        ({"lapses_in_days": 1e9}, "got lapses_in_days = 1e+09, expected a whole number from 1 to 3650"),
    ],
)
def test_a_condition_that_nothing_enforces_is_bad_input_and_nothing_is_written(
    asked: FakePlatform, conditions: dict[str, float], sentence: str
) -> None:
    def act() -> None:
        with pytest.raises(BadInput) as error:
            approve(asked, say=Say(conditions=conditions))
        assert error.value.sentence.startswith(sentence)

    assert new(asked, act) == []


# ── roles ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_decision_is_given_in_the_role_that_the_gate_still_lacks(under: World) -> None:
    world = under(gate_into_prod(approvals=(Need("approver", 1), Need("risk_officer", 1))))
    world.change_roles("p-4", "approver", "risk_officer")
    ask(world)
    approve(world)
    assert approve(world, who="p-4").stage == "prod"
    given = {row.actor: row.role for row in world.ledger.state().select(ApprovalRow)}
    assert given == {"p-3": "approver", "p-4": "risk_officer"}
    assert unlawful(world) == ()


# ── delegation ────────────────────────────────────────────────────────────────────────────────────


def lend(
    world: FakePlatform, to: str = "p-6", who: str = "p-3", role: str = "approver", days: float = 7
) -> DelegationRow:
    until = world.clock.now() + days * DAY
    return delegate(world, world.acting(who), to, role, until, "I am away.", MODEL)


def test_who_was_asked_to_decides_in_the_others_place(asked: FakePlatform) -> None:
    row = lend(asked)
    assert (row.id, row.principal, row.delegate, row.model) == ("D-1", "p-3", "p-6", MODEL)
    assert approve(asked, who="p-6", say=Say("approver", "p-3")).stage == "prod"
    (approval,) = asked.ledger.state().select(ApprovalRow, actor="p-6")
    assert approval.for_whom == "p-3"
    assert unlawful(asked) == ()


def test_a_delegation_ends_by_itself_and_by_hand(asked: FakePlatform) -> None:
    lend(asked)
    end_delegation(asked, asked.acting("p-6"), "D-1")
    with pytest.raises(Refused) as error:
        approve(asked, who="p-6", say=Say("approver", "p-3"))
    assert codes(error) == ["no-delegation"]
    lend(asked, days=2)
    later(asked, 2)
    with pytest.raises(Refused) as error:
        approve(asked, who="p-6", say=Say("approver", "p-3"))
    assert codes(error) == ["no-delegation"]
    assert unlawful(asked) == ()


def test_nobody_delegates_what_is_not_theirs_or_to_themselves(asked: FakePlatform) -> None:
    asked.add_actor("p-10", "reviewer", subject="p-3")
    for who, to, role, expected in (
        ("p-6", "p-5", "approver", ["role-not-held"]),
        ("p-6", "p-5", "reviewer", ["role-not-held"]),
        ("p-3", "p-10", "approver", ["to-oneself"]),
    ):
        with pytest.raises(Refused) as error:
            lend(asked, to, who, role)
        assert codes(error) == expected
    refusals = [event for event in asked.ledger.events() if event.type is EventType.ACTION_REFUSED]
    assert [event.payload["action"] for event in refusals] == ["delegate"] * 3


@pytest.mark.parametrize("days", [0, -1, 93])
def test_a_delegation_has_an_end_that_is_near(asked: FakePlatform, days: float) -> None:
    with pytest.raises(BadInput, match="expected an end within 92 days from now"):
        lend(asked, days=days)


def test_a_delegation_to_a_service_or_to_nobody_is_bad_input(asked: FakePlatform) -> None:
    for to in ("s-1", "p-99"):
        with pytest.raises(BadInput, match="no person on record"):
            lend(asked, to)


def test_only_the_two_between_whom_it_is_end_a_delegation(asked: FakePlatform) -> None:
    lend(asked)
    with pytest.raises(Refused) as error:
        end_delegation(asked, asked.acting("p-4"), "D-1")
    assert codes(error) == ["not-yours"]
    assert not asked.ledger.state().select(DelegationRow)[0].ended
    with pytest.raises(BadInput, match="got the delegation `D-9`, expected one of: D-1"):
        end_delegation(asked, asked.acting("p-3"), "D-9")


def barred(world: FakePlatform, who: str) -> FakePlatform:
    world.with_tokens()
    revoke_tokens(world, world.acting("p-1"), who)
    return world


@pytest.mark.parametrize("who", ["p-3", "p-6"])
def test_a_delegation_ends_with_the_last_token_of_either_of_the_two(asked: FakePlatform, who: str) -> None:
    lend(asked)
    assert not asked.ledger.state().select(DelegationRow)[0].ended
    barred(asked, who)
    assert asked.ledger.state().select(DelegationRow)[0].ended
    with pytest.raises(Refused) as error:
        approve(asked, who="p-6", say=Say("approver", "p-3"))
    assert codes(error) == ["no-delegation"]
    assert asked.ledger.verify() == unlawful(asked) == ()


def test_a_delegation_lives_as_long_as_its_principal_holds_a_good_token(asked: FakePlatform) -> None:
    lend(asked)
    asked.with_tokens()
    second = {"id": "c-p-3-2", "actor": "p-3", "token_digest": "sha256:2"}
    asked.write(EventType.CREDENTIAL_ISSUED, second, stream="actors")
    asked.revoke("p-3")
    assert approve(asked, who="p-6", say=Say("approver", "p-3")).stage == "prod"
    assert unlawful(asked) == ()


def test_what_was_decided_under_a_delegation_stands_when_its_principal_has_left(world: FakePlatform) -> None:
    world.adopt(a_policy("2", standard=2))
    ask(world)
    lend(world)
    approve(world, who="p-6", say=Say("approver", "p-3"))
    barred(world, "p-3")
    assert approve(world, who="p-4").stage == "prod"


@pytest.mark.parametrize(("who", "told"), [("p-3", "p-3"), ("p-6", "p-6")])
def test_nothing_is_delegated_from_or_to_an_account_without_a_good_token(
    asked: FakePlatform, who: str, told: str
) -> None:
    with pytest.raises(Refused, match=f"no token of {told} is good any more") as error:
        lend(barred(asked, who))
    assert codes(error) == ["cannot-act"]
    assert asked.ledger.state().select(DelegationRow) == ()


@pytest.mark.parametrize("who", ["p-3", "p-6"])
def test_a_forged_delegation_from_or_to_whoever_cannot_act_is_named(asked: FakePlatform, who: str) -> None:
    barred(asked, who)
    given = {"id": "D-1", "principal": "p-3", "delegate": "p-6", "role": "approver", "model": ""}
    until = {"until": utc_text(asked.clock.now() + DAY)}
    asked.write(EventType.APPROVAL_DELEGATED, {**given, **until}, "p-3", "approvals")
    (told,) = unlawful(asked)
    assert told.endswith(f"D-1 is delegated from p-3 to p-6; {who} has no good token, rule P4")


def test_a_forged_approval_for_somebody_who_has_left_is_named(asked: FakePlatform) -> None:
    """The record is judged as the use case decides: a delegation that ended with its principal carries nothing."""
    lend(asked)
    barred(asked, "p-3")
    (row,) = asked.ledger.state().select(PromotionRow, status="open")
    said = {name: getattr(row, name) for name in ("model", "version", "artifact", "packet", "policy")}
    given = {"promotion": row.id, "role": "approver", "outcome": "approve", "for_whom": "p-3"}
    asked.write(EventType.PROMOTION_APPROVED, {**said, **given, "conditions": {}}, "p-6", f"model/{MODEL}")
    (told,) = unlawful(asked)
    assert "p-3 has not delegated `approver` to p-6 for this, or no longer, rule P4" in told


def test_who_was_erased_has_nobody_decide_in_their_place(asked: FakePlatform) -> None:
    """Also where no token of theirs was ever issued here, so that none could be revoked."""
    lend(asked)
    erase(asked, asked.acting("p-1"), "p-3", "Article 17, letter of 3 May.")
    assert asked.ledger.state().select(DelegationRow)[0].ended
    with pytest.raises(Refused) as error:
        approve(asked, who="p-6", say=Say("approver", "p-3"))
    assert codes(error) == ["no-delegation"]
    assert unlawful(asked) == ()


def test_delegating_under_a_key_happens_once(asked: FakePlatform) -> None:
    until = asked.clock.now() + DAY
    keyed = asked.acting("p-3", "k")
    first = delegate(asked, keyed, "p-6", "approver", until, "away")
    assert delegate(asked, keyed, "p-6", "approver", until, "away") == first
    assert len(asked.ledger.state().select(DelegationRow)) == 1


# ── taking back ───────────────────────────────────────────────────────────────────────────────────


def test_taking_back_before_the_last_approval_leaves_the_request_open(under: World) -> None:
    world = under(gate_into_prod(approvals=(Need("approver", 2),)))
    ask(world)
    approve(world)
    (event,) = new(world, lambda: revoke(world, world.acting("p-3"), MODEL, 1, "I misread a slice."))
    assert (event.type, event.payload["moves"]) == (EventType.APPROVAL_REVOKED, [])
    assert approve(world, who="p-4").stage == "canary"
    assert approve(world).stage == "prod"
    assert unlawful(world) == ()


def test_taking_back_the_approval_of_a_live_version_restores_the_last_approved_one_in_one_event(
    live: FakePlatform,
) -> None:
    approve(live, 2)
    (event,) = new(live, lambda: revoke(live, live.acting("p-3"), MODEL, 2, "The metrics were of March."))
    assert event.type is EventType.APPROVAL_REVOKED
    assert (version(live, 1).stage, version(live, 2).stage) == ("prod", "candidate")
    assert version(live, 2).prod_sequence == 0
    assert unlawful(live) == ()


def test_what_was_unapproved_needs_a_person_to_go_up_again(live: FakePlatform) -> None:
    approve(live, 2)
    revoke(live, live.acting("p-3"), MODEL, 2, "The metrics were of March.")
    ask(live, 2)
    with pytest.raises(Refused):
        revoke(live, live.acting("p-3"), MODEL, 2, "again")
    assert approve(live, 2).stage == "prod"
    assert unlawful(live) == ()


def test_a_delegate_takes_back_the_approval_they_gave(live: FakePlatform) -> None:
    lend(live)
    approve(live, 2, who="p-6", say=Say("approver", "p-3"))
    assert version(live, 2).stage == "prod"
    barred(live, "p-3")  # who has left cannot take it back themselves
    (event,) = new(live, lambda: revoke(live, live.acting("p-6"), MODEL, 2, "I misread a slice."))
    assert (event.type, event.actor) == (EventType.APPROVAL_REVOKED, "p-6")
    assert (version(live, 1).stage, version(live, 2).stage) == ("prod", "candidate")
    assert unlawful(live) == ()


def test_who_lost_the_role_takes_back_the_approval_they_gave(live: FakePlatform) -> None:
    ask(live, 2)
    approve(live, 2)
    live.change_roles("p-3", "auditor")
    (event,) = new(live, lambda: revoke(live, live.acting("p-3"), MODEL, 2, "I misread a slice."))
    assert (event.type, event.actor) == (EventType.APPROVAL_REVOKED, "p-3")
    assert (version(live, 1).stage, version(live, 2).stage) == ("prod", "candidate")
    assert unlawful(live) == ()


def test_somebody_elses_approval_is_not_a_delegates_to_take_back(live: FakePlatform) -> None:
    lend(live)
    approve(live, 2)
    with pytest.raises(Refused) as error:
        revoke(live, live.acting("p-6"), MODEL, 2, "I misread a slice.")
    assert codes(error) == ["not-permitted", "nothing-to-revoke"]
    asked = max(live.ledger.state().select(PromotionRow, version=2), key=lambda row: row.sequence)
    moves = [
        {"version": 2, "from": "prod", "to": "candidate"},
        {"version": 1, "from": "retired", "to": "prod"},
    ]
    payload = {"promotion": asked.id, "approver": "p-3", "model": MODEL, "version": 2, "moves": moves}
    live.write(EventType.APPROVAL_REVOKED, payload, "p-6", f"model/{MODEL}")
    assert [each.rpartition(" ")[2] for each in unlawful(live)] == ["A1", "P4"]


def test_a_forged_revocation_that_moves_nothing_is_named(live: FakePlatform) -> None:
    approve(live, 2)
    asked = max(live.ledger.state().select(PromotionRow, version=2), key=lambda row: row.sequence)
    payload = {"promotion": asked.id, "approver": "p-3", "model": MODEL, "version": 2, "moves": []}
    live.write(EventType.APPROVAL_REVOKED, payload, "p-3", f"model/{MODEL}")
    (breach,) = unlawful(live)
    assert breach.endswith("rule P5")


# ── deadlines ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def dated(under: World) -> FakePlatform:
    """Return a world whose prod gate reminds after 3 days, escalates after 7 and lets a request lapse after 30."""
    world = under(gate_into_prod(deadline=Deadline(7, 3, "risk_officer", 30)))
    ask(world)
    return world


def test_time_reminds_escalates_and_lets_lapse_each_once(dated: FakePlatform) -> None:
    clock = dated.acting("s-4")
    assert tend(dated, clock) == ()
    seen = []
    for days in (3, 0, 4, 0, 22, 1, 1):
        later(dated, days)
        seen.append([str(event.type) for event in tend(dated, clock)])
    assert seen == [["promotion.reminded"], [], ["promotion.escalated"], [], [], ["promotion.lapsed"], []]
    (row,) = dated.ledger.state().select(PromotionRow, target="prod")
    assert (row.status, row.chased, row.escalated_to) == ("lapsed", "escalated", "risk_officer")
    with pytest.raises(Refused) as error:
        approve(dated)
    assert codes(error) == ["nothing-open"]
    assert unlawful(dated) == ()


def test_whom_it_was_escalated_to_decides(dated: FakePlatform) -> None:
    later(dated, 8)
    tend(dated, dated.acting("s-4"))
    assert approve(dated, who="p-9").stage == "prod"
    assert unlawful(dated) == ()


def test_who_may_not_tend_is_refused(dated: FakePlatform) -> None:
    with pytest.raises(Refused) as error:
        tend(dated, dated.acting("p-3"))
    assert codes(error) == ["not-permitted"]


def test_a_request_that_lapses_before_its_time_is_named(dated: FakePlatform) -> None:
    (row,) = dated.ledger.state().select(PromotionRow, target="prod")
    payload = {"promotion": row.id, "model": MODEL, "version": 1}
    dated.write(EventType.PROMOTION_LAPSED, payload, "s-4", f"model/{MODEL}")
    (breach,) = unlawful(dated)
    assert "lapses before its time, rule P3" in breach


# ── terms ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def termed(under: World) -> FakePlatform:
    """Return a world in which an approval holds 90 days, or until drift, and version 1 is live."""
    rule = Certification(90, 14, "approver", on_drift=True)
    world = under(ruled(certification={Tier.STANDARD: rule}))
    ask(world)
    approve(world)
    return world


def drift(world: FakePlatform, period: str = "2024-02") -> None:
    """Have a monitor fail on the live version."""
    about = {"model": MODEL, "period": period, "version": 1, "verdict": "failed", "outcomes": ""}
    world.scored(1, period)
    world.write(
        EventType.MONITOR_RAN, {**about, "evidence": {}, "report": "", "review": ""}, "s-2", f"model/{MODEL}"
    )


def test_an_approval_lapses_with_its_term_and_holds_for_another_once_certified(termed: FakePlatform) -> None:
    assert version(termed).certified_until == utc_text(termed.clock.now() + 90 * DAY)
    later(termed, 90)
    (event,) = tend(termed, termed.acting("s-4"))
    assert (event.type, event.payload["because"]) == (EventType.CERTIFICATION_LAPSED, "age")
    assert tend(termed, termed.acting("s-4")) == ()
    (review,) = termed.ledger.state().select(ReviewRow, kind="recertification")
    assert (review.status, review.role) == ("open", "approver")
    row = recertify(termed, termed.acting("p-3"), MODEL, 1, "It still holds.")
    assert row.certified_until == utc_text(termed.clock.now() + 90 * DAY)
    assert termed.ledger.state().select(ReviewRow, kind="recertification")[0].outcome == "recertified"
    assert tend(termed, termed.acting("s-4")) == ()
    assert unlawful(termed) == ()


def test_drift_ends_a_term_and_only_drift_after_the_last_certificate(termed: FakePlatform) -> None:
    drift(termed)
    (event,) = tend(termed, termed.acting("s-4"))
    assert event.payload["because"] == "drift"
    recertify(termed, termed.acting("p-3"), MODEL, 1, "The storm explains it.")
    assert tend(termed, termed.acting("s-4")) == ()
    drift(termed, "2024-03")
    assert [event.payload["because"] for event in tend(termed, termed.acting("s-4"))] == ["drift"]


def test_an_overdue_certificate_holds_the_next_version_but_not_a_rollback(termed: FakePlatform) -> None:
    termed.register(on_behalf_of="p-2")
    ask(termed, 2)
    approve(termed, 2)
    termed.register(on_behalf_of="p-2")
    later(termed, 90)
    tend(termed, termed.acting("s-4"))
    later(termed, 15)
    assert [row.kind for row in overdue(termed.ledger.state(), termed.clock.now())] == ["recertification"]
    with pytest.raises(Refused) as error:
        ask(termed, 3)
    assert codes(error) == ["review-overdue"]
    assert lower(termed, termed.acting("p-5"), MODEL, Action.ROLL_BACK, "to be safe").version == 1


@pytest.mark.parametrize(
    ("who", "code"), [("p-2", "not-permitted"), ("p-6", "not-permitted"), ("s-1", "not-permitted")]
)
def test_who_may_not_approve_certifies_nothing(termed: FakePlatform, who: str, code: str) -> None:
    with pytest.raises(Refused) as error:
        recertify(termed, termed.acting(who), MODEL, 1, "fine")
    assert code in codes(error)


def test_the_trainer_does_not_certify_their_own_work_again(termed: FakePlatform) -> None:
    termed.change_roles("p-2", "data_scientist", "approver")
    with pytest.raises(Refused) as error:
        recertify(termed, termed.acting("p-2"), MODEL, 1, "fine")
    assert codes(error) == ["own-work"]


def test_only_what_is_live_is_certified_again(termed: FakePlatform) -> None:
    lower(termed, termed.acting("p-5"), MODEL, Action.STOP, "odd scores")
    with pytest.raises(Refused) as error:
        recertify(termed, termed.acting("p-3"), MODEL, 1, "fine")
    assert codes(error) == ["nothing-to-certify"]


def test_a_certificate_binds_what_is_live_and_the_policy_whose_term_it_is(termed: FakePlatform) -> None:
    (event,) = new(termed, lambda: recertify(termed, termed.acting("p-3"), MODEL, 1, "It still holds."))
    row, (asked,) = version(termed), termed.ledger.state().select(PromotionRow, target="prod")
    bound = {name: event.payload[name] for name in ("role", "artifact", "packet", "policy")}
    digest = termed.policies.load().digest
    assert bound == {
        "role": "approver", "artifact": row.artifact, "packet": asked.packet, "policy": digest,
    }  # fmt: skip
    assert row.certified_sequence == event.sequence


def test_the_role_that_the_policy_names_certifies_and_no_other(under: World) -> None:
    world = under(ruled(certification={Tier.STANDARD: Certification(90, 14, "risk_officer")}))
    ask(world)
    approve(world)
    with pytest.raises(Refused) as error:
        recertify(world, world.acting("p-4"), MODEL, 1, "fine")
    assert codes(error) == ["wrong-role"]
    assert "P4: the policy asks for the role `risk_officer`, which p-4 does not hold" in error.value.sentence
    recertify(world, world.acting("p-9"), MODEL, 1, "It still holds.")
    assert unlawful(world) == ()


def test_drift_that_was_known_when_somebody_certified_does_not_end_what_they_certified(
    termed: FakePlatform,
) -> None:
    later(termed, 90)
    tend(termed, termed.acting("s-4"))
    drift(termed)  # after the review was opened, before it is answered
    recertify(termed, termed.acting("p-3"), MODEL, 1, "I have seen the storm.")
    assert tend(termed, termed.acting("s-4")) == ()
    drift(termed, "2024-03")
    recertify(termed, termed.acting("p-3"), MODEL, 1, "And this one, before anybody asked.")
    assert tend(termed, termed.acting("s-4")) == ()
    drift(termed, "2024-04")
    assert [event.payload["because"] for event in tend(termed, termed.acting("s-4"))] == ["drift"]


@pytest.mark.parametrize(
    ("change", "rule", "sentence"),
    [
        ({"until": "2999-01-01T00:00:00Z"}, "P3", "until 2999-01-01T00:00:00Z, not for its term"),
        ({"until": ""}, "P3", "until ever, not for its term"),
        ({"role": "risk_officer"}, "P4", "by p-3 as `risk_officer`, where role `approver` is asked"),
        ({"artifact": "sha256:other"}, "P3", "for something else than is live"),
        ({"packet": "sha256:other"}, "P3", "for something else than is live"),
        ({"policy": "sha256:other"}, "P3", "for something else than is live"),
    ],
)
def test_a_forged_certificate_is_named(
    termed: FakePlatform, change: dict[str, str], rule: str, sentence: str
) -> None:
    row, (asked,) = version(termed), termed.ledger.state().select(PromotionRow, target="prod")
    bound = {"artifact": row.artifact, "packet": asked.packet, "policy": termed.policies.load().digest}
    until = {"until": utc_text(termed.clock.now() + 90 * DAY)}
    lawful = {"model": MODEL, "version": 1, "role": "approver", **bound, **until}
    termed.write(EventType.VERSION_RECERTIFIED, lawful, "p-3", f"model/{MODEL}")
    assert unlawful(termed) == ()
    termed.write(EventType.VERSION_RECERTIFIED, {**lawful, **change}, "p-3", f"model/{MODEL}")
    (breach,) = unlawful(termed)
    assert sentence in breach
    assert breach.endswith(f", rule {rule}")


# ── terms: what asks for a certificate ends with the version's time in prod ────────────────────────


@pytest.fixture
def lapsed(termed: FakePlatform) -> FakePlatform:
    """Return a world with version 2 live, its term over, a review that asks for it, and version 3 in canary."""
    termed.register(on_behalf_of="p-2")
    ask(termed, 2)
    approve(termed, 2)
    termed.register(on_behalf_of="p-2")
    climb(termed, termed.acting("p-2"), MODEL, 3)
    later(termed, 90)
    tend(termed, termed.acting("s-4"))
    assert recertifications(termed) == ["open"]
    return termed


def recertifications(world: FakePlatform) -> list[str]:
    return [row.status for row in world.ledger.state().select(ReviewRow, kind="recertification")]


def replaced(world: FakePlatform) -> None:
    ask(world, 3)
    approve(world, 3)


LEAVING: dict[str, Callable[[FakePlatform], object]] = {
    "replace": replaced,
    "stop": lambda world: lower(world, world.acting("p-5"), MODEL, Action.STOP, "odd scores"),
    "roll back": lambda world: lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, "odd scores"),
    "revoke": lambda world: revoke(world, world.acting("p-3"), MODEL, 2, "I was wrong."),
}


@pytest.mark.parametrize("leaving", LEAVING)
def test_a_version_that_leaves_prod_leaves_no_certificate_to_be_given_and_nothing_frozen(
    lapsed: FakePlatform, leaving: str
) -> None:
    LEAVING[leaving](lapsed)
    assert version(lapsed, 2).stage != "prod"
    assert recertifications(lapsed) == ["superseded"]
    later(lapsed, 400)
    assert overdue(lapsed.ledger.state(), lapsed.clock.now()) == ()
    number = lapsed.register(on_behalf_of="p-2")
    assert climb(lapsed, lapsed.acting("p-2"), MODEL, number).stage == "canary"
    assert unlawful(lapsed) == ()


def test_what_was_asked_of_a_version_that_left_is_decided_by_nobody(lapsed: FakePlatform) -> None:
    LEAVING["stop"](lapsed)
    with pytest.raises(Refused) as error:
        decide_review(lapsed, lapsed.acting("p-6"), "R-1", ReviewOutcome.BENIGN, "It is gone.")
    assert codes(error) == ["superseded"]
    assert "R-1 is superseded: version 2 left prod" in error.value.sentence


def test_a_restored_version_whose_own_term_is_over_is_asked_about_again(lapsed: FakePlatform) -> None:
    LEAVING["roll back"](lapsed)
    tend(lapsed, lapsed.acting("s-4"))
    (review,) = lapsed.ledger.state().select(ReviewRow, kind="recertification", status="open")
    assert review.version == 1
    assert unlawful(lapsed) == ()


CERTIFY = f"role `approver` certifies again: tidegate recertify {MODEL} 2 --reason …"


def test_no_outcome_stands_in_for_a_certificate(lapsed: FakePlatform) -> None:
    lapsed.add_actor("p-10", "approver", "reviewer")
    for who in ("p-6", "p-10"):
        with pytest.raises(Refused) as error:
            decide_review(lapsed, lapsed.acting(who), "R-1", ReviewOutcome.BENIGN, "Fine.")
        assert codes(error) == ["certified-instead"]
        assert error.value.hint == CERTIFY
    later(lapsed, 15)
    with pytest.raises(Refused) as error:
        ask(lapsed, 3)
    assert error.value.hint == CERTIFY
    recertify(lapsed, lapsed.acting("p-3"), MODEL, 2, "It still holds.")
    assert [reason.code for reason in ask(lapsed, 3).waits] == ["approval-missing"]


def test_what_was_asked_is_answered_also_where_the_policy_has_no_term_any_more(lapsed: FakePlatform) -> None:
    lapsed.adopt(ruled())
    row = recertify(lapsed, lapsed.acting("p-3"), MODEL, 2, "It still holds.")
    assert row.certified_until == ""
    assert recertifications(lapsed) == ["decided"]
    with pytest.raises(Refused) as error:
        recertify(lapsed, lapsed.acting("p-3"), MODEL, 2, "Once more.")
    assert codes(error) == ["nothing-to-certify"]


def test_a_review_that_was_a_condition_is_decided_after_the_version_left_too(live: FakePlatform) -> None:
    approve(live, 2, say=Say(conditions={"review_in_days": 14}))
    lower(live, live.acting("p-5"), MODEL, Action.STOP, "odd scores")
    row = decide_review(live, live.acting("p-6"), "R-1", ReviewOutcome.BENIGN, "Looked at.")
    assert (row.status, row.outcome) == ("decided", "benign")
    assert unlawful(live) == ()


# ── break-glass ───────────────────────────────────────────────────────────────────────────────────


def smash(
    world: FakePlatform, number: int, who: str = "p-5", reason: str = "Prod answers nothing."
) -> Outcome:
    acting: Acting = world.acting(who)
    return request(world, acting, MODEL, number, action=Action.BREAK_GLASS, reason=reason)


def test_break_glass_goes_by_its_floor_and_opens_a_review_that_must_follow(live: FakePlatform) -> None:
    outcome = smash(live, 2)
    assert [(each.rule, each.code) for each in outcome.waits] == [("P4", "approval-missing")]
    written = new(live, lambda: approve(live, 2, "p-4"))
    assert [event.type for event in written] == [
        EventType.PROMOTION_APPROVED, EventType.PROMOTION_APPLIED, EventType.REVIEW_OPENED,
    ]  # fmt: skip
    assert written[1].payload["kind"] == "break_glass"
    (review,) = live.ledger.state().select(ReviewRow, kind="break_glass")
    assert review.due_at == utc_text(live.clock.now() + 3 * DAY)
    assert version(live, 2).stage == "prod"
    assert unlawful(live) == ()


def test_approvals_of_the_regular_request_do_not_count_for_break_glass(under: World) -> None:
    world = under(gate_into_prod(approvals=(Need("approver", 2),)))
    ask(world)
    approve(world)
    assert [each.code for each in smash(world, 1).waits] == ["approval-missing"]
    assert approve(world, who="p-3").stage == "prod"
    assert unlawful(world) == ()


def test_a_regular_request_does_not_replace_an_emergency_that_waits(live: FakePlatform) -> None:
    asked = smash(live, 2).promotion
    with pytest.raises(Refused) as error:
        ask(live, 2)
    assert codes(error) == ["glass-broken"]
    assert f"P9: {asked} asks for version 2 by break-glass, and waits for a decision" in error.value.sentence
    resolve(live, live.acting("p-3"), MODEL, 2, Action.REJECT, "No emergency.")
    assert ask(live, 2).promotion != asked
    assert unlawful(live) == ()


def test_an_emergency_that_nobody_decided_in_time_was_none_and_lapses(live: FakePlatform) -> None:
    asked = smash(live, 2).promotion
    row = live.ledger.state().get(PromotionRow, asked)
    assert row is not None
    assert row.due_at == utc_text(live.clock.now() + 3 * DAY)
    later(live, 3)
    assert [event.type for event in tend(live, live.acting("s-4"))] == [EventType.PROMOTION_LAPSED]
    with pytest.raises(Refused) as error:
        approve(live, 2)
    assert codes(error) == ["nothing-open"]
    assert unlawful(live) == ()


def test_what_went_live_by_break_glass_holds_no_longer_than_until_its_review(under: World) -> None:
    world = under(ruled(certification={Tier.STANDARD: Certification(90, 14, "approver")}))
    ask(world)
    smash(world, 1)
    approve(world)
    assert version(world).certified_until == utc_text(world.clock.now() + 3 * DAY)
    assert unlawful(world) == ()


def test_break_glass_takes_a_reason_and_an_operator(live: FakePlatform) -> None:
    with pytest.raises(BadInput, match="got no reason"):
        smash(live, 2, reason=" ")
    with pytest.raises(Refused) as error:
        smash(live, 2, "p-2")
    assert codes(error) == ["not-permitted"]


def test_while_its_review_is_overdue_nothing_of_the_model_goes_up(live: FakePlatform) -> None:
    smash(live, 2)
    approve(live, 2)
    live.register(on_behalf_of="p-2")
    climb(live, live.acting("p-2"), MODEL, 3, Stage.CANARY)
    later(live, 4)
    for act in (lambda: ask(live, 3), lambda: smash(live, 3)):
        with pytest.raises(Refused) as error:
            act()
        assert "review-overdue" in codes(error)


# ── reviews that must follow: by nobody who had a part in what they look at ────────────────────────


def looked_at(world: FakePlatform, who: str) -> ReviewRow:
    return decide_review(world, world.acting(who), "R-1", ReviewOutcome.BENIGN, "All is well.")


@pytest.mark.parametrize(
    ("who", "part"), [("p-5", "requested"), ("p-4", "approved"), ("p-2", "trained and registered")]
)
def test_who_had_a_part_in_breaking_the_glass_does_not_review_it(
    live: FakePlatform, who: str, part: str
) -> None:
    smash(live, 2)
    approve(live, 2, "p-4")
    live.change_roles(who, "reviewer")
    with pytest.raises(Refused) as error:
        looked_at(live, who)
    assert codes(error) == ["own-part"]
    assert f"{who} cannot decide R-1: version 2 was {part} by them" in error.value.sentence
    assert looked_at(live, "p-6").outcome == "benign"
    assert unlawful(live) == ()


def test_a_second_account_does_not_make_another_reviewer(live: FakePlatform) -> None:
    smash(live, 2)
    approve(live, 2, "p-4")
    live.add_actor("p-10", "reviewer", subject="p-5")
    with pytest.raises(Refused) as error:
        looked_at(live, "p-10")
    assert codes(error) == ["own-part"]


@pytest.mark.parametrize("taken_back", [False, True])
@pytest.mark.parametrize("who", ["p-3", "p-10"])
def test_who_set_the_condition_or_had_it_set_does_not_review_it(
    asked: FakePlatform, who: str, taken_back: bool
) -> None:
    asked.add_actor("p-10", "reviewer")
    delegate(asked, asked.acting("p-3"), "p-10", "approver", asked.clock.now() + 9 * DAY, "I am away.")
    approve(asked, who="p-10", say=Say(for_whom="p-3", conditions={"review_in_days": 14}))
    if taken_back:
        revoke(asked, asked.acting("p-3"), MODEL, 1, "I was wrong.")
    asked.change_roles(who, "reviewer")
    with pytest.raises(Refused) as error:
        looked_at(asked, who)
    assert codes(error) == ["own-part"]
    looked_at(asked, "p-6")
    assert unlawful(asked) == ()


def test_a_finding_is_reviewed_by_whoever_holds_the_role(termed: FakePlatform) -> None:
    about = {"id": "R-1", "model": MODEL, "period": "2024-01", "version": 1, "kind": "finding"}
    due = {"cause": "labels failed", "role": "reviewer", "due_at": "2024-02-08T00:00:00Z"}
    termed.write(EventType.REVIEW_OPENED, {**about, **due}, "s-2", f"model/{MODEL}")
    termed.change_roles("p-3", "approver", "reviewer")
    assert looked_at(termed, "p-3").outcome == "benign"


# ── a clock that is set back, or was ahead ────────────────────────────────────────────────────────


def told_at(world: FakePlatform, days: float) -> None:
    """Let time pass, have something told then, and set the clock back."""
    later(world, days)
    with pytest.raises(Refused):
        request(world, world.acting("p-6"), MODEL, 1)
    later(world, -days)


def test_a_delegation_that_has_ended_stays_ended_whatever_is_written_on_a_clock_set_back(
    asked: FakePlatform,
) -> None:
    lend(asked, days=7)
    told_at(asked, 8)
    for _ in range(3):  # each refusal is an event on the clock set back
        with pytest.raises(Refused) as error:
            approve(asked, who="p-6", say=Say("approver", "p-3"))
        assert codes(error) == ["no-delegation"]
    assert unlawful(asked) == ()
    (row,) = asked.ledger.state().select(PromotionRow, status="open")
    said = {name: getattr(row, name) for name in ("model", "version", "artifact", "packet", "policy")}
    given = {"promotion": row.id, "role": "approver", "outcome": "approve", "for_whom": "p-3"}
    asked.write(EventType.PROMOTION_APPROVED, {**said, **given, "conditions": {}}, "p-6", f"model/{MODEL}")
    (breach,) = unlawful(asked)
    assert "p-3 has not delegated `approver` to p-6 for this, or no longer, rule P4" in breach


def test_what_is_delegated_once_a_clock_is_right_again_holds_until_its_end(asked: FakePlatform) -> None:
    """A clock that was ahead by mistake ends what stood then; it does not stop what comes after."""
    told_at(asked, 400)
    lend(asked, days=7)
    later(asked, 6)
    assert approve(asked, who="p-6", say=Say("approver", "p-3")).stage == "prod"
    assert unlawful(asked) == ()


@pytest.mark.parametrize(("days", "stage"), [(13, "prod"), (15, "canary")])
def test_an_approval_that_has_grown_old_is_not_young_again_on_a_clock_set_back(
    under: World, days: float, stage: str
) -> None:
    two = gate_into_prod(approvals=(Need("approver", 2),))
    world = under(replace(two, preconditions=Preconditions(approved_days=14)))
    ask(world)
    approve(world)
    told_at(world, days)
    decision, dossier, policy = preview(world, MODEL, 1)
    shown = [each.code for each in void_approvals(world, MODEL, 1, dossier, policy)]
    assert not isinstance(decision, Allowed)
    outcome = approve(world, who="p-4")
    assert outcome.stage == stage
    expired = ["approval-expired"] if stage == "canary" else []
    assert shown == expired
    assert [each.code for each in outcome.waits] == [*expired, *(["approval-missing"] if expired else [])]
    assert unlawful(world) == ()


def test_approvals_given_once_a_clock_is_right_again_count(under: World) -> None:
    two = gate_into_prod(approvals=(Need("approver", 2),))
    world = under(replace(two, preconditions=Preconditions(approved_days=14)))
    ask(world)
    told_at(world, 400)
    approve(world)
    assert approve(world, who="p-4").stage == "prod"
    assert unlawful(world) == ()


def test_an_overdue_review_holds_the_model_on_a_clock_set_back_too(live: FakePlatform) -> None:
    smash(live, 2)
    approve(live, 2)
    live.register(on_behalf_of="p-2")
    climb(live, live.acting("p-2"), MODEL, 3, Stage.CANARY)
    told_at(live, 4)
    assert [row.kind for row in overdue(live.ledger.state(), live.clock.now())] == ["break_glass"]
    told = status(live)
    assert told["held"] == [MODEL]
    assert [row["overdue"] for row in told["waiting"]["reviews"]] == [True]
    with pytest.raises(Refused) as error:
        ask(live, 3)
    assert "review-overdue" in codes(error)


@pytest.mark.parametrize(
    ("days", "kind"),
    [(3, "promotion.reminded"), (7, "promotion.escalated"), (30, "promotion.lapsed")],
)
def test_a_deadline_that_has_passed_is_past_on_a_clock_set_back(
    dated: FakePlatform, days: float, kind: str
) -> None:
    told_at(dated, days + 1)
    assert [row["overdue"] for row in status(dated)["waiting"]["approvals"]] == [days >= 7]
    assert [str(event.type) for event in tend(dated, dated.acting("s-4"))] == [kind]
    assert unlawful(dated) == ()


def test_a_term_that_is_over_is_over_on_a_clock_set_back(termed: FakePlatform) -> None:
    told_at(termed, 90)
    (event,) = tend(termed, termed.acting("s-4"))
    assert (event.type, event.payload["because"]) == (EventType.CERTIFICATION_LAPSED, "age")
    recertify(termed, termed.acting("p-3"), MODEL, 1, "It still holds.")
    assert tend(termed, termed.acting("s-4")) == (), "certified since, by the clock as it is now"


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
