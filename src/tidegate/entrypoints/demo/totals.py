"""What the whole record adds up to, counted from its events: the figures that README quotes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tidegate.domain.counting import many
from tidegate.domain.events import Event, EventType


def totals(events: Sequence[Event]) -> list[str]:
    """Return a line for each dataset, two for each model, and one for what people decided."""
    datasets = {event.payload["dataset"]: None for event in events if event.type in _GATED}
    models = {event.payload["name"]: None for event in events if event.type is EventType.MODEL_REGISTERED}
    return [
        *(_dataset(name, events) for name in datasets),
        *(line for name in models for line in _model(name, events)),
        _people(events),
    ]


_GATED = {EventType.BATCH_ACCEPTED, EventType.BATCH_REFUSED}


def _dataset(name: str, events: Iterable[Event]) -> str:
    drops = [event.payload for event in events if event.type in _GATED and event.payload["dataset"] == name]
    read, accepted, held = (sum(drop[key] for drop in drops) for key in ("read", "accepted", "quarantined"))
    restated = sum(1 for drop in drops if drop["supersedes"])
    line = f"{name}: {read:,} rows in {many(len(drops), 'drop')}, {accepted:,} accepted, {held:,} quarantined"
    return f"{line}; {many(restated, 'drop')} restated another" if restated else line


def _model(name: str, events: Iterable[Event]) -> list[str]:
    own = [event for event in events if event.payload.get("model") == name]
    versions = sum(1 for event in own if event.type is EventType.VERSION_REGISTERED)
    scored: Counter[str] = Counter()
    for event in own:
        if event.type is EventType.DECISIONS_SCORED:
            scored[event.payload["stage"]] += event.payload["rows"]
    decisions = ", ".join(f"{rows:,} in {stage}" for stage, rows in scored.items())
    monitors, canaries = (_verdicts(own, kind) for kind in (EventType.MONITOR_RAN, EventType.CANARY_ANALYSED))
    return [
        f"{name}: {many(versions, 'version')}, {sum(scored.values()):,} decisions ({decisions or 'none'})",
        f"  the last verdict on each month: monitors {monitors}; canaries {canaries}",
    ]


def _verdicts(events: Iterable[Event], kind: EventType) -> str:
    """Count the last verdict on each version and period: one that waited for labels, or on wrong data, is not it."""
    last = {
        (event.payload["version"], event.payload["period"]): event.payload["verdict"]
        for event in events
        if event.type is kind
    }
    return (
        ", ".join(f"{count} {verdict}" for verdict, count in sorted(Counter(last.values()).items())) or "none"
    )


def _people(events: Iterable[Event]) -> str:
    kinds = Counter(event.type for event in events)
    return (
        f"people: {many(kinds[EventType.PROMOTION_APPROVED], 'approval')}, "
        f"{many(kinds[EventType.PROMOTION_REJECTED], 'rejection')}, "
        f"{kinds[EventType.REVIEW_DECIDED]} of {many(kinds[EventType.REVIEW_OPENED], 'review')} decided, "
        f"{many(kinds[EventType.ACTION_REFUSED], 'refusal')}"
    )
