"""What followed a decision about a version, as the record tells it: for whoever asks what if it had been another.

A stay begins when a version enters a stage and ends when it goes below it or is replaced. What happened in a stay
would not have happened without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tidegate.domain.events import Event, EventType
from tidegate.domain.policy import Stage

_HEIGHT = {Stage.CANDIDATE: 0, Stage.STAGING: 1, Stage.CANARY: 2, Stage.PROD: 3}
_DECIDED = {
    EventType.PROMOTION_APPROVED: "approved",
    EventType.PROMOTION_REJECTED: "rejected",
    EventType.PROMOTION_LAPSED: "lapsed",
}


@dataclass
class Aftermath:
    """Takes the record's events as they come; answers once all of them were taken."""

    _events: dict[str, list[Event]] = field(default_factory=dict)

    def note(self, event: Event) -> None:
        """Keep an event that tells of a model's versions."""
        if event.stream.startswith("model/") and ("version" in event.payload or "moves" in event.payload):
            self._events.setdefault(event.stream.removeprefix("model/"), []).append(event)

    def of_stay(self, entered: Event, version: int, target: Stage) -> tuple[str, ...]:
        """Return what happened because a version entered a stage, each in a few words."""
        return tuple(_told(list(self._stay(entered, version, target)), version))

    def of_request(self, model: str, promotion: str) -> str:
        """Return what people made of a request."""
        found = [
            event
            for event in self._events.get(model, ())
            if event.payload.get("promotion") == promotion
            and event.type in {*_DECIDED, EventType.PROMOTION_APPLIED}
        ]
        said = [
            _DECIDED[event.type] + f" on {_day(event)}" + _by(event)
            for event in found
            if event.type in _DECIDED
        ]
        entered = [
            f"entered on {_day(event)}" for event in found if event.type is EventType.PROMOTION_APPLIED
        ]
        return ", ".join([*said, *entered]) or "nobody decided on it"

    def of_refusal(self, refused: Event, version: int, target: Stage) -> str:
        """Return whether a version that was refused entered the stage later."""
        for event in self._events.get(refused.stream.removeprefix("model/"), ()):
            if event.sequence > refused.sequence and _enters(event, version, target):
                return f"it entered on {_day(event)}"
        return "it never entered"

    def _stay(self, entered: Event, version: int, target: Stage) -> Iterator[Event]:
        for event in self._events.get(entered.stream.removeprefix("model/"), ()):
            if event.sequence <= entered.sequence:
                continue
            moves = event.payload.get("moves", ())
            ends = any(move["version"] == version and _leaves(Stage(move["to"]), target) for move in moves)
            if ends or event.payload.get("version") == version or _enters(event, version):
                yield event
            if ends:
                return


def _enters(event: Event, version: int, target: Stage | None = None) -> bool:
    """Say whether a version rises by this event, into ``target`` if that is given."""
    if event.type is not EventType.PROMOTION_APPLIED:
        return False
    return any(
        move["version"] == version and move["to"] != Stage.RETIRED and target in {None, Stage(move["to"])}
        for move in event.payload["moves"]
    )


def _leaves(to: Stage, target: Stage) -> bool:
    return to not in _HEIGHT or _HEIGHT[to] < _HEIGHT[target]


def _told(stay: Sequence[Event], version: int) -> Iterator[str]:
    """Yield what happened in a stay: what was scored and looked at, then how it went on."""
    scored = [event.payload["period"] for event in stay if event.type is EventType.DECISIONS_SCORED]
    if scored:
        yield f"its {len(scored)} scored period{'s' * (len(scored) > 1)} ({', '.join(scored)})"
    for kind, what in (
        (EventType.CANARY_ANALYSED, "canary analysis"),
        (EventType.MONITOR_RAN, "monitor run"),
    ):
        periods = [event.payload["period"] for event in stay if event.type is kind]
        if periods:
            yield f"the {what} of {', '.join(dict.fromkeys(periods))}"
    reviews = [event.payload["id"] for event in stay if event.type is EventType.REVIEW_OPENED]
    if reviews:
        yield f"review{'s' * (len(reviews) > 1)} {', '.join(reviews)}"
    for event in stay:
        for move in event.payload.get("moves", ()):
            if move["version"] == version:
                yield f"its way from {move['from']} to {move['to']} on {_day(event)}"


def _by(event: Event) -> str:
    return "" if event.type is EventType.PROMOTION_LAPSED else f" by {event.actor}"


def _day(event: Event) -> str:
    return event.occurred_at[:10]
