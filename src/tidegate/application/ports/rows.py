"""Rows, in memory and in files whose root is on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tidegate.domain.freshness import Staleness


class Table(Protocol):
    """Rows in memory. Real adapters pass ``pyarrow.Table``."""

    @property
    def num_rows(self) -> int: ...

    @property
    def column_names(self) -> list[str]: ...


@dataclass(frozen=True)
class Segment:
    """A file of many records whose Merkle root goes into the chain.

    ``stale`` says of decisions how many are marked, by view.
    """

    root: str
    path: Path
    records: int
    stale: Mapping[str, Staleness] = field(default_factory=dict)
