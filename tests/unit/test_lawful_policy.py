"""Changes of the policy that somebody wrote past the use cases are named by their event and rule P6."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.change_policy import decide_change, propose
from tidegate.application.lawfulness import unlawful
from tidegate.application.promote import climb
from tidegate.domain.errors import Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Need, Policy, Stage
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.platform import FakePlatform

WHY = "It was tried on last year."
NEXT = a_policy("2", standard=0)
TWO = replace(a_policy(), body="two", digest="sha256:two", changes=(Need("approver", 2),))
OTHER = "sha256:" + "0" * 64


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world with tokens, in which a change of the policy takes one approver."""
    platform = FakePlatform(tmp_path)
    platform.with_tokens()
    platform.knows(NEXT)
    return platform


def forge(world: FakePlatform, kind: EventType, payload: dict[str, Any], actor: str = "p-3") -> int:
    return world.write(kind, payload, actor, "policy").sequence


def text(policy: Policy = NEXT) -> dict[str, str]:
    return {name: getattr(policy, name) for name in ("digest", "name", "version", "body")}


def proposal(**more: Any) -> dict[str, Any]:
    return {"id": "C-1", **text(), "base": a_policy().digest, **more}


def said(outcome: str = "approve", **more: Any) -> dict[str, Any]:
    return {"proposal": "C-1", "role": "approver", "outcome": outcome, **more}


def told(world: FakePlatform, sequence: int, rule: str = "P6") -> list[str]:
    """Return what the judge says of one event, without its number and its rule; only of that rule."""
    start, end = f"event {sequence}: ", f", rule {rule}"
    found = [each for each in unlawful(world) if each.startswith(start) and each.endswith(end)]
    return [each.removeprefix(start).removesuffix(end) for each in found]


def test_a_policy_that_was_proposed_approved_and_adopted_is_lawful(world: FakePlatform) -> None:
    forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    forge(world, EventType.POLICY_APPROVED, said())
    forge(world, EventType.POLICY_ADOPTED, text())
    assert unlawful(world) == ()


def test_what_the_use_cases_write_is_lawful_and_so_is_what_they_refuse(world: FakePlatform) -> None:
    propose(world, world.acting("p-3"), NEXT, WHY)
    for who, action in (("p-3", Action.APPROVE), ("p-5", Action.REJECT), ("p-2", Action.APPROVE)):
        with pytest.raises(Refused):
            decide_change(world, world.acting(who), "C-1", action, WHY)
    decide_change(world, world.acting("p-4"), "C-1", Action.APPROVE, WHY)
    assert unlawful(world) == ()


# ── proposals ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"base": OTHER}, "C-1 would replace another policy than the one in force"),
        ({"digest": OTHER}, "C-1 proposes another text than it says"),
        ({"version": "9"}, "C-1 proposes another text than it says"),
        ({"body": "policy: none"}, "C-1 proposes a text that is no policy"),
        (text(a_policy()), "policy.proposed was not allowed: policy trams 1 is in force, word for word"),
    ],
)
def test_a_forged_proposal_is_named(world: FakePlatform, change: dict[str, Any], sentence: str) -> None:
    sequence = forge(world, EventType.POLICY_PROPOSED, proposal(**change), "p-2")
    assert told(world, sequence) == [sentence]


def test_a_proposal_by_somebody_who_may_not_is_named(world: FakePlatform) -> None:
    sequence = forge(world, EventType.POLICY_PROPOSED, proposal(), "p-5")
    assert told(world, sequence, "A1")


def test_a_proposal_that_asks_for_more_people_than_there_are_is_named(world: FakePlatform) -> None:
    many = world.knows(a_policy("3", high=3))
    sequence = forge(world, EventType.POLICY_PROPOSED, proposal(**text(many)), "p-2")
    assert "asks for 3 approvals by `approver`, which 2 eligible people hold" in told(world, sequence)[0]


def test_a_proposal_made_again_under_its_name_is_named(world: FakePlatform) -> None:
    forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    sequence = forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    assert told(world, sequence) == ["C-1 is proposed again under the same name"]


# ── decisions ─────────────────────────────────────────────────────────────────────────────────────


def test_a_decision_on_what_nobody_proposed_or_that_says_otherwise_is_named(world: FakePlatform) -> None:
    first = forge(world, EventType.POLICY_APPROVED, said())
    forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    second = forge(world, EventType.POLICY_APPROVED, said("reject"), "p-4")
    assert told(world, first) == ["policy.approved of C-1, which nobody proposed"]
    assert told(world, second) == ["policy.approved of C-1 says `reject`"]


