"""Requesting, deciding and lowering, on fakes: what is written, what is refused, and what a repeat does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.application import promote
from tidegate.application import resolve as resolving
from tidegate.application.lawfulness import unlawful
from tidegate.application.lower import lower
from tidegate.application.packet import gather, packet_digest
from tidegate.application.platform import Acting
from tidegate.application.promote import climb, preview, request
from tidegate.application.resolve import resolve
from tidegate.application.standing import lifecycle
from tidegate.application.weighing import Outcome
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action, Allowed, Waiting
from tidegate.domain.policy import Gate, Policy, Stage, Tier
from tidegate.domain.state import ActorRow, ApprovalRow, PacketRow, PromotionRow
from tidegate.testing.cases import MODEL, a_policy, with_gate
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.policies import FakePolicies
from tidegate.testing.looking import codes, events, stage

WELL = "Evidence looks sound to me."


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world with version 1 of tier standard, which `s-1` trained for `p-2`."""
    platform = FakePlatform(tmp_path)
    platform.register(on_behalf_of="p-2")
    return platform


@pytest.fixture
def live(world: FakePlatform) -> FakePlatform:
    """Return the world with version 1 in prod and version 2 registered."""
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WELL)
    world.register(on_behalf_of="p-2")
    return world


def ask(
    world: FakePlatform, version: int = 1, who: str = "p-2", key: str | None = None, to: Stage = Stage.PROD
) -> Outcome:
    return climb(world, world.acting(who, key), MODEL, version, to)


def approve(world: FakePlatform, version: int = 1, who: str = "p-3", key: str | None = None) -> Outcome:
    return resolve(world, world.acting(who, key), MODEL, version, Action.APPROVE, WELL)


def writes(world: FakePlatform, act: Callable[[], object]) -> list[EventType]:
    """Return the types of the events an act wrote, refused or not."""
    before = len(events(world))
    with suppress(Refused, BadInput, DependencyFailed):
        act()
    return [event.type for event in events(world)[before:]]


# ── climbing ──────────────────────────────────────────────────────────────────────────────────────


def test_a_climb_stops_where_a_person_is_needed(world: FakePlatform) -> None:
    outcome = ask(world)
    assert (outcome.stage, outcome.promotion) == ("canary", f"{MODEL}-P3")
    assert [(reason.rule, reason.code) for reason in outcome.waits] == [("P4", "approval-missing")]


def test_a_climb_writes_a_request_and_its_application_a_stage(world: FakePlatform) -> None:
    written = writes(world, lambda: ask(world))
    step = [EventType.PROMOTION_REQUESTED, EventType.PROMOTION_APPLIED]
    assert written == [EventType.PACKET_SEALED, *step, *step, EventType.PROMOTION_REQUESTED]


def test_a_climb_goes_no_further_than_asked(world: FakePlatform) -> None:
    assert ask(world, to=Stage.STAGING).stage == "staging"
    assert ask(world, to=Stage.CANARY).stage == "canary"


def test_a_climb_to_a_stage_that_is_none_of_the_ladder_is_bad_input(world: FakePlatform) -> None:
    for to in (Stage.CANDIDATE, Stage.RETIRED):
        with pytest.raises(BadInput, match="expected staging, canary or prod"):
            ask(world, to=to)


def test_a_climb_to_where_the_version_stands_writes_nothing(live: FakePlatform) -> None:
    assert writes(live, lambda: ask(live)) == []
    assert ask(live, to=Stage.STAGING).stage == "prod"


def test_a_climb_is_refused_at_the_first_gate_that_blocks(world: FakePlatform) -> None:
    bad = world.register(on_behalf_of="p-2", calibration_gap=Measure(0.3, 1000, 0.2, 0.4))
    with pytest.raises(Refused) as error:
        ask(world, bad)
    assert codes(error) == ["evidence-failed"]
    assert stage(world, bad) == "staging"


