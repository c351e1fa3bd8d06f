"""The same key is the same act, and is done once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.application.lower import lower
from tidegate.application.promote import request
from tidegate.application.resolve import resolve
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.deciding import WELL, approve, ask, swapped
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, events, stage, tried


def test_the_same_key_yields_the_same_outcome_and_one_event(world: FakePlatform) -> None:
    first = ask(world, key="k")
    assert tried(world, lambda: ask(world, key="k")) == []
    assert ask(world, key="k") == first
    approved = approve(world, key="k")
    assert tried(world, lambda: approve(world, key="k")) == []
    assert approve(world, key="k") == approved


def test_a_repeated_first_approval_is_told_what_is_still_missing(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path, a_policy(standard=2))
    world.register(on_behalf_of="p-2")
    ask(world)
    first = approve(world, key="k")
    assert first.waits
    assert approve(world, key="k") == first


def test_a_refused_act_is_refused_again_under_its_key_without_an_event(world: FakePlatform) -> None:
    with pytest.raises(Refused) as first:
        approve(world, key="k")
    ask(world)  # now there would be something to approve
    assert tried(world, lambda: approve(world, key="k")) == []
    with pytest.raises(Refused) as second:
        approve(world, key="k")
    assert (second.value.code, second.value.sentence, second.value.hint) == (
        first.value.code,
        first.value.sentence,
        first.value.hint,
    )
    assert approve(world, key="another").stage == "prod"


def test_a_refused_climb_is_refused_again_under_its_key(world: FakePlatform) -> None:
    bad = world.register(on_behalf_of="p-2", calibration_gap=Measure(0.3, 1000, 0.2, 0.4))
    for _ in range(2):
        with pytest.raises(Refused) as error:
            ask(world, bad, key="k")
        assert codes(error) == ["evidence-failed"]
    assert len(events(world, EventType.ACTION_REFUSED)) == 1


def test_two_actors_may_use_the_same_key(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path, a_policy(standard=2))
    world.register(on_behalf_of="p-2")
    ask(world, key="k")
    approve(world, who="p-3", key="k")
    assert approve(world, who="p-4", key="k").stage == "prod"


def test_two_versions_and_two_actions_may_use_the_same_key(live: FakePlatform) -> None:
    third = live.register(on_behalf_of="p-2")
    for version in (2, third):
        assert ask(live, version, key="k").stage == "canary"
    approve(live, 2, key="k")
    assert stage(live, 2) == "prod"
    with pytest.raises(Refused) as error:  # decided anew, not answered with what became of version 2
        approve(live, third, key="k")
    assert codes(error) == ["stale-request"]
    resolve(live, live.acting("p-3", "k"), MODEL, third, Action.REJECT, WELL)
    assert len(events(live, EventType.PROMOTION_REJECTED)) == 1
    for version in (third, 1):
        act = lambda version=version: lower(
            live, live.acting("p-5", "k"), MODEL, Action.RETIRE, WELL, version
        )
        assert tried(live, act)[0] in {EventType.VERSION_RETIRED, EventType.ACTION_REFUSED}


def test_a_repeated_rollback_does_not_roll_back_once_more(live: FakePlatform) -> None:
    swapped(live)
    third = live.register(on_behalf_of="p-2")
    ask(live, third)
    approve(live, third)
    act = lambda: lower(live, live.acting("p-5", "k"), MODEL, Action.ROLL_BACK, WELL)
    first = act()
    assert (first.version, first.stage) == (2, "prod")
    assert tried(live, act) == []
    assert act() == first


def test_a_repeat_is_answered_while_a_tool_is_down(live: FakePlatform) -> None:
    ask(live, 2, key="k")
    approve(live, 2, key="k")
    live.registry.down = True
    assert approve(live, 2, key="k").stage == "prod"


def test_joining_an_open_request_under_a_key_and_applying_it_happens_once(live: FakePlatform) -> None:
    """A key that opened no request is kept by the application: its repeat must not ask for one stage more."""
    ask(live, 2)
    live.change_roles("p-2", "reviewer")
    approve(live, 2)
    act = lambda: request(live, live.acting("s-1", "k"), MODEL, 2)
    live.change_roles("p-2", "data_scientist")
    assert act().stage == "prod"
    assert tried(live, act) == []
