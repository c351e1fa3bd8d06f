"""The record is judged: what somebody wrote past the use cases is named by its event and its rule."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.canary import analyse
from tidegate.application.follow import follow
from tidegate.application.lawfulness import WRITERS, unlawful
from tidegate.application.lower import lower
from tidegate.application.promote import climb
from tidegate.application.resolve import Say, resolve
from tidegate.application.review import ReviewOutcome, decide_review
from tidegate.application.runs import finish
from tidegate.domain.errors import Refused
from tidegate.domain.events import Draft, EventType
from tidegate.domain.evidence import Measure
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.schedule import Outcome
from tidegate.domain.state import PromotionRow, ReviewRow, VersionRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.platform import FakePlatform, StatedEntities, StatedMonitors

STREAM = f"model/{MODEL}"
WELL = "Evidence looks sound to me."
BACK = {"kind": "fallback", "name": "abstain", "verified": True}
NOT_WORSE = {"demand": "not_worse", "verdict": "passed", "sentence": "as demanded"}


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world with version 1, trained by `s-1` for `p-2`, whose promotion into prod waits."""
    platform = FakePlatform(tmp_path)
    platform.register(on_behalf_of="p-2")
    climb(platform, platform.acting("p-2"), MODEL, 1, Stage.PROD)
    return platform


def approve(world: FakePlatform, version: int = 1) -> None:
    resolve(world, world.acting("p-3"), MODEL, version, Action.APPROVE, WELL)


def forge(world: FakePlatform, kind: EventType, payload: dict[str, Any], actor: str) -> int:
    return world.write(kind, payload, actor, STREAM).sequence


def version_row(world: FakePlatform, number: int = 1) -> VersionRow:
    row = world.ledger.state().get(VersionRow, MODEL, number)
    assert row is not None
    return row


def open_promotion(world: FakePlatform) -> PromotionRow:
    return world.ledger.state().select(PromotionRow, status="open")[0]


def decision(world: FakePlatform, **more: Any) -> dict[str, Any]:
    """Return the payload of an approval of what is open."""
    asked = open_promotion(world)
    bound = {name: getattr(asked, name) for name in ("model", "version", "artifact", "packet", "policy")}
    plain = {"for_whom": "", "conditions": {}}
    return {"promotion": asked.id, "role": "approver", "outcome": "approve", **bound, **plain, **more}


def application(world: FakePlatform, **more: Any) -> dict[str, Any]:
    """Return the payload that applies what is open, as if everything it needs were there."""
    asked = open_promotion(world)
    return {
        "model": MODEL,
        "promotion": asked.id,
        "moves": [{"version": asked.version, "from": asked.source, "to": asked.target}],
        "packet": asked.packet,
        "policy": asked.policy,
        "kind": "regular",
        "conditions": {},
        "certified_until": "",
        "preconditions": {"way_back": BACK, "asked": []},
        "findings": [NOT_WORSE],
        **more,
    }


def told(world: FakePlatform, sequence: int, rule: str) -> list[str]:
    """Return the breaches of one rule by one event."""
    return [
        each
        for each in unlawful(world)
        if each.startswith(f"event {sequence}: ") and each.endswith(f", rule {rule}")
    ]


# ── lawful ────────────────────────────────────────────────────────────────────────────────────────


def test_every_event_but_the_opening_and_what_a_refusal_writes_says_who_may_write_it() -> None:
    anybody = {EventType.ACTION_REFUSED, EventType.PACKET_SEALED}
    assert set(EventType) - set(WRITERS) == {EventType.LEDGER_OPENED} | anybody


def test_a_packet_sealed_for_a_refusal_is_lawful_whoever_asked(world: FakePlatform) -> None:
    bad = world.register(on_behalf_of="p-2", calibration_gap=Measure(0.3, 1000, 0.2, 0.4))
    climb(world, world.acting("p-2"), MODEL, bad, Stage.STAGING)
    approve(world)  # the champion is another one now, and so is the packet
    with pytest.raises(Refused):
        climb(world, world.acting("p-4"), MODEL, bad, Stage.PROD)
    assert [event.actor for event in world.ledger.events()][-2:] == ["p-4", "p-4"]
    assert unlawful(world) == ()