def test_a_climb_interrupted_anywhere_goes_on_under_its_key(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = promote.request
    for steps in range(3):
        calls = iter(range(steps + 1))

        def killed(*args: object, calls: object = calls, steps: int = steps) -> Outcome:
            if next(calls) == steps:  # type: ignore[call-overload]
                raise KeyboardInterrupt
            return whole(*args)  # type: ignore[arg-type]

        version = world.register(on_behalf_of="p-2")
        monkeypatch.setattr(promote, "request", killed)
        with pytest.raises(KeyboardInterrupt):
            ask(world, version, key="up")
        monkeypatch.setattr(promote, "request", whole)
        outcome = ask(world, version, key="up")
        assert (outcome.stage, bool(outcome.waits)) == ("canary", True)
        assert writes(world, lambda version=version: ask(world, version, key="up")) == []  # type: ignore[misc]


def test_a_climb_under_a_new_key_starts_from_where_the_version_stands(world: FakePlatform) -> None:
    ask(world, to=Stage.STAGING, key="first")
    outcome = ask(world, key="second")
    assert (outcome.stage, bool(outcome.waits)) == ("canary", True)


def test_a_repeated_climb_does_not_take_up_again_what_was_rolled_back(live: FakePlatform) -> None:
    ask(live, 2, key="up-2")
    approve(live, 2)
    lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    assert writes(live, lambda: ask(live, 2, key="up-2")) == []
    assert stage(live, 2) == "candidate"


def test_a_repeated_climb_does_not_take_up_again_what_was_demoted(world: FakePlatform) -> None:
    ask(world, to=Stage.STAGING)
    ask(world, to=Stage.CANARY, key="up")
    lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, WELL, 1, Stage.CANDIDATE)
    assert writes(world, lambda: ask(world, to=Stage.CANARY, key="up")) == []
    assert stage(world) == "candidate"


def test_a_climb_that_names_no_stage_goes_as_far_as_canary_and_from_there_into_prod(
    world: FakePlatform,
) -> None:
    dana = world.acting("p-2")
    assert climb(world, dana, MODEL, 1).stage == "canary"
    assert world.ledger.state().select(PromotionRow, status="open") == ()
    outcome = climb(world, dana, MODEL, 1)
    assert (outcome.stage, [reason.code for reason in outcome.waits]) == ("canary", ["approval-missing"])


def test_a_climb_that_names_no_stage_does_not_go_on_from_canary_because_it_is_repeated(
    tmp_path: Path,
) -> None:
    world = FakePlatform(tmp_path, a_policy(standard=0))  # nobody would have to approve
    world.register()
    dana = world.acting("p-2", "up")
    assert climb(world, dana, MODEL, 1).stage == "canary"
    assert writes(world, lambda: climb(world, dana, MODEL, 1)) == []
    assert stage(world) == "canary"
    prod = world.acting("p-2", "on")
    assert climb(world, prod, MODEL, 1).stage == "prod"
    assert writes(world, lambda: climb(world, prod, MODEL, 1)) == []


def test_a_climb_that_names_no_stage_leaves_what_is_live_alone(live: FakePlatform) -> None:
    assert writes(live, lambda: climb(live, live.acting("p-2"), MODEL, 1)) == []
    assert stage(live) == "prod"


def test_a_climb_finds_that_somebody_else_was_faster(world: FakePlatform) -> None:
    ask(world, to=Stage.STAGING)
    assert request(world, world.acting("p-2"), MODEL, 1, Stage.STAGING).stage == "staging"
    assert stage(world) == "staging"


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
    assert writes(world, lambda: act(world)) == [EventType.ACTION_REFUSED]
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
        assert writes(world, act) == []
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
    assert writes(world, act) == []
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


# ── deciding ──────────────────────────────────────────────────────────────────────────────────────


def test_the_last_approval_needed_takes_effect_in_its_own_transaction(world: FakePlatform) -> None:
    ask(world)
    assert writes(world, lambda: approve(world)) == [
        EventType.PROMOTION_APPROVED,
        EventType.PROMOTION_APPLIED,
    ]
    assert stage(world) == "prod"
    applied = events(world)[-1]
    assert applied.actor == "p-3"
    assert applied.payload["preconditions"]["way_back"]["kind"] == "fallback"
    assert [finding["verdict"] for finding in applied.payload["findings"]] == ["passed"]


