from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain import events
from tidegate.domain.canonical import NO_DIGEST, canonical, digest, sha256
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.events import (
    ENVELOPE,
    SCHEMA_VERSIONS,
    Draft,
    EventType,
    Head,
    commitment,
    open_body,
    payload_digest,
    seal,
)

AT = datetime(2013, 4, 1, 6, tzinfo=UTC)
WRITTEN = datetime(2026, 11, 1, 12, 30, 0, 5, tzinfo=UTC)
steady = settings(deadline=None, max_examples=50)  # a slow machine is no fault
START = Head()
DRAFT = Draft(EventType.ACTION_REFUSED, "model/tides", "p-2", {"action": "approve"})

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DRAFTS = st.builds(
    Draft,
    type=st.sampled_from(EventType),
    stream=st.text(),
    actor=st.text(),
    payload=st.dictionaries(st.text(), JSON, max_size=4),
    on_behalf_of=st.none() | st.text(),
    correlation=st.none() | st.text(min_size=1),
    causation=st.none() | st.integers(1, 1000),
    idempotency_key=st.none() | st.text(),
)


def sealed(draft=DRAFT, head=START, number=1, commitments=None, policy=None):
    return seal(draft, head, number, commitments or {}, policy, AT, WRITTEN, "simulated")


def altered(event, **fields):
    return canonical({**json.loads(event.body), **fields}).decode()


@steady
@given(DRAFTS)
def test_what_is_sealed_opens_to_the_same_event(draft):
    event = sealed(draft)
    assert open_body(event.body) == event
    assert (event.type, event.stream, event.actor) == (draft.type, draft.stream, draft.actor)
    assert event.payload == draft.payload
    assert event.hash == sha256(event.body.encode())
    assert canonical(json.loads(event.body)).decode() == event.body


@steady
@given(st.lists(DRAFTS, min_size=1, max_size=6))
def test_each_event_carries_the_hash_of_the_one_before(drafts):
    head, chain = Head(), []
    for draft in drafts:
        chain.append(sealed(draft, head))
        head = Head(chain[-1].sequence, chain[-1].hash)
    assert [event.sequence for event in chain] == list(range(1, len(drafts) + 1))
    assert [event.previous for event in chain] == [NO_DIGEST, *(event.hash for event in chain[:-1])]


def test_the_envelope_is_all_there_from_the_first_event():
    event = sealed(policy="sha256:p", commitments={"reason": "sha256:c"})
    assert json.loads(event.body) == {
        "envelope": "tg.event/1",
        "type": "action.refused",
        "schema_version": 1,
        "sequence": 1,
        "stream": "model/tides",
        "stream_sequence": 1,
        "previous": NO_DIGEST,
        "actor": "p-2",
        "on_behalf_of": None,
        "correlation": "model/tides#1",
        "causation": None,
        "idempotency_key": None,
        "policy": "sha256:p",
        "occurred_at": "2013-04-01T06:00:00Z",
        "recorded_at": "2026-11-01T12:30:00.000005Z",
        "clock": "simulated",
        "payload": {"action": "approve", "texts": {"reason": "sha256:c"}},
    }


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(Draft) if each.name != "texts"])
def test_every_field_of_a_draft_changes_the_hash(name):
    other = {"type": EventType.MONITOR_RAN, "payload": {"action": "reject"}, "causation": 1}
    changed = dataclasses.replace(DRAFT, **{name: other.get(name, "other")})
    assert sealed(changed).hash != sealed().hash


def test_personal_texts_stay_out_of_the_body():
    told = dataclasses.replace(DRAFT, texts={"reason": "Ada was ill"})
    event = sealed(told, commitments={"reason": commitment("00ff", "Ada was ill")})
    assert "Ada" not in event.body
    assert event.payload["texts"]["reason"] == sha256(b"00ff\x00Ada was ill")


def test_a_commitment_holds_one_salt_and_one_text():
    salts, texts = ("00", "0000", "0061", "01"), ("", "a", "\x00a", "\x00\x00a")
    assert len({commitment(salt, text) for salt in salts for text in texts}) == 16


