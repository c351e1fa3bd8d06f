"""Verify a Tidegate bundle without Tidegate: Python's standard library, and the `openssl` command (3.0 or newer).

    python verify_bundle.py bundle.zip --key ledger.pub [--anchor head.json]

It shows that the chain is whole and unchanged up to a head that the key signed, that the members are those the
key signed for, and that each packet has its digest and its signature. It does not judge the acts: whether an
approver was entitled to approve is what `tidegate audit verify-bundle` asks. Exit 0: all holds; 1: something does
not; 2: this is no bundle, no key, or no anchor.
"""

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(/[a-z0-9][a-z0-9._-]{0,99})?")
MANIFESTS = {"manifest.json", "manifest.dsse.json"}
NEEDED = MANIFESTS | {"chain.jsonl", "head.json"}
MOST_BYTES = 512 * 1024 * 1024
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile)


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def load(data):
    """Read JSON in which no name stands twice: what one reader sees, every reader sees."""

    def once(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name stands twice in one object")
        return dict(pairs)

    return json.loads(data, object_pairs_hook=once)


def read(path):
    """Return the members, in memory; none is compressed, so nothing can unpack to more than the file."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [each.orig_filename for each in entries]
        total, size = sum(each.file_size for each in entries), Path(path).stat().st_size
        if total > size or size > MOST_BYTES or any(each.compress_type for each in entries):
            raise ValueError("its members are not stored as they are, or larger than a bundle's may be")
        if len(set(names)) != len(names) or not all(map(NAME.fullmatch, names)):
            raise ValueError("its members do not have plain names, each once")
        # Headers of 30 bytes, entries of the directory of 46, its end of 22, and no byte that is nobody's.
        if size != sum(76 + 2 * len(each.filename) + each.file_size for each in entries) + 22:
            raise ValueError("it holds bytes that belong to none of its members")
        return {each.filename: archive.read(each) for each in entries}


def signed(key, data, signature):
    """Say whether the key made this signature, in base64, over these bytes (Ed25519, RFC 8032)."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data").write_bytes(data)
        Path(folder, "signature").write_bytes(base64.b64decode(signature))
        files = ("-in", f"{folder}/data", "-sigfile", f"{folder}/signature")
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", *files]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def carried(key, envelope):
    """Return what a DSSE envelope carries, if the key signed it; what is signed is `DSSEv1 LEN type LEN payload`."""
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    data = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    return payload if any(signed(key, data, each["sig"]) for each in envelope["signatures"]) else None


def subjects(statement):
    return {each["name"]: "sha256:" + each["digest"]["sha256"] for each in statement["subject"]}


def members_hold(members, key):
    if carried(key, load(members["manifest.dsse.json"])) != members["manifest.json"]:
        yield "manifest.json is not what the key signed"
    due = subjects(load(members["manifest.json"]))
    yield from (f"{name} is missing" for name in sorted(set(due) - set(members)))
    yield from (f"{name} is one too many" for name in sorted(set(members) - set(due) - MANIFESTS))
    both = sorted(set(due) & set(members))
    yield from (f"{name} was changed or swapped" for name in both if sha256(members[name]) != due[name])


def chain_holds(lines):
    previous = "sha256:" + "0" * 64
    for number, line in enumerate(lines, 1):
        event = load(line)
        if event["sequence"] != number:
            yield f"event {number}: event {event['sequence']} stands in its place: deleted or inserted"
            return
        if event["previous"] != previous:
            yield f"event {number}: it does not carry the hash of the one before: changed or exchanged"
            return
        previous = sha256(line)


