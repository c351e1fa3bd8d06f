"""Actors, what their roles permit, and the three rules about it.

    A1  an actor does only what one of its roles permits; no role permits everything
    A2  an actor acts as itself, proved by its token; a service may name the person it acts for
    A3  nobody gives roles to themselves, under whichever account; an administrator who can act always remains

Permissions are spelled ``scope:resource:action``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.lifecycle import Reason
from tidegate.domain.state import ActorRow


class Permission(StrEnum):
    """One thing somebody may do."""

    INGEST = "data:batch:ingest"
    WAIVE = "data:check:waive"
    MATERIALIZE = "features:view:materialize"
    REGISTER = "model:version:register"
    REQUEST = "model:promotion:request"
    APPROVE = "model:promotion:approve"
    ROLL_BACK = "model:version:roll_back"
    STOP = "model:version:stop"
    DEMOTE = "model:version:demote"
    BREAK_GLASS = "model:version:break_glass"
    TEND = "model:promotion:tend"
    SCORE = "model:decision:score"
    ANALYSE = "model:canary:analyse"
    MONITOR = "monitor:run:record"
    FOLLOW = "review:outcome:follow"
    RUN = "schedule:slot:record"
    REVIEW = "review:item:decide"
    MANAGE_ACTORS = "actor:account:manage"
    ANCHOR = "ledger:head:anchor"
    EXPORT = "ledger:bundle:export"
    ERASE = "ledger:text:erase"
    REPLAY = "outbox:sink:replay"
    PROPOSE_POLICY = "policy:change:propose"
    APPROVE_POLICY = "policy:change:approve"


#: What each role permits. An administrator manages accounts and nothing of the lifecycle.
ROLES: Mapping[str, frozenset[Permission]] = {
    "administrator": frozenset({Permission.MANAGE_ACTORS, Permission.ANCHOR, Permission.ERASE}),
    "data_scientist": frozenset({Permission.REGISTER, Permission.REQUEST, Permission.PROPOSE_POLICY}),
    "approver": frozenset(
        {Permission.APPROVE, Permission.PROPOSE_POLICY, Permission.APPROVE_POLICY, Permission.WAIVE}
    ),
    # A second pair of eyes of another kind: where a gate asks for one of each role.
    "risk_officer": frozenset(
        {Permission.APPROVE, Permission.PROPOSE_POLICY, Permission.APPROVE_POLICY, Permission.WAIVE}
    ),
    "reviewer": frozenset({Permission.REVIEW}),
    "operator": frozenset(
        {
            Permission.ROLL_BACK,
            Permission.STOP,
            Permission.DEMOTE,
            Permission.BREAK_GLASS,
            Permission.ANCHOR,
            Permission.REPLAY,
        }
    ),
    "auditor": frozenset({Permission.ANCHOR, Permission.EXPORT}),
    "ingest_service": frozenset({Permission.INGEST, Permission.RUN}),
    "feature_service": frozenset({Permission.MATERIALIZE, Permission.RUN}),
    "training_service": frozenset(
        {Permission.REGISTER, Permission.REQUEST, Permission.FOLLOW, Permission.RUN}
    ),
    "scoring_service": frozenset({Permission.SCORE, Permission.RUN}),
    "monitor_service": frozenset({Permission.MONITOR, Permission.RUN}),
    # It carries a rollout: what the analysis says goes on is asked for, what it says fails is taken back.
    "rollout_service": frozenset(
        {
            Permission.ANALYSE,
            Permission.REQUEST,
            Permission.DEMOTE,
            Permission.ROLL_BACK,
            Permission.FOLLOW,
            Permission.TEND,
            Permission.RUN,
        }
    ),
}

#: Roles that only a person may hold: a service never decides for people.
PERSONAL_ROLES = frozenset(
    {"administrator", "approver", "risk_officer", "reviewer", "data_scientist", "operator", "auditor"}
)
KINDS = ("person", "service")


def roles_that(permission: Permission) -> tuple[str, ...]:
    """Return the roles that permit this, in the order of `ROLES`."""
    return tuple(role for role, granted in ROLES.items() if permission in granted)


def permits(actor: ActorRow, permission: Permission) -> bool:
    """Say whether one of the actor's roles permits this."""
    return any(permission in ROLES.get(role, frozenset()) for role in actor.roles)


def require(actor: ActorRow, permission: Permission) -> None:
    """Refuse what no role of the actor permits.

    Raises:
        Refused: rule A1.
    """
    if not permits(actor, permission):
        holders = sorted(role for role, granted in ROLES.items() if permission in granted)
        raise Refused(
            "not-permitted",
            f"A1: {actor.id} holds {_list(actor.roles)}, but `{permission}` needs {_list(holders, 'or')}",
            "ask somebody who holds that role, or an administrator to grant it",
            rule="A1",
            permission=str(permission),
        )


def check_roles(kind: str, roles: tuple[str, ...]) -> None:
    """Refuse a kind or roles that nobody may hold.

    Raises:
        BadInput: an unknown kind or role, no role at all, or a personal role for a service.
    """
    if kind not in KINDS:
        raise BadInput("unknown-kind", f"got the actor kind `{kind}`, expected person or service", "pick one")
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        raise BadInput(
            "unknown-role",
            f"got {_list(unknown) if unknown else 'no role'}, expected one or more of {_list(sorted(ROLES), 'or')}",
            "see `tidegate user roles`",
        )
    misplaced = (
        sorted(set(roles) & PERSONAL_ROLES) if kind == "service" else sorted(set(roles) - PERSONAL_ROLES)
    )
    if misplaced:
        raise BadInput(
            "wrong-kind",
            f"got {_list(misplaced)} for a {kind}, expected a role made for a {kind}",
            "people decide, services work: create the other kind of actor",
        )


def may_add(actor: ActorRow, subject: str) -> list[Reason]:
    """Return why this actor may not make an account of this person: it would be one of their own (A3)."""
    if subject != actor.subject:
        return []
    sentence = f"{actor.id} makes another account for themselves, and with it gives themselves its roles"
    return [Reason("own-roles", "A3", sentence, "ask another administrator")]


def may_change(
    actor: ActorRow, account: ActorRow, roles: Sequence[str], administrators: Collection[str]
) -> list[Reason]:
    """Return why this actor may not give an account these roles (A3).

    ``administrators`` are the accounts with that role that can act, this one with them if it is one.
    """
    reasons, gained = [], sorted(set(roles) - set(account.roles))
    if gained and account.subject == actor.subject:
        sentence = f"{actor.id} gives {_list(gained)} to {account.id}, which is their own account"
        reasons.append(Reason("own-roles", "A3", sentence, "ask another administrator"))
    loses = "administrator" in account.roles and "administrator" not in roles
    if loses and not set(administrators) - {account.id}:
        sentence = f"{account.id} is the last administrator who can act, and would be none any more"
        reasons.append(Reason("last-administrator", "A3", sentence, "make another administrator first"))
    return reasons


def token_digest(token: str) -> str:
    """Return what is kept of a bearer token. Plain SHA-256 suffices: the token has 256 random bits.

    What is no UTF-8 has a digest too, which is nobody's: bytes of the environment come as lone surrogates.
    """
    return "sha256:" + hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def token_matches(token: str, kept: str) -> bool:
    """Compare a presented token with what is kept, in constant time."""
    return hmac.compare_digest(token_digest(token), kept)


def _list(names: tuple[str, ...] | list[str], last: str = "and") -> str:
    quoted = [f"`{name}`" for name in names]
    if len(quoted) < 2:  # noqa: PLR2004  # a list of one needs no conjunction
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"
