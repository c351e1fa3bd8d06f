"""Whoever changes a bundle's members, or the texts beside its chain, is named."""

from __future__ import annotations

import json

import pytest

from tidegate.application import archive
from tidegate.application import bundle as its
from tidegate.domain.canonical import canonical
from tidegate.domain.events import EventType
from tidegate.testing.bundles import Forger, exporting_world, failed

# ── attacks on the members ────────────────────────────────────────────────────────────────────────


def members_of(given):
    return sorted(archive.read(given.bundle))


@pytest.mark.parametrize("number", range(7))
def test_every_member_is_missed(given, ask, tmp_path, number, by_script):
    members = archive.read(given.bundle)
    assert len(members) == 7
    name = sorted(members)[number]
    del members[name]
    archive.write(tmp_path / "forged.zip", members)
    said = ask(tmp_path / "forged.zip")
    assert (said.code, f"{name} is missing" in said.out) == (1, True)
    script = by_script(tmp_path / "forged.zip")
    assert (script.code, f"{name} is missing" in script.out) == (1, True)


@pytest.mark.parametrize("number", range(7))
def test_every_member_that_was_changed_is_named(given, ask, tmp_path, number, by_script):
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
    script = by_script(tmp_path / "forged.zip")
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
def test_nothing_rides_in_the_one_member_that_no_digest_is_over(given, ask, tmp_path, change, by_script):
    members = archive.read(given.bundle)
    change(envelope := json.loads(members[its.SIGNED_MANIFEST]))
    archive.write(tmp_path / "forged.zip", {**members, its.SIGNED_MANIFEST: canonical(envelope)})
    said, script = ask(tmp_path / "forged.zip"), by_script(tmp_path / "forged.zip")
    assert (said.code, failed(said), script.code) == (1, {"manifest"}, 1)
    for told in (said.out, script.out):
        assert "manifest.dsse.json holds more than the manifest and one signature" in told


def test_a_member_too_many_and_members_swapped_are_named(given, ask, tmp_path, by_script):
    members = archive.read(given.bundle)
    archive.write(tmp_path / "more.zip", {**members, "packets/note.json": b"{}", "extra.txt": b"x"})
    said = ask(tmp_path / "more.zip")
    assert failed(said) == {"members", "packets"}
    assert "extra.txt is one too many" in said.out
    assert by_script(tmp_path / "more.zip").code == 1
    one, two = (name for name in sorted(members) if name.startswith("packets/"))
    archive.write(tmp_path / "swapped.zip", {**members, one: members[two], two: members[one]})
    said = ask(tmp_path / "swapped.zip")
    assert failed(said) == {"members", "packets"}
    assert f"{one} holds what {two} should hold: swapped" in said.out
    assert by_script(tmp_path / "swapped.zip").code == 1


def test_a_packet_that_was_never_sealed_is_named_even_where_the_manifest_lists_it(
    given, ask, forge, by_script
):
    def more(forger):
        forger.members["packets/0.json"] = b"{}"

    bundle = forge(more, given.world.signer)
    said = ask(bundle)
    assert failed(said) == {"packets"}
    assert "packets/0.json was never sealed for this version" in said.out
    assert by_script(bundle).code == 1


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
def test_a_member_that_is_something_else_is_a_sentence(given, ask, tmp_path, member, data, by_script):
    members = archive.read(given.bundle) | {member: data}
    archive.write(tmp_path / "forged.zip", members)
    assert ask(tmp_path / "forged.zip").code == 1
    script = by_script(tmp_path / "forged.zip")
    assert (script.code, script.out.splitlines()[-1]) == (1, "unsound")
    assert f"{member} " in script.out
    assert "Error" not in script.out


@pytest.fixture(scope="module")
def elsewhere(given):
    """The bundle of another ledger, in which the same was done."""
    return exporting_world(given.folder / "elsewhere").bundle().members


def test_members_mixed_from_the_bundles_of_two_ledgers_are_named(given, elsewhere, ask, tmp_path, by_script):
    members, mixed = archive.read(given.bundle), tmp_path / "mixed.zip"
    packets = [name for name in members if name.startswith("packets/")]
    others = [name for name in elsewhere if name.startswith("packets/")]
    swaps = [[its.MANIFEST], [its.SIGNED_MANIFEST], [its.CHAIN], [its.HEAD], [its.CHAIN, its.HEAD],
             [its.MANIFEST, its.SIGNED_MANIFEST], [its.CHAIN, its.HEAD, its.MANIFEST, its.SIGNED_MANIFEST]]  # fmt: skip
    for names in swaps:
        assert all(elsewhere[name] != members[name] for name in names)
        archive.write(mixed, {**members, **{name: elsewhere[name] for name in names}})
        said, script = ask(mixed), by_script(mixed)
        assert (said.code, script.code) == (1, 1), names
        assert failed(said) & {"manifest", "members"}, names
        assert script.out.splitlines()[-1] == "unsound"
    kept = {name: data for name, data in members.items() if name not in packets}
    archive.write(mixed, {**kept, **{name: elsewhere[name] for name in others}})
    assert failed(ask(mixed)) == {"members", "packets"}
    assert by_script(mixed).code == 1
    archive.write(mixed, elsewhere)
    assert "manifest" in failed(ask(mixed)), "whole, and signed by another ledger's key"
    assert "manifest.json is not what the key signed" in by_script(mixed).out


def test_a_bundle_with_a_bundle_behind_it_is_no_bundle(given, elsewhere, ask, tmp_path, by_script):
    """A reader that begins at the end, and one that begins at the front, would each see another."""
    archive.write(tmp_path / "other.zip", elsewhere)
    (tmp_path / "both.zip").write_bytes((tmp_path / "other.zip").read_bytes() + given.bundle.read_bytes())
    said = ask(tmp_path / "both.zip")
    assert (said.code, "foreign ones before, between or behind its members" in said.err) == (2, True)
    script = by_script(tmp_path / "both.zip")
    assert (script.code, "bytes that are none of its members'" in script.out) == (2, True)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"statement": {"sequence": {}}}']
)
def test_what_is_no_anchor_is_said_by_the_script_too(given, tmp_path, data, by_script):
    (tmp_path / "kept.json").write_bytes(data)
    script = by_script(given.bundle, "--anchor", tmp_path / "kept.json")
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
