"""Export: everything that a stranger needs to verify one version's way, in one file.

    manifest.json        an in-toto statement: every other member by digest, and what the bundle is about
    manifest.dsse.json   the same, signed (DSSE)
    chain.jsonl          the hashed body of every event, one a line, from the first to the head
    head.json            the anchor signed at the export: where the chain ended
    anchors/NN.json      anchors that somebody had kept
    packets/HEX.json     each packet of the version in its canonical bytes: their SHA-256 is HEX, its digest
    packets/HEX.dsse.json  ...and its attestation, if it was sealed with one
    texts.jsonl          only if asked for: salt and text behind each commitment that is still there
    timeline.md          the version's history in plain sentences

The whole chain is in it, not a part: a hash is only held by all that follow it. Bodies are pseudonymous. The
public key is *not* in it: a key that comes with what it shall prove proves nothing. Only its fingerprint is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.application.anchors import anchor_faults, read_anchor, read_small
from tidegate.application.attest import signed
from tidegate.application.audit import anchor
from tidegate.application.history import concerning, lines, names, page
from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import permit
from tidegate.application.standing import lifecycle
from tidegate.domain.actors import Permission
from tidegate.domain.attestation import key_fingerprint, statement
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.errors import Refused
from tidegate.domain.events import Event
from tidegate.domain.fold import StateView, replay
from tidegate.domain.state import PacketRow, VersionRow

BUNDLE = "https://tidegate.dev/bundle/v1"
MANIFEST, SIGNED_MANIFEST = "manifest.json", "manifest.dsse.json"
CHAIN, HEAD, TEXTS, TIMELINE = "chain.jsonl", "head.json", "texts.jsonl", "timeline.md"
ANCHORS, PACKETS = "anchors/", "packets/"


@dataclass(frozen=True)
class Bundle:
    """A bundle before it is a file: its members, and what its manifest says of it."""

    members: Mapping[str, bytes]
    about: Mapping[str, Any]


def packet_members(rows: Sequence[PacketRow]) -> dict[str, bytes]:
    """Return the members that hold these packets and their attestations."""
    members = {}
    for row in rows:
        name = f"{PACKETS}{row.digest.removeprefix('sha256:')}"
        members[f"{name}.json"] = canonical(dict(row.body))
        if row.envelope:
            members[f"{name}.dsse.json"] = canonical(dict(row.envelope))
    return members


def export(
    platform: Platform,
    acting: Acting,
    model: str,
    version: int,
    anchors: Sequence[Path] = (),
    *,
    with_texts: bool = False,
) -> Bundle:
    """Return the bundle of a version. The head is signed first; what is written meanwhile is not in it.

    Raises:
        Refused: rule A1; an anchor that the chain does not hold against. BadInput: no such version, no anchor.
        DependencyFailed: the chain cannot be read to its end.
    """
    permit(platform, acting, Permission.EXPORT, "ledger")
    lifecycle(platform.ledger.state(), model, version)
    head = anchor(platform, acting)
    end = head["statement"]["sequence"]
    events = [event for event in platform.ledger.events() if event.sequence <= end]
    state = StateView(replay(events))
    row = state.get(VersionRow, model, version)
    assert row is not None  # the ledger's state has it, and the chain folds to that
    texts = _texts(platform, events) if with_texts else {}
    members = {
        CHAIN: b"".join(event.body.encode() + b"\n" for event in events),
        HEAD: canonical(head),
        **_kept(platform, events, anchors),
        **packet_members(state.select(PacketRow, model=model, version=version)),
        TIMELINE: _timeline(events, state, row, {name: text for name, (_, text) in texts.items()}).encode(),
    }
    if with_texts:
        opened = [{"commitment": name, "salt": salt, "text": text} for name, (salt, text) in texts.items()]
        members[TEXTS] = b"".join(canonical(each) + b"\n" for each in opened)
    about = {
        "model": model,
        "version": version,
        "stage": row.stage,
        "events": end,
        "head": head["statement"]["hash"],
        "key": key_fingerprint(platform.signer.public_key),
        "texts": with_texts,
    }
    stated = statement({name: sha256(data) for name, data in members.items()}, BUNDLE, about)
    members |= {MANIFEST: canonical(stated), SIGNED_MANIFEST: canonical(signed(platform.signer, stated))}
    return Bundle(members, about)


def _kept(platform: Platform, events: Sequence[Event], files: Sequence[Path]) -> dict[str, bytes]:
    hashes = {event.sequence: event.hash for event in events}
    found: dict[str, bytes] = {}
    for number, file in enumerate(files, 1):
        data = read_small(file)
        kept = read_anchor(file.name, data)
        faults = anchor_faults(platform.signer, kept, platform.signer.public_key, len(events), hashes)
        if faults:
            raise Refused(
                "ledger-unsound",
                f"got an anchor that the chain does not hold against: {faults[0]}",
                "see `tidegate audit verify --anchor … --key …` before you hand anything on",
            )
        found[f"{ANCHORS}{number:02}.json"] = data
    return found


def _texts(platform: Platform, events: Sequence[Event]) -> dict[str, tuple[str, str]]:
    """Return salt and text by commitment, in the order of the chain; what was erased is not there."""
    committed = [each for event in events for each in event.payload.get("texts", {}).values()]
    found = {each: platform.ledger.salted(each) for each in committed}
    return {each: kept for each, kept in found.items() if kept is not None}


def _timeline(events: Sequence[Event], state: StateView, row: VersionRow, texts: Mapping[str, str]) -> str:
    story = concerning(events, state, row.model, row.number)
    people = (
        "People appear by name." if texts else "People appear by their ids: names are not in this bundle."
    )
    preface = (
        f"It stands in {row.stage}, as of event {len(events)} of the ledger. Before and after are the numbers in "
        f"front; the times beside them are those of a {events[0].clock} clock. {people}\n\n"
        "Do not trust this page: verify the bundle, and read what the verifier prints."
    )
    return page(f"{row.model}, version {row.number}", preface, lines(story, names(events, texts), texts))
