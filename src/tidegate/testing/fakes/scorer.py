"""A scorer of `FakeTrainer`'s artifacts: every row gets the one number."""

from __future__ import annotations

import json
from pathlib import Path

from tidegate.application.ports import Frame, ModelSpec, Segment
from tidegate.domain.canonical import canonical, sha256, utc_text
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.merkle import merkle_root
from tidegate.testing.material import write_rows


class FakeScorer:
    """Keeps decisions as the real one does: a Parquet file named by its Merkle root."""

    def score(
        self, artifact: Path, artifact_digest: str, model: ModelSpec, frame: Frame, into: Path
    ) -> Segment:
        """Write one decision per row."""
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
        decisions = [{**{name: row[name] for name in names}, "score": rate} for row in rows]
        root = merkle_root(
            canonical(
                {
                    "keys": {name: str(row[name]) for name in model.keys},
                    "entity_time": utc_text(row[model.entity_time]),
                    "score": repr(rate),
                }
            )
            for row in rows
        )
        path = into / f"{root[7:]}.parquet"
        write_rows(decisions, path)
        return Segment(root, path, len(decisions))
