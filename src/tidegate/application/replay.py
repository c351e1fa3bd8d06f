"""Put mended rows back: what was held back of a drop goes through the gate again, with the values they have now.

The drop is put together again: its accepted rows, the mended rows, and those that nobody mended, each where it
stood. That whole goes through the same gate once, so that checks over many rows (uniqueness, a mean, the volume)
judge what the batch will be, and read = accepted + quarantined holds as for any drop. A row that nobody mended
stays held back for the reasons it has. What is accepted supersedes the batch in force, under its revision.

What a waiver let in stays in, also where it has ended since (G6): that concerns rows that nobody mended. Which rows it
let in, the record does not say, so the drop as it stood goes through the gate once more. Where a contract or a list is
another one now, and more is found by it than was let in then, all of it is judged anew.

The file of mended rows is known by its bytes, as a drop is: the same file twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from tidegate.application.erased import marks
from tidegate.application.gating import asked, kept, let_in, measured, waiving
from tidegate.application.ingest import brought_for, stands, turn_away, waived_now
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import Mended, StateReader
from tidegate.application.recording import draft, permit
from tidegate.application.references import Listing, listing_facts, listings, values
from tidegate.application.revisions import period_window, standing, touches
from tidegate.application.unclaimed import settled
from tidegate.domain.actors import Permission
from tidegate.domain.contract import Contract, GateReport
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.state import BatchRow
from tidegate.domain.waiver import LIMITS, NOBODY_STAYS, Stays

_SHOWN = 5  # rows named in a sentence


def replay(platform: Platform, acting: Acting, dataset: str, file: Path) -> BatchRow:
    """Gate mended rows with the rest of their drop; return the batch that is in force then.

    Raises:
        Refused: rule A1. BadInput: the file is no export of rows that are held back now, or none of its rows
            passes; recorded once, and nothing else changes. DependencyFailed: a store is full, gone or was altered.
    """
    contract = platform.contracts.load(dataset)
    permit(platform, acting, Permission.INGEST, f"dataset/{dataset}")
    name = platform.batches.drop_digest(file)
    state = platform.ledger.state()
    found = listings(platform, state, contract)
    known = state.get(BatchRow, dataset, name)
    whose = brought_for(known, acting)
    if known is not None and stands(
        known, contract, listing_facts(found), waived_now(platform, state, dataset, known.period, whose)
    ):
        return known
    about = {"dataset": dataset, "drop": name, "period": ""}
    try:
        mended = platform.batches.mended(file, contract, name)
        _ = period_window(mended.period)
        about["period"] = mended.period  # only now: a cell of the file is not written into the record unread
        base = _base(state, dataset, mended)
        whose = _whose(known, base, acting)
        waived = waived_now(platform, state, dataset, mended.period, whose)
        held = _held(platform, base)
        _all_held(mended, held)
        _nobody_erased(platform, contract, mended, away := marks(state, dataset))
        table = platform.batches.restored(contract, base.batch, base.quarantine_root, mended)
        mended_now = frozenset(mended.rows)
        left = {row: reasons for row, reasons in held.items() if row not in mended_now}
        stays = _stays(platform, contract, found, base, held)
        report = measured(
            platform, contract, found, table, mended.period, waived, first=False, left=left, stays=stays
        )
        if not report.stops and not mended_now - report.reasons.keys():
            raise _none_passes(mended, report)
    except BadInput as error:
        with platform.ledger.transaction() as tx:
            row = tx.get(BatchRow, dataset, name)
            if row is not None and row.batch:  # somebody put the same file back meanwhile
                return row
            turn_away(tx, acting, about, error)
        raise
    payload = {
        **about,
        **kept(platform, contract, found, table, report, base.report.get("erased", 0)),
        "revision": base.revision,
    }
    mends = {"replays": {"drop": base.drop, "rows": len(mended.rows)}, **_staying(stays, report)}
    payload["report"] = {**payload["report"], **waiving(report, waived, whose), **mends}
    kind = EventType.BATCH_REFUSED if report.stops else EventType.BATCH_ACCEPTED
    with platform.ledger.transaction() as tx:
        row = tx.get(BatchRow, dataset, name)
        if row is None or not row.batch:
            whose = _whose(row, base, acting)
            counting = waived_now(platform, tx, dataset, mended.period, whose).in_force
            ended = report.waived and counting != waived.in_force
            if _at(standing(tx, dataset, mended.period)) != _at(base) or ended or marks(tx, dataset) != away:
                raise _moved_on(dataset, mended)
            replaces = "" if report.stops else base.batch
            payload |= {"supersedes": replaces, "touches": touches(tx, replaces)}
            tx.append(draft(acting, kind, f"dataset/{dataset}", payload))
            row = tx.get(BatchRow, dataset, name)
    return settled(platform, row)


def _at(row: BatchRow | None) -> tuple[int, int]:
    """Return what tells a batch in force from the same one after rows of it were erased."""
    return (row.sequence, row.erased) if row else (0, 0)


def _whose(known: BatchRow | None, base: BatchRow, acting: Acting) -> tuple[str, ...]:
    """Return the people for whom these rows were brought: the mended ones, also earlier, and their drop."""
    return tuple(sorted({*brought_for(known, acting), *brought_for(base)}))


def _base(state: StateReader, dataset: str, mended: Mended) -> BatchRow:
    """Return the batch in force whose rows were exported."""
    row = standing(state, dataset, mended.period)
    if row is None:
        raise BadInput(
            "nothing-in-force",
            f"got mended rows of {dataset} {mended.period}, expected a period of which a batch is in force",
            "a drop that was held back whole is mended as a whole: deliver it again",
        )
    if row.erased > row.report.get("erased", 0):
        raise BadInput(
            "rows-erased",
            f"got mended rows of {dataset} {mended.period}, expected a period from which none were erased since they "
            "were held back: the file may have those",
            "have the period delivered again as a higher revision: who was erased is left out of it",
        )
    if row.revision != mended.revision:
        raise _moved_on(dataset, mended)
    return row


def _nobody_erased(platform: Platform, contract: Contract, mended: Mended, away: Collection[str]) -> None:
    if platform.batches.spared(contract, mended.table, away).num_rows < len(mended.rows):
        raise BadInput(
            "erased-subject",
            f"got mended rows of {contract.dataset} {mended.period} about somebody who was erased, expected none",
            "leave those rows out; they are not named here",
        )


def _moved_on(dataset: str, mended: Mended) -> BadInput:
    return BadInput(
        "restated-since",
        f"got mended rows of {dataset} {mended.period} in revision {mended.revision}, expected those of the batch that "
        "is in force: it was restated, or rows of it were put back, since they were exported",
        f"export them again: tidegate quarantine {dataset} --period {mended.period} --export FILE",
    )


def _held(platform: Platform, base: BatchRow) -> dict[int, tuple[str, ...]]:
    """Return the reasons of each row that is held back, by its position in the drop."""
    rows = platform.batches.held(base.dataset, base.quarantine_root)
    return {cast(int, row["row"]): tuple(cast("list[str]", row["reasons"])) for row in rows}


def _stays(
    platform: Platform, contract: Contract, found: tuple[Listing, ...], base: BatchRow, held: Collection[int]
) -> Stays:
    """Return what waivers let into the batch in force, as far as the same is found of it now."""
    uses = let_in(base.report)
    if not uses:
        return NOBODY_STAYS
    lists = {each.reference.name: values(platform, each) for each in found}
    table = platform.batches.whole(contract, base.batch, base.quarantine_root)
    same = (base.contract, base.report.get("references", {})) == (contract.digest, listing_facts(found))
    rows: dict[str, frozenset[int]] = {}
    for result in asked(platform, contract, table, base.period, lists):
        let = sum(use.rows for use in uses if use.check == result.check.id)
        if (
            let
            and (same or len(result.failing) <= let)
            and (there := frozenset(result.failing).difference(held))
        ):
            rows[result.check.id] = there
    limits = {use.check for use in uses if use.check in LIMITS}
    return Stays(
        uses,
        rows,
        base.quarantined if "quarantine-share" in limits else 0,
        "volume" in limits,
    )


def _staying(stays: Stays, report: GateReport) -> dict[str, Any]:
    """Return what the ledger keeps of what stays in, by the waivers that had let it in."""
    staying = () if report.stops else stays.beside(report.reasons)
    return {"stays": [use.as_dict() for use in staying]} if staying else {}


def _all_held(mended: Mended, held: Mapping[int, object]) -> None:
    if strays := sorted(set(mended.rows) - held.keys()):
        shown = ", ".join(map(str, strays[:_SHOWN])) + (" …" if len(strays) > _SHOWN else "")
        raise BadInput(
            "not-held-back",
            f"got row {shown} of {mended.period}, expected rows that are held back",
            "a row that was put back is in the batch: leave it out, or export them again",
        )


def _none_passes(mended: Mended, report: GateReport) -> BadInput:
    reasons = sorted({reason for row in mended.rows for reason in report.reasons[row]})
    return BadInput(
        "nothing-mended",
        f"got {many(len(mended.rows), 'row')} failing again ({', '.join(reasons)}), expected at least one that passes",
        "mend their values; they stay held back as they were",
    )
