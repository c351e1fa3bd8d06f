"""The fold: what each event does to the state.

``changes(view, event)`` returns the rows an event writes, in order, given the state before it. The SQL
adapter writes them in the event's own transaction; replay writes them to memory or to a fresh database.
State that no fold yields cannot exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, Protocol, TypeVar

from tidegate.domain.access import opened
from tidegate.domain.canonical import canonical, digest
from tidegate.domain.events import Event, EventType
from tidegate.domain.policy import Stage
from tidegate.domain.reviewing import RECERTIFICATION
from tidegate.domain.rows_erased import rows_erased
from tidegate.domain.state import (
    ROWS,
    AccessRow,
    ActorRow,
    ApprovalRow,
    BatchRow,
    CanaryRow,
    CredentialRow,
    DelegationRow,
    DriftRow,
    ErasureRow,
    FeatureViewRow,
    IncidentRow,
    ModelRow,
    MonitorRow,
    PacketRow,
    ParityRow,
    PolicyRow,
    PromotionRow,
    ProposalDecisionRow,
    ProposalRow,
    PushRow,
    ReadSegmentRow,
    ReviewRow,
    Row,
    RunRow,
    ScoringRow,
    State,
    StatisticsRow,
    TextRow,
    TrainingSetRow,
    VersionRow,
    WaiverRow,
)

R = TypeVar("R", bound=Row)


class View(Protocol):
    """The state before an event."""

    def get(self, kind: type[R], /, *key: str | int) -> R | None: ...

    def select(self, kind: type[R], /, **equal: object) -> tuple[R, ...]: ...


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


def _row(kind: type[R], event: Event, **more: Any) -> R:
    """Build a row from the payload's fields of the same name."""
    given: dict[str, Any] = {**event.payload, "sequence": event.sequence, **more}
    values = {field.name: given[field.name] for field in fields(kind)}
    return kind(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    )


def _actor_added(_: View, event: Event) -> list[Row]:
    return [_row(ActorRow, event)]


def _roles_changed(view: View, event: Event) -> list[Row]:
    actor = _known(view.get(ActorRow, event.payload["id"]))
    return [replace(actor, roles=tuple(event.payload["roles"]), sequence=event.sequence)]


def _credential_issued(_: View, event: Event) -> list[Row]:
    return [_row(CredentialRow, event, revoked=False, revoked_at="")]


def _credential_revoked(view: View, event: Event) -> list[Row]:
    """With the last good token of an account every delegation from or to it ends: nobody can act under it."""
    row = _known(view.get(CredentialRow, event.payload["id"]))
    good = {each.id for each in view.select(CredentialRow, actor=row.actor, revoked=False)} - {row.id}
    revoked = replace(row, revoked=True, revoked_at=event.occurred_at, sequence=event.sequence)
    return [revoked, *(() if good else _undelegated(view, {row.actor}))]


def _policy_adopted(view: View, event: Event) -> list[Row]:
    before = [replace(row, in_force=False) for row in view.select(PolicyRow, in_force=True)]
    adopted = [
        replace(row, status="adopted" if row.digest == event.payload["digest"] else "superseded")
        for row in view.select(ProposalRow, status="open")  # what was proposed against the one before is moot
    ]
    return [*before, _row(PolicyRow, event, in_force=True), *adopted]


def _policy_proposed(view: View, event: Event) -> list[Row]:
    before = [replace(row, status="superseded") for row in view.select(ProposalRow, status="open")]
    return [*before, _row(ProposalRow, event, proposer=event.actor, status="open")]


def _policy_decided(view: View, event: Event) -> list[Row]:
    decision = _row(ProposalDecisionRow, event, actor=event.actor)
    if decision.outcome == "approve":
        return [decision]
    proposal = _known(view.get(ProposalRow, decision.proposal))
    return [decision, replace(proposal, status="rejected")]


def _batch(view: View, event: Event) -> list[Row]:
    left_out = event.payload["report"].get("erased", 0)
    batch = _row(BatchRow, event, erased=left_out, superseded_by="", occurred_at=event.occurred_at)
    used = _used(view, event)
    if not batch.supersedes:
        return [batch, *used]
    replaced = view.select(
        BatchRow, dataset=batch.dataset, period=batch.period, batch=batch.supersedes, superseded_by=""
    )
    return [*(replace(row, superseded_by=batch.batch) for row in replaced), batch, *used]


