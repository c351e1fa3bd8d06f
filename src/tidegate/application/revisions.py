"""Names of drops, and which batch of a period is in force.

A drop's file is named DATASET-PERIOD[.rN].EXT, like readings-2026-01.zip or readings-2026-01.r1.zip. The
period says what it is about, the revision how often that was restated (no mark: as first delivered). A batch
is never overwritten: a higher revision supersedes it, and what was learned from it is told.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.application.ports import StateReader
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import BadInput
from tidegate.domain.state import BatchRow, TrainingSetRow, VersionRow

_PERIOD = re.compile(r"(?<![0-9])([0-9]{4})(?:-([0-9]{2}))?(?:-([0-9]{2}))?$")
_REVISION = re.compile(r"r([1-9][0-9]{0,2})")
#: A mark that stands where the extension should: a name that forgot its extension, or hides its revision.
_LIKE_A_REVISION = re.compile(r"[rR][-+]?[0-9]+")


def period_of(drop: Path) -> str:
    """Return the period a drop's name ends with, like 2026-01 or 2026.

    Raises:
        BadInput: the name ends with no period.
    """
    match = _PERIOD.search(drop.name.split(".")[0])
    if match is None:
        raise BadInput(
            "no-period",
            f"got a drop named `{drop.name}`, expected a name that ends with its period, like readings-2026-01.zip",
            "rename the drop",
        )
    return match.group(0)


def revision_of(drop: Path) -> int:
    """Return the revision a drop's name states between period and extension, like 1 for ``.r1``; 0 for none.

    Raises:
        BadInput: what stands there is no revision from r1 to r999.
    """
    parts = drop.name.split(".")[1:]
    marks = [part for part in parts[:-1] if part.lower() != "csv"]  # as in .csv.gz
    marks += [part for part in parts[-1:] if _LIKE_A_REVISION.fullmatch(part)]
    if not marks:
        return 0
    match = _REVISION.fullmatch(marks[0]) if len(marks) == 1 and marks[0] != parts[-1] else None
    if match is None:
        raise BadInput(
            "bad-revision",
            f"got a drop named `{drop.name}`, expected at most a revision from r1 to r999 between its period and "
            "its extension, like readings-2026-01.r1.zip",
            "rename the drop",
        )
    return int(match.group(1))


def period_window(period: str) -> tuple[datetime, datetime]:
    """Return a period's first moment and the first moment after it, in UTC.

    Raises:
        BadInput: it is no year, month or day like 2026, 2026-01 or 2026-01-31.
    """
    match = _PERIOD.fullmatch(period)
    try:
        year, month, day = (
            (None if part is None else int(part) for part in match.groups()) if match else (0, 0, 0)
        )
        start = datetime(year or 0, 1 if month is None else month, 1 if day is None else day, tzinfo=UTC)
        if day is not None:
            return start, start + timedelta(days=1)
        if month is not None:
            return start, datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=UTC)
        return start, datetime(start.year + 1, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            "bad-period",
            f"got the period `{period[:40]}`, expected one like 2026, 2026-01 or 2026-01-31",
            "name it like that: a year, a month or a day",
        ) from error


def spans(periods: Collection[str]) -> str:
    """Return periods for people, those that follow one another as a span: ``2026-01 to 2026-03, 2026-07``."""
    runs: list[list[str]] = []
    for period in sorted(set(periods)):
        if runs and len(runs[-1][-1]) == len(period) and _follows(runs[-1][-1], period):
            runs[-1].append(period)
        else:
            runs.append([period])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _follows(period: str, other: str) -> bool:
    return period_window(period)[1] == period_window(other)[0]


def in_force(
    state: StateReader, dataset: str | None = None, known_by: datetime | None = None
) -> tuple[BatchRow, ...]:
    """Return the accepted batches that nothing supersedes, in the order of dataset, period and event.

    With ``known_by``, those that were in force then: what superseded one of them later is not heard of yet.
    Without it, everything on record counts, wherever the clock stands now.
    """
    rows = [row for row in state.select(BatchRow, **({"dataset": dataset} if dataset else {})) if row.batch]
    if known_by is not None:
        rows = [row for row in rows if utc_time(row.occurred_at) <= known_by]
    # Rows come back after they were superseded (restated to what they were), so the sequence decides.
    ends: dict[tuple[str, str, str], int] = {}
    for row in rows:
        place = (row.dataset, row.period, row.supersedes)
        ends[place] = max(ends.get(place, 0), row.sequence)
    kept = [row for row in rows if ends.get((row.dataset, row.period, row.batch), 0) <= row.sequence]
    return tuple(sorted(kept, key=lambda row: (row.dataset, row.period, row.sequence)))


def standing(state: StateReader, dataset: str, period: str) -> BatchRow | None:
    """Return the batch in force of one period, or None: the highest revision, and of those the latest."""
    rows = [row for row in in_force(state, dataset) if row.period == period]
    return max(rows, key=lambda row: (row.revision, row.sequence), default=None)


def taken(state: StateReader, dataset: str, period: str, revision: int, drop: Path) -> BadInput | None:
    """Return why a drop of other bytes cannot have this place, or None where it can."""
    row = standing(state, dataset, period)
    if row is None:
        return _overlapping(state, dataset, period)
    if revision > row.revision:
        return None
    extension = "." + ".".join(part for part in drop.name.split(".")[1:] if not _REVISION.fullmatch(part))
    higher = f"{dataset}-{period}.r{row.revision + 1}{extension.rstrip('.')}"
    return BadInput(
        "period-taken" if revision == row.revision else "superseded-drop",
        f"got {dataset} {period} in revision {revision} with other bytes than accepted, expected a revision above "
        f"{row.revision}, which stands since event {row.sequence}",
        f"nothing was taken from it; if it restates the period, name it {higher}",
        period=period,
        revision=revision,
        stands=row.revision,
    )


def succession(state: StateReader, dataset: str, period: str, revision: int, batch: str) -> dict[str, Any]:
    """Return what a gated drop does to its period: its revision, what it supersedes, what that one touched.

    A drop that was held back supersedes nothing, nor does one with the very rows that are in force.
    """
    row = standing(state, dataset, period)
    if row is None or batch in {"", row.batch}:
        return {"revision": revision, "supersedes": "", "touches": touches(state, "")}
    return {"revision": revision, "supersedes": row.batch, "touches": touches(state, row.batch)}


def touches(state: StateReader, batch: str) -> Mapping[str, Any]:
    """Return the training sets that hold a batch, and the versions trained on them; none of no batch."""
    return touched_by(state, (batch,))


def touched_by(state: StateReader, batches: Collection[str]) -> Mapping[str, Any]:
    """Return the training sets that hold one of these batches, and the versions trained on them."""
    named = set(batches)
    sets = {row.digest for row in state.select(TrainingSetRow) if named & set(row.batches)}
    versions = [row for row in state.select(VersionRow) if row.training_set in sets]
    names = [f"{row.model}/{row.number}" for row in sorted(versions, key=lambda row: (row.model, row.number))]
    return {"training_sets": sorted(sets), "versions": names}


def _overlapping(state: StateReader, dataset: str, period: str) -> BadInput | None:
    """Refuse a month inside a year that is there as a whole, or the reverse: its rows would count twice."""
    for row in in_force(state, dataset):
        short, long = sorted((row.period, period), key=len)
        if short != long and long.startswith(f"{short}-"):
            return BadInput(
                "period-overlaps",
                f"got {dataset} {period}, expected a period beside {row.period}, which was accepted as a whole",
                f"nothing was taken from it; restate {row.period} instead",
                period=period,
                stands=row.period,
            )
    return None
