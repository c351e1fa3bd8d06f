"""The chain is the outbox: what moved is projected, at least once, and nothing is lost by a crash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tidegate.application.lower import lower
from tidegate.application.projection import SINK, drain
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.registry import FakeRegistry


class Watched(FakeRegistry):
    """A registry that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[int, str]] = []

    def project(self, model: str, stages: Mapping[int, str]) -> tuple[str, ...]:
        differences = super().project(model, stages)
        self.told.append(dict(stages))
        return differences


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    platform = FakePlatform(tmp_path)
    platform.registry = Watched()
    platform.register(on_behalf_of="p-2")
    return platform


def told(world: FakePlatform) -> list[dict[int, str]]:
    assert isinstance(world.registry, Watched)
    return world.registry.told


def head(world: FakePlatform) -> int:
    return max(event.sequence for event in world.ledger.events())


def go_live(world: FakePlatform, version: int = 1) -> None:
    climb(world, world.acting("p-2"), MODEL, version, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, version, Action.APPROVE, "fine")


def test_what_moved_is_projected_once_with_all_stages(world: FakePlatform) -> None:
    go_live(world)
    assert drain(world) == 1
    assert told(world) == [{1: "prod"}]
    assert world.ledger.cursor(SINK) == head(world)


def test_draining_again_does_nothing(world: FakePlatform) -> None:
    drain(world)
    assert drain(world) == 0
    assert len(told(world)) == 1


def test_every_kind_of_move_is_projected(world: FakePlatform) -> None:
    drain(world)
    acts = [
        lambda: climb(world, world.acting("p-2"), MODEL, 1, Stage.CANARY),
        lambda: lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, "why", 1, Stage.STAGING),
        lambda: go_live(world),
        lambda: (world.register(on_behalf_of="p-2"), go_live(world, 2)),
        lambda: lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, "why"),
        lambda: lower(world, world.acting("p-5"), MODEL, Action.RETIRE, "why", 2),
        lambda: lower(world, world.acting("p-5"), MODEL, Action.STOP, "why"),
    ]
    for act in acts:
        act()
        assert drain(world) == 1
    assert told(world)[1:] == [
        {1: "canary"},
        {1: "staging"},
        {1: "prod"},
        {1: "retired", 2: "prod"},
        {1: "prod", 2: "candidate"},
        {1: "prod", 2: "retired"},
        {1: "candidate", 2: "retired"},
    ]


def test_what_moves_no_version_is_not_projected_but_passed(world: FakePlatform) -> None:
    drain(world)
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    drain(world)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.REJECT, "no")
    assert drain(world) == 0
    assert world.ledger.cursor(SINK) == head(world)


def test_an_empty_ledger_leaves_the_cursor_where_it_is(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.ledger.advance(SINK, head(world))
    assert drain(world) == 0


def test_while_the_registry_is_down_the_cursor_stays_and_nothing_is_lost(world: FakePlatform) -> None:
    drain(world)
    before = world.ledger.cursor(SINK)
    go_live(world)
    world.registry.down = True
    with pytest.raises(DependencyFailed):
        drain(world)
    assert world.ledger.cursor(SINK) == before
    world.registry.down = False
    assert drain(world) == 1
    assert told(world)[-1] == {1: "prod"}


def test_a_crash_between_effect_and_cursor_repeats_the_effect(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_live(world)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.ledger, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        drain(world)
    monkeypatch.undo()
    assert world.ledger.cursor(SINK) == 0
    assert drain(world) == 1
    assert told(world) == [{1: "prod"}, {1: "prod"}]


def test_what_is_written_while_draining_is_left_for_the_next_time(world: FakePlatform) -> None:
    """The cursor covers only what was read; a move in between is projected early, and again."""

    class Busy(Watched):
        def project(self, model: str, stages: Mapping[int, str]) -> tuple[str, ...]:
            if not self.told:
                climb(world, world.acting("p-2"), MODEL, 1, Stage.STAGING)
            return super().project(model, stages)

    busy = Busy()
    busy._versions = world.registry._versions
    world.registry = busy
    drain(world)
    assert world.ledger.cursor(SINK) < head(world)
    assert drain(world) == 1
    assert told(world)[-1] == {1: "staging"}


def test_the_cursor_never_moves_back(world: FakePlatform) -> None:
    drain(world)
    end = world.ledger.cursor(SINK)
    world.ledger.advance(SINK, 1)
    assert world.ledger.cursor(SINK) == end


def test_a_hand_moved_alias_is_repaired_with_the_next_move(world: FakePlatform) -> None:
    go_live(world)
    drain(world)
    world.registry.move(MODEL, 1, "retired")
    world.register(on_behalf_of="p-2")
    drain(world)
    assert world.registry.project(MODEL, {1: "prod", 2: "candidate"}) == ()
