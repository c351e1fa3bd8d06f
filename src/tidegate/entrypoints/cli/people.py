"""Commands for people: deciding, reviewing, accounts."""

from __future__ import annotations

from math import isfinite, nan
from typing import Annotated

import typer

from tidegate.application import identity
from tidegate.application.follow import DOING
from tidegate.application.people import account_of, names
from tidegate.application.resolve import CONDITIONS, Say, resolve
from tidegate.application.review import ReviewOutcome, decide_review
from tidegate.domain.actors import ROLES
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput
from tidegate.domain.lifecycle import Action
from tidegate.domain.reviewing import RECERTIFICATION, how_decided
from tidegate.domain.state import ActorRow, CredentialRow, ReviewRow
from tidegate.entrypoints.cli.common import (
    As,
    AsJson,
    Key,
    Reason,
    acting,
    after,
    out,
    platform,
    reading,
    say,
    table,
)
from tidegate.entrypoints.cli.deciding import actor_id
from tidegate.entrypoints.cli.models import Model, Version, say_outcome

user = typer.Typer(no_args_is_help=True, help="Accounts: people and services, their roles and tokens.")


def approve(
    model: Model,
    version: Version,
    reason: Reason,
    condition: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help=f"What the yes demands; of: {', '.join(CONDITIONS)}."),
    ] = None,
    role: Annotated[str, typer.Option(help="In which of your roles; default: one that the gate lacks.")] = "",
    for_whom: Annotated[
        str, typer.Option("--for", metavar="USER", help="Who delegated it to you, by name or id.")
    ] = "",
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Approve the open promotion of a version; where it was the last approval needed, it takes effect."""
    here = platform()
    who = acting(here, as_user, key)
    principal = actor_id(here, for_whom) if for_whom else ""
    # Who speaks for another says in which role it was delegated: the one that most is, unless told otherwise.
    spoken = role or ("approver" if principal else "")
    given = Say(spoken, principal, dict(map(_condition, condition or ())))
    outcome = resolve(here, who, model, version, Action.APPROVE, reason, given)
    after(here)
    say_outcome(outcome, as_json)


def _condition(pair: str) -> tuple[str, float]:
    name, equals, value = pair.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = nan
    if not equals or not isfinite(number):
        raise BadInput(
            "bad-condition", "got a condition that is no NAME=NUMBER, expected one", "like review_in_days=14"
        )
    return name, number


def reject(
    model: Model,
    version: Version,
    reason: Reason,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Reject the open promotion of a version."""
    here = platform()
    outcome = resolve(here, acting(here, as_user, key), model, version, Action.REJECT, reason)
    after(here)
    say_outcome(outcome, as_json)


