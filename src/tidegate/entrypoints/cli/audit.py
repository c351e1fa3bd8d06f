"""Commands for auditors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from tidegate.adapters.shared.files import write_whole
from tidegate.application import audit as use_case
from tidegate.application.erased import files
from tidegate.application.lawfulness import unlawful
from tidegate.application.ports import Notes
from tidegate.bootstrap import Tidegate
from tidegate.domain.canonical import canonical
from tidegate.domain.counting import many
from tidegate.domain.errors import UNFIT, BadInput, DependencyFailed, Refused
from tidegate.domain.fold import StateView, replay
from tidegate.domain.keeping import counted
from tidegate.domain.state import ErasureRow
from tidegate.entrypoints.cli.common import As, AsJson, acting, out, platform, printable, reading, say

audit = typer.Typer(no_args_is_help=True, help="Verify the record, anchor it outside, fingerprint the state.")


Git = Annotated[
    Path | None,
    typer.Option("--git", metavar="REPO", help="A git repository, its notes under refs/notes/tidegate."),
]
Bucket = Annotated[
    str | None,
    typer.Option(
        "--s3",
        metavar="s3://BUCKET/PREFIX",
        help="A bucket with Object Lock; credentials as boto3 reads them.",
    ),
]


@audit.command()
def verify(
    anchor: Annotated[Path | None, typer.Option(help="A signed head, kept outside the state folder.")] = None,
    git: Git = None,
    s3: Bucket = None,
    key: Annotated[Path | None, typer.Option(help="The ledger's public key.")] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Compare the structure, rehash the chain, refold the state, judge every event, hold all against signed heads.

    The heads are a file (--anchor), all notes of a repository (--git), all objects of a bucket (--s3), or several.
    """
    here = platform()
    unread = _despite_damage(here, as_user)
    for given in (anchor, key):
        if given is not None:
            _outside(here, given, given.name)
    notes = _noted(here, git)
    locked = _locked(here, s3)
    events, broken = use_case.verify(here, anchor, key, notes, locked)
    faults = (*broken, *unlawful(here)) or unread
    kept = use_case.anchors(anchor, notes, locked)
    after = events - max(each.sequence for each in kept) if kept and not broken else None
    erased = None if unread else len(here.ledger.state().select(ErasureRow))
    gone = () if unread else files(here.ledger.state())

    def render() -> None:
        for fault in faults:
            out.print(f"  {printable(fault)}", markup=False)
        if not faults:
            out.print(
                f"sound: {many(events, 'event')} rehashed and lawful, the state refolded and equal; {_held(len(kept))}"
            )
        if erased:
            out.print(f"erased since: {many(erased, 'personal text')}, each by an event that says so")
        if gone:
            told_of = f"{many(counted(gone), 'row')} from {many(len(gone), 'file')}"
            out.print(f"erased since: {told_of}, each by an event that says so")
        if after:
            lie = "1 event lies after the anchor: nobody has signed for it yet"
            they_lie = f"{after} events lie after the anchor: nobody has signed for them yet"
            out.print(lie if after == 1 else they_lie)

    told = {"events": events, "faults": list(faults), "anchored": bool(kept), "after_anchor": after}
    say({**told, "anchors": len(kept), "erased": erased, "erased_rows": counted(gone)}, as_json, render)
    if faults:
        raise Refused(
            "ledger-unsound",
            f"the ledger is not sound: {many(len(faults), 'fault')}, the first: {faults[0]}",
            "restore the record from a backup taken before, and compare",
        )


#: How a record answers whose state, or whose tables, are not as they were written.
_DAMAGED = {"state-unreadable", "ledger-unusable"}


def _despite_damage(here: Tidegate, as_user: str | None) -> tuple[str, ...]:
    """Authenticate whoever reads; return what cannot be read, if anything.

    What was altered may be what would say who asks: then the chain does, or, where the state cannot be read at all,
    nobody. It is named all the same: this only reads, and whoever runs it holds the address of the database.

    Raises:
        Refused: rule A2, by the state and by the chain.
    """
    try:
        _known(here, as_user)
        here.ledger.state().select(ErasureRow)
    except DependencyFailed as failed:
        if failed.code not in _DAMAGED:
            raise
        return (failed.sentence,)
    return ()


