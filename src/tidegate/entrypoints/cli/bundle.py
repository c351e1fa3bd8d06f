"""Commands for those who do not trust this server: a packet as it was signed, bundles made and bundles verified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.application import archive
from tidegate.application.anchors import read_anchor, read_key, read_small
from tidegate.application.attest import UNSIGNED
from tidegate.application.bundle import export as make
from tidegate.application.examine import Report, examine
from tidegate.application.standing import lifecycle
from tidegate.bootstrap import means_of_examination
from tidegate.domain.counting import many
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.state import PacketRow
from tidegate.entrypoints.cli.common import As, AsJson, acting, err, out, platform, printable, reading, say
from tidegate.entrypoints.cli.models import Model, Version

Anchors = Annotated[
    list[Path] | None,
    typer.Option("--anchor", metavar="FILE", help="A signed head that was kept; repeatable."),
]


def packet(
    model: Model,
    version: Version,
    envelope: Annotated[
        bool, typer.Option("--envelope", help="Print its attestation (DSSE, in-toto) instead.")
    ] = False,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Print the latest sealed packet of a version: the evidence that its approvals are bound to."""
    here = platform()
    reading(here, as_user)
    state = here.ledger.state()
    row = state.get(PacketRow, lifecycle(state, model, version).versions[version].packet)
    if row is None:
        raise BadInput(
            "no-packet",
            f"got version {version} of `{model}`, for which no packet was sealed, expected one that was asked up",
            f"tidegate promote {model} {version} --as …",
        )
    if envelope:
        if not row.envelope:
            raise BadInput(
                "not-signed",
                f"got packet {row.digest}, {UNSIGNED}",
                "its approvals are bound to its digest all the same",
            )
        out.print(json.dumps(dict(row.envelope), indent=2), markup=False)
        return
    sealed = state.select(PacketRow, model=model, version=version)
    shown = {
        name: getattr(row, name) for name in ("digest", "model", "version", "sequence", "body", "envelope")
    }

    def render() -> None:
        signed = "signed" if row.envelope else UNSIGNED
        out.print(f"packet {row.digest}, sealed at event {row.sequence}, {signed}", markup=False)
        for other in sorted(sealed, key=lambda other: other.sequence):
            if other.digest != row.digest:
                out.print(f"before it: {other.digest}, event {other.sequence}", markup=False)
        out.print(printable(json.dumps(row.body, indent=2, ensure_ascii=False)), markup=False)

    say({**shown, "before": [other.digest for other in sealed if other != row]}, as_json, render)


def export(
    model: Annotated[str, typer.Option(help="A model's name.")],
    version: Annotated[int, typer.Option(help="A version's number.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The bundle to write.")],
    anchor: Anchors = None,
    with_texts: Annotated[
        bool,
        typer.Option("--with-texts", help="Put names and reasons in: they cannot be erased from it later."),
    ] = False,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Write everything a stranger needs to verify a version's way offline. It reads only, and leaves no event."""
    here = platform()
    made = make(here, acting(here, as_user), model, version, anchor or (), with_texts=with_texts)
    archive.write(output, made.members)
    about = made.about

    def render() -> None:
        out.print(
            f"{output}: {many(len(made.members), 'member')}, {many(about['events'], 'event')}, "
            f"{model} version {version} in {about['stage']}, head signed at event {about['events']}",
            markup=False,
        )
        out.print(f"signed by the key {about['key']}: hand the public key over by another way")
        if with_texts:
            err.print("names and reasons are in it: what is erased from the ledger later stays in this file")

    say({"bundle": str(output), **about, "members": sorted(made.members)}, as_json, render)


def verify_bundle(
    bundle: Annotated[Path, typer.Argument(help="The bundle.")],
    key: Annotated[Path, typer.Option(help="The ledger's public key, which came to you by another way.")],
    anchor: Anchors = None,
    as_json: AsJson = False,
) -> None:
    """Verify a bundle with nothing but it, the public key, and the anchors you kept. No project is needed."""
    members = archive.read(bundle)
    kept = [read_anchor(file.name, read_small(file)) for file in anchor or ()]
    report = examine(members, read_key(key), kept, means_of_examination())
    told = _told(report)
    if not as_json:
        _render(report)
    if report.faults:
        sentence = (
            f"the bundle is not sound: {many(len(report.faults), 'fault')}, the first: {report.faults[0]}"
        )
        raise Refused("bundle-unsound", printable(sentence), "ask its maker, and keep this one", **told)
    say(told, as_json, lambda: out.print("sound: every check holds"))


def _told(report: Report) -> dict[str, Any]:
    return {
        "about": dict(report.about),
        "checks": [check.as_dict() for check in report.checks],
        "notes": list(report.notes),
        "timeline": list(report.timeline),
    }


def _render(report: Report) -> None:
    about = report.about
    subject = f"{about.get('model')} version {about.get('version')}" if about else "unknown"
    out.print(printable(f"bundle of {subject}, as of event {about.get('events', '?')}"), markup=False)
    for check in report.checks:
        first, *rest = check.faults or (check.holds,)
        mark = "ok" if check.ok else "FAILED"
        out.print(printable(f"  {mark:<7} {check.name:<13} {first}"), markup=False)
        for more in rest:
            out.print(printable(f"{'':24}{more}"), markup=False)
    for note in report.notes:
        out.print(printable(f"note: {note}"), markup=False)
    if report.timeline:
        told = (
            "what the chain tells of it:"
            if not report.faults
            else "what this chain, unsound as it is, tells:"
        )
        out.print(told)
    for line in report.timeline:
        out.print(line, markup=False)
