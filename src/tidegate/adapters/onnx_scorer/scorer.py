"""Scores frames with ONNX Runtime from verified bytes, and keeps the decisions as a segment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tidegate.adapters.shared.arrow import write_parquet
from tidegate.adapters.shared.decisions import SCORE, STALE, decisions_root
from tidegate.adapters.shared.drawing import drawn
from tidegate.adapters.shared.files import read_artifact
from tidegate.adapters.shared.frames import read_frame
from tidegate.adapters.shared.marking import marks, with_ages
from tidegate.adapters.shared.onnx_session import asked_arrays, open_session, predictions, require_columns
from tidegate.application.ports import Frame, Marking, ModelSpec, Part, Segment
from tidegate.domain.freshness import Staleness


class OnnxScorer:
    """Loads no pickle and runs no code of the model's: an ONNX graph is data."""

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
        """Write one decision per row of ``frame``, or of a ``part`` of it (in its order), as ``into/<root>.parquet``.

        Columns: entity time, keys, inputs as the store gave them, ``score``: a probability or a number. With
        ``marking`` also ``stale_views``: of which views the row rests on a value that is not fresh.

        Raises:
            BadInput: the frame lacks a declared column, or one is of another type.
            DependencyFailed: the artifact's bytes do not have this digest, it cannot be loaded or predicts
                another kind, or the frame cannot be read or no longer has its digest.
        """
        import pyarrow as pa

        # Read once: what is verified is what is loaded, whatever happens to the file meanwhile.
        session = open_session(read_artifact(artifact, artifact_digest), f"artifact {artifact_digest}")
        table = read_frame(frame, f"a frame of {model.name}")
        names = list(dict.fromkeys((model.entity_time, *model.keys, *model.numeric, *model.categorical)))
        require_columns(table, names, what := f"a frame of {model.name}")
        if marking is not None:
            table = with_ages(table, marking)
        if part is not None:
            table = drawn(table, model, part)
        # What a rollback restores may have been trained on fewer inputs than are declared today.
        arrays = asked_arrays(session, table, model, what)
        scores = predictions(session, arrays, table.num_rows, model.prediction)
        decisions = table.select(names).replace_schema_metadata(None).append_column(SCORE, pa.array(scores))
        stale: Mapping[str, Staleness] = {}
        if marking is not None:
            named, stale = marks(table, marking.objectives)
            decisions = decisions.append_column(STALE, named)
        root = decisions_root(decisions, model)
        path = into / f"{root.removeprefix('sha256:')}.parquet"
        if not path.exists():
            write_parquet(decisions, path)
        return Segment(root=root, path=path, records=decisions.num_rows, stale=stale)
