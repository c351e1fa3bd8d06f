"""What everybody may expect of a `ports.Sink`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tidegate.application.ports import Sink
from tidegate.domain.cloudevent import CloudEvent, cloud_event, source_of
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.events import EventType
from tidegate.testing.fakes.ledger import MemoryLedger
from tidegate.testing.fakes.small import CountingEntropy, TickingClock
from tidegate.testing.stories import Story, whole_story

#: Enough for this machine, and more than any of these tests should need.
PATIENCE = 10.0


def told(story: Callable[[MemoryLedger], Story] = whole_story) -> list[CloudEvent]:
    """Return a story's events as the outside is told of them."""
    ledger = MemoryLedger(TickingClock(), CountingEntropy())
    story(ledger)
    events = list(ledger.events())
    return [cloud_event(event, source_of(events[0])) for event in events]


class SinkContract:
    """Subclass it, give it a ``subject``, what it has ``taken`` and what brings it ``down`` and ``up``, and it runs."""

    @pytest.fixture
    def subject(self) -> Sink:
        raise NotImplementedError

    @pytest.fixture
    def taken(self) -> Callable[[], Sequence[CloudEvent]]:
        """Return what reads back, as CloudEvents, all that the other side has, in its order."""
        raise NotImplementedError

    @pytest.fixture
    def down(self) -> Callable[[], object]:
        """Return what makes the other side unable to take anything."""
        raise NotImplementedError

    @pytest.fixture
    def up(self) -> Callable[[], object]:
        """Return what makes it able again."""
        raise NotImplementedError

    def test_it_has_a_name(self, subject: Sink) -> None:
        assert subject.name

    def test_every_type_of_event_arrives_whole_and_in_order(
        self, subject: Sink, taken: Callable[[], Sequence[CloudEvent]]
    ) -> None:
        events = told()
        assert {each["type"] for each in events} == {f"tidegate.{kind}" for kind in EventType}
        for event in events:
            subject.deliver(event, PATIENCE)
        assert list(taken()) == events

    def test_an_event_that_is_offered_again_is_the_same_one(
        self, subject: Sink, taken: Callable[[], Sequence[CloudEvent]]
    ) -> None:
        first, second, *_ = told()
        for event in (first, second, first):
            subject.deliver(event, PATIENCE)
        assert {each["id"] for each in taken()} == {first["id"], second["id"]}
        assert all(each in (first, second) for each in taken())

    def test_what_was_not_taken_is_a_failed_dependency_and_taken_once_it_can_be(
        self,
        subject: Sink,
        taken: Callable[[], Sequence[CloudEvent]],
        down: Callable[[], object],
        up: Callable[[], object],
    ) -> None:
        first, second, *_ = told()
        subject.deliver(first, PATIENCE)
        down()
        with pytest.raises(DependencyFailed) as failure:
            subject.deliver(second, PATIENCE)
        assert failure.value.sentence.startswith("got ")
        assert ", expected " in failure.value.sentence
        assert "\n" not in failure.value.sentence
        up()
        subject.deliver(second, PATIENCE)
        assert [each["id"] for each in taken()] == [first["id"], second["id"]]

    @pytest.mark.parametrize(
        "said", ["\u202edesrever\u202c 🌊 Zoë", 'a "quoted"\nline\r\n\t\\', "\x00\x1b[31m", "x" * 1_000_000]
    )
    def test_whatever_is_said_arrives_as_it_was_said(
        self, subject: Sink, taken: Callable[[], Sequence[CloudEvent]], said: str
    ) -> None:
        event: dict[str, Any] = {**told()[0], "data": {"said": said}}
        subject.deliver(event, PATIENCE)
        assert list(taken()) == [event]