def test_a_lawful_story_holds_no_breach(world: FakePlatform) -> None:
    with pytest.raises(Refused):  # its own people do not approve it, and that is on record
        resolve(world, world.acting("p-2"), MODEL, 1, Action.APPROVE, WELL)
    approve(world)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 2, Stage.PROD)
    resolve(world, world.acting("p-4"), MODEL, 2, Action.REJECT, "Not yet.")
    climb(world, world.acting("p-2"), MODEL, 2, Stage.PROD)
    approve(world, 2)
    lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, WELL)
    lower(world, world.acting("p-5"), MODEL, Action.STOP, WELL)
    climb(world, world.acting("p-2"), MODEL, 2, Stage.CANARY)
    lower(world, world.acting("p-5"), MODEL, Action.DEMOTE, WELL, 2, Stage.CANDIDATE)
    lower(world, world.acting("p-5"), MODEL, Action.RETIRE, WELL, 2)
    assert unlawful(world) == ()


def test_an_inconclusive_finding_that_a_person_looked_at_is_lawful(world: FakePlatform) -> None:
    approve(world)
    world.register(on_behalf_of="p-2")
    world.trainer.gain = Measure(-0.01, 1000, -0.02, 0.01, "stated")
    climb(world, world.acting("p-2"), MODEL, 2, Stage.PROD)
    approve(world, 2)
    assert version_row(world, 2).stage == "prod"
    assert unlawful(world) == ()


# ── forged promotions ─────────────────────────────────────────────────────────────────────────────


def test_a_forged_promotion_from_candidate_into_prod_is_named(world: FakePlatform) -> None:
    number = world.register(on_behalf_of="p-2")
    row, before = version_row(world, number), open_promotion(world)
    asked = {"id": f"{MODEL}-P9", "model": MODEL, "version": number, "source": "candidate", "target": "prod"}
    by = {"requester": "p-2", "on_behalf_of": "", "artifact": row.artifact, "kind": "regular", "due_at": ""}
    bound = {"packet": before.packet, "policy": before.policy}
    first = forge(world, EventType.PROMOTION_REQUESTED, {**asked, **by, **bound}, "p-2")
    moves = [{"version": number, "from": "candidate", "to": "prod"}]
    done = application(world, promotion=f"{MODEL}-P9", moves=moves)
    second = forge(world, EventType.PROMOTION_APPLIED, done, "p-2")
    assert told(world, first, "P1")
    assert "never sealed for version 2" in told(world, first, "P3")[0]
    assert told(world, second, "P1")


def test_an_application_without_the_approvals_its_gate_needs_is_named(world: FakePlatform) -> None:
    sequence = forge(world, EventType.PROMOTION_APPLIED, application(world), "p-2")
    (breach,) = unlawful(world)
    assert "waits for 1 more approval" in breach
    assert told(world, sequence, "P4") == [breach]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"findings": []}, "P2"),
        ({"findings": [{**NOT_WORSE, "verdict": "failed"}]}, "P2"),
        ({"preconditions": {"way_back": {**BACK, "verified": False}}}, "P8"),
        ({"preconditions": {"way_back": None}}, "P8"),
        ({"packet": "sha256:" + "0" * 64}, "P3"),
        ({"policy": "sha256:" + "0" * 64}, "P3"),
        ({"moves": [{"version": 1, "from": "staging", "to": "prod"}]}, "P1"),
    ],
)
def test_a_forged_application_is_named_by_the_rule_it_breaks(
    world: FakePlatform, change: dict[str, Any], rule: str
) -> None:
    forge(world, EventType.PROMOTION_APPROVED, decision(world), "p-3")
    sequence = forge(world, EventType.PROMOTION_APPLIED, application(world, **change), "p-3")
    assert told(world, sequence, rule)


