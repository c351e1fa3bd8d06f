"""What a drawn contract and its suite say, in the Open Data Contract Standard and Great Expectations' own form."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence

from tidegate.domain.contract import Column

#: The fewest and the most rows of a drop, both included.
Bounds = tuple[int, int]
#: The share of bad rows and the days of delay that a new contract bears with.
QUARANTINE_LIMIT, FRESH_DAYS = 0.01, 10
#: Words that YAML 1.1, which some readers of contracts still speak, takes for something else.
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_BLANK = "# FILL IN: "


def suite_of(
    name: str, columns: Sequence[Column], key: Sequence[str], bounds: Bounds, written_for: str
) -> Mapping[str, object]:
    """Return a suite as Great Expectations of version ``written_for`` writes it: columns, volume, key, no gaps."""
    return {
        "expectations": _rules(name, columns, key, bounds),
        "id": _id(name, "suite"),
        "meta": {"great_expectations_version": written_for},
        "name": name,
        "notes": None,
    }


def _rules(
    name: str, columns: Sequence[Column], key: Sequence[str], bounds: Bounds
) -> list[Mapping[str, object]]:
    unique = (
        ("expect_column_values_to_be_unique", {"column": key[0]})
        if len(key) == 1
        else ("expect_compound_columns_to_be_unique", {"column_list": list(key)})
    )
    told: list[tuple[str, Mapping[str, object], str, str]] = [
        (
            "expect_table_columns_to_match_set",
            {"column_set": [column.name for column in columns]},
            "keep",
            f"The drop has exactly the {len(columns)} columns of the contract",
        ),
        (
            "expect_table_row_count_to_be_between",
            {"min_value": bounds[0], "max_value": bounds[1]},
            "keep",
            f"A drop holds between {bounds[0]} and {bounds[1]} rows",
        ),
        (*unique, "quarantine", f"A row is there once: {', '.join(key)} name it"),
    ]
    told += [
        (
            "expect_column_values_to_not_be_null",
            {"column": column.name},
            "quarantine",
            f"Every row has its {column.name}",
        )
        for column in columns
        if column.required
    ]
    return [
        {
            "id": _id(name, f"rule {number}"),
            "kwargs": kwargs,
            "meta": {"on_row": on_row, "rule": f"{name[0].upper()}{number:02}", "sentence": sentence},
            "severity": "critical",
            "type": kind,
        }
        for number, (kind, kwargs, on_row, sentence) in enumerate(told, 1)
    ]


def _id(name: str, what: str) -> str:
    """Return an id as Great Expectations has them; the same dataset gets the same again."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"tidegate:dataset/{name}/{what}"))


def contract_text(
    name: str,
    columns: Sequence[Column],
    rows: int,
    key: Sequence[str],
    period: Sequence[str],
    bounds: Bounds,
    owner: str,
    purpose: str,
) -> str:
    """Return a contract drawn from a sample of ``rows``; an owner or purpose that is not given is left empty."""
    lines = [
        f"# Data contract in the Open Data Contract Standard. Checked by: expectations/suites/{name}.json",
        f"# Drawn from a sample of {rows} rows: read every line, it is a promise from now on.",
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {name.replace('_', '-')}",
        f"name: {name}",
        "version: 1.0.0",
        "status: active",
        "team:",
        f"  name: {_filled(owner, 'the team that answers for these data')}",
        "description:",
        f"  purpose: {_filled(purpose, 'what a row is, and what the data are for, in a sentence')}",
        "",
        "schema:",
        f"  - name: {name}",
        "    physicalType: csv",
        "    properties:",
    ]
    for column in columns:
        lines += [f"      - name: {_scalar(column.name)}", f"        logicalType: {column.type}"]
        lines += [f"        required: {str(column.required).lower()}"]
        if column.name in key:
            position = list(key).index(column.name) + 1
            lines += ["        primaryKey: true", f"        primaryKeyPosition: {position}"]
        lines += [f"        classification: {column.classification}"]
    lines += [
        "    quality:",
        "      - id: volume",
        "        metric: rowCount",
        f"        mustBeBetween: [{bounds[0]}, {bounds[1]}]  # half and twice the sample; both included",
        "        unit: rows",
        "        description: Rows in one drop",
        "      - id: suite",
        "        type: custom",
        "        engine: greatExpectations",
        "        description: Every expectation names its rule, its severity and what happens to bad rows",
        "        implementation:",
        f"          suite: {name}",
        "",
    ]
    if period:
        lines += [
            "slaProperties:",
            "  - property: freshness",
            f"    value: {FRESH_DAYS}",
            "    unit: d",
            f"    description: A drop arrives within {FRESH_DAYS} days after its period has closed",
            "",
        ]
    lines += ["customProperties:"]
    if period:
        lines += [
            "  - property: periodColumns",
            f"    value: [{', '.join(_scalar(column) for column in period)}]",
            "    description: The columns that say which period a drop covers",
        ]
    lines += [
        "  - property: quarantineLimit",
        f"    value: {QUARANTINE_LIMIT}",
        "    description: A drop with a larger share of bad rows is held back whole",
    ]
    return "\n".join(lines) + "\n"


def _filled(text: str, what: str) -> str:
    return _scalar(text) if text.strip() else f"{_BLANK}{what}"


def _scalar(text: str) -> str:
    """Return a text as YAML: bare where every reader takes it for a text, else in quotes."""
    plain = text.isascii() and text.isidentifier() and text.lower() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)
