"""The chain is the outbox: what moved is projected, at least once, and nothing is lost by a crash.

What another hand changed is an incident: recorded once, put right, and told apart from what was not projected yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.lower import lower
from tidegate.application.ports import Delivery, Difference
from tidegate.application.projection import SINK, Drained, drain, incidents
from tidegate.application.promote import climb
from tidegate.application.reconcile import reconcile
from tidegate.application.resolve import resolve, revoke
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.registry import FakeRegistry
from tidegate.testing.fakes.running import FakeTurns


class Watched(FakeRegistry):
    """A registry that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[int, str]] = []

    def project(
        self, model: str, stages: Mapping[int, str], known: Sequence[Mapping[int, str]] = ()
    ) -> tuple[Difference, ...]:
        differences = super().project(model, stages, known)
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
    return world.ledger.head().sequence


def drained(world: FakePlatform, who: str = "p-5") -> Drained:
    return drain(world, world.acting(who))


def go_live(world: FakePlatform, version: int = 1) -> None:
    climb(world, world.acting("p-2"), MODEL, version, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, version, Action.APPROVE, "fine")


def says(world: FakePlatform) -> dict[object, object]:
    """What the registry says now: tags by number, aliases by name."""
    return dict(world.registry._held(MODEL))


def repaired(world: FakePlatform) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (event.actor, tuple(event.payload["facts"]))
        for event in world.ledger.events()
        if event.type is EventType.REGISTRY_REPAIRED
    ]


# ── projecting ────────────────────────────────────────────────────────────────────────────────────


def test_what_moved_is_projected_once_with_all_stages(world: FakePlatform) -> None:
    go_live(world)
    assert drained(world) == Drained((MODEL,))
    assert told(world) == [{1: "prod"}]
    assert says(world) == {1: "prod", "prod": 1}
    assert world.ledger.cursor(SINK) == head(world)


def test_draining_again_does_nothing(world: FakePlatform) -> None:
    drained(world)
    assert drained(world) == Drained()
    assert len(told(world)) == 1


def test_every_kind_of_move_is_projected(world: FakePlatform) -> None:
    drained(world)
    acts = [
        lambda: climb(world, world.acting("p-2"), MODEL, 1, Stage.CANARY),
        lambda: lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, "why", 1, Stage.STAGING),
        lambda: go_live(world),
        lambda: (world.register(on_behalf_of="p-2"), go_live(world, 2)),
        lambda: lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, "why"),
        lambda: lower(world, world.acting("p-5"), MODEL, Action.RETIRE, "why", 2),
        lambda: revoke(world, world.acting("p-3"), MODEL, 1, "it was a mistake"),
        lambda: go_live(world),
        lambda: lower(world, world.acting("p-5"), MODEL, Action.STOP, "why"),
    ]
    for act in acts:
        act()
        assert drained(world).models == (MODEL,)
    assert told(world)[1:] == [
        {1: "canary"},
        {1: "staging"},
        {1: "prod"},
        {1: "retired", 2: "prod"},
        {1: "prod", 2: "candidate"},
        {1: "prod", 2: "retired"},
        {1: "candidate", 2: "retired"},
        {1: "prod", 2: "retired"},
        {1: "candidate", 2: "retired"},
    ]
    assert repaired(world) == []


def test_what_moves_no_version_is_not_projected_but_passed(world: FakePlatform) -> None:
    drained(world)
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    drained(world)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.REJECT, "no")
    assert drained(world) == Drained()
    assert world.ledger.cursor(SINK) == head(world)


