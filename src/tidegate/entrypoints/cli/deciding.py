"""Commands about decisions that were made: take one back, let another decide, certify again, break the glass."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.application import delegate as delegating
from tidegate.application.people import names
from tidegate.application.promote import request
from tidegate.application.resolve import revoke as take_back
from tidegate.application.tend import recertify as certify_again
from tidegate.bootstrap import Tidegate
from tidegate.domain.canonical import utc_time
from tidegate.domain.errors import BadInput
from tidegate.domain.lifecycle import Action
from tidegate.domain.state import DelegationRow
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
from tidegate.entrypoints.cli.models import Model, Version, say_outcome

delegation = typer.Typer(no_args_is_help=True, help="Let another person decide in your place, for a while.")


def revoke(
    model: Model,
    version: Version,
    reason: Reason,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Take your approval back. A live version that it carried goes, and the last approved one comes back."""
    here = platform()
    outcome = take_back(here, acting(here, as_user, key), model, version, reason)
    after(here)
    say_outcome(outcome, as_json)


def recertify(
    model: Model,
    version: Version,
    reason: Reason,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Say that a live version's approval holds for another term."""
    here = platform()
    row = certify_again(here, acting(here, as_user, key), model, version, reason)
    after(here)
    told = {"model": model, "version": version, "certified_until": row.certified_until}
    say(
        told,
        as_json,
        lambda: out.print(f"{model} version {version} is certified {_until(row.certified_until)}"),
    )


def _until(moment: str) -> str:
    return f"until {moment}" if moment else "without end"


def break_glass(
    model: Model,
    version: Version,
    reason: Reason,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask a version in canary into prod in an emergency, by the policy's smaller floor; a review must follow."""
    here = platform()
    who = acting(here, as_user, key)
    outcome = request(here, who, model, version, action=Action.BREAK_GLASS, reason=reason)
    after(here)
    say_outcome(outcome, as_json)


@delegation.command("add")
def add(
    to: Annotated[str, typer.Argument(help="Who decides in your place: a name or an id.")],
    until: Annotated[str, typer.Option(metavar="TIME", help="Until when, like 2026-12-24T00:00:00Z.")],
    reason: Reason,
    role: Annotated[str, typer.Option(help="In which of your roles.")] = "approver",
    model: Annotated[str, typer.Option(help="Only for this model.")] = "",
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let another person decide in your place, until a moment. What they decide counts as your voice."""
    here = platform()
    who = acting(here, as_user, key)
    row = delegating.delegate(here, who, actor_id(here, to), role, utc_time(until), reason, model)
    _say([row], as_json)


@delegation.command("end")
def end(
    name: Annotated[str, typer.Argument(help="A delegation's id.")],
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """End a delegation before its time. What was decided under it stands."""
    here = platform()
    _say([delegating.end_delegation(here, acting(here, as_user, key), name)], as_json)


@delegation.command("list")
def list_(as_user: As = None, as_json: AsJson = False) -> None:
    """List all delegations."""
    here = platform()
    reading(here, as_user)
    _say(list(here.ledger.state().select(DelegationRow)), as_json)


def actor_id(here: Tidegate, name: str) -> str:
    """Return the id of an account by its name or id.

    Raises:
        BadInput: nobody, or more than one, is called that.
    """
    called = names(here.ledger)
    known = [each for each, other in called.items() if name in (each, other)]
    if len(known) == 1:
        return known[0]
    got = "nobody" if not known else "more than one account"
    raise BadInput(
        "unknown-actor", f"got a name that {got} has, expected an account's", "see `tidegate user list`"
    )


def _say(rows: list[DelegationRow], as_json: bool) -> None:
    def render() -> None:
        shown = table("id", "who", "decides for", "as", "model", "until", "state")
        for row in rows:
            about = (row.role, row.model or "every model", row.until)
            shown.add_row(row.id, row.delegate, row.principal, *about, "ended" if row.ended else "given")
        out.print(shown if rows else "nobody has delegated anything")

    say([row.__dict__ for row in rows], as_json, render)
