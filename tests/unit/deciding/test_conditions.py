"""An approval says more than yes: conditions that bind, and the roles that a gate asks for."""

from __future__ import annotations

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.resolve import Say
from tidegate.application.review import ReviewOutcome, decide_review
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.policy import Need
from tidegate.domain.state import ApprovalRow, ReviewRow
from tidegate.testing.deciding import (
    DAY,
    World,
    approve,
    ask,
    gate_into_prod,
)
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, later, version, writes

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

    assert writes(asked, act) == []


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
