"""A bundle is verified by a stranger, and whoever forges one is named by what they did."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tidegate.adapters.ed25519_signer import Ed25519Signer
from tidegate.application import archive
from tidegate.application import bundle as its
from tidegate.application.attest import signed
from tidegate.application.examine import examine
from tidegate.bootstrap import means_of_examination
from tidegate.domain.attestation import key_fingerprint
from tidegate.domain.canonical import canonical, digest, sha256
from tidegate.domain.errors import UNFIT, BadInput, Refused
from tidegate.domain.events import Draft, EventType
from tidegate.domain.state import PromotionRow
from tidegate.entrypoints.cli import main
from tidegate.testing.bundles import REASONS, Forger, exporting_world
from tidegate.testing.cases import MODEL
from tidegate.testing.shell import BIN

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_bundle.py"
NAMES = [
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
]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """What a stranger is given: a bundle and, by another way, a key and an anchor. Shared: nobody writes to it."""
    folder = tmp_path_factory.mktemp("given")
    world = exporting_world(folder / "world")
    anchor, key, bundle = world.anchor(folder / "head.json"), folder / "ledger.pub", folder / "bundle.zip"
    key.write_text(world.signer.public_key)
    archive.write(bundle, world.bundle().members)
    stranger = Ed25519Signer(folder / "stranger.pem")
    (folder / "stranger.pub").write_text(stranger.public_key)
    return SimpleNamespace(
        world=world, bundle=bundle, key=key, anchor=anchor, stranger=stranger, folder=folder
    )


@pytest.fixture
def world(tmp_path):
    return exporting_world(tmp_path / "world")


@pytest.fixture
def ask(given, tmp_path, monkeypatch, capsys):
    """Ask for a bundle to be verified, from an empty folder; nothing may be written, and nobody sees a traceback."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)

    def asked(bundle, *words, key=None):
        arguments = ["audit", "verify-bundle", str(bundle), "--key", str(key or given.key), *map(str, words)]
        monkeypatch.setattr(sys, "argv", ["tidegate", *arguments])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        assert list(empty.iterdir()) == []
        assert "Traceback" not in said.out + said.err
        assert "fault in Tidegate" not in said.err
        return SimpleNamespace(code=code, out=said.out, err=said.err)

    return asked


@pytest.fixture
def forge(given, tmp_path):
    """Forge the given bundle; ``signing`` is the key that the forger holds, if any."""

    def forged(change, signing=None):
        return Forger(archive.read(given.bundle)).write(tmp_path / "forged.zip", change, signing)

    return forged


