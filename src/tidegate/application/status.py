"""What stands where, and what waits for whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from tidegate.application import outbox
from tidegate.application.freshness import latest_marks, standings
from tidegate.application.periods import gaps
from tidegate.application.platform import Platform
from tidegate.application.projection import SINK, incidents
from tidegate.application.revisions import in_force
from tidegate.application.runs import schedule_status
from tidegate.application.standing import MANDATORY, overdue
from tidegate.application.waive import shown as waivers
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import BadInput
from tidegate.domain.lifecycle import time_for
from tidegate.domain.state import (
    BatchRow,
    ModelRow,
    PolicyRow,
    PromotionRow,
    ProposalRow,
    PushRow,
    ReviewRow,
    VersionRow,
)

R = TypeVar("R")


def status(platform: Platform) -> dict[str, Any]:
    """Return the state of everything in one mapping: folded state, and the schedules beside it.

    What cannot be read hides nothing else: ``schedules`` is then empty and ``schedules_fault`` says why, and
    ``gaps`` and ``gaps_fault`` likewise.
    """
    state, now = platform.ledger.state(), platform.clock.now()
    late, marks = overdue(state, now), state.marks()
    schedules, fault = _read(lambda: schedule_status(platform, now))
    missing, gaps_fault = _read(lambda: gaps(platform, now))
    policy = state.select(PolicyRow, in_force=True)
    # One row a batch: what was restated is no longer in force, and two drops may bring the same batch.
    batches = {(row.dataset, row.period, row.batch): row for row in in_force(state)}.values()
    drops, pushes = state.select(BatchRow), state.select(PushRow)
    models = {}
    for model in state.select(ModelRow):
        rows = state.select(VersionRow, model=model.name)
        stages = {row.stage: row.number for row in rows if row.stage in {"staging", "canary", "prod"}}
        models[model.name] = {"tier": model.tier, "versions": len(rows), "stages": stages}
    return {
        "policy": f"{policy[0].name} {policy[0].version}" if policy else "",
        "policy_digest": policy[0].digest if policy else "",
        "batches": {
            "accepted": len(batches),
            "held_back": sum(1 for row in drops if not row.batch),
            "restated": sum(1 for row in drops if row.superseded_by),
            "rows": sum(row.accepted for row in batches),
            "quarantined": sum(row.quarantined for row in batches),
        },
        "pushes": {
            "accepted": sum(1 for row in pushes if row.parts),
            "held_back": sum(1 for row in pushes if not row.parts),
            "rows": sum(row.accepted for row in pushes),
            "quarantined": sum(row.quarantined for row in pushes),
        },
        "models": models,
        "held": sorted({row.model for row in late if row.kind in MANDATORY}),
        "waiting": {
            "approvals": [
                {
                    "promotion": row.id,
                    "model": row.model,
                    "version": row.version,
                    "to": row.target,
                    "kind": row.kind,
                    "due_at": row.due_at,
                    "overdue": bool(row.due_at) and utc_time(row.due_at) < time_for(marks, row.sequence, now),
                    "escalated_to": row.escalated_to,
                }
                for row in state.select(PromotionRow, status="open")
            ],
            "policies": [
                {"proposal": row.id, "name": row.name, "version": row.version}
                for row in state.select(ProposalRow, status="open")
            ],
            "reviews": [
                {
                    "review": row.id,
                    "model": row.model,
                    "period": row.period,
                    "kind": row.kind,
                    "due_at": row.due_at,
                    "overdue": row in late,
                }
                for row in state.select(ReviewRow, status="open")
            ],
        },
        "features": standings(state, now),
        "scorings": latest_marks(state),
        "waivers": waivers(platform),
        "schedules": schedules,
        "schedules_fault": fault,
        "gaps": missing,
        "gaps_fault": gaps_fault,
        "projected_to": platform.ledger.cursor(SINK),
        "sinks": [asdict(each) for each in outbox.standings(platform)],
        "incidents": [asdict(each) for each in incidents(state)],
    }


def _read(look: Callable[[], list[R]]) -> tuple[list[R], str]:
    try:
        return look(), ""
    except BadInput as fault:
        return [], fault.sentence
