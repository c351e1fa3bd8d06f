"""Commands that let personal texts go: one person's, or those whose time is over."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.application import erase as erasing
from tidegate.application import retention as retaining
from tidegate.application.erase_rows import let_go, over
from tidegate.application.people import account_of
from tidegate.bootstrap import Tidegate
from tidegate.domain.counting import many
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


def erase(
    actor: Annotated[str, typer.Argument(help="An account's id or name; all its person's texts go.")],
    reason: Reason,
    as_user: As = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Erase the name, the reasons and the comments of one person; what they did stays on record under their id.

    Revoke their tokens first (`tidegate user revoke`). It cannot be undone.
    """
    here = platform()
    who = acting(here, as_user, key)
    done = erasing.erase(here, who, account_of(here.ledger, actor), reason)
    here.forget_tokens(done.accounts)
    write_desk_anew(here)
    after(here)

    def render() -> None:
        if done.texts:
            out.print(
                f"erased {many(done.texts, 'text')} about {done.subject}, and the key that opens their copies"
            )
        else:
            out.print(f"no text about {done.subject} is left")

    say(done.__dict__, as_json, render)


def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Let go what is older than it must be kept: names and reasons by their class, rows by their contract.

    Nothing younger can go. A contract states it as ODCS does: slaProperties, retention, 3, y; where it states none,
    rows are kept without end.
    """
    here = platform()
    who = reading(here, as_user) if dry_run else acting(here, as_user)
    found = retaining.retention(here, who, dry_run=dry_run)
    rows = over(here, here.ledger.state()) if dry_run else let_go(here, who)
    if not dry_run:
        write_desk_anew(here)
        after(here)

    def render() -> None:
        shown = table("class", "kept at least", "would go" if dry_run else "went", "stay")
        for row in found:
            shown.add_row(row.kind, many(row.least_days, "day"), str(len(row.commitments)), str(row.stay))
        out.print(shown)
        if rows:
            told = table("dataset", "kept for", "would go" if dry_run else "went", "rows")
            for each in rows:
                told.add_row(
                    each.dataset, str(each.keeps), ", ".join(each.periods) or "nothing", f"{each.rows:,}"
                )
            out.print(told)

    shown = [{**each.__dict__, "keeps": str(each.keeps)} for each in rows]
    say([*(row.__dict__ for row in found), *shown], as_json, render)


def write_desk_anew(here: Tidegate) -> None:
    """The desk's page holds names and reasons: where there is one, it must not outlive what was erased."""
    if (here.settings.home / "desk" / "index.html").exists():
        from tidegate.entrypoints.web.desk import write

        write(here.settings)