def by_script(given, bundle, *words, key=None):
    """Run the stand-alone script with a bare interpreter: no site-packages, nothing of this environment."""
    command = [
        sys.executable,
        "-S",
        "-I",
        str(SCRIPT),
        str(bundle),
        "--key",
        str(key or given.key),
        *map(str, words),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return SimpleNamespace(code=done.returncode, out=done.stdout)


def failed(said):
    """Return the names of the checks that a command printed as failed."""
    lines = [line.split() for line in said.out.splitlines()]
    return {words[1] for words in lines if words[:1] == ["FAILED"]}


def nothing(_):
    """Forge nothing."""


# ── sound ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_sound_bundle_holds_in_every_check_and_tells_the_version_s_history(given, ask):
    said = ask(given.bundle, "--anchor", given.anchor)
    assert (said.code, said.err) == (0, "")
    checks = [line.split()[1] for line in said.out.splitlines() if line.startswith("  ok ")]
    assert checks == [*NAMES[:4], "anchors", *NAMES[4:]]
    assert "this version was approved by p-3 as approver, p-4 as approver" in said.out
    assert "p-4 applied tram_delay-P3: version 1: canary → prod" in said.out
    assert "registered tram_delay version 2" not in said.out, "that is another version's history"
    assert said.out.splitlines()[-1] == "sound: every check holds"


def test_without_an_anchor_of_one_s_own_it_is_said_what_would_not_show(given, ask):
    said = ask(given.bundle)
    assert said.code == 0
    assert (
        "note: no anchor of your own was given: an older bundle in this one's place would not show"
        in said.out
    )


def test_for_scripts_it_is_one_document_sound_or_not(given, ask, forge):
    told = json.loads(ask(given.bundle, "--json").out)
    assert [(check["name"], check["ok"], check["faults"]) for check in told["checks"]] == [
        (name, True, []) for name in NAMES
    ]
    assert told["about"]["model"] == MODEL
    assert told["timeline"][0].endswith("p-1 opened the ledger on a simulated clock, assurance local")
    said = ask(forge(lambda forger: forger.chain.pop()), "--json")
    told = json.loads(said.out)
    assert (said.code, told["code"]) == (1, "bundle-unsound")
    assert {check["name"] for check in told["data"]["checks"] if not check["ok"]} >= {"manifest", "head"}


def test_it_works_where_nothing_else_of_ours_is(given, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    bare = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
    words = [str(BIN / "tidegate"), "audit", "verify-bundle", str(given.bundle), "--key", str(given.key)]
    done = subprocess.run(words, cwd=home, env=bare, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(home.rglob("*")) == []


def test_the_script_verifies_it_with_no_package_at_all(given):
    command = [sys.executable, "-S", "-I", "-c", "import tidegate"]
    assert b"No module named" in subprocess.run(command, capture_output=True, timeout=60).stderr
    said = by_script(given, given.bundle, "--anchor", given.anchor)
    assert said.code == 0
    assert said.out.splitlines()[-1] == "sound: members, chain, heads, packets and signatures hold"


def test_the_script_is_small_enough_to_be_read():
    code = [line for line in SCRIPT.read_text().splitlines() if line.strip()]
    assert len(code) <= 200
    assert "tidegate" not in {line.split()[1] for line in code if line.startswith(("import ", "from "))}


# ── what is in it ─────────────────────────────────────────────────────────────────────────────────


def test_the_members_are_the_chain_the_heads_the_packets_a_history_and_a_signed_manifest(given):
    world = given.world
    made = world.bundle(anchors=[given.anchor])
    (sealed,) = [name for name in made.members if name.startswith("packets/") and "dsse" not in name]
    assert sorted(made.members) == sorted([
        "anchors/01.json", "chain.jsonl", "head.json", "manifest.dsse.json", "manifest.json",
        sealed, sealed.replace(".json", ".dsse.json"), "timeline.md",
    ])  # fmt: skip
    assert sealed == f"packets/{sha256(made.members[sealed]).removeprefix('sha256:')}.json", (
        "named by sha256sum"
    )
    bodies = made.members["chain.jsonl"].decode().split("\n")
    assert bodies == [*(event.body for event in world.ledger.events()), ""]
    assert made.about["key"] == key_fingerprint(world.signer.public_key)
    assert not any(b"PUBLIC KEY" in data for data in made.members.values()), "the key comes by another way"


def test_the_same_record_makes_the_same_bytes(given, tmp_path):
    archive.write(tmp_path / "again.zip", given.world.bundle().members)
    assert (tmp_path / "again.zip").read_bytes() == given.bundle.read_bytes()


def test_exporting_leaves_no_event_and_whoever_may_not_is_refused_and_recorded(world):
    before = list(world.ledger.events())
    world.bundle(with_texts=True)
    assert list(world.ledger.events()) == before
    with pytest.raises(Refused) as caught:
        its.export(world, world.acting("p-5"), MODEL, 1)
    assert caught.value.data["rule"] == "A1"
    (refusal,) = list(world.ledger.events())[len(before) :]
    assert (refusal.type, refusal.payload["action"]) == (EventType.ACTION_REFUSED, "ledger:bundle:export")


@pytest.mark.parametrize(("version", "code"), [(9, "unknown-version"), (0, "unknown-version")])
def test_a_version_that_there_is_not_cannot_be_exported(world, version, code):
    with pytest.raises(BadInput) as caught:
        world.bundle(version)
    assert caught.value.code == code


def test_a_version_that_was_never_asked_up_has_a_bundle_without_a_packet(world, ask, tmp_path):
    number = world.register(on_behalf_of="p-2")
    archive.write(tmp_path / "b.zip", world.bundle(number).members)
    (tmp_path / "key.pub").write_text(world.signer.public_key)
    said = ask(tmp_path / "b.zip", key=tmp_path / "key.pub")
    assert said.code == 0
    assert "0 of this version" in said.out
    assert "nobody had to approve this version" in said.out


def test_an_anchor_that_the_chain_does_not_hold_against_is_not_handed_on(given, world, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(given.anchor.read_text())
    with pytest.raises(Refused, match="its signature does not belong to this key"):
        world.bundle(anchors=[other])


def test_events_after_an_anchor_of_one_s_own_are_told(world, ask, tmp_path):
    kept = world.anchor(tmp_path / "kept.json")
    world.change_roles("p-6", "reviewer", "operator")
    archive.write(tmp_path / "b.zip", world.bundle().members)
    (tmp_path / "key.pub").write_text(world.signer.public_key)
    said = ask(tmp_path / "b.zip", "--anchor", kept, key=tmp_path / "key.pub")
    assert said.code == 0
    assert "note: 1 event(s) lie behind your newest anchor" in said.out


def test_names_and_reasons_are_in_it_only_if_asked_for(world, ask, tmp_path):
    with world.ledger.transaction() as tx:
        added = {"id": "p-8", "kind": "person", "subject": "p-8", "roles": ["approver"]}
        tx.append(Draft(EventType.ACTOR_ADDED, "actors", "p-1", added, {"name": "Amira Winter"}))
    (tmp_path / "key.pub").write_text(world.signer.public_key)
    without, with_them = world.bundle().members, world.bundle(with_texts=True).members
    for told in (*REASONS, "Amira"):
        assert not any(told.encode() in data for data in without.values())
        assert told.encode() in with_them["texts.jsonl"]
    assert f"“{REASONS[0]}”".encode() in with_them["timeline.md"]
    archive.write(tmp_path / "b.zip", with_them)
    said = ask(tmp_path / "b.zip", key=tmp_path / "key.pub")
    assert said.code == 0
    assert "texts         3 are what the chain commits to" in said.out
    assert f"“{REASONS[0]}”" in said.out
    assert by_script(None, tmp_path / "b.zip", key=tmp_path / "key.pub").code == 0


def test_what_an_event_erased_is_not_in_it_and_is_not_missed(world, ask, tmp_path):
    (said,) = [e.payload["texts"]["reason"] for e in world.ledger.events() if e.type == "promotion.approved"][
        :1
    ]
    gone = {"subject": "p-3", "commitments": [said]}
    world.write(EventType.TEXT_ERASED, gone, "p-1", "ledger")
    made = world.bundle(with_texts=True)
    assert REASONS[0].encode() not in made.members["texts.jsonl"]
    archive.write(tmp_path / "b.zip", made.members)
    (tmp_path / "key.pub").write_text(world.signer.public_key)
    asked = ask(tmp_path / "b.zip", key=tmp_path / "key.pub")
    assert (asked.code, "1 are what the chain commits to, 1 were erased" in asked.out) == (0, True)


def test_packets_sealed_before_attestation_are_verified_and_told(given, ask, forge):
    def older(forger):
        for event in forger.chain:
            if event["type"] == EventType.PACKET_SEALED:
                del event["payload"]["envelope"]
                event["schema_version"] = 1
        forger.rehash()
        forger.members = {name: data for name, data in forger.members.items() if ".dsse" not in name}

    bundle = forge(older, given.world.signer)
    said = ask(bundle)
    assert (said.code, said.err) == (0, "")
    assert "2 not signed: sealed before packets were attested" in said.out
    assert by_script(given, bundle).code == 0


# ── attacks on the chain ──────────────────────────────────────────────────────────────────────────


def edited(forger):
    """Somebody else approved."""
    forger.event(EventType.PROMOTION_APPROVED)["actor"] = "p-1"


def edited_last(forger):
    forger.chain[-1]["payload"]["target"] = "retired"


def inserted(forger):
    at = forger.chain.index(forger.event(EventType.PROMOTION_APPROVED))
    forger.chain.insert(at, {**forger.chain[at], "actor": "p-2"})


def deleted(forger):
    forger.chain.remove(forger.event(EventType.PROMOTION_APPROVED))


def deleted_and_rehashed(forger):
    deleted(forger)
    forger.rehash()


def cut(forger):
    del forger.chain[-3:]


def beginning_cut(forger):
    del forger.chain[:3]


def rewritten(forger):
    forger.event(EventType.PROMOTION_APPROVED)["actor"] = "p-1"
    forger.rehash()


CHAIN_ATTACKS = {
    "edit": (
        edited,
        "chain",
        "event 26 does not carry the hash of event 25: one of them was changed or exchanged",
    ),
    "edit the last": (
        edited_last,
        "head",
        "event 34 had another hash when it was signed: the chain was rewritten",
    ),
    "insert": (inserted, "chain", "event 25: it stands behind event 25: inserted or moved"),
    "delete-middle": (deleted, "chain", "event 26: event 25 is missing in front of it: deleted"),
    "delete, rehash": (
        deleted_and_rehashed,
        "head",
        "signed at event 34; the chain ends at 33: its tail was cut",
    ),
    "truncate-tail": (cut, "head", "signed at event 34; the chain ends at 31: its tail was cut"),
    "truncate-head": (beginning_cut, "chain", "event 4: events 1 to 3 are missing in front of it: deleted"),
    "rewrite-all": (
        rewritten,
        "head",
        "event 34 had another hash when it was signed: the chain was rewritten",
    ),
}


@pytest.mark.parametrize("name", CHAIN_ATTACKS)
def test_whoever_changes_the_chain_without_the_key_is_named(given, ask, forge, name):
    change, check, sentence = CHAIN_ATTACKS[name]
    bundle = forge(change)
    said = ask(bundle)
    assert said.code == 1
    assert failed(said) >= {"manifest", check}
    assert sentence in said.out
    assert "FAILED  manifest      what was signed is something else" in said.out
    assert said.err.startswith("refused: the bundle is not sound: ")
    assert "what this chain, unsound as it is, tells:" in said.out
    assert by_script(given, bundle).code == 1


def rewritten_lawfully(forger):
    """Nothing that a rule forbids, and nothing that happened."""
    forger.event(EventType.MODEL_REGISTERED)["payload"]["owner"] = "somebody else"
    forger.rehash()


#: What a forger who holds the server's key can hide from everything but an anchor that somebody kept.
INSIDERS = {
    "truncate-tail": (
        cut,
        "anchor head.json: it was signed at event 34; the chain ends at 31: its tail was cut",
    ),
    "rewrite-all": (
        rewritten_lawfully,
        "anchor head.json: event 34 had another hash when it was signed: the chain was rewritten",
    ),
}


@pytest.mark.parametrize("name", INSIDERS)
def test_whoever_holds_the_key_too_is_named_by_the_anchor_alone(given, ask, forge, name):
    change, sentence = INSIDERS[name]
    bundle = forge(change, given.world.signer)
    alone = ask(bundle)
    assert (alone.code, failed(alone)) == (0, set())
    said = ask(bundle, "--anchor", given.anchor)
    assert (said.code, failed(said)) == (1, {"anchors"})
    assert sentence in said.out
    assert by_script(given, bundle).code == 0
    assert by_script(given, bundle, "--anchor", given.anchor).code == 1


def test_a_rewrite_under_another_key_is_named_and_so_are_both_keys(given, ask, forge):
    def anew(forger):
        edited(forger)
        forger.sign_packets(given.stranger)
        forger.rehash()

    bundle = forge(anew, given.stranger)
    said = ask(bundle, "--anchor", given.anchor)
    assert failed(said) >= {"manifest", "head", "anchors", "attestations"}
    theirs, ours = key_fingerprint(given.stranger.public_key), key_fingerprint(given.key.read_text())
    assert f"the bundle names the key {theirs}, the one given is {ours}" in said.out
    assert by_script(given, bundle).code == 1
    fooled = ask(bundle, "--anchor", given.anchor, key=given.folder / "stranger.pub")
    assert (fooled.code, "anchors" in failed(fooled)) == (1, True), (
        "who brought a forger's key has the anchor left"
    )


def test_another_key_than_the_ledger_s_verifies_nothing(given, ask):
    said = ask(given.bundle, "--anchor", given.anchor, key=given.folder / "stranger.pub")
    assert failed(said) == {"manifest", "head", "anchors", "attestations"}
    assert by_script(given, given.bundle, key=given.folder / "stranger.pub").code == 1


def test_an_older_bundle_in_the_new_one_s_place_is_named_by_a_newer_anchor(world, ask, tmp_path):
    archive.write(tmp_path / "old.zip", world.bundle().members)
    world.change_roles("p-6", "reviewer", "operator")
    kept = world.anchor(tmp_path / "kept.json")
    (tmp_path / "key.pub").write_text(world.signer.public_key)
    said = ask(tmp_path / "old.zip", "--anchor", kept, key=tmp_path / "key.pub")
    assert (said.code, failed(said)) == (1, {"anchors"})
    assert "kept.json: it was signed at event 35; the chain ends at 34: its tail was cut" in said.out


# ── attacks on what was decided, by somebody who writes past the use cases and holds the key ───────


def approval_by_the_requester(world):
    """Write into the ledger itself that the requester approved, and that it went live."""
    asked = world.ledger.state().select(PromotionRow, status="open")[0]
    bound = {name: getattr(asked, name) for name in ("model", "version", "artifact", "packet", "policy")}
    plain = {"for_whom": "", "conditions": {}, "outcome": "approve", "role": "approver"}
    world.change_roles("p-2", "data_scientist", "approver")
    return world.write(
        EventType.PROMOTION_APPROVED, {"promotion": asked.id, **bound, **plain}, "p-2", f"model/{MODEL}"
    )


def test_an_approval_by_the_requester_forged_into_the_chain_is_named(world, ask, tmp_path):
    event = approval_by_the_requester(world)
    archive.write(tmp_path / "b.zip", world.bundle(2).members)
    (tmp_path / "key.pub").write_text(world.signer.public_key)
    said = ask(tmp_path / "b.zip", key=tmp_path / "key.pub")
    assert (said.code, failed(said)) == (1, {"approvers"})
    assert (
        f"event {event.sequence}: promotion.approved was not allowed: p-2 cannot approve version 2"
        in said.out
    )


def test_one_approver_who_counts_twice_is_named(given, ask, forge):
    def twice(forger):
        forger.event(EventType.PROMOTION_APPROVED, 1)["actor"] = "p-3"
        forger.event(EventType.PROMOTION_APPLIED, 2)["actor"] = "p-3"
        forger.rehash()

    said = ask(forge(twice, given.world.signer))
    assert "approvers" in failed(said)
    assert "one person counts once, rule P4" in said.out


def test_a_decision_under_another_policy_than_the_one_in_force_is_named(given, ask, forge):
    def other(forger):
        for nth in (0, 1):
            forger.event(EventType.PROMOTION_APPROVED, nth)["payload"]["policy"] = sha256(b"a milder one")
        forger.rehash()

    said = ask(forge(other, given.world.signer))
    assert failed(said) == {"policy", "approvers"}, "and then nobody has approved what was applied"
    assert "promotion.approved of tram_delay-P3 speaks of another policy, rule P3" in said.out


def test_a_verdict_that_the_packet_does_not_bear_out_is_named(given, ask, forge):
    def worse(forger):
        sealed = forger.event(EventType.PACKET_SEALED)["payload"]
        before = sealed["digest"]
        sealed["body"]["parity"]["verdict"] = "failed"
        sealed["digest"] = digest(sealed["body"])
        for event in forger.chain:
            if event["payload"].get("packet") == before:
                event["payload"]["packet"] = sealed["digest"]
        forger.sign_packets(given.world.signer)
        forger.rehash()

    said = ask(forge(worse, given.world.signer))
    assert failed(said) == {"policy", "packets"}
    assert "records safe as passed; its packet says failed, rule P2" in said.out


def test_a_move_that_the_machine_does_not_know_is_named(given, ask, forge):
    def leap(forger):
        forger.event(EventType.PROMOTION_APPLIED)["payload"]["moves"][0]["to"] = "prod"
        forger.rehash()

    said = ask(forge(leap, given.world.signer))
    assert "acts" in failed(said)
    assert "promotion.applied moved 1: candidate → prod, expected 1: candidate → staging, rule P1" in said.out


def test_a_signature_swapped_between_two_packets_is_named(given, ask, forge):
    def swapped(forger):
        one, two = (forger.event(EventType.PACKET_SEALED, nth)["payload"] for nth in (0, 1))
        one["envelope"], two["envelope"] = two["envelope"], one["envelope"]
        forger.rehash()

    bundle = forge(swapped, given.world.signer)
    said = ask(bundle)
    assert failed(said) == {"packets", "attestations"}
    assert said.out.count("its packet's attestation: what was signed is something else") == 2
    script = by_script(given, bundle)
    assert script.out.count("its packet's attestation is not the key's, or of another packet") == 2


def test_a_packet_whose_signature_was_taken_off_is_named(given, ask, forge):
    def bare(forger):
        forger.event(EventType.PACKET_SEALED, 1)["payload"]["envelope"] = {}
        forger.rehash()

    bundle = forge(bare, given.world.signer)
    said = ask(bundle)
    assert failed(said) == {"attestations"}
    assert "event 28: its packet is not signed, and earlier ones are" in said.out.replace(
        "event 29", "event 28"
    )
    assert by_script(given, bundle).code == 1


# ── attacks on the members ────────────────────────────────────────────────────────────────────────


def members_of(given):
    return sorted(archive.read(given.bundle))


@pytest.mark.parametrize("number", range(7))
def test_every_member_is_missed(given, ask, tmp_path, number):
    members = archive.read(given.bundle)
    assert len(members) == 7
    name = sorted(members)[number]
    del members[name]
    archive.write(tmp_path / "forged.zip", members)
    said = ask(tmp_path / "forged.zip")
    assert (said.code, f"{name} is missing" in said.out) == (1, True)
    script = by_script(given, tmp_path / "forged.zip")
    assert (script.code, f"{name} is missing" in script.out) == (1, True)


@pytest.mark.parametrize("number", range(7))
def test_every_member_that_was_changed_is_named(given, ask, tmp_path, number):
    members = archive.read(given.bundle)
    name = sorted(members)[number]
    members[name] += b" "
    archive.write(tmp_path / "forged.zip", members)
    said = ask(tmp_path / "forged.zip")
    assert said.code == 1
    due = {
        "manifest.json": "no manifest of a bundle",
        "manifest.dsse.json": "manifest.dsse.json holds more than the manifest and one signature",
    }
    assert due.get(name, f"{name} is not what the manifest states: changed") in said.out
    script = by_script(given, tmp_path / "forged.zip")
    assert (script.code, name in script.out) == (1, True)


def another_key_named(envelope):
    envelope["signatures"][0]["keyid"] = "sha256:" + "0" * 64


def a_name_more(envelope):
    envelope["note"] = "not signed"


def a_name_more_inside(envelope):
    envelope["signatures"][0]["note"] = "not signed"


def a_second_signature(envelope):
    envelope["signatures"].append({"keyid": "k", "sig": "bm90IHNpZ25lZA=="})


def the_same_bits_otherwise(envelope):
    """Base64's last letter has bits that nobody reads."""
    last = envelope["signatures"][0]["sig"][-3]
    envelope["signatures"][0]["sig"] = envelope["signatures"][0]["sig"][:-3] + chr(ord(last) + 1) + "=="


@pytest.mark.parametrize(
    "change",
    [another_key_named, a_name_more, a_name_more_inside, a_second_signature, the_same_bits_otherwise],
    ids=lambda change: change.__name__,
)
def test_nothing_rides_in_the_one_member_that_no_digest_is_over(given, ask, tmp_path, change):
    members = archive.read(given.bundle)
    change(envelope := json.loads(members[its.SIGNED_MANIFEST]))
    archive.write(tmp_path / "forged.zip", {**members, its.SIGNED_MANIFEST: canonical(envelope)})
    said, script = ask(tmp_path / "forged.zip"), by_script(given, tmp_path / "forged.zip")
    assert (said.code, failed(said), script.code) == (1, {"manifest"}, 1)
    for told in (said.out, script.out):
        assert "manifest.dsse.json holds more than the manifest and one signature" in told


def test_a_member_too_many_and_members_swapped_are_named(given, ask, tmp_path):
    members = archive.read(given.bundle)
    archive.write(tmp_path / "more.zip", {**members, "packets/note.json": b"{}", "extra.txt": b"x"})
    said = ask(tmp_path / "more.zip")
    assert failed(said) == {"members", "packets"}
    assert "extra.txt is one too many" in said.out
    assert by_script(given, tmp_path / "more.zip").code == 1
    one, two = (name for name in sorted(members) if name.startswith("packets/"))
    archive.write(tmp_path / "swapped.zip", {**members, one: members[two], two: members[one]})
    said = ask(tmp_path / "swapped.zip")
    assert failed(said) == {"members", "packets"}
    assert f"{one} holds what {two} should hold: swapped" in said.out
    assert by_script(given, tmp_path / "swapped.zip").code == 1


def test_a_packet_that_was_never_sealed_is_named_even_where_the_manifest_lists_it(given, ask, forge):
    def more(forger):
        forger.members["packets/0.json"] = b"{}"

    bundle = forge(more, given.world.signer)
    said = ask(bundle)
    assert failed(said) == {"packets"}
    assert "packets/0.json was never sealed for this version" in said.out
    assert by_script(given, bundle).code == 1


def test_a_manifest_about_another_version_another_stage_or_another_bundle_is_named(given, ask, forge):
    for about, told in (
        ({"version": 9}, "the chain knows no tram_delay version 9"),
        ({"version": [1]}, "the chain knows no tram_delay version [1]"),
        ({"stage": "retired"}, "the manifest gives as stage retired, the chain prod"),
        ({"events": 5}, "the manifest gives as events 5, the chain 34"),
    ):
        members = archive.read(given.bundle)
        said = {**json.loads(members[its.MANIFEST])["predicate"], **about}
        path = given.folder / "about.zip"
        archive.write(path, Forger(members).listed(said, given.world.signer))
        asked = ask(path)
        assert (asked.code, told in asked.out) == (1, True), told


@pytest.mark.parametrize("member", [its.MANIFEST, its.SIGNED_MANIFEST, its.HEAD, its.CHAIN])
@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"predicate": 5}\n', b"5\n"]
)
def test_a_member_that_is_something_else_is_a_sentence(given, ask, tmp_path, member, data):
    members = archive.read(given.bundle) | {member: data}
    archive.write(tmp_path / "forged.zip", members)
    assert ask(tmp_path / "forged.zip").code == 1
    script = by_script(given, tmp_path / "forged.zip")
    assert (script.code, script.out.splitlines()[-1]) == (1, "unsound")
    assert f"{member} " in script.out
    assert "Error" not in script.out


@pytest.fixture(scope="module")
def elsewhere(given):
    """The bundle of another ledger, in which the same was done."""
    return exporting_world(given.folder / "elsewhere").bundle().members


def test_members_mixed_from_the_bundles_of_two_ledgers_are_named(given, elsewhere, ask, tmp_path):
    members, mixed = archive.read(given.bundle), tmp_path / "mixed.zip"
    packets = [name for name in members if name.startswith("packets/")]
    others = [name for name in elsewhere if name.startswith("packets/")]
    swaps = [[its.MANIFEST], [its.SIGNED_MANIFEST], [its.CHAIN], [its.HEAD], [its.CHAIN, its.HEAD],
             [its.MANIFEST, its.SIGNED_MANIFEST], [its.CHAIN, its.HEAD, its.MANIFEST, its.SIGNED_MANIFEST]]  # fmt: skip
    for names in swaps:
        assert all(elsewhere[name] != members[name] for name in names)
        archive.write(mixed, {**members, **{name: elsewhere[name] for name in names}})
        said, script = ask(mixed), by_script(given, mixed)
        assert (said.code, script.code) == (1, 1), names
        assert failed(said) & {"manifest", "members"}, names
        assert script.out.splitlines()[-1] == "unsound"
    kept = {name: data for name, data in members.items() if name not in packets}
    archive.write(mixed, {**kept, **{name: elsewhere[name] for name in others}})
    assert failed(ask(mixed)) == {"members", "packets"}
    assert by_script(given, mixed).code == 1
    archive.write(mixed, elsewhere)
    assert "manifest" in failed(ask(mixed)), "whole, and signed by another ledger's key"
    assert "manifest.json is not what the key signed" in by_script(given, mixed).out


def test_a_bundle_with_a_bundle_behind_it_is_no_bundle(given, elsewhere, ask, tmp_path):
    """A reader that begins at the end, and one that begins at the front, would each see another."""
    archive.write(tmp_path / "other.zip", elsewhere)
    (tmp_path / "both.zip").write_bytes((tmp_path / "other.zip").read_bytes() + given.bundle.read_bytes())
    said = ask(tmp_path / "both.zip")
    assert (said.code, "foreign ones before, between or behind its members" in said.err) == (2, True)
    script = by_script(given, tmp_path / "both.zip")
    assert (script.code, "bytes that are none of its members'" in script.out) == (2, True)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"statement": {"sequence": {}}}']
)
def test_what_is_no_anchor_is_said_by_the_script_too(given, tmp_path, data):
    (tmp_path / "kept.json").write_bytes(data)
    script = by_script(given, given.bundle, "--anchor", tmp_path / "kept.json")
    assert (script.code, "kept.json is no anchor" in script.out) == (2, True)