def test_findings_that_the_sealed_packet_does_not_bear_out_are_named(world: FakePlatform) -> None:
    bad = world.register(on_behalf_of="p-2", calibration_gap=Measure(0.3, 1000, 0.2, 0.4))
    with pytest.raises(Refused):
        climb(world, world.acting("p-2"), MODEL, bad, Stage.PROD)
    row, before = version_row(world, bad), open_promotion(world)
    asked = replace(before, id=f"{MODEL}-P9", version=bad, source="staging", target="canary")
    payload = {name: getattr(asked, name) for name in PromotionRow.__annotations__ if name.islower()}
    payload = {**payload, "artifact": row.artifact, "packet": row.packet}
    first = forge(world, EventType.PROMOTION_REQUESTED, payload, "p-2")
    moves = [{"version": bad, "from": "staging", "to": "canary"}]
    found = [{**NOT_WORSE, "demand": "calibrated"}]
    done = application(world, promotion=asked.id, moves=moves, findings=found, packet=row.packet)
    second = forge(world, EventType.PROMOTION_APPLIED, done, "p-2")
    assert [each for each in unlawful(world) if each.startswith(f"event {first}:")] == []
    assert "calibrated as passed; its packet says failed" in told(world, second, "P2")[0]


def test_a_promotion_applied_twice_is_named(world: FakePlatform) -> None:
    done = application(world)
    approve(world)
    sequence = forge(world, EventType.PROMOTION_APPLIED, done, "p-3")
    assert "not open" in told(world, sequence, "P3")[0]


# ── forged decisions ──────────────────────────────────────────────────────────────────────────────


def test_an_approval_of_their_own_work_is_named(world: FakePlatform) -> None:
    world.change_roles("p-2", "data_scientist", "approver")
    sequence = forge(world, EventType.PROMOTION_APPROVED, decision(world), "p-2")
    assert "cannot approve version 1" in told(world, sequence, "P4")[0]


def test_an_approval_by_a_service_is_named(world: FakePlatform) -> None:
    sequence = forge(world, EventType.PROMOTION_APPROVED, decision(world), "s-2")
    assert told(world, sequence, "A1")
    assert any("only people approve" in each for each in told(world, sequence, "P4"))


def test_an_approval_of_something_else_is_named(world: FakePlatform) -> None:
    payload = decision(world, packet="sha256:" + "0" * 64)
    sequence = forge(world, EventType.PROMOTION_APPROVED, payload, "p-3")
    assert "another packet" in told(world, sequence, "P3")[0]


def test_a_rejection_that_says_it_approves_is_named(world: FakePlatform) -> None:
    sequence = forge(world, EventType.PROMOTION_REJECTED, decision(world), "p-3")
    assert "says `approve`" in told(world, sequence, "P3")[0]


# ── forged moves down, actors and policies ────────────────────────────────────────────────────────


def test_a_move_from_a_stage_where_the_version_does_not_stand_is_named(world: FakePlatform) -> None:
    moves = [{"version": 1, "from": "prod", "to": "candidate"}]
    stopped = forge(world, EventType.MODEL_STOPPED, {"model": MODEL, "moves": moves}, "p-5")
    assert told(world, stopped, "P1")


def test_a_move_up_that_calls_itself_a_move_down_is_named(world: FakePlatform) -> None:
    moves = [{"version": 1, "from": "canary", "to": "prod"}]
    demoted = forge(world, EventType.VERSION_DEMOTED, {"model": MODEL, "moves": moves}, "p-5")
    assert told(world, demoted, "P1")


def test_an_event_by_somebody_unknown_is_named(world: FakePlatform) -> None:
    sequence = forge(world, EventType.PROMOTION_APPLIED, application(world), "p-99")
    (breach,) = unlawful(world)
    assert told(world, sequence, "A1") == [breach]
    assert "p-99" in breach


def test_an_account_made_by_somebody_who_may_not_is_named(world: FakePlatform) -> None:
    added = {"id": "p-9", "kind": "person", "subject": "p-9", "roles": ["approver"]}
    assert told(world, forge(world, EventType.ACTOR_ADDED, added, "p-2"), "A1")


