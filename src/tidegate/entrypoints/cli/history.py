"""The command that says what was in prod at a moment, by whom, and on what evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from tidegate.application.people import names
from tidegate.application.prod_at import Answer, Approver, At, InProd, moment, prod_at
from tidegate.application.timeline import sentence, stated
from tidegate.entrypoints.cli.common import As, AsJson, out, platform, printable, reading, say
from tidegate.entrypoints.cli.models import Model


def prod(
    model: Model,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|#SEQUENCE", help="A time like 2013-08-04T12:00:00Z, or an event; default: now."
        ),
    ] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Say what was in prod at a moment: since when, who put it there, who approved it, on what evidence.

    A time stands for the last event that had occurred by then; of two at one instant, name the event you mean.
    """
    here = platform()
    reading(here, as_user)
    answer = prod_at(here, model, moment(at) if at is not None else None)
    called = names(here.ledger)

    def name(actor: str) -> str:
        return f"{called[actor]} ({actor})" if called.get(actor, actor) != actor else actor

    def render() -> None:
        for line in lines(answer, name):
            out.print(printable(line), markup=False)

    say(_shown(answer), as_json, render)


def _shown(answer: Answer) -> dict[str, Any]:
    emptied = answer.emptied
    told = {
        "sequence": emptied.sequence,
        "occurred_at": emptied.occurred_at,
        "type": str(emptied.type),
        "actor": emptied.actor,
        "reason": answer.reason,
    } if emptied else None  # fmt: skip
    return {
        "model": answer.model,
        "as_of": asdict(answer.as_of) if answer.as_of else None,
        "in_prod": asdict(answer.in_prod) if answer.in_prod else None,
        "emptied_by": told,
        "same_instant": list(answer.instant),
    }


def lines(answer: Answer, name: Callable[[str], str]) -> Iterator[str]:
    """Yield the answer, a line each; ``name`` says what may be shown of an actor."""
    if answer.as_of is None:
        yield f"{answer.model}: nothing was in prod, it was not registered yet"
        return
    yield f"{answer.model}, as of {_place(answer.as_of)}"
    if answer.in_prod is not None:
        yield from _version(answer.in_prod, name)
    elif answer.emptied is not None:
        yield f"nothing in prod since event {answer.emptied.sequence}, {answer.emptied.occurred_at}:"
        yield f"  {sentence(answer.emptied, name)}{_because(answer.reason)}"
    else:
        yield "nothing in prod: no version had been let in yet"
    if answer.instant:
        places = ", ".join(f"#{each}" for each in answer.instant)
        yield f"prod changed more than once at that instant, by {places}; --at '#SEQUENCE' stands after one of them"


def _version(row: InProd, name: Callable[[str], str]) -> Iterator[str]:
    yield f"in prod: version {row.version}, artifact {row.artifact}"
    yield f"  learned from {row.training_set}"
    yield f"  since {_place(row.put)}, until {_place(row.until) if row.until else 'now'}"
    if row.kind == "restored":
        yield f"  restored by {name(row.actor)}{_because(row.reason)}"
        yield f"  first let in by {row.promotion}, {_place(row.applied)}"
    else:
        yield f"  put there by {row.promotion}{', BY BREAK-GLASS' if row.kind == 'break_glass' else ''}"
    behind = f" for {name(row.on_behalf_of)}" if row.on_behalf_of else ""
    yield f"  asked for by {name(row.requester)}{behind}, {_place(row.requested)}"
    for each in row.approvers:
        yield f"  approved by {_approved(each, name)}"
    if not row.approvers:
        yield "  approved by nobody: its gate asked for no person"
    if row.conditions:
        yield f"  on condition of {stated(row.conditions)}"
    if row.certified_until:
        yield f"  certified until {row.certified_until}"
    for again in row.certified:
        until = f"until {again.until}" if again.until else "without end"
        yield f"  certified again by {name(again.actor)} as {again.role}, {_place(again.at)}, {until}"
    yield f"  packet {row.packet}, sealed by event {row.sealed}"
    yield f"  policy {row.policy_name}, {row.policy}"
    for found in row.findings:
        yield f"    {found['demand']} {found['verdict']}: {found['sentence']}"
    if row.way_back:
        tried = "tried" if row.way_back["verified"] else "named, not tried"
        to = "" if row.way_back["kind"] == "version" else f"{row.way_back['kind']} "
        yield f"  way back: {to}{row.way_back['name']}, {tried}"


def _approved(each: Approver, name: Callable[[str], str]) -> str:
    whom = f", in the place of {name(each.for_whom)}" if each.for_whom else ""
    asked = f", on condition of {stated(each.conditions)}" if each.conditions else ""
    back = ", TAKEN BACK since" if each.revoked else ""
    return f"{name(each.actor)} as {each.role}{whom}{asked}, {_place(each.at)}{back}"


def _place(at: At) -> str:
    return f"event {at.sequence} ({at.occurred_at})"


def _because(reason: str) -> str:
    return f": “{reason}”" if reason else ""