# ── texts ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda lines: [lines[0].replace(b"holds", b"fails"), *lines[1:]],
            "line 1 of texts.jsonl is no text",
        ),
        (lambda lines: lines[1:], "is missing, and no event erased it"),
        (
            lambda lines: [*lines, lines[0].replace(b"sha256:", b"sha256:0")],
            "line 3 of texts.jsonl is no text",
        ),
        (lambda lines: [*lines, b'{"commitment":{},"salt":"","text":5}'], "line 3 of texts.jsonl is no text"),
        (lambda _: None, "texts.jsonl is missing"),
    ],
)
def test_texts_that_are_not_those_committed_to_are_named(given, ask, tmp_path, change, sentence):
    forger = Forger(given.world.bundle(with_texts=True).members)
    lines = change(forger.members[its.TEXTS].splitlines())
    if lines is None:
        del forger.members[its.TEXTS]
    else:
        forger.members[its.TEXTS] = b"".join(line + b"\n" for line in lines)
    archive.write(tmp_path / "forged.zip", forger.listed(signing=given.world.signer))
    said = ask(tmp_path / "forged.zip")
    assert (said.code, failed(said)) == (1, {"texts"})
    assert sentence in said.out


def test_what_a_chain_tells_cannot_reach_the_terminal(given, ask, forge):
    def hostile(forger):
        forger.event(EventType.MODEL_REGISTERED)["payload"]["tier"] = "standard\x1b[2J\x9b\u202e"
        forger.rehash()

    said = ask(forge(hostile, given.world.signer))
    assert "\x1b" not in said.out + said.err
    assert "\u202e" not in said.out
    assert "standard\\x1b[2J" in said.out