def review(
    item: Annotated[
        str | None, typer.Argument(help="A review's id; without one, list the open ones.")
    ] = None,
    outcome: Annotated[ReviewOutcome | None, typer.Option(help="What you conclude.")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in a sentence.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="List decided ones too.")] = False,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Go through what monitors ask people to look at; decide one with --outcome and --reason."""
    here = platform()
    if item is not None and outcome is not None:
        rows: tuple[ReviewRow, ...] = (
            decide_review(here, acting(here, as_user, key), item, outcome, reason),
        )
    elif outcome is not None:
        raise BadInput("no-review", "got an outcome but no review, expected its id", "see `tidegate review`")
    else:
        reading(here, as_user)
        every = here.ledger.state().select(ReviewRow)
        rows = tuple(
            row for row in every if item in (None, row.id) and (item or everything or row.status == "open")
        )
        if item is not None and not rows:
            known = ", ".join(row.id for row in every) or "none yet"
            raise BadInput("unknown-review", f"got the review `{item}`, expected one of: {known}", "")

    def render() -> None:
        for row in rows:
            about = row.period or row.kind.replace("_", " ")
            out.print(f"[bold]{row.id}[/bold] {row.model} version {row.version}, {about}: {_state(row)}")
            for part in row.cause.split("; "):
                out.print(f"  {part}", markup=False)
            if row.followed:
                out.print(f"  done about it: {row.followed}", markup=False)
            if row.status == "open" and row.kind == RECERTIFICATION:
                out.print(f"  {how_decided(row)}", markup=False)
        if not rows:
            out.print("nothing waits for review")

    say([row.__dict__ for row in rows], as_json, render)


def _state(row: ReviewRow) -> str:
    if row.status == "open":
        return f"open, due {row.due_at}"
    if row.status == "superseded":
        return "superseded: the version left prod"
    asks = row.outcome in DOING and not row.followed
    return f"decided: {row.outcome}{', not carried out yet' if asks else ''}"


@user.command("list")
def list_users(as_user: As = None, as_json: AsJson = False) -> None:
    """List all accounts."""
    here = platform()
    reading(here, as_user)
    called = names(here.ledger)
    live = {row.actor for row in here.ledger.state().select(CredentialRow, revoked=False)}
    rows = [
        {
            "id": row.id,
            "name": called.get(row.id, row.id),
            "kind": row.kind,
            "person": row.subject,
            "state": "active" if row.id in live else "revoked",
            "roles": list(row.roles),
        }
        for row in here.ledger.state().select(ActorRow)
    ]

    def render() -> None:
        shown = table("id", "name", "kind", "state", "roles")
        for row in rows:
            own = row["person"] == row["id"]
            shown.add_row(
                str(row["id"]) if own else f"{row['id']} of {row['person']}",
                str(row["name"]),
                str(row["kind"]),
                str(row["state"]),
                ", ".join(row["roles"]),
            )
        out.print(shown)

    say(rows, as_json, render)


@user.command("roles")
def roles(
    name: Annotated[
        str | None, typer.Argument(help="An account's id or name; without one, list all roles.")
    ] = None,
    given: Annotated[
        str | None,
        typer.Option("--set", metavar="ROLE[,ROLE]", help="The roles it holds from now on, and no other."),
    ] = None,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List all roles and what each permits; show an account's, or set them with --set."""
    if name is None:
        if given is not None:
            raise BadInput("no-account", "got roles to set but no account, expected its id or name", "")
        _list_roles(as_json)
        return
    here = platform()
    if given is None:
        reading(here, as_user)
        row = here.ledger.state().get(ActorRow, actor_id(here, name))
        assert row is not None  # `actor_id` knows only accounts on record
    else:
        who = acting(here, as_user, key)
        wanted = [each.strip() for each in given.split(",") if each.strip()]
        row = identity.change_roles(here, who, actor_id(here, name), wanted)
    told = {"id": row.id, "roles": list(row.roles)}
    say(told, as_json, lambda: out.print(f"{row.id} holds {', '.join(row.roles)}"))


def _list_roles(as_json: bool) -> None:
    rows = {role: sorted(map(str, granted)) for role, granted in ROLES.items()}

    def render() -> None:
        shown = table("role", "permits")
        for role, granted in rows.items():
            shown.add_row(role, ", ".join(granted))
        out.print(shown)

    say(rows, as_json, render)


@user.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="A name; kept beside the ledger, erasable.")],
    role: Annotated[list[str], typer.Option("--role", help="A role; may be given several times.")],
    service: Annotated[bool, typer.Option("--service", help="A service, not a person.")] = False,
    same_as: Annotated[
        str,
        typer.Option("--same-person-as", metavar="USER", help="Whose other account it is, by id or name."),
    ] = "",
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Make an account. In the embedded profile its token is kept for --as; elsewhere it is printed once."""
    here = platform()
    who, local = acting(here, as_user), here.assurance == "local"
    same = actor_id(here, same_as) if same_as else ""
    account = identity.Account(name, "service" if service else "person", tuple(role), same)
    if local and name in here.local_users():
        raise BadInput(
            "name-taken", "got the name of a local user, expected a new one", "see `tidegate user list`"
        )
    row, token = identity.add_account(here, who, account)
    if local:
        here.keep_token(name, token)
    data = {"id": row.id, "roles": list(row.roles), "person": row.subject}
    data |= {} if local else {"token": token}

    def render() -> None:
        out.print(f"{row.id} holds {', '.join(row.roles)}")
        if row.subject != row.id:
            out.print(f"it is another account of {row.subject}: both together have one voice")
        out.print(
            f"act as them with --as {name}" if local else f"their token, shown once: {token}", markup=False
        )

    say(data, as_json, render)


@user.command("revoke")
def revoke_user(
    actor: Annotated[str, typer.Argument(help="An account's id or name.")],
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Revoke all tokens of an account."""
    here = platform()
    who = acting(here, as_user)
    actor = account_of(here.ledger, actor)
    count = identity.revoke(here, who, actor)
    say(
        {"actor": actor, "revoked": count},
        as_json,
        lambda: out.print(f"revoked {many(count, 'token')} of {actor}"),
    )
