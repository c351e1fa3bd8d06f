"""The heart: who may move which version where, on what evidence.

Pure: everything it knows is in its arguments, and the answer carries *all* reasons. It decides; the
caller records what it decided, in the transaction in which it was decided, and never in another.

    P1  a version goes up one stage at a time, and down any number
    P2  missing, errored or failed evidence blocks, a required section that nobody supplied too; inconclusive
        evidence waits for a person
    P3  an approval speaks for one (version, artifact, packet, policy), as long as the policy lets it; any change
        voids it, by name
    P4  an approver is a person, holds the required role, did not request, train or register this version,
        is not the one on whose behalf a service did, counts once, and speaks only for themselves unless
        somebody delegated it to them (`approval` decides P3 and P4)
    P5  rolling back and stopping never wait for approval; going up into prod again does, whatever the gate;
        an approval taken back takes a live version with it
    P6  a policy changes by being proposed and approved (`policy_change` decides it)
    P7  a demand was in force before the evaluation that it judges
    P8  prod needs a way back that was tried, and what else must hold at that moment; the first version's way
        back is its declared fallback
    P9  break-glass asks a smaller policy with a floor of its own, never none, and a review must follow; while a
        review that must not be missed is overdue, nothing of the model goes up

Worked example. Version 2 stands in canary and version 1 in prod. ``decide(…, Act(PROMOTE, 2), …)`` finds
the gate into prod; all its demands passed (P2) and version 1 was loaded by its digest (P8), but nobody has
approved: Waiting(P4). Its trainer approves: Refused(P4). Somebody else approves, then the policy changes:
that approval is void (P3) and the answer is Waiting again. They approve once more: Allowed, with the moves
``1: prod → retired`` and ``2: canary → prod``, in that order. Rolled back, both moves are undone in one
step without anybody's approval (P5), and version 2 is a candidate again (P1).

What is *not* checked here: that the actor is who they say (``application.identity``), that the packet's
facts are true (each adapter that measured them), and that bytes still have their digest (the registry,
whenever it hands out an artifact).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from tidegate.domain.actors import Permission, permits
from tidegate.domain.approval import carried_without, counted, gave, may_decide, may_revoke, short_of
from tidegate.domain.canonical import utc_time
from tidegate.domain.counting import many
from tidegate.domain.evidence import Verdict, rank
from tidegate.domain.lifecycle import (
    Act,
    Action,
    Allowed,
    Decision,
    Dossier,
    Lifecycle,
    Move,
    Reason,
    Refused,
    Waiting,
    time_for,
)
from tidegate.domain.policy import Gate, Need, Policy, Stage, Tier
from tidegate.domain.reviewing import how_decided
from tidegate.domain.state import ActorRow, ApprovalRow, VersionRow

#: Every legal move: (stage, action) -> stages it may lead to. What is not here is refused.
#: Approving and rejecting move nothing by themselves. A version leaves ``retired`` only as the one that
#: a rollback restores, which is a move of the version rolled back, not an action on the retired one.
TRANSITIONS: Mapping[tuple[Stage, Action], tuple[Stage, ...]] = {
    (Stage.CANDIDATE, Action.PROMOTE): (Stage.STAGING,),
    (Stage.CANDIDATE, Action.APPROVE): (),
    (Stage.CANDIDATE, Action.REJECT): (),
    (Stage.CANDIDATE, Action.RETIRE): (Stage.RETIRED,),
    (Stage.STAGING, Action.PROMOTE): (Stage.CANARY,),
    (Stage.STAGING, Action.APPROVE): (),
    (Stage.STAGING, Action.REJECT): (),
    (Stage.STAGING, Action.DEMOTE): (Stage.CANDIDATE,),
    (Stage.STAGING, Action.RETIRE): (Stage.RETIRED,),
    (Stage.CANARY, Action.PROMOTE): (Stage.PROD,),
    (Stage.CANARY, Action.BREAK_GLASS): (Stage.PROD,),
    (Stage.CANARY, Action.APPROVE): (),
    (Stage.CANARY, Action.REJECT): (),
    (Stage.CANARY, Action.DEMOTE): (Stage.STAGING, Stage.CANDIDATE),
    (Stage.CANARY, Action.RETIRE): (Stage.RETIRED,),
    (Stage.PROD, Action.ROLL_BACK): (Stage.CANDIDATE,),
    (Stage.PROD, Action.STOP): (Stage.CANDIDATE,),
    (Stage.CANDIDATE, Action.REVOKE): (),
    (Stage.STAGING, Action.REVOKE): (),
    (Stage.CANARY, Action.REVOKE): (),
    (Stage.PROD, Action.REVOKE): (Stage.CANDIDATE,),
}

#: What an act does to the *other* version: a promotion into prod replaces one, a rollback restores one.
CONSEQUENCES: Mapping[Action, tuple[Stage, Stage]] = {
    Action.PROMOTE: (Stage.PROD, Stage.RETIRED),
    Action.ROLL_BACK: (Stage.RETIRED, Stage.PROD),
}

#: Which permission an action needs.
NEEDS: Mapping[Action, Permission] = {
    Action.PROMOTE: Permission.REQUEST,
    Action.APPROVE: Permission.APPROVE,
    Action.REJECT: Permission.APPROVE,
    Action.REVOKE: Permission.APPROVE,
    Action.BREAK_GLASS: Permission.BREAK_GLASS,
    Action.ROLL_BACK: Permission.ROLL_BACK,
    Action.STOP: Permission.STOP,
    Action.DEMOTE: Permission.DEMOTE,
    Action.RETIRE: Permission.DEMOTE,
}

#: Who must look where evidence is inconclusive and the gate itself asks for nobody.
DOUBT = Need("approver", 1)


def decide(
    state: Lifecycle,
    act: Act,
    actor: ActorRow,
    evidence: Dossier,
    approvals: Sequence[ApprovalRow],
    policy: Policy,
    now: datetime,
) -> Decision:
    """Decide one act. ``approvals`` are those recorded on the open promotion; others are ignored.

    Raises:
        KeyError: the caller asks about a version that the state does not hold (a fault of the caller).
    """
    version = state.versions[act.version]
    refusals = _permission(state, act, actor, approvals)
    targets = TRANSITIONS.get((Stage(version.stage), act.action))
    if targets is None or (act.to is not None and act.to not in targets):
        return Refused((*refusals, _illegal(version, act, targets)))
    if act.action in {Action.APPROVE, Action.REJECT}:
        refusals += may_decide(state, version, act, actor, evidence, approvals, policy, now)
        return Refused(tuple(refusals)) if refusals else Allowed((), now)
    if act.action is Action.REVOKE:
        refusals += may_revoke(state, actor, approvals)
        stays = carried_without(state, actor, approvals, _needed(state, policy))
        return (
            Refused(tuple(refusals))
            if refusals
            else Allowed(_moves(state, version, act, () if stays else targets), now)
        )
    if act.action is Action.ROLL_BACK and state.previous() is None:
        refusals.append(_nothing_to_restore(state))
    waits: list[Reason] = []
    target = act.to or targets[0]
    if act.action in {Action.PROMOTE, Action.BREAK_GLASS}:
        refusals += [*_held(state, now), *_glass_broken(state, act)]
        gate, missing = _asked(state, act, target, policy)
        refusals += missing
        if gate is not None:
            blocked, waits = _gate(state, version, gate, evidence, approvals, policy, now)
            refusals += blocked
            # An emergency asks its own floor and the way back; what else must hold at the moment is not asked.
            if target is Stage.PROD and act.action is Action.PROMOTE:
                refusals += _preconditions(evidence)
    if refusals:
        return Refused(tuple(refusals))
    if waits:
        return Waiting(tuple(waits))
    return Allowed(_moves(state, version, act, (target,)), now)


def _permission(
    state: Lifecycle, act: Act, actor: ActorRow, approvals: Sequence[ApprovalRow]
) -> list[Reason]:
    # Who gave an approval takes it back whatever they hold by then: nobody but the two of them could (P4).
    if act.action is Action.REVOKE and any(gave(row, actor) for row in approvals):
        return []
    # Who decides for another has that one's permission; that it was delegated is P4.
    behind = state.people.get(act.for_whom) if act.for_whom and actor.kind == "person" else None
    if permits(behind or actor, NEEDS[act.action]):
        return []
    sentence = f"{actor.id} holds no role that permits `{NEEDS[act.action]}`"
    return [Reason("not-permitted", "A1", sentence, "ask somebody whose role permits it")]


def _illegal(version: VersionRow, act: Act, targets: tuple[Stage, ...] | None) -> Reason:
    wish = f"{act.action} version {version.number}" + (f" to {act.to}" if act.to else "")
    if not targets:
        sentence = f"got: {wish}; it stands in {version.stage}, from where {act.action} leads nowhere"
    else:
        sentence = f"got: {wish}; from {version.stage} it leads to {' or '.join(targets)} only"
    legal = sorted({str(action) for stage, action in TRANSITIONS if stage == version.stage})
    return Reason(
        "illegal-move", "P1", sentence, f"from {version.stage} you can: {', '.join(legal) or 'nothing'}"
    )


def _held(state: Lifecycle, now: datetime) -> list[Reason]:
    """Return the reviews that must not be missed and are overdue: they hold whatever goes up (P9)."""
    late = [row for row in state.mandatory if utc_time(row.due_at) < time_for(state.marks, row.sequence, now)]
    return [
        Reason(
            "review-overdue",
            "P9",
            f"{row.id} ({row.kind.replace('_', ' ')}) was due on {row.due_at[:10]}, and nothing goes up before "
            "it is decided",
            how_decided(row),
        )
        for row in late
    ]


def _glass_broken(state: Lifecycle, act: Act) -> list[Reason]:
    """An emergency that waits for people is not replaced by a regular request: approvals of it would be lost (P9)."""
    asked = state.promotion
    if act.action is not Action.PROMOTE or asked is None or asked.kind != "break_glass":
        return []
    if asked.version != act.version or asked.status != "open":
        return []
    sentence = f"{asked.id} asks for version {asked.version} by break-glass, and waits for a decision"
    return [Reason("glass-broken", "P9", sentence, "approve or reject it first")]


def _asked(state: Lifecycle, act: Act, target: Stage, policy: Policy) -> tuple[Gate | None, list[Reason]]:
    """Return the gate that is asked, or why there is none."""
    if act.action is Action.BREAK_GLASS:
        gate = policy.gate_of("break_glass", Tier(state.model.tier), target)
        if gate is not None:
            return gate, []
        sentence = f"policy {policy.name} {policy.version} has no break-glass"
        return None, [Reason("no-break-glass", "P9", sentence, "promote it the regular way")]
    gate = policy.gate(Tier(state.model.tier), target)
    if gate is not None:
        return gate, []
    sentence = f"policy {policy.name} {policy.version} has no gate into {target} for tier {state.model.tier}"
    return None, [Reason("no-gate", "P2", sentence, "write the gate: what no policy opens stays shut")]


def _needed(state: Lifecycle, policy: Policy) -> Sequence[Need]:
    """Return whose approval carries the version that is live, under the policy now in force."""
    kind = state.promotion.kind if state.promotion else ""
    gate = policy.gate_of(kind, Tier(state.model.tier), Stage.PROD)
    return [need for need in (gate.approvals if gate else ()) if need.count > 0] or [DOUBT]


def _gate(
    state: Lifecycle,
    version: VersionRow,
    gate: Gate,
    evidence: Dossier,
    approvals: Sequence[ApprovalRow],
    policy: Policy,
    now: datetime,
) -> tuple[list[Reason], list[Reason]]:
    """Return why the gate blocks, and what it waits for."""
    blocked, doubts = _demands(gate, evidence)
    if gate.to is Stage.PROD:
        blocked += _way_back(state, evidence)
    if gate.to is Stage.PROD and version.number in state.taken_out:
        sentence = f"version {version.number} was taken out of prod; going up again waits for a person"
        doubts.append(Reason("taken-out", "P5", sentence, "a person must decide"))
    valid, void = counted(state, version, evidence, approvals, policy, now)
    needs = [need for need in gate.approvals if need.count > 0] or ([DOUBT] if doubts else [])
    missing = [
        Reason(
            "approval-missing",
            "P4",
            f"the gate into {gate.to} waits for {many(need.count, 'more approval')} by role `{need.role}`",
            f"tidegate approve {state.model.name} {version.number} --as … --reason …",
        )
        for need in short_of(state, valid, needs)
    ]
    return blocked, [*doubts, *void, *missing] if missing else []


def _demands(gate: Gate, evidence: Dossier) -> tuple[list[Reason], list[Reason]]:
    """Split a gate's unmet demands into those that block and those that leave a doubt (P2)."""
    # Of two findings on one demand the worse one speaks: sorted, it is the last that stays.
    found = {each.demand: each for each in sorted(evidence.findings, key=lambda each: rank(each.verdict))}
    blocked, doubts = [], []
    for demand in gate.demands:
        finding = found.get(demand.id)
        if finding is not None and finding.since > finding.measured > 0:
            came = f"{demand.id} came into force at event {finding.since}"
            sentence = f"{came}, after what it judges was measured at event {finding.measured}"
            step = "evaluate again: a demand judges only what is measured after it"
            blocked.append(Reason("demand-too-late", "P7", sentence, step))
        if finding is None:
            sentence = f"{demand.id}: nothing was measured, expected: {demand.sentence}"
            blocked.append(
                Reason("evidence-missing", "P2", sentence, "supply the evidence and request again")
            )
        elif finding.verdict is Verdict.INCONCLUSIVE:
            sentence = f"{demand.id} is inconclusive: {finding.sentence}"
            doubts.append(Reason("evidence-inconclusive", "P2", sentence, "a person must decide"))
        elif finding.verdict is not Verdict.PASSED:
            verb = _VERB.get(finding.verdict, f"has the unknown verdict `{finding.verdict}`")
            sentence = f"{demand.id} {verb}: {finding.sentence}"
            step = finding.step or "mend the cause and train a new version"
            blocked.append(Reason(f"evidence-{finding.verdict}", "P2", sentence, step))
    for section in gate.requires:
        if (gap := found.get(f"section {section}")) is None or gap.verdict is not Verdict.PASSED:
            sentence = (
                f"the packet has no {section.replace('_', ' ')}, which the gate into {gate.to} requires"
            )
            blocked.append(Reason("packet-gap", "P2", sentence, "supply it and request again"))
    if not gate.demands:
        sentence = f"the gate into {gate.to} demands nothing; an empty gate is refused"
        blocked.append(Reason("empty-gate", "P2", sentence, "write what it demands"))
    return blocked, doubts