def _known(here: Tidegate, as_user: str | None) -> None:
    try:
        reading(here, as_user)
    except Refused as refused:
        if refused.code != "unknown-token":
            raise
        try:
            told = replay(here.ledger.events())
        except UNFIT:
            raise refused from None
        reading(here, as_user, StateView(told))


def _noted(here: Tidegate, git: Path | None) -> Mapping[str, Sequence[str]]:
    """Return the heads noted in a repository, which must be outside and hold some."""
    notes = _notes(here, git).lines() if git else {}
    if git and not notes:
        raise BadInput(
            "no-anchor",
            f"got {git}, in which no head was noted, expected one under refs/notes/tidegate",
            "`git fetch REMOTE refs/notes/tidegate:refs/notes/tidegate`, if they lie elsewhere",
        )
    return notes


def _locked(here: Tidegate, s3: str | None) -> Mapping[str, Sequence[str]]:
    """Return the heads locked in a bucket, which must hold some."""
    found = here.lockbox(s3).lines() if s3 else {}
    if s3 and not found:
        raise BadInput(
            "no-anchor",
            f"got {s3}, which holds no head, expected one",
            "anchor there first, or name the right prefix",
        )
    return found


def _held(anchors: int) -> str:
    if not anchors:
        return "no anchor given: a full rewrite would not show"
    return f"held against {'its anchor' if anchors == 1 else f'{anchors} anchors'}"


def _outside(here: Tidegate, place: Path, shown: object) -> None:
    if place.resolve().is_relative_to(here.settings.home.resolve()):
        raise BadInput(
            "anchor-inside",
            f"got {shown} inside TIDEGATE_HOME, expected a place elsewhere",
            "whoever can rewrite the ledger could rewrite it too: keep anchor and key outside",
        )


def _notes(here: Tidegate, repository: Path) -> Notes:
    """Return the notes of a repository that is outside, as is the folder where git keeps them."""
    _outside(here, repository, repository)
    notes = here.notes(repository)
    _outside(here, notes.place, f"{repository}, kept")
    return notes


@audit.command()
def fingerprint(as_user: As = None, as_json: AsJson = False) -> None:
    """Print the digest of the folded state."""
    here = platform()
    reading(here, as_user)
    found = use_case.fingerprint_now(here)
    say({"fingerprint": found}, as_json, lambda: out.print(found))


@audit.command()
def anchor(
    to: Annotated[
        Path, typer.Option(help="A folder outside the state folder, for head.json and ledger.pub.")
    ] = Path("anchors"),
    git: Git = None,
    s3: Bucket = None,
    keep_days: Annotated[
        int, typer.Option(min=1, max=36500, help="With --s3: for how long nobody can remove it.")
    ] = 3650,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Sign where the chain ends now, and write it outside: into a folder, a repository's notes, a locked bucket."""
    here = platform()
    who = acting(here, as_user)
    _outside(here, to, to)
    notes = _notes(here, git) if git else None
    box = here.lockbox(s3) if s3 else None
    signed = use_case.anchor(here, who)
    write_whole(to / "head.json", (json.dumps(signed, indent=2) + "\n").encode())
    write_whole(to / "ledger.pub", here.signer.public_key.encode())
    commit = notes.append(canonical(signed).decode()) if notes else None
    until = here.clock.recorded() + timedelta(days=keep_days)
    kept = box.append(canonical(signed).decode(), until) if box else None
    at = signed["statement"]["sequence"]

    def render() -> None:
        out.print(f"anchored event {at} in {to / 'head.json'}; key: {to / 'ledger.pub'}", markup=False)
        if commit:
            out.print(f"noted on commit {commit[:10]} of {git}; push refs/notes/tidegate", markup=False)

        if kept:
            out.print(f"locked in {s3} as {kept} until {until:%Y-%m-%d}", markup=False)

    found = {name: value for name, value in (("commit", commit), ("object", kept)) if value}
    say({**signed, **found}, as_json, render)