def head_holds(name, data, lines, key, last=False):
    head = load(data)
    said = head["statement"]
    # RFC 8785, which for an object of texts and one integer is this.
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    at = said["sequence"]
    if not signed(key, canonical, head["signature"]):
        yield f"{name}: its signature does not belong to this key"
    elif at > len(lines):
        yield f"{name}: signed at event {at}; the chain ends at {len(lines)}: its tail was cut"
    elif at < 1 or sha256(lines[at - 1]) != said["hash"]:
        yield f"{name}: event {at} had another hash when it was signed: the chain was rewritten"
    elif last and at < len(lines):
        yield f"{name}: {len(lines) - at} event(s) lie behind it: nobody signed for them"


def packets_hold(members, lines, key):
    about = load(members["manifest.json"])["predicate"]
    artifacts, due, attested = {}, {}, 0
    for event in map(load, lines):
        said = event["payload"]
        if event["type"] == "version.registered":
            artifacts[said["model"], said["number"]] = said["artifact"]
        elif event["type"] == "packet.sealed":
            its, envelope = (said["model"], said["version"]), said.get("envelope")
            stem = f"packets/{said['digest'].removeprefix('sha256:')}"
            if its == (about["model"], about["version"]):
                due |= {f"{stem}.json": said["body"]} | ({f"{stem}.dsse.json": envelope} if envelope else {})
                if sha256(members.get(f"{stem}.json", b"")) != said["digest"]:
                    yield f"{stem}.json is missing, or does not have its digest"
            stated = carried(key, envelope) if envelope else None
            if envelope and (
                stated is None or {*subjects(load(stated)).values()} != {artifacts[its], said["digest"]}
            ):
                yield f"event {event['sequence']}: its packet's attestation is not the key's, or of another packet"
            if attested and not envelope:
                yield f"event {event['sequence']}: its packet is not signed, and earlier ones are"
            attested += bool(envelope)
    found = {name: load(data) for name, data in members.items() if name.startswith("packets/")}
    wrong = sorted(name for name in {**due, **found} if due.get(name) != found.get(name))
    yield from (f"{name} is not what the chain sealed for this version" for name in wrong)
    print(f"read: {len(lines)} events, {about['model']!a} version {about['version']}")


def plainly(name, faults):
    """Yield the faults of one member; what cannot be read as what it should be is one more."""
    try:
        yield from faults
    except UNREADABLE:
        yield f"{name} cannot be read further: it does not hold what a bundle holds there"


def verify(members, key, anchors):
    """Yield a sentence for everything that does not hold."""
    if missing := sorted(NEEDED - set(members)):
        yield f"{' and '.join(missing)} is missing"
        return
    yield from plainly("manifest.json", members_hold(members, key))
    lines = members["chain.jsonl"].split(b"\n")[:-1]
    yield from plainly("chain.jsonl", chain_holds(lines))
    yield from plainly("head.json", head_holds("head.json", members["head.json"], lines, key, last=True))
    kept = {name: data for name, data in members.items() if name.startswith("anchors/")}
    for name, data in {**kept, **{path: Path(path).read_bytes() for path in anchors}}.items():
        yield from plainly(name, head_holds(name, data, lines, key))
    yield from plainly("chain.jsonl or a packet", packets_hold(members, lines, key))


def main():
    parser = argparse.ArgumentParser(description="Verify a Tidegate bundle without Tidegate.")
    parser.add_argument("bundle")
    parser.add_argument(
        "--key", required=True, help="the ledger's public key, from elsewhere than the bundle"
    )
    parser.add_argument("--anchor", action="append", default=[], help="a signed head that you kept")
    given, faults = parser.parse_args(), 0
    try:
        subprocess.run(
            ["openssl", "pkey", "-pubin", "-in", given.key, "-noout"], capture_output=True, check=True
        )
        for fault in verify(read(given.bundle), given.key, given.anchor):
            print(f"FAILED  {ascii(fault)[1:-1]}")
            faults += 1
    except (*UNREADABLE, subprocess.CalledProcessError) as error:
        print(f"this is no bundle, no key or no anchor that can be read: {str(error)!a}")
        return 1 if faults else 2
    print("unsound" if faults else "sound: members, chain, heads, packets and signatures hold")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
