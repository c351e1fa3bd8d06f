"""Commands that let rows go: a subject's on request, and whatever an erasure that was cut short had left."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Annotated

import typer

from tidegate.application import erase_rows as erasing
from tidegate.application.erased import finish as finish_erasures
from tidegate.application.recording import permit
from tidegate.domain.actors import Permission
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput
from tidegate.entrypoints.cli.common import As, AsJson, Reason, acting, after, out, platform, say
from tidegate.entrypoints.cli.texts import write_desk_anew

subject = typer.Typer(
    no_args_is_help=True, help="Erase the rows about somebody from data, features and decisions."
)

#: What a kind of file is called where rows went from it.
_CALLED = {
    "batch": "batches",
    "quarantine": "held-back rows",
    "source": "sources of features",
    "entities": "entity frames",
    "frame": "training frames and those that were scored",
    "reference": "rows that a version was judged on",
    "decisions": "segments of decisions",
}


@subject.command("erase")
def erase(
    dataset: Annotated[str, typer.Argument(help="A dataset whose contract names a subject.")],
    name: Annotated[
        str,
        typer.Argument(
            help="What a drop calls them; - reads it from standard input, past the shell's history."
        ),
    ],
    reason: Reason,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Erase every row about somebody, and keep them out of what comes later; it cannot be undone.

    It reaches batches, held-back rows, features offline and online, training frames and decisions. The record keeps
    who asked for it, why, which files were replaced, and a keyed hash: never whom it is about. Killed, run it again.
    """
    here = platform()
    who = acting(here, as_user)
    done = erasing.erase_subject(here, who, dataset, _named(name), reason, dry_run=dry_run)
    if not dry_run:
        write_desk_anew(here)
        after(here)
    files = Counter(each.kind for each in done.files)

    def render() -> None:
        would = "would be erased" if dry_run else "erased"
        if not done.files and not done.sequence:
            out.print(
                f"nothing of theirs is in {dataset}" if dry_run else f"nothing of theirs is left in {dataset}"
            )
            return
        at = f" (event {done.sequence})" if done.sequence else ""
        out.print(f"{many(done.rows, 'row')} of {dataset} {would}{at}; they stay away from what comes later")
        for kind, count in sorted(files.items()):
            rows = sum(each.rows for each in done.files if each.kind == kind)
            out.print(f"  {_CALLED[kind]}: {many(rows, 'row')} from {many(count, 'file')}")
        if done.online:
            out.print(f"  online: {many(done.online, 'row')}")
        for version in done.touches["versions"]:
            out.print(f"  {version} had learned from them, and was not trained again")
        if "batch" in files and not dry_run:
            out.print(
                "  what features count or average over is built without them by `tidegate run materialize`"
            )

    told = {
        "dataset": dataset,
        "rows": done.rows,
        "files": [each.__dict__ for each in done.files],
        "online": done.online,
        "touches": dict(done.touches),
        "sequence": done.sequence,
    }
    say(told, as_json, render)


@subject.command("finish")
def finish(as_user: As = None, as_json: AsJson = False) -> None:
    """Remove erased files that are still there, because somebody was killed or a backup was restored.

    It goes by the record alone: nobody has to say again whom it was about.
    """
    here = platform()
    permit(here, acting(here, as_user), Permission.ERASE, "ledger")
    count = finish_erasures(here)
    after(here)
    say(
        {"removed": count},
        as_json,
        lambda: out.print(f"removed {many(count, 'erased file')}" if count else "none is left"),
    )


def _named(name: str) -> str:
    """Return whom it is about, from standard input where the argument is a dash."""
    if name != "-":
        return name
    lines = sys.stdin.read().splitlines()
    if len(lines) != 1:
        raise BadInput(
            "bad-subject",
            f"got {len(lines)} lines from standard input, expected one: whom it is about",
            "one subject at a time",
        )
    return lines[0]
