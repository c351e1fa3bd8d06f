"""What is owed, chased, delegated, demanded or ended past the use cases is named by its event and its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.delegate import delegate, end_delegation
from tidegate.application.lawfulness import JUDGED, UNJUDGED, WRITERS, Breach, judged, unlawful
from tidegate.application.promote import climb, request
from tidegate.application.resolve import Say, resolve
from tidegate.application.tend import recertify, tend
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.events import Draft, Event, EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Certification, Deadline, Policy, Stage, Tier
from tidegate.domain.state import PromotionRow, VersionRow
from tidegate.testing.cases import MODEL, a_policy, with_gate
from tidegate.testing.fakes.ledger import MemoryLedger
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import CountingEntropy, FixedClock, TickingClock
from tidegate.testing.looking import later

WELL = "Evidence looks sound to me."
STREAM = f"model/{MODEL}"
DAY = timedelta(days=1)
E = EventType
Change = Callable[[Event], Mapping[str, Any] | None]


def the_policy() -> Policy:
    """Return a policy under which requests have a deadline, and approvals a term that drift ends too."""
    policy = a_policy()
    gate = policy.gates[Tier.STANDARD][Stage.PROD]
    policy = with_gate(policy, replace(gate, deadline=Deadline(10, 5, "risk_officer", 20)))
    term = Certification(90, 14, "approver", on_drift=True)
    return replace(policy, certification={Tier.STANDARD: term})


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world in which version 1 waits before prod."""
    world = FakePlatform(tmp_path, the_policy())
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    return world


@pytest.fixture
def live(world: FakePlatform) -> FakePlatform:
    """Return a world in which version 1 is live."""
    approve(world)
    return world


def approve(world: FakePlatform, version: int = 1, say: Say | None = None) -> None:
    resolve(world, world.acting("p-3"), MODEL, version, Action.APPROVE, WELL, say)


def write(
    world: FakePlatform, kind: EventType, payload: Mapping[str, Any], actor: str
) -> list[tuple[str, str]]:
    """Append an event past every use case; return what the judge says of it, each as (rule, sentence)."""
    made = world.write(kind, payload, actor, STREAM)
    return [(each.rule, each.told) for each in breaches(world) if each.event == made.sequence]


def breaches(world: FakePlatform) -> tuple[Breach, ...]:
    return judged(world.ledger.events(), world.policies, world.expressions)


def retold(world: FakePlatform, change: Change) -> list[tuple[EventType, str, str]]:
    """Tell the record again as a forger would: with other payloads, and without what ``change`` returns None for.

    Return each breach as (type of its event, rule, sentence).
    """
    clock = FixedClock()
    ledger = MemoryLedger(clock, CountingEntropy())
    for event in world.ledger.events():
        payload = change(event)
        if payload is None:
            continue
        clock.moment = utc_time(event.occurred_at)
        plain = {name: value for name, value in payload.items() if name != "texts"}
        with ledger.transaction() as tx:
            tx.append(Draft(event.type, event.stream, event.actor, plain, on_behalf_of=event.on_behalf_of))
    types = {event.sequence: event.type for event in ledger.events()}
    found = judged(ledger.events(), world.policies, world.expressions)
    return [(types[each.event], each.rule, each.told) for each in found]


def without(kind: EventType) -> Change:
    return lambda event: None if event.type is kind else event.payload


def with_(kind: EventType, /, **other: Any) -> Change:
    return lambda event: {**event.payload, **other} if event.type is kind else event.payload


def test_every_type_of_event_has_a_judge_or_says_why_it_needs_none() -> None:
    assert set(EventType) == JUDGED | set(UNJUDGED)
    assert not JUDGED & set(UNJUDGED)
    assert all(UNJUDGED.values())
    assert JUDGED - set(WRITERS) == {E.LEDGER_OPENED}


def test_a_story_told_again_as_it_was_holds_no_breach(live: FakePlatform) -> None:
    assert retold(live, lambda event: event.payload) == []


# ── what is owed ──────────────────────────────────────────────────────────────────────────────────


def broken(world: FakePlatform) -> FakePlatform:
    request(world, world.acting("p-5"), MODEL, 1, action=Action.BREAK_GLASS, reason="Prod answers nothing.")
    approve(world)
    return world


