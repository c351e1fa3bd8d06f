"""The outbox: each sink is told everything, in order, at least once, and none is in anybody's way."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from tidegate.application.outbox import BACKOFF, BESIDE, NEVER, Standing, Told, replay, standings, tell
from tidegate.application.ports import Delivery
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import canonical, utc_text
from tidegate.domain.cloudevent import cloud_event, source_of
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import EventType
from tidegate.testing.fakes.ledger import MemoryLedger
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.running import FakeTurns
from tidegate.testing.fakes.sinks import FakeSink
from tidegate.testing.fakes.small import START, CountingEntropy, TickingClock
from tidegate.testing.stories import Story, whole_story


@pytest.fixture
def world(tmp_path):
    platform = FakePlatform(tmp_path)
    platform.sinks = (FakeSink("pager"), FakeSink("log"))
    return platform


@pytest.fixture
def pager(world):
    return world.sinks[0]


def later(world, seconds):
    world.clock.written += timedelta(seconds=seconds)


def numbers(sink):
    return [int(each["sequence"]) for each in sink.taken]


def head(world):
    return world.ledger.head().sequence


def note(world, count=1):
    for _ in range(count):
        world.write(EventType.ACTION_REFUSED, {"action": "x", "subject": {}, "reasons": []})


# ── the event as the outside sees it ──────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def story():
    ledger = MemoryLedger(TickingClock(), CountingEntropy())
    whole_story(ledger)
    events = list(ledger.events())
    return events, [cloud_event(event, source_of(events[0])) for event in events]


def test_an_event_is_told_as_cloudevents_says(story):
    events, told = story
    first = told[1]
    assert first == {
        "specversion": "1.0",
        "id": events[1].hash,
        "source": f"/tidegate/ledger/{events[0].hash.removeprefix('sha256:')}",
        "type": "tidegate.actor.added",
        "subject": "actors",
        "time": "2020-01-01T00:00:01Z",
        "recordedtime": "2020-01-01T00:00:01Z",
        "datacontenttype": "application/json",
        "sequence": "0000000000000002",
        "correlationid": "actors#1",
        "actor": "p-1",
        "clock": "simulated",
        "payloadversion": 1,
        "data": {"id": "p-1", "kind": "person", "subject": "p-1", "roles": ["administrator"]},
    }


def test_its_attributes_are_named_and_valued_as_cloudevents_demands(story):
    for event in story[1]:
        for name, value in event.items():
            assert re.fullmatch("[a-z0-9]+", name), name
            assert len(name) <= 20
            assert name == "data" or (isinstance(value, str | int) and value != "")
        json.loads(canonical(event))


def test_nothing_of_a_text_is_told_not_even_its_commitment(story):
    events, told = story
    committed = {text for event in events for text in event.payload.get("texts", {}).values()}
    erased = {gone for event in events for gone in event.payload.get("commitments", ())}
    said = canonical(told).decode()
    assert len(committed) > 20
    assert [text for text in committed - erased if text in said] == []
    assert not any(word in said for word in ("Ada Winter", "The evidence holds", "away in June"))


def test_sequences_sort_as_text_as_they_do_as_numbers(story):
    told = [each["sequence"] for each in story[1]]
    assert told == sorted(told)
    assert len(told) > 99


def test_the_same_event_is_the_same_however_often_it_is_told(story):
    events, told = story
    assert [cloud_event(event, source_of(events[0])) for event in events] == told
    assert len({each["id"] for each in told}) == len(told)


def test_two_ledgers_are_two_sources(story):
    other = MemoryLedger(TickingClock(START + timedelta(days=1)), CountingEntropy())
    Story(other).opened()
    assert source_of(next(other.events())) != source_of(story[0][0])


def test_an_old_payload_is_told_as_it_is_read_today_and_says_so(story):
    (event,) = [each for each in story[0] if each.type is EventType.BATCH_ACCEPTED][:1]
    old = replace(event, schema_version=1)
    assert cloud_event(old, "s")["payloadversion"] == 2


# ── telling ───────────────────────────────────────────────────────────────────────────────────────


def test_every_sink_is_told_every_event_once_and_in_order(world):
    note(world, 3)
    told = tell(world)
    assert told == (Told("pager", head(world)), Told("log", head(world)))
    for sink in world.sinks:
        assert numbers(sink) == list(range(1, head(world) + 1))
    assert tell(world) == (Told("pager"), Told("log"))
    note(world)
    assert tell(world) == (Told("pager", 1), Told("log", 1))


def test_an_empty_ledger_tells_nothing(tmp_path):
    world = FakePlatform(tmp_path)
    world.ledger = MemoryLedger(world.clock, world.entropy)
    world.sinks = (FakeSink(),)
    assert tell(world) == (Told("fake"),)


def test_without_a_sink_nobody_is_told(world):
    world.sinks = ()
    assert tell(world) == ()


def test_a_sink_that_is_down_delays_no_other_and_loses_nothing(world, pager):
    pager.down = True
    told = tell(world)
    assert told[0].events == 0
    assert told[0].error == "event 1: got no answer from the sink, expected one"
    assert told[1] == Told("log", head(world))
    pager.down = False
    later(world, BACKOFF[0])
    assert tell(world)[0] == Told("pager", head(world))
    assert numbers(pager) == list(range(1, head(world) + 1))


def test_an_event_that_is_not_taken_holds_those_behind_it_and_none_is_skipped(world, pager):
    pager.meanwhile = lambda: setattr(pager, "down", pager.offered == 4)
    assert tell(world)[0] == Told("pager", 3, "event 4: got no answer from the sink, expected one")
    assert numbers(pager) == [1, 2, 3]
    assert world.ledger.delivery("pager").sequence == 3
    later(world, BACKOFF[0])
    tell(world)
    assert numbers(pager) == list(range(1, head(world) + 1))


def test_a_sink_that_failed_is_left_alone_longer_each_time(world, pager):
    pager.down = True
    waits = []
    for _ in range(len(BACKOFF) + 2):
        tell(world)
        until = world.ledger.delivery("pager").retry_at
        assert tell(world)[0] == Told("pager", left_alone=f"left alone until {until}")
        waits.append(
            next(each for each in BACKOFF if utc_text(world.clock.written + timedelta(seconds=each)) == until)
        )
        later(world, waits[-1])
    assert waits == [*BACKOFF, BACKOFF[-1], BACKOFF[-1]]
    assert pager.offered == len(BACKOFF) + 2, "asked once each time its wait was over, and never in between"
    pager.down = False
    tell(world)
    assert world.ledger.delivery("pager") == Delivery(head(world))


def test_progress_ends_a_row_of_failures(world, pager):
    pager.down = True
    for _ in range(3):
        tell(world)
        later(world, BACKOFF[-1])
    assert world.ledger.delivery("pager").failures == 3
    pager.meanwhile = lambda: setattr(pager, "down", pager.offered == 6)
    tell(world)
    assert world.ledger.delivery("pager").failures == 1


def test_one_that_wants_to_be_told_nothing_any_more_is_asked_only_by_name(world, pager):
    pager.gone = True
    tell(world)
    assert world.ledger.delivery("pager").retry_at == NEVER
    later(world, 10**9)
    assert tell(world)[0].left_alone == f"left alone until {NEVER}"
    assert pager.offered == 1
    pager.gone = False
    assert tell(world, only="pager") == (Told("pager", head(world)),)
    assert tell(world)[0] == Told("pager")


def test_within_one_call_an_event_is_tried_as_often_as_allowed(world, pager):
    pager.down = True
    tell(world, replace(BESIDE, attempts=3), "pager")
    assert pager.offered == 3
    pager.down, pager.gone = False, True
    tell(world, replace(BESIDE, attempts=3), "pager")
    assert pager.offered == 4, "who is gone is not asked twice"


def test_a_second_attempt_that_succeeds_is_no_failure(world, pager):
    pager.meanwhile = lambda: setattr(pager, "down", pager.offered == 1)
    assert tell(world, replace(BESIDE, attempts=2))[0] == Told("pager", head(world))
    assert world.ledger.delivery("pager") == Delivery(head(world))


def test_one_call_tells_no_more_events_than_its_bound(world, pager):
    note(world, 10)
    few = replace(BESIDE, events=4)
    seen = 0
    while (told := tell(world, few)[0]).events:
        seen += told.events
        assert told.events <= 4
        assert numbers(pager) == list(range(1, seen + 1))
    assert seen == head(world)


def test_one_call_begins_no_event_after_its_time(world, pager):
    pager.meanwhile = lambda: later(world, 0.4)
    assert tell(world)[0] == Told("pager", 3), "at 0, 0.4 and 0.8 seconds, and not at 1.2"
    assert tell(world)[0] == Told("pager", 3)
    assert numbers(pager) == [1, 2, 3, 4, 5, 6]


def test_a_crash_between_effect_and_cursor_repeats_the_effect_and_loses_nothing(world, pager, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as crash:
        crash.setattr(world.ledger, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            tell(world)
    assert world.ledger.cursor("pager") == 0
    tell(world)
    every = list(range(1, head(world) + 1))
    assert numbers(pager) == every + every
    assert len({each["id"] for each in pager.taken}) == len(every), "a receiver counts each once by its id"


def test_whoever_is_stopped_in_between_keeps_what_was_told(world, pager):
    def stop():
        if pager.offered == 4:
            raise KeyboardInterrupt

    pager.meanwhile = stop
    with pytest.raises(KeyboardInterrupt):
        tell(world)
    assert world.ledger.cursor("pager") == 3
    tell(world)
    assert numbers(pager) == list(range(1, head(world) + 1))


def test_what_is_written_while_telling_is_told_too_or_the_next_time(world, pager):
    pager.meanwhile = lambda: note(world) if pager.offered == 2 else None
    tell(world)
    tell(world)
    assert numbers(pager) == list(range(1, head(world) + 1))


def test_while_another_process_tells_a_sink_nobody_else_does(world, pager, tmp_path):
    other = FakePlatform(tmp_path, store=world.ledger.store)
    other.turns, other.sinks = FakeTurns(world.turns.held), world.sinks
    found = []
    pager.meanwhile = lambda: found.append(tell(other)[0]) if pager.offered == 2 else None
    tell(world)
    assert found == [Told("pager", left_alone="another process tells it")]
    assert numbers(pager) == list(range(1, head(world) + 1))


def test_a_ledger_that_fails_meanwhile_fails_no_act(world, pager, monkeypatch):
    def full(*_):
        raise DependencyFailed("disk-full", "got no space left on the disk, expected some")

    monkeypatch.setattr(world.ledger, "advance", full)
    assert tell(world)[0] == Told("pager", error="got no space left on the disk, expected some")


def test_a_sink_that_nobody_knows_is_bad_input(world):
    with pytest.raises(BadInput) as caught:
        tell(world, only="fax")
    assert caught.value.sentence == "got the sink `fax`, expected one of: pager, log"
    with pytest.raises(BadInput) as caught:
        tell(world, only="registry")
    assert "tidegate reconcile" in caught.value.hint


# ── where they stand, and telling again ───────────────────────────────────────────────────────────


def test_where_each_sink_stands_can_be_seen_the_registry_first(world, pager):
    pager.meanwhile = lambda: setattr(pager, "down", pager.offered == 3)
    tell(world)
    end, until = head(world), utc_text(world.clock.written + timedelta(seconds=BACKOFF[0]))
    assert standings(world) == (
        Standing("registry", 0, end, 0, "", ""),
        Standing("pager", 2, end - 2, 1, "event 3: got no answer from the sink, expected one", until),
        Standing("log", end, 0, 0, "", ""),
    )


def test_a_sink_is_told_again_from_where_an_operator_says_and_the_record_says_nothing_of_it(world, pager):
    tell(world)
    end = head(world)
    assert replay(world, world.acting("p-5"), "pager", 4) == Delivery(3)
    assert head(world) == end
    assert tell(world)[0] == Told("pager", end - 3)
    assert numbers(pager) == [*range(1, end + 1), *range(4, end + 1)]
    first = {each["sequence"]: each for each in pager.taken[:end]}
    assert all(first[each["sequence"]] == each for each in pager.taken[end:]), "the very same events"


def test_the_other_sinks_are_not_told_again(world):
    tell(world)
    replay(world, world.acting("p-5"), "pager", 1)
    assert tell(world)[1] == Told("log")


def test_a_replay_ends_a_row_of_failures(world, pager):
    tell(world)
    note(world)
    pager.down = True
    tell(world)
    replay(world, world.acting("p-5"), "pager", head(world) - 1)
    assert world.ledger.delivery("pager") == Delivery(head(world) - 2)


@pytest.mark.parametrize("first", [0, -1, 10**6])
def test_only_what_it_was_told_can_be_told_again(world, first):
    tell(world)
    with pytest.raises(BadInput) as caught:
        replay(world, world.acting("p-5"), "pager", first)
    assert caught.value.code == "not-told-yet"
    assert f"1 to {head(world)}" in caught.value.sentence
    assert world.ledger.cursor("pager") == head(world)


def test_what_was_told_nothing_cannot_be_told_again(world):
    with pytest.raises(BadInput, match="it was told none"):
        replay(world, world.acting("p-5"), "pager", 1)


@pytest.mark.parametrize("who", ["p-2", "p-3", "s-1"])
def test_only_operators_have_a_sink_told_again_and_whoever_else_tries_is_on_record(world, who):
    tell(world)
    with pytest.raises(Refused) as caught:
        replay(world, world.acting(who), "pager", 1)
    assert caught.value.data["rule"] == "A1"
    last = list(world.ledger.events())[-1]
    assert (last.type, last.actor) == (EventType.ACTION_REFUSED, who)
    assert last.payload["action"] == str(Permission.REPLAY)
    assert world.ledger.cursor("pager") == head(world) - 1


def test_a_sink_that_is_being_told_is_not_moved_back_at_the_same_time(world, pager):
    tell(world)
    with world.turns.take("sink/pager"), pytest.raises(Refused) as caught:
        replay(world, world.acting("p-5"), "pager", 1)
    assert caught.value.code == "under-way"
    assert world.ledger.cursor("pager") == head(world)
