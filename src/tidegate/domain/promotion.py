"""The heart: who may move which version where, on what evidence.

Pure: everything it knows is in its arguments, and the answer carries *all* reasons. It decides; the
caller records what it decided, in the transaction in which it was decided, and never in another.

    P1  a version goes up one stage at a time, and down any number
    P2  missing, errored or failed evidence blocks; inconclusive evidence waits for a person
    P3  an approval speaks for one (version, artifact, packet, policy); any change voids it, by name
    P4  an approver is a person, holds the required role, did not request, train or register this version,
        is not the one on whose behalf a service did, and counts once
    P5  rolling back and stopping never wait for approval; going up into prod again does, whatever the gate
    P8  prod needs a way back that was tried; the first version's is its declared fallback

(P6 and P7 are about policies and P9 about break-glass; they are not decided here.)

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
)
from tidegate.domain.policy import Gate, Need, Policy, Stage, Tier
from tidegate.domain.state import ActorRow, ApprovalRow, PromotionRow, VersionRow

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
    (Stage.CANARY, Action.APPROVE): (),
    (Stage.CANARY, Action.REJECT): (),
    (Stage.CANARY, Action.DEMOTE): (Stage.STAGING, Stage.CANDIDATE),
    (Stage.CANARY, Action.RETIRE): (Stage.RETIRED,),
    (Stage.PROD, Action.ROLL_BACK): (Stage.CANDIDATE,),
    (Stage.PROD, Action.STOP): (Stage.CANDIDATE,),
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
    refusals = _permission(act, actor)
    targets = TRANSITIONS.get((Stage(version.stage), act.action))
    if targets is None or (act.to is not None and act.to not in targets):
        return Refused((*refusals, _illegal(version, act, targets)))
    if act.action in {Action.APPROVE, Action.REJECT}:
        refusals += _may_decide(state, version, act, actor, evidence, approvals, policy)
        return Refused(tuple(refusals)) if refusals else Allowed((), now)
    if act.action is Action.ROLL_BACK and state.previous() is None:
        refusals.append(_nothing_to_restore(state))
    waits: list[Reason] = []
    target = act.to or targets[0]
    if act.action is Action.PROMOTE:
        blocked, waits = _gate(state, version, target, evidence, approvals, policy)
        refusals += blocked
    if refusals:
        return Refused(tuple(refusals))
    if waits:
        return Waiting(tuple(waits))
    return Allowed(_moves(state, version, act, target), now)


def counted(
    state: Lifecycle, version: VersionRow, evidence: Dossier, approvals: Sequence[ApprovalRow], policy: Policy
) -> tuple[list[ApprovalRow], list[Reason]]:
    """Return the approvals that count (P3, P4), and one reason per approval that does not."""
    valid: list[ApprovalRow] = []
    void: list[Reason] = []
    for approval in approvals:
        if (
            approval.outcome != "approve"
            or state.promotion is None
            or approval.promotion != state.promotion.id
        ):
            continue
        changed = _changed(approval, version, evidence, policy)
        person = state.people[approval.actor]
        # Approving refused the unfit already (`_may_decide`); what counts never rests on that having been so.
        unfit = _unfit(state, version, person, [row.actor for row in valid])
        if changed:
            sentence = f"the approval by {approval.actor} is void: {', '.join(changed)} changed since"
            void.append(
                Reason("approval-void", "P3", sentence, "ask for a new approval of what is there now")
            )
        elif approval.role not in person.roles:
            sentence = f"{approval.actor} no longer holds `{approval.role}`, so that approval does not count"
            void.append(Reason("approver-lost-role", "P4", sentence, "ask somebody who holds the role"))
        elif unfit:
            void += unfit
        else:
            valid.append(approval)
    return valid, void


def _permission(act: Act, actor: ActorRow) -> list[Reason]:
    if permits(actor, NEEDS[act.action]):
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


def _may_decide(
    state: Lifecycle,
    version: VersionRow,
    act: Act,
    actor: ActorRow,
    evidence: Dossier,
    approvals: Sequence[ApprovalRow],
    policy: Policy,
) -> list[Reason]:
    promotion = state.promotion
    if promotion is None or promotion.version != version.number or promotion.status != "open":
        sentence = f"no promotion of version {version.number} waits for a decision"
        return [Reason("nothing-open", "P3", sentence, "request its promotion first")]
    decided = [row.actor for row in approvals if row.promotion == promotion.id]
    reasons = _unfit(state, version, actor, decided)
    if act.action is Action.REJECT:  # closing a request is safe: its own people may, and it need not be fresh
        return [reason for reason in reasons if reason.code != "own-work"]
    changed = _changed(promotion, version, evidence, policy)
    if changed:
        sentence = f"{promotion.id} was requested for something else: {', '.join(changed)} changed since"
        reasons.append(Reason("stale-request", "P3", sentence, "request the promotion again"))
    return reasons


def _unfit(state: Lifecycle, version: VersionRow, actor: ActorRow, decided: Sequence[str]) -> list[Reason]:
    """Return why this actor's decision cannot count (P4), given the actors who decided before."""
    reasons = []
    if actor.kind != "person":
        reasons.append(
            Reason("not-a-person", "P4", f"{actor.id} is a service; only people approve", "ask a person")
        )
    part = _part_in(state, version, actor)
    if part:
        sentence = f"{actor.id} cannot approve version {version.number}: it was {' and '.join(part)} by them"
        reasons.append(Reason("own-work", "P4", sentence, "ask an approver who had no part in it"))
    twice = sorted(other for other in decided if _subject(state, other) == actor.subject)
    if twice and state.promotion is not None:
        sentence = f"{twice[0]} already decided on {state.promotion.id}; one person counts once"
        reasons.append(Reason("counted-once", "P4", sentence, "ask another approver"))
    return reasons


