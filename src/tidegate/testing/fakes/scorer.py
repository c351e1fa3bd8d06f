"""A scorer of `FakeTrainer`'s artifacts: every row gets the one number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tidegate.adapters.shared.decisions import STALE
from tidegate.adapters.shared.drawing import drawn
from tidegate.adapters.shared.marking import marks, with_ages
from tidegate.application.ports import Frame, Marking, ModelSpec, Part, Segment
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.freshness import Staleness
from tidegate.testing.material import write_decisions


class FakeScorer:
    """Keeps decisions as the real one does: a Parquet file named by its Merkle root."""

    def score(
        self,
        artifact: Path,
        artifact_digest: str,
        model: ModelSpec,
        frame: Frame,
        into: Path,
        part: Part | None = None,
        marking: Marking | None = None,
    ) -> Segment:
        """Write one decision per row, or per row of a part."""
        import pyarrow.parquet as pq

        if not artifact.exists():
            raise DependencyFailed("artifact-missing", "got no file, expected the artifact")
        body = artifact.read_bytes()
        if (found := sha256(body)) != artifact_digest:
            raise DependencyFailed("artifact-altered", f"got the digest {found}, expected {artifact_digest}")
        rate = float(json.loads(body)["rate"])
        table = pq.read_table(frame.path)
        table = with_ages(table, marking) if marking else table
        rows = table.to_pylist()
        names = dict.fromkeys((model.entity_time, *model.keys, *model.numeric, *model.categorical))
        if rows and (missing := [name for name in names if name not in rows[0]]):
            raise BadInput("missing-column", f"got a frame without {missing}, expected the declared columns")
        if part is not None:
            table = drawn(table, model, part)
            rows = table.to_pylist()
        decisions = [{**{name: row[name] for name in names}, "score": rate} for row in rows]
        stale: Mapping[str, Staleness] = {}
        if marking is not None:
            named, stale = marks(table, marking.objectives)
            decisions = [{**row, STALE: of} for row, of in zip(decisions, named.to_pylist(), strict=True)]
        segment = write_decisions(decisions, into / "decisions.part", model)
        path = segment.path.replace(into / f"{segment.root[7:]}.parquet")
        return replace(segment, path=path, stale=stale)
