"""What is checked of a bundle's members: the manifest, their digests, the packets, the texts (see `examine`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.application import bundle as its
from tidegate.application.attest import signature_fault
from tidegate.application.chain import Chain
from tidegate.application.ports import Verifier
from tidegate.domain.attestation import STATEMENT, envelope, key_fingerprint, read_envelope
from tidegate.domain.canonical import canonical, parse, sha256
from tidegate.domain.errors import UNFIT
from tidegate.domain.events import Event, commitment
from tidegate.domain.state import ErasureRow, PacketRow

_MANIFESTS = {its.MANIFEST, its.SIGNED_MANIFEST}

Members = Mapping[str, bytes]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what holds, or every sentence of why it does not."""

    name: str
    holds: str
    faults: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Say whether it holds."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """Return the check for scripts."""
        return {"name": self.name, "ok": self.ok, "sentence": self.holds, "faults": list(self.faults)}


def stated(members: Members) -> dict[str, Any]:
    """Return the manifest, empty where there is none that can be read."""
    try:
        said = parse(members[its.MANIFEST].decode())
        kinds = (said["_type"], said["predicateType"], type(said["predicate"]))
        right = kinds == (STATEMENT, its.BUNDLE, dict) and canonical(said) == members[its.MANIFEST]
    except UNFIT:
        return {}
    return dict(said) if right else {}


def manifest(members: Members, said: Mapping[str, Any], key: str, verifier: Verifier) -> Check:
    """Check that the manifest is signed by the key."""
    given = key_fingerprint(key)
    holds = f"signed by the key {given}"
    if missing := sorted(_MANIFESTS - set(members)):
        return Check("manifest", holds, (f"{' and '.join(missing)} is missing",))
    if not said:
        return Check("manifest", holds, (f"{its.MANIFEST} is no manifest of a bundle",))
    try:
        carried = parse(members[its.SIGNED_MANIFEST].decode())
    except UNFIT:
        carried = None
    fault = signature_fault(verifier, carried, said, key)
    if not fault and not _exact(members[its.SIGNED_MANIFEST], carried, said, given):
        fault = f"{its.SIGNED_MANIFEST} holds more than the manifest and one signature"
    if fault and (named := said["predicate"].get("key")) != given:
        fault += f": the bundle names the key {named}, the one given is {given}"
    return Check("manifest", holds, (fault,) if fault else ())


def _exact(data: bytes, carried: object, said: Mapping[str, Any], fingerprint: str) -> bool:
    """Say whether an envelope is written as our own writer would: no digest is over it, so nothing may ride in it."""
    return canonical(envelope(said, read_envelope(carried).signatures[0], fingerprint)) == data


def by_digest(members: Members, said: Mapping[str, Any]) -> Check:
    """Check that the members are exactly those of the manifest."""
    if not said:
        return Check("members", "", ("there is no manifest to hold them against",))
    due = {each["name"]: f"sha256:{each['digest']['sha256']}" for each in said["subject"]}
    faults = [f"{name} is missing" for name in sorted(due.keys() - members.keys())]
    faults += [f"{name} is one too many" for name in sorted(members.keys() - due.keys() - _MANIFESTS)]
    for name in sorted(due.keys() & members.keys()):
        found = sha256(members[name])
        if found != due[name]:
            others = [other for other, digest in due.items() if digest == found]
            swapped = f"{name} holds what {others[0]} should hold: swapped" if others else ""
            faults.append(swapped or f"{name} is not what the manifest states: changed")
    return Check("members", f"{len(due)} members, each by its digest", tuple(faults))


def packets(members: Members, chain: Chain, about: Mapping[str, Any]) -> Check:
    """Check that the version's packets and their attestations are here, as the chain sealed them."""
    rows = chain.view.select(PacketRow, model=about.get("model"), version=about.get("version"))
    due = its.packet_members(rows)
    found = {name: data for name, data in members.items() if name.startswith(its.PACKETS)}
    faults = [f"{name} is missing" for name in sorted(due.keys() - found.keys())]
    faults += [f"{name} was never sealed for this version" for name in sorted(found.keys() - due.keys())]
    same = sorted(due.keys() & found.keys())
    faults += [f"{name} is not what the chain sealed" for name in same if due[name] != found[name]]
    return Check("packets", f"{len(rows)} of this version, each as the chain sealed it", tuple(faults))


def opened_texts(members: Members, chain: Chain) -> tuple[dict[str, str], list[str]]:
    """Return the texts, by commitment, that the chain commits to, and a sentence for each line that is none."""
    committed = {each for event in chain.events for each in _commitments(event)}
    good: dict[str, str] = {}
    faults = []
    for number, line in enumerate(members.get(its.TEXTS, b"").splitlines(), 1):
        try:
            said = parse(line.decode())
            name, text = said["commitment"], said["text"]
            holds = commitment(said["salt"], text) == name and name in committed
        except UNFIT:
            holds = False
        if holds:
            good[name] = text
        else:
            faults.append(f"line {number} of {its.TEXTS} is no text that the chain commits to")
    return good, faults


def texts(members: Members, chain: Chain, good: Mapping[str, str], faults: list[str]) -> Check:
    """Check that every text that was not erased is here."""
    committed = {each for event in chain.events for each in _commitments(event)}
    erased = committed & {row.commitment for row in chain.view.select(ErasureRow)}
    lost = sorted(committed - erased - good.keys())
    missing = [] if its.TEXTS in members else [f"{its.TEXTS} is missing"]
    gone = [f"the text behind {each[:19]}… is missing, and no event erased it" for each in lost]
    told = f"{len(good)} are what the chain commits to" + (f", {len(erased)} were erased" if erased else "")
    return Check("texts", told, (*missing, *faults, *gone))


def _commitments(event: Event) -> list[str]:
    said = event.payload.get("texts", {})
    return [each for each in said.values() if isinstance(each, str)] if isinstance(said, Mapping) else []