def conditioned(world: FakePlatform) -> FakePlatform:
    approve(world, say=Say(conditions={"review_in_days": 14}))
    return world


def lapsed(world: FakePlatform) -> FakePlatform:
    approve(world)
    later(world, 90)
    tend(world, world.acting("s-4"))
    return world


OWING: dict[str, tuple[Callable[[FakePlatform], FakePlatform], EventType]] = {
    "break glass": (broken, E.PROMOTION_APPLIED),
    "condition": (conditioned, E.PROMOTION_APPLIED),
    "recertification": (lapsed, E.CERTIFICATION_LAPSED),
}


@pytest.mark.parametrize("kind", OWING)
def test_a_review_that_is_owed_and_was_opened_is_lawful(world: FakePlatform, kind: str) -> None:
    assert unlawful(OWING[kind][0](world)) == ()


@pytest.mark.parametrize("kind", OWING)
def test_a_review_that_is_owed_at_the_end_of_the_record_is_named(world: FakePlatform, kind: str) -> None:
    prepare, owing = OWING[kind]
    (found,) = retold(prepare(world), without(E.REVIEW_OPENED))
    assert found[:2] == (owing, "P9")
    assert f"it owes a review of version 1 of {MODEL} ({kind})" in found[2]
    assert "and none followed" in found[2]


@pytest.mark.parametrize("kind", OWING)
def test_a_record_that_goes_on_without_the_review_that_is_owed_is_named(
    world: FakePlatform, kind: str
) -> None:
    prepare, _ = OWING[kind]
    prepare(world).register(on_behalf_of="p-2")
    (found,) = retold(world, without(E.REVIEW_OPENED))
    assert found[:2] == (E.VERSION_REGISTERED, "P9")
    assert "version.registered came instead" in found[2]


@pytest.mark.parametrize("kind", OWING)
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"role": "auditor"}, "another role"),
        ({"due_at": "2119-01-01T00:00:00Z"}, "another due time"),
        ({"version": 2}, "another version"),
        ({"kind": "finding"}, "another kind"),
    ],
)
def test_a_review_that_is_not_as_it_is_owed_is_named(
    world: FakePlatform, kind: str, change: dict[str, Any], named: str
) -> None:
    found = retold(OWING[kind][0](world), with_(E.REVIEW_OPENED, **change))
    assert [each[:2] for each in found] == [(E.REVIEW_OPENED, "P9")]
    assert f"is opened with {named}; owed is a review of version 1" in found[0][2]


@pytest.mark.parametrize("kind", ["break_glass", "condition", "recertification"])
def test_a_mandatory_review_that_nothing_asks_for_is_named(live: FakePlatform, kind: str) -> None:
    about = {"id": "R-1", "model": MODEL, "period": "", "version": 1, "kind": kind, "cause": "to hold it"}
    due = {"role": "reviewer", "due_at": "2013-01-01T00:00:00Z"}
    said = write(live, E.REVIEW_OPENED, {**about, **due}, "s-4")
    assert said == [("P9", f"R-1 is opened as {kind}, and nothing asks for it")]


def monitored(world: FakePlatform, review: str) -> dict[str, Any]:
    world.scored(1, "2024-01")
    about = {"model": MODEL, "period": "2024-01", "version": 1, "verdict": "failed", "outcomes": ""}
    return {**about, "evidence": {}, "report": "", "review": review}


def test_a_monitor_that_names_a_review_owes_it(live: FakePlatform) -> None:
    said = write(live, E.MONITOR_RAN, monitored(live, "R-1"), "s-2")
    assert [rule for rule, _ in said] == ["R1"]
    assert "it owes a review of version 1" in said[0][1]
    due = {"role": "operator", "due_at": utc_text(live.clock.now() + 7 * DAY)}
    about = {
        "id": "R-1",
        "model": MODEL,
        "period": "2024-01",
        "version": 1,
        "kind": "finding",
        "cause": "gap",
    }
    assert "another role" in write(live, E.REVIEW_OPENED, {**about, **due}, "s-2")[0][1]


