"""What was in prod at a moment: one answer, whatever happened since, with who and why and on what evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.application.delegate import delegate
from tidegate.application.lower import lower
from tidegate.application.prod_at import Approver, moment, prod_at
from tidegate.application.promote import climb
from tidegate.application.resolve import Say, resolve, revoke
from tidegate.application.tend import recertify
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Certification, Stage, Tier
from tidegate.domain.state import PolicyRow, VersionRow
from tidegate.entrypoints.cli.history import lines
from tidegate.testing.cases import MODEL, a_policy
from tidegate.testing.fakes.ledger import MemoryLedger
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import START, CountingEntropy, TickingClock
from tidegate.testing.stories import whole_story


class Life:
    """A long life of one model, a day per step; ``at`` keeps the head's number after each."""

    def __init__(self, world):
        self.world, self.at, self.when = world, {}, {}
        self.note("born")
        world.register(on_behalf_of="p-2")
        self.note("registered")
        self.up(1, Say(conditions={"review_in_days": 14}))
        self.note("first")
        world.register(on_behalf_of="p-2")
        self.up(2)
        self.note("second")
        lower(world, world.acting("p-5"), MODEL, Action.ROLL_BACK, "odd scores")
        self.note("rolled back")
        lower(world, world.acting("p-5"), MODEL, Action.STOP, "the feed is wrong")
        self.note("stopped")
        world.register(on_behalf_of="p-2")
        self.up(3)
        self.note("third")
        world.register(on_behalf_of="p-2")
        self.up(4)
        self.note("fourth")
        revoke(world, world.acting("p-3"), MODEL, 4, "I had misread it")
        self.note("revoked")
        lower(world, world.acting("p-5"), MODEL, Action.STOP, "the end of the season")
        self.note("ended")

    def up(self, version, say=None):
        climb(self.world, self.world.acting("p-2"), MODEL, version, Stage.PROD)
        resolve(self.world, self.world.acting("p-3"), MODEL, version, Action.APPROVE, "fine", say)

    def note(self, what):
        self.at[what] = self.world.ledger.head().sequence
        self.when[what] = self.world.clock.moment
        self.world.clock.moment += timedelta(days=1)


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    return Life(FakePlatform(tmp_path_factory.mktemp("life")))


def asked(life, what):
    return prod_at(life.world, MODEL, life.at[what])


def said(answer):
    return list(lines(answer, str))


LIVE = {"first": 1, "second": 2, "rolled back": 1, "third": 3, "fourth": 4, "revoked": 3}


@pytest.mark.parametrize("what", [*LIVE, "registered", "stopped", "ended"])
def test_at_each_moment_it_is_what_stood_in_prod_then(life, what):
    for answer in (asked(life, what), prod_at(life.world, MODEL, life.when[what])):
        assert (answer.in_prod.version if answer.in_prod else None) == LIVE.get(what)


@pytest.mark.parametrize("what", LIVE)
def test_it_agrees_with_the_folded_state_as_it_was(life, what):
    """The state of the time, folded from the whole chain, not from the model's events alone."""
    from tidegate.domain.fold import StateView, replay

    then = StateView(replay(each for each in life.world.ledger.events() if each.sequence <= life.at[what]))
    (row,) = then.select(VersionRow, stage="prod")
    found = asked(life, what).in_prod
    assert (found.version, found.artifact, found.training_set) == (row.number, row.artifact, row.training_set)
    assert (found.conditions, found.certified_until) == (row.conditions, row.certified_until)


def test_it_says_who_asked_who_approved_on_what_and_where_all_of_that_is_on_the_chain(life):
    found = asked(life, "first").in_prod
    events = {event.sequence: event for event in life.world.ledger.events()}
    assert (found.kind, found.requester, found.on_behalf_of) == ("regular", "p-2", "")
    (approver,) = found.approvers
    assert approver == Approver("p-3", "approver", "", {"review_in_days": 14}, False, approver.at)
    assert events[approver.at.sequence].type is EventType.PROMOTION_APPROVED
    assert events[found.requested.sequence].type is EventType.PROMOTION_REQUESTED
    assert events[found.requested.sequence].payload["target"] == "prod"
    assert events[found.sealed].payload["digest"] == found.packet
    assert events[found.put.sequence].type is EventType.PROMOTION_APPLIED
    assert found.put == found.applied
    assert found.conditions == {"review_in_days": 14}
    policy = life.world.ledger.state().select(PolicyRow, in_force=True)[0]
    assert (found.policy, found.policy_name) == (policy.digest, f"{policy.name} {policy.version}")
    assert found.way_back["kind"] == "fallback"
    assert found.findings
    assert all(each["verdict"] == "passed" for each in found.findings)