def _way_back(state: Lifecycle, evidence: Dossier) -> list[Reason]:
    """Return why prod could not be left again (P8); the last step of what was tried is the one that failed."""
    way_back = evidence.way_back
    if way_back is not None and way_back.verified:
        return []
    got, step = "nothing", "declare a fallback in the model's file"
    if way_back is not None:
        got = f"{way_back.name or 'an empty fallback'} untried"
        got += f" ({way_back.steps[-1]})" if way_back.steps else ""
        step = f"tidegate rehearse {state.model.name}" if way_back.kind == "version" else step
    return [Reason("no-way-back", "P8", f"prod needs a tried way back, got {got}", step)]


def _preconditions(evidence: Dossier) -> list[Reason]:
    """Return what does not hold at this moment; what could not be told does not hold either (P8 and its like)."""
    return [
        Reason(f"precondition-{each.name}", each.rule, each.sentence, each.next_step)
        for each in evidence.preconditions
        if each.holds is not True
    ]


_VERB = {Verdict.FAILED: "failed", Verdict.ERROR: "could not be measured"}


def _nothing_to_restore(state: Lifecycle) -> Reason:
    sentence = f"{state.model.name} has no earlier version that was approved into prod"
    step = f"tidegate rollback {state.model.name} --stop (its declared fallback: {state.model.fallback})"
    return Reason("nothing-to-restore", "P5", sentence, step)


def _moves(state: Lifecycle, version: VersionRow, act: Act, targets: tuple[Stage, ...]) -> tuple[Move, ...]:
    if not targets:
        return ()
    own = Move(version.number, Stage(version.stage), targets[0])
    current, previous = state.in_prod(), state.previous()
    if act.action in {Action.ROLL_BACK, Action.REVOKE}:
        return (own, Move(previous.number, *CONSEQUENCES[Action.ROLL_BACK])) if previous else (own,)
    if targets[0] is Stage.PROD and current is not None:
        return Move(current.number, *CONSEQUENCES[Action.PROMOTE]), own
    return (own,)
