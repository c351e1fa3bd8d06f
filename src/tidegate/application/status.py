"""What stands where, and what waits for whom."""

from __future__ import annotations

from typing import Any

from tidegate.application.ports import Ledger
from tidegate.application.projection import SINK
from tidegate.domain.state import BatchRow, ModelRow, PolicyRow, PromotionRow, ReviewRow, VersionRow


def status(ledger: Ledger) -> dict[str, Any]:
    """Return the state of everything in one mapping, read from folded state alone."""
    state = ledger.state()
    policy = state.select(PolicyRow, in_force=True)
    batches = state.select(BatchRow)
    models = {}
    for model in state.select(ModelRow):
        rows = state.select(VersionRow, model=model.name)
        stages = {row.stage: row.number for row in rows if row.stage in {"staging", "canary", "prod"}}
        models[model.name] = {"tier": model.tier, "versions": len(rows), "stages": stages}
    return {
        "policy": f"{policy[0].name} {policy[0].version}" if policy else "",
        "policy_digest": policy[0].digest if policy else "",
        "batches": {
            "accepted": sum(1 for row in batches if row.batch),
            "held_back": sum(1 for row in batches if not row.batch),
            "rows": sum(row.accepted for row in batches),
            "quarantined": sum(row.quarantined for row in batches),
        },
        "models": models,
        "waiting": {
            "approvals": [
                {"promotion": row.id, "model": row.model, "version": row.version, "to": row.target}
                for row in state.select(PromotionRow, status="open")
            ],
            "reviews": [
                {"review": row.id, "model": row.model, "period": row.period, "due_at": row.due_at}
                for row in state.select(ReviewRow, status="open")
            ],
        },
        "projected_to": ledger.cursor(SINK),
    }
