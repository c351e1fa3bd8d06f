"""The inventory: whose a model is, who acts on it, what is live, and by when somebody must look next."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tidegate.application.inventory import CERTIFICATE, Entry, inventory
from tidegate.application.lower import lower
from tidegate.application.promote import climb, request
from tidegate.application.resolve import Say, resolve
from tidegate.application.review import ReviewOutcome, decide_review
from tidegate.domain.canonical import utc_text
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Certification, Policy, Stage, Tier
from tidegate.entrypoints.cli.inventory import lines
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.platform import FakePlatform

DAY = timedelta(days=1)
DEPOT = ("the depot", "drivers on call")


def certifying(days: int) -> Policy:
    """Return a policy by which an approval of tier standard holds for so many days."""
    policy = a_policy("certifying")
    rule = {Tier.STANDARD: Certification(days, 14, "approver")}
    return replace(policy, certification=rule, body=f"{policy.body} {days}", digest=f"sha256:{days}")


def born(home: Path, policy: Policy | None = None, consumers: tuple[str, ...] = DEPOT) -> FakePlatform:
    """Return a world with version 1, which declares who acts on it."""
    world = FakePlatform(home, policy)
    world.models.put(replace(world.models.spec(MODEL), consumers=consumers))
    world.register(on_behalf_of="p-2")
    return world


def up(world: FakePlatform, version: int = 1, say: Say | None = None) -> None:
    climb(world, world.acting("p-2"), MODEL, version, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, version, Action.APPROVE, "fine", say)


def entry(world: FakePlatform) -> Entry:
    (found,) = inventory(world.ledger.state(), world.clock.now())
    return found


def looks(world: FakePlatform, review: str, due: str, version: int = 1) -> None:
    """Ask for a look at a version, past everybody."""
    about = {"id": review, "model": MODEL, "period": "2024-01", "version": version, "cause": "gap"}
    more = {"kind": "finding", "role": "reviewer", "due_at": due}
    world.write(EventType.REVIEW_OPENED, {**about, **more}, "s-2", f"model/{MODEL}")


def test_without_a_model_it_is_empty(tmp_path: Path) -> None:
    assert inventory(FakePlatform(tmp_path).ledger.state(), None) == ()


def test_a_model_that_has_nothing_in_prod_is_told_by_its_newest_version(tmp_path: Path) -> None:
    world = born(tmp_path)
    spec = world.models.spec(MODEL)
    world.models.put(replace(spec, consumers=("the new depot",)))
    world.register(on_behalf_of="p-2")
    assert entry(world) == Entry(
        model=MODEL,
        owner=spec.owner,
        purpose=spec.purpose,
        tier="standard",
        prediction="probability",
        live=0,
        by_break_glass=False,
        conditions={},
        certified_until="",
        consumers=("the new depot",),
        next_review="",
        review="",
        overdue=False,
    )


def test_what_is_live_speaks_for_the_model_and_not_what_was_trained_since(tmp_path: Path) -> None:
    world = born(tmp_path)
    up(world, say=Say(conditions={"max_share": 0.5}))
    world.models.put(replace(world.models.spec(MODEL), consumers=(), prediction="number"))
    world.register(on_behalf_of="p-2")
    found = entry(world)
    assert (found.live, found.consumers, found.prediction) == (1, DEPOT, "probability")
    assert found.conditions == {"max_share": 0.5}
    assert (found.next_review, found.review) == ("", "")


def test_a_version_that_is_older_than_the_question_has_no_consumers(tmp_path: Path) -> None:
    world = born(tmp_path)
    last = list(world.ledger.events())[-1]
    assert last.payload["facts"]["consumers"] == list(DEPOT)
    facts = {
        name: value
        for name, value in last.payload["facts"].items()
        if name not in {"consumers", "prediction"}
    }
    world.write(
        EventType.VERSION_REGISTERED, {**last.payload, "number": 2, "facts": facts}, "s-1", f"model/{MODEL}"
    )
    found = entry(world)
    assert (found.consumers, found.prediction) == ((), "probability")
    assert "  consumers: —" in list(lines(found))


def test_the_next_review_is_when_the_certificate_ends_if_no_review_is_due_before(tmp_path: Path) -> None:
    world = born(tmp_path, certifying(90))
    up(world)
    ends = utc_text(world.clock.now() + 90 * DAY)
    looks(world, "R-1", utc_text(world.clock.now() + 91 * DAY))
    found = entry(world)
    assert found.certified_until == ends
    assert (found.next_review, found.review, found.overdue) == (ends, CERTIFICATE, False)


def test_a_review_that_is_due_before_the_certificate_ends_comes_first_until_it_is_decided(
    tmp_path: Path,
) -> None:
    world = born(tmp_path, certifying(90))
    up(world, say=Say(conditions={"review_in_days": 14}))
    due = utc_text(world.clock.now() + 14 * DAY)
    looks(world, "R-2", utc_text(world.clock.now() + 20 * DAY))
    assert (entry(world).next_review, entry(world).review) == (due, "R-1")
    decide_review(world, world.acting("p-6"), "R-1", ReviewOutcome.BENIGN, "Looked at.")
    assert entry(world).review == "R-2"
    decide_review(world, world.acting("p-6"), "R-2", ReviewOutcome.BENIGN, "Looked at.")
    assert entry(world).review == CERTIFICATE


def test_of_two_at_one_moment_the_review_is_named(tmp_path: Path) -> None:
    world = born(tmp_path, certifying(14))
    up(world)
    looks(world, "R-1", entry(world).certified_until)
    assert entry(world).review == "R-1"


def test_a_review_outlives_the_version_that_it_is_about(tmp_path: Path) -> None:
    world = born(tmp_path, certifying(90))
    up(world, say=Say(conditions={"review_in_days": 14}))
    lower(world, world.acting("p-5"), MODEL, Action.STOP, "odd scores")
    found = entry(world)
    assert (found.live, found.certified_until, found.conditions) == (0, "", {})
    assert found.review == "R-1"


@pytest.mark.parametrize(("days", "overdue"), [(14, False), (15, True)])
def test_a_day_that_has_passed_is_overdue(tmp_path: Path, days: int, overdue: bool) -> None:
    world = born(tmp_path)
    up(world, say=Say(conditions={"review_in_days": 14}))
    state, now = world.ledger.state(), world.clock.now()
    (found,) = inventory(state, now + days * DAY)
    assert found.overdue is overdue
    assert list(lines(found))[-1].endswith("(R-1), OVERDUE") is overdue
    (unknown,) = inventory(state, None)
    assert not unknown.overdue


def test_what_went_live_in_an_emergency_says_so_as_long_as_it_is_live(tmp_path: Path) -> None:
    world = born(tmp_path)
    up(world)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 2, Stage.CANARY)
    assert not entry(world).by_break_glass
    request(world, world.acting("p-5"), MODEL, 2, action=Action.BREAK_GLASS, reason="Prod answers nothing.")
    resolve(world, world.acting("p-3"), MODEL, 2, Action.APPROVE, "fine")
    found = entry(world)
    assert (found.live, found.by_break_glass, found.review) == (2, True, "R-1")
    assert "  live: version 2 BY BREAK-GLASS" in list(lines(found))
    lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, "odd scores")
    found = entry(world)
    assert (found.live, found.by_break_glass) == (1, False)


def test_a_model_is_told_in_five_lines_and_a_dash_where_there_is_nothing(tmp_path: Path) -> None:
    world = born(tmp_path, consumers=())
    spec = world.models.spec(MODEL)
    assert list(lines(entry(world))) == [
        f"{MODEL}: tier standard, owner {spec.owner}, predicts a probability",
        f"  purpose: {spec.purpose}",
        "  live: —",
        "  consumers: —",
        "  next review: —",
    ]


def test_what_is_live_is_told_with_its_conditions_and_the_day_its_approval_ends(tmp_path: Path) -> None:
    world = born(tmp_path, certifying(30))
    up(world, say=Say(conditions={"max_share": 0.1}))
    ends = utc_text(world.clock.now() + 30 * DAY)
    assert list(lines(entry(world)))[2:] == [
        "  live: version 1, on condition of max_share 0.1",
        "  consumers: the depot; drivers on call",
        f"  next review: {ends} (its approval ends)",
    ]


def test_no_text_breaks_out_of_its_line(tmp_path: Path) -> None:
    words = "fine\n  live: version 9\x1b[2J\u202e"
    told = replace(entry(born(tmp_path)), owner=words, purpose=words, consumers=(words, words))
    shown = list(lines(told))
    assert len(shown) == 5
    assert all(line.isprintable() for line in shown)
