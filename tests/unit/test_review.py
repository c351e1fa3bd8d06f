"""A review is decided once, by a person who holds the role it asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.application.platform import Acting
from tidegate.application.review import ReviewOutcome, decide_review
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.state import ActorRow, ReviewRow
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import last

WHY = "A holiday week, as every year."


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world in which two reviews wait."""
    platform = FakePlatform(tmp_path)
    platform.register()
    for name, role in (("R-1", "reviewer"), ("R-2", "reviewer")):
        opened = {"id": name, "model": MODEL, "period": "2024-01", "version": 1, "cause": "labels failed"}
        more = {"kind": "finding", "role": role, "due_at": "2024-02-08T00:00:00Z"}
        platform.write(EventType.REVIEW_OPENED, {**opened, **more}, "s-2", f"model/{MODEL}")
    return platform


def decide(world: FakePlatform, acting: Acting, review: str = "R-1", outcome: str = "benign") -> ReviewRow:
    return decide_review(world, acting, review, ReviewOutcome(outcome), WHY)


def refused(world: FakePlatform, acting: Acting, review: str = "R-1") -> list[tuple[str, str, str]]:
    """Return rule, code and sentence of every reason, having seen that the refusal was recorded."""
    before = len(list(world.ledger.events()))
    with pytest.raises(Refused) as error:
        decide(world, acting, review)
    (event,) = list(world.ledger.events())[before:]
    assert event.type is EventType.ACTION_REFUSED
    assert event.payload["subject"] == {"review": review}
    assert error.value.data["reasons"] == event.payload["reasons"]
    return [(each["rule"], each["code"], each["sentence"]) for each in event.payload["reasons"]]


@pytest.mark.parametrize("outcome", ReviewOutcome)
def test_a_reviewer_concludes_with_a_reason(world: FakePlatform, outcome: ReviewOutcome) -> None:
    row = decide_review(world, world.acting("p-6"), "R-1", outcome, WHY)
    assert (row.status, row.outcome, row.decided_by) == ("decided", str(outcome), "p-6")
    event = last(world)
    assert (event.type, event.stream) == (EventType.REVIEW_DECIDED, f"model/{MODEL}")
    assert WHY not in event.body
    assert world.ledger.text(event.payload["texts"]["reason"]) == WHY


def test_the_decision_points_back_to_what_opened_the_review(world: FakePlatform) -> None:
    opened = world.ledger.state().get(ReviewRow, "R-1")
    assert opened is not None
    decide(world, world.acting("p-6"))
    assert last(world).causation == opened.sequence


@pytest.mark.parametrize("name", ["p-1", "p-2", "p-3", "p-5", "s-2"])
def test_nobody_else_decides(world: FakePlatform, name: str) -> None:
    sentence = f"{name} holds no role that permits `review:item:decide`"
    assert refused(world, world.acting(name)) == [("A1", "not-permitted", sentence)]


def test_a_service_decides_nothing_whatever_its_roles(world: FakePlatform) -> None:
    world.add_actor("s-9", "reviewer")
    assert refused(world, world.acting("s-9"))[0][1] == "not-permitted"


def test_a_role_lost_since_authenticating_no_longer_permits(world: FakePlatform) -> None:
    acting = world.acting("p-6")
    world.change_roles("p-6", "approver")
    assert refused(world, acting)[0][1] == "not-permitted"


def test_a_review_that_asks_for_another_role_waits_for_it(world: FakePlatform) -> None:
    opened = {"id": "R-3", "model": MODEL, "period": "2024-02", "version": 1, "cause": "labels failed"}
    more = {"kind": "finding", "role": "operator", "due_at": "2024-03-08T00:00:00Z"}
    world.write(EventType.REVIEW_OPENED, {**opened, **more}, "s-2", f"model/{MODEL}")
    sentence = "R-3 asks for the role `operator`, which p-6 does not hold"
    assert refused(world, world.acting("p-6"), "R-3") == [("R1", "wrong-role", sentence)]
    world.add_actor("p-9", "reviewer", "operator")
    assert decide(world, world.acting("p-9"), "R-3").decided_by == "p-9"


def test_a_person_decides_for_nobody_else(world: FakePlatform) -> None:
    assert refused(world, world.acting("p-6", on_behalf_of="p-2"))[0][:2] == ("A2", "not-itself")


def test_an_actor_the_ledger_does_not_have_is_refused_unrecorded(world: FakePlatform) -> None:
    ghost = Acting(ActorRow("p-99", "person", "p-99", ("reviewer",), 1))
    before = last(world)
    with pytest.raises(Refused, match="A2"):
        decide(world, ghost)
    assert last(world) == before


def test_a_review_is_decided_once(world: FakePlatform) -> None:
    decide(world, world.acting("p-6"), outcome="watch")
    world.add_actor("p-9", "reviewer")
    for name in ("p-6", "p-9"):
        reasons = refused(world, world.acting(name))
        assert reasons == [("R1", "already-decided", "R-1 was decided as watch by p-6")]


def test_all_reasons_are_told_at_once(world: FakePlatform) -> None:
    decide(world, world.acting("p-6"))
    assert [code for _, code, _ in refused(world, world.acting("p-2"))] == [
        "not-permitted",
        "already-decided",
    ]


def test_the_same_key_decides_once(world: FakePlatform) -> None:
    first = decide(world, world.acting("p-6", "k"))
    before = last(world)
    assert decide(world, world.acting("p-6", "k")) == first
    assert last(world) == before


def test_the_same_key_on_another_review_is_another_act(world: FakePlatform) -> None:
    decide(world, world.acting("p-6", "k"), "R-1")
    assert decide(world, world.acting("p-6", "k"), "R-2").status == "decided"


def test_a_refused_decision_is_refused_again_under_its_key(world: FakePlatform) -> None:
    refused(world, world.acting("p-2", "k"))
    world.change_roles("p-2", "reviewer")
    before = last(world)
    with pytest.raises(Refused):
        decide(world, world.acting("p-2", "k"))
    assert last(world) == before


def test_an_unknown_review_is_bad_input_and_names_the_known_ones(world: FakePlatform) -> None:
    with pytest.raises(BadInput) as error:
        decide(world, world.acting("p-6"), "R-9")
    assert error.value.sentence == "got the review `R-9`, expected one of: R-1, R-2"


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001, "a\x00b"])
def test_a_decision_needs_a_plain_reason(world: FakePlatform, reason: str) -> None:
    with pytest.raises(BadInput):
        decide_review(world, world.acting("p-6"), "R-1", ReviewOutcome.BENIGN, reason)
    row = world.ledger.state().get(ReviewRow, "R-1")
    assert row is not None
    assert row.status == "open"
