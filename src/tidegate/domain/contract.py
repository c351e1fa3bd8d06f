"""Contracts, and the judgement of a batch against one.

Severity and ``on_row`` are two things. Severity says how bad a failed check is; ``on_row`` says what
happens to the rows that fail it. A batch stops when

    G1  a check errored, or pointed at rows that are not there: could not measure is not a pass
    G2  a critical check failed and its bad rows cannot be set aside (table-level, kept, or not named)
    G3  the share of quarantined rows is above the contract's limit
    G4  a critical check evaluated no row at all (inconclusive), or a check of the contract was not run
    G5  the drop breaks the contract's volume or freshness

A row that names another period than its drop, or none, is set aside (the check `period`): it would count again with the
drop of its own.

What somebody has waived (G6, see `waiver`) neither stops a batch nor sets a row aside, and is told as a use of it;
what could not be measured is not waived. A waiver that counts no more is named by what stops again without it. Rows
that one let in before stay in where others are put back beside them.

A stopped batch is held back whole, so that read = accepted + quarantined always. Its verdict is the worst
of what stopped it: an error (G1), a failure (G2, G3, G5), or that it cannot be told (G4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from tidegate.domain.counting import many
from tidegate.domain.evidence import Verdict, worst
from tidegate.domain.keeping import Term
from tidegate.domain.masking import Column
from tidegate.domain.waiver import NOBODY_STAYS, NONE, Stays, Use, Waivers

__all__ = [
    "Check",
    "CheckResult",
    "Column",
    "Contract",
    "GateReport",
    "OnRow",
    "Reference",
    "Severity",
    "Stop",
    "judge",
]


#: No row, and no reason.
NOTHING: Mapping[int, tuple[str, ...]] = MappingProxyType({})


class Severity(StrEnum):
    """How bad it is when a check fails."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class OnRow(StrEnum):
    """What happens to a row that fails a check."""

    QUARANTINE = "quarantine"
    KEEP = "keep"


@dataclass(frozen=True)
class Check:
    """One named expectation of a suite. ``row_level`` checks can say which rows fail."""

    id: str
    expectation: str
    severity: Severity
    on_row: OnRow
    row_level: bool
    sentence: str


@dataclass(frozen=True)
class Reference:
    """A column whose values another dataset lists. Expectations name them as the parameter ``name``."""

    column: str
    dataset: str
    listed_in: str

    @property
    def name(self) -> str:
        """Return ``dataset.column`` of where the values are listed."""
        return f"{self.dataset}.{self.listed_in}"


@dataclass(frozen=True)
class Contract:
    """What a dataset promises.

    ``columns`` are those that are kept; where a drop has others, because some of them are treated before anything is
    kept, ``delivered`` has those. ``key`` names the columns that identify a row and state the row order of a batch;
    ``declared`` holds tables of reference rows that the source lacks and the owner vouches for, by name;
    ``references`` says which columns another dataset lists; ``push`` how many rows may be pushed at once, None: nothing
    may. ``subject`` is the column that says whom a row is about, if one does, and ``keeps`` how long rows are kept;
    None is without end.
    """

    dataset: str
    version: str
    owner: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    checks: tuple[Check, ...]
    min_rows: int
    max_rows: int
    max_age: timedelta | None
    quarantine_limit: float
    digest: str
    purpose: str = ""
    period_columns: tuple[str, ...] = ()
    declared: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    delivered: tuple[Column, ...] = ()
    push: tuple[int, int] | None = None
    subject: str = ""
    keeps: Term | None = None


@dataclass(frozen=True)
class CheckResult:
    """What one check found. ``failing`` holds zero-based positions of rows in the drop's own order.

    ``executor`` names who evaluated it, where there is a choice; it is empty where nobody could.
    """

    check: Check
    verdict: Verdict
    evaluated: int
    failing: Sequence[int] = ()
    observed: str = ""
    sentence: str = ""
    executor: str = ""


@dataclass(frozen=True)
class Stop:
    """One reason why a batch does not go on, with the rule it rests on; ``about`` is the check or limit."""

    rule: str
    code: str
    sentence: str
    about: str = ""


_PERIOD = Check(
    "period",
    "the drop's period",
    Severity.CRITICAL,
    OnRow.QUARANTINE,
    True,
    "Each row is of its drop's period",
)


