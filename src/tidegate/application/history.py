"""What a chain tells of one version, from its data to where it stands now, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tidegate.application.timeline import printable, sentence
from tidegate.domain.events import Event, EventType
from tidegate.domain.folding import View
from tidegate.domain.state import (
    ApprovalRow,
    DelegationRow,
    PromotionRow,
    ReviewRow,
    TrainingSetRow,
    VersionRow,
)

#: What holds for every version.
_GROUND = {
    EventType.LEDGER_OPENED,
    EventType.POLICY_PROPOSED,
    EventType.POLICY_APPROVED,
    EventType.POLICY_REJECTED,
    EventType.POLICY_ADOPTED,
}


def concerning(events: Iterable[Event], state: View, model: str, version: int) -> tuple[Event, ...]:
    """Return what concerns a version: its data, its making, every act on it, and how its deciders came to decide.

    ``state`` is what the events fold to.
    """
    about = _About(state, model, version)
    return tuple(event for event in events if about.concerns(event))


def names(events: Iterable[Event], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the names of actors by id, as far as ``texts`` (by commitment) holds them."""
    added = (event.payload for event in events if event.type is EventType.ACTOR_ADDED)
    committed = {said["id"]: said.get("texts", {}).get("name", "") for said in added}
    return {actor: texts[each] for actor, each in committed.items() if each in texts}


def lines(events: Iterable[Event], called: Mapping[str, str], texts: Mapping[str, str]) -> Iterator[str]:
    """Yield a line an event: its sequence, when, and what happened; then the reason, where it is told."""
    for event in events:
        when = event.occurred_at[:16].replace("T", " ")
        told = sentence(event, lambda actor: f"{called[actor]} ({actor})" if actor in called else actor)
        yield _line(f"{event.sequence:>5}  {when}  {told}")
        if reason := texts.get(event.payload.get("texts", {}).get("reason", "")):
            yield _line(f"{'':25}“{reason}”")


def page(title: str, preface: str, told: Iterable[str]) -> str:
    """Return a page of Markdown; what the record tells stands in a block, where nothing of it is markup."""
    return f"# {title}\n\n{preface}\n\n```text\n" + "".join(f"{line}\n" for line in told) + "```\n"


def _line(text: str) -> str:
    return printable(text.replace("\n", " "))


class _About:
    """What belongs to one version, by name."""

    def __init__(self, state: View, model: str, version: int) -> None:
        self._model, self._version = model, version
        row = state.get(VersionRow, model, version)
        built = state.get(TrainingSetRow, row.training_set) if row else None
        self._training_set = row.training_set if row else ""
        self._batches = set(built.batches) if built else set()
        of_it = {"model": model, "version": version}
        self._reviews = {review.id for review in state.select(ReviewRow, **of_it)}
        asked = {promotion.requester for promotion in state.select(PromotionRow, **of_it)}
        decided = state.select(ApprovalRow, **of_it)
        self._people = asked | {each for row in decided for each in (row.actor, row.for_whom) if each}
        self._delegations = {row.id for row in state.select(DelegationRow) if row.model in {"", model}}

    def concerns(self, event: Event) -> bool:
        """Say whether an event is part of the version's history."""
        said = event.payload
        if event.type in _GROUND:
            return True
        if event.type in {EventType.ACTOR_ADDED, EventType.ROLES_CHANGED}:
            return said["id"] in self._people
        if event.type in {EventType.APPROVAL_DELEGATED, EventType.DELEGATION_ENDED}:
            return said["id"] in self._delegations
        if event.type is EventType.BATCH_ACCEPTED:
            return said["batch"] in self._batches or said["supersedes"] in self._batches
        return event.stream == f"model/{self._model}" and self._in_its_model(event.type, said)

    def _in_its_model(self, kind: EventType, said: Mapping[str, Any]) -> bool:
        if kind is EventType.MODEL_REGISTERED:
            return True
        if kind is EventType.TRAINING_SET_BUILT:
            return bool(said["digest"] == self._training_set)
        if kind is EventType.VERSION_REGISTERED:
            return bool(said["number"] == self._version)
        if kind is EventType.ACTION_REFUSED:
            return bool(said["subject"].get("version") == self._version)
        if kind in {EventType.REVIEW_DECIDED, EventType.REVIEW_FOLLOWED}:
            return said["id"] in self._reviews
        moved = {move["version"] for move in said.get("moves", ())}
        return said.get("version") == self._version or self._version in moved
