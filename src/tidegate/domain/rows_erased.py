"""The fold of an erasure of rows: what is left of each file takes its place wherever it is spoken of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.events import Event
from tidegate.domain.folding import View
from tidegate.domain.keeping import Without
from tidegate.domain.state import (
    BatchRow,
    ErasedFileRow,
    ErasedSubjectRow,
    FeatureViewRow,
    PushRow,
    Row,
    ScoringRow,
    TrainingSetRow,
)

#: The file of a segment of decisions is called by its root.
_DECISIONS = "{}.parquet"


def rows_erased(view: View, event: Event) -> list[Row]:
    """Return every row that speaks of an erased file, as it is now; what was measured of a version stays."""
    said = event.payload
    files = [Without(**each) for each in said["files"]]
    gone = [ErasedFileRow(**each, sequence=event.sequence) for each in said["files"]]
    whose = [ErasedSubjectRow(said["dataset"], said["subject"], event.sequence)] if said["subject"] else []
    batches = {each.digest: each for each in files if each.kind == "batch"}
    held = {each.digest: each for each in files if each.kind == "quarantine"}
    sources = {(each.place, each.digest): each for each in files if each.kind == "source"}
    decisions = {each.digest: each for each in files if each.kind == "decisions"}
    return [
        *gone,
        *whose,
        *(_batch(row, batches, held) for row in view.select(BatchRow, dataset=said["dataset"])),
        *(
            _push(row, batches, held)
            for row in view.select(PushRow, dataset=said["dataset"])
            if row.quarantine_root in held or any(part["batch"] in batches for part in row.parts.values())
        ),
        *(replace(row, batches=_named(row.batches, batches)) for row in view.select(TrainingSetRow)),
        *(_view(row, batches, sources) for row in view.select(FeatureViewRow)),
        *(_scoring(row, decisions[row.root]) for row in view.select(ScoringRow) if row.root in decisions),
    ]


def _batch(row: BatchRow, batches: Mapping[str, Without], held: Mapping[str, Without]) -> BatchRow:
    kept, back = batches.get(row.batch), held.get(row.quarantine_root)
    fewer = (kept.rows if kept else 0, back.rows if back else 0)
    return replace(
        row,
        batch=_now(row.batch, batches),
        supersedes=_now(row.supersedes, batches),
        superseded_by=_now(row.superseded_by, batches),
        quarantine_root=_now(row.quarantine_root, held),
        accepted=row.accepted - fewer[0],
        quarantined=row.quarantined - fewer[1],
        erased=row.erased + sum(fewer),
    )


def _push(row: PushRow, batches: Mapping[str, Without], held: Mapping[str, Without]) -> PushRow:
    parts = {period: _part(part, batches) for period, part in row.parts.items()}
    accepted, back = sum(part["rows"] for part in parts.values()), held.get(row.quarantine_root)
    quarantined = row.quarantined - (back.rows if back else 0)
    return replace(
        row,
        parts=parts,
        quarantine_root=_now(row.quarantine_root, held),
        accepted=accepted,
        quarantined=quarantined,
        erased=row.read - accepted - quarantined,
    )


def _part(part: Mapping[str, Any], batches: Mapping[str, Without]) -> Mapping[str, Any]:
    kept = batches.get(part["batch"])
    return {"batch": kept.successor, "rows": part["rows"] - kept.rows} if kept else part


def _view(
    row: FeatureViewRow, batches: Mapping[str, Without], sources: Mapping[tuple[str, str], Without]
) -> FeatureViewRow:
    batched = replace(row, batches=_named(row.batches, batches))
    source = sources.get((row.view, row.source))
    return replace(batched, source=source.successor, rows=row.rows - source.rows) if source else batched


def _scoring(row: ScoringRow, left: Without) -> ScoringRow:
    file = _DECISIONS.format(left.successor.rpartition(":")[2])
    return replace(row, root=left.successor, file=file, rows=row.rows - left.rows)


def _now(digest: str, files: Mapping[str, Without]) -> str:
    return files[digest].successor if digest in files else digest


def _named(batches: Iterable[str], files: Mapping[str, Without]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_now(each, files) for each in batches))
