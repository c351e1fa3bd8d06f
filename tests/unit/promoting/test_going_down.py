"""A version goes down without waiting, and up again only with a new approval."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.application.lower import lower
from tidegate.application.standing import lifecycle
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Policy
from tidegate.domain.state import PromotionRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.deciding import WELL, approve, ask, swapped
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.policies import FakePolicies
from tidegate.testing.looking import codes, events, stage, tried


def test_a_rollback_restores_the_replaced_version_in_one_event(live: FakePlatform) -> None:
    swapped(live)
    act = lambda: lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    assert tried(live, act) == [EventType.MODEL_ROLLED_BACK]
    assert (stage(live, 1), stage(live, 2)) == ("prod", "candidate")


def test_a_rollback_waits_for_no_tool_and_no_policy(
    live: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped(live)
    live.registry.down = True

    def unreadable(*_: object) -> Policy:
        raise BadInput("policy", "got a policy this code cannot read, expected one it can")

    monkeypatch.setattr(FakePolicies, "parse", unreadable)
    assert lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL).version == 1


def test_what_was_rolled_back_is_never_what_a_rollback_restores(live: FakePlatform) -> None:
    swapped(live)
    lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    with pytest.raises(Refused) as error:
        lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    assert codes(error) == ["nothing-to-restore"]
    lower(live, live.acting("p-5"), MODEL, Action.RETIRE, WELL, 2)
    assert lifecycle(live.ledger.state(), MODEL).previous() is None


def test_what_was_stopped_is_never_what_a_rollback_restores(live: FakePlatform) -> None:
    swapped(live)
    lower(live, live.acting("p-5"), MODEL, Action.STOP, WELL)
    assert lifecycle(live.ledger.state(), MODEL).in_prod() is None
    with pytest.raises(Refused) as error:
        lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    assert codes(error) == ["nothing-in-prod"]
    lower(live, live.acting("p-5"), MODEL, Action.RETIRE, WELL, 2)
    third = live.register(on_behalf_of="p-2")
    ask(live, third)
    approve(live, third)
    restored = lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    assert (restored.version, stage(live, 2)) == (1, "retired")


def test_going_up_again_needs_a_new_approval(live: FakePlatform) -> None:
    swapped(live)
    lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    outcome = ask(live, 2)
    assert outcome.stage == "canary"
    assert [reason.code for reason in outcome.waits] == ["taken-out", "approval-missing"]
    assert approve(live, 2).stage == "prod"


@pytest.mark.parametrize("action", [Action.ROLL_BACK, Action.STOP])
def test_a_flow_cannot_undo_what_an_operator_took_out_even_where_the_gate_needs_nobody(
    tmp_path: Path, action: Action
) -> None:
    world = FakePlatform(tmp_path, a_policy(standard=0))
    for version in (world.register(), world.register()):
        assert ask(world, version, "s-1").stage == "prod"
    lower(world, world.acting("p-5"), MODEL, action, WELL)
    outcome = ask(world, 2, "s-1")
    assert outcome.stage == "canary"
    assert [reason.code for reason in outcome.waits] == ["taken-out", "approval-missing"]
    assert approve(world, 2).stage == "prod"


def test_going_down_closes_what_was_requested(world: FakePlatform) -> None:
    ask(world)
    lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, WELL, 1)
    assert stage(world) == "staging"
    assert world.ledger.state().select(PromotionRow, status="open") == ()


def test_never_two_in_prod_never_none_in_between(live: FakePlatform) -> None:
    swapped(live)
    standing: dict[int, str] = {}
    for event in events(live, EventType.PROMOTION_APPLIED, EventType.MODEL_ROLLED_BACK):
        was_live = "prod" in standing.values()
        for move in event.payload["moves"]:
            standing[move["version"]] = move["to"]
            assert list(standing.values()).count("prod") <= 1
        assert not was_live or "prod" in standing.values()