def test_an_account_or_a_version_made_again_is_named(world: FakePlatform) -> None:
    added = {"id": "p-3", "kind": "person", "subject": "p-9", "roles": ["approver"]}
    assert told(world, forge(world, EventType.ACTOR_ADDED, added, "p-1"), "A2")
    row = version_row(world)
    payload = {name: getattr(row, name) for name in VersionRow.__annotations__ if name.islower()}
    assert told(world, forge(world, EventType.VERSION_REGISTERED, payload, "s-1"), "P1")


def test_a_model_put_into_a_lower_tier_is_named(world: FakePlatform) -> None:
    about = {"name": MODEL, "owner": "o", "purpose": "p", "tier": "low", "fallback": "abstain"}
    sequence = forge(world, EventType.MODEL_REGISTERED, about, "s-1")
    assert "from standard to low" in told(world, sequence, "P4")[0]


def test_a_policy_adopted_after_the_opening_is_named(world: FakePlatform) -> None:
    world.adopt(a_policy("2", standard=0))
    last = list(world.ledger.events())[-1].sequence
    assert told(world, last, "A1")  # an administrator manages accounts, not policies
    (breach,) = told(world, last, "P6")
    assert "policy trams 2 is adopted, and no open proposal is of it" in breach


def test_a_second_opening_is_named(world: FakePlatform) -> None:
    opened = {"clock": "simulated", "assurance": "local", "administrator": "p-2"}
    sequence = forge(world, EventType.LEDGER_OPENED, opened, "p-2")
    (breach,) = unlawful(world)
    assert told(world, sequence, "A1") == [breach]


def test_an_event_that_cannot_be_folded_is_named_and_ends_the_judgement(
    world: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = list(world.ledger.events())
    broken = replace(events[-1], payload={"moves": "none"}, type=EventType.MODEL_STOPPED)
    monkeypatch.setattr(world.ledger, "events", lambda: iter([*events[:-1], broken, events[-1]]))
    found = unlawful(world)
    assert found[-1].startswith(f"event {broken.sequence}: its model.stopped speaks of what")


# ── forged decisions of models, canaries, reviews and runs ────────────────────────────────────────

PERIOD = "2024-01"
DUE = "2024-02-08T00:00:00Z"


@pytest.fixture
def canary(world: FakePlatform) -> FakePlatform:
    """Return a world with version 1 live and version 2 in canary, which both have scored a period."""
    approve(world)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 2)
    world.accept()
    world.entities = StatedEntities(world.frames / "entities")
    world.scored(1, PERIOD, "prod")
    world.scored(2, PERIOD, "canary")
    assert isinstance(world.monitors, StatedMonitors)
    world.monitors.states(-0.02, -0.025, -0.01)
    return world


def analysed(world: FakePlatform) -> dict[str, Any]:
    """Return the payload of a lawful analysis; that it was made is taken back."""
    before = world.ledger.store.contents
    analyse(world, world.acting("s-4"), MODEL)
    (event,) = [each for each in world.ledger.events() if each.type is EventType.CANARY_ANALYSED]
    world.ledger.store.contents = before
    return {**event.payload, "review": ""}


def followed_review(world: FakePlatform, outcome: ReviewOutcome = ReviewOutcome.ROLL_BACK) -> ReviewRow:
    opened = {"id": "R-1", "model": MODEL, "period": PERIOD, "version": 1, "cause": "brier failed"}
    more = {"kind": "finding", "role": "reviewer", "due_at": "2024-02-08T00:00:00Z"}
    world.write(EventType.REVIEW_OPENED, {**opened, **more}, "s-2", STREAM)
    return decide_review(world, world.acting("p-6"), "R-1", outcome, WELL)


def test_a_canary_that_failed_and_a_review_that_was_followed_are_lawful(canary: FakePlatform) -> None:
    (step,) = analyse(canary, canary.acting("s-4"), MODEL)
    assert step.stage == "candidate"
    review = decide_review(canary, canary.acting("p-6"), step.row.review, ReviewOutcome.ROLL_BACK, WELL)
    follow(canary, canary.acting("s-4"), review)
    finish(canary, canary.acting("s-4"), "canary", canary.clock.now(), Outcome.DONE, "one step")
    assert unlawful(canary) == ()


