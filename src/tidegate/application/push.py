"""Put a few pushed rows through their dataset's gate, and bring what it accepts online at once.

A push is recorded before anything of it is online, and online it is brought from the record: what was killed between
the two, or did not reach the online store, is completed by the next push or materialization, the same push again
included. An online window says which push it holds last, so nothing is written twice.

What is pushed stands until the drop of its period is accepted; from then on the drop is the truth (see `pushes`).

Rows of subjects who were erased are left out before the gate, and counted, as of a drop (E1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.application.access import admit
from tidegate.application.erased import come_back, marks, unwrite
from tidegate.application.evolving import left_out, named, unbroken
from tidegate.application.gating import report_facts, waiving
from tidegate.application.ingest import brought_for, stands, time_over, turn_away, waived_now
from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader, Table
from tidegate.application.pushes import beside, bring, feeding, history, pushed_of
from tidegate.application.recording import draft, permit
from tidegate.application.references import Listing, listing_facts, listings, values
from tidegate.application.revisions import in_force
from tidegate.application.unclaimed import settled
from tidegate.domain.access import Access
from tidegate.domain.actors import Permission
from tidegate.domain.contract import Contract, GateReport
from tidegate.domain.errors import BadInput
from tidegate.domain.events import EventType
from tidegate.domain.push import for_push, judge_push, nobody_left, size_fault
from tidegate.domain.state import PushRow
from tidegate.domain.waiver import Waivers


@dataclass(frozen=True)
class Outcome:
    """What is on record of a push, whether this call recorded it, and the rows now brought online by view.

    ``waiting`` are the views that it feeds and of which nothing was ever online.
    """

    row: PushRow
    fresh: bool
    online: Mapping[str, int]
    waiting: tuple[str, ...] = ()


def push(platform: Platform, acting: Acting, dataset: str, file: Path) -> Outcome:
    """Gate pushed rows: good ones are served at once, bad ones are quarantined with all their reasons.

    The same bytes twice change nothing and write nothing: the recorded outcome is returned. A push of which no row is
    left is recorded too; the caller reads the verdict off the row.

    Raises:
        Refused: rule A1 or F2. BadInput: the dataset may not be pushed, or feeds no view that takes pushes; the rows
            cannot be read as the contract promises, or a view needs more than them; recorded once.
        DependencyFailed: a store is full, gone or was altered. What was accepted stays, and is brought online by
            running the same again.
    """
    contract = platform.contracts.load(dataset)  # first: what is no dataset's name never enters the record
    permit(platform, acting, Permission.INGEST, f"dataset/{dataset}")
    views = _fed(platform, contract)
    admit(platform, acting, f"dataset/{dataset}", views, Access.WRITE_ONLINE)
    row, fresh = _recorded(platform, acting, contract, file)
    online = bring(platform)
    there = platform.features.windows() if row.parts else {}
    return Outcome(row, fresh, online, tuple(each for each in views if row.parts and each not in there))


def _fed(platform: Platform, contract: Contract) -> tuple[str, ...]:
    """Return the views that a push feeds.

    Raises:
        BadInput: the dataset may not be pushed, or feeds none.
    """
    if contract.push is None:
        raise BadInput(
            "not-pushed",
            f"got a push of {contract.dataset}, expected a dataset whose contract says how many rows one push may have",
            "deliver a drop, or give its contract the property pushRows",
        )
    views = feeding(platform, contract.dataset)
    if not views:
        raise BadInput(
            "no-stream",
            f"got a push of {contract.dataset}, expected a feature view over it that has a push source",
            "give the view a PushSource in features/, and run `tidegate run materialize`",
        )
    return views


def _recorded(platform: Platform, acting: Acting, contract: Contract, file: Path) -> tuple[PushRow, bool]:
    """Return what is on record of these bytes, after gating them where nothing final is."""
    dataset, state = contract.dataset, platform.ledger.state()
    name = platform.batches.drop_digest(file)
    found = listings(platform, state, contract)
    known, whose = state.get(PushRow, dataset, name), brought_for(state.get(PushRow, dataset, name), acting)
    against = listing_facts(found)
    if known is not None and stands(known, contract, against, _waived(platform, state, known, whose)):
        return known, False
    about = {"dataset": dataset, "drop": name, "period": ""}
    try:
        gated = _gated(platform, state, contract, found, file, name, whose)
    except BadInput as error:
        with platform.ledger.transaction() as tx:
            turn_away(tx, acting, about | {"period": str(error.data.get("period", ""))}, error)
        raise named(platform, state, contract, error) from error.__cause__
    payload, fresh, fault = gated.payload, False, None
    kind = EventType.PUSH_ACCEPTED if payload["parts"] else EventType.PUSH_REFUSED
    with platform.ledger.transaction() as tx:
        before = tx.get(PushRow, dataset, name)
        # Meanwhile the same bytes, a period's drop, a waiver's end or an erasure may have come: then it is gated again.
        counting = waived_now(platform, tx, dataset, payload["report"]["period"], brought_for(before, acting))
        again = bool(payload["report"]["waived"]) and gated.waived.in_force != counting.in_force
        again = again or (_delivered(tx, dataset), marks(tx, dataset)) != (gated.delivered, gated.away)
        final = before is not None and stands(before, contract, against, counting)
        if not again and not final and _other(before, payload):
            fault = come_back(platform, tx, dataset, ", ".join(payload["parts"]), gated.made)
            if fault is not None:
                turn_away(tx, acting, about, fault)
            else:
                tx.append(draft(acting, kind, f"dataset/{dataset}", payload))
                fresh = True
        row = tx.get(PushRow, dataset, name)
    if again:
        try:
            return _recorded(platform, acting, contract, file)
        finally:  # only now: what both come to stays, what nobody recorded goes
            unwrite(platform, platform.ledger.state(), dataset, gated.made)
    if fault is not None:
        raise fault
    return settled(platform, row), fresh


@dataclass(frozen=True)
class _Gated:
    """What a gate made of pushed rows, not recorded yet; the files it wrote, by kind and name; and what it rests on."""

    payload: Mapping[str, Any]
    made: tuple[tuple[str, str], ...]
    waived: Waivers
    delivered: frozenset[str]
    away: frozenset[str]


def _gated(
    platform: Platform,
    state: StateReader,
    contract: Contract,
    found: tuple[Listing, ...],
    file: Path,
    name: str,
    whose: tuple[str, ...],
) -> _Gated:
    """Read pushed rows, leave out whose subject was erased, judge the others, and write them.

    Raises:
        BadInput: they cannot be read as promised, a period's time is over, or a view needs more than them.
    """
    dataset, notes = contract.dataset, unbroken(platform, state, contract)
    there, away = _delivered(state, dataset), marks(state, dataset)
    contents = platform.batches.pushed(file, contract, name)
    if fault := size_fault(contract, contents.table.num_rows, file.name):
        raise fault
    for period in sorted({*platform.batches.periods(contract, contents.table)} - {""}):
        if late := time_over(platform, contract, period):
            raise late
    table = platform.batches.spared(contract, contents.table, away)
    erased, periods = contents.table.num_rows - table.num_rows, platform.batches.periods(contract, table)
    waived = waived_now(platform, state, dataset, _one(periods), whose)
    if table.num_rows:
        report = _judged(platform, contract, found, table, (periods, there), waived)
    else:
        report = nobody_left(erased)
    parts = _parts(platform, contract, table, periods, report)
    if parts:
        files = tuple(platform.batches.path(dataset, part["batch"]) for part in parts.values())
        tried = pushed_of(dataset, files, platform.clock.now())
        platform.features.derived(
            tried, beside(platform, state, {dataset}), history(platform, state, dataset)
        )
    root = platform.batches.quarantine(contract, table, report).root
    left = [check.id for check in contract.checks if not check.row_level]
    payload = {
        "dataset": dataset,
        "drop": name,
        "parts": parts,
        "verdict": str(report.verdict),
        "read": report.read + erased,
        "accepted": report.accepted,
        "quarantined": report.quarantined,
        "quarantine_root": root,
        "contract": contract.digest,
        "report": {
            **report_facts(contract, report, platform.gate.tool, listing_facts(found)),
            "notes": [*notes, *left_out(contents)],
            "not_asked": left,
            "period": _one(periods),
            **waiving(report, waived, whose),
            **({"erased": erased} if erased else {}),
        },
    }
    made = (("quarantine", root), *(("batch", part["batch"]) for part in parts.values()))
    return _Gated(payload, made, waived, there, away)


def _other(row: PushRow | None, payload: Mapping[str, Any]) -> bool:
    """Say whether something else is on record, or nothing: gated again with the same outcome, nothing is written."""
    return row is None or any(getattr(row, name) != value for name, value in payload.items())


def _judged(
    platform: Platform,
    contract: Contract,
    found: tuple[Listing, ...],
    table: Table,
    periods: tuple[tuple[str, ...], frozenset[str]],
    waived: Waivers,
) -> GateReport:
    """Run the checks of single rows and judge them; ``periods`` are the rows', and those that are delivered."""
    references = {each.reference.name: values(platform, each) for each in found}
    results = platform.gate.run(for_push(contract), table, references)
    return judge_push(contract, *periods, results, platform.clock.now(), waived)


def _parts(
    platform: Platform, contract: Contract, table: Table, periods: tuple[str, ...], report: GateReport
) -> dict[str, dict[str, Any]]:
    """Keep the good rows of each period as a batch of its own: a period's drop ends that one alone."""
    if report.stops:
        return {}
    good = [period for place, period in enumerate(periods) if place not in report.reasons]
    parts = {}
    for period in sorted(set(good)):
        held = {
            place: report.reasons.get(place, ())
            for place, each in enumerate(periods)
            if place in report.reasons or each != period
        }
        batch, _ = platform.batches.accept(contract, table, held)
        parts[period] = {"batch": batch, "rows": good.count(period)}
    return parts


def _delivered(state: StateReader, dataset: str) -> frozenset[str]:
    return frozenset(row.period for row in in_force(state, dataset))


def _waived(platform: Platform, state: StateReader, row: PushRow, whose: tuple[str, ...]) -> Waivers:
    return waived_now(platform, state, row.dataset, row.report.get("period", ""), whose)


def _one(periods: tuple[str, ...]) -> str:
    """Return the period that all rows name, empty where they name several: what is waived for one is not for others."""
    return periods[0] if len(set(periods)) == 1 else ""