@dataclass(frozen=True)
class GateReport:
    """The judgement of one batch. ``reasons`` maps a held-back row's position to all checks it failed.

    ``waived`` is what was let through, ``lapsed`` says by check what would have let its rows through before.
    """

    verdict: Verdict
    read: int
    reasons: Mapping[int, tuple[str, ...]]
    results: tuple[CheckResult, ...]
    stops: tuple[Stop, ...]
    waived: tuple[Use, ...] = ()
    lapsed: Mapping[str, str] = field(default_factory=dict)

    @property
    def quarantined(self) -> int:
        """Count the rows held back."""
        return len(self.reasons)

    @property
    def accepted(self) -> int:
        """Count the rows that go on."""
        return self.read - len(self.reasons)


def of_its_period(period: str, rows: int, strays: Sequence[int]) -> tuple[CheckResult, ...]:
    """Return the check `period` of a drop, where rows of it name another period than it does; else nothing."""
    if not strays:
        return ()
    told = f"{len(strays)} of {rows} rows name another period than {period}, or none"
    return (CheckResult(_PERIOD, Verdict.FAILED, rows, tuple(strays), sentence=told, executor="tidegate"),)


def judge(
    contract: Contract,
    read: int,
    results: Sequence[CheckResult],
    period_end: datetime | None,
    now: datetime,
    waivers: Waivers = NONE,
    left: Mapping[int, tuple[str, ...]] = NOTHING,
    stays: Stays = NOBODY_STAYS,
) -> GateReport:
    """Judge a batch of ``read`` rows by what its checks found.

    ``period_end`` is when the drop's period closed, for freshness; ``now`` is the clock's time; ``waivers`` say
    what somebody lets through, by check or limit; ``left`` are rows that stay set aside for the reasons they have,
    whatever is found of them now; ``stays`` is what was let in before, which is not judged again.
    """
    contract = _as_let_in(contract, read, stays)
    judged = [_without(result, stays.rows.get(result.check.id, frozenset())) for result in results]
    reasons, aside = _reasons(results), {**_reasons(judged, waivers.in_force), **left}
    stops = [*_check_stops(contract, read, judged), *_volume_and_freshness(contract, read, period_end, now)]
    share = len(aside) / read if read else 0.0
    if not share <= contract.quarantine_limit:  # written so that a limit that is no number stops everything
        stops.append(
            Stop(
                "G3",
                "quarantine-share",
                f"{len(aside)} of {read} rows ({share:.2%}) would be quarantined, "
                f"the contract allows {contract.quarantine_limit:.2%}",
                "quarantine-share",
            )
        )
    stops, waived = _let_through(judged, stops, waivers.in_force, left)
    if stops:
        stops = [_named(stop, waivers.lapsed, results) for stop in stops]
        held = _Whole(read, reasons, f"batch:{stops[0].code}")
        verdict = worst(_VERDICTS.get(stop.rule, Verdict.FAILED) for stop in stops)
        return GateReport(verdict, read, held, tuple(results), tuple(stops))  # nothing was let through
    lapsed = {
        result.check.id: waivers.lapsed[result.check.id]
        for result in judged
        if result.check.id in waivers.lapsed and any(position not in left for position in result.failing)
    }
    return GateReport(Verdict.PASSED, read, dict(sorted(aside.items())), tuple(results), (), waived, lapsed)


def _as_let_in(contract: Contract, read: int, stays: Stays) -> Contract:
    """Return the contract with its limits as wide as somebody had let them be: the same rows, none more held back."""
    if stays.volume:
        contract = replace(
            contract, min_rows=min(contract.min_rows, read), max_rows=max(contract.max_rows, read)
        )
    if stays.held and read:
        contract = replace(contract, quarantine_limit=max(contract.quarantine_limit, stays.held / read))
    return contract


def _without(result: CheckResult, rows: Collection[int]) -> CheckResult:
    """Return what a check found beside these rows; where it found nothing else, it passed."""
    if not rows or result.verdict is not Verdict.FAILED:
        return result
    failing = tuple(position for position in result.failing if position not in rows)
    if result.failing and not failing:
        return replace(result, failing=(), verdict=Verdict.PASSED)
    return replace(result, failing=failing)


def _reasons(results: Sequence[CheckResult], waived: Collection[str] = ()) -> dict[int, tuple[str, ...]]:
    """Return the checks that set each row aside; a check is one reason, however often it names the row."""
    reasons: dict[int, dict[str, None]] = {}
    for result in results:
        if result.check.on_row is OnRow.QUARANTINE and result.check.id not in waived:
            for position in result.failing:
                reasons.setdefault(position, {})[result.check.id] = None
    return {position: tuple(codes) for position, codes in reasons.items()}


def _named(stop: Stop, lapsed: Mapping[str, str], results: Sequence[CheckResult]) -> Stop:
    """Return a stop that names what let it through before; of too many rows set aside, what let those through."""
    about = [stop.about]
    if stop.rule == "G3":
        about += [each.check.id for each in results if each.failing and each.check.on_row is OnRow.QUARANTINE]
    told = "; ".join([stop.sentence, *(lapsed[each] for each in about if each in lapsed)])
    return replace(stop, sentence=told)


