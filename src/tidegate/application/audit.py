"""Anchor the head of the chain, verify all of it, and fingerprint the state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import permit
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import canonical, utc_text
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.fold import fingerprint, replay

ANCHOR = "tg.anchor/1"
_MAX_ANCHOR = 64 * 1024


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

    Chain, copies, texts and state are always checked. An anchor and the public key, both kept by the
    verifier, show in addition that the chain was neither cut nor rewritten since the anchor was signed.

    Raises:
        BadInput: the anchor or the key cannot be read.
    """
    found = list(platform.ledger.verify())
    hashes = _hashes(platform)
    if anchor_file is not None:
        found += _anchor_faults(platform, anchor_file, key_file, hashes)
    return len(hashes), tuple(found)


def fingerprint_now(platform: Platform) -> str:
    """Return the digest of the folded state, refolded from the first event."""
    return fingerprint(replay(platform.ledger.events()))


def _hashes(platform: Platform) -> dict[int, str]:
    """Return the hash of each event up to the first that cannot be read, which is a fault found already."""
    hashes: dict[int, str] = {}
    try:
        for event in platform.ledger.events():
            hashes[event.sequence] = event.hash
    except DependencyFailed:
        return hashes
    return hashes


def _anchor_faults(
    platform: Platform, anchor_file: Path, key_file: Path | None, hashes: dict[int, str]
) -> list[str]:
    if key_file is None:
        raise BadInput("no-key", "got an anchor but no key, expected the public key too", "add --key FILE")
    signed = _read_anchor(anchor_file)
    statement = signed["statement"]
    key = _read(key_file).decode("ascii", errors="replace")
    if not platform.signer.verify(canonical(statement), signed["signature"], key):
        return [f"anchor {anchor_file.name}: its signature does not belong to this key"]
    sequence = statement["sequence"]
    if sequence not in hashes:
        end = max(hashes, default=0)
        return [
            f"anchor {anchor_file.name}: it was signed at event {sequence}; the chain ends at {end}: its tail was cut"
        ]
    if hashes[sequence] != statement["hash"]:
        return [
            f"anchor {anchor_file.name}: event {sequence} had another hash when it was signed: the chain was rewritten"
        ]
    return []


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_ANCHOR:
            raise BadInput(
                "too-large", f"got {path.name} with more than {_MAX_ANCHOR} bytes", "name the right file"
            )
        return path.read_bytes()
    except OSError as error:
        raise BadInput(
            "no-such-file",
            f"got {path.name}, which cannot be read ({error.strerror})",
            "name a file that exists",
        ) from error


def _read_anchor(path: Path) -> dict[str, Any]:
    try:
        signed = json.loads(_read(path))
        statement = signed["statement"]
        if statement["schema"] != ANCHOR or not isinstance(statement["sequence"], int):
            raise ValueError("another schema")
        return {"statement": statement, "signature": str(signed["signature"])}
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            "bad-anchor",
            f"got {path.name}, which is no anchor ({error}), expected a {ANCHOR} file",
            "name an anchor",
        ) from error
