"""Anchor the head of the chain, verify all of it, and fingerprint the state."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidegate.application.anchors import ANCHOR, Anchor, anchor_faults, read_anchor, read_key, read_small
from tidegate.application.attest import attested
from tidegate.application.erased import unfinished
from tidegate.application.platform import Acting, Platform
from tidegate.application.recording import permit
from tidegate.domain.actors import Permission
from tidegate.domain.canonical import canonical, utc_text
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.events import Event
from tidegate.domain.fold import fingerprint, replay
from tidegate.domain.keeping import Without


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


def anchors(
    anchor_file: Path | None,
    notes: Mapping[str, Sequence[str]] | None = None,
    locked: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Anchor, ...]:
    """Return the anchors of a file, of the notes of a repository (per commit) and of a lockbox (per object).

    Raises:
        BadInput: the file cannot be read, or something there is no anchor.
    """
    found = [read_anchor(anchor_file.name, read_small(anchor_file))] if anchor_file else []
    for commit, lines in (notes or {}).items():
        found += [read_anchor(f"in the note on {commit[:10]}", line) for line in lines]
    for name, lines in (locked or {}).items():
        found += [read_anchor(f"in {name}", line) for line in lines]
    return tuple(found)


def verify(
    platform: Platform,
    anchor_file: Path | None,
    key_file: Path | None,
    notes: Mapping[str, Sequence[str]] | None = None,
    locked: Mapping[str, Sequence[str]] | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Return how many events there are, and one sentence per fault; no fault means sound.

    Chain, copies, texts and state are always checked. The public key, kept by the verifier, shows in addition
    that each packet is signed by it; with anchors, that the chain was neither cut nor rewritten since.

    Raises:
        BadInput: an anchor or the key cannot be read.
    """
    kept = anchors(anchor_file, notes, locked)
    if kept and key_file is None:
        raise BadInput("no-key", "got an anchor but no key, expected the public key too", "add --key FILE")
    key = read_key(key_file) if key_file else ""
    found = list(platform.ledger.verify())
    found += [
        f"the {each.kind} {each.digest} was erased, and lies there: `tidegate subject finish` removes it"
        for each in _left(platform)
    ]
    end, hashes = _hashes(platform, {each.sequence for each in kept})
    for each in kept:
        found += anchor_faults(platform.signer, each, key, end, hashes)
    if key:
        found += attested(_readable(platform), platform.signer, key).faults
    return end, tuple(found)


def _left(platform: Platform) -> tuple[Without, ...]:
    """Return the erased files that are there; where the state cannot be read, that is a fault found already."""
    with suppress(DependencyFailed):
        return unfinished(platform)
    return ()


def fingerprint_now(platform: Platform) -> str:
    """Return the digest of the folded state, refolded from the first event."""
    return fingerprint(replay(platform.ledger.events()))


def _hashes(platform: Platform, wanted: Collection[int]) -> tuple[int, dict[int, str]]:
    """Return how many events can be read, and the hashes of some of them."""
    hashes: dict[int, str] = {}
    count = 0
    for event in _readable(platform):
        count += 1
        if event.sequence in wanted:
            hashes[event.sequence] = event.hash
    return count, hashes


def _readable(platform: Platform) -> Iterator[Event]:
    """Yield each event up to the first that cannot be read, which is a fault found already."""
    with suppress(DependencyFailed):
        yield from platform.ledger.events()
