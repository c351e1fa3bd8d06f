"""A clock that is set back, or was ahead, makes nothing young again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.promote import climb, preview, request, void_approvals
from tidegate.application.resolve import Say
from tidegate.application.standing import overdue
from tidegate.application.status import status
from tidegate.application.tend import recertify, tend
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Allowed
from tidegate.domain.policy import Need, Preconditions, Stage
from tidegate.domain.state import PromotionRow
from tidegate.testing.cases import MODEL
from tidegate.testing.deciding import (
    World,
    approve,
    ask,
    gate_into_prod,
    lend,
    smash,
)
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, later


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
