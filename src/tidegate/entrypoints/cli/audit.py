"""Commands for auditors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tidegate.adapters.shared.files import write_whole
from tidegate.application import audit as use_case
from tidegate.application.lawfulness import unlawful
from tidegate.domain.errors import BadInput, Refused
from tidegate.entrypoints.cli.common import As, AsJson, acting, out, platform, printable, reading, say

audit = typer.Typer(no_args_is_help=True, help="Verify the record, anchor it outside, fingerprint the state.")


@audit.command()
def verify(
    anchor: Annotated[Path | None, typer.Option(help="A signed head, kept outside the state folder.")] = None,
    key: Annotated[Path | None, typer.Option(help="The ledger's public key.")] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Rehash the chain, refold the state, judge every event by the rules, and hold it against a signed head."""
    here = platform()
    reading(here, as_user)
    for given in (anchor, key):
        if given is not None and given.resolve().is_relative_to(here.settings.home.resolve()):
            raise BadInput(
                "anchor-inside",
                f"got {given.name} inside TIDEGATE_HOME, expected a file kept elsewhere",
                "whoever can rewrite the ledger could rewrite it too: keep anchor and key outside",
            )
    events, broken = use_case.verify(here, anchor, key)
    faults = (*broken, *unlawful(here))
    after = events - _signed_at(anchor) if anchor and not broken else None

    def render() -> None:
        for fault in faults:
            out.print(f"  {printable(fault)}", markup=False)
        if not faults:
            held = "held against its anchor" if anchor else "no anchor given: a full rewrite would not show"
            out.print(f"sound: {events} events rehashed and lawful, the state refolded and equal; {held}")
        if after:
            lie = "1 event lies after the anchor: nobody has signed for it yet"
            many = f"{after} events lie after the anchor: nobody has signed for them yet"
            out.print(lie if after == 1 else many)

    told = {"events": events, "faults": list(faults), "anchored": anchor is not None, "after_anchor": after}
    say(told, as_json, render)
    if faults:
        raise Refused(
            "ledger-unsound",
            f"the ledger is not sound: {len(faults)} fault(s), the first: {faults[0]}",
            "restore the record from a backup taken before, and compare",
        )


def _signed_at(anchor: Path) -> int:
    """Return the sequence an anchor was signed at; it was verified just before."""
    return int(json.loads(anchor.read_text())["statement"]["sequence"])


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
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Sign where the chain ends now, and write it outside."""
    here = platform()
    who = acting(here, as_user)
    if to.resolve().is_relative_to(here.settings.home.resolve()):
        raise BadInput(
            "anchor-inside",
            f"got {to}, inside TIDEGATE_HOME, expected a folder elsewhere",
            "whoever can rewrite the ledger could rewrite it too",
        )
    signed = use_case.anchor(here, who)
    write_whole(to / "head.json", (json.dumps(signed, indent=2) + "\n").encode())
    write_whole(to / "ledger.pub", here.signer.public_key.encode())
    at = signed["statement"]["sequence"]
    say(
        signed,
        as_json,
        lambda: out.print(f"anchored event {at} in {to / 'head.json'}; key: {to / 'ledger.pub'}"),
    )
