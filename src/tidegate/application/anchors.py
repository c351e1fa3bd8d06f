"""Anchors: signed heads that somebody keeps. Read them, and hold a chain against them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.application.ports import Verifier
from tidegate.domain.canonical import canonical
from tidegate.domain.errors import BadInput

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


def read_anchor(name: str, text: bytes | str) -> Anchor:
    """Return the anchor that a file or a note holds.

    Raises:
        BadInput: it holds none.
    """
    try:
        signed = json.loads(text)
        statement = signed["statement"]
        kinds = (type(statement["sequence"]), type(statement["hash"]))
        if statement["schema"] != ANCHOR or kinds != (int, str):
            raise ValueError("another schema")
        canonical(dict(statement))
        return Anchor(name, statement, str(signed["signature"]))
    except (ValueError, KeyError, TypeError, RecursionError, BadInput) as error:
        raise BadInput(
            "bad-anchor",
            f"got {name}, which is no anchor ({error}), expected a {ANCHOR} statement and its signature",
            "name an anchor",
        ) from error


def anchor_faults(
    verifier: Verifier, kept: Anchor, key: str, end: int, hashes: Mapping[int, str]
) -> list[str]:
    """Return why a chain of ``end`` events, with these hashes, does not hold against an anchor.

    Raises:
        BadInput: ``key`` is no Ed25519 public key in PEM.
    """
    if not verifier.verify(canonical(dict(kept.statement)), kept.signature, key):
        return [f"anchor {kept.name}: its signature does not belong to this key"]
    sequence = kept.sequence
    if sequence and sequence not in hashes:
        cut = f"it was signed at event {sequence}; the chain ends at {end}: its tail was cut"
        return [f"anchor {kept.name}: {cut}"]
    if sequence and hashes[sequence] != kept.statement["hash"]:
        other = f"event {sequence} had another hash when it was signed: the chain was rewritten"
        return [f"anchor {kept.name}: {other}"]
    return []


def read_small(path: Path) -> bytes:
    """Return the bytes of an anchor's or a key's file.

    Raises:
        BadInput: it cannot be read, or is far too large to be one.
    """
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


def read_key(path: Path) -> str:
    """Return what a file holds as a public key; whether it is one, the signer says.

    Raises:
        BadInput: as `read_small`.
    """
    return read_small(path).decode("ascii", errors="replace")
