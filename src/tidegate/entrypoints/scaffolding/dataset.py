"""A dataset's first contract and suite, drawn from a sample drop. A person reads both before they are used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import combinations, islice
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.domain.errors import BadInput
from tidegate.entrypoints.scaffolding.names import checked
from tidegate.entrypoints.scaffolding.placing import place
from tidegate.entrypoints.scaffolding.promises import (
    FRESH_DAYS,
    QUARANTINE_LIMIT,
    Bounds,
    contract_text,
    suite_of,
)

if TYPE_CHECKING:
    from tidegate.adapters.arrow_batches.sample import Sample

_LONGEST_KEY, _MOST_KEYS = 4, 500


@dataclass(frozen=True)
class Scaffold:
    """The files that were written, and what was assumed to write them."""

    files: tuple[str, ...]
    assumed: tuple[str, ...]


def make_dataset(
    folder: Path,
    name: str,
    sample: Sample,
    key: Sequence[str] = (),
    period: Sequence[str] = (),
    owner: str = "",
    purpose: str = "",
) -> Scaffold:
    """Write ``contracts/NAME.yaml`` and ``suites/NAME.json`` below ``folder``, the project's expectations.

    Without ``key`` the first columns that tell every row apart are taken.

    Raises:
        BadInput: a bad name, a dataset that exists, a key or period column that the sample does not bear.
        DependencyFailed: the disk is full.
    """
    checked("dataset", name)
    contract, suite = f"contracts/{name}.yaml", f"suites/{name}.json"
    if (folder / contract).exists():
        raise BadInput(
            "exists",
            f"got the dataset {name!r}, which has a contract, expected a new name",
            f"see {contract}",
        )
    named = {column.name for column in sample.columns}
    unknown = [column for column in (*key, *period) if column not in named]
    if unknown:
        raise BadInput(
            "columns",
            f"got the column {unknown[0]!r}, expected one of the sample's: {', '.join(sorted(named))}",
            "see its header",
        )
    chosen = tuple(key) or _key(sample)
    _check_key(sample, chosen)
    least, most = _rounded(sample.rows // 2, down=True), _rounded(sample.rows * 2, down=False)
    bounds = (max(1, least), most)
    body = suite_of(name, sample.columns, chosen, bounds, version("great-expectations"))
    text = contract_text(name, sample.columns, sample.rows, chosen, period, bounds, owner, purpose)
    files = {
        suite: (json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode(),
        contract: text.encode(),
    }
    _check_size(files, len(sample.columns))
    return Scaffold(place(folder, files, contract), _assumed(sample, chosen, bounds, bool(key), period))


def _assumed(
    sample: Sample, key: Sequence[str], bounds: Bounds, given: bool, period: Sequence[str]
) -> tuple[str, ...]:
    required = sum(column.required for column in sample.columns)
    seen = f"{sample.looked_at} of {sample.rows} rows were looked at"
    chosen = "" if given else ": the first columns that tell every row looked at apart (--key says otherwise)"
    told = [
        f"{seen}: {required} of {len(sample.columns)} columns have a value in each, and are required",
        f"the key is {', '.join(key)}{chosen}",
        f"a drop holds between {bounds[0]} and {bounds[1]} rows: half and twice the sample",
        f"a drop with more than {QUARANTINE_LIMIT:.0%} of bad rows is held back whole",
        "every column is internal: its values are quoted in no message; public ones may be",
    ]
    if period:
        told.append(
            f"a drop arrives within {FRESH_DAYS} days after its period, which {', '.join(period)} tell"
        )
    else:
        told.append("no freshness is promised; --period-columns names the columns that tell a drop's period")
    return (*told, *sample.notes)


# ── key and bounds ────────────────────────────────────────────────────────────────────────────────


def _key(sample: Sample) -> tuple[str, ...]:
    """Return the fewest columns, first ones first, that tell every row apart. A measured number is no name."""
    names = [column.name for column in sample.columns if column.required and column.type != "number"]
    for size in range(1, _LONGEST_KEY + 1):
        for columns in islice(combinations(names, size), _MOST_KEYS):
            if not sample.repeated(columns):
                return columns
    raise BadInput(
        "no-key",
        f"got {sample.looked_at} rows that no {_LONGEST_KEY} columns without gaps tell apart, expected a key",
        "name it with --key, or remove rows that are there twice",
    )


def _check_key(sample: Sample, key: Sequence[str]) -> None:
    if len(set(key)) != len(key):
        raise BadInput("columns", "got a key column twice, expected each once", "mend --key")
    gaps = [column.name for column in sample.columns if column.name in key and not column.required]
    if gaps:
        raise BadInput(
            "no-key",
            f"got the key column {gaps[0]!r} with rows that lack it, expected a value in each",
            "choose another key",
        )
    if repeated := sample.repeated(key):
        raise BadInput(
            "no-key",
            f"got {repeated} rows that share {', '.join(key)} with another, expected a key that tells rows apart",
            "add a column to --key",
        )


def _rounded(rows: int, *, down: bool) -> int:
    """Return a number of two digits and zeros: nobody promises 4,953 rows."""
    step = int(10 ** max(0, len(str(rows)) - 2))
    return rows // step * step if down else -(-rows // step) * step


def _check_size(files: Mapping[str, bytes], columns: int) -> None:
    from tidegate.adapters.shared.yaml_reader import MAX_BYTES

    for path, body in files.items():
        if len(body) > MAX_BYTES:
            raise BadInput(
                "too-wide",
                f"got a sample of {columns} columns, for which {path} would hold {len(body):,} bytes, expected at most "
                f"{MAX_BYTES:,}",
                "deliver the columns you use as a dataset of their own",
            )