def test_an_empty_ledger_leaves_the_cursor_where_it_is(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.ledger.advance(SINK, head(world))
    assert drained(world) == Drained()


def test_while_the_registry_is_down_the_cursor_stays_and_nothing_is_lost(world: FakePlatform) -> None:
    drained(world)
    before = world.ledger.cursor(SINK)
    go_live(world)
    world.registry.down = True
    with pytest.raises(DependencyFailed):
        drained(world)
    assert world.ledger.delivery(SINK) == Delivery(before, 1, "got no answer from the registry, expected one")
    world.registry.down = False
    assert drained(world).models == (MODEL,)
    assert told(world)[-1] == {1: "prod"}
    assert world.ledger.delivery(SINK) == Delivery(head(world))


def test_a_model_that_cannot_be_projected_does_not_hold_the_others(world: FakePlatform) -> None:
    go_live(world)
    away = {"model": "gone", "number": 1, "artifact": "", "training_set": "", "trainer": "s-1"}
    more = {"registrar": "s-1", "on_behalf_of": "", "source": "", "facts": {}, "links": {}}
    world.write(EventType.VERSION_REGISTERED, {**away, **more}, "s-1", "model/gone")
    before = world.ledger.cursor(SINK)
    with pytest.raises(DependencyFailed) as failure:
        drained(world)
    assert failure.value.code == "registry-version-missing"
    assert says(world) == {1: "prod", "prod": 1}
    assert world.ledger.cursor(SINK) == before, "what is owed to the one is still owed"


def test_a_crash_between_effect_and_cursor_repeats_the_effect_and_is_no_incident(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_live(world)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.ledger, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        drained(world)
    monkeypatch.undo()
    assert world.ledger.cursor(SINK) == 0
    world.register(on_behalf_of="p-2")
    assert drained(world) == Drained((MODEL,))
    assert told(world) == [{1: "prod"}, {1: "prod", 2: "candidate"}]
    assert repaired(world) == []


@pytest.mark.parametrize("steps", range(1, 5))
def test_a_projection_that_was_cut_short_anywhere_is_no_incident(world: FakePlatform, steps: int) -> None:
    """MLflow is told in several calls; whoever is killed between them leaves a mixture of before and after."""
    go_live(world)
    drained(world)
    world.register(on_behalf_of="p-2")
    drained(world)
    go_live(world, 2)
    calls = [
        lambda: world.registry.move(MODEL, 1, "retired"),
        lambda: world.registry.move(MODEL, 2, "prod"),
        lambda: world.registry.point(MODEL, "canary", None),
        lambda: world.registry.point(MODEL, "prod", 2),
    ]
    for call in calls[:steps]:
        call()
    assert drained(world) == Drained((MODEL,))
    assert says(world) == {1: "retired", 2: "prod", "prod": 2}
    assert repaired(world) == []


def test_what_is_written_while_draining_is_left_for_the_next_time(world: FakePlatform) -> None:
    """The cursor covers only what was read; a move in between is projected early, or again."""

    class Busy(Watched):
        def project(
            self, model: str, stages: Mapping[int, str], known: Sequence[Mapping[int, str]] = ()
        ) -> tuple[Difference, ...]:
            if not self.told:
                climb(world, world.acting("p-2"), MODEL, 1, Stage.STAGING)
            return super().project(model, stages, known)

    busy = Busy()
    busy._versions = world.registry._versions
    world.registry = busy
    drained(world)
    assert world.ledger.cursor(SINK) < head(world)
    assert drained(world).models == (MODEL,)
    assert told(world)[-1] == {1: "staging"}
    assert repaired(world) == []


def test_the_cursor_never_moves_back(world: FakePlatform) -> None:
    drained(world)
    end = world.ledger.cursor(SINK)
    world.ledger.advance(SINK, 1)
    assert world.ledger.cursor(SINK) == end


def test_two_that_drain_at_once_leave_the_registry_as_the_ledger_is_and_no_incident(
    world: FakePlatform, tmp_path: Path
) -> None:
    """Without a turn the slower one would overwrite with what it had read before."""
    go_live(world)
    other = FakePlatform(tmp_path, store=world.ledger.store)
    other.registry, other.turns = world.registry, FakeTurns(world.turns.held)
    second = Thread(target=lambda: drained(other))

    class Slow(Watched):
        def project(
            self, model: str, stages: Mapping[int, str], known: Sequence[Mapping[int, str]] = ()
        ) -> tuple[Difference, ...]:
            if not second.ident:
                lower(world, world.acting("p-5"), MODEL, Action.STOP, "why")
                second.start()  # it waits for its turn
                second.join(timeout=0.2)
                assert second.is_alive()
            return super().project(model, stages, known)

    slow = Slow()
    slow._versions, slow._says = world.registry._versions, world.registry._says
    world.registry = other.registry = slow
    drained(world)
    second.join(timeout=30)
    assert says(world) == {1: "candidate"}
    assert slow.told == [{1: "prod"}, {1: "candidate"}]
    assert repaired(world) == []
    assert drained(world) == Drained()


def test_who_waited_too_long_for_another_command_is_told_so(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.application.projection.WAIT_SECONDS", 0.05)
    with world.turns.take(f"sink/{SINK}"), pytest.raises(DependencyFailed) as failure:
        drained(world)
    assert failure.value.code == "registry-busy"
    assert world.ledger.cursor(SINK) == 0


# ── what another hand changed ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def live(world: FakePlatform) -> FakePlatform:
    """Version 1 in prod, version 2 a candidate, all of it projected."""
    go_live(world)
    world.register(on_behalf_of="p-2")
    drained(world)
    return world


HANDS = {
    "an alias is moved": lambda registry: registry.point(MODEL, "prod", 2),
    "an alias is deleted": lambda registry: registry.point(MODEL, "prod", None),
    "an alias is set that stands for nothing": lambda registry: registry.point(MODEL, "canary", 2),
    "a tag is changed": lambda registry: registry.move(MODEL, 2, "prod"),
    "a tag is put on a version that nobody knows": lambda registry: registry.move(MODEL, 9, "prod"),
}


@pytest.mark.parametrize("hand", HANDS)
def test_what_another_hand_changed_is_recorded_once_and_put_right(live: FakePlatform, hand: str) -> None:
    right = says(live)
    HANDS[hand](live.registry)
    (found,) = reconcile(live, live.acting("p-5"))
    assert says(live) == right
    assert repaired(live) == [("p-5", found.incident.facts)]
    assert len(found.incident.facts) == 1
    assert found.incident.id == "I-1"
    assert found.incident.model == MODEL
    assert reconcile(live, live.acting("p-5")) == ()
    assert drained(live).repairs == ()
    assert len(repaired(live)) == 1
    assert unlawful(live) == ()
    assert live.ledger.verify() == ()


def test_the_next_move_of_the_model_finds_it_too(live: FakePlatform) -> None:
    live.registry.point(MODEL, "prod", 2)
    climb(live, live.acting("p-2"), MODEL, 2, Stage.STAGING)
    (found,) = drained(live, "p-2").repairs
    assert [(each.alias, each.version) for each in found.differences] == [("prod", 2)]
    assert repaired(live) == [("p-2", found.incident.facts)]
    assert says(live) == {1: "prod", 2: "staging", "prod": 1, "staging": 2}


def test_what_was_moved_by_hand_to_where_it_then_went_is_no_incident(live: FakePlatform) -> None:
    """Nobody can tell it from a projection that was cut short, and it says what the ledger says."""
    live.registry.point(MODEL, "staging", 2)
    climb(live, live.acting("p-2"), MODEL, 2, Stage.STAGING)
    assert drained(live).repairs == ()


def test_an_alias_moved_by_hand_during_the_drain_is_found_by_that_drain(live: FakePlatform) -> None:
    """As argo-rollouts learned: what is overwritten between looking and writing would never be seen again."""

    class Raced(FakeRegistry):
        def project(
            self, model: str, stages: Mapping[int, str], known: Sequence[Mapping[int, str]] = ()
        ) -> tuple[Difference, ...]:
            if self.hand:
                self.hand = False
                self.point(MODEL, "prod", 2)
            return super().project(model, stages, known)

    raced = Raced()
    raced.hand, raced._versions, raced._says = True, live.registry._versions, live.registry._says
    live.registry = raced
    climb(live, live.acting("p-2"), MODEL, 2, Stage.STAGING)
    (found,) = drained(live).repairs
    assert [(each.alias, each.version) for each in found.differences] == [("prod", 2)]
    assert says(live)["prod"] == 1
    assert len(repaired(live)) == 1


def test_both_are_found_where_a_hand_moved_before_and_during_the_drain(live: FakePlatform) -> None:
    live.registry.point(MODEL, "prod", None)
    looked = live.registry.differences

    def look_and_lose(model: str, known: Sequence[Mapping[int, str]]) -> tuple[Difference, ...]:
        found = looked(model, known)
        if live.registry.told[-1:] != ["looked"]:
            live.registry.told.append("looked")
            live.registry.point(MODEL, "canary", 1)
        return found

    live.registry.differences = look_and_lose
    first, second = reconcile(live, live.acting("p-5"))
    assert "alias prod" in first.incident.facts[0]
    assert "alias canary" in second.incident.facts[0]
    assert [row.id for row in incidents(live.ledger.state())] == ["I-2", "I-1"]


def test_the_same_hand_again_is_another_incident(live: FakePlatform) -> None:
    for number in (1, 2, 3):
        live.registry.point(MODEL, "prod", 2)
        reconcile(live, live.acting("p-5"))
        assert len(repaired(live)) == number


@pytest.mark.parametrize("at", ["project", "advance"])
def test_a_crash_after_the_record_repeats_the_repair_and_not_the_record(
    live: FakePlatform, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    live.registry.point(MODEL, "prod", 2)
    climb(live, live.acting("p-2"), MODEL, 2, Stage.STAGING)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as crash:
        crash.setattr(live.registry if at == "project" else live.ledger, at, killed)
        with pytest.raises(KeyboardInterrupt):
            drained(live)
    assert len(repaired(live)) == 1
    assert drained(live).repairs == ()
    assert says(live)["prod"] == 1
    assert len(repaired(live)) == 1
    assert world_is_settled(live)


def test_so_it_is_where_nothing_else_had_moved(live: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    live.registry.point(MODEL, "prod", 2)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as crash:
        crash.setattr(live.registry, "project", killed)
        with pytest.raises(KeyboardInterrupt):
            reconcile(live, live.acting("p-5"))
    assert drained(live) == Drained((MODEL,)), "the incident is itself a reason to look"
    assert says(live)["prod"] == 1
    assert len(repaired(live)) == 1
    assert world_is_settled(live)


def world_is_settled(world: FakePlatform) -> bool:
    drained(world)
    return drained(world) == Drained() and world.ledger.cursor(SINK) == head(world)


def test_only_the_model_that_was_asked_for_is_looked_at(live: FakePlatform) -> None:
    live.registry.point(MODEL, "prod", 2)
    live.write(
        EventType.MODEL_REGISTERED,
        {"name": "other", "owner": "o", "purpose": "p", "tier": "low", "fallback": "f"},
        "s-1",
        "model/other",
    )
    assert reconcile(live, live.acting("p-5"), "other") == ()
    assert says(live)["prod"] == 2
    assert len(reconcile(live, live.acting("p-5"), MODEL)) == 1
    with pytest.raises(BadInput) as caught:
        reconcile(live, live.acting("p-5"), "nowhere")
    assert caught.value.code == "unknown-model"


def test_a_registry_that_is_down_is_told_and_nothing_is_recorded(live: FakePlatform) -> None:
    live.registry.down = True
    with pytest.raises(DependencyFailed):
        reconcile(live, live.acting("p-5"))
    assert repaired(live) == []
    assert live.ledger.delivery(SINK) == Delivery(head(live)), "nothing is owed, so nothing is behind"


# ── who wants it asks for it ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("alias", "version", "wish"),
    [
        ("prod", 2, "who wants version 2 in prod asks for it: tidegate promote trams 2 --to prod --as NAME"),
        (
            "canary",
            2,
            "who wants version 2 in canary asks for it: tidegate promote trams 2 --to canary --as NAME",
        ),
        ("prod", None, "who wants nothing in prod: tidegate rollback trams --stop --as NAME --reason '…'"),
        ("staging", 1, None),
        ("prod", 9, None),
    ],
)
def test_a_hand_moved_alias_is_never_taken_over_but_the_way_to_ask_is_said(
    live: FakePlatform, alias: str, version: int | None, wish: str | None
) -> None:
    live.registry.point(MODEL, alias, version)
    (found,) = reconcile(live, live.acting("p-5"))
    assert [each.replace(MODEL, "trams") for each in found.wishes] == ([wish] if wish else [])
    assert says(live) == {1: "prod", 2: "candidate", "prod": 1}


def test_an_alias_on_what_a_rollback_restores_names_the_rollback(live: FakePlatform) -> None:
    go_live(live, 2)
    drained(live)
    live.registry.point(MODEL, "prod", 1)
    (found,) = reconcile(live, live.acting("p-5"))
    (wish,) = found.wishes
    assert wish == f"who wants version 1 back in prod: tidegate rollback {MODEL} --as NAME --reason '…'"
