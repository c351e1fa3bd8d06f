"""An emergency goes by a floor of its own, and what must follow is seen to by others."""

from __future__ import annotations

import pytest

from tidegate.application.delegate import delegate
from tidegate.application.lawfulness import unlawful
from tidegate.application.promote import climb
from tidegate.application.resolve import Say, resolve, revoke
from tidegate.application.review import ReviewOutcome, decide_review
from tidegate.application.tend import tend
from tidegate.domain.canonical import utc_text
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Certification, Need, Stage, Tier
from tidegate.domain.state import PromotionRow, ReviewRow
from tidegate.testing.cases import MODEL
from tidegate.testing.deciding import (
    DAY,
    World,
    approve,
    ask,
    gate_into_prod,
    ruled,
    smash,
)
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, later, version, writes

# ── break-glass ───────────────────────────────────────────────────────────────────────────────────


def test_break_glass_goes_by_its_floor_and_opens_a_review_that_must_follow(live: FakePlatform) -> None:
    outcome = smash(live, 2)
    assert [(each.rule, each.code) for each in outcome.waits] == [("P4", "approval-missing")]
    written = writes(live, lambda: approve(live, 2, "p-4"))
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


# ── reviews that must follow: by nobody who had a part in what they look at ───────────────────────


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