def test_where_applying_fails_the_approval_is_not_written_either(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(world)

    def broken(*_: object) -> None:
        raise DependencyFailed("lost", "got a broken disk, expected a whole one")

    monkeypatch.setattr(resolving, "apply", broken)
    assert writes(world, lambda: approve(world)) == []
    assert world.ledger.state().select(ApprovalRow) == ()


def test_the_first_of_two_approvals_waits_for_the_second(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path, a_policy(standard=2))
    world.register(on_behalf_of="p-2")
    ask(world)
    first = approve(world)
    assert (first.stage, [reason.code for reason in first.waits]) == ("canary", ["approval-missing"])
    assert approve(world, who="p-4").stage == "prod"


def test_nobody_approves_twice(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path, a_policy(standard=2))
    world.register(on_behalf_of="p-2")
    ask(world)
    approve(world)
    with pytest.raises(Refused) as error:
        approve(world)
    assert codes(error) == ["counted-once"]


def test_an_approval_whose_application_is_refused_stands_and_says_why(live: FakePlatform) -> None:
    ask(live, 2)
    live.change_roles("p-2", "reviewer")  # who requested it may not any more
    act = lambda: approve(live, 2)
    assert writes(live, act) == [EventType.PROMOTION_APPROVED, EventType.ACTION_REFUSED]
    assert stage(live, 2) == "canary"
    assert events(live)[-1].payload["action"] == "promote"
    live.change_roles("p-2", "data_scientist")
    assert request(live, live.acting("p-2"), MODEL, 2).stage == "prod"


def test_an_approval_whose_way_back_is_gone_is_told_so(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(world)
    whole = gather

    def untried(*args: object) -> object:
        gathered = whole(*args)  # type: ignore[arg-type]
        return replace(gathered, way_back=replace(gathered.way_back, verified=False))

    monkeypatch.setattr(resolving, "gather", untried)
    outcome = approve(world)
    assert (outcome.stage, [reason.code for reason in outcome.waits]) == ("canary", ["no-way-back"])


def test_a_rejection_closes_the_request(world: FakePlatform) -> None:
    ask(world)
    outcome = resolve(world, world.acting("p-3"), MODEL, 1, Action.REJECT, "Not before the holidays.")
    assert (outcome.stage, outcome.promotion) == ("canary", "")
    with pytest.raises(Refused) as error:
        approve(world, who="p-4")
    assert codes(error) == ["nothing-open"]


def test_a_rejection_needs_no_tool(live: FakePlatform) -> None:
    ask(live, 2)
    live.registry.down = True
    assert resolve(live, live.acting("p-3"), MODEL, 2, Action.REJECT, WELL).promotion == ""


def test_after_a_rejection_it_can_be_asked_for_again(world: FakePlatform) -> None:
    ask(world)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.REJECT, WELL)
    assert ask(world).promotion == f"{MODEL}-P4"
    assert approve(world).stage == "prod"  # a new request: the one who rejected the old one may decide again


def test_a_reason_is_kept_beside_the_record_and_not_in_it(world: FakePlatform) -> None:
    ask(world)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, "  Dana did well.\n")
    (event,) = events(world, EventType.PROMOTION_APPROVED)
    assert "Dana" not in event.body
    assert world.ledger.text(event.payload["texts"]["reason"]) == "Dana did well."


# ── what changed between request and approval ─────────────────────────────────────────────────────


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
    assert writes(world, lambda: ask(world)) == []
    assert writes(world, lambda: request(world, world.acting("s-1"), MODEL, 1)) == []


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


# ── going down, and up again ──────────────────────────────────────────────────────────────────────


def swapped(live: FakePlatform) -> FakePlatform:
    """Put version 2 in prod in the place of version 1."""
    ask(live, 2)
    approve(live, 2)
    assert (stage(live, 1), stage(live, 2)) == ("retired", "prod")
    return live


def test_a_rollback_restores_the_replaced_version_in_one_event(live: FakePlatform) -> None:
    swapped(live)
    act = lambda: lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    assert writes(live, act) == [EventType.MODEL_ROLLED_BACK]
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


# ── the same key, the same act ────────────────────────────────────────────────────────────────────


def test_the_same_key_yields_the_same_outcome_and_one_event(world: FakePlatform) -> None:
    first = ask(world, key="k")
    assert writes(world, lambda: ask(world, key="k")) == []
    assert ask(world, key="k") == first
    approved = approve(world, key="k")
    assert writes(world, lambda: approve(world, key="k")) == []
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
    assert writes(world, lambda: approve(world, key="k")) == []
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
        assert writes(live, act)[0] in {EventType.VERSION_RETIRED, EventType.ACTION_REFUSED}


def test_a_repeated_rollback_does_not_roll_back_once_more(live: FakePlatform) -> None:
    swapped(live)
    third = live.register(on_behalf_of="p-2")
    ask(live, third)
    approve(live, third)
    act = lambda: lower(live, live.acting("p-5", "k"), MODEL, Action.ROLL_BACK, WELL)
    first = act()
    assert (first.version, first.stage) == (2, "prod")
    assert writes(live, act) == []
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
    assert writes(live, act) == []


# ── previews ──────────────────────────────────────────────────────────────────────────────────────


