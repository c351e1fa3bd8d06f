"""Erase rows from everything that holds them: a subject's on request, or those whose time is over (E1, E2, E3).

    1  what will be left of each file is written beside it
    2  the online store loses the rows
    3  one event names every file with what takes its place, and the record goes by that
    4  the files before are removed, and what is online is that of the sources that are left

Killed anywhere, the same again comes to the same: before the event nothing on record has changed, and after it the
record alone says what is to be removed. A drop that comes later is read without the rows of whoever was erased.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tidegate.application.erased import finish, left_of, marks
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import ModelSpec, StateReader, Thinned, Whose
from tidegate.application.pushes import bring
from tidegate.application.recording import draft, permit, reason_text
from tidegate.application.revisions import period_window, touched_by
from tidegate.application.unclaimed import written
from tidegate.domain.actors import Permission
from tidegate.domain.contract import Contract
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.events import EventType
from tidegate.domain.keeping import FIRST, Term, Without, counted
from tidegate.domain.push import held_period
from tidegate.domain.state import BatchRow, FeatureViewRow, PushRow, ScoringRow, TrainingSetRow

#: How often what came meanwhile is searched too, before somebody is asked to wait for whoever writes.
_TRIES = 5


@dataclass(frozen=True)
class Erased:
    """What went: rows as they came, the files that held them or what was made of them, and what had learned from them.

    ``sequence`` is the event's; 0 where there was nothing to erase that was not erased before.
    """

    dataset: str
    rows: int
    files: tuple[Without, ...]
    online: int
    touches: Mapping[str, Any]
    sequence: int


def erase_subject(
    platform: Platform, acting: Acting, dataset: str, name: str, reason: str, *, dry_run: bool = False
) -> Erased:
    """Erase every row about somebody from a dataset and from all that was made of it; they never come back to it.

    ``name`` is what a drop calls them; it is neither recorded nor repeated. What is recorded is a keyed hash.

    Raises:
        Refused: rule A1. BadInput: no such dataset, its contract names no subject, this cannot be one, or no reason.
        DependencyFailed: a store is full, gone or was altered; what is not erased yet is by the same again.
    """
    text = reason_text(reason)
    contract = platform.contracts.load(dataset)
    permit(platform, acting, Permission.ERASE, f"dataset/{dataset}")
    whose = platform.batches.whose(contract, name)
    about = {"cause": "subject", "subject": platform.batches.mark(whose)}
    return _erased(platform, acting, contract, whose, None, about, text, dry_run=dry_run)


@dataclass(frozen=True)
class Over:
    """A dataset's rows whose time is over, by period, and how long they were to be kept."""

    dataset: str
    keeps: Term
    periods: tuple[str, ...]
    rows: int


def over(platform: Platform, state: StateReader) -> tuple[Over, ...]:
    """Return what retention would let go now, a line for every dataset whose contract states a term.

    Raises:
        BadInput: a contract breaks its format.
    """
    now, found = platform.clock.now(), []
    for dataset in platform.contracts.datasets():
        keeps = platform.contracts.load(dataset).keeps
        if keeps is None:
            continue
        old = [
            (period, rows)
            for period, rows in _there(state, dataset)
            if rows and keeps.after(period_window(period)[1]) <= now
        ]
        periods = tuple(sorted({period for period, _ in old}))
        found.append(Over(dataset, keeps, periods, sum(rows for _, rows in old)))
    return tuple(found)


def _there(state: StateReader, dataset: str) -> Iterator[tuple[str, int]]:
    """Yield periods with their rows that are there, held back or not, of every drop and push."""
    for row in state.select(BatchRow, dataset=dataset):
        yield row.period, row.accepted + row.quarantined
    for push in state.select(PushRow, dataset=dataset):
        yield from ((each, part["rows"]) for each, part in push.parts.items())
        yield held_period(push.report, push.occurred_at), push.quarantined


def let_go(platform: Platform, acting: Acting) -> tuple[Over, ...]:
    """Erase the rows whose time is over, one event a dataset; say which.

    What was made of them goes too where the contract names a subject: else nobody can tell whose rows they are.

    Raises:
        Refused: rule A1. DependencyFailed: as `erase_subject`.
    """
    permit(platform, acting, Permission.ERASE, "ledger")
    found = over(platform, platform.ledger.state())
    for each in found:
        if not each.periods:
            continue
        contract = platform.contracts.load(each.dataset)
        keeps = {"value": each.keeps.value, "unit": each.keeps.unit}
        about = {"cause": "retention", "subject": "", "keeps": keeps, "periods": list(each.periods)}
        _erased(platform, acting, contract, None, each.periods, about, "")
    finish(platform)
    return found


