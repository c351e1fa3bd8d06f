"""Waivers: a person lets one check of a dataset not stop it, for a while, a few times, and in the open (rule G6).

Pure. A waiver names a dataset, one check (or one of the limits in `LIMITS`), a period or all of them, an end, and how
many batches it is good for. While it is in force what that check finds neither stops a batch nor sets a row aside; what
it found is recorded as a use of the waiver. A check that could not measure is not waived: nobody can let through what
nobody has seen (G1).

    G6  a waiver is given by a person whose role permits it, for a check that the contract has, for at most `MOST_DAYS`
        days and `MOST_USES` batches; it counts for its dataset, check and period only, not for a drop that its giver
        had brought, under whichever account, and not after its end or its last use, whatever clocks do; what it let
        in stays in, also where other rows of its drop are put back
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tidegate.domain.canonical import utc_time
from tidegate.domain.lifecycle import time_for
from tidegate.domain.state import WaiverRow

#: What a contract limits beside its checks, by the code of the stop.
LIMITS = ("volume", "freshness", "quarantine-share")
#: What no check of a suite may be called: the limits, and what is asked of the rows of every drop.
TAKEN = (*LIMITS, "period")
#: What is needed for longer, or more often, is a change of the contract.
MOST_DAYS = 31
MOST_USES = 31


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


@dataclass(frozen=True)
class Waivers:
    """What is waived for one drop: the waiver by check, and where one does not count (any more), why not."""

    in_force: Mapping[str, str] = field(default_factory=dict)
    lapsed: Mapping[str, str] = field(default_factory=dict)


NONE = Waivers()


@dataclass(frozen=True)
class Stays:
    """What waivers let into the batch that rows are put back into: it stays in, whether or not they still count.

    ``rows`` are positions in the drop, by the check that had found them; ``held`` how many rows were held back, where
    too many had been waived (0: it was not); ``volume`` says whether the number of rows was; ``uses`` is all of it.
    """

    uses: tuple[Use, ...] = ()
    rows: Mapping[str, frozenset[int]] = field(default_factory=dict)
    held: int = 0
    volume: bool = False

    def beside(self, aside: Collection[int]) -> tuple[Use, ...]:
        """Return the uses that something stays in by, where these rows do not."""
        return tuple(
            use
            for use in self.uses
            if use.check in LIMITS or any(row not in aside for row in self.rows.get(use.check, ()))
        )


NOBODY_STAYS = Stays()


@dataclass(frozen=True)
class Moment:
    """When a drop asks, and whose it is: ``own`` holds every account of the people for whom it was brought.

    ``marks`` are the high-water marks of the record's time (see `time_for`).
    """

    now: datetime
    marks: Sequence[tuple[int, str]] = ()
    own: Collection[str] = ()


def over(row: WaiverRow, moment: Moment) -> str:
    """Return why a waiver counts no more, whatever comes; empty while it does."""
    if row.ended:
        return f"{row.id}, which let {row.check} through, was ended"
    if row.uses >= row.most:
        return f"{row.id}, which let {row.check} through, is used up ({row.uses} of {row.most})"
    if time_for(moment.marks, row.sequence, moment.now) >= utc_time(row.until):
        return f"{row.id} let {row.check} through until {row.until}, which is past"
    return ""


def against(row: WaiverRow, moment: Moment) -> str:
    """Return why a waiver does not count for a drop; empty where it does."""
    if row.given_by in moment.own:
        return f"{row.id}, which lets {row.check} through, was given by {row.given_by}, whose drop this is"
    return over(row, moment)


def covers(row: WaiverRow, dataset: str, period: str) -> bool:
    """Say whether a waiver is about this period of this dataset."""
    return row.dataset == dataset and row.period in {"", period}


def waivers_for(rows: Iterable[WaiverRow], dataset: str, period: str, moment: Moment) -> Waivers:
    """Return what is waived for a drop: by check the waiver given first; of those that do not count the last."""
    counting: dict[str, str] = {}
    lapsed: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row.sequence):
        if not covers(row, dataset, period):
            continue
        if fault := against(row, moment):
            lapsed[row.check] = fault
        else:
            counting.setdefault(row.check, row.id)
    return Waivers(counting, {check: told for check, told in lapsed.items() if check not in counting})
