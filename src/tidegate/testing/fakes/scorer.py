"""A scorer of `FakeTrainer`'s artifacts: every row gets the one number."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tidegate.adapters.shared.drawing import drawn
from tidegate.application.ports import Frame, ModelSpec, Part, Segment
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, DependencyFailed
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
    ) -> Segment:
        """Write one decision per row, or per row of a part."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not artifact.exists():
            raise DependencyFailed("artifact-missing", "got no file, expected the artifact")
        body = artifact.read_bytes()
        if (found := sha256(body)) != artifact_digest:
            raise DependencyFailed("artifact-altered", f"got the digest {found}, expected {artifact_digest}")
        rate = float(json.loads(body)["rate"])
        rows = pq.read_table(frame.path).to_pylist()
        names = dict.fromkeys((model.entity_time, *model.keys, *model.numeric, *model.categorical))
        if rows and (missing := [name for name in names if name not in rows[0]]):
            raise BadInput("missing-column", f"got a frame without {missing}, expected the declared columns")
        if part is not None:
            rows = drawn(pa.Table.from_pylist(rows), model, part).to_pylist()
        decisions = [{**{name: row[name] for name in names}, "score": rate} for row in rows]
        segment = write_decisions(decisions, into / "decisions.part", model)
        return replace(segment, path=segment.path.replace(into / f"{segment.root[7:]}.parquet"))
