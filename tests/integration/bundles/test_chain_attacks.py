"""Whoever changes the chain of a bundle is named by what they did, with the key or without."""

from __future__ import annotations

import pytest

from tidegate.application import archive
from tidegate.domain.attestation import key_fingerprint
from tidegate.domain.events import EventType
from tidegate.testing.bundles import failed


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
def test_whoever_changes_the_chain_without_the_key_is_named(given, ask, forge, name, by_script):
    change, check, sentence = CHAIN_ATTACKS[name]
    bundle = forge(change)
    said = ask(bundle)
    assert said.code == 1
    assert failed(said) >= {"manifest", check}
    assert sentence in said.out
    assert "FAILED  manifest      what was signed is something else" in said.out
    assert said.err.startswith("refused: the bundle is not sound: ")
    assert "what this chain, unsound as it is, tells:" in said.out
    assert by_script(bundle).code == 1


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
def test_whoever_holds_the_key_too_is_named_by_the_anchor_alone(given, ask, forge, name, by_script):
    change, sentence = INSIDERS[name]
    bundle = forge(change, given.world.signer)
    alone = ask(bundle)
    assert (alone.code, failed(alone)) == (0, set())
    said = ask(bundle, "--anchor", given.anchor)
    assert (said.code, failed(said)) == (1, {"anchors"})
    assert sentence in said.out
    assert by_script(bundle).code == 0
    assert by_script(bundle, "--anchor", given.anchor).code == 1


def test_a_rewrite_under_another_key_is_named_and_so_are_both_keys(given, ask, forge, by_script):
    def anew(forger):
        edited(forger)
        forger.sign_packets(given.stranger)
        forger.rehash()

    bundle = forge(anew, given.stranger)
    said = ask(bundle, "--anchor", given.anchor)
    assert failed(said) >= {"manifest", "head", "anchors", "attestations"}
    theirs, ours = key_fingerprint(given.stranger.public_key), key_fingerprint(given.key.read_text())
    assert f"the bundle names the key {theirs}, the one given is {ours}" in said.out
    assert by_script(bundle).code == 1
    fooled = ask(bundle, "--anchor", given.anchor, key=given.folder / "stranger.pub")
    assert (fooled.code, "anchors" in failed(fooled)) == (1, True), (
        "who brought a forger's key has the anchor left"
    )


def test_another_key_than_the_ledger_s_verifies_nothing(given, ask, by_script):
    said = ask(given.bundle, "--anchor", given.anchor, key=given.folder / "stranger.pub")
    assert failed(said) == {"manifest", "head", "anchors", "attestations"}
    assert by_script(given.bundle, key=given.folder / "stranger.pub").code == 1


def test_an_older_bundle_in_the_new_one_s_place_is_named_by_a_newer_anchor(world, ask, tmp_path):
    archive.write(tmp_path / "old.zip", world.bundle().members)
    world.change_roles("p-6", "reviewer", "operator")
    kept = world.anchor(tmp_path / "kept.json")
    (tmp_path / "key.pub").write_text(world.signer.public_key)
    said = ask(tmp_path / "old.zip", "--anchor", kept, key=tmp_path / "key.pub")
    assert (said.code, failed(said)) == (1, {"anchors"})
    assert "kept.json: it was signed at event 35; the chain ends at 34: its tail was cut" in said.out
