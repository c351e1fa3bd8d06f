"""Anchor the head of the chain, verify all of it, and fingerprint the state."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Anchor:
    """A signed statement of where the chain ended, as somebody kept it; ``name`` says where it was found."""

    name: str
    statement: Mapping[str, Any]
    signature: str

    @property
    def sequence(self) -> int:
        """Return the number of the event it was signed at."""
        return int(self.statement["sequence"])


def anchor(platform: Platform, acting: Acting) -> dict[str, Any]:
    """Return a signed statement of where the chain ends now. Keep it outside the state directory.

    Raises:
        Refused: rule A1.
    """
    permit(platform, acting, Permission.ANCHOR, "ledger")
    head = platform.ledger.head()
    statement = {
        "schema": ANCHOR,
        "sequence": head.sequence,
        "hash": head.hash if head.sequence else "",
        "assurance": platform.assurance,
        "recorded_at": utc_text(platform.clock.recorded()),
    }
    return {"statement": statement, "signature": platform.signer.sign(canonical(statement))}


def anchors(anchor_file: Path | None, notes: Mapping[str, Sequence[str]] | None = None) -> tuple[Anchor, ...]:
    """Return the anchors of a file, and of the notes of a repository: per commit, a line each.

    Raises:
        BadInput: the file cannot be read, or something there is no anchor.
    """
    found = [_anchor(anchor_file.name, _read(anchor_file))] if anchor_file else []
    for commit, lines in (notes or {}).items():
        found += [_anchor(f"in the note on {commit[:10]}", line) for line in lines]
    return tuple(found)


def verify(
    platform: Platform,
    anchor_file: Path | None,
    key_file: Path | None,
    notes: Mapping[str, Sequence[str]] | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Return how many events there are, and one sentence per fault; no fault means sound.

    Chain, copies, texts and state are always checked. Anchors and the public key, both kept by the
    verifier, show in addition that the chain was neither cut nor rewritten since they were signed.

    Raises:
        BadInput: an anchor or the key cannot be read.
    """
    kept = anchors(anchor_file, notes)
    if kept and key_file is None:
        raise BadInput("no-key", "got an anchor but no key, expected the public key too", "add --key FILE")
    key = _read(key_file).decode("ascii", errors="replace") if kept and key_file else ""
    found = list(platform.ledger.verify())
    end, hashes = _hashes(platform, {each.sequence for each in kept})
    for each in kept:
        found += _anchor_faults(platform, each, key, end, hashes)
    return end, tuple(found)


def fingerprint_now(platform: Platform) -> str:
    """Return the digest of the folded state, refolded from the first event."""
    return fingerprint(replay(platform.ledger.events()))


def _hashes(platform: Platform, wanted: Collection[int]) -> tuple[int, dict[int, str]]:
    """Return how many events can be read until one that cannot (a fault found already), and some of their hashes."""
    hashes: dict[int, str] = {}
    count = 0
    try:
        for event in platform.ledger.events():
            count += 1
            if event.sequence in wanted:
                hashes[event.sequence] = event.hash
    except DependencyFailed:
        return count, hashes
    return count, hashes


def _anchor_faults(
    platform: Platform, kept: Anchor, key: str, end: int, hashes: Mapping[int, str]
) -> list[str]:
    if not platform.signer.verify(canonical(dict(kept.statement)), kept.signature, key):
        return [f"anchor {kept.name}: its signature does not belong to this key"]
    sequence = kept.sequence
    if sequence and sequence not in hashes:
        return [
            f"anchor {kept.name}: it was signed at event {sequence}; the chain ends at {end}: its tail was cut"
        ]
    if sequence and hashes[sequence] != kept.statement["hash"]:
        return [
            f"anchor {kept.name}: event {sequence} had another hash when it was signed: the chain was rewritten"
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


def _anchor(name: str, text: bytes | str) -> Anchor:
    try:
        signed = json.loads(text)
        statement = signed["statement"]
        kinds = (type(statement["sequence"]), type(statement["hash"]))
        if statement["schema"] != ANCHOR or kinds != (int, str):
            raise ValueError("another schema")
        return Anchor(name, statement, str(signed["signature"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            "bad-anchor",
            f"got {name}, which is no anchor ({error}), expected a {ANCHOR} statement and its signature",
            "name an anchor",
        ) from error
