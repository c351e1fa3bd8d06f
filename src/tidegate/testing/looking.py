"""What a test sees of a world of fakes, and how it lets time pass there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.events import Event, EventType
from tidegate.domain.state import VersionRow
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FixedClock


def events(world: FakePlatform, *kinds: EventType) -> list[Event]:
    """Return what is on record, of these types where some are named."""
    return [event for event in world.ledger.events() if not kinds or event.type in kinds]


def last(world: FakePlatform) -> Event:
    """Return what was recorded last."""
    return events(world)[-1]


def writes(world: FakePlatform, act: Callable[[], object]) -> list[Event]:
    """Return the events that an act wrote."""
    before = len(events(world))
    act()
    return events(world)[before:]


def tried(world: FakePlatform, act: Callable[[], object]) -> list[EventType]:
    """Return the types of the events that an act wrote, refused or not."""
    before = len(events(world))
    with suppress(Refused, BadInput, DependencyFailed):
        act()
    return [event.type for event in events(world)[before:]]


def version(world: FakePlatform, number: int = 1) -> VersionRow:
    """Return a version of the usual model, which is there."""
    row: VersionRow | None = world.ledger.state().get(VersionRow, MODEL, number)
    assert row is not None
    return row


def stage(world: FakePlatform, number: int = 1) -> str:
    """Return where a version of the usual model stands."""
    return version(world, number).stage


def codes(error: pytest.ExceptionInfo[Refused]) -> list[str]:
    """Return the code of each reason of a refusal, in their order."""
    reasons = error.value.data["reasons"]
    assert isinstance(reasons, list)
    return [reason["code"] for reason in reasons]


def at(world: FakePlatform, moment: datetime) -> datetime:
    """Set the clock, which may go back."""
    assert isinstance(world.clock, FixedClock)
    world.clock.moment = moment
    return moment


def later(world: FakePlatform, days: float) -> datetime:
    """Let time pass; return the moment it has come to."""
    assert isinstance(world.clock, FixedClock)
    return at(world, world.clock.moment + timedelta(days=days))
