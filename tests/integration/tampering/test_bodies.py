"""A body that nobody of ours wrote is named, and ends no search."""

from __future__ import annotations

import json

import pytest

from tidegate.application import audit
from tidegate.domain.canonical import canonical, sha256


def rehashed(change):
    """A change of a body that recomputes the hash, as an attacker would."""

    def apply(body):
        changed = change(body)
        return changed, sha256(changed.encode())

    return apply


def within(**fields):
    return rehashed(lambda body: canonical({**json.loads(body), **fields}).decode())


BODIES = {
    "nothing": lambda _: ("", sha256(b"")),
    "no object": rehashed(lambda _: "[]"),
    "null": rehashed(lambda _: "null"),
    "an empty object": rehashed(lambda _: "{}"),
    "half a body": rehashed(lambda body: body[:100]),
    "deep nesting": rehashed(lambda _: "[" * 100_000),
    "a newer envelope": within(envelope="tg.event/2"),
    "a newer type": within(type="model.cloned"),
    "a newer payload": within(schema_version=99),
    "a sequence of text": within(sequence="30"),
    "a sequence of an earlier event": within(sequence=1),
    "another stream's number": within(stream_sequence=77),
    "a payload of text": within(payload="text"),
    "an empty payload": within(payload={}),
    "texts that are a number": within(payload={"texts": 5}),
    "texts that are objects": within(payload={"texts": {"name": {}}}),
    "another actor": within(actor="p-9"),
    "added space": rehashed(lambda body: body.replace(",", ", ", 1)),
    "a repeated field": rehashed(lambda body: body.replace('{"actor":', '{"actor":"p-9","actor":', 1)),
    "half a character": rehashed(lambda body: body.replace('"clock":', '"\\ud800":1,"clock":', 1)),
}


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # what reads a body is the same on both
@pytest.mark.parametrize("how", BODIES)
def test_a_body_that_nobody_of_ours_wrote_is_named_and_ends_no_search(platform, anchored, how):
    platform.attacker.unguard()
    victim = list(platform.ledger.events())[9]
    body, digest = BODIES[how](victim.body)
    platform.attacker.run(
        "UPDATE events SET body = :body, hash = :hash WHERE sequence = 10", body=body, hash=digest
    )
    platform.attacker.resealed("Ada Winter", "also")
    _, found = audit.verify(platform, *anchored)
    assert any(fault.startswith(("event 10:", "event 1: expected", "event 30:")) for fault in found), found
    assert any("not the text that was committed to" in fault for fault in found), "the search went on"


def test_a_body_that_is_no_text_at_all_is_named(on_sqlite):
    before = on_sqlite.attacker.run("SELECT body FROM events WHERE sequence = 12")[0]["body"]
    on_sqlite.attacker.run("UPDATE events SET body = x'ff00' WHERE sequence = 12")
    found = on_sqlite.ledger.verify()
    on_sqlite.attacker.run("UPDATE events SET body = :body WHERE sequence = 12", body=before)
    assert any(fault.startswith("event 12: its body cannot be read") for fault in found), found
