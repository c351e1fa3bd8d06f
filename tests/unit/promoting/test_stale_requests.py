"""What changed between request and approval voids it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.application import promote
from tidegate.application.lower import lower
from tidegate.application.packet import gather
from tidegate.application.promote import request
from tidegate.domain.errors import Refused
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import PacketRow, PromotionRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.deciding import WELL, approve, ask
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, stage, tried


def stale(world: FakePlatform, version: int) -> str:
    with pytest.raises(Refused) as error:
        approve(world, version)
    assert codes(error) == ["stale-request"]
    assert stage(world, version) == "canary"
    return error.value.sentence


def test_another_policy_makes_the_request_stale(live: FakePlatform) -> None:
    ask(live, 2)
    live.adopt(a_policy("2"))
    assert "the policy changed since" in stale(live, 2)


def test_another_measurement_makes_the_request_stale(live: FakePlatform) -> None:
    ask(live, 2)
    live.trainer.gain = Measure(0.02, 1000, 0.01, 0.03, "stated")
    assert ": the comparison with the champion changed since" in stale(live, 2)


def test_another_champion_makes_the_request_stale(live: FakePlatform) -> None:
    third = live.register(on_behalf_of="p-2")
    ask(live, 2)
    ask(live, third)
    approve(live, third)
    assert ": the comparison with the champion, the way back changed since" in stale(live, 2)


def test_an_emptied_prod_makes_the_request_stale(live: FakePlatform) -> None:
    ask(live, 2)
    lower(live, live.acting("p-5"), MODEL, Action.STOP, WELL)
    assert ": the comparison with the champion, the way back changed since" in stale(live, 2)


def test_another_tier_makes_the_request_stale(live: FakePlatform) -> None:
    ask(live, 2)
    live.models.put(replace(live.models.spec(MODEL), tier="high"))
    live.register()
    assert ": the tier changed since" in stale(live, 2)


def test_a_stale_request_is_superseded_by_a_new_one(live: FakePlatform) -> None:
    first = ask(live, 2).promotion
    live.adopt(a_policy("2"))
    second = ask(live, 2).promotion
    assert first != second
    rows = live.ledger.state().select(PromotionRow, version=2, target="prod")
    assert {row.id: row.status for row in rows} == {first: "superseded", second: "open"}
    assert approve(live, 2).stage == "prod"


def test_an_approval_does_not_outlive_its_request(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path, a_policy(standard=2))
    world.register(on_behalf_of="p-2")
    ask(world)
    approve(world)
    world.adopt(a_policy("2", standard=2))
    assert [reason.code for reason in ask(world).waits] == ["approval-void", "approval-missing"]
    assert [reason.code for reason in ask(world).waits] == ["approval-missing"]
    assert approve(world).stage == "canary"
    assert approve(world, who="p-4").stage == "prod"


def test_asking_again_for_the_same_changes_nothing(world: FakePlatform) -> None:
    ask(world)
    assert tried(world, lambda: ask(world)) == []
    assert tried(world, lambda: request(world, world.acting("s-1"), MODEL, 1)) == []


def test_a_champion_that_changes_while_evidence_is_gathered_is_compared_with(
    live: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old champion's comparison must not open the gate to a version that faces another one by then."""
    third = live.register(on_behalf_of="p-2")
    for version in (2, third):
        ask(live, version, to=Stage.CANARY)
    whole = gather

    def meanwhile(*args: object) -> object:
        gathered = whole(*args)  # type: ignore[arg-type]
        monkeypatch.setattr(promote, "gather", whole)
        ask(live, third)
        approve(live, third)
        return gathered

    monkeypatch.setattr(promote, "gather", meanwhile)
    request(live, live.acting("p-2"), MODEL, 2)
    (asked,) = live.ledger.state().select(PromotionRow, version=2, status="open")
    packet = live.ledger.state().get(PacketRow, asked.packet)
    assert packet is not None
    assert packet.body["champion"]["version"] == third
