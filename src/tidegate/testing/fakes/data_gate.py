"""A data gate in pure Python: rules are functions, verdicts and positions are those of the real one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from tidegate.application.ports import Table
from tidegate.domain.contract import Check, CheckResult, Contract
from tidegate.domain.evidence import Verdict

_Rows = Sequence[Mapping[str, Any]]


class Rule(Protocol):
    """Says which of the rows it looked at fail: {position: fails}. Rows it did not look at are absent."""

    def __call__(self, rows: _Rows) -> Mapping[int, bool]: ...


@dataclass(frozen=True)
class EachValue:
    """Judges the values of one column; nulls are looked at only where the rule is about them."""

    column: str
    holds: Callable[[Any], bool]
    nulls: bool = False

    def __call__(self, rows: _Rows) -> Mapping[int, bool]:
        looked = [(i, row[self.column]) for i, row in enumerate(rows)]
        return {i: not self.holds(value) for i, value in looked if self.nulls or value is not None}


@dataclass(frozen=True)
class Unique:
    """Fails every copy of a repeated combination."""

    columns: tuple[str, ...]

    def __call__(self, rows: _Rows) -> Mapping[int, bool]:
        keys = [tuple(row[column] for column in self.columns) for row in rows]
        seen = Counter(keys)
        return {i: seen[key] > 1 for i, key in enumerate(keys)}


@dataclass(frozen=True)
class Whole:
    """Judges the drop as a whole."""

    holds: Callable[[_Rows], bool]

    def __call__(self, rows: _Rows) -> Mapping[int, bool]:
        return {-1: not self.holds(rows)}


@dataclass(frozen=True)
class Listed:
    """Fails the values that another dataset does not list; nulls are not looked at."""

    column: str
    reference: str

    def among(self, references: Mapping[str, Sequence[str]]) -> Rule:
        """Return the rule over what is known of the reference."""
        known = references[self.reference]
        return EachValue(self.column, lambda value: value in known)


class FakeDataGate:
    """Runs the rules it was given, by check id.

    A check without a rule, a column or a reference is an error.
    """

    tool = "fake gate 1"

    def __init__(self, rules: Mapping[str, Rule | Listed]) -> None:
        self._rules = rules

    def run(
        self,
        contract: Contract,
        table: Table,
        references: Mapping[str, Sequence[str]],
        suite: Path | None = None,  # it has rules, no files
    ) -> tuple[CheckResult, ...]:
        rows: _Rows = cast(Any, table).to_pylist()
        return tuple(self._check(check, rows, references) for check in contract.checks)

    def _check(self, check: Check, rows: _Rows, references: Mapping[str, Sequence[str]]) -> CheckResult:
        try:
            rule = self._rules[check.id]
            looked = (rule.among(references) if isinstance(rule, Listed) else rule)(rows)
        except KeyError as error:
            sentence = f"got no rule, column or reference {error}, expected it"
            return CheckResult(check, Verdict.ERROR, 0, sentence=sentence)
        if not check.row_level:
            verdict = Verdict.FAILED if looked[-1] else Verdict.PASSED
            return CheckResult(check, verdict, len(rows), sentence=check.sentence)
        if not looked:
            return CheckResult(
                check, Verdict.INCONCLUSIVE, 0, sentence=f"{check.sentence}: no row to evaluate"
            )
        failing = tuple(position for position, fails in looked.items() if fails)
        verdict = Verdict.FAILED if failing else Verdict.PASSED
        observed = f"{len(failing)} of {len(looked)} rows fail"
        return CheckResult(check, verdict, len(looked), failing, observed, f"{check.sentence}: {observed}")
