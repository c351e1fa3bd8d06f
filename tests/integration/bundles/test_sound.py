"""A bundle is verified by a stranger: what is in it, and that it holds in every check."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tidegate.application import archive
from tidegate.application import bundle as its
from tidegate.domain.attestation import key_fingerprint
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.events import Draft, EventType
from tidegate.testing.bundles import CHECKS, REASONS
from tidegate.testing.cases import MODEL
from tidegate.testing.shell import BIN

# ── sound ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_sound_bundle_holds_in_every_check_and_tells_the_version_s_history(given, ask):
    said = ask(given.bundle, "--anchor", given.anchor)
    assert (said.code, said.err) == (0, "")
    checks = [line.split()[1] for line in said.out.splitlines() if line.startswith("  ok ")]
    assert checks == [*CHECKS[:4], "anchors", *CHECKS[4:]]
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
        (name, True, []) for name in CHECKS
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


def test_the_script_verifies_it_with_no_package_at_all(given, by_script):
    command = [sys.executable, "-S", "-I", "-c", "import tidegate"]
    assert b"No module named" in subprocess.run(command, capture_output=True, timeout=60).stderr
    said = by_script(given.bundle, "--anchor", given.anchor)
    assert said.code == 0
    assert said.out.splitlines()[-1] == "sound: members, chain, heads, packets and signatures hold"


def test_the_script_is_small_enough_to_be_read(given):
    code = [line for line in given.script.read_text().splitlines() if line.strip()]
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


def test_names_and_reasons_are_in_it_only_if_asked_for(world, ask, tmp_path, by_script):
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
    assert by_script(tmp_path / "b.zip", key=tmp_path / "key.pub").code == 0


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


def test_packets_sealed_before_attestation_are_verified_and_told(given, ask, forge, by_script):
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
    assert by_script(bundle).code == 0
