"""Somebody decides in another's place, and only where they were asked to."""

from __future__ import annotations

import pytest

from tidegate.application.delegate import delegate, end_delegation
from tidegate.application.erase import erase
from tidegate.application.lawfulness import unlawful
from tidegate.application.resolve import Say
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.state import ApprovalRow, DelegationRow, PromotionRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.deciding import (
    DAY,
    approve,
    ask,
    barred,
    lend,
)
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, later


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
