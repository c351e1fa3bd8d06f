"""Approvals: whose decision counts, and for what (rules P3 and P4).

Pure, like `promotion`, which asks it. An approval speaks for one (version, artifact, packet, policy); it is
given in one role, by a person who had no part in the version, for themselves or for somebody who delegated it
to them. Whether it was lawful is asked when it is recorded, and again whenever it is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tidegate.domain.actors import Permission, roles_that
from tidegate.domain.canonical import utc_time
from tidegate.domain.lifecycle import Act, Action, Dossier, Lifecycle, Reason, time_for
from tidegate.domain.policy import Need, Policy
from tidegate.domain.state import ActorRow, ApprovalRow, PromotionRow, VersionRow


def counted(
    state: Lifecycle,
    version: VersionRow,
    evidence: Dossier,
    approvals: Sequence[ApprovalRow],
    policy: Policy,
    now: datetime,
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
        reasons = _void(state, version, evidence, policy, approval, valid, now)
        void += reasons
        if not reasons:
            valid.append(approval)
    return valid, void


def short_of(state: Lifecycle, valid: Sequence[ApprovalRow], needs: Sequence[Need]) -> list[Need]:
    """Return what is still needed: per role, of distinct people, the number that is missing.

    An approval in the role that a request was escalated to stands in for one of any role that is short.
    """
    escalated = state.promotion.escalated_to if state.promotion else ""
    asked = {need.role for need in needs}
    spare = len(_people(state, valid, escalated)) if escalated and escalated not in asked else 0
    missing = []
    for need in needs:
        short = need.count - len(_people(state, valid, need.role))
        stands_in = min(max(short, 0), spare)
        spare -= stands_in
        if short > stands_in:
            missing.append(Need(need.role, short - stands_in))
    return missing


def may_decide(
    state: Lifecycle,
    version: VersionRow,
    act: Act,
    actor: ActorRow,
    evidence: Dossier,
    approvals: Sequence[ApprovalRow],
    policy: Policy,
    now: datetime,
) -> list[Reason]:
    """Return why this actor's decision on the open promotion may not be recorded; nothing means that it may."""
    promotion = state.promotion
    if promotion is None or promotion.version != version.number or promotion.status != "open":
        sentence = f"no promotion of version {version.number} waits for a decision"
        return [Reason("nothing-open", "P3", sentence, "request its promotion first")]
    decided = [row for row in approvals if row.promotion == promotion.id and not row.revoked]
    reasons = _voice(state, act, actor, now)
    for speaker in _speakers(state, actor, act.for_whom):
        reasons += unfit(state, version, speaker, decided)
    if act.action is Action.REJECT:  # closing a request is safe: its own people may, and it need not be fresh
        return [reason for reason in reasons if reason.code != "own-work"]
    changed = _changed(promotion, version, evidence, policy)
    if changed:
        sentence = f"{promotion.id} was requested for something else: {', '.join(changed)} changed since"
        reasons.append(Reason("stale-request", "P3", sentence, "request the promotion again"))
    return reasons


def may_revoke(state: Lifecycle, actor: ActorRow, approvals: Sequence[ApprovalRow]) -> list[Reason]:
    """Return why this actor has no approval to take back: only whoever gave one, or had it given for them, may."""
    own = [row for row in approvals if gave(row, actor) and not row.revoked and row.outcome == "approve"]
    if own:
        return []
    about = state.promotion.id if state.promotion else "this version"
    sentence = f"{actor.id} has no approval on {about} to take back"
    return [Reason("nothing-to-revoke", "P4", sentence, "only who gave an approval takes it back")]


def carried_without(
    state: Lifecycle, actor: ActorRow, approvals: Sequence[ApprovalRow], needs: Sequence[Need]
) -> bool:
    """Say whether the approvals that remain when this actor takes theirs back are still all that is needed."""
    rest = [row for row in approvals if row.outcome == "approve" and not row.revoked and not gave(row, actor)]
    return all(len(_people(state, rest, need.role)) >= need.count for need in needs)


def gave(approval: ApprovalRow, actor: ActorRow) -> bool:
    """Say whether an approval is this actor's to take back."""
    return actor.id in {approval.actor, approval.for_whom}


def unfit(
    state: Lifecycle, version: VersionRow, actor: ActorRow, decided: Sequence[ApprovalRow]
) -> list[Reason]:
    """Return why this actor's decision cannot count (P4), given what was decided before."""
    reasons = []
    if actor.kind != "person":
        reasons.append(
            Reason("not-a-person", "P4", f"{actor.id} is a service; only people approve", "ask a person")
        )
    part = _part_in(state, version, actor)
    if part:
        sentence = f"{actor.id} cannot approve version {version.number}: it was {' and '.join(part)} by them"
        reasons.append(Reason("own-work", "P4", sentence, "ask an approver who had no part in it"))
    twice = sorted(row.actor for row in decided if actor.subject in _subjects(state, row))
    if twice and state.promotion is not None:
        sentence = f"{twice[0]} already decided on {state.promotion.id}; one person counts once"
        reasons.append(Reason("counted-once", "P4", sentence, "ask another approver"))
    return reasons


