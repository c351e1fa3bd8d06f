"""Where a version comes from: drops, batches, feature views, training set, run.

Ids and digests alone, as they were when it was trained: nothing that another installation calls otherwise, and
nothing that a later build changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidegate.application.held import consumers
from tidegate.application.platform import Platform
from tidegate.application.ports import Ledger, StateReader
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import EventType
from tidegate.domain.feature_change import Of
from tidegate.domain.state import AccessRow, BatchRow, FeatureViewRow, TrainingSetRow, VersionRow


def lineage(state: StateReader, version: VersionRow) -> dict[str, Any]:
    """Return the whole way from source drops to a version; nothing where a part of it is not on record.

    A lineage with a hole is none: whoever requires one must be told so.
    """
    learned = state.get(TrainingSetRow, version.training_set)
    features = version.facts["features"]
    sources = features.get("sources", {})
    if learned is None or set(sources) != set(features["definitions"]):
        return {}
    drops = brought(state, learned)
    if set(drops) != set(learned.batches):
        return {}
    batches = sorted(drops.values(), key=lambda row: (row.dataset, row.period, row.batch))
    return {
        "batches": [
            {"dataset": row.dataset, "period": row.period, "batch": row.batch, "drop": row.drop}
            for row in batches
        ],
        "features": {
            view: {"definition": definition, "source": sources[view]}
            for view, definition in features["definitions"].items()
        },
        "training_set": {
            "digest": learned.digest,
            "entities": learned.entities,
            "service": learned.service,
            "rows": learned.rows,
        },
        "run": {
            "key": version.facts["training_key"],
            "source": version.source,
            "commit": version.facts["code"].get("commit", "unknown"),
        },
        "version": {"model": version.model, "number": version.number, "artifact": version.artifact},
    }


def brought(state: StateReader, learned: TrainingSetRow | None) -> dict[str, BatchRow]:
    """Return the drop that first brought each batch of a training set.

    A later drop with the same rows is the same batch: it changes nothing that was approved.
    """
    first: dict[str, BatchRow] = {}
    for row in sorted(state.select(BatchRow), key=lambda row: row.sequence):
        if learned is not None and row.batch in learned.batches:
            first.setdefault(row.batch, row)
    return first


def built_from(ledger: Ledger) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return, by view and the digest of its source, the batches that were in force when that was first built.

    It is read off the events: a row has the latest build alone, and versions learned from earlier ones.
    """
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for event in ledger.events(stream="features"):
        if event.type is EventType.FEATURES_BUILT:
            for view, built in event.payload["views"].items():
                if event.payload["batches"]:
                    found.setdefault((view, built["source"]), tuple(event.payload["batches"]))
    return found


def of_version(platform: Platform, state: StateReader, version: VersionRow) -> dict[str, Any]:
    """Return the way from the batches to a version, by view: what its service selected, and what that was built from.

    Views that its service does not select are left out, where it is on record what it selected.

    Raises:
        Refused: a part of the way is not on record.
    """
    whole = lineage(state, version)
    if not whole:
        name = f"{version.model} version {version.number}"
        raise Refused(
            "lineage-not-whole",
            f"got {name} without all of its drops, views or rows on record, expected the whole way",
            "train it again: what is recorded today reaches from the drops to the version",
        )
    selected, batches = version.facts["features"].get("selected"), built_from(platform.ledger)
    features = {
        view: {
            **each,
            "selected": list(selected[view]) if selected else None,
            "built_from": _named(state, batches.get((view, each["source"]), ())),
        }
        for view, each in whole["features"].items()
        if selected is None or view in selected
    }
    return whole | {"features": features}


def of_feature(platform: Platform, state: StateReader, name: str) -> list[dict[str, Any]]:
    """Return the views of this name, or with a field of this name, as they are built now, and who consumes them.

    Raises:
        BadInput: no view that is built has this name, or such a field.
    """
    rows = {row.view: row for row in state.select(FeatureViewRow)}
    known = platform.features.registered({view: row.definition for view, row in rows.items()}).views
    of = [view for view in sorted(rows) if view == name or (view in known and name in known[view].fields)]
    if not of:
        fields = sorted({field for view in known.values() for field in view.fields})
        expected = ", ".join([*sorted(rows), *fields]) or "none is built yet"
        raise BadInput(
            "unknown-feature",
            f"got {name!r}, expected a view or one of its fields: {expected}",
            "tidegate run materialize builds what features/ defines",
        )
    batches, standing = built_from(platform.ledger), consumers(state)
    return [
        {
            "view": view,
            "fields": dict(known[view].fields) if view in known else {},
            "definition": rows[view].definition,
            "source": rows[view].source,
            "rows": rows[view].rows,
            "online_until": rows[view].online_until,
            "open": {row.access: list(row.roles) for row in state.select(AccessRow, view=view) if row.roles},
            "newest": rows[view].newest,
            "objective": dict(rows[view].objective),
            "built_from": _named(state, batches.get((view, rows[view].source), ())),
            "consumers": [
                each.as_dict() | {"definition": each.definitions.get(view, "")}
                for each in standing
                if each.consumes(Of.VIEW, view) and (name == view or each.selects(view, name))
            ],
        }
        for view in of
    ]


def _named(state: StateReader, batches: Sequence[str]) -> list[dict[str, str]]:
    """Say of each batch whose it is, in the order of datasets and periods."""
    first: dict[str, BatchRow] = {}
    for row in sorted(state.select(BatchRow), key=lambda row: row.sequence):
        if row.batch in batches:
            first.setdefault(row.batch, row)
    told = [{"dataset": row.dataset, "period": row.period, "batch": row.batch} for row in first.values()]
    return sorted(told, key=lambda each: (each["dataset"], each["period"], each["batch"]))
