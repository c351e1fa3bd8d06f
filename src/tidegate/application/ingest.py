"""Put one drop through its gate.

What becomes of a drop is decided by its bytes, by its name, and by what stands for its period:

    bytes that were accepted before      nothing, also where they were superseded since
    nothing accepted for the period      gated
    a higher revision                    gated; what is accepted supersedes the batch in force
    … with the very rows in force        on record, and nothing else changes
    the same or a lower revision         refused, once on record
    a name without period or revision    refused, once on record

What was held back is gated again when its contract, or a list that it was compared with, has changed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.application.evolving import left_out, named, unbroken
from tidegate.application.gating import kept, measured
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader, Transaction
from tidegate.application.recording import draft, permit
from tidegate.application.references import listing_facts, listings
from tidegate.application.revisions import (
    period_of,
    period_window,
    revision_of,
    standing,
    succession,
    taken,
)
from tidegate.domain.actors import Permission
from tidegate.domain.contract import Contract
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.state import BatchRow

__all__ = ["decided", "ingest", "period_of", "period_window", "revision_of", "stands", "turn_away"]


def ingest(platform: Platform, acting: Acting, dataset: str, drop: Path) -> BatchRow:
    """Gate one drop: good rows become a batch, bad rows are quarantined with all their reasons.

    The same bytes twice change nothing and write nothing: the recorded outcome is returned. A batch the
    gate stops is recorded too, held back whole; the caller reads the verdict off the row.

    Raises:
        Refused: rule A1. BadInput: the drop cannot be read as the contract promises, has no sound name, or
            its period is taken; recorded once. DependencyFailed: a store is full, gone or was altered.
    """
    contract = platform.contracts.load(dataset)  # first: what is no dataset's name never enters the record
    permit(platform, acting, Permission.INGEST, f"dataset/{dataset}")
    name = platform.batches.drop_digest(drop)
    state = platform.ledger.state()
    found = listings(platform, state, contract)
    against = listing_facts(found)
    known = state.get(BatchRow, dataset, name)
    if known is not None and stands(known, contract, against):
        return known
    about = {"dataset": dataset, "drop": name, "period": ""}
    try:
        about["period"] = period = period_of(drop)
        end, revision = period_window(period)[1], revision_of(drop)
        if (fault := taken(state, dataset, period, revision, drop)) is not None:
            raise fault
        notes = unbroken(platform, state, contract)
        contents = platform.batches.read(drop, contract, name)
    except BadInput as error:
        with platform.ledger.transaction() as tx:
            turn_away(tx, acting, about, error)
        raise named(platform, state, contract, error) from error.__cause__
    first = standing(state, dataset, period) is None
    report = measured(platform, contract, found, contents.table, end, first=first)
    payload = {**about, **kept(platform, contract, found, contents.table, report)}
    payload["report"] = {**payload["report"], "notes": [*notes, *left_out(contents)]}
    kind = EventType.BATCH_REFUSED if report.stops else EventType.BATCH_ACCEPTED
    fault = None
    with platform.ledger.transaction() as tx:
        before = tx.get(BatchRow, dataset, name)
        # Two ingests at once: the first one counts, and what it changed decides again here.
        if before is None or not stands(before, contract, against):
            fault = taken(tx, dataset, period, revision, drop)
            payload |= succession(tx, dataset, period, revision, payload["batch"])
            if fault is not None:
                turn_away(tx, acting, about, fault)
            elif before is None or not _same(before, payload):
                tx.append(draft(acting, kind, f"dataset/{dataset}", payload))
        row = tx.get(BatchRow, dataset, name)
    if fault is not None:
        raise fault
    assert row is not None  # the fold of the event just appended
    return row


def decided(platform: Platform, state: StateReader, contract: Contract) -> frozenset[str]:
    """Return the drops of a dataset whose recorded outcome is final: gating them again would change nothing."""
    against = listing_facts(listings(platform, state, contract))
    rows = state.select(BatchRow, dataset=contract.dataset)
    return frozenset(row.drop for row in rows if stands(row, contract, against))


def stands(row: BatchRow, contract: Contract, against: Mapping[str, Any]) -> bool:
    """Say whether a drop's recorded outcome is final: accepted, or held back by this very contract and these lists.

    A gate that could not measure, or a contract that has been mended since, gates the drop again.
    """
    if row.batch:
        return True
    same = row.contract == contract.digest and row.report.get("references", {}) == against
    return same and row.verdict != Verdict.ERROR


def _same(row: BatchRow, payload: Mapping[str, Any]) -> bool:
    """Say whether gating again found exactly what is recorded: then there is nothing to write."""
    return all(getattr(row, name) == value for name, value in payload.items())


def turn_away(tx: Transaction, acting: Acting, about: Mapping[str, str], fault: BadInput) -> None:
    """Record, once, that these bytes were turned away. A name or a place is mended by another name."""
    named = {"no-period", "bad-period", "bad-revision", "period-taken", "superseded-drop", "period-overlaps"}
    why = fault.code if fault.code in named else "unreadable"
    key = f"{why}:{about['dataset']}:{about['drop']}"
    if tx.recorded(key) is None:
        payload = {**about, "code": fault.code}
        tx.append(draft(acting, EventType.DROP_REFUSED, f"dataset/{about['dataset']}", payload, key=key))
