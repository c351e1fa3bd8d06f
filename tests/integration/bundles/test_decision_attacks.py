"""Whoever writes past the use cases and holds the key is named by the rule that was broken."""

from __future__ import annotations

from tidegate.application import archive
from tidegate.domain.canonical import digest, sha256
from tidegate.domain.events import EventType
from tidegate.domain.state import PromotionRow
from tidegate.testing.bundles import failed
from tidegate.testing.cases import MODEL


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


def test_a_signature_swapped_between_two_packets_is_named(given, ask, forge, by_script):
    def swapped(forger):
        one, two = (forger.event(EventType.PACKET_SEALED, nth)["payload"] for nth in (0, 1))
        one["envelope"], two["envelope"] = two["envelope"], one["envelope"]
        forger.rehash()

    bundle = forge(swapped, given.world.signer)
    said = ask(bundle)
    assert failed(said) == {"packets", "attestations"}
    assert said.out.count("its packet's attestation: what was signed is something else") == 2
    script = by_script(bundle)
    assert script.out.count("its packet's attestation is not the key's, or of another packet") == 2


def test_a_packet_whose_signature_was_taken_off_is_named(given, ask, forge, by_script):
    def bare(forger):
        forger.event(EventType.PACKET_SEALED, 1)["payload"]["envelope"] = {}
        forger.rehash()

    bundle = forge(bare, given.world.signer)
    said = ask(bundle)
    assert failed(said) == {"attestations"}
    assert "event 28: its packet is not signed, and earlier ones are" in said.out.replace(
        "event 29", "event 28"
    )
    assert by_script(bundle).code == 1