# ── whatever a forger writes ──────────────────────────────────────────────────────────────────────

WEIRD = [None, -1, 1e300, "", "x", [], {}, [[]], {"x": {}}, True]


def places(value, path=()):
    """Yield the path of every value in a payload."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inside:
        yield from places(each, (*path, name))


def test_no_payload_that_a_forger_with_the_key_can_write_ends_in_anything_but_a_sentence(given):
    """Every field of one event of each type is given every weird value, the chain rehashed and signed anew."""
    key, means, signer = given.key.read_text(), means_of_examination(), given.world.signer
    members = given.world.bundle(with_texts=True).members
    seen, tried = set(), 0
    for at, event in enumerate(Forger(members).chain):
        if event["type"] in seen:
            continue
        seen.add(event["type"])
        for number, path in enumerate(places(event["payload"])):
            forger = Forger(members)
            *above, last = path
            place = forger.chain[at]["payload"]
            for name in above:
                place = place[name]
            place[last] = WEIRD[(number + len(path)) % len(WEIRD)]
            forger.rehash(at + 1)
            report = examine(forger.made(signer), key, [], means)
            assert [check.name for check in report.checks] == [*NAMES, "texts"], (event["type"], path)
            assert isinstance(report.timeline, tuple)
            tried += 1
    assert tried > 200


def test_nor_does_the_script_end_in_anything_but_a_sentence(given, monkeypatch):
    """The same with its checks in this process; and every field of the members that are no chain, signed anew."""
    script = runpy.run_path(str(SCRIPT))
    verifier, key, signer = means_of_examination().verifier, given.key.read_text(), given.world.signer
    monkeypatch.setitem(
        script["verify"].__globals__,
        "signed",
        lambda key, data, signature: verifier.verify(data, base64.b64encode(signature).decode(), key),
    )
    members = given.world.bundle().members
    assert list(script["verify"](members, key, [])) == []

    def forged():
        chain, seen = Forger(members).chain, set()
        for at, event in enumerate(chain):
            if event["type"] not in seen:
                seen.add(event["type"])
                for number, path in enumerate(places(event)):
                    forger = Forger(members)
                    put(forger.chain[at], path, WEIRD[(number + len(path)) % len(WEIRD)])
                    with contextlib.suppress(*UNFIT):  # it numbers and links what may now have neither
                        forger.rehash(at + 1)
                    yield "chain.jsonl", forger.made(signer)
        for name in (its.MANIFEST, its.SIGNED_MANIFEST, its.HEAD):
            said = json.loads(members[name])
            for path in places(said):
                for weird in WEIRD:
                    put(changed := json.loads(members[name]), path, weird)
                    yield name, {**members, name: canonical(changed)}
                    if name == its.MANIFEST:
                        signed_anew = canonical(signed(signer, changed))
                        yield name, {**members, name: canonical(changed), its.SIGNED_MANIFEST: signed_anew}

    tried = 0
    for name, made in forged():
        faults = list(script["verify"](made, key, []))
        assert all("Error" not in fault for fault in faults), (name, faults)
        assert faults or name in {"chain.jsonl", its.MANIFEST}, (
            "it judges no act, and not what is said about it"
        )
        tried += 1
    assert tried > 1000


def put(value, path, weird):
    *above, last = path
    for name in above:
        value = value[name]
    value[last] = weird
