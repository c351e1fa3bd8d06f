"""Events: the envelope, the catalogue, and the sealing of a draft onto the chain.

The hashed bytes of an event are its ``body``: the RFC 8785 JSON of the whole envelope, kept as they were
hashed. ``hash`` is the SHA-256 of those bytes, and the next event carries it as ``previous``. Nothing
outside the body is true on its own; columns beside it are copies that verification compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tidegate.domain.canonical import NO_DIGEST, canonical, digest, parse, sha256, utc_text
from tidegate.domain.errors import DependencyFailed

#: The version of the envelope itself. A reader refuses what it does not know.
ENVELOPE = "tg.event/1"


class EventType(StrEnum):
    """Every event that can be written. A type's payload is fixed per schema version."""

    LEDGER_OPENED = "ledger.opened"
    ACTOR_ADDED = "actor.added"
    ROLES_CHANGED = "actor.roles_changed"
    CREDENTIAL_ISSUED = "credential.issued"
    CREDENTIAL_REVOKED = "credential.revoked"
    POLICY_ADOPTED = "policy.adopted"
    POLICY_PROPOSED = "policy.proposed"
    POLICY_APPROVED = "policy.approved"
    POLICY_REJECTED = "policy.rejected"
    DROP_REFUSED = "drop.refused"
    BATCH_ACCEPTED = "batch.accepted"
    BATCH_REFUSED = "batch.refused"
    PUSH_ACCEPTED = "push.accepted"
    PUSH_REFUSED = "push.refused"
    WAIVER_GIVEN = "waiver.given"
    WAIVER_ENDED = "waiver.ended"
    ACCESS_DECLARED = "access.declared"
    FEATURES_BUILT = "features.built"
    FEATURES_MATERIALIZED = "features.materialized"
    FEATURES_COMPARED = "features.compared"
    FEATURES_READ = "features.read"
    FEATURES_MEASURED = "features.measured"
    FEATURES_JUDGED = "features.judged"
    MODEL_REGISTERED = "model.registered"
    TRAINING_SET_BUILT = "training_set.built"
    VERSION_REGISTERED = "version.registered"
    PACKET_SEALED = "packet.sealed"
    PROMOTION_REQUESTED = "promotion.requested"
    PROMOTION_APPROVED = "promotion.approved"
    PROMOTION_REJECTED = "promotion.rejected"
    PROMOTION_APPLIED = "promotion.applied"
    PROMOTION_REMINDED = "promotion.reminded"
    PROMOTION_ESCALATED = "promotion.escalated"
    PROMOTION_LAPSED = "promotion.lapsed"
    APPROVAL_REVOKED = "approval.revoked"
    APPROVAL_DELEGATED = "approval.delegated"
    DELEGATION_ENDED = "delegation.ended"
    CERTIFICATION_LAPSED = "certification.lapsed"
    VERSION_RECERTIFIED = "version.recertified"
    MODEL_ROLLED_BACK = "model.rolled_back"
    MODEL_STOPPED = "model.stopped"
    VERSION_DEMOTED = "version.demoted"
    VERSION_RETIRED = "version.retired"
    ACTION_REFUSED = "action.refused"
    DECISIONS_SCORED = "decisions.scored"
    CANARY_ANALYSED = "canary.analysed"
    MONITOR_RAN = "monitor.ran"
    REVIEW_OPENED = "review.opened"
    REVIEW_DECIDED = "review.decided"
    REVIEW_FOLLOWED = "review.followed"
    RUN_FINISHED = "run.finished"
    REGISTRY_REPAIRED = "registry.repaired"
    TEXT_ERASED = "text.erased"
    RETENTION_APPLIED = "retention.applied"
    ROWS_ERASED = "rows.erased"