def _subject(state: Lifecycle, actor: str) -> str:
    """Return who is behind an account; an account that nobody knows is its own subject."""
    return state.people[actor].subject if actor in state.people else actor


def _part_in(state: Lifecycle, version: VersionRow, actor: ActorRow) -> list[str]:
    """Name the parts that this person, under any account, had in the version."""
    promotion = state.promotion
    parts = {
        "requested": {promotion.requester, promotion.on_behalf_of} if promotion else set(),
        "trained": {version.trainer, version.on_behalf_of},
        "registered": {version.registrar, version.on_behalf_of},
    }
    return [
        part
        for part, actors in parts.items()
        if any(_subject(state, other) == actor.subject for other in actors if other)
    ]


def _changed(
    bound: ApprovalRow | PromotionRow, version: VersionRow, evidence: Dossier, policy: Policy
) -> list[str]:
    """Name what differs between what was bound and what is there now."""
    pairs = (
        ("the version", bound.version, version.number),
        ("the artifact", bound.artifact, version.artifact),
        ("the evidence packet", bound.packet, evidence.packet),
        ("the policy", bound.policy, policy.digest),
    )
    return [name for name, then, now in pairs if then != now]


def _gate(
    state: Lifecycle,
    version: VersionRow,
    target: Stage,
    evidence: Dossier,
    approvals: Sequence[ApprovalRow],
    policy: Policy,
) -> tuple[list[Reason], list[Reason]]:
    """Return why the gate into ``target`` blocks, and what it waits for."""
    gate = policy.gate(Tier(state.model.tier), target)
    if gate is None:
        sentence = (
            f"policy {policy.name} {policy.version} has no gate into {target} for tier {state.model.tier}"
        )
        return [Reason("no-gate", "P2", sentence, "write the gate: what no policy opens stays shut")], []
    blocked, doubts = _demands(gate, evidence)
    if target is Stage.PROD:
        blocked += _way_back(evidence)
    if target is Stage.PROD and version.number in state.taken_out:
        sentence = f"version {version.number} was taken out of prod; going up again waits for a person"
        doubts.append(Reason("taken-out", "P5", sentence, "a person must decide"))
    valid, void = counted(state, version, evidence, approvals, policy)
    needs = [need for need in gate.approvals if need.count > 0] or ([DOUBT] if doubts else [])
    missing = []
    for need in needs:
        people = {_subject(state, row.actor) for row in valid if row.role == need.role}
        if len(people) < need.count:
            short = need.count - len(people)
            sentence = f"the gate into {target} waits for {short} more approval(s) by role `{need.role}`"
            step = f"tidegate approve {state.model.name} {version.number} --as … --reason …"
            missing.append(Reason("approval-missing", "P4", sentence, step))
    return blocked, [*doubts, *void, *missing] if missing else []


def _demands(gate: Gate, evidence: Dossier) -> tuple[list[Reason], list[Reason]]:
    """Split a gate's unmet demands into those that block and those that leave a doubt (P2)."""
    # Of two findings on one demand the worse one speaks: sorted, it is the last that stays.
    found = {each.demand: each for each in sorted(evidence.findings, key=lambda each: rank(each.verdict))}
    blocked, doubts = [], []
    for demand in gate.demands:
        finding = found.get(demand.id)
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
            blocked.append(
                Reason(
                    f"evidence-{finding.verdict}", "P2", sentence, "mend the cause and train a new version"
                )
            )
    if not gate.demands:
        sentence = f"the gate into {gate.to} demands nothing; an empty gate is refused"
        blocked.append(Reason("empty-gate", "P2", sentence, "write what it demands"))
    return blocked, doubts


def _way_back(evidence: Dossier) -> list[Reason]:
    """Return why prod could not be left again (P8)."""
    way_back = evidence.way_back
    if way_back is not None and way_back.verified:
        return []
    got, step = "nothing", "declare a fallback in the model's file"
    if way_back is not None:
        got = f"{way_back.name or 'an empty fallback'} untried"
        step = "make the registry hand it out by its digest" if way_back.kind == "version" else step
    return [Reason("no-way-back", "P8", f"prod needs a tried way back, got {got}", step)]


_VERB = {Verdict.FAILED: "failed", Verdict.ERROR: "could not be measured"}


def _nothing_to_restore(state: Lifecycle) -> Reason:
    sentence = f"{state.model.name} has no earlier version that was approved into prod"
    step = f"tidegate rollback {state.model.name} --stop (its declared fallback: {state.model.fallback})"
    return Reason("nothing-to-restore", "P5", sentence, step)


def _moves(state: Lifecycle, version: VersionRow, act: Act, target: Stage) -> tuple[Move, ...]:
    own = Move(version.number, Stage(version.stage), target)
    current, previous = state.in_prod(), state.previous()
    if act.action is Action.ROLL_BACK and previous is not None:
        return own, Move(previous.number, *CONSEQUENCES[Action.ROLL_BACK])
    if target is Stage.PROD and current is not None:
        return Move(current.number, *CONSEQUENCES[Action.PROMOTE]), own
    return (own,)
