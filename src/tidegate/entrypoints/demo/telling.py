"""What the record gained, told in a few lines: the figures of the year, read off the events themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tidegate.domain.events import Event, EventType
from tidegate.domain.evidence import LOSSES

Payload = Mapping[str, Any]


def told(events: Iterable[Event]) -> list[str]:
    """Return the lines that people want to read; what only the record needs is left out."""
    lines: list[str] = []
    for event in events:
        tell = _TELL.get(event.type)
        lines += tell(event.payload) if tell else []
    return lines


def _measure(measure: Payload | None, digits: int = 4) -> str:
    if not measure or measure["value"] is None:
        return "not measured"
    if measure["low"] is None:
        return f"{measure['value']:.{digits}f}"
    return f"{measure['value']:.{digits}f} [{measure['low']:.{digits}f}, {measure['high']:.{digits}f}]"


def _batch(payload: Payload) -> list[str]:
    name = f"{payload['dataset']} {payload['period']}"
    counts = f"{payload['read']:,} rows in, {payload['accepted']:,} accepted, {payload['quarantined']:,} quarantined"
    lines = [f"{name}: {counts}"]
    if payload["supersedes"]:
        touched = ", ".join(payload["touches"]["versions"]) or "no version"
        lines[0] += (
            f"; revision {payload['revision']} restates it: {touched} had learned from what it replaces"
        )
    lines += [
        f"  {check['id']} {check['verdict']} ({check['severity']}): {check['sentence']}"
        for check in payload["report"]["checks"]
        if check["verdict"] != "passed"
    ]
    return lines + [f"  stopped by {stop['rule']}: {stop['sentence']}" for stop in payload["report"]["stops"]]


def _version(payload: Payload) -> list[str]:
    facts = payload["facts"]
    metrics, loss = facts["metrics"], LOSSES[facts["prediction"]]
    names = [name for name in ("roc_auc", loss, "skill", "calibration_gap") if name in metrics]
    figures = ", ".join(f"{name} {_measure(metrics[name])}" for name in names)
    return [
        f"{payload['model']} version {payload['number']} on {facts['rows']:,} rows: {figures}",
        f"  {facts['parity']['sentence']}",
    ]


def _applied(payload: Payload) -> list[str]:
    moves = ", ".join(
        f"version {move['version']}: {move['from']} → {move['to']}" for move in payload["moves"]
    )
    return [f"{payload['model']} {moves}"]


def _scored(payload: Payload) -> list[str]:
    line = f"{payload['model']} {payload['period']}: {payload['rows']:,} decisions by version {payload['version']}"
    marks = [
        f"{of['stale']:,} of {view} ({of['unknown']:,} without a value)"
        for view, of in sorted(payload["freshness"].items())
        if of["stale"]
    ]
    return [f"{line} ({payload['stage']})", *([f"  not fresh: {', '.join(marks)}"] if marks else [])]


def _canary(payload: Payload) -> list[str]:
    baseline = f"version {payload['baseline']}" if payload["baseline"] else "the fallback"
    subject = (
        f"{payload['model']} canary version {payload['version']} on {payload['period']} against {baseline}"
    )
    return [f"{subject}: {payload['verdict']}, {payload['sentence']}"]


def _monitor(payload: Payload) -> list[str]:
    evidence = payload["evidence"]
    lines = [f"{payload['model']} {payload['period']}, version {payload['version']}: {payload['verdict']}"]
    lines += [
        f"  {each['kind']} {each['verdict']}: {each['sentence']}"
        for each in evidence["binding"]
        if each["verdict"] != "passed" or each["kind"] in {"calibration_gap", "roc_auc", "mae"}
    ]
    drift = [each for each in evidence["information"] if each["kind"].startswith("drift:")]
    moved = sum(1 for each in drift if each["verdict"] == "failed")
    return [*lines, f"  drift is information: {moved} of {len(drift)} columns moved"]


def _refused(payload: Payload) -> list[str]:
    return [f"refused by {each['rule']}: {each['sentence']}" for each in payload["reasons"]]


_TELL: Mapping[EventType, Callable[[Payload], list[str]]] = {
    EventType.POLICY_ADOPTED: lambda p: [f"policy {p['name']} {p['version']} is in force"],
    EventType.BATCH_ACCEPTED: _batch,
    EventType.BATCH_REFUSED: _batch,
    EventType.DROP_REFUSED: lambda p: [
        f"{p['dataset']} {p['period']}".rstrip() + f": turned away ({p['code']})"
    ],
    EventType.FEATURES_MATERIALIZED: lambda p: [
        f"features online as known at {p['until'][:16]}: " + ", ".join(sorted(p["rows"]))
    ],
    EventType.VERSION_REGISTERED: _version,
    EventType.PROMOTION_REQUESTED: lambda p: (
        [f"{p['id']} asks version {p['version']} of {p['model']} into {p['target']}"]
        if p["target"] == "prod"
        else []
    ),
    EventType.PROMOTION_APPLIED: _applied,
    EventType.PROMOTION_REJECTED: lambda p: [f"{p['promotion']} rejected"],
    EventType.MODEL_ROLLED_BACK: _applied,
    EventType.VERSION_DEMOTED: _applied,
    EventType.ACTION_REFUSED: _refused,
    EventType.DECISIONS_SCORED: _scored,
    EventType.CANARY_ANALYSED: _canary,
    EventType.MONITOR_RAN: _monitor,
    EventType.REVIEW_OPENED: lambda p: [f"{p['id']} is open for a {p['role']}, due {p['due_at'][:10]}"],
    EventType.REVIEW_DECIDED: lambda p: [f"{p['id']} decided: {p['outcome']}"],
    EventType.REVIEW_FOLLOWED: lambda p: [f"{p['id']} followed: {p['followed']}"],
}
