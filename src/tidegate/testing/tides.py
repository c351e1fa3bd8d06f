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


def write_tides(folder: Path, dataset: str = "tides", more: str = "", hours: int = 48) -> Path:
    """Write the contract and its suite below ``folder``, under the dataset's name, and return ``folder``.

    ``more`` are the YAML lines of columns behind those of `TIDES`; a drop may be so many ``hours`` old.
    """
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
    text = _CONTRACT.replace("DATASET", dataset).replace("COLUMNS\n", columns + more)
    text = text.replace("HOURS", str(hours))
    (folder / "contracts" / f"{dataset}.yaml").write_text(text, encoding="utf-8")
    (folder / "suites" / f"{dataset}.json").write_text(json.dumps(suite, indent=2), encoding="utf-8")
    return folder


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
    value: HOURS
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
