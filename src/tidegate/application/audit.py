"""Anchor the head of the chain, verify all of it, and fingerprint the state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidegate.application.anchors import ANCHOR, anchor_faults, read_anchor, read_key, read_small
from tidegate.application.attest import attested
from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import permit
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import canonical, utc_text
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.events import Event
from tidegate.domain.fold import fingerprint, replay


def anchor(platform: Platform, acting: Acting) -> dict[str, Any]:
    """Return a signed statement of where the chain ends now. Keep it outside the state directory.

    Raises:
        Refused: rule A1.
    """
    permit(platform, acting, Permission.ANCHOR, "ledger")
    sequence, hashed = 0, ""
    for event in platform.ledger.events():
        sequence, hashed = event.sequence, event.hash
    statement = {
        "schema": ANCHOR,
        "sequence": sequence,
        "hash": hashed,
        "assurance": platform.assurance,
        "recorded_at": utc_text(platform.clock.recorded()),
    }
    return {"statement": statement, "signature": platform.signer.sign(canonical(statement))}


def verify(
    platform: Platform, anchor_file: Path | None, key_file: Path | None
) -> tuple[int, tuple[str, ...]]:
    """Return how many events there are, and one sentence per fault; no fault means sound.

    Chain, copies, texts and state are always checked. The public key, kept by the verifier, shows in addition
    that each packet is signed by it; with an anchor, that the chain was neither cut nor rewritten since.

    Raises:
        BadInput: the anchor or the key cannot be read.
    """
    kept = read_anchor(anchor_file.name, read_small(anchor_file)) if anchor_file else None
    if kept and key_file is None:
        raise BadInput("no-key", "got an anchor but no key, expected the public key too", "add --key FILE")
    found = list(platform.ledger.verify())
    hashes = {event.sequence: event.hash for event in _readable(platform)}
    key = read_key(key_file) if key_file else ""
    if kept:
        found += anchor_faults(platform.signer, kept, key, max(hashes, default=0), hashes)
    if key:
        found += attested(_readable(platform), platform.signer, key).faults
    return len(hashes), tuple(found)


def fingerprint_now(platform: Platform) -> str:
    """Return the digest of the folded state, refolded from the first event."""
    return fingerprint(replay(platform.ledger.events()))


def _readable(platform: Platform) -> Iterator[Event]:
    """Yield each event up to the first that cannot be read, which is a fault found already."""
    with suppress(DependencyFailed):
        yield from platform.ledger.events()
