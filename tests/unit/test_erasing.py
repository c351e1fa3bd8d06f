"""Personal texts go when their person asks, or when their time is over; what was done stays on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tidegate.application.erase import Erased, erase
from tidegate.application.identity import Account, add_account, revoke
from tidegate.application.lawfulness import unlawful
from tidegate.application.people import account_of, names
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.application.retention import due, retention
from tidegate.application.timeline import sentence
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Draft, EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.domain.state import ErasureRow, TextRow
from tidegate.domain.texts import LEAST_DAYS
from tidegate.entrypoints.web.record import ERASED, Record
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.looking import at

WHY = "Article 17, letter of 3 May."
YEARS = timedelta(days=3650)


@pytest.fixture
def world(tmp_path: Path) -> FakePlatform:
    """Return a world in which Amir, p-7, approved version 1, and whose token is still good."""
    platform = FakePlatform(tmp_path)
    platform.register(on_behalf_of="p-2")
    climb(platform, platform.acting("p-2"), MODEL, 1, Stage.PROD)
    add_account(platform, platform.acting("p-1"), Account("Amir Spring", "person", ("approver",)))
    resolve(platform, platform.acting("p-7"), MODEL, 1, Action.APPROVE, "The evidence holds.")
    return platform


def length(world: FakePlatform) -> int:
    return world.ledger.head().sequence


def texts_of(world: FakePlatform, subject: str) -> list[str | None]:
    return [
        world.ledger.text(row.commitment) for row in world.ledger.state().select(TextRow, subject=subject)
    ]


def gone(world: FakePlatform) -> FakePlatform:
    """Amir has left: his tokens are revoked."""
    revoke(world, world.acting("p-1"), "p-7")
    return world


# ── asked for by a person ─────────────────────────────────────────────────────────────────────────


def test_all_texts_about_a_person_are_erased_with_one_event(world: FakePlatform) -> None:
    assert sorted(filter(None, texts_of(world, "p-7"))) == ["Amir Spring", "The evidence holds."]
    before = length(gone(world))
    assert erase(world, world.acting("p-1"), "p-7", WHY) == Erased("p-7", ("p-7",), 2)
    assert texts_of(world, "p-7") == [None, None]
    (event,) = world.ledger.events(after=before)
    assert (event.type, event.actor, event.payload["subject"]) == (EventType.TEXT_ERASED, "p-1", "p-7")
    assert set(event.payload["commitments"]) == {
        row.commitment for row in world.ledger.state().select(ErasureRow)
    }
    assert world.ledger.text(event.payload["texts"]["reason"]) == WHY
    assert "Amir" not in event.body
    assert world.ledger.verify() == unlawful(world) == ()


def test_what_an_erased_person_did_is_told_under_their_id(world: FakePlatform) -> None:
    erase(gone(world), world.acting("p-1"), "p-7", WHY)
    called = names(world.ledger)
    assert called["p-7"] == "p-7"
    told = [sentence(event, lambda actor: called.get(actor, actor)) for event in world.ledger.events()]
    assert any(each.startswith("p-7 approved ") for each in told)
    assert "p-1 erased 2 texts of p-7" in told
    record = Record.read(world.ledger)
    (approved,) = record.of(EventType.PROMOTION_APPROVED)
    assert (record.note(approved).who, record.note(approved).reason) == ("p-7", ERASED)


def test_a_person_who_can_still_act_is_not_erased_and_the_refusal_is_recorded(world: FakePlatform) -> None:
    before = length(world)
    with pytest.raises(Refused) as caught:
        erase(world, world.acting("p-1"), "p-7", WHY)
    assert caught.value.code == "erase-refused"
    assert caught.value.sentence == "T1: p-7 can still act: got a good token of p-7, expected none"
    assert caught.value.hint == "`tidegate user revoke p-7` first"
    (event,) = world.ledger.events(after=before)
    assert (event.type, event.payload["action"]) == (EventType.ACTION_REFUSED, "erase")
    assert [each["rule"] for each in event.payload["reasons"]] == ["T1"]
    assert "Amir Spring" in texts_of(world, "p-7")


def test_another_account_of_the_same_person_counts_and_goes_with_it(world: FakePlatform) -> None:
    world.add_actor("p-8", "reviewer", subject="p-7")
    with world.ledger.transaction() as tx:
        issued = {"id": "c-p-8", "actor": "p-8", "token_digest": "sha256:8"}
        tx.append(Draft(EventType.CREDENTIAL_ISSUED, "actors", "p-1", issued))
        tx.append(Draft(EventType.ACTION_REFUSED, "n", "p-8", {}, {"reason": "As reviewer."}))
    with pytest.raises(Refused, match="got a good token of p-8"):
        erase(gone(world), world.acting("p-1"), "p-7", WHY)
    revoke(world, world.acting("p-1"), "p-8")
    assert erase(world, world.acting("p-1"), "p-8", WHY) == Erased("p-7", ("p-7", "p-8"), 3)
    assert texts_of(world, "p-7") == [None] * 3


@pytest.mark.parametrize("who", ["p-3", "p-5", "s-1"])
def test_whoever_may_not_erase_is_refused_and_the_refusal_recorded(world: FakePlatform, who: str) -> None:
    before = length(gone(world))
    with pytest.raises(Refused) as caught:
        erase(world, world.acting(who), "p-7", WHY)
    assert (caught.value.code, caught.value.data["rule"]) == ("not-permitted", "A1")
    (event,) = world.ledger.events(after=before)
    assert (event.type, event.payload["action"]) == (EventType.ACTION_REFUSED, "ledger:text:erase")
    with pytest.raises(Refused):
        retention(world, world.acting(who))


@pytest.mark.parametrize(
    ("account", "reason", "code"),
    [("p-99", WHY, "unknown-actor"), ("p-7", " ", "no-reason"), ("p-7", "a\x1bb", "bad-reason")],
)
def test_what_makes_no_sense_erases_nothing(
    world: FakePlatform, account: str, reason: str, code: str
) -> None:
    before = length(gone(world))
    with pytest.raises(BadInput) as caught:
        erase(world, world.acting("p-1"), account, reason)
    assert caught.value.code == code
    assert length(world) == before


def test_who_is_erased_already_is_not_erased_again(world: FakePlatform) -> None:
    erase(gone(world), world.acting("p-1"), "p-7", WHY)
    before = length(world)
    assert erase(world, world.acting("p-1"), "p-7", WHY) == Erased("p-7", ("p-7",), 0)
    assert length(world) == before


def test_the_same_erasure_under_one_key_happens_once_and_a_refusal_stays_one(world: FakePlatform) -> None:
    with pytest.raises(Refused):
        erase(world, world.acting("p-1", key="k1"), "p-7", WHY)
    before = length(gone(world))
    with pytest.raises(Refused, match="T1"):
        erase(world, world.acting("p-1", key="k1"), "p-7", WHY)
    assert length(world) == before
    for _ in range(2):
        assert erase(world, world.acting("p-1", key="k2"), "p-7", WHY).texts == 2
    assert length(world) == before + 1


def test_an_account_is_found_by_its_id_or_its_one_name(world: FakePlatform) -> None:
    assert account_of(world.ledger, "Amir Spring") == account_of(world.ledger, "p-7") == "p-7"
    add_account(world, world.acting("p-1"), Account("Amir Spring", "person", ("approver",)))
    assert account_of(world.ledger, "Amir Spring") == "Amir Spring", "there are two"
    assert account_of(world.ledger, "nobody") == "nobody"


# ── retention ─────────────────────────────────────────────────────────────────────────────────────


def counts(world: FakePlatform) -> dict[str, tuple[int, int]]:
    return {
        each.kind: (len(each.commitments), each.stay) for each in due(world.ledger.state(), world.clock.now())
    }


def test_nothing_that_is_younger_than_its_class_allows_goes(world: FakePlatform) -> None:
    written = world.clock.now()
    at(gone(world), written + YEARS - timedelta(microseconds=1))
    before = length(world)
    found = retention(world, world.acting("p-1"))
    assert [(each.kind, each.least_days, each.commitments, each.stay) for each in found] == [
        ("name", 3650, (), 1),
        ("reason", 3650, (), 1),
    ]
    assert length(world) == before, "nothing went, so nothing is said"


def test_what_is_as_old_as_its_class_asks_goes_with_an_event_for_each_class(world: FakePlatform) -> None:
    written = world.clock.now()
    at(gone(world), written + YEARS)
    before = length(world)
    retention(world, world.acting("p-1"))
    assert texts_of(world, "p-7") == [None, None]
    events = list(world.ledger.events(after=before))
    assert [(each.type, each.payload["kind"], len(each.payload["commitments"])) for each in events] == [
        (EventType.RETENTION_APPLIED, "name", 1),
        (EventType.RETENTION_APPLIED, "reason", 1),
    ]
    assert events[0].payload["before"] == "2020-01-01T00:00:00Z"
    assert world.ledger.verify() == unlawful(world) == ()
    assert counts(world) == {"name": (0, 0), "reason": (0, 0)}


def test_a_name_is_kept_as_long_as_its_person_can_act_and_its_class_asks_after_that(
    world: FakePlatform,
) -> None:
    written = world.clock.now()
    at(world, written + 2 * YEARS)
    assert counts(world) == {"name": (0, 1), "reason": (1, 0)}
    gone(world)
    at(world, written + 3 * YEARS - timedelta(days=1))
    assert counts(world)["name"] == (0, 1)
    at(world, written + 3 * YEARS)
    assert counts(world)["name"] == (1, 0)


def test_a_dry_run_says_what_would_go_and_writes_nothing(world: FakePlatform) -> None:
    at(gone(world), world.clock.now() + YEARS)
    before = length(world)
    found = retention(world, world.acting("p-3"), dry_run=True)
    assert [len(each.commitments) for each in found] == [1, 1]
    assert length(world) == before
    assert None not in texts_of(world, "p-7")


def test_a_comment_is_of_the_class_of_reasons(world: FakePlatform) -> None:
    with world.ledger.transaction() as tx:
        tx.append(Draft(EventType.ACTION_REFUSED, "n", "p-3", {}, {"comment": "Looks odd."}))
    at(world, world.clock.now() + YEARS)
    assert counts(world)["reason"] == (2, 0)


# ── judged ────────────────────────────────────────────────────────────────────────────────────────


def commitments(world: FakePlatform, **equal: object) -> list[str]:
    return [row.commitment for row in world.ledger.state().select(TextRow, **equal)]


def forge(world: FakePlatform, of: EventType, /, **payload: Any) -> list[str]:
    """Write an event past the use cases, and return what verification says of it."""
    event = world.write(of, payload, "p-1", "ledger")
    return [each.removeprefix(f"event {event.sequence}: ") for each in unlawful(world)]


def test_an_erasure_while_its_person_can_act_is_a_breach(world: FakePlatform) -> None:
    told = forge(world, EventType.TEXT_ERASED, subject="p-7", commitments=commitments(world, subject="p-7"))
    assert told == ["the texts about p-7 are erased while p-7 can still act, rule T1"]


def test_an_erasure_of_some_of_a_persons_texts_is_a_breach(world: FakePlatform) -> None:
    reason = commitments(gone(world), subject="p-7", kind="reason")
    told = forge(world, EventType.TEXT_ERASED, subject="p-7", commitments=reason)
    assert told == ["1 text(s) about p-7 are left out of the erasure, rule T1"]


def test_an_erasure_of_texts_about_somebody_else_is_a_breach(world: FakePlatform) -> None:
    told = forge(
        gone(world), EventType.TEXT_ERASED, subject="p-6", commitments=commitments(world, subject="p-7")
    )
    assert told == ["2 text(s) are erased as about p-6, which are not there or about others, rule T1"]


def test_an_erasure_by_somebody_who_may_not_is_a_breach(world: FakePlatform) -> None:
    erase(gone(world), world.acting("p-1"), "p-7", WHY)
    world.add_actor("p-8", "administrator")
    world.change_roles("p-1", "auditor", by="p-8")
    told = forge(world, EventType.TEXT_ERASED, subject="p-7", commitments=[])
    assert told == ["text.erased by p-1, who holds no role that permits `ledger:text:erase`, rule A1"]


def test_a_retention_of_what_is_younger_than_its_class_allows_is_a_breach(world: FakePlatform) -> None:
    (event,) = (each for each in world.ledger.events() if each.type is EventType.PROMOTION_APPROVED)
    reason = commitments(world, kind="reason")
    at(world, world.clock.now() + YEARS - timedelta(days=1))
    told = forge(world, EventType.RETENTION_APPLIED, kind="reason", before="", commitments=reason)
    assert told == [
        f"the reason of event {event.sequence} goes before 2029-12-29, younger than its class allows, rule T2"
    ]


def test_a_retention_of_a_name_while_its_person_can_act_is_a_breach(world: FakePlatform) -> None:
    at(world, world.clock.now() + 2 * YEARS)
    told = forge(
        world,
        EventType.RETENTION_APPLIED,
        kind="name",
        before="",
        commitments=commitments(world, kind="name"),
    )
    assert len(told) == 1
    assert told[0].endswith("goes while its person can act, younger than its class allows, rule T2")


@pytest.mark.parametrize(
    ("kind", "which", "said"),
    [
        ("reason", "name", "which is not there, or of another class"),
        ("reason", "unknown", "which is not there, or of another class"),
        ("letters", "reason", "which is no class of record"),
    ],
)
def test_a_retention_of_another_class_or_of_nothing_is_a_breach(
    world: FakePlatform, kind: str, which: str, said: str
) -> None:
    at(gone(world), world.clock.now() + 2 * YEARS)
    texts = commitments(world, kind=which) or ["sha256:" + "0" * 64]
    (told,) = forge(world, EventType.RETENTION_APPLIED, kind=kind, before="", commitments=texts)
    assert said in told
    assert told.endswith("rule T2")


def test_what_went_already_does_not_go_again(world: FakePlatform) -> None:
    reason = commitments(gone(world), kind="reason")
    erase(world, world.acting("p-1"), "p-7", WHY)
    at(world, world.clock.now() + 2 * YEARS)
    (told,) = forge(world, EventType.RETENTION_APPLIED, kind="reason", before="", commitments=reason[:1])
    assert "which is not there, or of another class" in told


def test_every_class_has_an_age_and_a_name_outlives_the_reasons_it_signs() -> None:
    assert set(LEAST_DAYS) == {"name", "reason"}
    assert LEAST_DAYS["name"] >= LEAST_DAYS["reason"] > 0


def test_accounts_of_nobody_are_nobodys(world: FakePlatform) -> None:
    stranger = replace(world.acting("p-1"), on_behalf_of="p-2")
    with pytest.raises(Refused, match="A2: p-1 is a person and acts only as itself"):
        erase(gone(world), stranger, "p-7", WHY)
