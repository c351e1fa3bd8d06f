"""What the record's moments are worth on a clock that may have jumped."""

from __future__ import annotations

from datetime import datetime, timedelta

from tidegate.application.platform import Platform
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import Event
from tidegate.domain.schedule import SKEW

#: How far what an act reckons from may lie from when its event was written: the clock is read twice.
APART = timedelta(minutes=5)


def at_once(stated: str, reckoned: str) -> bool:
    """Say whether two moments are one, as far as an act can tell; no moment is only like no moment."""
    if not stated or not reckoned:
        return stated == reckoned
    return abs(utc_time(stated) - utc_time(reckoned)) <= APART


def happened(platform: Platform, event: Event) -> datetime:
    """Return when an event happened; where that lies ahead of the clock, the earliest moment on record since.

    The clock was ahead then: what it showed is no moment, but whatever was recorded later happened later.
    """
    moment = utc_time(event.occurred_at)
    if moment <= platform.clock.now() + SKEW:
        return moment
    return min(utc_time(each.occurred_at) for each in platform.ledger.events(after=event.sequence - 1))


def heard_by(now: datetime, looked: str | None) -> datetime:
    """Return by when outcomes are known: what was known at an earlier look stays known on a clock gone back."""
    return max(now, utc_time(looked)) if looked else now