def test_it_says_until_when(life):
    assert asked(life, "first").in_prod.until.sequence == asked(life, "second").in_prod.put.sequence
    assert asked(life, "second").in_prod.until.sequence == asked(life, "rolled back").in_prod.put.sequence
    assert asked(life, "rolled back").in_prod.until.sequence == life.at["stopped"]
    last = prod_at(life.world, MODEL)
    assert last.in_prod is None
    assert last.emptied.sequence == life.at["ended"]


def test_it_says_who_certified_again_as_what_and_until_when(tmp_path):
    policy = replace(a_policy(), certification={Tier.STANDARD: Certification(90, 14, "approver")})
    world = FakePlatform(tmp_path, policy)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, "fine")
    before = world.ledger.head().sequence
    world.clock.moment += timedelta(days=80)
    recertify(world, world.acting("p-4"), MODEL, 1, "It still holds.")
    after = world.ledger.head().sequence
    answer = prod_at(world, MODEL)
    (certified,) = answer.in_prod.certified
    assert (certified.actor, certified.role, certified.at.sequence) == ("p-4", "approver", after)
    assert certified.until == answer.in_prod.certified_until
    told = f"  certified again by p-4 as approver, event {after} ({certified.at.occurred_at}), until {certified.until}"
    assert told in said(answer)
    assert prod_at(world, MODEL, before).in_prod.certified == ()


def test_what_is_there_still_has_no_end(tmp_path):
    world = FakePlatform(tmp_path)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-3"), MODEL, 1, Action.APPROVE, "fine")
    found = prod_at(world, MODEL).in_prod
    assert found.until is None
    assert "until now" in "\n".join(said(prod_at(world, MODEL)))


def test_what_a_rollback_restored_says_who_restored_it_and_keeps_its_evidence(life):
    first, back = asked(life, "first").in_prod, asked(life, "rolled back").in_prod
    assert (back.kind, back.actor, back.reason) == ("restored", "p-5", "odd scores")
    assert (back.promotion, back.packet, back.approvers) == (first.promotion, first.packet, first.approvers)
    assert back.applied == first.put
    assert back.put.sequence > first.put.sequence


def test_what_came_back_because_an_approval_was_taken_back_says_so(life):
    back = asked(life, "revoked").in_prod
    assert (back.version, back.kind, back.actor, back.reason) == (3, "restored", "p-3", "I had misread it")


def test_who_decided_in_anothers_place_is_told_with_whom_it_was_for(tmp_path):
    world = FakePlatform(tmp_path)
    world.register(on_behalf_of="p-2")
    delegate(
        world, world.acting("p-3"), "p-6", "approver", world.clock.moment + timedelta(days=9), "I am away"
    )
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    resolve(world, world.acting("p-6"), MODEL, 1, Action.APPROVE, "fine", Say(for_whom="p-3"))
    answer = prod_at(world, MODEL)
    (approver,) = answer.in_prod.approvers
    assert (approver.actor, approver.role, approver.for_whom) == ("p-6", "approver", "p-3")
    assert "approved by p-6 as approver, in the place of p-3, event" in "\n".join(said(answer))


def test_where_nothing_was_in_prod_it_says_why(life):
    stopped = asked(life, "stopped")
    assert (stopped.emptied.type, stopped.emptied.actor) == (EventType.MODEL_STOPPED, "p-5")
    assert stopped.reason == "the feed is wrong"
    never = asked(life, "registered")
    assert (never.in_prod, never.emptied) == (None, None)
    before = prod_at(life.world, MODEL, life.at["born"])
    assert (before.as_of, before.in_prod, before.emptied) == (None, None, None)
    assert said(before) == [f"{MODEL}: nothing was in prod, it was not registered yet"]
    assert said(never)[1] == "nothing in prod: no version had been let in yet"
    assert said(stopped)[2] == f"  p-5 stopped {MODEL}: version 1: prod → candidate: “the feed is wrong”"