def test_a_preview_says_what_asking_would_yield_and_writes_nothing(world: FakePlatform) -> None:
    decisions: list[object] = []
    assert writes(world, lambda: decisions.append(preview(world, MODEL, 1)[0])) == []
    assert isinstance(decisions[0], Allowed)
    ask(world)
    decision, dossier, policy = preview(world, MODEL, 1)
    assert isinstance(decision, Waiting)
    assert [finding.demand for finding in dossier.findings] == ["not_worse"]
    assert policy == a_policy()


def test_a_preview_of_a_version_in_prod_finds_nothing_above(live: FakePlatform) -> None:
    _, dossier, _ = preview(live, MODEL, 1)
    assert dossier.findings == ()


# ── the packet and the way back ───────────────────────────────────────────────────────────────────


def test_the_same_evidence_is_sealed_once(world: FakePlatform) -> None:
    ask(world)
    assert len(events(world, EventType.PACKET_SEALED)) == 1


def test_a_second_drop_with_the_same_rows_changes_no_packet(world: FakePlatform) -> None:
    digest = lifecycle(world.ledger.state(), MODEL).versions[1].training_set
    rows = {"digest": digest, "model": MODEL, "service": MODEL, "entities": "", "rows": 1000, "windows": {}}
    world.write(EventType.TRAINING_SET_BUILT, {**rows, "batches": ["tg1:b"]})

    def delivered(drop: str) -> str:
        gated = {"dataset": "trips", "drop": drop, "period": "2024-01", "batch": "tg1:b", "verdict": "passed"}
        counts = {
            "read": 1,
            "accepted": 1,
            "quarantined": 0,
            "quarantine_root": "",
            "contract": "",
            "report": {},
            "revision": 0,
            "supersedes": "",
            "touches": {"training_sets": [], "versions": []},
        }
        world.write(EventType.BATCH_ACCEPTED, {**gated, **counts})
        life = lifecycle(world.ledger.state(), MODEL)
        facts = gather(world, world.ledger.state(), life, life.versions[1]).facts
        assert facts["data"]["gates"] == {"passed": 1, "failed": 0, "error": 0}
        return packet_digest(facts)

    assert delivered("sha256:zip") == delivered("sha256:csv")


def test_a_restated_batch_is_counted_in_the_packet_of_what_had_learned_from_it(world: FakePlatform) -> None:
    digest = lifecycle(world.ledger.state(), MODEL).versions[1].training_set
    first, other = world.accept("2024-01"), world.accept("2024-02")
    rows = {"digest": digest, "model": MODEL, "service": MODEL, "entities": "", "rows": 1000, "windows": {}}
    world.write(EventType.TRAINING_SET_BUILT, {**rows, "batches": [first, other]})

    def restated() -> int:
        life = lifecycle(world.ledger.state(), MODEL)
        count: int = gather(world, world.ledger.state(), life, life.versions[1]).facts["data"]["restated"]
        return count

    assert restated() == 0
    world.accept("2024-02", revision=1, supersedes=other)
    assert restated() == 1


def test_the_packet_shows_the_champion_s_own_loss_on_the_version_s_rows(live: FakePlatform) -> None:
    life = lifecycle(live.ledger.state(), MODEL)
    champion = gather(live, live.ledger.state(), life, life.versions[2]).facts["champion"]
    assert (champion["version"], champion["loss"], champion["gain"]["value"]) == (1, "brier", 0.01)
    assert champion["champion_loss"] == pytest.approx(0.15 + 0.01)  # its own loss, and what it gained on top
    first = gather(live, live.ledger.state(), life, life.versions[1]).facts["champion"]
    assert first == {"version": 0}


def test_a_loss_that_could_not_be_measured_is_none_for_the_champion_too(live: FakePlatform) -> None:
    third = live.register(on_behalf_of="p-2", brier=Measure(float("nan"), 0))
    life = lifecycle(live.ledger.state(), MODEL)
    facts = gather(live, live.ledger.state(), life, life.versions[third]).facts
    assert facts["champion"]["champion_loss"] is None


def test_a_champion_that_cannot_be_fetched_stops_the_request_with_nothing_written(live: FakePlatform) -> None:
    live.registry.down = True
    assert writes(live, lambda: ask(live, 2)) == []
    with pytest.raises(DependencyFailed):
        ask(live, 2)


def test_the_way_back_that_is_tried_is_the_one_that_is_named(live: FakePlatform) -> None:
    life = lifecycle(live.ledger.state(), MODEL)
    gathered = gather(live, live.ledger.state(), life, life.versions[2])
    assert (gathered.way_back.name, gathered.way_back.verified) == ("version 1", True)
    swapped(live)
    life = lifecycle(live.ledger.state(), MODEL)
    gathered = gather(live, live.ledger.state(), life, life.versions[2])
    assert gathered.way_back.name == "version 1"  # in prod itself, it would go back to the replaced one


