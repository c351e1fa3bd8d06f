"""How a contract's columns changed since a batch was accepted: what is new passes, what others rest on does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidegate.domain.masking import Column

#: A column's promise as the ledger keeps it: its type, how its values are treated, and whether it may be empty.
Promised = Mapping[str, str]
_REQUIRED = " required"


@dataclass(frozen=True)
class Evolution:
    """What was added since, each as a sentence, and what was taken from whoever reads the dataset."""

    notes: tuple[str, ...]
    breaks: tuple[str, ...]


def promised(columns: Iterable[Column], delivered: Iterable[Column] = ()) -> Promised:
    """Return what is promised of each column that is kept; ``delivered`` says what becomes of its values before."""
    how = {column.name: column.treatment for column in delivered}
    return {
        column.name: column.type
        + (f", {told}" if (told := how.get(column.name)) else "")
        + (_REQUIRED if column.required else "")
        for column in columns
    }


def evolved(before: Promised, now: Promised) -> Evolution:
    """Compare two promises: a column gone, of another type, otherwise treated or empty at times breaks what uses it."""
    notes = [f"the column {name} is new: batches before have none" for name in now if name not in before]
    breaks = []
    for name, was in before.items():
        kind, required = was.removesuffix(_REQUIRED), was.endswith(_REQUIRED)
        if name not in now:
            breaks.append(f"{name} is gone")
        elif (to := now[name].removesuffix(_REQUIRED)) != kind:
            breaks.append(f"{name} is {to}, and was {kind}")
        elif required and not now[name].endswith(_REQUIRED):
            breaks.append(f"{name} may be empty, and never was")
        elif now[name] != was:
            notes.append(f"the column {name} is never empty any more")
    return Evolution(tuple(notes), tuple(breaks))
