"""What is signed about a packet, in which envelope, and how a signature that is not its own is told."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace

import pytest

from tidegate.adapters.ed25519_signer import Ed25519Signer
from tidegate.application.attest import attested, signature_fault, signed
from tidegate.application.promote import climb
from tidegate.domain import attestation
from tidegate.domain.canonical import canonical, parse, sha256
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.events import EventType, open_body
from tidegate.domain.fold import fingerprint, replay
from tidegate.domain.policy import Stage
from tidegate.domain.state import PacketRow, VersionRow
from tidegate.testing.cases import MODEL
from tidegate.testing.fakes.platform import FakePlatform
from tidegate.testing.fakes.small import FakeSigner

STATED = attestation.statement({"file": sha256(b"bytes")}, "https://example.com/p/v1", {"a": 1})


@pytest.fixture
def signer(tmp_path):
    return Ed25519Signer(tmp_path / "keys" / "ledger.pem")


@pytest.fixture
def world(tmp_path, signer):
    """A world whose version 1 stands in canary, its packet signed with a real key."""
    platform = FakePlatform(tmp_path)
    platform.signer = signer
    platform.register(on_behalf_of="p-2")
    climb(platform, platform.acting("p-2"), MODEL, 1, Stage.CANARY)
    return platform


def sealed(world):
    (event,) = [each for each in world.ledger.events() if each.type is EventType.PACKET_SEALED]
    return event


def altered(event, **payload):
    """The event with another payload, hashed anew as a forger would."""
    body = {**json.loads(event.body), "payload": {**event.payload, **payload}}
    return open_body(canonical(body).decode())


def held(world, change=lambda event: event, key=None):
    events = [change(each) if each.type is EventType.PACKET_SEALED else each for each in world.ledger.events()]
    return attested(events, world.signer, key or world.signer.public_key)


# ── the encoding, as its specification has it ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "payload", "encoded"),
    [
        # The example of the specification, DSSE protocol 1.0.0, "Test Vectors".
        (
            "http://example.com/HelloWorld",
            b"hello world",
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world",
        ),
        ("", b"", b"DSSEv1 0  0 "),
        ("\u00e4", b"\xff\x00", b"DSSEv1 2 \xc3\xa4 2 \xff\x00"),
    ],
)
def test_lengths_are_of_bytes_and_stand_before_what_they_measure(kind, payload, encoded):
    assert attestation.pae(kind, payload) == encoded


def test_a_statement_names_its_subjects_by_digest_in_the_order_of_their_names():
    stated = attestation.statement({"b": sha256(b"2"), "a": sha256(b"1")}, "https://example.com/p/v1", {})
    assert stated["_type"] == "https://in-toto.io/Statement/v1"
    assert [each["name"] for each in stated["subject"]] == ["a", "b"]
    assert stated["subject"][0]["digest"] == {"sha256": hashlib.sha256(b"1").hexdigest()}


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:AB", "tg1:" + "0" * 64, "sha256:" + "0" * 63])
def test_what_is_no_sha256_cannot_be_attested(digest):
    with pytest.raises(BadInput) as caught:
        attestation.statement({"file": digest}, "https://example.com/p/v1", {})
    assert caught.value.code == "not-attestable"


def test_an_envelope_gives_back_the_exact_bytes_in_either_alphabet_of_base64(signer):
    made = signed(signer, STATED)
    opened = attestation.read_envelope(made)
    assert opened.payload == canonical(STATED)
    assert opened.signed() == b"DSSEv1 28 application/vnd.in-toto+json %d " % len(opened.payload) + opened.payload
    payload = made["payload"].replace("+", "-").replace("/", "_")
    signatures = [{"sig": made["signatures"][0]["sig"].replace("+", "-").replace("/", "_")}]
    assert attestation.read_envelope({**made, "payload": payload, "signatures": signatures}) == opened


@pytest.mark.parametrize(
    "change",
    [
        {"payloadType": "application/json"},
        {"payload": "no base64!"},
        {"payload": 5},
        {"signatures": []},
        {"signatures": 5},
        {"signatures": [{"keyid": "x"}]},
        {"signatures": ["x"]},
    ],
)
def test_what_is_no_signed_envelope_is_bad_input(signer, change):
    with pytest.raises(BadInput) as caught:
        attestation.read_envelope({**signed(signer, STATED), **change})
    assert caught.value.code == "bad-envelope"
    with pytest.raises(BadInput):
        attestation.read_envelope("text")


def test_a_key_s_fingerprint_is_over_its_der(signer):
    pem = signer.public_key
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    assert attestation.key_fingerprint(pem) == "sha256:" + hashlib.sha256(der).hexdigest()
    assert attestation.key_fingerprint(f"\n{pem}\n") == attestation.key_fingerprint(pem)


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN A-----\n!!\n-----END A-----", "-----BEGIN A-----\nAA==\n"])
def test_what_is_no_pem_has_no_fingerprint(text):
    with pytest.raises(BadInput) as caught:
        attestation.key_fingerprint(text)
    assert caught.value.code == "bad-key"


# ── signatures ────────────────────────────────────────────────────────────────────────────────────


def test_a_signature_is_over_these_bytes_by_this_key_and_of_this_statement(signer, tmp_path):
    made, key = signed(signer, STATED), signer.public_key
    stranger = Ed25519Signer(tmp_path / "other.pem")
    assert signature_fault(signer, made, STATED, key) == ""
    belongs = "its signature does not belong to this key"
    assert signature_fault(signer, made, STATED, stranger.public_key) == belongs
    assert signature_fault(signer, signed(stranger, STATED), STATED, key) == belongs
    other = attestation.envelope({**STATED, "predicate": {}}, made["signatures"][0]["sig"], "")
    assert signature_fault(signer, other, STATED, key) == belongs
    assert signature_fault(signer, made, {**STATED, "predicate": {}}, key) == "what was signed is something else"
    spaced = base64.b64encode(json.dumps(STATED).encode()).decode()
    assert signature_fault(signer, {**made, "payload": spaced}, STATED, key) == belongs, "bytes, not their meaning"
    assert "no signed DSSE envelope" in signature_fault(signer, {}, STATED, key)


def test_a_packet_is_signed_in_the_event_that_seals_it(world):
    event, row = sealed(world), world.ledger.state().get(VersionRow, MODEL, 1)
    opened = attestation.read_envelope(event.payload["envelope"])
    said = parse(opened.payload.decode())
    subjects = {each["name"]: f"sha256:{each['digest']['sha256']}" for each in said["subject"]}
    assert subjects == {f"{MODEL}/1/artifact": row.artifact, f"{MODEL}/1/packet": event.payload["digest"]}
    assert said["predicateType"] == "https://tidegate.dev/sealed-packet/v1"
    assert said["predicate"] == {
        "model": MODEL,
        "version": 1,
        "packet": {"schema": event.payload["body"]["schema"], "digest": event.payload["digest"]},
    }
    assert world.signer.verify(opened.signed(), opened.signatures[0], world.signer.public_key)
    assert world.ledger.state().get(PacketRow, event.payload["digest"]).envelope == event.payload["envelope"]
    assert (held(world).signed, held(world).unsigned, held(world).faults) == (1, (), ())


def test_the_fingerprint_of_the_state_does_not_depend_on_the_key(world, tmp_path):
    other = FakePlatform(tmp_path / "other")
    other.signer = Ed25519Signer(tmp_path / "other.pem")
    other.register(on_behalf_of="p-2")
    climb(other, other.acting("p-2"), MODEL, 1, Stage.CANARY)
    assert sealed(world).payload["envelope"] != sealed(other).payload["envelope"]
    assert fingerprint(replay(world.ledger.events())) == fingerprint(replay(other.ledger.events()))


def test_where_the_key_cannot_be_used_nothing_is_written(world, tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("no key")
    world.signer = Ed25519Signer(bad)
    world.register(on_behalf_of="p-2")
    before = list(world.ledger.events())
    with pytest.raises(DependencyFailed) as caught:
        climb(world, world.acting("p-2"), MODEL, 2, Stage.STAGING)
    assert caught.value.code == "bad-key"
    assert list(world.ledger.events()) == before


def test_a_packet_sealed_before_attestation_is_told_and_is_no_fault(world):
    found = held(world, lambda event: altered(event, envelope={}))
    assert (found.signed, found.unsigned, found.faults) == (0, (sealed(world).sequence,), ())


def test_once_packets_are_signed_all_that_follow_must_be(world):
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 2, Stage.STAGING)
    last = [each for each in world.ledger.events() if each.type is EventType.PACKET_SEALED][-1]
    found = held(world, lambda event: altered(event, envelope={}) if event.sequence == last.sequence else event)
    assert found.faults == (f"event {last.sequence}: its packet is not signed, and earlier ones are",)


def test_another_body_another_key_and_another_version_are_told(world, tmp_path):
    event = sealed(world)
    at = f"event {event.sequence}: "
    body = {**event.payload["body"], "metrics": {}}
    told = f"{at}its packet is not what it was sealed as, by digest"
    assert held(world, lambda each: altered(each, body=body)).faults == (told,)
    digest = sha256(canonical(body))
    found = held(world, lambda each: altered(each, body=body, digest=digest)).faults
    assert found == (f"{at}its packet's attestation: what was signed is something else",)
    stranger = Ed25519Signer(tmp_path / "other.pem").public_key
    found = held(world, key=stranger).faults
    assert found == (f"{at}its packet's attestation: its signature does not belong to this key",)
    assert held(world, lambda each: altered(each, version=7)).faults == (f"{at}its packet.sealed cannot be read",)


def test_a_signature_swapped_between_two_packets_is_told(world):
    world.register(on_behalf_of="p-2")
    climb(world, world.acting("p-2"), MODEL, 2, Stage.STAGING)
    first, second = [each for each in world.ledger.events() if each.type is EventType.PACKET_SEALED]
    swap = {first.sequence: second.payload["envelope"], second.sequence: first.payload["envelope"]}
    found = held(world, lambda each: altered(each, envelope=swap[each.sequence])).faults
    assert len(found) == 2
    assert all(each.endswith("what was signed is something else") for each in found)


@pytest.mark.parametrize("change", [{"envelope": "x"}, {"envelope": 5}, {"body": 5}, {"digest": []}, {"model": {}}])
def test_whatever_a_forger_writes_is_a_fault_and_no_crash(world, change):
    (fault,) = held(world, lambda event: altered(event, **change)).faults
    assert fault.startswith(f"event {sealed(world).sequence}: ")


def test_a_key_that_is_none_is_the_caller_s_mistake(world):
    with pytest.raises(BadInput) as caught:
        held(world, key="no key")
    assert caught.value.code == "bad-key"


def test_the_fake_signer_signs_packets_too(tmp_path):
    platform = FakePlatform(tmp_path)
    platform.register(on_behalf_of="p-2")
    climb(platform, platform.acting("p-2"), MODEL, 1, Stage.STAGING)
    assert held(platform).signed == 1
    assert replace(FakeSigner(), name="other").public_key != platform.signer.public_key
