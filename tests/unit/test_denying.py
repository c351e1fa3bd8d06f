"""What a policy denies, whatever roles permit (A4): going up, and deciding on that; never a way down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.lower import lower
from tidegate.application.promote import climb, preview, request
from tidegate.application.resolve import resolve
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.lifecycle import Refused as Denied
from tidegate.domain.policy import Deny, Policy, Stage
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import stage

WELL = "Evidence looks sound to me."
NO_SERVICE = Deny("no_service", "no service asks for a version", 'actor.kind == "service"')
NOT_AMIR = Deny("not_amir", "p-3 does not decide on this model", 'actor.id == "p-3"')
NOBODY = Deny("nobody", "nobody does anything", 'act != ""')
UNCLEAR = Deny("unclear", "whoever is on leave does not decide", 'actor.on_leave == "yes"')


def denying(*deny: Deny) -> Policy:
    named = " ".join(each.id for each in deny)
    return replace(a_policy("2"), deny=deny, body=f"denies {named}", digest=f"sha256:denies {named}")


def under(home: Path, *deny: Deny) -> FakePlatform:
    world = FakePlatform(home, denying(*deny))
    world.register(on_behalf_of="p-2")
    return world


def reasons(caught: pytest.ExceptionInfo[Refused]) -> list[tuple[str, str]]:
    told: Any = caught.value.data["reasons"]
    return [(each["rule"], each["code"]) for each in told]


def test_whom_the_policy_denies_is_refused_by_name_though_their_role_permits_it(tmp_path: Path) -> None:
    world = under(tmp_path, NO_SERVICE)
    with pytest.raises(Refused) as caught:
        climb(world, world.acting("s-1"), MODEL, 1)
    assert reasons(caught) == [("A4", "denied")]
    assert caught.value.sentence == (
        "A4: s-1 is denied promote by policy trams 2, no_service: no service asks for a version"
    )
    assert list(world.ledger.events())[-1].type is EventType.ACTION_REFUSED
    assert climb(world, world.acting("p-2"), MODEL, 1).stage == "canary"
    assert unlawful(world) == ()


def test_a_decision_is_denied_as_well(tmp_path: Path) -> None:
    world = under(tmp_path, NOT_AMIR)
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    for action in (Action.APPROVE, Action.REJECT):
        with pytest.raises(Refused) as caught:
            resolve(world, world.acting("p-3"), MODEL, 1, action, WELL)
        assert reasons(caught) == [("A4", "denied")]
    assert resolve(world, world.acting("p-4"), MODEL, 1, Action.APPROVE, WELL).stage == "prod"
    assert unlawful(world) == ()


def test_what_cannot_be_evaluated_denies(tmp_path: Path) -> None:
    world = under(tmp_path, UNCLEAR)
    with pytest.raises(Refused) as caught:
        climb(world, world.acting("p-2"), MODEL, 1)
    assert reasons(caught) == [("A4", "denied")]
    assert "it could not be evaluated, and denies then" in caught.value.sentence


def test_a_way_down_is_never_denied(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    for version in (1, 2):
        world.register(on_behalf_of="p-2")
        climb(world, world.acting("p-2"), MODEL, version, Stage.PROD)
        resolve(world, world.acting("p-3"), MODEL, version, Action.APPROVE, WELL)
    world.adopt(denying(NOBODY))
    lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, "odd scores")
    assert stage(world) == "prod", "version 1 is back"
    lower(world, world.acting("p-5"), MODEL, Action.STOP, "enough")
    assert stage(world) == "candidate"
    assert [
        each for each in unlawful(world) if "A4" in each
    ] == []  # that the policy came past everybody is named


def test_asking_what_would_happen_says_it_too(tmp_path: Path) -> None:
    world = under(tmp_path, NOBODY)
    decision, _, _ = preview(world, MODEL, 1)
    assert isinstance(decision, Denied)
    assert [reason.rule for reason in decision.reasons] == ["A4"]


def test_a_request_and_a_decision_written_past_a_denial_are_named_on_the_record(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path / "free", a_policy("2"))
    world.register(on_behalf_of="p-2")
    request(world, world.acting("s-1"), MODEL, 1)
    (asked,) = [each for each in world.ledger.events() if each.type is EventType.PROMOTION_REQUESTED]
    bound = under(tmp_path, NO_SERVICE)
    payload = {**asked.payload, "policy": denying(NO_SERVICE).digest}
    bound.write(EventType.PROMOTION_REQUESTED, payload, "s-1", f"model/{MODEL}")
    told = [each for each in unlawful(bound) if "rule A4" in each]
    assert len(told) == 1
    assert (
        "promotion.requested was not allowed: s-1 is denied promote by policy trams 2, no_service" in told[0]
    )
