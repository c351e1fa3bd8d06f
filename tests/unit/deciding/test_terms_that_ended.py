"""What asks for a certificate ends with the version's time in prod."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.lower import lower
from tidegate.application.promote import climb
from tidegate.application.resolve import Say, revoke
from tidegate.application.review import ReviewOutcome, decide_review
from tidegate.application.standing import overdue
from tidegate.application.tend import recertify, tend
from tidegate.domain.errors import Refused
from tidegate.domain.lifecycle import Action
from tidegate.domain.state import ReviewRow
from tidegate.testing.cases import MODEL
from tidegate.testing.deciding import (
    approve,
    ask,
    ruled,
)
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, later, version


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
