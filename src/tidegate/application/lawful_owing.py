"""Judge whether the reviews that an event owes were opened, as owed (see `lawfulness`).

P9  broken glass, a condition of an approval and a certificate that ended each owe a review: of that version, by that
    role, due then; it is the model's next event, and no other opens one of these kinds
R1  a monitor or a canary that names a fresh review owes it, by the role and within the days that the policy says
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from tidegate.application.moments import at_once
from tidegate.application.tend import REVIEW_DAYS, certifier, certifying_rule
from tidegate.domain.canonical import utc_text, utc_time
from tidegate.domain.events import Event, EventType
from tidegate.domain.fold import StateView
from tidegate.domain.policy import Policy
from tidegate.domain.reviewing import RECERTIFICATION
from tidegate.domain.state import PromotionRow, ReviewRow, VersionRow

Breaches = Iterator[tuple[str, str]]


class Owed(NamedTuple):
    """A review that must follow an event: what it is about, who looks, and by when; ``id`` where it was named."""

    event: int
    model: str
    version: int
    period: str
    kind: str
    role: str
    due_at: str
    id: str = ""

    @property
    def rule(self) -> str:
        """Return the rule that asks for it."""
        return "R1" if self.kind == "finding" else "P9"

    def __str__(self) -> str:
        what = self.kind.replace("_", " ")
        return f"a review of version {self.version} of {self.model} ({what}), by role `{self.role}`, due {self.due_at}"


def owed_after(view: StateView, event: Event, policy: Policy) -> tuple[Owed, ...]:
    """Return the reviews that an event owes, in the order they are opened; ``view`` is the state before it."""
    if event.type is EventType.PROMOTION_APPLIED:
        return tuple(_applied(view, event, policy))
    if event.type is EventType.CERTIFICATION_LAPSED:
        return tuple(_lapsed(view, event, policy))
    if event.type in {EventType.MONITOR_RAN, EventType.CANARY_ANALYSED}:
        return tuple(_found(view, event, policy))
    return ()


def _applied(view: StateView, event: Event, policy: Policy) -> Iterator[Owed]:
    done, glass = event.payload, policy.break_glass
    asked = view.get(PromotionRow, done["promotion"])
    if asked is None:
        return  # said elsewhere
    about = (event.sequence, asked.model, asked.version, "")
    if asked.kind == "break_glass" and glass is not None:
        yield Owed(*about, "break_glass", glass.role, _in(event, glass.review_days))
    if days := done["conditions"].get("review_in_days"):
        yield Owed(*about, "condition", policy.review.role, _in(event, days))


def _lapsed(view: StateView, event: Event, policy: Policy) -> Iterator[Owed]:
    version = view.get(VersionRow, event.payload["model"], event.payload["version"])
    if version is None:
        return  # it cannot be folded either
    rule = certifying_rule(view, policy, version)
    due = _in(event, rule.review_days if rule else REVIEW_DAYS)
    yield Owed(event.sequence, version.model, version.number, "", RECERTIFICATION, certifier(rule), due)


def _found(view: StateView, event: Event, policy: Policy) -> Iterator[Owed]:
    said, rule = event.payload, policy.review
    if said["review"] and view.get(ReviewRow, said["review"]) is None:
        about = (event.sequence, said["model"], said["version"], said["period"])
        yield Owed(*about, "finding", rule.role, _in(event, rule.due_days), said["review"])


def _in(event: Event, days: float) -> str:
    return utc_text(utc_time(event.occurred_at) + timedelta(days=days))


class Debts:
    """The reviews that are owed as far as the record was read."""

    def __init__(self) -> None:
        self._owed: list[Owed] = []

    def settle(self, event: Event) -> Breaches:
        """Yield what is wrong with this event as what follows; what it should have opened is owed no more."""
        opens = event.type is EventType.REVIEW_OPENED
        due = [each for each in self._owed if event.stream == f"model/{each.model}"]
        if opens and due:
            self._owed.remove(due[0])
            yield from _unlike(due[0], event)
        elif opens and event.payload["kind"] != "finding":
            yield "P9", f"{event.payload['id']} is opened as {event.payload['kind']}, and nothing asks for it"
        for owed in due if not opens else ():
            self._owed.remove(owed)
            yield owed.rule, f"event {owed.event} owes {owed}, and {event.type} came instead"

    def incur(self, owed: tuple[Owed, ...]) -> None:
        """Take what an event owes onto the list."""
        self._owed += owed

    def left(self) -> tuple[Owed, ...]:
        """Return what is owed at the end of the record."""
        return tuple(self._owed)


def _unlike(owed: Owed, event: Event) -> Breaches:
    said = event.payload
    place = ("model", "version", "period", "kind", "role", *(("id",) if owed.id else ()))
    other = [name for name in place if said[name] != getattr(owed, name)]
    other += [] if at_once(said["due_at"], owed.due_at) else ["due time"]
    if other:
        yield owed.rule, f"{said['id']} is opened with another {', another '.join(other)}; owed is {owed}"
