"""Sign what is sealed, and hold what was signed against a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.application.ports import Signer, Verifier
from tidegate.domain.attestation import envelope, key_fingerprint, packet_statement, read_envelope, to_sign
from tidegate.domain.canonical import canonical, digest
from tidegate.domain.errors import UNFIT, BadInput
from tidegate.domain.events import Event, EventType

UNSIGNED = "not signed: sealed before packets were attested"


@dataclass(frozen=True)
class Attested:
    """What came of holding a chain's packets against a key: how many are signed, which are not, what is wrong."""

    signed: int
    unsigned: tuple[int, ...]
    faults: tuple[str, ...]


def signed(signer: Signer, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement in its envelope, signed.

    Raises:
        DependencyFailed: the signing key cannot be used.
    """
    return envelope(stated, signer.sign(to_sign(stated)), key_fingerprint(signer.public_key))


def signature_fault(verifier: Verifier, value: object, stated: Mapping[str, Any], key: str) -> str:
    """Say why an envelope is not ``stated``, signed with this key; nothing where it is.

    Raises:
        BadInput: ``key`` is no Ed25519 public key in PEM.
    """
    try:
        opened = read_envelope(value)
    except BadInput as error:
        return error.sentence
    if not any(verifier.verify(opened.signed(), each, key) for each in opened.signatures):
        return "its signature does not belong to this key"
    return "" if opened.payload == canonical(stated) else "what was signed is something else"


def attested(events: Iterable[Event], verifier: Verifier, key: str) -> Attested:
    """Hold every packet that a chain seals against its digest and its signature.

    A packet without a signature is older than attestation: once one was signed, all that follow must be.

    Raises:
        BadInput: ``key`` is no Ed25519 public key in PEM.
    """
    verifier.verify(b"", "", key)  # a key that is none is the caller's mistake, no fault of the chain
    artifacts: dict[tuple[str, int], str] = {}
    good, unsigned, faults = 0, [], []
    for event in events:
        said, fault = event.payload, ""
        try:
            if event.type is EventType.VERSION_REGISTERED:
                artifacts[said["model"], said["number"]] = said["artifact"]
            elif event.type is EventType.PACKET_SEALED and said["envelope"]:
                good += 1
                artifact = artifacts[said["model"], said["version"]]
                fault = _packet_fault(verifier, said, artifact, key)
            elif event.type is EventType.PACKET_SEALED:
                unsigned.append(event.sequence)
                fault = "its packet is not signed, and earlier ones are" if good else _digest_fault(said)
        except UNFIT:
            fault = f"its {event.type} cannot be read"
        if fault:
            faults.append(f"event {event.sequence}: {fault}")
    return Attested(good, tuple(unsigned), tuple(faults))


def _packet_fault(verifier: Verifier, said: Mapping[str, Any], artifact: str, key: str) -> str:
    if wrong := _digest_fault(said):
        return wrong
    due = packet_statement(said["model"], said["version"], artifact, said["digest"], said["body"])
    fault = signature_fault(verifier, said["envelope"], due, key)
    return f"its packet's attestation: {fault}" if fault else ""


def _digest_fault(said: Mapping[str, Any]) -> str:
    return "" if digest(said["body"]) == said["digest"] else "its packet is not what it was sealed as, by digest"
