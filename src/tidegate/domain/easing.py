"""Where a proposed policy asks less than the one in force (rule P6).

Pure. Only what is surely no easier counts as none: where two texts differ and what they say cannot be compared, the
change counts as easier, for who had a part in a version must not be the one to wave it through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tidegate.domain.policy import Demand, Gate, Need, Policy, Stage, Tier
from tidegate.domain.policy_diff import differences

#: The stages a version rises through.
RISE = (Stage.CANDIDATE, Stage.STAGING, Stage.CANARY, Stage.PROD)
#: Parts whose effect on a version no packet shows: any change of them may help it.
_UNTOLD = frozenset({"preconditions", "rollout", "certification", "deny", "review"})


def eased_beyond_gates(in_force: Policy, proposed: Policy) -> bool:
    """Say whether what no gate shows may be easier: conditions of the hour, reviews, or changing the policy itself."""
    moved = [each.part for each in differences(in_force, proposed)]
    untold = any(part.split(".")[0] in _UNTOLD or part == "break_glass.role" for part in moved)
    return untold or fewer_asked(in_force.changes, proposed.changes)


def gates_ahead(
    in_force: Policy, proposed: Policy, tier: Tier, stage: Stage
) -> Iterator[tuple[Gate | None, Gate | None]]:
    """Yield each gate between a stage and prod, break-glass last, as both policies have it."""
    if stage not in RISE[:-1]:
        return
    for to in RISE[RISE.index(stage) + 1 :]:
        yield in_force.gate(tier, to), proposed.gate(tier, to)
    yield in_force.gate_of("break_glass", tier, Stage.PROD), proposed.gate_of("break_glass", tier, Stage.PROD)


def easier(then: Gate | None, now: Gate | None) -> bool:
    """Say whether a gate opens at all, drops a demand or a section, asks fewer people, or waits for them otherwise."""
    if then is None or now is None:
        return then is None and now is not None
    dropped = set(then.rules()) - set(now.rules())
    return bool(dropped) or then.deadline != now.deadline or fewer_asked(then.approvals, now.approvals)


def reworded(then: Gate | None, now: Gate | None) -> list[tuple[Demand, Demand]]:
    """Return the demands that both gates make in other words."""
    before = {demand.id: demand for demand in then.demands} if then else {}
    return [
        (before[demand.id], demand)
        for demand in (now.demands if now else ())
        if demand.id in before and _words(before[demand.id]) != _words(demand)
    ]


def fewer_asked(then: Sequence[Need], now: Sequence[Need]) -> bool:
    """Say whether some role is asked for fewer people than before."""
    asked = {need.role: need.count for need in now}
    return any(asked.get(need.role, 0) < need.count for need in then)


def _words(demand: Demand) -> tuple[str, str]:
    return demand.passes, demand.unclear