#: The payload version written today, per type. Older ones are lifted by an upcaster (`UPCASTERS`).
SCHEMA_VERSIONS: Mapping[EventType, int] = dict.fromkeys(EventType, 1) | {
    EventType.BATCH_ACCEPTED: 2,
    EventType.BATCH_REFUSED: 2,
    EventType.FEATURES_BUILT: 3,
    EventType.FEATURES_MATERIALIZED: 2,
    EventType.VERSION_REGISTERED: 2,
    EventType.TRAINING_SET_BUILT: 2,
    EventType.DECISIONS_SCORED: 4,
    EventType.MONITOR_RAN: 2,
    EventType.PACKET_SEALED: 2,
    EventType.PROMOTION_REQUESTED: 2,
    EventType.PROMOTION_APPROVED: 2,
    EventType.PROMOTION_REJECTED: 2,
    EventType.PROMOTION_APPLIED: 3,
    EventType.REVIEW_OPENED: 2,
}


def _batch_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before revisions, a batch stood for itself and replaced none."""
    return {**payload, "revision": 0, "supersedes": "", "touches": {"training_sets": [], "versions": []}}


def _built_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before provenance nobody said from which batches a view was built."""
    return {**payload, "batches": []}


def _built_v3(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before objectives no view said how fresh it must be."""
    views = {name: {**view, "objective": {}} for name, view in payload["views"].items()}
    return {**payload, "views": views}


def _materialized_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before objectives nobody said how new the newest data of a view were."""
    return {**payload, "newest": dict.fromkeys(payload["rows"], "")}


def _version_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before regression, every version predicted a probability; its base rate is the one it was judged on."""
    facts = payload["facts"]
    rate = facts.get("metrics", {}).get("base_rate", {}).get("value")
    return {**payload, "facts": {**facts, "prediction": "probability", "base_rate": rate}}


def _scored_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before canaries scored, every decision was the live version's."""
    return {**payload, "stage": "prod"}


def _scored_v3(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before conditions every version that scored decided all rows."""
    return {**payload, "of": payload["rows"]}


def _scored_v4(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before objectives no decision was marked; before reads were on record nobody said which views were read."""
    return {**payload, "freshness": {}, "read": {}}


def _training_set_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before reads were on record nobody said which views were read."""
    return {**payload, "read": {}}


def _monitor_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before restatements, a period had one set of outcomes, which was not named."""
    return {**payload, "outcomes": ""}


def _sealed_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before packets were attested, nobody signed them."""
    return {**payload, "envelope": {}}


def _requested_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before break-glass every request was a regular one, and none had a due time."""
    return {**payload, "kind": "regular", "due_at": ""}


def _decided_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before delegation and conditions everybody spoke for themselves, without conditions."""
    return {**payload, "for_whom": "", "conditions": {}}


def _applied_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before conditions and recertification a version went live without either."""
    return {**payload, "kind": "regular", "conditions": {}, "certified_until": ""}


def _applied_v3(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before objectives no promotion was asked how fresh its views are."""
    return {**payload, "preconditions": {**payload["preconditions"], "views": {}}}


def _opened_v2(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Before reviews could be mandatory, every one was a finding's."""
    return {**payload, "kind": "finding"}


#: (type, from version) -> a pure function from that version's payload to the next one's.
UPCASTERS: Mapping[tuple[EventType, int], Any] = {
    (EventType.BATCH_ACCEPTED, 1): _batch_v2,
    (EventType.BATCH_REFUSED, 1): _batch_v2,
    (EventType.FEATURES_BUILT, 1): _built_v2,
    (EventType.FEATURES_BUILT, 2): _built_v3,
    (EventType.FEATURES_MATERIALIZED, 1): _materialized_v2,
    (EventType.VERSION_REGISTERED, 1): _version_v2,
    (EventType.DECISIONS_SCORED, 1): _scored_v2,
    (EventType.DECISIONS_SCORED, 2): _scored_v3,
    (EventType.DECISIONS_SCORED, 3): _scored_v4,
    (EventType.TRAINING_SET_BUILT, 1): _training_set_v2,
    (EventType.MONITOR_RAN, 1): _monitor_v2,
    (EventType.PACKET_SEALED, 1): _sealed_v2,
    (EventType.PROMOTION_REQUESTED, 1): _requested_v2,
    (EventType.PROMOTION_APPROVED, 1): _decided_v2,
    (EventType.PROMOTION_REJECTED, 1): _decided_v2,
    (EventType.PROMOTION_APPLIED, 1): _applied_v2,
    (EventType.PROMOTION_APPLIED, 2): _applied_v3,
    (EventType.REVIEW_OPENED, 1): _opened_v2,
}


_TEXT, _NUMBER, _NONE = str, int, type(None)
#: What every envelope holds beside its own version, and of which JSON types.
_FIELDS: Mapping[str, tuple[type, ...]] = {
    "type": (_TEXT,),
    "schema_version": (_NUMBER,),
    "sequence": (_NUMBER,),
    "stream": (_TEXT,),
    "stream_sequence": (_NUMBER,),
    "previous": (_TEXT,),
    "actor": (_TEXT,),
    "on_behalf_of": (_TEXT, _NONE),
    "correlation": (_TEXT,),
    "causation": (_NUMBER, _NONE),
    "idempotency_key": (_TEXT, _NONE),
    "policy": (_TEXT, _NONE),
    "occurred_at": (_TEXT,),
    "recorded_at": (_TEXT,),
    "clock": (_TEXT,),
    "payload": (dict,),
}


@dataclass(frozen=True)
class Draft:
    """What somebody wants written, before it has a place on the chain.

    ``texts`` are names, reasons and comments: personal data. They never enter the payload; each is
    committed to with a salt, and the payload holds the commitment under ``texts``.
    """

    type: EventType
    stream: str
    actor: str
    payload: Mapping[str, Any]
    texts: Mapping[str, str] = field(default_factory=dict)
    on_behalf_of: str | None = None
    correlation: str | None = None
    causation: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Event:
    """One sealed event. ``body`` is what was hashed; the other fields are read from it."""

    sequence: int
    stream: str
    stream_sequence: int
    type: EventType
    schema_version: int
    previous: str
    actor: str
    on_behalf_of: str | None
    correlation: str
    causation: int | None
    idempotency_key: str | None
    policy: str | None
    occurred_at: str
    recorded_at: str
    clock: str
    payload: Mapping[str, Any]
    body: str
    hash: str


@dataclass(frozen=True)
class Head:
    """The end of the chain: the last sequence and hash, or (0, zeros) before the first event."""

    sequence: int = 0
    hash: str = NO_DIGEST


def commitment(salt: str, text: str) -> str:
    """Return the commitment to a personal text: SHA-256 over its salt's hex digits, a zero byte, the text.

    Without the salt, which is erased together with the text, a short name cannot be guessed back. The digits
    are hashed, not the bytes they spell: they hold no zero byte, so no other salt and text give the same.
    """
    return sha256(salt.encode() + b"\x00" + text.encode())


def seal(
    draft: Draft,
    head: Head,
    stream_sequence: int,
    commitments: Mapping[str, str],
    policy: str | None,
    occurred_at: datetime,
    recorded_at: datetime,
    clock: str,
) -> Event:
    """Give ``draft`` its place behind ``head`` and return the event.

    Args:
        draft: what is to be written.
        head: the end of the chain, as the caller holds it locked.
        stream_sequence: its number within the stream, from 1; for optimistic concurrency only.
        commitments: per name in ``draft.texts``, the salted commitment to that text.
        policy: the digest of the policy in force, None only before the first is adopted.
        occurred_at: when it happened; may be simulated.
        recorded_at: when it was written down; never simulated.
        clock: ``system`` or ``simulated``: what ``occurred_at`` was read from.

    Raises:
        ValueError: the payload names texts itself (a fault of the caller).
    """
    payload = dict(draft.payload)
    if "texts" in payload:
        raise ValueError("a payload never names its own texts: they are given beside it")
    if commitments:
        payload["texts"] = dict(commitments)
    sequence = head.sequence + 1
    envelope = {
        "envelope": ENVELOPE,
        "type": str(draft.type),
        "schema_version": SCHEMA_VERSIONS[draft.type],
        "sequence": sequence,
        "stream": draft.stream,
        "stream_sequence": stream_sequence,
        "previous": head.hash,
        "actor": draft.actor,
        "on_behalf_of": draft.on_behalf_of,
        # A correlation names the story an event belongs to; an event that starts one is its own story.
        "correlation": draft.correlation or f"{draft.stream}#{stream_sequence}",
        "causation": draft.causation,
        "idempotency_key": draft.idempotency_key,
        "policy": policy,
        "occurred_at": utc_text(occurred_at),
        "recorded_at": utc_text(recorded_at),
        "clock": clock,
        "payload": payload,
    }
    return open_body(canonical(envelope).decode())


def open_body(body: str) -> Event:
    """Read an event back from its hashed bytes.

    Raises:
        DependencyFailed: the body is damaged, or of an envelope, type or payload version this code does
            not know.
    """
    envelope = _envelope(body)
    event_type, version = EventType(envelope["type"]), envelope["schema_version"]
    payload = envelope["payload"]
    if version > SCHEMA_VERSIONS[event_type]:
        raise _unknown(
            "schema", f"{event_type} in version {version}", f"at most {SCHEMA_VERSIONS[event_type]}"
        )
    for step in range(version, SCHEMA_VERSIONS[event_type]):
        payload = UPCASTERS[event_type, step](payload)
    return Event(
        sequence=envelope["sequence"],
        stream=envelope["stream"],
        stream_sequence=envelope["stream_sequence"],
        type=event_type,
        schema_version=version,
        previous=envelope["previous"],
        actor=envelope["actor"],
        on_behalf_of=envelope["on_behalf_of"],
        correlation=envelope["correlation"],
        causation=envelope["causation"],
        idempotency_key=envelope["idempotency_key"],
        policy=envelope["policy"],
        occurred_at=envelope["occurred_at"],
        recorded_at=envelope["recorded_at"],
        clock=envelope["clock"],
        payload=payload,
        body=body,
        hash=sha256(body.encode()),
    )


def _envelope(body: str) -> dict[str, Any]:
    """Return the body's envelope, all its fields there and of their types: who reads on relies on it."""
    try:
        envelope: object = parse(body)
    except (ValueError, TypeError, RecursionError):
        envelope = None
    if not isinstance(envelope, dict):
        raise _damaged("no JSON object")
    if envelope.get("envelope") != ENVELOPE:
        raise _unknown("envelope", f"an event with envelope {envelope.get('envelope')!r}", repr(ENVELOPE))
    off = [name for name, kinds in _FIELDS.items() if type(envelope.get(name, ...)) not in kinds]
    if off:
        raise _damaged(f"no right {', '.join(off)}")
    if envelope["type"] not in EventType.__members__.values():
        raise _unknown("type", f"an event of type {envelope['type']!r}", "one of this version's")
    return envelope


def _unknown(what: str, got: str, expected: str) -> DependencyFailed:
    return DependencyFailed(
        f"unknown-{what}",
        f"got {got}, expected {expected}",
        "the ledger was written by a newer Tidegate: upgrade this one",
    )


def _damaged(what: str) -> DependencyFailed:
    return DependencyFailed(
        "damaged-event",
        f"got an event whose body has {what}, expected a whole {ENVELOPE} envelope",
        "run `tidegate audit verify`; restore the latest backup",
    )


def payload_digest(event: Event) -> str:
    """Return the digest of an event's payload alone."""
    return digest(event.payload)
