"""Whatever a forger writes, wherever: a sentence, and never a traceback."""

from __future__ import annotations

import base64
import contextlib
import json
import runpy

from tidegate.application import bundle as its
from tidegate.application.attest import signed
from tidegate.application.examine import examine
from tidegate.bootstrap import means_of_examination
from tidegate.domain.canonical import canonical
from tidegate.domain.errors import UNFIT
from tidegate.testing.bundles import CHECKS, Forger

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
            assert [check.name for check in report.checks] == [*CHECKS, "texts"], (event["type"], path)
            assert isinstance(report.timeline, tuple)
            tried += 1
    assert tried > 200


def test_nor_does_the_script_end_in_anything_but_a_sentence(given, monkeypatch):
    """The same with its checks in this process; and every field of the members that are no chain, signed anew."""
    script = runpy.run_path(str(given.script))
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