def _push(view: View, event: Event) -> list[Row]:
    return [_row(PushRow, event, occurred_at=event.occurred_at), *_used(view, event)]


def _used(view: View, event: Event) -> list[Row]:
    """Count what waivers let through: one use a batch, however many checks."""
    let_through: dict[str, int] = {}
    for use in event.payload["report"].get("waived", ()):
        let_through[use["waiver"]] = let_through.get(use["waiver"], 0) + use["rows"]
    waivers = {name: _known(view.get(WaiverRow, name)) for name in let_through}
    return [
        replace(row, uses=row.uses + 1, rows=row.rows + let_through[name]) for name, row in waivers.items()
    ]


def _waiver_given(_: View, event: Event) -> list[Row]:
    return [_row(WaiverRow, event, given_by=event.actor, ended=False, uses=0, rows=0)]


def _waiver_ended(view: View, event: Event) -> list[Row]:
    return [replace(_known(view.get(WaiverRow, event.payload["id"])), ended=True)]


def _features_built(view: View, event: Event) -> list[Row]:
    rows: list[Row] = []
    for name, built in event.payload["views"].items():
        before = view.get(FeatureViewRow, name)
        rows.append(
            FeatureViewRow(
                view=name,
                definition=built["definition"],
                source=built["source"],
                rows=built["rows"],
                objective=dict(built["objective"]),
                batches=tuple(event.payload["batches"]),
                online_until=before.online_until if before else "",
                newest=before.newest if before else "",
                sequence=event.sequence,
            )
        )
    return rows


def _features_materialized(view: View, event: Event) -> list[Row]:
    until = event.payload["until"]
    known = [_known(view.get(FeatureViewRow, name)) for name in event.payload["rows"]]
    newest = event.payload["newest"]
    return [
        replace(row, online_until=until, newest=newest[row.view], sequence=event.sequence) for row in known
    ]


def _access_declared(view: View, event: Event) -> list[Row]:
    """Open what is declared; what was open before and is named no more stays on record as open to nobody."""
    now = opened(event.payload["permissions"])
    places = sorted({*now, *((row.view, row.access) for row in view.select(AccessRow))})
    return [AccessRow(*place, now.get(place, ()), event.sequence) for place in places]


def _features_read(_: View, event: Event) -> list[Row]:
    return [_row(ReadSegmentRow, event)]


def _features_measured(_: View, event: Event) -> list[Row]:
    return [_row(StatisticsRow, event)]


def _features_judged(_: View, event: Event) -> list[Row]:
    return [_row(DriftRow, event)]


def _features_compared(_: View, event: Event) -> list[Row]:
    return [
        ParityRow(name, said["source"], said["until"], said["verdict"], said["sentence"], event.sequence)
        for name, said in event.payload["views"].items()
    ]


def _model_registered(view: View, event: Event) -> list[Row]:
    before = view.get(ModelRow, event.payload["name"])
    return [_row(ModelRow, event, promotions=before.promotions if before else 0)]


def _training_set_built(_: View, event: Event) -> list[Row]:
    return [_row(TrainingSetRow, event)]


def _version_registered(_: View, event: Event) -> list[Row]:
    fresh = {"stage": str(Stage.CANDIDATE), "packet": "", "prod_sequence": 0}
    return [_row(VersionRow, event, **fresh, conditions={}, certified_until="", certified_sequence=0)]


def _packet_sealed(view: View, event: Event) -> list[Row]:
    packet = _row(PacketRow, event)
    version = _known(view.get(VersionRow, packet.model, packet.version))
    return [packet, replace(version, packet=packet.digest)]


def _promotion_requested(view: View, event: Event) -> list[Row]:
    promotion = _row(PromotionRow, event, status="open", chased="", escalated_to="")
    model = _known(view.get(ModelRow, promotion.model))
    open_before = view.select(PromotionRow, model=promotion.model, version=promotion.version, status="open")
    superseded = [replace(row, status="superseded") for row in open_before]
    return [*superseded, replace(model, promotions=model.promotions + 1), promotion]


