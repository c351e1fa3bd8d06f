"""Attestations: what is signed about a sealed packet or a bundle, and the envelope that carries it.

An attestation is an in-toto Statement v1 (https://github.com/in-toto/attestation, ``spec/v1/statement.md``): its
subjects are files, named by digest, and its predicate says what is stated of them. It is signed inside a DSSE
v1.0 envelope (https://github.com/secure-systems-lab/dsse, ``protocol.md`` and ``envelope.md``): what is signed
is the pre-authentication encoding of the exact bytes of the statement, never what somebody reads out of them.

A packet's statement has two subjects, the artifact's bytes and the packet's canonical bytes, and its predicate
names the packet; it does not repeat it. The packet stands beside the envelope in the same event, and as a file
of its own in a bundle, where `sha256sum` gives the subject's digest. A second copy, in base64, would make the
record's largest events more than twice as long, and could differ from the first.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.errors import BadInput

STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
#: The version is the predicate's own; the packet's schema is named within.
SEALED_PACKET = "https://tidegate.dev/sealed-packet/v1"

_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")
_PEM = re.compile(r"\s*-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+?)-----END \1-----\s*")


@dataclass(frozen=True)
class Envelope:
    """A DSSE envelope, opened: the exact bytes, their type, and the signatures over both, in base64."""

    payload: bytes
    payload_type: str
    signatures: tuple[str, ...]

    def signed(self) -> bytes:
        """Return the bytes that a signature is over."""
        return pae(self.payload_type, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding: ``DSSEv1``, then type and payload, each after its length in bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def statement(subjects: Mapping[str, str], predicate_type: str, predicate: Mapping[str, Any]) -> dict[str, Any]:
    """Return an in-toto statement about ``subjects``: name to digest (``sha256:…``), in the order of their names.

    Raises:
        BadInput: a digest is no SHA-256.
    """
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": _digest_set(subjects[name])} for name in sorted(subjects)],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }


def packet_statement(
    model: str, version: int, artifact: str, packet: str, body: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is signed about a sealed packet: which artifact and which packet, of which version.

    Raises:
        BadInput: a digest is no SHA-256.
    """
    about = {"model": model, "version": version, "packet": {"schema": body.get("schema"), "digest": packet}}
    name = f"{model}/{version}"
    return statement({f"{name}/artifact": artifact, f"{name}/packet": packet}, SEALED_PACKET, about)


def to_sign(stated: Mapping[str, Any]) -> bytes:
    """Return the bytes that a signature on a statement is over."""
    return pae(PAYLOAD_TYPE, canonical(stated))


def envelope(stated: Mapping[str, Any], signature: str, key: str) -> dict[str, Any]:
    """Return the envelope of a statement with its signature; ``key`` is the public key's fingerprint, a hint."""
    payload = base64.b64encode(canonical(stated)).decode()
    return {
        "payload": payload,
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": key, "sig": signature}],
    }


def read_envelope(value: object) -> Envelope:
    """Open an envelope. Base64 may be of either alphabet, as the specification demands of a reader.

    Raises:
        BadInput: it is no DSSE envelope around an in-toto statement, or nobody signed it.
    """
    try:
        if not isinstance(value, Mapping) or value["payloadType"] != PAYLOAD_TYPE:
            raise ValueError("not an in-toto statement")
        payload = _base64(value["payload"])
        signatures = tuple(base64.b64encode(_base64(each["sig"])).decode() for each in value["signatures"])
        if not signatures:
            raise ValueError("no signature")
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            "bad-envelope",
            f"got what is no signed DSSE envelope ({error}), expected one around an in-toto statement",
            "ask for the bundle again",
        ) from error
    return Envelope(payload, PAYLOAD_TYPE, signatures)


def key_fingerprint(public_key: str) -> str:
    """Return the SHA-256 of a public key in PEM: over its DER, as ``openssl pkey -pubin -outform DER`` prints it.

    Raises:
        BadInput: it is no PEM.
    """
    found = _PEM.fullmatch(public_key)
    try:
        der = base64.b64decode("".join(found[2].split()), validate=True) if found else b""
    except ValueError:
        der = b""
    if not der:
        raise BadInput("bad-key", "got a file that is no PEM, expected an Ed25519 public key", "name it")
    return sha256(der)


def _digest_set(digest: str) -> dict[str, str]:
    found = _SHA256.fullmatch(digest)
    if found is None:
        raise BadInput(
            "not-attestable", f"got the digest {digest[:80]!r}, expected sha256: and 64 hex digits", "digest it"
        )
    return {"sha256": found[1]}


def _base64(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError("base64 is text")
    return base64.b64decode(text.translate({ord("-"): "+", ord("_"): "/"}), validate=True)
