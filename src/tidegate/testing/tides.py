"""A small dataset for tests: hourly levels at tide gauges, under a contract with one check of every kind.

`write_tides` writes it as files, as a team would have it; `TIDES` is the same contract as a value.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidegate.domain.contract import Check, Column, Contract, OnRow, Severity

_NOT_NULL = "expect_column_values_to_not_be_null"
_ROWS = {"min_value": 2, "max_value": 1000}
_LEVELS = {"column": "level", "min_value": -5, "max_value": 15}
_CAPITALS = {"column": "station", "regex": "^[A-Z]{3}$"}
_KEY = {"column_list": ["station", "at"]}

#: id, expectation, arguments, severity, what happens to rows, sentence
_CHECKS = (
    ("T01", "expect_table_row_count_to_be_between", _ROWS, "critical", "keep", "Rows came"),
    ("T02", _NOT_NULL, {"column": "station"}, "critical", "quarantine", "A station is named"),
    ("T03", _NOT_NULL, {"column": "at"}, "critical", "quarantine", "A time is given"),
    ("T04", "expect_compound_columns_to_be_unique", _KEY, "critical", "quarantine", "A station reports once"),
    ("T05", "expect_column_values_to_be_between", _LEVELS, "warning", "quarantine", "Levels are -5 to 15 m"),
    ("T06", "expect_column_values_to_match_regex", _CAPITALS, "info", "keep", "A station has three capitals"),
)

TIDES = Contract(
    dataset="tides",
    version="1.0.0",
    owner="harbour-office",
    columns=(
        Column("station", "string", required=True, classification="public"),
        Column("at", "timestamp", required=True, classification="public"),
        Column("level", "number", required=False, classification="public"),
        Column("reading", "integer", required=False, classification="public"),
        Column("note", "string", required=False, classification="confidential"),
    ),
    key=("station", "at"),
    checks=tuple(
        Check(rule, kind, Severity(severity), OnRow(on_row), not kind.startswith("expect_table"), sentence)
        for rule, kind, _, severity, on_row, sentence in _CHECKS
    ),
    min_rows=2,
    max_rows=1000,
    max_age=timedelta(days=2),
    quarantine_limit=0.5,
    digest="sha256:" + "7" * 64,
    purpose="Levels at the harbour's gauges, hour by hour.",
    period_columns=("at",),
    declared={"datums": ({"station": "ABC", "metres": 1.5},)},
)

HEADER = "station,at,level,reading,note"

#: Four sound rows, as a drop holds them: not in the order of the key, with nulls, quotes and an umlaut.
LINES = (
    "BCD,2013-01-01T01:00:00Z,0.5,2,",
    "ABC,2013-01-01T01:00:00Z,,1,calm",
    'ABC,2013-01-01T00:00:00Z,-1.25,,"slack, then ebb"',
    "ABC,2013-01-01T02:00:00Z,2.0,9007199254740993,Föhn",
)

ROWS: tuple[dict[str, object], ...] = tuple(
    {
        "station": station,
        "at": datetime(2013, 1, 1, hour, tzinfo=UTC),
        "level": level,
        "reading": 1,
        "note": None,
    }
    for station, hour, level in (("ABC", 0, 1.0), ("ABC", 1, 2.0), ("BCD", 0, 3.0), ("BCD", 1, None))
)


def write_tides(folder: Path, dataset: str = "tides") -> Path:
    """Write the contract and its suite below ``folder``, under the dataset's name, and return ``folder``."""
    columns = "".join(
        f"      - name: {column.name}\n        logicalType: {column.type}\n"
        f"        required: {str(column.required).lower()}\n        classification: {column.classification}\n"
        + (
            f"        primaryKey: true\n        primaryKeyPosition: {TIDES.key.index(column.name) + 1}\n"
            if column.name in TIDES.key
            else ""
        )
        for column in TIDES.columns
    )
    suite = {
        "name": dataset,
        "expectations": [
            {
                "type": kind,
                "kwargs": kwargs,
                "severity": severity,
                "meta": {"rule": rule, "on_row": on_row, "sentence": sentence},
            }
            for rule, kind, kwargs, severity, on_row, sentence in _CHECKS
        ],
    }
    for name in ("contracts", "suites"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    text = _CONTRACT.replace("DATASET", dataset).replace("COLUMNS\n", columns)
    (folder / "contracts" / f"{dataset}.yaml").write_text(text, encoding="utf-8")
    (folder / "suites" / f"{dataset}.json").write_text(json.dumps(suite, indent=2), encoding="utf-8")
    return folder


def write_harbour(project: Path, online: str = "", most: int = 50) -> Path:
    """Write a project whose tides may be pushed, ``most`` rows at once, and feed a view of each gauge's last hour.

    ``online`` is the address of a Redis for the features that are online; without it they lie in a file.
    """
    project.mkdir(parents=True, exist_ok=True)
    (project / "pyproject.toml").write_text("[tool.tidegate]\n")
    contract = write_tides(project / "expectations") / "contracts" / "tides.yaml"
    text = contract.read_text(encoding="utf-8")
    rows = f"customProperties:\n  - property: pushRows\n    value: [1, {most}]\n"
    contract.write_text(text.replace("customProperties:\n", rows), encoding="utf-8")
    features = project / "features"
    (features / "sources").mkdir(parents=True)
    kind = (
        f"redis.NewestRedisOnlineStore\n  url: {online}"
        if online
        else "sqlite.NewestSqliteOnlineStore\n  path: o.db"
    )
    (features / "feature_store.yaml").write_text(_FEATURE_STORE.replace("KIND", kind))
    (features / "definitions.py").write_text(_DEFINITIONS)
    (features / "permissions.py").write_text(PERMISSIONS)
    (features / "sources" / "gauge_hour.sql").write_text(_GAUGE_HOUR)
    return project


_FEATURE_STORE = """\
project: harbour
provider: local
registry:
  registry_type: sql
  path: sqlite:///.tidegate/feast/registry.db
  serve_features_while_materializing: true
offline_store:
  type: tidegate.adapters.feast_store.offline.PointInTimeOfflineStore
online_store:
  type: tidegate.adapters.feast_store.online_KIND
  expiry: materialized
entity_key_serialization_version: 3
"""

_DEFINITIONS = """\
import os
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float64

HOME = Path(__file__).resolve().parent.parent / os.environ.get("TIDEGATE_HOME", ".tidegate")

station = Entity(name="station", join_keys=["station"], value_type=ValueType.STRING)
history = FileSource(
    name="gauge_hour_history",
    path=str(HOME / "features" / "gauge_hour.parquet"),
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)
gauge_hour = FeatureView(
    name="gauge_hour",
    entities=[station],
    ttl=None,
    schema=[Field(name="level", dtype=Float64)],
    source=PushSource(name="gauge_hour_push", batch_source=history),
)
gauges = FeatureService(name="gauges", features=[gauge_hour])
"""

#: What opens every view to whoever works here.
PERMISSIONS = """\
from feast import FeatureView
from feast.permissions.action import READ, WRITE
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy

works = Permission(
    name="works",
    types=[FeatureView],
    policy=RoleBasedPolicy(roles=["feature_service", "ingest_service", "training_service", "scoring_service"]),
    actions=[*READ, *WRITE],
)
"""

_GAUGE_HOUR = """\
SELECT station, "at"::TIMESTAMPTZ AS event_timestamp, event_timestamp AS created_timestamp, level FROM tides
"""

_CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: harbour-DATASET
name: DATASET
version: 1.0.0
status: active
team:
  name: harbour-office
description:
  purpose: Levels at the harbour's gauges, hour by hour.
schema:
  - name: DATASET
    properties:
COLUMNS
    quality:
      - metric: rowCount
        mustBeBetween: [2, 1000]
      - type: custom
        engine: greatExpectations
        implementation:
          suite: DATASET
slaProperties:
  - property: freshness
    value: 48
    unit: h
customProperties:
  - property: quarantineLimit
    value: 0.5
  - property: periodColumns
    value: [at]
  - property: declared
    value:
      datums:
        - {station: ABC, metres: 1.5}
"""