def _void(
    state: Lifecycle,
    version: VersionRow,
    evidence: Dossier,
    policy: Policy,
    approval: ApprovalRow,
    valid: Sequence[ApprovalRow],
    now: datetime,
) -> list[Reason]:
    """Return why one recorded approval does not count. Recording refused the unfit; counting trusts nothing."""
    if approval.revoked:
        sentence = f"the approval by {approval.actor} was taken back"
        return [Reason("approval-revoked", "P4", sentence, "ask for a new approval")]
    if changed := _changed(approval, version, evidence, policy):
        sentence = f"the approval by {approval.actor} is void: {', '.join(changed)} changed since"
        return [Reason("approval-void", "P3", sentence, "ask for a new approval of what is there now")]
    days = policy.preconditions.approved_days
    time = time_for(state.marks, approval.sequence, now)
    if days is not None and utc_time(approval.occurred_at) + timedelta(days=days) < time:
        sentence = f"the approval by {approval.actor} is older than the {days} days that one holds"
        return [Reason("approval-expired", "P3", sentence, "ask for a new approval")]
    speaker = state.people[approval.for_whom or approval.actor]
    if approval.role not in speaker.roles:
        sentence = f"{speaker.id} no longer holds `{approval.role}`, so that approval does not count"
        return [Reason("approver-lost-role", "P4", sentence, "ask somebody who holds the role")]
    speakers = _speakers(state, state.people[approval.actor], approval.for_whom)
    return [reason for each in speakers for reason in unfit(state, version, each, valid)]


def _voice(state: Lifecycle, act: Act, actor: ActorRow, now: datetime) -> list[Reason]:
    """Return why nobody may speak in this role here: it is not held, or was not delegated."""
    if act.for_whom and not _delegated(state, act, actor, now):
        sentence = f"{act.for_whom} has not delegated `{act.role}` to {actor.id} for this, or no longer"
        return [Reason("no-delegation", "P4", sentence, "let them delegate it, or decide themselves")]
    speaker = state.people.get(act.for_whom) if act.for_whom else actor
    permitted = roles_that(Permission.APPROVE)
    if speaker is None or (act.role and (act.role not in speaker.roles or act.role not in permitted)):
        whose = act.for_whom or actor.id
        sentence = f"{whose} does not hold `{act.role}` as a role that approves"
        return [Reason("role-not-held", "P4", sentence, f"roles that approve: {', '.join(permitted)}")]
    return []


def _delegated(state: Lifecycle, act: Act, actor: ActorRow, now: datetime) -> bool:
    return any(
        row.principal == act.for_whom
        and row.delegate == actor.id
        and row.role == act.role
        and row.model in {"", state.model.name}
        and not row.ended
        and time_for(state.marks, row.sequence, now) < utc_time(row.until)
        for row in state.delegations
    )


def _speakers(state: Lifecycle, actor: ActorRow, for_whom: str) -> list[ActorRow]:
    """Return who must be fit: whoever decides, and whoever they decide for."""
    principal = state.people.get(for_whom) if for_whom else None
    return [actor] if principal is None else [actor, principal]


def _people(state: Lifecycle, approvals: Sequence[ApprovalRow], role: str) -> set[str]:
    return {_subject(state, row.for_whom or row.actor) for row in approvals if row.role == role}


def _subjects(state: Lifecycle, approval: ApprovalRow) -> set[str]:
    """Return the people an approval speaks for: who gave it and who had it given."""
    return {_subject(state, each) for each in (approval.actor, approval.for_whom) if each}


def _subject(state: Lifecycle, actor: str) -> str:
    """Return who is behind an account; an account that nobody knows is its own subject."""
    return state.people[actor].subject if actor in state.people else actor


def _part_in(state: Lifecycle, version: VersionRow, actor: ActorRow) -> list[str]:
    """Name the parts that this person, under any account, had in the version.

    Who requested it once had a part for good: a request that was closed, or asked for less, launders nobody.
    """
    promotion = state.promotion
    asked = {promotion.requester, promotion.on_behalf_of} if promotion else set()
    parts = {
        "requested": state.requesters | asked,
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
    sections = evidence.changed.get(bound.packet) or ("the evidence packet",)
    pairs = (
        (("the version",), bound.version, version.number),
        (("the artifact",), bound.artifact, version.artifact),
        (sections, bound.packet, evidence.packet),
        (("the policy",), bound.policy, policy.digest),
    )
    changed = [name for names, then, now in pairs if then != now for name in names]
    return list(dict.fromkeys(changed))