@pytest.mark.parametrize("gain", [(0.0, -0.001, 0.001), (-0.003, -0.009, 0.003), (nan, nan, nan), None])
def test_an_analysis_of_any_verdict_is_lawful(
    canary: FakePlatform, gain: tuple[float, float, float] | None
) -> None:
    assert isinstance(canary.monitors, StatedMonitors)
    if gain is None:
        canary.monitors = StatedMonitors(canary.frames)
    else:
        canary.monitors.states(*gain)
    analyse(canary, canary.acting("s-4"), MODEL)
    assert unlawful(canary) == ()


@pytest.mark.parametrize(
    ("change", "rule", "sentence"),
    [
        (
            {"verdict": "passed", "standing": "better"},
            "V2",
            "is recorded as passed; its own figures say failed",
        ),
        ({"baseline": 0}, "P5", "compared with version 0, while version 1 is live"),
        ({"version": 1}, "P1", "version 1 of tram_delay on 2024-01 was analysed, and it scored nothing"),
        ({"period": "2024-02"}, "P1", "it scored nothing then in canary"),
    ],
)
def test_a_forged_analysis_is_named_by_the_rule_it_breaks(
    canary: FakePlatform, change: dict[str, Any], rule: str, sentence: str
) -> None:
    sequence = forge(canary, EventType.CANARY_ANALYSED, {**analysed(canary), **change}, "s-4")
    assert any(sentence in each for each in told(canary, sequence, rule)), unlawful(canary)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"decisions": "sha256:other"}, "analysed on other decisions than it made"),
        ({"rows": 1}, "was analysed on 1 rows, of 1000 that it decided"),
        (
            {"asked": {"labelled_share": 0.0, "days": 0, "may_lose": 1.0}},
            "another rule than the policy in force",
        ),
        ({"labelled": 0}, "its own figures say inconclusive"),
    ],
)
def test_figures_of_an_analysis_that_do_not_fit_the_record_are_named(
    canary: FakePlatform, change: dict[str, Any], sentence: str
) -> None:
    payload = analysed(canary)
    payload["analysis"] = {**payload["analysis"], **change}
    sequence = forge(canary, EventType.CANARY_ANALYSED, payload, "s-4")
    found = [each for each in unlawful(canary) if each.startswith(f"event {sequence}: ")]
    assert any(sentence in each for each in found), found


def test_decisions_by_a_version_that_stands_elsewhere_are_named(canary: FakePlatform) -> None:
    canary.scored(2, "2024-02", "prod")
    last = list(canary.ledger.events())[-1].sequence
    assert "as if it stood in prod; it stands in canary" in told(canary, last, "P1")[0]


def test_decisions_that_replace_others_and_those_of_another_artifact_are_named(canary: FakePlatform) -> None:
    canary.scored(2, PERIOD, "canary")
    last = list(canary.ledger.events())[-1]
    assert "replaces decisions on record" in told(canary, last.sequence, "P1")[0]
    payload = {**last.payload, "period": "2024-02", "artifact": "sha256:other"}
    sequence = forge(canary, EventType.DECISIONS_SCORED, payload, "s-6")
    assert "with another artifact than it has" in told(canary, sequence, "P1")[0]


def test_a_review_that_is_opened_or_decided_again_is_named(canary: FakePlatform) -> None:
    review = followed_review(canary)
    payload = {"id": review.id, "outcome": "benign"}
    again = canary.write(EventType.REVIEW_DECIDED, payload, "p-6", STREAM).sequence
    assert "which is not open" in told(canary, again, "R1")[0]
    opened = {
        "id": "R-1",
        "model": MODEL,
        "period": PERIOD,
        "version": 1,
        "kind": "finding",
        "cause": "",
        "role": "reviewer",
    }
    anew = forge(canary, EventType.REVIEW_OPENED, {**opened, "due_at": "2024-02-08T00:00:00Z"}, "s-2")
    assert "R-1 is opened again" in told(canary, anew, "R1")[0]


