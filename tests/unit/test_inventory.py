"""What there is: whose, how risky, who acts on it, what is live, and when somebody looks again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tidegate.application.inventory import Entry, inventory
from tidegate.application.promote import climb, request
from tidegate.application.resolve import Say, resolve
from tidegate.domain.canonical import utc_text
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Certification, Policy, Stage, Tier
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.platform import FakePlatform

WELL = "Evidence looks sound to me."
TERM = replace(a_policy(), certification={Tier.STANDARD: Certification(90, 14, "approver")})


def with_version(home: Path, policy: Policy = TERM) -> FakePlatform:
    world = FakePlatform(home, policy)
    world.models.put(replace(world.models.spec(MODEL), consumers=("The night shift.",)))
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1)
    return world


def entry(world: FakePlatform) -> Entry:
    (found,) = inventory(world.ledger.state())
    return found


def after(world: FakePlatform, days: int) -> str:
    return utc_text(world.clock.now() + timedelta(days=days))


def test_a_model_without_a_live_version_has_nobody_to_look_again(tmp_path: Path) -> None:
    found = entry(with_version(tmp_path))
    assert (found.name, found.tier, found.live, found.next_review) == (MODEL, "standard", 0, "")
    assert (found.by_break_glass, dict(found.conditions)) == (False, {})


def test_a_live_version_is_looked_at_again_when_its_approval_ends(tmp_path: Path) -> None:
    world = with_version(tmp_path)
    request(world, world.acting("p-2"), MODEL, 1)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WELL)
    assert (entry(world).live, entry(world).next_review) == (1, after(world, 90))


def test_an_open_review_that_is_due_earlier_comes_first_with_the_conditions_behind_it(tmp_path: Path) -> None:
    world = with_version(tmp_path)
    request(world, world.acting("p-2"), MODEL, 1)
    say = Say(conditions={"review_in_days": 14, "max_share": 0.1})
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WELL, say)
    found = entry(world)
    assert (found.next_review, dict(found.conditions)) == (after(world, 14), dict(say.conditions))


def test_what_went_live_by_break_glass_says_so_until_something_else_did(tmp_path: Path) -> None:
    world = with_version(tmp_path)
    request(world, world.acting("p-5"), MODEL, 1, action=Action.BREAK_GLASS, reason="It is down.")
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WELL)
    assert entry(world).by_break_glass
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 2, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 2, Action.APPROVE, WELL)
    assert (entry(world).live, entry(world).by_break_glass) == (2, False)