def test_an_altered_way_back_blocks_prod(live: FakePlatform) -> None:
    swapped(live)
    lower(live, live.acting("p-5"), MODEL, Action.STOP, WELL)
    third = live.register(on_behalf_of="p-2")
    artifact = live.registry.fetch(MODEL, 1, lifecycle(live.ledger.state(), MODEL).versions[1].artifact)
    artifact.write_bytes(b"something else")
    with pytest.raises(Refused) as error:
        ask(live, third)
    assert error.value.sentence.startswith(
        "P8: prod needs a tried way back, got version 1 untried (got an artifact with the digest sha256:"
    )
    assert error.value.hint == f"tidegate rehearse {MODEL}"
    assert stage(live, third) == "canary"


@pytest.mark.parametrize("fallback", ["", "   "])
def test_an_undeclared_fallback_blocks_the_first_version(tmp_path: Path, fallback: str) -> None:
    world = FakePlatform(tmp_path)
    world.models.put(replace(world.models.spec(MODEL), fallback=fallback))
    world.register(on_behalf_of="p-2")
    with pytest.raises(Refused) as error:
        ask(world)
    assert codes(error) == ["no-way-back"]


def test_without_a_policy_in_force_nothing_goes_up(tmp_path: Path) -> None:
    world = FakePlatform(tmp_path)
    world.register(on_behalf_of="p-2")
    bare = replace(a_policy("2"), gates={})
    world.adopt(bare)
    with pytest.raises(Refused) as error:
        ask(world)
    assert codes(error) == ["no-gate"]


def test_changing_a_threshold_changes_the_outcome(world: FakePlatform) -> None:
    demand = replace(
        a_policy().gates[Tier.STANDARD][Stage.STAGING].demands[0], passes="packet.data.rows >= 5000"
    )
    strict = with_gate(
        replace(a_policy(), body="strict", digest="sha256:strict"), Gate(Stage.STAGING, (demand,))
    )
    world.adopt(strict)
    with pytest.raises(Refused) as error:
        ask(world)
    assert "got packet.data.rows = 1000" in error.value.sentence
    assert stage(world) == "candidate"


# ── reasons ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text", ["", "   ", "\n\t ", "\u00a0", "\u2003", "\u3164", "\u115f\u1160", "...", "-"]
)
def test_an_empty_reason_is_none(world: FakePlatform, text: str) -> None:
    with pytest.raises(BadInput) as error:
        lower(world, world.acting("p-5"), MODEL, Action.RETIRE, text, 1)
    assert error.value.code == "no-reason"


BAD_REASONS = {
    "2001 characters": "x" * 2001,
    "a bell": "zap\x07",
    "an escape sequence": "\x1b[2Jzap",
    "a null": "zap\x00",
    "a right-to-left override": "zap \u202exe",
    "an isolate": "zap \u2066on\u2069",
    "a zero-width space": "zap\u200bon",
    "a byte-order mark": "zap\ufeffon",
    "a soft hyphen": "zap\u00adon",
    "a tag character": "zap\U000e0041",
    "a lone surrogate": "zap\ud800",
    "a private character": "zap\ue000",
    "a line separator": "zap\u2028on",
}


@pytest.mark.parametrize("text", BAD_REASONS.values(), ids=BAD_REASONS.keys())
def test_a_reason_that_hides_something_is_bad_input(world: FakePlatform, text: str) -> None:
    act = lambda: lower(world, world.acting("p-5"), MODEL, Action.RETIRE, text, 1)
    assert writes(world, act) == []
    with pytest.raises(BadInput) as error:
        act()
    assert error.value.code == "bad-reason"
    assert "zap" not in error.value.sentence


@pytest.mark.parametrize(
    "text", ["x" * 2000, "Zwei Zeilen,\nmit Umlauten: äöü", "理由は十分です。", "نعم، موافق", "ok 👍"]
)
def test_a_plain_reason_in_any_language_is_kept(world: FakePlatform, text: str) -> None:
    lower(world, world.acting("p-5"), MODEL, Action.RETIRE, text, 1)
    assert world.ledger.text(events(world)[-1].payload["texts"]["reason"]) == text


def test_after_everything_the_ledger_is_sound(live: FakePlatform) -> None:
    swapped(live)
    lower(live, live.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    assert live.ledger.verify() == ()
