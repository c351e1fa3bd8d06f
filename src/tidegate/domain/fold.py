"""The fold: what each event does to the state.

``changes(view, event)`` returns the rows an event writes, in order, given the state before it. The SQL
adapter writes them in the event's own transaction; replay writes them to memory or to a fresh database.
State that no fold yields cannot exist. What events of data and of models do stands in `fold_data` and `fold_models`,
what erased rows leave in `rows_erased`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from tidegate.domain import fold_data, fold_models
from tidegate.domain.canonical import canonical, digest
from tidegate.domain.events import Event, EventType
from tidegate.domain.folding import Handler, R, View, existing, row_of
from tidegate.domain.rows_erased import rows_erased
from tidegate.domain.state import (
    ROWS,
    ActorRow,
    CanaryRow,
    CredentialRow,
    DelegationRow,
    ErasureRow,
    IncidentRow,
    MonitorRow,
    PolicyRow,
    ProposalDecisionRow,
    ProposalRow,
    ReviewRow,
    Row,
    RunRow,
    ScoringRow,
    State,
    TextRow,
)


class StateView:
    """A `View` of state in memory."""

    def __init__(self, state: State) -> None:
        self._state = state

    def get(self, kind: type[R], /, *key: str | int) -> R | None:
        """Return the row with this key, or None."""
        row = self._state.tables[kind.TABLE].get(key)
        return row if isinstance(row, kind) else None

    def select(self, kind: type[R], /, **equal: object) -> tuple[R, ...]:
        """Return the rows whose fields equal the given values, in key order."""
        rows = (row for row in self._state.tables[kind.TABLE].values() if isinstance(row, kind))
        found = [row for row in rows if all(getattr(row, name) == value for name, value in equal.items())]
        return tuple(sorted(found, key=lambda row: row.key))

    def marks(self) -> tuple[tuple[int, str], ...]:
        """Return the high-water marks of the record's time (see `State`)."""
        return tuple(self._state.marks)


def changes(view: View, event: Event) -> tuple[Row, ...]:
    """Return the rows that ``event`` writes onto the state ``view``."""
    handler = _HANDLERS.get(event.type)
    return (*(handler(view, event) if handler else ()), *_texts(view, event))


def replay(events: Iterable[Event]) -> State:
    """Fold events from zero."""
    state = State()
    view = StateView(state)
    for event in events:
        take(state, view, event)
    return state


def take(state: State, view: View, event: Event) -> tuple[Row, ...]:
    """Fold one event into ``state``, which ``view`` shows; return the rows it wrote."""
    rows = changes(view, event)
    for row in rows:
        state.put(row)
    state.mark(event.sequence, event.occurred_at)
    return rows


def fingerprint(state: State) -> str:
    """Return the digest of folded state without what names one installation (see `state.Row.VOLATILE`)."""
    tables = {}
    for kind in ROWS:
        rows = [_plain(row) for row in state.tables[kind.TABLE].values()]
        lasting = [{name: row[name] for name in row if name not in kind.VOLATILE} for row in rows]
        # Not by key: a key may be volatile itself.
        tables[kind.TABLE] = sorted(lasting, key=canonical)
    return digest(tables)


def _plain(row: Row) -> dict[str, Any]:
    return {
        field.name: list(value) if isinstance(value := getattr(row, field.name), tuple) else value
        for field in fields(row)
    }


def _actor_added(_: View, event: Event) -> list[Row]:
    return [row_of(ActorRow, event)]


def _roles_changed(view: View, event: Event) -> list[Row]:
    actor = existing(view.get(ActorRow, event.payload["id"]))
    return [replace(actor, roles=tuple(event.payload["roles"]), sequence=event.sequence)]


def _credential_issued(_: View, event: Event) -> list[Row]:
    return [row_of(CredentialRow, event, revoked=False, revoked_at="")]


def _credential_revoked(view: View, event: Event) -> list[Row]:
    """With the last good token of an account every delegation from or to it ends: nobody can act under it."""
    row = existing(view.get(CredentialRow, event.payload["id"]))
    good = {each.id for each in view.select(CredentialRow, actor=row.actor, revoked=False)} - {row.id}
    revoked = replace(row, revoked=True, revoked_at=event.occurred_at, sequence=event.sequence)
    return [revoked, *(() if good else _undelegated(view, {row.actor}))]


def _delegated(_: View, event: Event) -> list[Row]:
    return [row_of(DelegationRow, event, ended=False)]


def _undelegated(view: View, accounts: set[str]) -> list[Row]:
    """Return the delegations from or to these accounts, ended."""
    return [
        replace(row, ended=True)
        for row in view.select(DelegationRow, ended=False)
        if accounts & {row.principal, row.delegate}
    ]


def _delegation_ended(view: View, event: Event) -> list[Row]:
    return [replace(existing(view.get(DelegationRow, event.payload["id"])), ended=True)]