@pytest.mark.parametrize(
    ("actor", "role", "part"),
    [
        ("p-3", "risk_officer", "p-3 does not hold `risk_officer`"),
        ("p-8", "approver", "p-8 cannot approve C-1: it was proposed by them"),
        ("s-9", "approver", "s-9 is a service; only people decide on policies"),
    ],
)
def test_an_approval_that_counts_for_nothing_is_named(
    world: FakePlatform, actor: str, role: str, part: str
) -> None:
    world.add_actor("p-8", "approver", subject="p-2")
    world.add_actor("s-9", "approver")
    forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    sequence = forge(world, EventType.POLICY_APPROVED, said(role=role), actor)
    (sentence,) = told(world, sequence)
    assert part in sentence


def test_an_approval_by_who_benefits_is_named(world: FakePlatform) -> None:
    world.register(on_behalf_of="p-4")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    sequence = forge(world, EventType.POLICY_APPROVED, said(), "p-4")
    (sentence,) = told(world, sequence)
    assert f"p-4 cannot approve C-1: {MODEL} version 1, in which they had a part" in sentence


def test_a_decision_on_what_is_closed_is_named(world: FakePlatform) -> None:
    forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    forge(world, EventType.POLICY_REJECTED, said("reject"))
    sequence = forge(world, EventType.POLICY_APPROVED, said(), "p-4")
    assert told(world, sequence) == [
        "policy.approved was not allowed: C-1 is rejected; nothing waits for a decision"
    ]


# ── adoptions ─────────────────────────────────────────────────────────────────────────────────────


def test_a_policy_put_in_force_without_the_approvals_it_takes_is_named(world: FakePlatform) -> None:
    forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    sequence = forge(world, EventType.POLICY_ADOPTED, text())
    assert told(world, sequence) == [
        "policy.adopted was not allowed: C-1 waits for 1 more approval by role `approver`"
    ]


def test_one_approval_where_the_policy_in_force_asks_for_two_is_named(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path, TWO)
    world.with_tokens()
    world.knows(NEXT)
    forge(world, EventType.POLICY_PROPOSED, proposal(base=TWO.digest), "p-2")
    forge(world, EventType.POLICY_APPROVED, said())
    sequence = forge(world, EventType.POLICY_ADOPTED, text())
    assert "waits for 1 more approval" in told(world, sequence)[0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"body": "policy: none"}, "policy trams 2 is adopted with another text than C-1 has"),
        ({"digest": OTHER}, "policy trams 2 is adopted, and no open proposal is of it"),
    ],
)
def test_a_policy_put_in_force_that_is_not_the_one_approved_is_named(
    world: FakePlatform, change: dict[str, Any], sentence: str
) -> None:
    forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    forge(world, EventType.POLICY_APPROVED, said())
    sequence = forge(world, EventType.POLICY_ADOPTED, {**text(), **change})
    assert told(world, sequence) == [sentence]


def test_a_policy_put_in_force_twice_is_named(world: FakePlatform) -> None:
    forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    forge(world, EventType.POLICY_APPROVED, said())
    forge(world, EventType.POLICY_ADOPTED, text())
    sequence = forge(world, EventType.POLICY_ADOPTED, text())
    assert told(world, sequence) == ["policy trams 2 is adopted, and no open proposal is of it"]


def test_a_policy_put_in_force_that_too_few_people_could_meet_is_named(world: FakePlatform) -> None:
    forge(world, EventType.POLICY_PROPOSED, proposal(), "p-2")
    forge(world, EventType.POLICY_APPROVED, said())
    world.revoke("p-4")
    sequence = forge(world, EventType.POLICY_ADOPTED, text())
    assert "which 1 eligible person holds" in told(world, sequence)[0]


def test_what_changes_after_an_unlawful_policy_is_judged_under_it(world: FakePlatform) -> None:
    """One breach is named once: what people did later, in good faith, under what was in force is lawful."""
    sequence = forge(world, EventType.POLICY_ADOPTED, text())
    world.register(on_behalf_of="p-2")
    assert climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD).stage == "prod"
    world.register(on_behalf_of="p-2", calibration_gap=Measure(0.01, 1000, -0.02, 0.04))
    assert unlawful(world) == tuple(
        f"event {sequence}: {sentence}, rule P6" for sentence in told(world, sequence)
    )
