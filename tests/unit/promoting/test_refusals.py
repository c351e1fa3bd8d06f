"""What is refused is on record with every reason, and so is who acted for whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.application.lawfulness import unlawful
from tidegate.application.lower import lower
from tidegate.application.platform import Acting
from tidegate.application.promote import climb, preview, request
from tidegate.application.resolve import resolve
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import ActorRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.deciding import WELL, approve, ask
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, events, stage, tried

# ── refusals are events too ───────────────────────────────────────────────────────────────────────


def test_a_refused_request_is_recorded_with_all_its_reasons(world: FakePlatform) -> None:
    bad = world.register(on_behalf_of="p-2", calibration_gap=Measure(0.3, 1000, 0.2, 0.4))
    ask(world, bad, to=Stage.STAGING)
    with pytest.raises(Refused) as error:
        ask(world, bad, "p-3", to=Stage.CANARY)
    assert codes(error) == ["not-permitted", "evidence-failed"]
    (event,) = events(world, EventType.ACTION_REFUSED)
    assert event.payload["action"] == "promote"
    assert event.payload["subject"]["version"] == bad
    assert event.payload["subject"]["policy"] == a_policy().digest
    assert event.payload["reasons"] == error.value.data["reasons"]
    assert event.actor == "p-3"


def test_a_refusals_sentence_names_every_rule_and_its_hint_the_next_step(world: FakePlatform) -> None:
    with pytest.raises(Refused) as error:
        approve(world, who="p-2")
    assert error.value.code == "approve-refused"
    assert error.value.sentence == (
        "A1: p-2 holds no role that permits `model:promotion:approve`; "
        "P3: no promotion of version 1 waits for a decision"
    )
    assert error.value.hint == "ask somebody whose role permits it"
    assert error.value.exit_code == 1


@pytest.mark.parametrize(
    ("act", "action"),
    [
        (lambda w: approve(w, who="p-6"), "approve"),
        (lambda w: resolve(w, w.acting("p-6"), MODEL, 1, Action.REJECT, WELL), "reject"),
        (lambda w: lower(w, w.acting("p-6"), MODEL, Action.STOP, WELL), "stop"),
        (lambda w: lower(w, w.acting("p-6"), MODEL, Action.ROLL_BACK, WELL), "roll_back"),
        (lambda w: lower(w, w.acting("p-6"), MODEL, Action.RETIRE, WELL, 1), "retire"),
        (lambda w: lower(w, w.acting("p-6"), MODEL, Action.DEMOTE, WELL, 1), "demote"),
        (lambda w: ask(w, who="p-6"), "promote"),
    ],
)
def test_every_kind_of_act_leaves_its_refusal(
    world: FakePlatform, act: Callable[[FakePlatform], object], action: str
) -> None:
    assert tried(world, lambda: act(world)) == [EventType.ACTION_REFUSED]
    assert events(world)[-1].payload["action"] == action
    assert stage(world) == "candidate"


def test_an_unknown_model_or_version_is_bad_input_and_leaves_nothing(world: FakePlatform) -> None:
    acts: list[Callable[[], object]] = [
        lambda: ask(world, 9),
        lambda: climb(world, world.acting("p-2"), "other", 1),
        lambda: approve(world, 9),
        lambda: preview(world, MODEL, 0),
        lambda: lower(world, world.acting("p-5"), MODEL, Action.RETIRE, WELL, 9),
        lambda: lower(world, world.acting("p-5"), MODEL, Action.RETIRE, WELL, 0),
        lambda: lower(world, world.acting("p-5"), "other", Action.STOP, WELL),
    ]
    before = len(events(world))
    for act in acts:
        with pytest.raises(BadInput) as error:
            act()
        assert error.value.code in {"unknown-model", "unknown-version"}
        assert "expected" in error.value.sentence
    assert len(events(world)) == before


def test_what_is_no_decision_cannot_be_recorded_as_one(world: FakePlatform) -> None:
    ask(world)
    for action in set(Action) - {Action.APPROVE, Action.REJECT}:
        with pytest.raises(BadInput, match="expected approve or reject"):
            resolve(world, world.acting("p-2"), MODEL, 1, action, WELL)
    for action in (Action.PROMOTE, Action.APPROVE, Action.REJECT):
        with pytest.raises(BadInput, match="expected one of: roll_back, stop, demote, retire"):
            lower(world, world.acting("p-5"), MODEL, action, WELL, 1)
    assert stage(world) == "canary"


# ── who is acting ─────────────────────────────────────────────────────────────────────────────────


def test_a_role_lost_since_authenticating_no_longer_permits(world: FakePlatform) -> None:
    ask(world)
    approver, requester, operator = world.acting("p-3"), world.acting("p-2"), world.acting("p-5")
    for name in ("p-3", "p-2", "p-5"):
        world.change_roles(name, "reviewer")
    acts: list[Callable[[], object]] = [
        lambda: resolve(world, approver, MODEL, 1, Action.APPROVE, WELL),
        lambda: request(world, requester, MODEL, 1),
        lambda: lower(world, operator, MODEL, Action.RETIRE, WELL, 1),
    ]
    for act in acts:
        with pytest.raises(Refused) as error:
            act()
        assert codes(error) == ["not-permitted"]


def test_an_actor_the_ledger_does_not_have_is_refused_unrecorded(world: FakePlatform) -> None:
    ghost = Acting(ActorRow("p-99", "person", "p-99", ("data_scientist", "operator"), 1))
    for act in (
        lambda: request(world, ghost, MODEL, 1),
        lambda: lower(world, ghost, MODEL, Action.RETIRE, WELL, 1),
    ):
        assert tried(world, act) == []
        with pytest.raises(Refused, match="A2: got an actor that the ledger does not have"):
            act()


def test_a_person_acts_as_nobody_else(world: FakePlatform) -> None:
    ask(world)
    with pytest.raises(Refused) as error:
        resolve(world, world.acting("p-3", on_behalf_of="p-4"), MODEL, 1, Action.APPROVE, WELL)
    assert codes(error) == ["not-itself"]
    assert error.value.sentence == "A2: p-3 is a person and acts only as itself, got an act on behalf of p-4"
    assert events(world)[-1].type is EventType.ACTION_REFUSED
    with pytest.raises(Refused, match="A2"):
        request(world, world.acting("p-2", on_behalf_of="p-3"), MODEL, 1)
    with pytest.raises(Refused, match="A2"):
        lower(world, world.acting("p-5", on_behalf_of="p-2"), MODEL, Action.RETIRE, WELL, 1)


@pytest.mark.parametrize("principal", ["Dana", "p-99", "s-2"])
def test_a_service_acts_only_for_a_person_the_ledger_has(world: FakePlatform, principal: str) -> None:
    act = lambda: request(world, world.acting("s-1", on_behalf_of=principal), MODEL, 1)
    assert tried(world, act) == []
    with pytest.raises(BadInput, match="expected a person's id like p-2") as error:
        act()
    assert principal not in error.value.sentence


def test_whoever_a_service_asked_for_does_not_approve(world: FakePlatform) -> None:
    climb(world, world.acting("s-1", on_behalf_of="p-3"), MODEL, 1, Stage.PROD)
    with pytest.raises(Refused) as error:
        approve(world)
    assert codes(error) == ["own-work"]
    assert approve(world, who="p-4").stage == "prod"


def test_the_person_it_was_trained_for_does_not_approve(world: FakePlatform) -> None:
    world.change_roles("p-2", "data_scientist", "approver")
    climb(world, world.acting("s-1"), MODEL, 1, Stage.PROD)
    with pytest.raises(Refused) as error:
        approve(world, who="p-2")
    assert codes(error) == ["own-work"]


@pytest.mark.parametrize("closed", ["rejected", "asked for less"])
def test_an_earlier_request_is_not_laundered_by_closing_it(world: FakePlatform, closed: str) -> None:
    """Who asked for it once had a part in it, whoever asks next."""
    world.change_roles("p-3", "data_scientist", "approver")
    if closed == "rejected":
        climb(world, world.acting("p-3"), MODEL, 1, Stage.PROD)
        resolve(world, world.acting("p-3"), MODEL, 1, Action.REJECT, "It can wait for more days.")
    else:
        climb(world, world.acting("p-3"), MODEL, 1, Stage.STAGING)
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    with pytest.raises(Refused) as error:
        approve(world)
    assert codes(error) == ["own-work"]
    assert approve(world, who="p-4").stage == "prod"
    assert unlawful(world) == ()
