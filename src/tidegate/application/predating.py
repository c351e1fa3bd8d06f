"""When a demand came into force, and when what it judges was measured (rule P7).

Both are sequences of the ledger. A demand counts as the same for as long as its identity, its expressions and
its sentence stay, word for word, through one policy after the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tidegate.application.ports import Policies, StateReader
from tidegate.application.standing import canary_row
from tidegate.domain.errors import BadInput
from tidegate.domain.policy import Demand, Finding, Policy
from tidegate.domain.state import PolicyRow, VersionRow

#: Every place where an expression reads the packet, with the section and the member it names there, if it does.
_READS = re.compile(r"\bpacket\b(?:\.([a-z_]+)\b(?:\.([a-z_]+)\b)?)?")
#: Sections that evaluate nothing: what a version is, where it came from, what it returns to.
_NO_EVALUATION = frozenset(
    {"schema", "model", "version", "tier", "prediction", "policy", "artifact", "data", "features"}
    | {"way_back", "rollback_plan", "lineage", "code", "environment"}
)
_CANARY = "canary"


def dated(
    state: StateReader,
    policies: Policies,
    policy: Policy,
    version: VersionRow,
    demands: Sequence[Demand],
    found: Sequence[Finding],
) -> tuple[Finding, ...]:
    """Return the findings with the sequences of rule P7."""
    known = {demand.id: demand for demand in demands}
    return tuple(
        replace(
            each,
            since=in_force_since(state, policies, policy, known[each.demand]),
            measured=measured_at(state, version, known[each.demand]),
        )
        if each.demand in known
        else each
        for each in found
    )


def in_force_since(state: StateReader, policies: Policies, policy: Policy, demand: Demand) -> int:
    """Return the sequence at which a demand came into force as it stands; 0 where its policy is not in force yet."""
    rows = sorted(state.select(PolicyRow), key=lambda row: row.sequence, reverse=True)
    since = 0
    for row in rows:
        if not since and row.digest != policy.digest:
            continue  # a policy that was in force after the one that is asked about says nothing of it
        try:
            demands = policies.parse(row.body).demands()
        except BadInput:  # a policy of an older format judged by other words
            return since
        if not same(demands.get(demand.id), demand):
            return since
        since = row.sequence
    return since


def measured_at(state: StateReader, version: VersionRow, demand: Demand) -> int:
    """Return the sequence of the earliest evaluation that a demand reads; 0 where it reads none.

    A demand that reads the packet otherwise than by its sections' names (as a whole, or by a name that is worked
    out) may read any evaluation of it, and is taken to.
    """
    sequences = []
    for section, member in _READS.findall(f"{demand.passes} {demand.unclear}"):
        if section in _NO_EVALUATION or (section, member) == ("champion", "version"):
            continue
        if section != _CANARY:
            sequences.append(version.sequence)
        if section in {_CANARY, ""} and (row := canary_row(state, version)):
            sequences.append(row.sequence)
    return min(sequences, default=0)


def same(then: Demand | None, now: Demand) -> bool:
    """Say whether a demand is the one it was, word for word."""
    return then is not None and (then.sentence, then.passes, then.unclear) == (
        now.sentence,
        now.passes,
        now.unclear,
    )