def test_a_review_decided_by_somebody_without_its_role_is_named(canary: FakePlatform) -> None:
    opened = {
        "id": "R-1",
        "model": MODEL,
        "period": PERIOD,
        "version": 1,
        "kind": "finding",
        "cause": "",
        "role": "operator",
    }
    forge(canary, EventType.REVIEW_OPENED, {**opened, "due_at": "2024-02-08T00:00:00Z"}, "s-2")
    sequence = forge(canary, EventType.REVIEW_DECIDED, {"id": "R-1", "outcome": "benign"}, "p-6")
    assert "no person with the role `operator`" in told(canary, sequence, "R1")[0]


def test_a_certificate_that_is_asked_for_is_given_by_no_outcome_of_a_review(canary: FakePlatform) -> None:
    about = {"id": "R-1", "model": MODEL, "period": "", "version": 1, "kind": "recertification"}
    forge(canary, EventType.REVIEW_OPENED, {**about, "cause": "", "role": "reviewer", "due_at": DUE}, "s-4")
    sequence = forge(canary, EventType.REVIEW_DECIDED, {"id": "R-1", "outcome": "benign"}, "p-6")
    assert "which only certifying again answers" in told(canary, sequence, "R1")[0]


def test_a_mandatory_review_decided_by_who_let_the_version_in_is_named(world: FakePlatform) -> None:
    say = Say(conditions={"review_in_days": 14})
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, WELL, say)
    world.change_roles("p-3", "approver", "reviewer")
    sequence = forge(world, EventType.REVIEW_DECIDED, {"id": "R-1", "outcome": "benign"}, "p-3")
    assert "p-3 cannot decide R-1: version 1 was approved by them" in told(world, sequence, "R1")[0]


def following(world: FakePlatform, on_behalf_of: str | None) -> int:
    payload = {"id": "R-1", "followed": "version 1 restored"}
    made = Draft(EventType.REVIEW_FOLLOWED, STREAM, "s-4", payload, on_behalf_of=on_behalf_of)
    with world.ledger.transaction() as tx:
        return tx.append(made).sequence


def test_a_review_that_nobody_decided_to_act_on_cannot_have_been_followed(canary: FakePlatform) -> None:
    followed_review(canary, ReviewOutcome.BENIGN)
    assert "nobody decided that anything be done" in told(canary, following(canary, "p-6"), "R1")[0]


@pytest.mark.parametrize("behind", [None, "p-2"])
def test_a_review_followed_for_somebody_else_than_who_decided_it_is_named(
    canary: FakePlatform, behind: str | None
) -> None:
    followed_review(canary)
    (breach,) = told(canary, following(canary, behind), "R1")
    assert f"on behalf of {behind or 'nobody'}, but p-6 decided it" in breach


def test_a_review_that_is_followed_again_is_named(canary: FakePlatform) -> None:
    followed_review(canary)
    following(canary, "p-6")
    assert unlawful(canary) == ()
    assert "R-1 is followed again" in told(canary, following(canary, "p-6"), "R1")[0]


def test_a_slot_that_was_run_twice_is_named(canary: FakePlatform) -> None:
    finish(canary, canary.acting("s-4"), "canary", canary.clock.now(), Outcome.DONE, "one step")
    last = list(canary.ledger.events())[-1]
    sequence = canary.write(EventType.RUN_FINISHED, last.payload, "s-4", last.stream).sequence
    (breach,) = unlawful(canary)
    assert told(canary, sequence, "S1") == [breach]
    assert "of canary is run again" in breach


def test_an_incident_recorded_again_or_of_nothing_is_named(world: FakePlatform) -> None:
    incident = {"id": "I-1", "model": MODEL, "kind": "registry", "facts": ["the alias prod was on version 2"]}
    forge(world, EventType.REGISTRY_REPAIRED, incident, "p-2")
    assert unlawful(world) == ()
    again = forge(world, EventType.REGISTRY_REPAIRED, {**incident, "facts": ["nothing of note"]}, "p-2")
    assert told(world, again, "I1") == [
        f"event {again}: I-1 is recorded again, which replaces what was found before, rule I1"
    ]
    empty = forge(world, EventType.REGISTRY_REPAIRED, {**incident, "id": "I-2", "facts": []}, "p-2")
    assert told(world, empty, "I1") == [f"event {empty}: I-2 says of nothing that it differed, rule I1"]