def test_a_moment_between_two_events_is_answered_by_the_earlier(life):
    found = prod_at(life.world, MODEL, life.when["first"] + timedelta(hours=23))
    assert found.in_prod.version == 1
    assert found.as_of.sequence <= life.at["first"]
    one_before = asked(life, "first").in_prod.put.sequence - 1
    assert prod_at(life.world, MODEL, one_before).in_prod is None


def test_of_two_events_at_one_instant_both_have_happened_and_a_number_stands_between_them(tmp_path):
    """A simulated clock stands still: much happens at one instant."""
    world = FakePlatform(tmp_path)
    life = Life.__new__(Life)
    life.world = world
    for _ in range(2):
        world.register(on_behalf_of="p-2")
    life.up(1)
    first = world.ledger.head().sequence
    life.up(2)
    lower(world, world.acting("p-5"), MODEL, Action.STOP, "enough")
    answer = prod_at(world, MODEL, world.clock.moment)
    assert answer.in_prod is None
    assert len(answer.instant) == 3
    assert [prod_at(world, MODEL, each).in_prod and prod_at(world, MODEL, each).in_prod.version
            for each in answer.instant] == [1, 2, None]  # fmt: skip
    assert prod_at(world, MODEL, first).in_prod.version == 1
    assert prod_at(world, MODEL, answer.instant[0] - 1).in_prod is None
    assert "prod changed more than once at that instant" in said(answer)[-1]


def test_where_prod_changed_once_at_an_instant_nothing_is_said_of_it(life):
    assert asked(life, "second").instant == ()


def test_every_line_is_told_in_words(life):
    told = "\n".join(said(asked(life, "rolled back")))
    for part in (
        "in prod: version 1, artifact sha256:",
        "restored by p-5: “odd scores”",
        f"first let in by {MODEL}-P",
        "asked for by p-2, event",
        "approved by p-3 as approver, on condition of review_in_days 14, event",
        "on condition of review_in_days 14",
        "packet sha256:",
        "policy ",
        "way back: fallback",
    ):
        assert part in told, part


def test_a_story_with_every_type_of_event_is_answered_at_every_one_of_them():
    ledger = MemoryLedger(TickingClock(), CountingEntropy())
    whole_story(ledger)

    class Here:
        clock = TickingClock(START + timedelta(days=9999))

    Here.ledger = ledger
    seen = set()
    for event in ledger.events():
        answer = prod_at(Here, "tides", event.sequence)
        seen.add(answer.in_prod.version if answer.in_prod else None)
        assert answer == prod_at(Here, "tides", datetime.fromisoformat(event.occurred_at))
        assert said(answer)
    assert seen == {None, 1, 2}


def test_an_erased_reason_leaves_the_answer_without_it(life, monkeypatch):
    monkeypatch.setattr(life.world.ledger, "text", lambda _: None)
    assert asked(life, "stopped").reason == ""
    assert asked(life, "rolled back").in_prod.reason == ""


# ── bad input ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("#41", 41),
        ("41", 41),
        (" #7 ", 7),
        ("2013-02-01T06:00:00Z", datetime(2013, 2, 1, 6, tzinfo=UTC)),
        ("2013-02-01T08:00:00+02:00", datetime(2013, 2, 1, 6, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_time_or_an_events_number(text, read):
    assert moment(text) == read


@pytest.mark.parametrize(
    "text", ["", "#", "yesterday", "#-1", "#1.5", "²", "2013-02-01", "2013-02-01T06:00:00", "#٣"]
)
def test_whatever_else_is_no_moment(text):
    with pytest.raises(BadInput) as caught:
        moment(text)
    assert caught.value.code == "not-a-moment"
    assert "expected a time like 2013-02-01T06:00:00Z or an event like '#41'" in caught.value.sentence


@pytest.mark.parametrize("at", [0, 10**6, int("9" * 19)])
def test_an_event_that_there_is_not_is_bad_input(life, at):
    with pytest.raises(BadInput) as caught:
        prod_at(life.world, MODEL, at)
    assert caught.value.sentence == f"got event #{at}, expected #1 to #{life.at['ended']}"


def test_a_moment_ahead_is_bad_input(life):
    with pytest.raises(BadInput) as caught:
        prod_at(life.world, MODEL, life.world.clock.moment + timedelta(seconds=1))
    assert caught.value.code == "lies-ahead"


def test_a_model_that_nobody_knows_is_bad_input(life):
    with pytest.raises(BadInput) as caught:
        prod_at(life.world, "nowhere", 1)
    assert caught.value.code == "unknown-model"