def _erased(
    platform: Platform,
    acting: Acting,
    contract: Contract,
    whose: Whose | None,
    periods: Collection[str] | None,
    about: Mapping[str, Any],
    reason: str,
    *,
    dry_run: bool = False,
) -> Erased:
    dataset, stream = contract.dataset, f"dataset/{contract.dataset}"
    if not dry_run:
        finish(platform)  # what somebody began before
    for _ in range(_TRIES):
        state = platform.ledger.state()
        basis = _basis(state, dataset)
        only = _only(platform, state, dataset, periods)
        thinned = platform.batches.thinned(contract, whose, only, write=not dry_run)
        copies = _copies(platform, state, contract, whose, thinned, write=not dry_run)
        files = (*_on_record(state, thinned.files), *copies)
        touched = touched_by(state, [each.digest for each in files if each.kind == "batch"])
        if dry_run:
            return Erased(dataset, counted(files), files, 0, touched, 0)
        online = platform.features.forget(whose, thinned.keys) if contract.subject else 0
        with platform.ledger.transaction() as tx:
            if _basis(tx, dataset) != basis:
                continue  # something came meanwhile: it is searched too
            sequence = 0
            if files or (about["subject"] and about["subject"] not in marks(tx, dataset)):
                named = {(each.kind, each.digest) for each in files}
                payload = {
                    **about,
                    "dataset": dataset,
                    "periods": about.get("periods") or _periods(tx, dataset, named),
                    "keeps": about.get("keeps", {}),
                    "rows": counted(files),
                    "files": [each.__dict__ for each in files],
                    "touches": touched,
                }
                texts = {"reason": reason} if reason else {}
                sequence = tx.append(draft(acting, EventType.ROWS_ERASED, stream, payload, texts)).sequence
        platform.batches.settle(dataset, [each.successor for each in files if each.kind in FIRST])
        finish(platform)
        if contract.subject:  # whoever was bringing values online meanwhile had read the sources before
            online += platform.features.forget(whose, thinned.keys)
        bring(platform)  # what else was pushed: a view whose source lost rows is online from that alone
        return Erased(dataset, counted(files), files, online, touched, sequence)
    raise DependencyFailed(
        "rows-come-meanwhile",
        f"got new rows of {dataset} {_TRIES} times while they were searched, expected a pause",
        "run the same again when nothing is ingested, trained or scored: nothing was erased yet",
    )


def _copies(
    platform: Platform,
    state: StateReader,
    contract: Contract,
    whose: Whose | None,
    thinned: Thinned,
    *,
    write: bool,
) -> tuple[Without, ...]:
    if not contract.subject:
        return ()
    models = {row.root: row.model for row in state.select(ScoringRow)}

    def model_of(root: str) -> ModelSpec | None:
        return platform.models.spec(models[root]) if root in models else None

    return platform.copies.thinned(whose, thinned.keys, model_of, write=write)


def _only(
    platform: Platform, state: StateReader, dataset: str, periods: Collection[str] | None
) -> frozenset[str] | None:
    """Return the batches and roots of some periods, also of earlier gate runs; None: all that lies there."""
    if periods is None:
        return None
    events = platform.ledger.events(stream=f"dataset/{dataset}")
    files = {file for event in events for period, file in written(event) if period in periods}
    return frozenset(left_of(state, kind, digest, dataset)[0] for kind, digest in files)


def _on_record(state: StateReader, files: Collection[Without]) -> list[Without]:
    """Return the files; a batch of no drop or push on record was left by who was killed, and nothing of it is kept."""
    known = {(row.dataset, row.batch) for row in state.select(BatchRow)}
    known |= {(row.dataset, part["batch"]) for row in state.select(PushRow) for part in row.parts.values()}
    return [
        replace(each, successor="")
        if each.kind == "batch" and (each.place, each.digest) not in known
        else each
        for each in files
    ]


def _basis(state: StateReader, dataset: str) -> tuple[object, ...]:
    """Return what the search rests on: the dataset's batches and pushes, and what was built, trained and scored."""
    return (
        tuple((row.drop, row.sequence) for row in state.select(PushRow, dataset=dataset)),
        tuple((row.drop, row.sequence) for row in state.select(BatchRow, dataset=dataset)),
        tuple((row.view, row.source) for row in state.select(FeatureViewRow)),
        tuple(row.digest for row in state.select(TrainingSetRow)),
        tuple(row.root for row in state.select(ScoringRow)),
    )


def _periods(state: StateReader, dataset: str, named: Collection[tuple[str, str]]) -> list[str]:
    found = {
        row.period
        for row in state.select(BatchRow, dataset=dataset)
        if ("batch", row.batch) in named or ("quarantine", row.quarantine_root) in named
    }
    for push in state.select(PushRow, dataset=dataset):
        found |= {each for each, part in push.parts.items() if ("batch", part["batch"]) in named}
        if ("quarantine", push.quarantine_root) in named:
            found.add(held_period(push.report, push.occurred_at))
    return sorted(found)
