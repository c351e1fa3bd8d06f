"""Bring MLflow's aliases and tags after the ledger. The chain itself is the outbox: a cursor says how far it has come.

Whatever they say that the ledger never said since the cursor was changed by another hand. It is recorded as an
incident first, then put right: the incident is itself a reason to bring the model after the ledger, so that a
crash between the two repeats the repair and not the record. What the ledger did say since the cursor is a
projection that was cut short, and no incident.

One process at a time: two that projected at once could leave behind what the slower one had read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Difference, StateReader
from tidegate.application.recording import draft
from tidegate.application.standing import stream
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.events import Event, EventType
from tidegate.domain.policy import Stage
from tidegate.domain.state import IncidentRow

SINK = "registry"
#: For how many seconds a command waits for another one that is at it.
WAIT_SECONDS = 20.0


@dataclass(frozen=True)
class Repair:
    """An incident as it was recorded, and what had differed."""

    incident: IncidentRow
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Drained:
    """Which models were brought after the ledger, and what another hand had changed."""

    models: tuple[str, ...] = ()
    repairs: tuple[Repair, ...] = ()


def drain(platform: Platform, acting: Acting, asked: Collection[str] = ()) -> Drained:
    """Project every model that moved since the cursor, and those ``asked`` for; record and repair what differs.

    At least once and idempotent: a crash between the effect and the cursor repeats the effect. The cursor moves
    only when all effects have been had; one model that cannot be projected does not hold the others.

    Raises:
        DependencyFailed: the registry is down, or another process is at it for too long; the cursor stays, the
            next command tries again.
    """
    start, end, moved = _since(platform)
    if not moved and not asked:
        if end > start:
            platform.ledger.advance(SINK, end)
        return Drained()
    with platform.turns.take(f"sink/{SINK}", WAIT_SECONDS) as mine:
        if not mine:
            raise DependencyFailed(
                "registry-busy",
                f"got the registry's aliases being moved by another command for {WAIT_SECONDS:.0f} seconds, "
                "expected it to end",
                "run the same again",
            )
        start, end, moved = _since(platform)  # the other one may have done it
        return _project(platform, acting, start, end, dict.fromkeys([*moved, *asked]))


def incidents(state: StateReader) -> tuple[IncidentRow, ...]:
    """Return what was changed behind the ledger's back and put right, the latest first."""
    return tuple(sorted(state.select(IncidentRow), key=lambda row: -row.sequence))


def _since(platform: Platform) -> tuple[int, int, tuple[str, ...]]:
    """Return the cursor, the last event, and the models that moved between the two."""
    start = end = platform.ledger.cursor(SINK)
    moved: dict[str, None] = {}
    for event in platform.ledger.events(after=start):
        end = event.sequence
        if _moves(event) or event.type is EventType.REGISTRY_REPAIRED:
            moved[event.payload["model"]] = None
    return start, end, tuple(moved)


def _project(platform: Platform, acting: Acting, start: int, end: int, models: Collection[str]) -> Drained:
    repairs: list[Repair] = []
    failed: DependencyFailed | None = None
    for model in models:
        try:
            repairs += _follow(platform, acting, model, start)
        except DependencyFailed as error:
            failed = failed or error
    if failed is not None:
        if end > start:  # else nothing is owed, and nobody comes back to say that it is over
            platform.ledger.failed(SINK, failed.sentence, "")
        raise failed
    end = _behind_us(platform, end, {repair.incident.sequence for repair in repairs})
    if end > start:
        platform.ledger.advance(SINK, end)
    return Drained(tuple(models), tuple(repairs))


def _behind_us(platform: Platform, end: int, done: Collection[int]) -> int:
    """Return how far effects have been had, our own incidents included: the same hand again is another one."""
    for event in platform.ledger.events(after=end):
        owed = event.type is EventType.REGISTRY_REPAIRED and event.sequence not in done
        if owed or _moves(event):
            break
        end = event.sequence
    return end


def _follow(platform: Platform, acting: Acting, model: str, start: int) -> list[Repair]:
    """Bring one model after the ledger; return what another hand had changed."""
    known, on_record = _known(platform, model, start)
    found = platform.registry.differences(model, known)
    repairs = []
    if found and _facts(found) not in on_record:
        repairs.append(_record(platform, acting, model, found))
    late = platform.registry.project(model, known[-1], known)
    # Changed between the two, while we looked at it.
    if unseen := tuple(each for each in late if each not in found):
        repairs.append(_record(platform, acting, model, unseen))
    return repairs


def _known(
    platform: Platform, model: str, start: int
) -> tuple[Sequence[dict[int, str]], Collection[tuple[str, ...]]]:
    """Return the model's stages as the ledger had them at ``start`` and after each move since, the last as now.

    And the facts of incidents since then: those are on record already.
    """
    stages: dict[int, str] = {}
    before: list[dict[int, str]] = []
    on_record = set()
    for event in platform.ledger.events(stream=stream(model)):
        late = event.sequence > start
        if late and event.type is EventType.REGISTRY_REPAIRED:
            on_record.add(tuple(event.payload["facts"]))
        moves = _moves(event)
        if late and moves:
            before.append(dict(stages))
        stages |= moves
    return [*before, stages], on_record


def _moves(event: Event) -> dict[int, str]:
    """Return where an event takes versions, empty where it takes none anywhere."""
    if event.type is EventType.VERSION_REGISTERED:
        return {event.payload["number"]: str(Stage.CANDIDATE)}
    if event.type in _MOVING:
        return {move["version"]: move["to"] for move in event.payload["moves"]}
    return {}


#: Whatever moves versions says so as ``moves``; taking an approval back may move none.
_MOVING = frozenset(
    {
        EventType.PROMOTION_APPLIED,
        EventType.APPROVAL_REVOKED,
        EventType.MODEL_ROLLED_BACK,
        EventType.MODEL_STOPPED,
        EventType.VERSION_DEMOTED,
        EventType.VERSION_RETIRED,
    }
)


def _record(platform: Platform, acting: Acting, model: str, found: Sequence[Difference]) -> Repair:
    with platform.ledger.transaction() as tx:
        name = f"I-{len(tx.select(IncidentRow)) + 1}"
        payload = {"id": name, "model": model, "kind": SINK, "facts": list(_facts(found))}
        tx.append(draft(acting, EventType.REGISTRY_REPAIRED, stream(model), payload))
        row = tx.get(IncidentRow, name)
    assert row is not None  # the fold of the event just appended
    return Repair(row, tuple(found))


def _facts(found: Sequence[Difference]) -> tuple[str, ...]:
    return tuple(each.sentence for each in found)
