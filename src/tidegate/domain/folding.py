"""What all folds share: the state before an event, a row made of it, a row that it speaks of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, Protocol, TypeVar

from tidegate.domain.events import Event
from tidegate.domain.state import Row

R = TypeVar("R", bound=Row)


class View(Protocol):
    """The state before an event."""

    def get(self, kind: type[R], /, *key: str | int) -> R | None: ...

    def select(self, kind: type[R], /, **equal: object) -> tuple[R, ...]: ...


#: What an event of one type does: the rows it writes, given the state before it.
Handler = Callable[[View, Event], Iterable[Row]]


def row_of(kind: type[R], event: Event, **more: Any) -> R:
    """Build a row from the payload's fields of the same name."""
    given: dict[str, Any] = {**event.payload, "sequence": event.sequence, **more}
    values = {field.name: given[field.name] for field in fields(kind)}
    return kind(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    )


def existing(row: R | None) -> R:
    """Return the row an event speaks of. Its absence means that the chain contradicts itself."""
    if row is None:
        raise LookupError("an event speaks of a row that no earlier event wrote")
    return row
