"""Judge what the record says of how fresh features were (rule P8; see `lawfulness`).

Which views a version consumes, what they say of how fresh they must be, and when their newest data are from, is on
record before a promotion or a scoring is: what these say of it must be the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.application.freshness import asked_of_values, consumed, newest, said
from tidegate.application.moments import APART
from tidegate.domain.canonical import utc_time
from tidegate.domain.events import Event
from tidegate.domain.fold import StateView
from tidegate.domain.state import VersionRow

#: From this version of its event on a scoring marks what is not fresh.
_MARKED = 4

Breaches = Iterator[tuple[str, str]]


def applied(view: StateView, event: Event, version: VersionRow) -> Breaches:
    """A version goes live on views that are as fresh as they must be, and what is recorded of each is so."""
    done = event.payload
    told = {name: (of["newest"], of["objective"]) for name, of in done["preconditions"]["views"].items()}
    due = newest(view, consumed(view, version), utc_time(event.occurred_at) - APART)
    if told != {name: (of["newest"], of["objective"]) for name, of in due.items()}:
        about = f"{done['promotion']} says how fresh other views are, or other data of them"
        yield "P8", f"{about}, than version {version.number} has"
    for name, of in due.items():
        if not of["fresh"]:
            yield "P8", f"{done['promotion']} is applied while {said(name, of)}"


def marked(view: StateView, event: Event, version: VersionRow, about: str) -> Breaches:
    """Decisions are marked by what the views said when they were made, and no more of them than there are."""
    if event.schema_version < _MARKED:
        return
    done, told = event.payload, event.payload["freshness"]
    due = {name: int(of.total_seconds()) for name, of in asked_of_values(view, version).items()}
    whole = "selected" in version.facts["features"]  # else what its service selects is not on record
    if not {name: of["objective"] for name, of in told.items()}.items() <= due.items() or (
        whole and told.keys() != due.keys()
    ):
        yield "P8", f"{about} marked {done['period']} by other objectives than its views have"
    for name, of in told.items():
        if not 0 <= of["unknown"] <= of["stale"] <= done["rows"]:
            marks = f"{of['stale']} of {done['rows']} rows of {done['period']}"
            yield "P8", f"{about} marked {marks} for {name}, {of['unknown']} of them without a value"
