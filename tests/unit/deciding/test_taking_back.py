"""An approval is taken back, by whom it was given."""

from __future__ import annotations

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.resolve import Say, revoke
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.policy import Need
from tidegate.domain.state import PromotionRow
from tidegate.testing.cases import MODEL
from tidegate.testing.deciding import (
    World,
    approve,
    ask,
    barred,
    gate_into_prod,
    lend,
)
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, version, writes


def test_taking_back_before_the_last_approval_leaves_the_request_open(under: World) -> None:
    world = under(gate_into_prod(approvals=(Need("approver", 2),)))
    ask(world)
    approve(world)
    (event,) = writes(world, lambda: revoke(world, world.acting("p-3"), MODEL, 1, "I misread a slice."))
    assert (event.type, event.payload["moves"]) == (EventType.APPROVAL_REVOKED, [])
    assert approve(world, who="p-4").stage == "canary"
    assert approve(world).stage == "prod"
    assert unlawful(world) == ()


def test_taking_back_the_approval_of_a_live_version_restores_the_last_approved_one_in_one_event(
    live: FakePlatform,
) -> None:
    approve(live, 2)
    (event,) = writes(live, lambda: revoke(live, live.acting("p-3"), MODEL, 2, "The metrics were of March."))
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
    (event,) = writes(live, lambda: revoke(live, live.acting("p-6"), MODEL, 2, "I misread a slice."))
    assert (event.type, event.actor) == (EventType.APPROVAL_REVOKED, "p-6")
    assert (version(live, 1).stage, version(live, 2).stage) == ("prod", "candidate")
    assert unlawful(live) == ()


def test_who_lost_the_role_takes_back_the_approval_they_gave(live: FakePlatform) -> None:
    ask(live, 2)
    approve(live, 2)
    live.change_roles("p-3", "auditor")
    (event,) = writes(live, lambda: revoke(live, live.acting("p-3"), MODEL, 2, "I misread a slice."))
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
