"""Canaries: two versions on the same rows, what that came to, and what still waits for labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.application.standing import scored_in_canary
from tidegate.domain.policy import Stage
from tidegate.domain.rollout import Standing
from tidegate.domain.state import CanaryRow, ReviewRow, VersionRow
from tidegate.entrypoints.web.measures import Drawing, decimals, drawing, interval, number
from tidegate.entrypoints.web.record import Note, Record


@dataclass(frozen=True)
class Canary:
    """One period of one canary.

    ``baseline`` is the version it was compared with, 0 for the declared fallback. ``compared`` is False where the
    period was scored and nobody has compared it yet: that is no verdict, and ``verdict`` is then empty. ``gain`` is
    how much lower its loss is, empty while nothing is labelled; ``asked`` what the policy's rule asks for.
    """

    version: int
    stage: str
    period: str
    rows: int
    compared: bool
    baseline: int
    verdict: str
    waits: bool
    sentence: str
    rule: str
    labelled: int
    share: float
    days: int
    asked: Mapping[str, Any]
    loss: str
    own: str
    live: str
    gain: str
    interval: str
    drawing: Drawing | None
    review: str
    review_open: bool
    ran: Note


def canaries(record: Record, model: str) -> tuple[Canary, ...]:
    """Return every canary of a model, the latest period first: analysed, or scored and not analysed yet."""
    found = [_analysed(record, row) for row in record.state.select(CanaryRow, model=model)]
    for version in record.state.select(VersionRow, model=model, stage=str(Stage.CANARY)):
        for scoring in scored_in_canary(record.state, version):
            row = record.state.get(CanaryRow, model, version.number, scoring.period)
            if row is None or row.sequence < scoring.sequence:
                found.append(_scored(record, version.number, scoring.period, scoring.rows, scoring.sequence))
    return tuple(sorted(found, key=lambda each: (each.period, each.version), reverse=True))


def _analysed(record: Record, row: CanaryRow) -> Canary:
    facts: Mapping[str, Any] = row.analysis
    version = record.state.get(VersionRow, row.model, row.version)
    review = record.state.get(ReviewRow, row.review) if row.review else None
    own, live, gain = (facts.get(name) or {} for name in ("candidate_loss", "baseline_loss", "gain"))
    places = decimals([own, live, gain])
    return Canary(
        version=row.version,
        stage=version.stage if version else "",
        period=row.period,
        rows=int(facts.get("rows", 0)),
        compared=True,
        baseline=row.baseline,
        verdict=row.verdict,
        waits=row.standing == Standing.WAITS,
        sentence=row.sentence,
        rule=str(facts.get("rule", "")),
        labelled=int(facts.get("labelled", 0)),
        share=float(facts.get("labelled_share", 0.0)),
        days=int(facts.get("days", 0)),
        asked=facts.get("asked") or {},
        loss=str(facts.get("loss", "")),
        own=number(own.get("value"), places),
        live=number(live.get("value"), places),
        gain=number(gain.get("value"), places) if gain else "",
        interval=interval(gain, places),
        drawing=drawing(gain),
        review=row.review,
        review_open=review is not None and review.status == "open",
        ran=record.note(record.at(row.sequence)),
    )


def _scored(record: Record, version: int, period: str, rows: int, sequence: int) -> Canary:
    return Canary(
        version=version,
        stage=str(Stage.CANARY),
        period=period,
        rows=rows,
        compared=False,
        baseline=0,
        verdict="",
        waits=True,
        sentence="",
        rule="",
        labelled=0,
        share=0.0,
        days=0,
        asked={},
        loss="",
        own="",
        live="",
        gain="",
        interval="",
        drawing=None,
        review="",
        review_open=False,
        ran=record.note(record.at(sequence)),
    )