def _promotion_decided(view: View, event: Event) -> list[Row]:
    approval = _row(ApprovalRow, event, actor=event.actor, revoked=False, occurred_at=event.occurred_at)
    if approval.outcome == "approve":
        return [approval]
    promotion = _known(view.get(PromotionRow, approval.promotion))
    return [approval, replace(promotion, status="rejected")]


def _promotion_applied(view: View, event: Event) -> list[Row]:
    promotion = _known(view.get(PromotionRow, event.payload["promotion"]))
    terms = {name: event.payload[name] for name in ("conditions", "certified_until")}
    moved = [
        replace(row, **terms) if row.number == promotion.version and row.stage == Stage.PROD else row
        for row in _moved(view, event, promoted=promotion.version)
    ]
    return [*moved, *_outlived(view, event), replace(promotion, status="applied")]


def _promotion_chased(view: View, event: Event) -> list[Row]:
    promotion = _known(view.get(PromotionRow, event.payload["promotion"]))
    if event.type is EventType.PROMOTION_LAPSED:
        return [replace(promotion, status="lapsed")]
    if event.type is EventType.PROMOTION_REMINDED:
        return [replace(promotion, chased="reminded")]
    return [replace(promotion, chased="escalated", escalated_to=event.payload["role"])]


def _approval_revoked(view: View, event: Event) -> list[Row]:
    """Taking an approval back may take the version with it: then the same event says where it goes."""
    approval = _known(view.get(ApprovalRow, event.payload["promotion"], event.payload["approver"]))
    return [replace(approval, revoked=True), *(_moves(view, event) if event.payload["moves"] else [])]


def _delegated(_: View, event: Event) -> list[Row]:
    return [_row(DelegationRow, event, ended=False)]


def _undelegated(view: View, accounts: set[str]) -> list[Row]:
    """Return the delegations from or to these accounts, ended."""
    return [
        replace(row, ended=True)
        for row in view.select(DelegationRow, ended=False)
        if accounts & {row.principal, row.delegate}
    ]


def _delegation_ended(view: View, event: Event) -> list[Row]:
    return [replace(_known(view.get(DelegationRow, event.payload["id"])), ended=True)]


def _certification_lapsed(view: View, event: Event) -> list[Row]:
    """What a certificate's end means for the version is the review's to say; here it only stops holding."""
    version = _known(view.get(VersionRow, event.payload["model"], event.payload["version"]))
    return [replace(version, certified_until=event.payload["since"])]


def _recertified(view: View, event: Event) -> list[Row]:
    version = _known(view.get(VersionRow, event.payload["model"], event.payload["version"]))
    closed = [
        replace(row, status="decided", outcome="recertified", decided_by=event.actor)
        for row in view.select(
            ReviewRow, model=version.model, version=version.number, kind=RECERTIFICATION, status="open"
        )
    ]
    holds = replace(version, certified_until=event.payload["until"], certified_sequence=event.sequence)
    return [holds, *closed]


def _moves(view: View, event: Event) -> list[Row]:
    """Moves down or out leave no request of that version open: going up again is asked for again."""
    rows: list[Row] = [*_moved(view, event), *_outlived(view, event)]
    for move in event.payload["moves"]:
        open_before = view.select(
            PromotionRow, model=event.payload["model"], version=move["version"], status="open"
        )
        rows += [replace(row, status="superseded") for row in open_before]
    return rows


def _moved(view: View, event: Event, promoted: int = 0) -> list[VersionRow]:
    rows: list[VersionRow] = []
    for move in event.payload["moves"]:
        version = _known(view.get(VersionRow, event.payload["model"], move["version"]))
        sequence, certified = version.prod_sequence, version.certified_sequence
        if move["to"] == Stage.PROD and move["version"] == promoted:
            sequence = certified = event.sequence
        elif move["from"] == Stage.PROD and move["to"] != Stage.RETIRED:
            # Rolled back or stopped: no rollback ever restores it without a new approval.
            sequence = certified = 0
        rows.append(replace(version, stage=move["to"], prod_sequence=sequence, certified_sequence=certified))
    return rows


def _outlived(view: View, event: Event) -> list[ReviewRow]:
    """Nobody can certify again what is live no more: what asked for that would hold the model for ever (P9)."""
    return [
        replace(row, status="superseded")
        for move in event.payload["moves"]
        if move["from"] == Stage.PROD
        for row in view.select(
            ReviewRow,
            model=event.payload["model"],
            version=move["version"],
            kind=RECERTIFICATION,
            status="open",
        )
    ]


