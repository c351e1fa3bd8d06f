"""What was in prod at a moment, by whom, and on what evidence: one fold over the model's own events.

A moment is a time or an event's number. Before and after are numbers: a time stands for the last event that had
occurred by then, so of two at one instant both had; whoever means the moment between them names the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidegate.application.platform import Platform
from tidegate.application.ports import StateReader
from tidegate.application.resolve import carrying
from tidegate.application.standing import lifecycle, stream
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.errors import BadInput, TidegateError
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView, replay
from tidegate.domain.policy import Stage
from tidegate.domain.state import ApprovalRow, PacketRow, PolicyRow, PromotionRow, VersionRow


@dataclass(frozen=True)
class At:
    """A place on the chain: an event's number and when it occurred."""

    sequence: int
    occurred_at: str


@dataclass(frozen=True)
class Approver:
    """Who said yes, in which role, for whom (empty: themselves), on what conditions; ``revoked``: taken back since."""

    actor: str
    role: str
    for_whom: str
    conditions: Mapping[str, Any]
    revoked: bool
    at: At


@dataclass(frozen=True)
class Certified:
    """Who certified a live version again, in which role, and until when (empty: without end)."""

    actor: str
    role: str
    until: str
    at: At


@dataclass(frozen=True)
class InProd:
    """A version in prod. ``put`` is the event that put it there and ``until`` the one that ended that (None: none yet).

    ``kind`` is ``regular``, ``break_glass``, or ``restored`` where a later version left and this one came back:
    then ``actor`` and ``reason`` say who did that and why. Request, approvals, packet, policy and way back are
    those of the promotion that let it in, and ``certified`` says who certified it again since.
    """

    version: int
    artifact: str
    training_set: str
    kind: str
    put: At
    until: At | None
    actor: str
    reason: str
    promotion: str
    requester: str
    on_behalf_of: str
    requested: At
    applied: At
    approvers: tuple[Approver, ...]
    conditions: Mapping[str, Any]
    certified_until: str
    certified: tuple[Certified, ...]
    packet: str
    sealed: int
    policy: str
    policy_name: str
    way_back: Mapping[str, Any] | None
    findings: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Answer:
    """What was in prod as of an event of the model, None if nothing: then ``emptied`` is the event that made it so.

    ``emptied`` is None too where nothing had been in prod before. ``instant`` holds the events by which prod
    changed at the very instant of its last change, where there were several.
    """

    model: str
    as_of: At | None
    in_prod: InProd | None
    emptied: Event | None
    reason: str
    instant: tuple[int, ...]


def moment(text: str) -> int | datetime:
    """Read a moment: a time, or an event's number, with or without a # before it.

    Raises:
        BadInput: it is neither.
    """
    digits = text.strip().removeprefix("#")
    if digits.isascii() and digits.isdigit():
        return int(digits[:19])
    try:
        return utc_time(text.strip())
    except BadInput as error:
        raise BadInput(
            "not-a-moment",
            f"got {text[:80]!r}, expected a time like 2013-02-01T06:00:00Z or an event like '#41'",
            "write the time in UTC, with its Z",
        ) from error


def prod_at(platform: Platform, model: str, at: int | datetime | None = None) -> Answer:
    """Return what was in prod at a moment (default: now).

    Raises:
        BadInput: no such model, a time that lies ahead, or an event that there is not.
    """
    lifecycle(platform.ledger.state(), model)
    events = list(platform.ledger.events(stream=stream(model)))
    cut = _cut(platform, events, at)
    before, after = events[:cut], events[cut:]
    changes = [event for event in before if _changes_prod(event)]
    instant = [each.sequence for each in changes if each.occurred_at == changes[-1].occurred_at]
    state: StateReader = StateView(replay(before))
    live = state.select(VersionRow, model=model, stage=str(Stage.PROD))
    last = changes[-1] if changes and not live else None
    return Answer(
        model=model,
        as_of=_at(before[-1]) if before else None,
        in_prod=_in_prod(platform, state, live[0], before, after) if live else None,
        emptied=last,
        reason=_reason(platform, last) if last else "",
        instant=tuple(instant) if len(instant) > 1 else (),
    )


