"""Put one drop through its gate.

What becomes of a drop is decided by its bytes, by its name, and by what stands for its period:

    bytes that were accepted before      nothing, also where they were superseded since
    nothing accepted for the period      gated
    a higher revision                    gated; what is accepted supersedes the batch in force
    … with the very rows in force        on record, and nothing else changes
    the same or a lower revision         refused, once on record
    a name without period or revision    refused, once on record

Rows of subjects who were erased are left out before the gate, and counted (E1). What was held back is gated again
when its contract, a list that it was compared with, or a waiver (G6) that covers it has changed since.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegate.application.erased import come_back, marks, unwrite
from tidegate.application.evolving import left_out, named, unbroken
from tidegate.application.gating import kept, measured, waiving
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader, Transaction
from tidegate.application.pushes import ended, reconciled
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
from tidegate.application.unclaimed import settled
from tidegate.domain.actors import Permission
from tidegate.domain.contract import Contract
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.evidence import Verdict
from tidegate.domain.state import ActorRow, BatchRow, PushRow, WaiverRow
from tidegate.domain.waiver import Moment, Waivers, waivers_for

__all__ = [
    "accounts_of",
    "brought_for",
    "decided",
    "ingest",
    "period_of",
    "period_window",
    "revision_of",
    "stands",
    "time_over",
    "turn_away",
    "waived_now",
]


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
    whose = brought_for(known, acting)
    if known is not None and stands(
        known, contract, against, waived_now(platform, state, dataset, known.period, whose)
    ):
        return known
    about = {"dataset": dataset, "drop": name, "period": ""}
    try:
        about["period"] = period = period_of(drop)
        _, revision = period_window(period), revision_of(drop)  # there is no month 13
        _unless(time_over(platform, contract, period) or taken(state, dataset, period, revision, drop))
        notes = unbroken(platform, state, contract)
        contents = platform.batches.read(drop, contract, name)
    except BadInput as error:
        with platform.ledger.transaction() as tx:
            turn_away(tx, acting, about, error)
        raise named(platform, state, contract, error) from error.__cause__
    table = platform.batches.spared(contract, contents.table, away := marks(state, dataset))
    first = standing(state, dataset, period) is None
    waived = waived_now(platform, state, dataset, period, whose)
    report = measured(platform, contract, found, table, period, waived, first=first)
    payload = {
        **about,
        **kept(platform, contract, found, table, report, contents.table.num_rows - table.num_rows),
    }
    pushed = ended(state, dataset, period)
    told = reconciled(platform, contract, payload["batch"], pushed)
    kind = EventType.BATCH_REFUSED if report.stops else EventType.BATCH_ACCEPTED
    fault = None
    with platform.ledger.transaction() as tx:
        before = tx.get(BatchRow, dataset, name)
        # Two ingests at once: the first one counts, and what it changed decides again here.
        whose = brought_for(before, acting)
        counting = waived_now(platform, tx, dataset, period, whose)
        # So does whoever was erased meanwhile: their rows stay away from here too.
        again = marks(tx, dataset) != away or (report.waived and waived.in_force != counting.in_force)
        again = again or ended(tx, dataset, period) != pushed  # rows were pushed meanwhile, or a drop came
        more = {"notes": [*notes, *left_out(contents)], **waiving(report, waived, whose), **told}
        payload["report"] = {**payload["report"], **more}
        if not again and (before is None or not stands(before, contract, against, waived)):
            fault = come_back(platform, tx, dataset, period, _written(payload))
            fault = fault or taken(tx, dataset, period, revision, drop)
            payload |= succession(tx, dataset, period, revision, payload["batch"])
            if fault is not None:
                turn_away(tx, acting, about, fault)
            elif before is None or not _same(before, payload):
                tx.append(draft(acting, kind, f"dataset/{dataset}", payload))
        row = tx.get(BatchRow, dataset, name)
    if (
        again
    ):  # what let rows through, or whose they may be, has changed while they were looked at, or others came
        return _anew(platform, acting, drop, payload)
    _unless(fault)
    return settled(platform, row)


def _unless(fault: BadInput | None) -> None:
    if fault is not None:
        raise fault


def _anew(platform: Platform, acting: Acting, drop: Path, payload: Mapping[str, Any]) -> BatchRow:
    """Ingest a drop again, and leave nothing of what was written for an outcome that nobody recorded."""
    unwrite(platform, platform.ledger.state(), payload["dataset"], _written(payload))
    return ingest(platform, acting, payload["dataset"], drop)


def _written(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [("batch", payload["batch"]), ("quarantine", payload["quarantine_root"])]


def time_over(platform: Platform, contract: Contract, period: str) -> BadInput | None:
    """Return why a drop comes too late: its rows would be let go at once (E3)."""
    end = contract.keeps.after(period_window(period)[1]) if contract.keeps else None
    if end is None or end > platform.clock.now():
        return None
    return BadInput(
        "time-over",
        f"got {contract.dataset} {period}, expected a period whose rows are kept: {contract.keeps} after it were over "
        f"on {end:%Y-%m-%d}",
        "nothing was taken from it; its contract says how long rows are kept",
        period=period,
    )


def decided(platform: Platform, state: StateReader, contract: Contract) -> frozenset[str]:
    """Return the drops of a dataset whose recorded outcome is final: gating them again would change nothing."""
    against = listing_facts(listings(platform, state, contract))
    rows = state.select(BatchRow, dataset=contract.dataset)
    return frozenset(
        row.drop
        for row in rows
        if stands(
            row, contract, against, waived_now(platform, state, row.dataset, row.period, brought_for(row))
        )
    )


def stands(row: BatchRow | PushRow, contract: Contract, against: Mapping[str, Any], waivers: Waivers) -> bool:
    """Say whether a recorded outcome is final: accepted, or held back by this contract, these lists and waivers.

    A gate that could not measure, a contract that has been mended or a waiver given since gates the drop again.
    """
    if row.parts if isinstance(row, PushRow) else row.batch:
        return True
    same = row.contract == contract.digest and row.report.get("references", {}) == against
    return same and row.report.get("waivers", {}) == dict(waivers.in_force) and row.verdict != Verdict.ERROR


def waived_now(
    platform: Platform, state: StateReader, dataset: str, period: str, whose: Sequence[str]
) -> Waivers:
    """Return what is waived for a drop that was brought for these people."""
    rows = state.select(WaiverRow, dataset=dataset)
    moment = Moment(platform.clock.now(), state.marks(), accounts_of(state, whose))
    return waivers_for(rows, dataset, period, moment)


def accounts_of(state: StateReader, whose: Collection[str]) -> frozenset[str]:
    """Return every account of these people: nobody opens the way for their own drop under another one."""
    if not whose:
        return frozenset()
    everyone = state.select(ActorRow)
    subjects = {row.subject for row in everyone if row.id in whose}
    return frozenset(row.id for row in everyone if row.subject in subjects)


def brought_for(known: BatchRow | PushRow | None, acting: Acting | None = None) -> tuple[str, ...]:
    """Return the people for whom a drop was brought, also earlier: whoever brings it again does not make it theirs."""
    before = known.report.get("brought_for", ()) if known is not None else ()
    return tuple(sorted({*before, *([acting.on_behalf_of] if acting and acting.on_behalf_of else [])}))


def _same(row: BatchRow, payload: Mapping[str, Any]) -> bool:
    """Say whether gating again found exactly what is recorded: then there is nothing to write."""
    return all(getattr(row, name) == value for name, value in payload.items())


def turn_away(tx: Transaction, acting: Acting, about: Mapping[str, str], fault: BadInput) -> None:
    """Record, once, that these bytes were turned away. A name or a place is mended by another name."""
    named = {
        "no-period",
        "bad-period",
        "bad-revision",
        "period-taken",
        "superseded-drop",
        "period-overlaps",
        "time-over",
        "erased-rows",
    }
    why = fault.code if fault.code in named else "unreadable"
    key = f"{why}:{about['dataset']}:{about['drop']}"
    if tx.recorded(key) is None:
        payload = {**about, "code": fault.code}
        tx.append(draft(acting, EventType.DROP_REFUSED, f"dataset/{about['dataset']}", payload, key=key))