def _scored(_: View, event: Event) -> list[Row]:
    return [_row(ScoringRow, event)]


def _canary_analysed(_: View, event: Event) -> list[Row]:
    return [_row(CanaryRow, event, occurred_at=event.occurred_at)]


def _monitor_ran(_: View, event: Event) -> list[Row]:
    return [_row(MonitorRow, event, occurred_at=event.occurred_at)]


def _review_opened(_: View, event: Event) -> list[Row]:
    return [_row(ReviewRow, event, status="open", outcome="", decided_by="", followed="")]


def _review_decided(view: View, event: Event) -> list[Row]:
    review = _known(view.get(ReviewRow, event.payload["id"]))
    return [replace(review, status="decided", outcome=event.payload["outcome"], decided_by=event.actor)]


def _review_followed(view: View, event: Event) -> list[Row]:
    review = _known(view.get(ReviewRow, event.payload["id"]))
    return [replace(review, followed=event.payload["followed"])]


def _run_finished(_: View, event: Event) -> list[Row]:
    return [_row(RunRow, event, occurred_at=event.occurred_at)]


def _registry_repaired(_: View, event: Event) -> list[Row]:
    return [_row(IncidentRow, event, occurred_at=event.occurred_at)]


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


def _known(row: R | None) -> R:
    """Return the row an event speaks of. Its absence means that the chain contradicts itself."""
    if row is None:
        raise LookupError("an event speaks of a row that no earlier event wrote")
    return row


_HANDLERS: Mapping[EventType, Callable[[View, Event], Iterable[Row]]] = {
    EventType.ACTOR_ADDED: _actor_added,
    EventType.ROLES_CHANGED: _roles_changed,
    EventType.CREDENTIAL_ISSUED: _credential_issued,
    EventType.CREDENTIAL_REVOKED: _credential_revoked,
    EventType.POLICY_ADOPTED: _policy_adopted,
    EventType.POLICY_PROPOSED: _policy_proposed,
    EventType.POLICY_APPROVED: _policy_decided,
    EventType.POLICY_REJECTED: _policy_decided,
    EventType.BATCH_ACCEPTED: _batch,
    EventType.BATCH_REFUSED: _batch,
    EventType.PUSH_ACCEPTED: _push,
    EventType.PUSH_REFUSED: _push,
    EventType.WAIVER_GIVEN: _waiver_given,
    EventType.WAIVER_ENDED: _waiver_ended,
    EventType.ACCESS_DECLARED: _access_declared,
    EventType.FEATURES_BUILT: _features_built,
    EventType.FEATURES_MATERIALIZED: _features_materialized,
    EventType.FEATURES_COMPARED: _features_compared,
    EventType.FEATURES_READ: _features_read,
    EventType.FEATURES_MEASURED: _features_measured,
    EventType.FEATURES_JUDGED: _features_judged,
    EventType.MODEL_REGISTERED: _model_registered,
    EventType.TRAINING_SET_BUILT: _training_set_built,
    EventType.VERSION_REGISTERED: _version_registered,
    EventType.PACKET_SEALED: _packet_sealed,
    EventType.PROMOTION_REQUESTED: _promotion_requested,
    EventType.PROMOTION_APPROVED: _promotion_decided,
    EventType.PROMOTION_REJECTED: _promotion_decided,
    EventType.PROMOTION_APPLIED: _promotion_applied,
    EventType.PROMOTION_REMINDED: _promotion_chased,
    EventType.PROMOTION_ESCALATED: _promotion_chased,
    EventType.PROMOTION_LAPSED: _promotion_chased,
    EventType.APPROVAL_REVOKED: _approval_revoked,
    EventType.APPROVAL_DELEGATED: _delegated,
    EventType.DELEGATION_ENDED: _delegation_ended,
    EventType.CERTIFICATION_LAPSED: _certification_lapsed,
    EventType.VERSION_RECERTIFIED: _recertified,
    EventType.MODEL_ROLLED_BACK: _moves,
    EventType.MODEL_STOPPED: _moves,
    EventType.VERSION_DEMOTED: _moves,
    EventType.VERSION_RETIRED: _moves,
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
