"""Which models there are: whose, what for, how risky, who acts on them, what is live, and when somebody looks again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.application.ports import StateReader
from tidegate.application.standing import lifecycle
from tidegate.domain.state import ModelRow, PromotionRow, ReviewRow, VersionRow


@dataclass(frozen=True)
class Entry:
    """One model. ``live`` is 0 where nothing is in prod; ``next_review`` is empty where nobody has to look again.

    ``consumers`` are those whom the live version's owner declared, else the newest version's. ``next_review`` is the
    earlier of the day on which the live version's approval ends, and the due times of the model's open reviews.
    """

    name: str
    owner: str
    purpose: str
    tier: str
    prediction: str
    consumers: tuple[str, ...]
    live: int
    by_break_glass: bool
    conditions: Mapping[str, Any]
    next_review: str


def inventory(state: StateReader) -> tuple[Entry, ...]:
    """Return every registered model, by name."""
    return tuple(_entry(state, row) for row in state.select(ModelRow))


def _entry(state: StateReader, model: ModelRow) -> Entry:
    life = lifecycle(state, model.name)
    live = life.in_prod()
    told = live or max(life.versions.values(), key=lambda row: row.number, default=None)
    facts = told.facts if told else {}
    due = [row.due_at for row in state.select(ReviewRow, model=model.name, status="open")]
    due += [live.certified_until] if live is not None and live.certified_until else []
    return Entry(
        name=model.name,
        owner=model.owner,
        purpose=model.purpose,
        tier=model.tier,
        prediction=str(facts.get("prediction", "")),
        consumers=tuple(facts.get("consumers", ())),
        live=live.number if live else 0,
        by_break_glass=live is not None and let_in_by(state, live) == "break_glass",
        conditions=live.conditions if live else {},
        next_review=min(due, default=""),
    )


def let_in_by(state: StateReader, live: VersionRow) -> str:
    """Return the kind of the request that let a version into prod last; empty where none did."""
    asked = state.select(PromotionRow, model=live.model, version=live.number, target="prod", status="applied")
    return max(asked, key=lambda row: row.sequence).kind if asked else ""
