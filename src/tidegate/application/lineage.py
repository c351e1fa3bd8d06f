"""Where a version comes from: drops, batches, feature views, training set, run.

Ids and digests alone, as they were when it was trained: nothing that another installation calls otherwise, and
nothing that a later build changes.
"""

from __future__ import annotations

from typing import Any

from tidegate.application.ports import StateReader
from tidegate.domain.state import BatchRow, TrainingSetRow, VersionRow


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
