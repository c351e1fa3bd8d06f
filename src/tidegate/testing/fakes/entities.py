"""Entities whose rows are the rows of the model's first dataset, as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tidegate.application.ports import Frame, ModelSpec
from tidegate.domain.errors import BadInput
from tidegate.testing.material import write_rows


class FakeEntities:
    """Writes frames into ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def frame(
        self,
        model: ModelSpec,
        batches: Mapping[str, Sequence[Path]],
        declared: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]],
        window: tuple[datetime, datetime],
    ) -> Frame:
        """Return the rows of a window, ordered by time and key."""
        return self._written(self._inside(model, batches, window))

    def outcomes(
        self,
        model: ModelSpec,
        batches: Mapping[str, Sequence[Path]],
        declared: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]],
        window: tuple[datetime, datetime],
        known_by: datetime,
    ) -> Frame:
        """Return what came of the rows of a window, as known by a moment."""
        told = []
        for row in self._inside(model, batches, window):
            known = row[model.label_time] is not None and row[model.label_time] <= known_by
            outcome = {name: row[name] if known else None for name in (model.label, model.label_time)}
            told.append({name: row[name] for name in (model.entity_time, *model.keys)} | outcome)
        return self._written(told)

    def _inside(
        self, model: ModelSpec, batches: Mapping[str, Sequence[Path]], window: tuple[datetime, datetime]
    ) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        rows = [row for path in batches[model.datasets[0]] for row in pq.read_table(path).to_pylist()]
        order = (model.entity_time, *model.keys)
        inside = sorted(
            (row for row in rows if window[0] <= row[model.entity_time] < window[1]),
            key=lambda row: tuple(row[name] for name in order),
        )
        seen = [tuple(row[name] for name in order) for row in inside]
        if len(set(seen)) < len(seen):
            raise BadInput("repeated-key", f"got a key of {model.name} twice, expected {order} to name a row")
        return inside

    def _written(self, rows: Sequence[Mapping[str, Any]]) -> Frame:
        part = write_rows(rows, self._folder / "entities.part")
        path = part.path.replace(self._folder / f"{part.digest[4:]}.parquet")
        return replace(part, path=path)