# ── certificates that end ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("because", "since"),
    [("drift", "2001-01-01T00:00:00Z"), ("age", "2001-01-01T00:00:00Z"), ("mood", ""), ("drift", "now")],
)
def test_a_certificate_that_ends_by_what_is_not_so_is_named(
    live: FakePlatform, because: str, since: str
) -> None:
    since = utc_text(live.clock.now()) if since == "now" else since
    payload = {"model": MODEL, "version": 1, "because": because, "since": since}
    said = write(live, E.CERTIFICATION_LAPSED, payload, "s-4")
    assert (
        "P3",
        f"the certificate of version 1 of {MODEL} ends by {because} since {since}, which is not so",
    ) in said


def test_a_certificate_that_ends_before_its_term_is_named(live: FakePlatform) -> None:
    row = live.ledger.state().get(VersionRow, MODEL, 1)
    assert row is not None
    payload = {"model": MODEL, "version": 1, "because": "age", "since": row.certified_until}
    said = write(live, E.CERTIFICATION_LAPSED, payload, "s-4")
    assert any(rule == "P3" and "which is not so" in told for rule, told in said)


def test_a_certificate_that_ends_twice_and_one_of_what_is_not_live_are_named(world: FakePlatform) -> None:
    payload = {"model": MODEL, "version": 1, "because": "age", "since": utc_text(world.clock.now())}
    said = write(world, E.CERTIFICATION_LAPSED, payload, "s-4")
    assert ("P3", f"the certificate of version 1 of {MODEL} ends, which is not live") in said
    last = list(lapsed(world).ledger.events())[-2]
    assert last.type is E.CERTIFICATION_LAPSED
    said = write(world, E.CERTIFICATION_LAPSED, last.payload, "s-4")
    assert any("ends again, while somebody is asked about it already" in told for _, told in said)


# ── requests that wait ────────────────────────────────────────────────────────────────────────────

CHASING = {E.PROMOTION_REMINDED: 5, E.PROMOTION_ESCALATED: 10, E.PROMOTION_LAPSED: 20}


def chasing(world: FakePlatform, kind: EventType, /, **more: Any) -> list[tuple[str, str]]:
    asked = max(world.ledger.state().select(PromotionRow), key=lambda row: row.sequence)
    role = {"role": "risk_officer"} if kind is E.PROMOTION_ESCALATED else {}
    about = {"promotion": asked.id, "model": asked.model, "version": asked.version}
    return write(world, kind, {**about, **role, **more}, "s-4")


@pytest.mark.parametrize("kind", CHASING)
def test_what_comes_in_its_time_is_lawful_and_before_it_is_named(
    world: FakePlatform, kind: EventType
) -> None:
    later(world, CHASING[kind] - 1)
    (said,) = chasing(world, kind)
    assert said[0] == "P3"
    assert said[1].endswith("before its time")


@pytest.mark.parametrize("kind", CHASING)
def test_what_comes_in_its_time_is_lawful_once_and_of_this_version(
    world: FakePlatform, kind: EventType
) -> None:
    later(world, CHASING[kind])
    tend(world, world.acting("s-4"))
    assert unlawful(world) == ()
    assert [event.type for event in world.ledger.events()][-1] is kind
    told = [told for _, told in chasing(world, kind)]
    over = kind is E.PROMOTION_LAPSED
    assert any(each.endswith("which is not open or has no due time" if over else "again") for each in told)


@pytest.mark.parametrize("kind", CHASING)
def test_what_chases_a_request_that_was_decided_is_named(live: FakePlatform, kind: EventType) -> None:
    later(live, 30)
    (said,) = chasing(live, kind)
    assert said[1].endswith("which is not open or has no due time")


def test_an_escalation_to_another_role_or_about_another_version_is_named(world: FakePlatform) -> None:
    later(world, 10)
    told = [told for _, told in chasing(world, E.PROMOTION_ESCALATED, role="approver", version=2)]
    assert any("to `approver`, not to the role that the policy names" in each for each in told)
    assert any("as if it were of another version" in each for each in told)


@pytest.mark.parametrize("due_at", ["2999-01-01T00:00:00Z", ""])
def test_a_request_that_is_due_at_another_time_than_the_policy_says_is_named(
    world: FakePlatform, due_at: str
) -> None:
    def forged(event: Event) -> Mapping[str, Any]:
        into_prod = event.type is E.PROMOTION_REQUESTED and event.payload["target"] == "prod"
        return {**event.payload, "due_at": due_at} if into_prod else event.payload

    (found,) = retold(world, forged)
    assert found[:2] == (E.PROMOTION_REQUESTED, "P3")
    assert f"is due {due_at or 'never'}, expected 20" in found[2]


