"""Two small models with their rows, for contract suites and for tests of your own adapters.

Trams of three lines, late more often when full, and later: enough signal to fit, small enough to fit in a
second. One model says how likely a tram is ``late`` (a probability), one by how many minutes it is behind
(``delay``, a number). Both are called `NAME` and read the same rows: only what is predicted differs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidegate.application.ports import Frame, ModelSpec, Segment, Windows
from tidegate.domain.canonical import sha256

NAME = "tram_delay"
FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
DATASET = "trips"
#: What is predicted, and the label that it is predicted of.
LABELS: Mapping[str, str] = {"probability": "late", "number": "delay"}
NO_DECLARED: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]] = {}

MODEL_YAML = """\
name: tram_delay
owner: network-operations
purpose: Say how likely a tram is late.
tier: low
service: tram_delay
datasets: [trips]
prediction: probability
label: late
label_time: known_at
entity_time: departs_at
keys: [line, trip]
inputs:
  numeric: [load, stops]
  categorical: [line]
fallback:
  kind: abstain
  sentence: Nobody is told anything.
windows: {train_days: 10, calibrate_days: 5, validate_days: 5}
parameters: {seed: 7}
evaluation: {status: status, sensitivity: diverted, slice_by: line, resamples: 200}
"""

NUMBER_YAML = (
    MODEL_YAML.replace("prediction: probability", "prediction: number")
    .replace("label: late", "label: delay")
    .replace("sensitivity: diverted, ", "")
    .replace("how likely a tram is late", "how many minutes a tram is late")
)

ROWS_SQL = "SELECT * FROM trips\n"

TRAIN_PY = '''\
"""A logistic model, calibrated on later rows."""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder


def pipeline(numeric, categorical, parameters, train_rows, calibrate_rows):
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.float32)
    columns = [("numeric", "passthrough", list(numeric)), ("codes", codes, list(categorical))]
    trees = HistGradientBoostingClassifier(max_iter=20, early_stopping=False, random_state=parameters["seed"])
    calibrated = CalibratedClassifierCV(trees, method="sigmoid", cv=[(train_rows, calibrate_rows)])
    return Pipeline([("columns", ColumnTransformer(columns)), ("calibrated", calibrated)])
'''

NUMBER_TRAIN_PY = '''\
"""Trees that learn the median delay of both windows."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder


def pipeline(numeric, categorical, parameters, train_rows, calibrate_rows):
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.float32)
    columns = [("numeric", "passthrough", list(numeric)), ("codes", codes, list(categorical))]
    trees = HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=20, early_stopping=False, random_state=parameters["seed"]
    )
    return Pipeline([("columns", ColumnTransformer(columns)), ("trees", trees)])
'''

#: The texts of a model's folder that depend on what it predicts.
_TEXTS: Mapping[str, Mapping[str, str]] = {
    "probability": {"model": MODEL_YAML, "train": TRAIN_PY},
    "number": {"model": NUMBER_YAML, "train": NUMBER_TRAIN_PY},
}


def write_model(models: Path, name: str = NAME, *, prediction: str = "probability", **files: str) -> Path:
    """Write a small model's folder below ``models``; ``files`` replace texts by their stem."""
    folder = models / name
    folder.mkdir(parents=True)
    texts = {**_TEXTS[prediction], "rows": ROWS_SQL, "card": "# tram_delay\n", **files}
    suffixes = {"model": ".yaml", "rows": ".sql", "train": ".py", "card": ".md"}
    for stem, text in texts.items():
        (folder / f"{stem}{suffixes[stem]}").write_text(
            text.replace(f"name: {NAME}", f"name: {name}"), "utf-8"
        )
    return folder


def model_spec(folder: Path, prediction: str = "probability") -> ModelSpec:
    """Return a small model's declaration without reading a file."""
    said = "how likely a tram is late" if prediction == "probability" else "how many minutes a tram is late"
    return ModelSpec(
        name=NAME,
        owner="network-operations",
        purpose=f"Say {said}.",
        tier="low",
        service=NAME,
        label=LABELS[prediction],
        prediction=prediction,
        entity_time="departs_at",
        label_time="known_at",
        keys=("line", "trip"),
        numeric=("load", "stops"),
        categorical=("line",),
        datasets=(DATASET,),
        fallback="abstain: Nobody is told anything.",
        parameters={"seed": 7, "train_days": 10, "calibrate_days": 5, "validate_days": 5},
        source_digest=sha256(b"the small model"),
        folder=folder,
    )


def windows() -> Windows:
    """Return ten days to train, five to calibrate, five to validate; labels known a day after the last."""
    start, days = FIRST_DAY, timedelta(days=1)
    cuts = [start, start + 10 * days, start + 15 * days, start + 20 * days]
    return Windows((cuts[0], cuts[1]), (cuts[1], cuts[2]), (cuts[2], cuts[3]), cuts[3] + days)


def trips(days: int = 20, seed: int = 7) -> list[dict[str, object]]:
    """Return 120 trips a day; some cancelled, some diverted, both without a label."""
    chance, minutes = random.Random(seed), random.Random(seed + 1)
    rows: list[dict[str, object]] = []
    for number in range(days * 120):
        departs = FIRST_DAY + timedelta(minutes=12 * number)
        load, line = chance.random(), "ABC"[number % 3]
        status = "cancelled" if number % 41 == 0 else "diverted" if number % 97 == 0 else "arrived"
        arrived = status == "arrived"
        rows.append(
            {
                "departs_at": departs,
                "line": line,
                "trip": number,
                "load": load if number % 29 else None,
                "stops": 5 + number % 7,
                "status": status,
                "late": chance.random() < 0.1 + 0.6 * load if arrived else None,
                "delay": 20 * load - 5 + minutes.gauss(0, 4) if arrived else None,
                "known_at": departs + timedelta(hours=3) if arrived else None,
            }
        )
    return rows


def write_rows(rows: Sequence[Mapping[str, object]], path: Path) -> Frame:
    """Write rows as one Parquet file, named as a frame by its content."""
    import pyarrow as pa

    from tidegate.adapters.shared.arrow import table_digest, write_parquet

    table = pa.Table.from_pylist([dict(row) for row in rows])
    columns = tuple(table.column_names)
    return Frame(table_digest(table), write_parquet(table, path), len(rows), columns)


def write_decisions(rows: Sequence[Mapping[str, object]], path: Path, model: ModelSpec) -> Segment:
    """Write rows as the decisions of ``model``, with their Merkle root."""
    import pyarrow as pa

    from tidegate.adapters.shared.arrow import write_parquet
    from tidegate.adapters.shared.decisions import decisions_root

    table = pa.Table.from_pylist([dict(row) for row in rows])
    return Segment(decisions_root(table, model), write_parquet(table, path), len(rows))


def altered(path: Path, column: str, row: int) -> str:
    """Change one number of a Parquet file, as an intruder would; return the digest of what it now holds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tidegate.adapters.shared.arrow import table_digest, write_parquet

    table = pq.read_table(path, partitioning=None)
    values = table.column(column).to_pylist()
    values[row] = values[row] / 2 + 0.001
    at = table.schema.get_field_index(column)
    table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    write_parquet(table, path)
    return table_digest(table)
