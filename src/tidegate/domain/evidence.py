"""Verdicts, measured values, and the evidence that carries them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite


class Verdict(StrEnum):
    """What a check concluded. Absence is not a verdict."""

    PASSED = "passed"
    FAILED = "failed"  # evidence against
    INCONCLUSIVE = "inconclusive"  # measured, cannot tell
    ERROR = "error"  # could not measure


#: Worst last: the verdict of a whole is the worst verdict of its parts.
_ORDER = (Verdict.PASSED, Verdict.INCONCLUSIVE, Verdict.FAILED, Verdict.ERROR)


#: What a wrong prediction costs, by what a model predicts; lower is better.
LOSSES: Mapping[str, str] = {"probability": "brier", "number": "mae"}


def rank(verdict: Verdict) -> int:
    """Return how bad a verdict is, from 0 (passed); what is no verdict at all is worse than any."""
    return _ORDER.index(verdict) if verdict in _ORDER else len(_ORDER)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of ``verdicts``; of nothing it is inconclusive, never a pass."""
    return max(verdicts, key=rank, default=Verdict.INCONCLUSIVE)


@dataclass(frozen=True)
class Measure:
    """One number that was measured, with what it rests on.

    ``n`` counts rows; ``low`` and ``high`` bound a 95 % interval whose ``method`` is named.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    method: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the measure as a payload; a non-finite number becomes ``null`` with ``finite: false``."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        finite = all(number is None or isfinite(number) for number in numbers.values())
        kept = {
            name: number if number is None or isfinite(number) else None for name, number in numbers.items()
        }
        return {**kept, "n": self.n, "method": self.method, "finite": finite}


@dataclass(frozen=True)
class Evidence:
    """What one check yields about one subject.

    ``subject`` names what was checked by content (``artifact sha256:…``); ``tool`` names who measured,
    with its version. ``report`` names the digest of a report that shows it, ``at`` says when (RFC 3339, UTC);
    both are empty where there is none.
    """

    kind: str
    subject: str
    verdict: Verdict
    sentence: str
    tool: str
    values: Mapping[str, Measure] = field(default_factory=dict)
    report: str = ""
    at: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the evidence as a payload."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "verdict": str(self.verdict),
            "sentence": self.sentence,
            "tool": self.tool,
            "values": {name: measure.as_dict() for name, measure in sorted(self.values.items())},
            "report": self.report,
            "at": self.at,
        }
