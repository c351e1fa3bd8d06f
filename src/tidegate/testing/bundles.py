"""A bundle worth forging: two versions, two approvers, real keys and a real policy; and whoever would forge it.

    >>> world = exporting_world(tmp_path)                          # doctest: +SKIP
    >>> forger = Forger(world.bundle().members, world.signer)      # doctest: +SKIP
    >>> forger.write(tmp_path / "forged.zip", signing=None)        # doctest: +SKIP

A forger with nothing but the file keeps the old signatures; one who holds a key signs what they made anew.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.adapters.cel_expressions import CelExpressions
from tidegate.adapters.ed25519_signer import Ed25519Signer
from tidegate.adapters.policy_files import PolicyFiles
from tidegate.application import archive, audit
from tidegate.application import bundle as its
from tidegate.application.attest import signed
from tidegate.application.promote import climb
from tidegate.application.resolve import resolve
from tidegate.domain.attestation import key_fingerprint, packet_statement, statement
from tidegate.domain.canonical import NO_DIGEST, canonical, parse, sha256
from tidegate.domain.events import EventType
from tidegate.domain.lifecycle import Action
from tidegate.domain.policy import Stage
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform

#: What is checked of every bundle, in this order.
CHECKS = (
    "manifest",
    "members",
    "chain",
    "head",
    "state",
    "packets",
    "attestations",
    "approvers",
    "policy",
    "acts",
)
POLICY = """\
policy: trams
version: "1"
demands:
  safe: {says: it scores as its estimator does, passes: 'packet.parity.verdict == "passed"'}
gates:
  standard:
    staging: {demands: [safe]}
    canary: {demands: [safe]}
    prod: {demands: [safe], approvals: {approver: 2}}
review: {on: [failed], due_days: 7, role: reviewer}
example: {parity: {verdict: passed}}
tests:
  - {name: it passes, tiers: [standard], to: prod}
  - {name: it does not, tiers: [standard], to: prod, set: {parity.verdict: failed}, expect: {safe: failed}}
"""
REASONS = ("The evidence holds.", "I looked at the slices too.")


class ExportingWorld(FakePlatform):
    """A world with a real policy, a real signer, and an auditor, `p-7`."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._files = PolicyFiles(home, CelExpressions())
        super().__init__(home, self._files.parse(POLICY))
        self.expressions = CelExpressions()
        self.signer: Ed25519Signer = Ed25519Signer(home / "keys" / "ledger.pem")
        self.add_actor("p-7", "auditor")

    @property
    def policies(self) -> Any:
        return self._files

    def bundle(
        self, version: int = 1, anchors: Sequence[Path] = (), *, with_texts: bool = False
    ) -> its.Bundle:
        return its.export(self, self.acting("p-7"), MODEL, version, anchors, with_texts=with_texts)

    def anchor(self, path: Path) -> Path:
        path.write_text(json.dumps(audit.anchor(self, self.acting("p-7"))))
        return path


def exporting_world(home: Path) -> ExportingWorld:
    """Return a world in which version 1 is in prod, approved by two people, and version 2 waits for them."""
    world = ExportingWorld(home)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 1, Stage.PROD)
    for who, why in zip(("p-3", "p-4"), REASONS, strict=True):
        resolve(world, world.acting(who), MODEL, 1, Action.APPROVE, why)
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 2, Stage.PROD)
    return world


@dataclass
class Forger:
    """Somebody who changes a bundle. ``chain`` holds its events as objects, to be changed at will."""

    members: dict[str, bytes]

    def __init__(self, members: Mapping[str, bytes]) -> None:
        self.members = dict(members)
        self.chain: list[dict[str, Any]] = [parse(line.decode()) for line in members[its.CHAIN].splitlines()]

    def event(self, kind: EventType, nth: int = 0) -> dict[str, Any]:
        """Return the nth event of a kind."""
        return [event for event in self.chain if event["type"] == kind][nth]

    def rehash(self, since: int = 1) -> None:
        """Number and link the events anew from one on, streams too, as whoever can write all of them would."""
        streams: dict[str, int] = {}
        previous = NO_DIGEST
        for number, event in enumerate(self.chain, 1):
            streams[event["stream"]] = streams.get(event["stream"], 0) + 1
            if number >= since:
                numbers = {"sequence": number, "stream_sequence": streams[event["stream"]]}
                event |= {**numbers, "previous": previous}
            previous = sha256(canonical(event))

    def sign_packets(self, signer: Ed25519Signer) -> None:
        """Attest every packet in the chain anew."""
        artifacts = {}
        for event in self.chain:
            said = event["payload"]
            if event["type"] == EventType.VERSION_REGISTERED:
                artifacts[said["number"]] = said["artifact"]
            if event["type"] == EventType.PACKET_SEALED:
                number, artifact = said["version"], artifacts[said["version"]]
                stated = packet_statement(said["model"], number, artifact, said["digest"], said["body"])
                said["envelope"] = signed(signer, stated)

    def made(self, signing: Ed25519Signer | None = None) -> dict[str, bytes]:
        """Return the members with a chain, head, packets and manifest to match; signed only with a key."""
        bodies = [canonical(event) for event in self.chain]
        self.members[its.CHAIN] = b"".join(body + b"\n" for body in bodies)
        about = parse(self.members[its.MANIFEST].decode())["predicate"]
        if signing is not None:
            end = {"sequence": len(bodies), "hash": sha256(bodies[-1])}
            said = {**parse(self.members[its.HEAD].decode())["statement"], **end}
            self.members[its.HEAD] = canonical(
                {"statement": said, "signature": signing.sign(canonical(said))}
            )
            key = key_fingerprint(signing.public_key)
            about |= {"events": len(bodies), "head": end["hash"], "key": key}
        return self.listed(about, signing)

    def listed(
        self, about: Mapping[str, Any] | None = None, signing: Ed25519Signer | None = None
    ) -> dict[str, bytes]:
        """Return the members as they are, with a manifest that lists them."""
        about = about or parse(self.members[its.MANIFEST].decode())["predicate"]
        others = {name: data for name, data in self.members.items() if not name.startswith("manifest.")}
        stated = statement({name: sha256(data) for name, data in others.items()}, its.BUNDLE, about)
        self.members[its.MANIFEST] = canonical(stated)
        if signing is not None:
            self.members[its.SIGNED_MANIFEST] = canonical(signed(signing, stated))
        return dict(self.members)

    def write(
        self, path: Path, change: Callable[[Forger], object], signing: Ed25519Signer | None = None
    ) -> Path:
        """Change the bundle, make everything fit that a forger can, and write it."""
        change(self)
        archive.write(path, self.made(signing))
        return path


@dataclass(frozen=True)
class Said:
    """What somebody who verified a bundle came to."""

    code: int
    out: str
    err: str = ""


def by_script(script: Path, bundle: Path, key: Path, *words: object) -> Said:
    """Verify with the stand-alone script and a bare interpreter: no site-packages, nothing of this environment."""
    command = [sys.executable, "-S", "-I", str(script), str(bundle), "--key", str(key), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return Said(done.returncode, done.stdout)


def failed(said: Said) -> set[str]:
    """Return the names of the checks that were printed as failed."""
    lines = [line.split() for line in said.out.splitlines()]
    return {words[1] for words in lines if words[:1] == ["FAILED"]}
