"""Who is acting: accounts, tokens, and the opening of a ledger."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tidegate.application.platform import Acting, Platform
from tidegate.application.ports import StateReader, Transaction
from tidegate.application.recording import again, draft, permit, record_refusal, refused
from tidegate.application.standing import itself
from tidegate.domain.actors import (
    Permission,
    check_roles,
    may_add,
    may_change,
    permits,
    token_digest,
    token_matches,
)
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Draft, EventType
from tidegate.domain.folding import View
from tidegate.domain.lifecycle import Reason
from tidegate.domain.state import ActorRow, CredentialRow
from tidegate.domain.texts import barred

#: A name may become a file's name: it begins with a letter or digit, so that it is never `..`.
_NAME = re.compile(r"\w[\w .'@-]{0,79}")
#: Scripts whose letters look like each other's, as Unicode names them.
_ALIKE = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"}


@dataclass(frozen=True)
class Account:
    """An account to be made. ``name`` is personal data; it is kept beside the ledger.

    ``same_as`` is the id of another account of the same person; empty for a person of its own.
    """

    name: str
    kind: str
    roles: tuple[str, ...]
    same_as: str = ""


def authenticate(state: StateReader, token: str) -> ActorRow:
    """Return the actor whose token this is (rule A2).

    Raises:
        Refused: no valid credential has this token.
    """
    for credential in state.select(CredentialRow, token_digest=token_digest(token)):
        if not credential.revoked and token_matches(token, credential.token_digest):
            actor = state.get(ActorRow, credential.actor)
            if actor is not None:
                return actor
    raise Refused(
        "unknown-token",
        "A2: got a token that belongs to no actor or was revoked, expected a valid one",
        "set TIDEGATE_TOKEN, or use --as with a local user (see `tidegate user list`)",
        rule="A2",
    )


def open_ledger(
    platform: Platform, accounts: Sequence[Account], keep_token: Callable[[str, str], None]
) -> bool:
    """Write the genesis: the kind of clock, the first administrator and accounts, the first policy.

    ``keep_token(name, token)`` must keep each token before it returns: tokens exist nowhere else. The
    first account is the first administrator. Returns False, and writes nothing, if the ledger is open.

    Raises:
        BadInput: the policy on disk does not load, an account is malformed, or the first one is no person
            with the role `administrator`; nothing is written.
    """
    if not accounts or accounts[0].kind != "person" or "administrator" not in accounts[0].roles:
        raise BadInput(
            "no-administrator",
            "got no administrator as the first account, expected a person with the role `administrator`",
            "mend `accounts` in the profile",
        )
    if platform.ledger.state().select(ActorRow) or platform.ledger.head().sequence:
        return False  # a chain whose accounts somebody removed gets no second genesis
    policy = platform.policies.load()
    with platform.ledger.transaction() as tx:
        if tx.select(ActorRow):
            return False
        first = "p-1"
        opening = {"clock": platform.clock.kind, "assurance": platform.assurance, "administrator": first}
        tx.append(Draft(EventType.LEDGER_OPENED, "ledger", first, opening))
        for account in accounts:
            _add(tx, Acting(tx.get(ActorRow, first) or _first(first)), account, platform, keep_token)
        adopted = {
            "digest": policy.digest,
            "name": policy.name,
            "version": policy.version,
            "body": policy.body,
        }
        tx.append(Draft(EventType.POLICY_ADOPTED, "policy", first, adopted))
    return True


def add_account(platform: Platform, acting: Acting, account: Account) -> tuple[ActorRow, str]:
    """Make an account; return it and its token, which is shown once.

    Raises:
        Refused: rules A1 and A3; recorded. BadInput: a malformed name, kind or role, or the account of a person
            who is not there.
    """
    permit(platform, acting, Permission.MANAGE_ACTORS, "actors")
    tokens: list[str] = []
    denied: list[Reason] = []
    with platform.ledger.transaction() as tx:
        actor, denied = _manages(tx, acting)
        if account.same_as:
            denied += may_add(actor, _same_person(tx, account).subject)
        if denied:
            subject = {"same_person_as": account.same_as}
            record_refusal(tx, acting, "actors", "add_account", subject, denied)
        else:
            actor = _add(tx, acting, account, platform, lambda _, token: tokens.append(token))
    if denied:
        raise refused("add_account", denied)
    return actor, tokens[0]


def change_roles(platform: Platform, acting: Acting, account: str, roles: Sequence[str]) -> ActorRow:
    """Give an account these roles in the place of those it holds; return it. The same ones again change nothing.

    What was approved in a role counts only as long as the role is held (P4).

    Raises:
        Refused: rules A1 and A3; recorded. BadInput: no such account, or roles that it cannot hold.
    """
    permit(platform, acting, Permission.MANAGE_ACTORS, "actors")
    wanted, key = tuple(dict.fromkeys(roles)), acting.scoped_key(f"change_roles:{account}")
    denied: list[Reason] = []
    with platform.ledger.transaction() as tx:
        row = tx.get(ActorRow, account)
        if row is None:
            raise _unknown(account)
        check_roles(row.kind, wanted)
        if again(tx.recorded(key) if key else None) or set(wanted) == set(row.roles):
            return row
        actor, denied = _manages(tx, acting)
        denied += may_change(actor, row, wanted, administrators(tx))
        payload = {"id": row.id, "roles": list(wanted)}
        if denied:
            record_refusal(tx, acting, "actors", "change_roles", payload, denied, key)
        else:
            tx.append(draft(acting, EventType.ROLES_CHANGED, "actors", payload, key=key))
            row = tx.get(ActorRow, account) or row
    if denied:
        raise refused("change_roles", denied, account=account)
    return row


def administrators(view: View) -> tuple[str, ...]:
    """Return the accounts of administrators who can act."""
    rows = view.select(ActorRow, kind="person")
    return tuple(row.id for row in rows if "administrator" in row.roles and not barred(view, row.id))


def revoke(platform: Platform, acting: Acting, actor: str) -> int:
    """Revoke all tokens of an actor; return how many there were.

    Raises:
        Refused: rule A1. BadInput: no such actor.
    """
    permit(platform, acting, Permission.MANAGE_ACTORS, "actors")
    with platform.ledger.transaction() as tx:
        if tx.get(ActorRow, actor) is None:
            raise _unknown(actor)
        live = tx.select(CredentialRow, actor=actor, revoked=False)
        for credential in live:
            tx.append(draft(acting, EventType.CREDENTIAL_REVOKED, "actors", {"id": credential.id}))
    return len(live)


def _unknown(actor: str) -> BadInput:
    return BadInput("unknown-actor", f"got the actor `{actor}`, expected one of `tidegate user list`", "")


def _manages(tx: Transaction, acting: Acting) -> tuple[ActorRow, list[Reason]]:
    """Return who acts, as the ledger has them now, and why they may not: since `permit` a role may be gone."""
    actor, denied = itself(tx, acting)
    if not permits(actor, Permission.MANAGE_ACTORS):
        sentence = f"{actor.id} holds no role that permits `{Permission.MANAGE_ACTORS}`"
        denied.append(Reason("not-permitted", "A1", sentence, "ask an administrator"))
    return actor, denied


def _same_person(tx: Transaction, account: Account) -> ActorRow:
    """Return the other account of the person an account is made for.

    Raises:
        BadInput: it is not there, or one of the two is a service's.
    """
    other = tx.get(ActorRow, account.same_as)
    if other is None:
        raise _unknown(account.same_as)
    if (other.kind, account.kind) != ("person", "person"):
        raise BadInput(
            "not-a-person",
            f"got {other.id}, a {other.kind}, as the same person as a new {account.kind}, expected two of a person",
            "a service is nobody's other account",
        )
    return other


def _first(actor: str) -> ActorRow:
    """Return the administrator that the genesis itself makes, before there is a row to read."""
    return ActorRow(actor, "person", actor, ("administrator",), 0)


def _add(
    tx: Transaction,
    acting: Acting,
    account: Account,
    platform: Platform,
    keep_token: Callable[[str, str], None],
) -> ActorRow:
    check_roles(account.kind, account.roles)
    if not _NAME.fullmatch(account.name):
        raise BadInput(
            "bad-name",
            f"got a name of {len(account.name)} characters, expected 1 to 80 letters, digits, spaces or "
            ".'@-, a letter or digit first",
            "use a plain name",
        )
    scripts = {unicodedata.name(char, "").split(" ")[0] for char in account.name} & _ALIKE
    if len(scripts) > 1:
        raise BadInput(
            "mixed-name",
            f"got a name that mixes letters of {' and '.join(sorted(scripts)).lower()}, expected letters of one script",
            "write it in one script: letters that look alike are not the same",
        )
    number = len(tx.select(ActorRow, kind=account.kind)) + 1
    actor = f"{account.kind[0]}-{number}"
    subject = _same_person(tx, account).subject if account.same_as else actor
    payload = {"id": actor, "kind": account.kind, "subject": subject, "roles": list(account.roles)}
    tx.append(draft(acting, EventType.ACTOR_ADDED, "actors", payload, {"name": account.name}))
    token = platform.entropy.token()
    keep_token(account.name, token)
    issued = {"id": f"c-{actor}", "actor": actor, "token_digest": token_digest(token)}
    tx.append(draft(acting, EventType.CREDENTIAL_ISSUED, "actors", issued))
    row = tx.get(ActorRow, actor)
    assert row is not None  # the fold of the event just appended
    return row
