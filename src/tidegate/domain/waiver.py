"""Waivers: a person lets one check of a dataset not stop it, for a while and in the open (rule G6).

Pure. A waiver names a dataset, one check (or one of the limits in `LIMITS`), a period or all of them, and an end. While
it is in force what that check finds neither stops a batch nor sets a row aside; what it found is recorded as a use of
the waiver. A check that could not measure is not waived: nobody can let through what nobody has seen (G1).

    G6  a waiver is given by a person, for a check that the contract has, and for at most `MOST_DAYS` days; it counts
        for its dataset, check and period only, and not after its end, whatever clocks do
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.domain.canonical import utc_time
from tidegate.domain.lifecycle import time_for
from tidegate.domain.state import WaiverRow

#: What a contract limits beside its checks, by the code of the stop.
LIMITS = ("volume", "freshness", "quarantine-share")
#: What is needed for longer is a change of the contract.
MOST_DAYS = 31


@dataclass(frozen=True)
class Use:
    """What a waiver let through in one batch: how many rows its check had found (0: the batch as a whole)."""

    waiver: str
    check: str
    rows: int
    sentence: str

    def as_dict(self) -> dict[str, str | int]:
        """Return the use as a payload."""
        return {"waiver": self.waiver, "check": self.check, "rows": self.rows, "sentence": self.sentence}


def in_force(
    waivers: Iterable[WaiverRow],
    dataset: str,
    period: str,
    marks: Sequence[tuple[int, str]],
    now: datetime,
) -> Mapping[str, str]:
    """Return what is waived for one period of a dataset: waivers by check, the one given first where several are."""
    found: dict[str, str] = {}
    for row in sorted(waivers, key=lambda row: row.sequence):
        if (
            row.dataset == dataset
            and row.period in {"", period}
            and not row.ended
            and time_for(marks, row.sequence, now) < utc_time(row.until)
        ):
            found.setdefault(row.check, row.id)
    return found