def _policy_adopted(view: View, event: Event) -> list[Row]:
    before = [replace(row, in_force=False) for row in view.select(PolicyRow, in_force=True)]
    adopted = [
        replace(row, status="adopted" if row.digest == event.payload["digest"] else "superseded")
        for row in view.select(ProposalRow, status="open")  # what was proposed against the one before is moot
    ]
    return [*before, row_of(PolicyRow, event, in_force=True), *adopted]


def _policy_proposed(view: View, event: Event) -> list[Row]:
    before = [replace(row, status="superseded") for row in view.select(ProposalRow, status="open")]
    return [*before, row_of(ProposalRow, event, proposer=event.actor, status="open")]


def _policy_decided(view: View, event: Event) -> list[Row]:
    decision = row_of(ProposalDecisionRow, event, actor=event.actor)
    if decision.outcome == "approve":
        return [decision]
    proposal = existing(view.get(ProposalRow, decision.proposal))
    return [decision, replace(proposal, status="rejected")]


def _scored(_: View, event: Event) -> list[Row]:
    return [row_of(ScoringRow, event)]


def _canary_analysed(_: View, event: Event) -> list[Row]:
    return [row_of(CanaryRow, event, occurred_at=event.occurred_at)]


def _monitor_ran(_: View, event: Event) -> list[Row]:
    return [row_of(MonitorRow, event, occurred_at=event.occurred_at)]


def _review_opened(_: View, event: Event) -> list[Row]:
    return [row_of(ReviewRow, event, status="open", outcome="", decided_by="", followed="")]


def _review_decided(view: View, event: Event) -> list[Row]:
    review = existing(view.get(ReviewRow, event.payload["id"]))
    return [replace(review, status="decided", outcome=event.payload["outcome"], decided_by=event.actor)]


def _review_followed(view: View, event: Event) -> list[Row]:
    review = existing(view.get(ReviewRow, event.payload["id"]))
    return [replace(review, followed=event.payload["followed"])]


def _run_finished(_: View, event: Event) -> list[Row]:
    return [row_of(RunRow, event, occurred_at=event.occurred_at)]


def _registry_repaired(_: View, event: Event) -> list[Row]:
    return [row_of(IncidentRow, event, occurred_at=event.occurred_at)]


def _texts(view: View, event: Event) -> list[Row]:
    """A name is about whom it names, a reason about who gave it; all accounts of one person are one subject."""
    committed = event.payload.get("texts")
    if not committed:
        return []
    if event.type is EventType.ACTOR_ADDED:
        subject = event.payload["subject"]
    else:
        author = event.on_behalf_of or event.actor
        account = view.get(ActorRow, author)
        subject = account.subject if account else author
    return [
        TextRow(each, subject, kind, event.occurred_at, event.sequence) for kind, each in committed.items()
    ]


def _erased(view: View, event: Event) -> list[Row]:
    """Nobody decides in the place of a person who was erased, whatever became of their tokens."""
    by_subject = event.type is EventType.TEXT_ERASED
    cause = "subject" if by_subject else "retention"
    gone = [ErasureRow(each, cause, event.sequence) for each in event.payload["commitments"]]
    if not by_subject:
        return [*gone]
    accounts = {row.id for row in view.select(ActorRow, subject=event.payload["subject"])}
    return [*gone, *_undelegated(view, accounts)]


_HANDLERS: Mapping[EventType, Handler] = {
    **fold_data.HANDLERS,
    **fold_models.HANDLERS,
    EventType.ACTOR_ADDED: _actor_added,
    EventType.ROLES_CHANGED: _roles_changed,
    EventType.CREDENTIAL_ISSUED: _credential_issued,
    EventType.CREDENTIAL_REVOKED: _credential_revoked,
    EventType.APPROVAL_DELEGATED: _delegated,
    EventType.DELEGATION_ENDED: _delegation_ended,
    EventType.POLICY_ADOPTED: _policy_adopted,
    EventType.POLICY_PROPOSED: _policy_proposed,
    EventType.POLICY_APPROVED: _policy_decided,
    EventType.POLICY_REJECTED: _policy_decided,
    EventType.DECISIONS_SCORED: _scored,
    EventType.CANARY_ANALYSED: _canary_analysed,
    EventType.MONITOR_RAN: _monitor_ran,
    EventType.REVIEW_OPENED: _review_opened,
    EventType.REVIEW_DECIDED: _review_decided,
    EventType.REVIEW_FOLLOWED: _review_followed,
    EventType.RUN_FINISHED: _run_finished,
    EventType.REGISTRY_REPAIRED: _registry_repaired,
    EventType.TEXT_ERASED: _erased,
    EventType.RETENTION_APPLIED: _erased,
    EventType.ROWS_ERASED: rows_erased,
}
