"""Ask a policy about a sealed packet as if it had been in force all along.

Nothing is measured again and nothing is written: the sealed facts are read, and what was decided on them then counts
for this policy. Rule P7 has nothing to say here: a policy that was always in force predates everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from tidegate.application.judgement import findings
from tidegate.application.ports import Expressions
from tidegate.application.weighing import gate_asked
from tidegate.domain.actors import Permission, roles_that
from tidegate.domain.lifecycle import (
    Act,
    Allowed,
    Decision,
    Dossier,
    Lifecycle,
    Precondition,
    Waiting,
    WayBack,
)
from tidegate.domain.policy import Policy
from tidegate.domain.promotion import decide
from tidegate.domain.state import ActorRow, ApprovalRow, PacketRow

PASSED, WAITED, REFUSED = "passed", "waited", "refused"

#: A way back that somebody tried, where the record does not say which.
TRIED = WayBack("version", "the way back", verified=True)

#: Whoever may ask: what a policy says of a version does not depend on who asks.
_ASKING = {*roles_that(Permission.REQUEST), *roles_that(Permission.BREAK_GLASS)}
_ANYBODY = ActorRow("anybody", "service", "anybody", tuple(sorted(_ASKING)), 0)


def as_if(
    expressions: Expressions,
    policy: Policy,
    life: Lifecycle,
    act: Act,
    packet: PacketRow,
    now: datetime,
    approvals: Sequence[ApprovalRow] = (),
    way_back: WayBack = TRIED,
    held: Sequence[Precondition] = (),
) -> Decision:
    """Return what would have been decided on a sealed packet under ``policy``.

    ``approvals`` are those on ``life.promotion``; what the moment asked for is ``held``.
    """
    gate = gate_asked(policy, life, act.version, act.action)
    found = findings(gate, {"packet": dict(packet.body)}, expressions) if gate else ()
    dossier = Dossier(packet.digest, found, way_back, tuple(held))
    asked = replace(life.promotion, policy=policy.digest) if life.promotion else None
    given = [replace(row, policy=policy.digest) for row in approvals]
    return decide(replace(life, promotion=asked), act, _ANYBODY, dossier, given, policy, now)


def outcome(decision: Decision) -> str:
    """Return a decision in one word: passed, waited (for people) or refused."""
    if isinstance(decision, Allowed):
        return PASSED
    return WAITED if isinstance(decision, Waiting) else REFUSED