def _cut(platform: Platform, events: Sequence[Event], at: int | datetime | None) -> int:
    """Return how many of the model's events are not after the moment."""
    if at is None:
        return len(events)
    if isinstance(at, datetime):
        if at > platform.clock.now():
            raise BadInput(
                "lies-ahead", f"got {utc_text(at)}, expected a moment up to now", "leave --at away for now"
            )
        return max(
            (index for index, each in enumerate(events, 1) if utc_time(each.occurred_at) <= at), default=0
        )
    end = platform.ledger.head().sequence
    if not 1 <= at <= end:
        raise BadInput("no-such-event", f"got event #{at}, expected #1 to #{end}", "see `tidegate log`")
    return sum(1 for each in events if each.sequence <= at)


def _in_prod(
    platform: Platform, state: StateReader, row: VersionRow, before: Sequence[Event], after: Sequence[Event]
) -> InProd:
    asked = carrying(state, row.model, row.number)
    if asked is None:
        raise TidegateError("lost-promotion", f"got no promotion that let version {row.number} in", _HINT)
    applied = _last(before, lambda each: _applies(each, asked))
    put = _last(before, lambda each: _moves(each, row.number, "to"))
    restored = put.type is not EventType.PROMOTION_APPLIED
    left = next((each for each in after if _moves(each, row.number, "from")), None)
    policy = platform.ledger.state().get(PolicyRow, asked.policy)
    packet = state.get(PacketRow, asked.packet)
    places = {each.sequence: _at(each) for each in before}
    return InProd(
        version=row.number,
        artifact=row.artifact,
        training_set=row.training_set,
        kind="restored" if restored else asked.kind,
        put=_at(put),
        until=_at(left) if left else None,
        actor=put.actor,
        reason=_reason(platform, put),
        promotion=asked.id,
        requester=asked.requester,
        on_behalf_of=asked.on_behalf_of,
        requested=places[asked.sequence],
        applied=_at(applied),
        approvers=tuple(_approver(each, places) for each in _yes(state, asked)),
        conditions=row.conditions,
        certified_until=row.certified_until,
        certified=tuple(_certified(before, row, applied)),
        packet=asked.packet,
        sealed=packet.sequence if packet else 0,
        policy=asked.policy,
        policy_name=f"{policy.name} {policy.version}" if policy else "",
        way_back=applied.payload["preconditions"].get("way_back"),
        findings=tuple(applied.payload["findings"]),
    )


def _yes(state: StateReader, asked: PromotionRow) -> tuple[ApprovalRow, ...]:
    rows = state.select(ApprovalRow, promotion=asked.id, outcome="approve")
    return tuple(sorted(rows, key=lambda row: row.sequence))


def _approver(row: ApprovalRow, places: Mapping[int, At]) -> Approver:
    return Approver(row.actor, row.role, row.for_whom, row.conditions, row.revoked, places[row.sequence])


def _certified(events: Sequence[Event], row: VersionRow, applied: Event) -> Iterator[Certified]:
    """Yield who certified a version again since it was let in."""
    for event in events:
        said = event.payload
        again = event.type is EventType.VERSION_RECERTIFIED and said["version"] == row.number
        if again and event.sequence > applied.sequence:
            yield Certified(event.actor, said["role"], said["until"], _at(event))


def _last(events: Sequence[Event], right: Callable[[Event], bool]) -> Event:
    found = next((each for each in reversed(events) if right(each)), None)
    if found is None:
        raise TidegateError("lost-move", "got a version in prod that no event put there", _HINT)
    return found


_HINT = "run `tidegate audit verify`"


def _applies(event: Event, asked: PromotionRow) -> bool:
    return event.type is EventType.PROMOTION_APPLIED and event.payload["promotion"] == asked.id


def _changes_prod(event: Event) -> bool:
    return any(Stage.PROD in (move["from"], move["to"]) for move in event.payload.get("moves", ()))


def _moves(event: Event, version: int, way: str) -> bool:
    return any(
        move["version"] == version and move[way] == Stage.PROD for move in event.payload.get("moves", ())
    )


def _at(event: Event) -> At:
    return At(event.sequence, event.occurred_at)


def _reason(platform: Platform, event: Event) -> str:
    """Return the reason given with an event, empty where nobody gave one or it was erased."""
    return platform.ledger.text(event.payload.get("texts", {}).get("reason", "")) or ""
