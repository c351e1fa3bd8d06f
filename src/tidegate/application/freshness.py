"""How fresh the views are that a version consumes, by the record: at a moment, and where it decides."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tidegate.application.ports import StateReader
from tidegate.domain.canonical import utc_time
from tidegate.domain.freshness import age, of_newest, of_values, spelled, stale
from tidegate.domain.lifecycle import Precondition, time_for
from tidegate.domain.policy import Stage
from tidegate.domain.state import FeatureViewRow, ScoringRow, VersionRow


def consumed(state: StateReader, version: VersionRow) -> dict[str, FeatureViewRow]:
    """Return the views that a version's service selects, as they are on record now."""
    features = version.facts.get("features", {})
    names = features.get("selected", features.get("definitions", {}))
    rows = {name: state.get(FeatureViewRow, name) for name in sorted(names)}
    return {name: row for name, row in rows.items() if row is not None}


def asked_of_values(state: StateReader, version: VersionRow) -> dict[str, timedelta]:
    """Return how old a value may be when the version decides on it, by view; of others nobody says."""
    objectives = {name: of_values(row.objective) for name, row in consumed(state, version).items()}
    return {name: objective for name, objective in objectives.items() if objective is not None}


def newest(
    state: StateReader, rows: Mapping[str, FeatureViewRow], now: datetime
) -> dict[str, dict[str, Any]]:
    """Return of each view with an objective when its newest known data are from, and how old they are, in seconds.

    A clock that is set back makes nothing fresh again.
    """
    marks, found = state.marks(), dict[str, dict[str, Any]]()
    for name, row in rows.items():
        if (objective := of_newest(row.objective)) is not None:
            moment = time_for(marks, row.sequence, now)
            old = age(utc_time(row.newest) if row.newest else None, moment)
            found[name] = {
                "newest": row.newest,
                "age": None if old is None else int(old.total_seconds()),
                "objective": int(objective.total_seconds()),
                "fresh": not stale(old, objective),
            }
    return found


def fresh_views(state: StateReader, version: VersionRow, now: datetime) -> Precondition:
    """Say whether the newest data of each view that a version consumes are within the view's objective."""
    views = newest(state, consumed(state, version), now)
    old = [said(name, each) for name, each in views.items() if not each["fresh"]]
    held = f"the newest data of {', '.join(views)} are as fresh as they must be"
    sentence = "; ".join(old) or (held if views else "no view that it consumes says how fresh it must be")
    step = "ingest what is late, then `tidegate run materialize`"
    return Precondition("fresh_views", "P8", not old, sentence, step, views)


def standings(state: StateReader, now: datetime) -> list[dict[str, Any]]:
    """Return of every view that says how fresh it must be how old its newest data are."""
    rows = {row.view: row for row in state.select(FeatureViewRow)}
    return [
        {"view": name, **each, "sentence": said(name, each)}
        for name, each in newest(state, rows, now).items()
    ]


def latest_marks(state: StateReader) -> list[dict[str, Any]]:
    """Return the latest scoring of each live version, and how many of its decisions are marked by view."""
    live = state.select(VersionRow, stage=str(Stage.PROD))
    found = []
    for version in live:
        rows = state.select(ScoringRow, model=version.model, version=version.number)
        if rows:
            last = max(rows, key=lambda row: (row.period, row.sequence))
            told = {"model": last.model, "period": last.period, "version": last.version, "rows": last.rows}
            found.append({**told, "freshness": dict(last.freshness)})
    return found


def said(view: str, found: Mapping[str, Any]) -> str:
    """Return in a sentence how old a view's newest data are."""
    most = spelled(timedelta(seconds=found["objective"]))
    if found["age"] is None:
        return f"nothing of {view} is known, expected data at most {most} old"
    return f"the newest data of {view} are {spelled(timedelta(seconds=found['age']))} old, expected at most {most}"
