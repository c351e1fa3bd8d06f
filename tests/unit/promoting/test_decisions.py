"""The last approval needed takes effect at once; a rejection closes the request; both say why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.application import resolve as resolving
from tidegate.application.lower import lower
from tidegate.application.packet import gather
from tidegate.application.promote import request
from tidegate.application.resolve import resolve
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.state import ApprovalRow
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.deciding import WELL, approve, ask, swapped
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import codes, events, stage, tried

# ── deciding ──────────────────────────────────────────────────────────────────────────────────────


def test_the_last_approval_needed_takes_effect_in_its_own_transaction(world: FakePlatform) -> None:
    ask(world)
    assert tried(world, lambda: approve(world)) == [
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
    assert tried(world, lambda: approve(world)) == []
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
    assert tried(live, act) == [EventType.PROMOTION_APPROVED, EventType.ACTION_REFUSED]
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
    assert tried(world, act) == []
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
