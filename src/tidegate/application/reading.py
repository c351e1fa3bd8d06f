"""Who read which features when, and for whom.

What was learned from and scored on is in its own events, with the views. What is read online is too much for the chain:
each read is a record of a log, on disk before the values are given out, and a segment of that log is sealed by one
event with its Merkle root and a line for each reader. Of keys there is only their number: nobody is looked up here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import draft
from tidegate.domain.access import Access
from tidegate.domain.canonical import canonical, parse, utc_text, utc_time
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.events import Event, EventType
from tidegate.domain.state import FeatureViewRow, ReadSegmentRow

#: A segment is sealed with the read that makes it this large, or this old, and with the next materialization.
MOST_BYTES, LONGEST = 1_000_000, timedelta(hours=1)
#: What the readers of a segment are told apart by.
_WHO = ("actor", "on_behalf_of", "service", "access", "views")


@dataclass(frozen=True)
class FeatureRead:
    """Reads by one actor of one service: between which moments, how often, of how many rows or keys.

    ``why`` is ``online``, ``training``, ``scoring``, ``comparing`` or ``measuring``; ``sequence`` the event that says
    so, 0 where it is not sealed yet.
    """

    why: str
    actor: str
    on_behalf_of: str
    service: str
    access: tuple[str, ...]
    views: tuple[str, ...]
    first: str
    last: str
    reads: int
    rows: int
    sequence: int
    root: str = ""


def note(
    platform: Platform, acting: Acting, service: str, views: Sequence[str], access: Access, rows: int
) -> None:
    """Note a read; the segment is sealed with it where it has become large or old.

    Raises:
        DependencyFailed: the log of reads cannot be written.
    """
    now = platform.clock.now()
    record = {
        "at": utc_text(now),
        "actor": acting.actor.id,
        "on_behalf_of": acting.on_behalf_of or "",
        "service": service,
        "views": list(views),
        "access": str(access),
        "rows": rows,
        # No two segments have the same records, whatever the clock says.
        "nonce": platform.entropy.salt(),
    }
    noted = platform.read_log.note(canonical(record))
    if noted.size >= MOST_BYTES or now - utc_time(_record(noted.first)["at"]) >= LONGEST:
        seal(platform, acting)


def seal(platform: Platform, acting: Acting) -> None:
    """Close the segment that is open and record its root, and that of any which a killed process left unrecorded.

    Raises:
        DependencyFailed: the log of reads cannot be written, or a segment was altered before it was recorded.
    """
    platform.read_log.close()
    known = {row.root for row in platform.ledger.state().select(ReadSegmentRow)}
    for root in sorted(set(platform.read_log.closed()) - known):
        records = [_record(record) for record in platform.read_log.records(root)]
        times = sorted(record["at"] for record in records)
        payload = {
            "root": root,
            "records": len(records),
            "first": times[0],
            "last": times[-1],
            "by": _by(records),
        }
        with platform.ledger.transaction() as tx:
            if tx.get(ReadSegmentRow, root) is None:
                tx.append(draft(acting, EventType.FEATURES_READ, "features", payload))


def reads(platform: Platform, view: str = "", since: datetime | None = None) -> list[FeatureRead]:
    """Return who read features, the latest last; of one view, and from a moment on, if that is asked.

    Raises:
        BadInput: no such view was ever built.
    """
    known = sorted(row.view for row in platform.ledger.state().select(FeatureViewRow))
    if view and view not in known:
        raise BadInput(
            "no-such-view",
            f"got the view {view!r}, expected one of: {', '.join(known) or 'none is built yet'}",
            "",
        )
    found = [read for event in platform.ledger.events() for read in _said(event)]
    found += _lines(_by([_record(record) for record in platform.read_log.pending()]), 0, "")
    return [
        read
        for read in sorted(found, key=lambda each: (each.last, each.sequence))
        if (not view or view in read.views) and (since is None or utc_time(read.last) >= since)
    ]


def altered(platform: Platform, roots: Collection[str]) -> list[DependencyFailed]:
    """Return what is wrong with the segments that have these roots."""
    faults = []
    for root in sorted(set(roots)):
        try:
            platform.read_log.records(root)
        except DependencyFailed as fault:
            faults.append(fault)
    return faults


def _said(event: Event) -> Iterator[FeatureRead]:
    said = event.payload
    if event.type is EventType.FEATURES_READ:
        yield from _lines(said["by"], event.sequence, said["root"])
    elif event.type in {EventType.TRAINING_SET_BUILT, EventType.DECISIONS_SCORED}:
        why = "training" if event.type is EventType.TRAINING_SET_BUILT else "scoring"
        rows = said.get("of", said["rows"])  # all rows were read, whoever decided them
        for service, views in said["read"].items():
            yield _once(event, why, service, (Access.READ_OFFLINE,), views, rows)
    elif event.type is EventType.FEATURES_COMPARED:
        both = (Access.READ_ONLINE, Access.READ_OFFLINE)
        yield _once(event, "comparing", "", both, sorted(said["views"]), said["sample"])
    elif event.type is EventType.FEATURES_MEASURED:
        rows = max((told["row_count"] for told in said["figures"].values()), default=0)
        yield _once(event, "measuring", "", (Access.READ_OFFLINE,), [said["view"]], rows)
    elif event.type is EventType.FEATURES_JUDGED and said["counts"]:
        rows = max(map(sum, said["counts"].values()))
        yield _once(event, "judging", "", (Access.READ_OFFLINE,), [said["view"]], rows)


def _once(
    event: Event, why: str, service: str, access: Sequence[Access], views: Sequence[str], rows: int
) -> FeatureRead:
    return FeatureRead(
        why=why,
        actor=event.actor,
        on_behalf_of=event.on_behalf_of or "",
        service=service,
        access=tuple(map(str, access)),
        views=tuple(views),
        first=event.occurred_at,
        last=event.occurred_at,
        reads=1,
        rows=rows,
        sequence=event.sequence,
    )


def _lines(by: Sequence[Mapping[str, Any]], sequence: int, root: str) -> Iterator[FeatureRead]:
    for each in by:
        yield FeatureRead(
            "online" if each["access"] == Access.READ_ONLINE else "training",
            each["actor"],
            each["on_behalf_of"],
            each["service"],
            (each["access"],),
            tuple(each["views"]),
            each["first"],
            each["last"],
            each["reads"],
            each["rows"],
            sequence,
            root,
        )


def _record(line: bytes) -> dict[str, Any]:
    return dict(parse(line.decode()))


def _by(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add up the records of a segment by who read what."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for record in records:
        who = tuple(tuple(record[name]) if name == "views" else record[name] for name in _WHO)
        found.setdefault(who, []).append(record)
    return [
        {name: list(said) if name == "views" else said for name, said in zip(_WHO, who, strict=True)}
        | {
            "reads": len(those),
            "rows": sum(record["rows"] for record in those),
            "first": min(record["at"] for record in those),
            "last": max(record["at"] for record in those),
        }
        for who, those in sorted(found.items())
    ]
