"""The command that looks whether the registry says what the ledger says."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tidegate.application.reconcile import reconcile as use_case
from tidegate.entrypoints.cli.common import As, AsJson, acting, out, platform, printable, say


def reconcile(
    model: Annotated[str | None, typer.Option(help="Only this model; default: all.")] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Bring the registry's aliases and stage tags back to what the ledger says; what another hand moved is an incident.

    What was moved by hand is never taken over: whoever wants it asks for it, as the answer says.
    """
    here = platform()
    found = use_case(here, acting(here, as_user), model)

    def render() -> None:
        for each in found:
            row = each.incident
            out.print(
                f"{row.id}: {row.model} was changed behind the ledger's back, and is repaired", markup=False
            )
            for line in (*row.facts, *each.wishes):
                out.print(f"  {printable(line)}", markup=False)
        if not found:
            out.print("the registry says what the ledger says")

    say([{**asdict(each.incident), "wishes": each.wishes} for each in found], as_json, render)
