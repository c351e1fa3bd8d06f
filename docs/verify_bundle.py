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
import io
import json
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}(/[a-z0-9][a-z0-9._-]{0,99})?")
MANIFESTS = {"manifest.json", "manifest.dsse.json"}
NEEDED = MANIFESTS | {"chain.jsonl", "head.json"}
MOST_BYTES = 512 * 1024 * 1024
ODD = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
)
UNREADABLE = (*ODD, OSError, struct.error, zipfile.BadZipFile)


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def load(data):
    """Read JSON in which no name stands twice: what one reader sees, every reader sees."""

    def once(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name stands twice in one object")
        return dict(pairs)

    return json.loads(data, object_pairs_hook=once)


def canonical(said):
    """Write JSON as RFC 8785 does, which for texts and whole numbers is this."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read(path):
    """Return the members, in memory; none is compressed, so nothing can unpack to more than the file."""
    if not Path(path).is_file() or Path(path).stat().st_size > MOST_BYTES:
        raise ValueError("it is no plain file, or larger than a bundle may be")
    data, again = Path(path).read_bytes(), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        names = [each.orig_filename for each in entries]
        if sum(each.file_size for each in entries) > len(data) or any(each.compress_type for each in entries):
            raise ValueError("its members are not stored as they are, or larger than the file they lie in")
        if len(set(names)) != len(names) or not all(map(NAME.fullmatch, names)):
            raise ValueError("its members do not have plain names, each once")
        members = {each.filename: archive.read(each) for each in entries}
    with zipfile.ZipFile(again, "w") as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, members[name])
    if again.getbuffer() != data:
        raise ValueError("it holds bytes that are none of its members', or members in another order")
    return members


def signed(key, data, signature):
    """Say whether the key made this signature over these bytes (Ed25519, RFC 8032)."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data").write_bytes(data)
        Path(folder, "signature").write_bytes(signature)
        files = ("-in", f"{folder}/data", "-sigfile", f"{folder}/signature")
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", *files]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def carried(key, envelope):
    """Return what a DSSE envelope carries, if the key signed it; what is signed is `DSSEv1 LEN type LEN payload`."""
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    data = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    return payload if any(signed(key, data, each) for each in signatures(envelope)) else None


def signatures(envelope):
    return [base64.b64decode(each["sig"]) for each in envelope["signatures"]]


def subjects(statement):
    return {each["name"]: "sha256:" + each["digest"]["sha256"] for each in statement["subject"]}


def whole(name, faults):
    """Pass faults on; that a member cannot be read is one."""
    try:
        yield from faults
    except ODD as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        yield f"{name} does not hold what a bundle's does: {why}"


def members_hold(members, key):
    envelope, manifest = load(members["manifest.dsse.json"]), load(members["manifest.json"])
    if carried(key, envelope) != members["manifest.json"]:
        yield "manifest.json is not what the key signed"
    payload, made = (
        base64.b64encode(each).decode() for each in (members["manifest.json"], signatures(envelope)[0])
    )
    exact = {"payload": payload, "signatures": [{"keyid": manifest["predicate"]["key"], "sig": made}]}
    if canonical({**exact, "payloadType": envelope["payloadType"]}) != members["manifest.dsse.json"]:
        yield "manifest.dsse.json holds more than the manifest and one signature"
    due = subjects(manifest)
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
    at = said["sequence"]
    if not signed(key, canonical(said), base64.b64decode(head["signature"])):
        yield f"{name}: its signature does not belong to this key"
    elif at > len(lines):
        yield f"{name}: signed at event {at}; the chain ends at {len(lines)}: its tail was cut"
    elif at < 1 or sha256(lines[at - 1]) != said["hash"]:
        yield f"{name}: event {at} had another hash when it was signed: the chain was rewritten"
    elif last and at < len(lines):
        yield f"{name}: {len(lines) - at} event(s) lie behind it: nobody signed for them"


def packets_hold(members, lines, key):
    about = load(members["manifest.json"])["predicate"]
    print(f"read: {len(lines)} events, {about['model']!a:.99} version {about['version']!a:.99}")
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
    names = sorted({name for name in members if name.startswith("packets/")} | set(due))
    yield from (fault for name in names for fault in whole(name, same(name, due, members)))


def same(name, due, members):
    if name not in due or name not in members or load(members[name]) != due[name]:
        yield f"{name} is not what the chain sealed for this version"


def verify(members, key, anchors):
    """Yield a sentence for everything that does not hold."""
    if missing := sorted(NEEDED - set(members)):
        yield f"{' and '.join(missing)} is missing"
        return
    yield from whole("manifest.json or manifest.dsse.json", members_hold(members, key))
    lines = members["chain.jsonl"].split(b"\n")[:-1]
    yield from whole("chain.jsonl", chain_holds(lines))
    for name in ("head.json", *sorted(each for each in members if each.startswith("anchors/"))):
        yield from whole(name, head_holds(name, members[name], lines, key, last=name == "head.json"))
    for path in anchors:
        try:
            yield from head_holds(path, Path(path).read_bytes(), lines, key)
        except ODD as error:
            raise ValueError(f"{path} is no anchor") from error
    yield from whole("manifest.json or chain.jsonl", packets_hold(members, lines, key))


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
            print(f"FAILED  {ascii(fault)[1:-1]:.400}")
            faults += 1
    except (*UNREADABLE, subprocess.CalledProcessError) as error:
        print(f"cannot be read: {str(error) or type(error).__name__!a:.400}")
        return 1 if faults else 2
    print("unsound" if faults else "sound: members, chain, heads, packets and signatures hold")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