def test_a_request_of_no_known_kind_is_named(world: FakePlatform) -> None:
    found = retold(world, with_(E.PROMOTION_REQUESTED, kind="favour"))
    assert any(rule == "P9" and "which is no kind of request" in told for _, rule, told in found)


# ── delegations ───────────────────────────────────────────────────────────────────────────────────


def test_a_delegation_within_its_bounds_is_lawful(live: FakePlatform) -> None:
    delegate(live, live.acting("p-3"), "p-6", "approver", live.clock.now() + 92 * DAY, "Away.", MODEL)
    assert unlawful(live) == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"until": "2999-01-01T00:00:00Z"}, "until 2999-01-01T00:00:00Z, expected an end within 92 days"),
        ({"until": "2001-01-01T00:00:00Z"}, "until 2001-01-01T00:00:00Z, expected an end within 92 days"),
        ({"model": "ghost"}, "is delegated for ghost, which nobody registered"),
    ],
)
def test_a_delegation_out_of_bounds_is_named(
    live: FakePlatform, change: dict[str, str], sentence: str
) -> None:
    delegate(live, live.acting("p-3"), "p-6", "approver", live.clock.now() + 9 * DAY, "Away.")
    (found,) = retold(live, with_(E.APPROVAL_DELEGATED, **change))
    assert found[:2] == (E.APPROVAL_DELEGATED, "P4")
    assert sentence in found[2]


def test_a_delegation_that_is_ended_again_is_named(live: FakePlatform) -> None:
    delegate(live, live.acting("p-3"), "p-6", "approver", live.clock.now() + 9 * DAY, "Away.")
    end_delegation(live, live.acting("p-3"), "D-1")
    assert write(live, E.DELEGATION_ENDED, {"id": "D-1"}, "p-6") == [("P4", "D-1 is ended again")]


# ── conditions ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "conditions",
    [
        {"max_share": -5},
        {"max_share": 1.5},
        {"lapses_in_days": 10**6},
        {"lapses_in_days": 1.5},
        {"review_in_days": 0},
        {"review_in_days": True},
        {"max_share": "half"},
        {"frobnicate": 1},
    ],
)
def test_an_approval_on_conditions_that_nothing_can_hold_is_named(
    world: FakePlatform, conditions: dict[str, Any]
) -> None:
    (asked,) = world.ledger.state().select(PromotionRow, status="open")
    bound = {name: getattr(asked, name) for name in ("model", "version", "artifact", "packet", "policy")}
    given = {"promotion": asked.id, "role": "approver", "outcome": "approve", **bound, "for_whom": ""}
    said = write(world, E.PROMOTION_APPROVED, {**given, "conditions": conditions}, "p-3")
    assert [rule for rule, _ in said] == ["P3"]
    assert "is on conditions that nothing can hold" in said[0][1]


@pytest.mark.parametrize("conditions", [{"max_share": 1.0}, {"max_share": 0.5, "lapses_in_days": 30}])
def test_conditions_that_can_be_held_are_lawful(world: FakePlatform, conditions: dict[str, float]) -> None:
    approve(world, say=Say(conditions=conditions))
    assert unlawful(world) == ()


# ── a clock that runs ─────────────────────────────────────────────────────────────────────────────


def test_what_is_reckoned_from_a_clock_that_runs_on_meanwhile_is_lawful(tmp_path: Path) -> None:
    """Every reading of a real clock is another: between deciding and writing some time has passed."""
    clock = TickingClock()
    world = FakePlatform(tmp_path, the_policy(), ledger=MemoryLedger(clock, CountingEntropy()))
    world.clock = clock
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    conditioned(world)
    delegate(world, world.acting("p-3"), "p-6", "approver", clock.now() + 9 * DAY, "Away.")
    clock.moment += 90 * DAY
    tend(world, world.acting("s-4"))
    recertify(world, world.acting("p-4"), MODEL, 1, "It still holds.")
    assert unlawful(world) == ()