class _Whole(Mapping[int, tuple[str, ...]]):
    """Every row of a stopped batch, with its own reasons and the batch's; nothing is kept for a row without any."""

    def __init__(self, read: int, reasons: Mapping[int, tuple[str, ...]], code: str) -> None:
        self._rows, self._reasons, self._code = range(read), reasons, code

    def __getitem__(self, position: int) -> tuple[str, ...]:
        if position not in self._rows:
            raise KeyError(position)
        return (*self._reasons.get(position, ()), self._code)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def _let_through(
    results: Sequence[CheckResult],
    stops: Sequence[Stop],
    waivers: Mapping[str, str],
    left: Collection[int],
) -> tuple[list[Stop], tuple[Use, ...]]:
    """Return the stops that nobody waived, and what was waived: each check once, with the rows it had found.

    What stays set aside whatever is found was not let through, and uses no waiver up.
    """
    found = {
        result.check.id: (rows, result.sentence)
        for result in results
        if result.check.on_row is OnRow.QUARANTINE
        and (rows := sum(position not in left for position in result.failing))
    }
    found |= {stop.about: found.get(stop.about, (0, stop.sentence)) for stop in stops}
    unmeasured = {stop.about for stop in stops if stop.rule not in _WAIVABLE}
    let = {about: told for about, told in found.items() if about in waivers and about not in unmeasured}
    still = [stop for stop in stops if stop.about not in let]
    return still, tuple(Use(waivers[about], about, rows, told) for about, (rows, told) in let.items())


#: The rules that a waiver may set aside: something was measured. What was not (G1, a check that was not run) is not.
_WAIVABLE = frozenset({"G2", "G3", "G4", "G5"})
_VERDICTS: Mapping[str, Verdict] = {"G1": Verdict.ERROR, "G4": Verdict.INCONCLUSIVE}


def _check_stops(contract: Contract, read: int, results: Sequence[CheckResult]) -> list[Stop]:
    if not results:
        return [Stop("G4", "no-checks", "the suite holds no check, so nothing was measured")]
    ran = {result.check.id for result in results}
    stops = [
        Stop("G4", "check-missing", f"{check.id} was not run: {check.sentence}")
        for check in contract.checks
        if check.id not in ran
    ]
    for result in results:
        check, critical = result.check, result.check.severity is Severity.CRITICAL
        strays = [position for position in result.failing if not 0 <= position < read]
        if result.verdict is Verdict.ERROR:
            sentence = f"{check.id} could not measure: {result.sentence}"
            stops.append(Stop("G1", "check-errored", sentence, check.id))
        elif strays:
            sentence = f"{check.id} points at row {strays[0]}, the drop holds {many(read, 'row')}"
            stops.append(Stop("G1", "check-errored", sentence, check.id))
        elif critical and (
            result.verdict is Verdict.INCONCLUSIVE or (check.row_level and not result.evaluated)
        ):
            sentence = f"{check.id} evaluated no row: {result.sentence}"
            stops.append(Stop("G4", "nothing-evaluated", sentence, check.id))
        elif critical and result.verdict is Verdict.FAILED and not _set_aside(result):
            stops.append(Stop("G2", "critical-check", f"{check.id} failed: {result.sentence}", check.id))
    return stops


def _set_aside(result: CheckResult) -> bool:
    return result.check.row_level and result.check.on_row is OnRow.QUARANTINE and bool(result.failing)


def _volume_and_freshness(
    contract: Contract, read: int, period_end: datetime | None, now: datetime
) -> list[Stop]:
    stops = []
    if not contract.min_rows <= read <= contract.max_rows:
        stops.append(
            Stop(
                "G5",
                "volume",
                f"the drop holds {many(read, 'row')}, "
                f"the contract promises {contract.min_rows} to {contract.max_rows}",
                "volume",
            )
        )
    if contract.max_age is not None and period_end is None:
        stops.append(
            Stop(
                "G5",
                "freshness",
                "the drop names no period, so nobody can say whether it is fresh enough",
            )
        )
    elif contract.max_age is not None and period_end is not None and now - period_end > contract.max_age:
        days = (now - period_end) / timedelta(days=1)
        stops.append(
            Stop(
                "G5",
                "freshness",
                f"the drop's period closed {days:.1f} days ago, the contract promises at most "
                f"{contract.max_age / timedelta(days=1):.1f}",
                "freshness",
            )
        )
    return stops
