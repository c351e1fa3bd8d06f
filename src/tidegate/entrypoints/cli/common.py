"""What every command shares: its options, its platform, and how it speaks."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate.application import timeline
from tidegate.application.outbox import tell
from tidegate.application.platform import Acting
from tidegate.application.ports import StateReader
from tidegate.application.projection import drain
from tidegate.bootstrap import Tidegate
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.settings import load

As = Annotated[
    str | None,
    typer.Option("--as", metavar="USER", help="A local user to act as; else TIDEGATE_TOKEN says who."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Key = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="KEY", help="The same act under the same key happens once."),
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, in a sentence; kept beside the ledger.")
]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def platform() -> Tidegate:
    """Open the project around the current folder."""
    return Tidegate(load())


def acting(
    here: Tidegate, name: str | None, key: str | None = None, on_behalf_of: str | None = None
) -> Acting:
    """Authenticate whoever acts, and have outstanding effects first."""
    who = here.act(name, key=key, on_behalf_of=on_behalf_of)
    _ACTED.append(here)
    after(here, acted=False)
    return who


def reading(here: Tidegate, name: str | None, state: StateReader | None = None) -> Acting:
    """Authenticate whoever reads; the embedded profile names a local reader. Reading never opens a ledger.

    Raises:
        BadInput: there is no ledger yet.
    """
    if not here.opened():
        raise BadInput(
            "no-ledger",
            f"got no ledger in {here.settings.home}, expected one",
            "`tidegate demo` plays the reference project; the first acting command opens a ledger of your own",
        )
    return here.act(
        name or (None if os.environ.get("TIDEGATE_TOKEN") else here.settings.profile.reader or None),
        state=state,
    )


def after(here: Tidegate, acted: bool = True) -> None:
    """Have the effects of what was committed; a tool that is down delays nothing and is told later.

    Raises:
        DependencyFailed: the disk is full, and the command has not acted yet: it could not either.
    """
    try:
        found = drain(here, here.who)
    except DependencyFailed as failed:
        if failed.code == "disk-full" and not acted:
            raise
        err.print(
            f"recorded, but not told to the registry yet: {failed.sentence}; the next command tries again"
        )
        return
    for each in found.repairs:
        facts = "; ".join(each.incident.facts)
        err.print(f"incident {each.incident.id}: {facts}; repaired, see `tidegate reconcile`", markup=False)


#: On what somebody acts in this command: whoever is to be told of it is told at its end.
_ACTED: list[Tidegate] = []


def tell_sinks() -> None:
    """Tell the sinks what this command did, once it has said so: nobody waits for one that is down."""
    while _ACTED:
        for told in tell(_ACTED.pop()):
            if told.error:
                err.print(
                    f"recorded, but not told to {told.sink} yet: {told.error}; see `tidegate outbox`",
                    markup=False,
                )


def say(data: Any, as_json: bool, render: Callable[[], None]) -> None:
    """Print ``data`` as JSON, or let ``render`` print it for people."""
    if as_json:
        sys.stdout.write(json_text(data))
    else:
        render()


def json_text(data: Any) -> str:
    """Return ``data`` as JSON. What no encoding has, like a byte of a file's name that is no text, is escaped."""
    text = json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()


printable = timeline.printable


class PlainTable(Table):
    """A table whose cells are shown as they are: no markup, and nothing that a terminal would obey."""

    def add_row(self, *cells: Any, **more: Any) -> None:
        """Add a row of texts."""
        super().add_row(*(Text(printable(str(cell))) for cell in cells), **more)


def table(*columns: str) -> Table:
    """Return a plain table whose columns wrap rather than vanish."""
    made = PlainTable(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