def test_the_payload_has_a_digest_of_its_own():
    assert payload_digest(sealed()) == digest({"action": "approve"})


# ── versions ──────────────────────────────────────────────────────────────────────────────────────


def test_an_older_payload_is_lifted_step_by_step_and_its_bytes_stay(monkeypatch):
    old = sealed()
    kind = EventType.ACTION_REFUSED
    monkeypatch.setattr(events, "SCHEMA_VERSIONS", {**SCHEMA_VERSIONS, kind: 3})
    steps = {
        (kind, 1): lambda payload: {"act": payload["action"]},
        (kind, 2): lambda payload: {**payload, "steps": 2},
    }
    monkeypatch.setattr(events, "UPCASTERS", steps)
    lifted = open_body(old.body)
    assert lifted.payload == {"act": "approve", "steps": 2}
    assert (lifted.schema_version, lifted.body, lifted.hash) == (1, old.body, old.hash)
    assert sealed().schema_version == 3


@pytest.mark.parametrize(
    ("kind", "version", "payload", "more"),
    [
        (
            EventType.FEATURES_BUILT,
            2,
            {"views": {"day": {"rows": 7}}, "batches": []},
            {"views": {"day": {"rows": 7, "objective": {}}}},
        ),
        (EventType.FEATURES_MATERIALIZED, 1, {"until": "u", "rows": {"day": 7}}, {"newest": {"day": ""}}),
        (EventType.DECISIONS_SCORED, 3, {"rows": 7, "of": 7}, {"freshness": {}, "read": {}}),
        (
            EventType.PROMOTION_APPLIED,
            2,
            {"preconditions": {"way_back": None, "asked": []}},
            {"preconditions": {"way_back": None, "asked": [], "views": {}}},
        ),
    ],
)
def test_events_from_before_objectives_say_that_none_was_stated(kind, version, payload, more):
    assert events.UPCASTERS[kind, version](payload) == payload | more


def test_every_older_version_has_its_upcaster():
    missing = [
        (kind, step)
        for kind, version in SCHEMA_VERSIONS.items()
        for step in range(1, version)
        if (kind, step) not in events.UPCASTERS
    ]
    assert missing == []
    assert set(SCHEMA_VERSIONS) == set(EventType)


@pytest.mark.parametrize(
    ("fields", "code", "sentence"),
    [
        ({"envelope": "tg.event/2"}, "unknown-envelope",
         "got an event with envelope 'tg.event/2', expected 'tg.event/1'"),
        ({"type": "model.cloned"}, "unknown-type",
         "got an event of type 'model.cloned', expected one of this version's"),
        ({"schema_version": 2}, "unknown-schema", "got action.refused in version 2, expected at most 1"),
    ],
)  # fmt: skip
def test_what_a_newer_tidegate_wrote_is_refused(fields, code, sentence):
    with pytest.raises(DependencyFailed) as caught:
        open_body(altered(sealed(), **fields))
    assert (caught.value.code, caught.value.sentence) == (code, sentence)
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "7", '"text"', "[" * 100_000])
def test_a_body_that_is_no_object_is_damaged(body):
    with pytest.raises(DependencyFailed) as caught:
        open_body(body)
    assert caught.value.code == "damaged-event"


@pytest.mark.parametrize("name", [name for name in json.loads(sealed().body) if name != "envelope"])
def test_a_body_without_a_field_or_with_one_of_another_type_is_damaged(name):
    whole = json.loads(sealed().body)
    without = {each: value for each, value in whole.items() if each != name}
    for fields in (without, {**whole, name: [1]}, {**whole, name: True}):
        with pytest.raises(DependencyFailed) as caught:
            open_body(json.dumps(fields))
        assert caught.value.code == "damaged-event"
        assert name in caught.value.sentence


def test_the_envelope_is_the_first_version():
    assert ENVELOPE == "tg.event/1", "an envelope that changes needs a reader of the old one first"
