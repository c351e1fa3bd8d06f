"""The command that reads what is online."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.application.online import online as read
from tidegate.domain.errors import BadInput
from tidegate.domain.freshness import spelled
from tidegate.entrypoints.cli.common import As, AsJson, acting, after, out, platform, say


def online(
    service: Annotated[str, typer.Argument(help="A feature service.")],
    key: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE…", help="The entity's join keys, like origin=JFK.")
    ],
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Show one entity's features as they are online now, how old they are, and which views are stale.

    It is shown to whom a permission opens every view of the service (F2), and the read is on record. A value past its
    view's ttl is not served. One that is older than its view says it may be (`freshness`) is served, and marked.
    """
    here = platform()
    who = acting(here, as_user)
    given: dict[str, str] = {}
    for pair in key:
        name, equals, value = pair.partition("=")
        if not equals or not name or name in given:
            raise BadInput("bad-key", f"got `{pair}`, expected NAME=VALUE, each name once", "like origin=JFK")
        given[name] = value
    (found,) = read(here, who, service, [given])
    after(here)
    data = {
        "values": dict(found.values),
        "age_seconds": {
            view: None if age is None else age.total_seconds() for view, age in found.ages.items()
        },
        "stale": list(found.stale),
    }

    def render() -> None:
        for feature, value in found.values.items():
            out.print(f"{feature} = {'unknown' if value is None else value}", markup=False)
        for view, age in found.ages.items():
            old = "no value" if age is None else f"{spelled(age)} old"
            out.print(f"{view}: {old}{', STALE' if view in found.stale else ''}", markup=False)

    say(data, as_json, render)
